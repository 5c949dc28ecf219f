/* The whole engine against a peer that says anything: good answers, changed ones, noise, in any
 * pieces and any order. Signatures count as right, so everything behind them is reached. The
 * running slot is never written, another slot never named without a trial record, and the engine
 * always goes on. */
#include <stdlib.h>
#include <string.h>

#include "device/records.h"
#include "formats/crc32.h"
#include "formats/manifest.h"
#include "surefoot/surefoot.h"
#include "tests/fuzz/accept_all.h"

#ifndef ENGINE_FUZZ_SOURCE /* engine_static_fuzz.c is this file with another one */
#define ENGINE_FUZZ_SOURCE NULL
#endif
#ifndef ENGINE_FUZZ_SECURE_BOOT /* and engine_secure_boot_fuzz.c with one */
#define ENGINE_FUZZ_SECURE_BOOT    NULL
#define ENGINE_FUZZ_IMAGE_SIZE     9000
#define ENGINE_FUZZ_SIGN_IMAGE(to) ((void)(to))
#endif

enum {
    FLASH_SIZE = 0x10000,
    OTADATA = 0x1000,
    SLOT_0 = 0x4000,
    SLOT_SIZE = 0x6000,
    SLOT_1 = SLOT_0 + SLOT_SIZE,
    IMAGE_SIZE = ENGINE_FUZZ_IMAGE_SIZE,
    ACTIONS_MAX = 400,
};

static uint8_t flash_bytes[FLASH_SIZE];
static struct {
    uint8_t bytes[SF_RECORD_MAX];
    size_t len;
} records[SF_RECORD_COUNT];
static uint8_t image[IMAGE_SIZE];
static int running_slot;

/* ---- the device ---- */

static int flash_read(void *ctx, uint32_t address, void *out, size_t len)
{
    (void)ctx;
    if (address > FLASH_SIZE || len > FLASH_SIZE - address) {
        abort();
    }
    memcpy(out, flash_bytes + address, len);
    return SF_OK;
}

static void check_change(uint32_t address, size_t len)
{
    const uint32_t running = running_slot == 0 ? SLOT_0 : SLOT_1;
    if (address > FLASH_SIZE || len > FLASH_SIZE - address ||
        (address < running + SLOT_SIZE && address + len > running)) {
        abort();
    }
}

/* 1 if the first half of an otadata entry names the running slot: a repair needs no trial. */
static int names_running(const uint8_t *half)
{
    return (half[0] - 1) % 2 == running_slot;
}

static int flash_write(void *ctx, uint32_t address, const void *data, size_t len)
{
    (void)ctx;
    check_change(address, len);
    if (address < SLOT_0 && records[SF_RECORD_TRIAL].len == 0 &&
        !(address % SF_OTADATA_SECTOR_SIZE == 0 ? names_running(data) : 1)) {
        abort();
    }
    memcpy(flash_bytes + address, data, len);
    return SF_OK;
}

static int flash_erase(void *ctx, uint32_t address, size_t len)
{
    (void)ctx;
    check_change(address, len);
    memset(flash_bytes + address, 0xff, len);
    return SF_OK;
}

static int32_t store_get(void *ctx, enum sf_record key, void *out, size_t size)
{
    (void)ctx;
    if (records[key].len == 0) {
        return SF_ERR_NOTFOUND;
    }
    const size_t len = records[key].len < size ? records[key].len : size;
    memcpy(out, records[key].bytes, len);
    return (int32_t)len;
}

static int store_set(void *ctx, enum sf_record key, const void *data, size_t len)
{
    (void)ctx;
    if (len > SF_RECORD_MAX) {
        abort();
    }
    if (len > 0) {
        memcpy(records[key].bytes, data, len);
    }
    records[key].len = len;
    return SF_OK;
}

static enum sf_reset_reason reset_reason(void *ctx)
{
    return *(const enum sf_reset_reason *)ctx;
}

/* Zeros for what is short, ones for an image: so that the running one and a new one differ. */
static int count_feed(void *ctx, struct sf_sha256 *hash, const void *data, size_t len)
{
    hash->opaque[1] += len;
    return accept_feed(ctx, hash, data, len);
}

static int count_end(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SHA256_SIZE])
{
    (void)ctx;
    if (digest != NULL) {
        memset(digest, hash->opaque[1] == IMAGE_SIZE ? 1 : 0, SF_SHA256_SIZE);
    }
    return SF_OK;
}

static enum sf_self_test_result self_test(void *ctx)
{
    return *(const enum sf_self_test_result *)ctx;
}

/* ---- the input ---- */

struct input {
    const uint8_t *data;
    size_t len;
};

static uint8_t take(struct input *in)
{
    if (in->len == 0) {
        return 0;
    }
    in->len--;
    return *in->data++;
}

/* ---- the peer ---- */

/* Of the new image. The length, which no good manifest exceeds. */
static int32_t good_manifest(struct input *in, const struct sf_crypto *crypto,
                             uint8_t out[SF_ENVELOPE_MAX], struct sf_manifest *m)
{
    *m = (struct sf_manifest){.seq = take(in), .image_size = IMAGE_SIZE, .version_count = 3};
    memset(m->image_digest, 1, SF_SHA256_SIZE);
    memcpy(m->uri, "/a", 3);
    const int32_t len = sf_manifest_sign(m, &accept_signer, crypto, out, SF_ENVELOPE_MAX);
    if (len < 0) {
        abort();
    }
    return len;
}

static size_t good_answer(struct input *in, const struct sf_crypto *crypto,
                          uint8_t out[SF_CHECKIN_ANSWER_MAX])
{
    uint8_t envelope[SF_ENVELOPE_MAX];
    uint8_t bytes[SF_STATUS_MAX];
    struct sf_manifest m;
    const int32_t manifest_len = good_manifest(in, crypto, envelope, &m);
    struct sf_status s = {
        .counter = take(in), .time = take(in), .expires = 1000, .action = take(in) % 4};
    s.next_checkin_s = take(in);
    s.outcome_ack = take(in);
    s.has_target = 1;
    s.target.seq = m.seq;
    s.target.manifest_size = (uint32_t)manifest_len;
    memset(s.target.image_digest, 1, SF_SHA256_SIZE);
    const int32_t status_len = sf_status_sign(&s, &accept_signer, crypto, bytes, sizeof(bytes));
    if (status_len < 0) {
        abort();
    }
    const struct sf_checkin_answer a = {{bytes, (size_t)status_len},
                                        {envelope, (size_t)manifest_len}};
    const int32_t len = sf_checkin_answer_encode(&a, out, SF_CHECKIN_ANSWER_MAX);
    if (len < 0) {
        abort();
    }
    return (size_t)len;
}

static int feed(struct sf_engine *e, const uint8_t *data, size_t len, uint64_t now)
{
    while (len > 0) {
        const int32_t n = sf_engine_response_body(e, data, len, now);
        if (n < 0) {
            return (int)n;
        }
        if (n == 0 || (size_t)n > len) {
            abort();
        }
        data += n;
        len -= (size_t)n;
    }
    return SF_OK;
}

static void run_request(struct sf_engine *e, const struct sf_config *config,
                        const struct sf_request *request, struct input *in, uint64_t *now)
{
    static const int statuses[] = {200, 200, 200, 200, 206, 202, 204, 304, 401, 404, 416, 429, 503};
    static uint8_t body[SF_CHECKIN_ANSWER_MAX];
    const uint8_t control = take(in);
    struct sf_response_head head = {
        .status = statuses[take(in) % (sizeof(statuses) / sizeof(statuses[0]))],
        .content_len = -1,
        .range_start = request->range_offset,
        .range_total = (control & 1) != 0 ? IMAGE_SIZE : -1,
        .etag = (control & 2) != 0 ? "\"1\"" : "",
        .retry_after_s = (control & 4) != 0 ? take(in) : 0,
    };
    const uint8_t *data = body;
    size_t len = 0;
    const int is_manifest = strncmp(request->path, "/manifests/", 11) == 0;
    if (request->method == SF_METHOD_GET && !is_manifest) {
        if (request->range_offset >= IMAGE_SIZE) {
            abort();
        }
        const uint32_t from = head.status == 206 ? request->range_offset : 0;
        data = image + from;
        len = IMAGE_SIZE - from;
        if (head.status == 200 && request->range_offset > 0 && (control & 8) != 0) {
            head.status = 206;
            data = image + request->range_offset;
            len = IMAGE_SIZE - request->range_offset;
        }
    } else {
        struct sf_manifest m;
        len = is_manifest ? (size_t)good_manifest(in, config->crypto, body, &m)
                          : good_answer(in, config->crypto, body);
        if ((control & 16) != 0) {
            body[(take(in) * 256U + take(in)) % len] ^= take(in);
        }
    }
    *now += take(in) * 16U;
    (void)sf_engine_next(e, *now);
    int err = sf_engine_request_check(e, *now);
    if (err == SF_OK) {
        err = sf_engine_response_head(e, &head, *now);
    }
    if (err == SF_OK) {
        const size_t part = (control & 32) != 0 ? len * take(in) / 256 : len;
        err = feed(e, data, part, *now);
    }
    sf_engine_response_end(e, err == SF_OK && (control & 64) != 0 ? SF_ERR_CLOSED : err, *now);
}

static void make_image(void)
{
    uint8_t *record = image + SF_IMAGE_RECORD_OFFSET;
    memset(image, 0x5a, sizeof(image));
    memset(image, 0, SF_IMAGE_HEAD_SIZE);
    image[0] = SF_IMAGE_MAGIC;
    image[1] = 1;
    image[12] = SF_CHIP_ESP32C3;
    memcpy(record, "SFUR\1\0\1\0", 8);
    const uint32_t crc = sf_crc32(0, record, 60);
    for (unsigned i = 0; i < 4; i++) {
        record[60 + i] = (uint8_t)(crc >> (8 * i));
    }
    ENGINE_FUZZ_SIGN_IMAGE(image);
}

/* A bootloader without rollback, or one with it. */
static void boot(struct sf_engine *e, struct sf_config *config, uint8_t control, uint64_t now)
{
    struct sf_otadata_entry entry[2];
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *at = flash_bytes + OTADATA + (size_t)i * SF_OTADATA_SECTOR_SIZE;
        sf_otadata_decode(at, &entry[i]);
        if ((control & 1) != 0 && entry[i].ota_state == SF_OTA_PENDING_VERIFY) {
            entry[i].ota_state = SF_OTA_ABORTED;
            sf_otadata_encode(&entry[i], at);
        }
    }
    const int active = sf_otadata_active(entry);
    running_slot = active < 0 ? 0 : (int)sf_otadata_slot(&entry[active], 2);
    if ((control & 1) != 0 && active >= 0 && entry[active].ota_state == SF_OTA_NEW) {
        entry[active].ota_state = SF_OTA_PENDING_VERIFY;
        sf_otadata_encode(&entry[active],
                          flash_bytes + OTADATA + (size_t)active * SF_OTADATA_SECTOR_SIZE);
    }
    if ((control & 2) != 0) {
        running_slot = 0; /* fallback */
    }
    config->running_slot = running_slot;
    if (sf_boot_early(config) == SF_BOOT_REBOOT) {
        sf_otadata_decode(flash_bytes + OTADATA, &entry[0]);
        sf_otadata_decode(flash_bytes + OTADATA + SF_OTADATA_SECTOR_SIZE, &entry[1]);
        const int now_active = sf_otadata_active(entry);
        running_slot = now_active < 0 ? 0 : (int)sf_otadata_slot(&entry[now_active], 2);
        config->running_slot = running_slot;
    }
    sf_engine_init(e, config, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    enum sf_reset_reason reason = SF_RESET_POWER_ON;
    enum sf_self_test_result result = SF_SELF_TEST_PASS;
    const struct sf_flash flash = {
        .read = flash_read, .write = flash_write, .erase = flash_erase, .write_size = 4};
    const struct sf_store store = {.get = store_get, .set = store_set};
    const struct sf_platform platform = {.ctx = &reason, .reset_reason = reset_reason};
    const struct sf_self_test test = {.name = "one", .poll = self_test, .ctx = &result};
    struct sf_crypto crypto = accept_all;
    static union sf_sector_buffer buffer;
    static struct sf_engine engine;
    struct sf_config config = {.flash = &flash,
                               .store = &store,
                               .crypto = &crypto,
                               .platform = &platform,
                               .sector_buffer = &buffer,
                               .slot = {{SLOT_0, SLOT_SIZE}, {SLOT_1, SLOT_SIZE}},
                               .slot_count = 2,
                               .otadata_offset = OTADATA,
                               .device_id = "fuzz",
                               .chip_id = SF_CHIP_ESP32C3,
                               .enrol_token = "t",
                               .source = ENGINE_FUZZ_SOURCE,
                               .policy = SF_POLICY_ALLOW_OFFLINE,
                               .secure_boot = ENGINE_FUZZ_SECURE_BOOT,
                               .self_test = &test,
                               .self_test_count = 1};
    uint64_t now = 0;

    crypto.sha256_feed = count_feed;
    crypto.sha256_end = count_end;
    make_image();
    memset(flash_bytes, 0xff, sizeof(flash_bytes));
    memset(records, 0, sizeof(records));
    const struct sf_otadata_entry first = sf_otadata_make(1, SF_OTA_VALID);
    sf_otadata_encode(&first, flash_bytes + OTADATA);
    boot(&engine, &config, 0, now);
    for (unsigned i = 0; i < ACTIONS_MAX && in.len > 0; i++) {
        const struct sf_action a = sf_engine_next(&engine, now);
        switch (a.kind) {
        case SF_ACTION_WAIT:
            now = a.wait_until_ms;
            break;
        case SF_ACTION_WORK:
            sf_engine_work(&engine, now);
            break;
        case SF_ACTION_REQUEST:
            run_request(&engine, &config, &a.request, &in, &now);
            break;
        case SF_ACTION_REBOOT:
            reason = (enum sf_reset_reason)(take(&in) % 8);
            result = (enum sf_self_test_result)(take(&in) % 3);
            boot(&engine, &config, take(&in), now);
            break;
        }
    }
    return 0;
}
