/* Statuses whose signature counts as right. What opens can be signed, and opens to the same. */
#include <stdlib.h>

#include "formats/status.h"
#include "tests/fuzz/accept_all.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sf_status a;
    struct sf_status b;
    struct sf_diag diag = {0};
    uint8_t out[SF_STATUS_MAX];
    if (sf_status_open((struct sf_bytes){data, size}, &accept_key, &accept_all, &a, &diag) < 0) {
        if (diag.why == NULL || diag.offset > size) {
            abort();
        }
        return 0;
    }
    const int32_t len = sf_status_sign(&a, &accept_signer, &accept_all, out, sizeof(out));
    if (len < 0 || sf_status_open((struct sf_bytes){out, (size_t)len}, &accept_key, &accept_all, &b,
                                  NULL) < 0) {
        abort();
    }
    if (a.counter != b.counter || a.time != b.time || a.action != b.action ||
        a.mirror_count != b.mirror_count || a.patches.len != b.patches.len ||
        memcmp(&a.target, &b.target, sizeof(a.target)) != 0) {
        abort();
    }
    return 0;
}
