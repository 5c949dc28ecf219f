/* Check-in requests and answers. What decodes can be written again, and that is stable. */
#include <stdlib.h>
#include <string.h>

#include "formats/checkin.h"

static void check_request(struct sf_bytes in)
{
    struct sf_checkin c;
    struct sf_diag diag = {0};
    uint8_t first[SF_CHECKIN_REQUEST_MAX];
    uint8_t second[SF_CHECKIN_REQUEST_MAX];
    if (sf_checkin_decode(in, &c, &diag) < 0) {
        if (diag.why == NULL || diag.offset > in.len) {
            abort();
        }
        return;
    }
    const int32_t len = sf_checkin_encode(&c, first, sizeof(first));
    if (len < 0 || sf_checkin_decode((struct sf_bytes){first, (size_t)len}, &c, NULL) < 0 ||
        sf_checkin_encode(&c, second, sizeof(second)) != len ||
        memcmp(first, second, (size_t)len) != 0) {
        abort();
    }
}

static void check_answer(struct sf_bytes in)
{
    struct sf_checkin_answer a;
    uint8_t out[SF_CHECKIN_ANSWER_MAX];
    if (sf_checkin_answer_decode(in, &a, NULL) == SF_OK &&
        sf_checkin_answer_encode(&a, out, sizeof(out)) < 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_request((struct sf_bytes){data, size});
    check_answer((struct sf_bytes){data, size});
    return 0;
}
