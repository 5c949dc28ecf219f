/* COSE_Sign1 from anybody. */
#include <stdlib.h>

#include "tests/fuzz/accept_all.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sf_cose_sign1 s;
    struct sf_diag diag = {0};
    const struct sf_verifier by = {
        .key = &accept_key, .crypto = &accept_all, .kid_check = SF_COSE_KID_IGNORED};
    if (sf_cose_sign1_decode((struct sf_bytes){data, size}, &s, &diag) < 0) {
        if (diag.why == NULL || diag.offset > size) {
            abort();
        }
        return 0;
    }
    if (sf_cose_sign1_verify(&s, s.payload, &by) != SF_OK) {
        abort(); /* whatever decodes has a signature that can be checked */
    }
    return 0;
}
