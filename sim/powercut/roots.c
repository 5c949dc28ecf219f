#include "sim/powercut/roots.h"

#include <string.h>

#include "base/crypto_openssl.h"

enum { ROOT_KEYS = 4, ISSUED_AT = 1799990000, EXPIRES = 1900000000, THRESHOLD = 2 };

struct making {
    struct roots *roots;
    const struct p256_key *release;
    const struct p256_key *status;
    struct p256_key root[ROOT_KEYS];
    struct p256_signer signer[ROOT_KEYS];
    roots_signer *how;
};

uint32_t roots_epoch(uint32_t version)
{
    return version >= ROOTS_RELEASE;
}

static void add_key(struct sf_root_draft *d, const struct p256_key *key, enum sf_role role)
{
    d->key[d->key_count++] = (struct sf_root_draft_key){.key = key->public_key, .role = role};
}

/* The root keys are 0, 1, 2; from the second root on 3 in place of 0. */
static void draft(const struct making *m, uint32_t version, struct sf_root_draft *out)
{
    *out = (struct sf_root_draft){
        .version = version,
        .issued_at = ISSUED_AT,
        .expires = EXPIRES,
        .fleet_id = {0xf1},
        .threshold = {THRESHOLD, 1, 1},
        .epoch = {0, roots_epoch(version), version >= ROOTS_LAST},
    };
    add_key(out, &m->root[version > ROOTS_FIRST ? 3 : 0], SF_ROLE_ROOT);
    add_key(out, &m->root[1], SF_ROLE_ROOT);
    add_key(out, &m->root[2], SF_ROLE_ROOT);
    add_key(out, version >= ROOTS_RELEASE ? &m->roots->release : m->release, SF_ROLE_RELEASE);
    add_key(out, version >= ROOTS_LAST ? &m->roots->status : m->status, SF_ROLE_STATUS);
}

/* Signed by 1 and 2, which are root keys in all of them. */
static int make(struct making *m, uint32_t version, int how)
{
    struct sf_root_draft d;
    struct sf_cose_signature signature[THRESHOLD];
    uint8_t payload[SF_ROOT_PAYLOAD_MAX];
    const struct sf_crypto *crypto = crypto_openssl();
    draft(m, version, &d);
    int32_t len = sf_root_encode(&d, crypto, NULL, payload, sizeof(payload));
    if (len < 0) {
        return len;
    }
    const struct sf_bytes body = {payload, (size_t)len};
    for (int i = 0; i < THRESHOLD; i++) {
        const struct sf_signer signer = m->how(&m->signer[i + 1], how);
        const int err = sf_root_sign(body, &signer, crypto, &signature[i]);
        if (err < 0) {
            return err;
        }
    }
    len = sf_root_assemble(body, signature, THRESHOLD, m->roots->file[how][version].data,
                           SF_ROOT_MAX);
    m->roots->file[how][version].len = len < 0 ? 0 : (size_t)len;
    return len < 0 ? len : SF_OK;
}

static int make_keys(struct making *m)
{
    struct roots *r = m->roots;
    int err = p256_key_generate(&r->release);
    if (err == SF_OK) {
        err = p256_key_generate(&r->status);
    }
    if (err == SF_OK) {
        err = p256_signer_init(&r->status_signer, &r->status);
    }
    for (int i = 0; i < ROOT_KEYS && err == SF_OK; i++) {
        err = p256_key_generate(&m->root[i]);
        if (err == SF_OK) {
            err = p256_signer_init(&m->signer[i], &m->root[i]);
        }
    }
    return err;
}

int roots_open(struct roots *r, const struct p256_key *release, const struct p256_key *status,
               roots_signer *signer)
{
    struct making m = {.roots = r, .release = release, .status = status, .how = signer};
    memset(r, 0, sizeof(*r));
    int err = make_keys(&m);
    for (uint32_t version = ROOTS_FIRST; version <= ROOTS_LAST; version++) {
        for (int how = 0; how < 2 && err == SF_OK; how++) {
            err = make(&m, version, how);
        }
    }
    for (int i = 0; i < ROOT_KEYS; i++) {
        p256_signer_release(&m.signer[i]);
        p256_key_release(&m.root[i]);
    }
    return err;
}

void roots_release(struct roots *r)
{
    p256_signer_release(&r->status_signer);
    p256_key_release(&r->status);
    p256_key_release(&r->release);
}
