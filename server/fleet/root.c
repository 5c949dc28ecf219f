#include "server/fleet/root.h"

#include <string.h>

int root_load(struct sf_bytes file, const struct sf_crypto *crypto, struct sf_root *out)
{
    struct sf_cose_sign sign;
    const int err = sf_root_peek(file, &sign, NULL);
    return err == SF_OK ? sf_root_decode(sign.payload, crypto, out, NULL) : err;
}

int root_lists(const struct sf_root *root, enum sf_role role, const struct sf_public_key *key)
{
    struct sf_public_key listed;
    for (unsigned i = 0; sf_root_key(root, role, i, &listed) == SF_OK; i++) {
        if (memcmp(listed.xy, key->xy, sizeof(listed.xy)) == 0) {
            return 1;
        }
    }
    return 0;
}

int root_accept(struct sf_bytes file, struct sf_bytes newest,
                const struct sf_public_key *status_key, const struct sf_crypto *crypto,
                struct sf_root *out)
{
    struct sf_root trusted;
    int err = SF_OK;
    if (newest.len == 0) {
        err = sf_root_open_first(file, crypto, out, NULL);
    } else {
        err = root_load(newest, crypto, &trusted);
        if (err == SF_OK) {
            err = sf_root_open_next(file, &trusted, crypto, out, NULL);
        }
    }
    if (err < 0) {
        return err;
    }
    return root_lists(out, SF_ROLE_STATUS, status_key) ? SF_OK : SF_ERR_STATE;
}

struct sf_verifier root_release_verifier(const struct sf_root *root, const struct sf_crypto *crypto,
                                         struct sf_public_key key[SF_ROOT_ROLE_KEY_MAX])
{
    struct sf_verifier by = {
        .key = key, .crypto = crypto, .threshold = root->role[SF_ROLE_RELEASE].threshold};
    while (by.key_count < SF_ROOT_ROLE_KEY_MAX &&
           sf_root_key(root, SF_ROLE_RELEASE, by.key_count, &key[by.key_count]) == SF_OK) {
        by.key_count++;
    }
    return by;
}
