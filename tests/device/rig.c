#include "tests/device/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "ports/host/crypto_psa.h"
#include "tests/device/server.h"

static const uint8_t class_uuid[SF_UUID_SIZE] = {0x5a, 0x11};

/* xorshift: the same waits in every run, and a test can make it fail. */
static int rig_random(void *ctx, uint8_t *out, size_t len)
{
    struct rig *r = ctx;
    if (r->random_fails) {
        return SF_ERR_CRYPTO;
    }
    for (size_t i = 0; i < len; i++) {
        r->random ^= r->random << 13;
        r->random ^= r->random >> 7;
        r->random ^= r->random << 17;
        out[i] = (uint8_t)(r->random >> 24);
    }
    return SF_OK;
}

static enum sf_reset_reason rig_reset_reason(void *ctx)
{
    const struct rig *r = ctx;
    return r->reset_reason;
}

static int rig_slot_bootable(void *ctx, int slot)
{
    (void)slot;
    const struct rig *r = ctx;
    return r->not_bootable ? SF_ERR_HASH : SF_OK;
}

static int rig_may_update_now(void *ctx)
{
    const struct rig *r = ctx;
    return r->not_now ? SF_ERR_NOT_NOW : SF_OK;
}

static uint32_t rig_efuse(void *ctx)
{
    const struct rig *r = ctx;
    return r->efuse;
}

static void rig_trial_deadline(void *ctx, uint32_t deadline_ms)
{
    struct rig *r = ctx;
    r->deadline_armed_ms = deadline_ms;
}

static int test_start(void *ctx)
{
    struct rig *r = ctx;
    r->test_started++;
    return SF_OK;
}

static enum sf_self_test_result poll_first(void *ctx)
{
    const struct rig *r = ctx;
    return r->test_result[0];
}

static enum sf_self_test_result poll_second(void *ctx)
{
    const struct rig *r = ctx;
    return r->test_result[1];
}

static void fill_config(struct rig *r)
{
    r->test[0] =
        (struct sf_self_test){.name = "network", .start = test_start, .poll = poll_first, .ctx = r};
    r->test[1] = (struct sf_self_test){
        .name = "sensors", .poll = poll_second, .ctx = r, .deadline_ms = 120000};
    r->test_result[0] = SF_SELF_TEST_PASS;
    r->test_result[1] = SF_SELF_TEST_PASS;
    r->platform = (struct sf_platform){
        .ctx = r,
        .reset_reason = rig_reset_reason,
        .slot_bootable = rig_slot_bootable,
        .may_update_now = rig_may_update_now,
        .efuse_secure_version = rig_efuse,
        .trial_deadline = rig_trial_deadline,
    };
    r->config = (struct sf_config){
        .flash = &r->chip.ops,
        .store = &r->roots.ops,
        .crypto = &r->crypto,
        .platform = &r->platform,
        .sector_buffer = &r->buffer,
        .slot = {{RIG_SLOT_0, RIG_SLOT_SIZE}, {RIG_SLOT_1, RIG_SLOT_SIZE}},
        .slot_count = 2,
        .otadata_offset = RIG_OTADATA,
        .device_id = "lamp-0001",
        .chip_id = SF_CHIP_ESP32C3,
        .chip_revision = 3,
        .hw_revision = "B",
        .version = "1.0.0",
        .enrol_token = "token-of-the-lamp",
        .self_test = r->test,
        .self_test_count = 2,
    };
    memcpy(r->config.class_uuid, class_uuid, SF_UUID_SIZE);
    memcpy(r->config.release_key, r->server.release_key.public_key.xy, SF_P256_KEY_SIZE);
    memcpy(r->config.status_key, r->server.status_key.public_key.xy, SF_P256_KEY_SIZE);
}

void rig_seal(struct rig *r, struct rig_release *out)
{
    static const char digits[] = "0123456789abcdef";
    assert_int_equal(sf_sha256(crypto_openssl(), out->image, out->image_len, out->digest), SF_OK);
    out->manifest.image_size = (uint32_t)out->image_len;
    memcpy(out->manifest.image_digest, out->digest, SF_SHA256_SIZE);
    char *at = out->manifest.uri + snprintf(out->manifest.uri, 12, "/artifacts/");
    for (size_t i = 0; i < SF_SHA256_SIZE; i++) {
        *at++ = digits[out->digest[i] >> 4];
        *at++ = digits[out->digest[i] & 15];
    }
    *at = '\0';
    rig_sign(r, out);
}

void rig_make(struct rig *r, struct rig_release *out, const struct esp_image_spec *spec,
              uint64_t seq)
{
    memset(out, 0, sizeof(*out));
    out->image_len = esp_image_build(spec, out->image, sizeof(out->image));
    out->manifest = (struct sf_manifest){.seq = seq, .version = {1}, .version_count = 3};
    memcpy(out->manifest.class_uuid, class_uuid, SF_UUID_SIZE);
    rig_seal(r, out);
}

void rig_flash(struct rig *r, uint32_t address, const struct rig_release *release)
{
    memset(r->chip.cells + address, 0xff, RIG_SLOT_SIZE);
    memcpy(r->chip.cells + address, release->image, release->image_len);
}

static void put_table(struct rig *r)
{
    static struct sf_partition_table table;
    table = (struct sf_partition_table){
        .entry = {{.offset = RIG_OTADATA, .size = 0x2000, .type = 1, .subtype = 0, .label = "ota"}},
        .count = 1,
    };
    for (unsigned i = 0; i < r->config.slot_count; i++) {
        table.entry[table.count] = (struct sf_partition){.offset = r->config.slot[i].offset,
                                                         .size = RIG_SLOT_SIZE,
                                                         .subtype = (uint8_t)(0x10 + i)};
        snprintf(table.entry[table.count++].label, sizeof(table.entry[0].label), "ota_%u", i);
    }
    if (r->config.factory.size != 0) {
        table.entry[table.count++] = (struct sf_partition){
            .offset = RIG_FACTORY, .size = r->config.factory.size, .label = "factory"};
    }
    assert_int_equal(sf_partition_table_encode(&table, r->chip.cells + SF_PARTITION_TABLE_OFFSET),
                     SF_OK);
}

struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    assert_int_equal(sf_host_flash_open_memory(&r->chip, 0x100000, -1), SF_OK);
    assert_int_equal(
        sf_host_flash_open_memory(&r->nvs, SF_HOST_STORE_SIZE + SF_HOST_ROOT_STORE_SIZE, -1),
        SF_OK);
    assert_int_equal(crypto_psa_init(&r->psa), SF_OK);
    r->crypto = r->psa;
    r->crypto.ctx = r;
    r->crypto.random = rig_random;
    r->random = 88172645463325252U;
    r->now_ms = 1000;
    rig_server_open(&r->server);
    fill_config(r);
    rig_make(r, &r->v1, &(struct esp_image_spec){.seed = 1, .size = RIG_SMALL}, 2);
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 2, .size = RIG_LARGE, .version = "1.1.0"},
             4);
    rig_make(r, &r->v3, &(struct esp_image_spec){.seed = 3, .size = RIG_SMALL, .version = "1.2.0"},
             6);
    rig_flash(r, RIG_SLOT_0, &r->v1);
    return r;
}

void rig_free(struct rig *r)
{
    rig_server_close(&r->server);
    sf_host_flash_release(&r->chip);
    sf_host_flash_release(&r->nvs);
    free(r);
}

void rig_otadata(struct rig *r, struct sf_otadata_entry entry[2])
{
    sf_otadata_decode(r->chip.cells + RIG_OTADATA, &entry[0]);
    sf_otadata_decode(r->chip.cells + RIG_OTADATA + SF_OTADATA_SECTOR_SIZE, &entry[1]);
}

void rig_put_otadata(struct rig *r, unsigned sector, uint32_t ota_seq, uint32_t ota_state)
{
    const struct sf_otadata_entry entry = sf_otadata_make(ota_seq, ota_state);
    sf_otadata_encode(&entry,
                      r->chip.cells + RIG_OTADATA + (size_t)sector * SF_OTADATA_SECTOR_SIZE);
}

static void run_bootloader(struct rig *r)
{
    struct sf_boot_decision decision;
    const struct sf_bootloader b = {
        .ctx = r->chip.ops.ctx,
        .read = r->chip.ops.read,
        .crypto = &r->psa,
        .flash_size = r->chip.size_bytes,
        .table_offset = SF_PARTITION_TABLE_OFFSET,
        .chip_id = r->config.chip_id,
        .chip_revision = r->config.chip_revision,
        .rollback = !r->without_rollback,
        .anti_rollback = (uint8_t)r->anti_rollback,
        .efuse_secure_version = r->efuse,
    };
    put_table(r);
    assert_int_equal(sf_bootloader_run(&b, &r->work, &decision, NULL), SF_OK);
    assert_true(decision.slot != SF_BOOT_NONE);
    for (unsigned i = 0; i < decision.write_count; i++) {
        uint8_t *at =
            r->chip.cells + RIG_OTADATA + (size_t)decision.write[i].sector * SF_SECTOR_SIZE;
        memset(at, 0xff, SF_SECTOR_SIZE);
        memcpy(at, decision.write[i].entry, SF_OTADATA_ENTRY_SIZE);
    }
    r->efuse = decision.efuse_secure_version;
    r->config.running_slot = decision.slot;
}

void rig_third_slot(struct rig *r)
{
    r->config.slot[2] = (struct sf_slot_map){RIG_SLOT_2, RIG_SLOT_SIZE};
    r->config.slot_count = 3;
}

void rig_boot(struct rig *r, enum sf_reset_reason reason)
{
    for (unsigned i = 0; i < RIG_EARLY_REBOOTS; i++) {
        sf_host_flash_power_on(&r->chip);
        sf_host_flash_power_on(&r->nvs);
        assert_int_equal(sf_host_store_open(&r->store, &r->nvs.ops, 0), SF_OK);
        assert_int_equal(
            sf_host_root_store_open(&r->roots, &r->store.ops, &r->nvs.ops, SF_HOST_STORE_SIZE),
            SF_OK);
        memset(&r->engine, 0xa5, sizeof(r->engine)); /* a reset forgets */
        memset(&r->buffer, 0xa5, sizeof(r->buffer));
        r->reset_reason = reason;
        r->deadline_armed_ms = 0;
        r->test_started = 0;
        run_bootloader(r);
        r->early = sf_boot_early(&r->config);
        if (r->early != SF_BOOT_REBOOT) {
            sf_engine_init(&r->engine, &r->config, r->now_ms);
            return;
        }
        reason = SF_RESET_SOFTWARE;
    }
    fail_msg("the early hook asks for a reboot again and again");
}

/* Hands over the body as TCP would: in pieces, with time between them. */
static int send_body(struct rig *r, struct sf_engine *e, const struct rig_reply *reply)
{
    static const uint8_t zeros[4096];
    for (size_t at = 0; at < reply->body_len;) {
        const size_t left = reply->body_len - at;
        const size_t len = left < reply->chunk_len ? left : reply->chunk_len;
        const uint8_t *data = reply->body == NULL ? zeros : reply->body + at;
        const uint64_t arrives = r->now_ms + reply->chunk_ms;
        for (;;) {
            const struct sf_action a = sf_engine_next(e, r->now_ms);
            assert_int_equal(a.kind, SF_ACTION_REQUEST);
            if (a.request.deadline_ms > arrives) {
                break;
            }
            r->now_ms = a.request.deadline_ms;
            const int err = sf_engine_request_check(e, r->now_ms);
            if (err != SF_OK) {
                return err;
            }
        }
        r->now_ms = arrives;
        const int32_t taken = sf_engine_response_body(e, data, len, r->now_ms);
        if (taken < 0) {
            return (int)taken;
        }
        assert_in_range(taken, 1, len);
        at += (size_t)taken;
    }
    return reply->end;
}

void rig_request(struct rig *r, struct sf_engine *e, const struct sf_request *request)
{
    assert_true(strlen(request->path) <= 127);
    rig_server_answer(r, request, &r->reply);
    int err = r->reply.refused;
    if (err == SF_OK) {
        err = sf_engine_response_head(e, &r->reply.head, r->now_ms);
    }
    if (err == SF_OK) {
        err = send_body(r, e, &r->reply);
    }
    /* A connection that stays silent is ended by the engine's deadlines alone. */
    while (err == SF_ERR_STALLED && r->reply.end == SF_ERR_STALLED) {
        const struct sf_action a = sf_engine_next(e, r->now_ms);
        r->now_ms = a.request.deadline_ms > r->now_ms ? a.request.deadline_ms : r->now_ms;
        const int check = sf_engine_request_check(e, r->now_ms);
        if (check != SF_OK) {
            err = check;
            break;
        }
    }
    sf_engine_response_end(e, err, r->now_ms);
}

enum sf_action_kind rig_step(struct rig *r)
{
    const struct sf_action a = sf_engine_next(&r->engine, r->now_ms);
    const struct sf_action again = sf_engine_next(&r->engine, r->now_ms);
    assert_int_equal(a.kind, again.kind);
    switch (a.kind) {
    case SF_ACTION_WAIT:
        r->last_wait_ms = a.wait_until_ms - r->now_ms;
        r->now_ms = a.wait_until_ms;
        break;
    case SF_ACTION_WORK:
        sf_engine_work(&r->engine, r->now_ms);
        break;
    case SF_ACTION_REQUEST:
        rig_request(r, &r->engine, &a.request);
        break;
    case SF_ACTION_REBOOT:
        break;
    }
    return a.kind;
}

enum sf_action_kind rig_settle(struct rig *r)
{
    for (unsigned i = 0; i < 200000; i++) {
        const struct sf_action a = sf_engine_next(&r->engine, r->now_ms);
        if (a.kind == SF_ACTION_REBOOT ||
            (a.kind == SF_ACTION_WAIT && sf_engine_may_sleep(&r->engine) &&
             a.wait_until_ms > r->now_ms)) {
            return a.kind;
        }
        (void)rig_step(r);
    }
    fail_msg("the engine does not come to rest");
    return SF_ACTION_WAIT;
}

enum sf_action_kind rig_settle_again(struct rig *r)
{
    assert_int_equal(rig_step(r), SF_ACTION_WAIT);
    return rig_settle(r);
}

void rig_target(struct rig *r, const struct rig_release *release)
{
    r->server.target = release;
    r->server.action = SF_STATUS_INSTALL;
    r->server.counter++;
}

void rig_install(struct rig *r, const struct rig_release *release)
{
    rig_target(r, release);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
}

void rig_static_tree(struct rig *r)
{
    r->config.source = &sf_static_tree;
    r->config.policy = SF_POLICY_ALLOW_OFFLINE;
    r->config.device_id = "";
    r->config.enrol_token = NULL;
    memset(r->config.status_key, 0, sizeof(r->config.status_key));
    r->server.target = &r->v1;
}

enum sf_action_kind rig_show(struct rig *r, const struct rig_release *release)
{
    r->server.target = release;
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    return rig_settle(r);
}

void rig_show_into_trial(struct rig *r, const struct rig_release *release)
{
    assert_int_equal(rig_show(r, release), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_trial(r).open, 1);
}

void rig_show_confirm(struct rig *r, const struct rig_release *release)
{
    rig_show_into_trial(r, release);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_trial(r).open, 0);
    assert_memory_equal(rig_core(r)->running_digest, release->digest, SF_SHA256_SIZE);
}

void rig_show_in_vain(struct rig *r, const struct rig_release *release, int err)
{
    const uint64_t operations = r->chip.op_count;
    const unsigned downloads = r->server.downloads;
    assert_int_equal(rig_show(r, release), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).last_error, err);
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(r->server.downloads, downloads);
    assert_int_equal(sf_engine_view(&r->engine).update_due, 0);
}

const struct sf_core *rig_core(const struct rig *r)
{
    return (const struct sf_core *)(const void *)&r->engine;
}

unsigned rig_slot_runs(const struct rig *r)
{
    return (unsigned)r->config.running_slot;
}

struct sf_record_trial rig_trial(struct rig *r)
{
    struct sf_record_trial t;
    const int err = sf_record_load(&r->store.ops, SF_RECORD_TRIAL, &t);
    assert_true(err == SF_OK || err == SF_ERR_NOTFOUND);
    return t;
}
