/* Keys, and trust roots made with them. */
#include "tests/support/root_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto_openssl.h"

_Noreturn static void give_up(const char *what, int err)
{
    (void)fprintf(stderr, "root kit: %s: %s\n", what, sf_err_name(err));
    abort();
}

void root_kit_init(struct root_kit *kit)
{
    for (unsigned i = 0; i < ROOT_KIT_KEYS; i++) {
        int err = p256_key_generate(&kit->key[i]);
        if (err == SF_OK) {
            err = p256_signer_init(&kit->p256[i], &kit->key[i]);
        }
        if (err < 0) {
            give_up("no key", err);
        }
        kit->signer[i] = p256_signer_as_sf(&kit->p256[i]);
    }
}

void root_kit_release(struct root_kit *kit)
{
    for (unsigned i = 0; i < ROOT_KIT_KEYS; i++) {
        p256_signer_release(&kit->p256[i]);
        p256_key_release(&kit->key[i]);
    }
}

void root_kit_add(const struct root_kit *kit, struct sf_root_draft *draft, enum sf_role role,
                  unsigned index)
{
    if (draft->key_count == SF_ROOT_KEY_MAX) {
        give_up("no room for another key", SF_ERR_NOSPC);
    }
    draft->key[draft->key_count++] =
        (struct sf_root_draft_key){.key = kit->key[index].public_key, .role = role};
}

void root_kit_remove(const struct root_kit *kit, struct sf_root_draft *draft, unsigned index)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < draft->key_count; i++) {
        if (memcmp(draft->key[i].key.kid, kit->key[index].public_key.kid, SF_KID_SIZE) != 0) {
            draft->key[kept++] = draft->key[i];
        }
    }
    draft->key_count = kept;
}

void root_kit_draft(const struct root_kit *kit, struct sf_root_draft *out)
{
    *out = (struct sf_root_draft){
        .version = 1,
        .issued_at = 1800000000,
        .expires = 1800000000 + 365 * 24 * 60 * 60,
        .fleet_id = {0xf1, 0xee, 0x70},
        .threshold = {2, 1, 1, 1},
    };
    for (unsigned i = 0; i < 3; i++) {
        root_kit_add(kit, out, SF_ROLE_ROOT, i);
    }
    root_kit_add(kit, out, SF_ROLE_RELEASE, ROOT_KIT_RELEASE);
    root_kit_add(kit, out, SF_ROLE_STATUS, ROOT_KIT_STATUS);
}

struct sf_bytes root_kit_sign_payload(const struct root_kit *kit, struct sf_bytes payload,
                                      unsigned signers, uint8_t out[SF_ROOT_MAX])
{
    struct sf_cose_signature signature[SF_COSE_SIGNATURE_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < ROOT_KIT_KEYS; i++) {
        if ((signers >> i & 1U) != 0) {
            const int err =
                sf_root_sign(payload, &kit->signer[i], crypto_openssl(), &signature[count++]);
            if (err < 0) {
                give_up("cannot sign", err);
            }
        }
    }
    const int32_t len = sf_root_assemble(payload, signature, count, out, SF_ROOT_MAX);
    if (len < 0) {
        give_up("cannot assemble", len);
    }
    return (struct sf_bytes){out, (size_t)len};
}

struct sf_bytes root_kit_sign(const struct root_kit *kit, const struct sf_root_draft *draft,
                              unsigned signers, uint8_t out[SF_ROOT_MAX])
{
    uint8_t payload[SF_ROOT_PAYLOAD_MAX];
    struct sf_diag diag = {0};
    const int32_t len = sf_root_encode(draft, crypto_openssl(), &diag, payload, sizeof(payload));
    if (len < 0) {
        give_up(diag.why != NULL ? diag.why : "cannot encode", len);
    }
    return root_kit_sign_payload(kit, (struct sf_bytes){payload, (size_t)len}, signers, out);
}

int root_kit_open(const struct root_kit *kit, struct root_kit_trust *trust,
                  const struct sf_root_draft *draft, unsigned signers)
{
    uint8_t file[SF_ROOT_MAX];
    struct sf_root root;
    struct sf_cose_sign sign;
    const struct sf_crypto *crypto = crypto_openssl();
    const struct sf_bytes in = root_kit_sign(kit, draft, signers, file);
    int err = trust->root.version == 0 ? sf_root_open_first(in, crypto, &root, NULL)
                                       : sf_root_open_next(in, &trust->root, crypto, &root, NULL);
    if (err < 0) {
        return err;
    }
    memcpy(trust->file, file, in.len);
    err = sf_root_peek((struct sf_bytes){trust->file, in.len}, &sign, NULL);
    return err < 0 ? err : sf_root_decode(sign.payload, crypto, &trust->root, NULL);
}

struct sf_root_draft root_kit_next_draft(const struct root_kit_trust *t)
{
    struct sf_root_draft d;
    sf_root_draft_from(&t->root, &d);
    d.version++;
    return d;
}
