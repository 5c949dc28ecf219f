/* Envelopes whose digest and signature count as right, and bare manifests. What opens must be
 * written again byte for byte. */
#include <stdlib.h>

#include "formats/manifest.h"
#include "tests/fuzz/accept_all.h"

/* The manifest's bytes are the same; authentication may differ (ES256, another kid). */
static void check_encoding(struct sf_bytes manifest, struct sf_manifest *m)
{
    uint8_t out[SF_ENVELOPE_MAX];
    struct sf_bytes again;
    const int32_t len = sf_manifest_sign(m, &accept_signer, &accept_all, out, sizeof(out));
    if (len < 0 || sf_envelope_peek((struct sf_bytes){out, (size_t)len}, &again, NULL) < 0 ||
        again.len != manifest.len || memcmp(again.data, manifest.data, again.len) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sf_bytes in = {data, size};
    const struct sf_verifier by = {
        .key = &accept_key, .crypto = &accept_all, .kid_check = SF_COSE_KID_IGNORED};
    struct sf_envelope e;
    struct sf_manifest m = {0};
    struct sf_diag diag = {0};
    if (sf_manifest_decode(in, &m, NULL) == SF_OK) {
        check_encoding(in, &m);
    }
    if (sf_envelope_verify(in, &by, &e, &diag) < 0) {
        if (diag.why == NULL || diag.offset > size) {
            abort();
        }
        return 0;
    }
    if (sf_manifest_decode(e.manifest, &m, NULL) == SF_OK) {
        check_encoding(e.manifest, &m);
    }
    return 0;
}
