/* Enrolment requests: anybody may send them. */
#include <stdlib.h>
#include <string.h>

#include "formats/checkin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sf_enrol a;
    struct sf_enrol b;
    struct sf_diag diag = {0};
    uint8_t out[SF_ENROL_REQUEST_MAX];
    if (sf_enrol_decode((struct sf_bytes){data, size}, &a, &diag) < 0) {
        if (diag.why == NULL || diag.offset > size) {
            abort();
        }
        return 0;
    }
    const int32_t len = sf_enrol_encode(&a, out, sizeof(out));
    if (len < 0 || sf_enrol_decode((struct sf_bytes){out, (size_t)len}, &b, NULL) < 0 ||
        memcmp(&a, &b, sizeof(a)) != 0) {
        abort();
    }
    return 0;
}
