/* Trust roots whose signatures count as right, and bare payloads. What opens can be written again,
 * and says the same. */
#include <stdlib.h>

#include "base/crypto_openssl.h"
#include "formats/root_make.h"
#include "tests/fuzz/accept_all.h"

static void check_encoding(const struct sf_root *root, const struct sf_crypto *crypto)
{
    struct sf_root_draft draft;
    struct sf_root again;
    uint8_t out[SF_ROOT_PAYLOAD_MAX];
    sf_root_draft_from(root, &draft);
    const int32_t len = sf_root_encode(&draft, crypto, NULL, out, sizeof(out));
    if (len < 0 || sf_root_decode((struct sf_bytes){out, (size_t)len}, crypto, &again, NULL) < 0 ||
        again.version != root->version || again.expires != root->expires ||
        again.issued_at != root->issued_at || again.policy != root->policy ||
        again.minimum_count != root->minimum_count || again.revoked.len != root->revoked.len ||
        again.anchors.len != root->anchors.len) {
        abort();
    }
    for (unsigned role = 0; role < SF_ROLE_COUNT; role++) {
        if (again.role[role].count != root->role[role].count ||
            again.role[role].threshold != root->role[role].threshold) {
            abort();
        }
    }
}

static void check_diag(const struct sf_diag *diag, size_t size)
{
    if (diag->why == NULL || diag->offset > size) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sf_bytes in = {data, size};
    struct sf_crypto crypto = *crypto_openssl(); /* real kids */
    struct sf_root root;
    struct sf_root next;
    struct sf_diag diag = {0};
    crypto.verify_p256 = accept_verify;
    if (sf_root_decode(in, &crypto, &root, &diag) == SF_OK) {
        check_encoding(&root, &crypto);
    } else {
        check_diag(&diag, size);
    }
    diag = (struct sf_diag){0};
    if (sf_root_open_first(in, &crypto, &root, &diag) < 0) {
        check_diag(&diag, size);
        return 0;
    }
    check_encoding(&root, &crypto);
    root.version--; /* its own successor, but for this */
    const int err = sf_root_open_next(in, &root, &crypto, &next, NULL);
    if (root.version > 0 && err < 0) {
        abort();
    }
    return 0;
}
