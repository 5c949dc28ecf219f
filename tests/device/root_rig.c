#include "tests/device/root_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"

void root_rig_status_key(struct root_rig *rr, unsigned index)
{
    p256_signer_release(&rr->r->server.status_signer);
    assert_int_equal(p256_signer_clone(&rr->r->server.status_signer, &rr->kit.p256[index]), SF_OK);
}

void root_rig_release_key(struct root_rig *rr, unsigned index)
{
    struct rig *r = rr->r;
    p256_signer_release(&r->server.release_signer);
    assert_int_equal(p256_signer_clone(&r->server.release_signer, &rr->kit.p256[index]), SF_OK);
    rig_sign(r, &r->v1);
    rig_sign(r, &r->v2);
    rig_sign(r, &r->v3);
}

static void sign_into(struct root_rig *rr, unsigned signers, struct rig_root *out)
{
    out->len = root_kit_sign(&rr->kit, &rr->draft, signers, out->file).len;
}

struct root_rig *root_rig_new(void)
{
    struct root_rig *rr = calloc(1, sizeof(*rr));
    assert_non_null(rr);
    rr->r = rig_new();
    root_kit_init(&rr->kit);
    root_kit_draft(&rr->kit, &rr->draft);
    rr->draft.issued_at -= 1000;
    sign_into(rr, ROOT_RIG_ROOTS, &rr->firmware);
    rr->trust = (struct sf_trust_root){
        .walk = &sf_walk_roots, .file = rr->firmware.file, .len = rr->firmware.len};
    rr->r->config.root = &rr->trust;
    memset(rr->r->config.release_key, 0, SF_P256_KEY_SIZE);
    memset(rr->r->config.status_key, 0, SF_P256_KEY_SIZE);
    rr->r->server.root_version = 1;
    root_rig_status_key(rr, ROOT_KIT_STATUS);
    root_rig_release_key(rr, ROOT_KIT_RELEASE);
    return rr;
}

void root_rig_free(struct root_rig *rr)
{
    root_kit_release(&rr->kit);
    rig_free(rr->r);
    free(rr);
}

void root_rig_publish(struct root_rig *rr, unsigned signers)
{
    struct rig_server *s = &rr->r->server;
    rr->draft.version++;
    assert_true(rr->draft.version < RIG_ROOTS);
    sign_into(rr, signers, &s->root[rr->draft.version]);
    s->root_version = rr->draft.version;
    s->epoch = rr->draft.epoch[SF_ROLE_RELEASE];
}

void root_rig_rest(struct root_rig *rr)
{
    rig_boot(rr->r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
}

uint32_t root_rig_stored(struct root_rig *rr)
{
    uint8_t data[SF_ROOT_RECORD_MAX];
    struct sf_root root;
    const struct sf_store *store = &rr->r->roots.ops;
    const int32_t len = store->get(store->ctx, SF_RECORD_ROOT, data, sizeof(data));
    if (len < 0) {
        return 0;
    }
    const struct sf_bytes payload = {data + 4, (size_t)len - SF_RECORD_OVERHEAD};
    assert_int_equal(sf_root_decode(payload, crypto_openssl(), &root, NULL), SF_OK);
    return root.version;
}

void root_rig_swap_key(struct root_rig *rr, enum sf_role role, unsigned from, unsigned to)
{
    root_kit_remove(&rr->kit, &rr->draft, from);
    root_kit_add(&rr->kit, &rr->draft, role, to);
}

int root_rig_last_error(const struct root_rig *rr)
{
    return sf_engine_view(&rr->r->engine).last_error;
}

uint32_t root_rig_trusted(const struct root_rig *rr)
{
    return sf_engine_view(&rr->r->engine).root_version;
}
