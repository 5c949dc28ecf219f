#include "sim/vesp32.h"

#include <string.h>

/* A virtual ESP32. The order at a reset is the real one: bootloader (reads and writes otadata),
 * early hook, application; where the behaviour record lets the image die, it dies there. */

enum {
    WATCHDOG_MS = 5000,    /* ESP-IDF's task watchdog by default */
    RESET_MS = 300,        /* ROM and second-stage bootloader, about */
    CRASH_AT_BOOT_MS = 50, /* from the application's start to its crash */
    SELF_TEST_MS = 10000,  /* the sensor self-test's duration */
    SELF_TEST_DEADLINE_MS = 60000,
    STEPS_A_RUN = 8, /* of the engine: at most a flash sector each, so that others get their turn */
};

#define NEVER UINT64_MAX

/* ---- the platform as the engine sees it ---- */

static enum sf_reset_reason platform_reset_reason(void *ctx)
{
    const struct vesp32 *v = ctx;
    return v->reset_reason;
}

static uint32_t platform_efuse(void *ctx)
{
    const struct vesp32 *v = ctx;
    return v->efuse_secure_version;
}

static int efuse_keys(void *ctx, struct sf_sbv2_keys *out)
{
    const struct vesp32 *v = ctx;
    const struct vesp32_secure_boot *efuse = &v->efuse_secure_boot;
    *out = (struct sf_sbv2_keys){.digest_size = efuse->digest_size,
                                 .block_count = efuse->block_count,
                                 .enabled = efuse->enabled};
    for (unsigned i = 0; i < SF_SBV2_KEY_MAX; i++) {
        if ((efuse->burnt & ~efuse->revoked & 1U << i) != 0) {
            memcpy(out->digest[out->count++], efuse->digest[i], SF_SHA256_SIZE);
        }
    }
    return SF_OK;
}

/* What the bootloader trusts; `keys` is its memory. */
static struct sf_sbv2_trust efuse_trust(struct vesp32 *v, struct sf_sbv2_keys *keys)
{
    (void)efuse_keys(v, keys); /* cannot fail */
    return (struct sf_sbv2_trust){
        .crypto = v->options.crypto, .verifier = v->options.verifier, .keys = keys};
}

static int platform_slot_bootable(void *ctx, int slot)
{
    struct vesp32 *v = ctx;
    struct sf_sbv2_keys keys;
    const struct sf_sbv2_trust trust = efuse_trust(v, &keys);
    const struct sf_slot_map *map = slot == SF_BOOT_FACTORY ? &v->config.factory
                                    : slot >= 0 && (unsigned)slot < v->config.slot_count
                                        ? &v->config.slot[slot]
                                        : NULL;
    if (!map || map->size == 0) {
        return SF_ERR_NO_SLOT;
    }
    struct sf_verdict_input in = {.ctx = v->medium->ctx,
                                  .read = v->medium->read,
                                  .crypto = v->options.crypto,
                                  .address = map->offset,
                                  .size = map->size,
                                  .chip_id = v->config.chip_id,
                                  .chip_revision = v->config.chip_revision,
                                  .secure_boot = &trust};
    return sf_verdict_image(&in, &v->options.work->verdict);
}

static void platform_trial_deadline(void *ctx, uint32_t deadline_ms)
{
    struct vesp32 *v = ctx;
    v->trial_watchdog_at_ms = deadline_ms > 0 ? v->now_ms + deadline_ms : NEVER;
}

static enum sf_self_test_result poll_sensors(void *ctx)
{
    const struct vesp32 *v = ctx;
    if (v->now_ms - v->boot_at_ms < SELF_TEST_MS ||
        v->behaviour.kind == SF_BEHAVIOUR_SELF_TEST_HANGS) {
        return SF_SELF_TEST_PENDING;
    }
    return v->behaviour.kind == SF_BEHAVIOUR_SELF_TEST_FAILS ? SF_SELF_TEST_FAIL
                                                             : SF_SELF_TEST_PASS;
}

/* ---- resets ---- */

static void reset(struct vesp32 *v, enum sf_reset_reason reason)
{
    v->power = VESP32_IN_RESET;
    v->reset_reason = reason;
    v->ready_at_ms = v->now_ms + RESET_MS;
    v->crash_at_ms = NEVER;
    v->hang_from_ms = NEVER;
    v->trial_watchdog_at_ms = NEVER;
    v->request_open = 0;
    v->request_serial++;
}

static int write_otadata(const struct vesp32 *v, uint32_t otadata_offset,
                         const struct sf_boot_write *write)
{
    const struct sf_flash *flash = v->medium;
    uint32_t address = otadata_offset + write->sector * SF_OTADATA_SECTOR_SIZE;
    int err = flash->erase(flash->ctx, address, SF_OTADATA_SECTOR_SIZE);
    if (err < 0) {
        return err;
    }
    return flash->write(flash->ctx, address, write->entry, sizeof(write->entry));
}

/* The bootloader's last act before it loads the image. */
static int burn_efuse(struct vesp32 *v, uint32_t version)
{
    int err = SF_OK;
    if (version != v->efuse_secure_version && v->options.burn) {
        err = v->options.burn(v->options.burn_ctx, v->efuse_secure_version, &version);
    }
    v->efuse_secure_version = version;
    return err;
}

/* The second-stage bootloader. Fills options.work and `decision`. */
static int run_bootloader(struct vesp32 *v, struct sf_boot_decision *decision)
{
    struct sf_sbv2_keys keys;
    const struct sf_sbv2_trust trust = efuse_trust(v, &keys);
    struct sf_bootloader bootloader = {.ctx = v->medium->ctx,
                                       .read = v->medium->read,
                                       .crypto = v->options.crypto,
                                       .flash_size = v->flash->size_bytes,
                                       .table_offset = SF_PARTITION_TABLE_OFFSET,
                                       .chip_id = v->options.firmware.chip_id,
                                       .chip_revision = v->options.firmware.chip_revision,
                                       .rollback = v->options.rollback,
                                       .anti_rollback = v->options.anti_rollback,
                                       .efuse_secure_version = v->efuse_secure_version,
                                       .secure_boot = &trust};
    struct sf_diag diag;
    int err = sf_bootloader_run(&bootloader, v->options.work, decision, &diag);
    for (unsigned i = 0; i < decision->write_count && err == SF_OK; i++) {
        err = write_otadata(v, v->options.work->otadata_offset, &decision->write[i]);
        err = v->flash->has_power ? SF_OK : err; /* it logs what failed, and boots all the same */
    }
    if (err == SF_OK) {
        err = burn_efuse(v, decision->efuse_secure_version);
    }
    if (err == SF_OK) {
        err = decision->slot == SF_BOOT_NONE ? SF_ERR_NOT_BOOTABLE : SF_OK;
    }
    return err;
}

/* ---- the application's start ---- */

static struct sf_slot_map map_of(const struct sf_partition *partition)
{
    return partition ? (struct sf_slot_map){partition->offset, partition->size}
                     : (struct sf_slot_map){0, 0};
}

static void configure_slots(struct vesp32 *v, int running_slot)
{
    const struct sf_partition_table *table = &v->options.work->table;
    v->config.slot_count = sf_partition_ota_count(table);
    for (unsigned i = 0; i < v->config.slot_count; i++) {
        v->config.slot[i] = map_of(sf_bootloader_partition(table, (int)i));
    }
    v->config.factory = map_of(sf_bootloader_partition(table, SF_BOOT_FACTORY));
    v->config.otadata_offset = v->options.work->otadata_offset;
    v->config.running_slot = running_slot;
}

/* What the firmware knows of itself by being this image. */
static int configure_image(struct vesp32 *v, uint32_t slot_offset)
{
    uint8_t bytes[SF_IMAGE_HEAD_SIZE];
    struct sf_image_head head;
    const struct sf_flash *flash = v->medium;
    int err = flash->read(flash->ctx, slot_offset, bytes, sizeof(bytes));
    if (err < 0) {
        return err;
    }
    err = sf_image_head_decode(bytes, sizeof(bytes), &head, NULL);
    if (err < 0) {
        return err;
    }
    if (sf_behaviour_find(bytes, sizeof(bytes), &v->behaviour, NULL) < 0) {
        v->behaviour = (struct sf_behaviour){.kind = SF_BEHAVIOUR_HEALTHY};
    }
    memcpy(v->version, head.desc.version, sizeof(v->version));
    v->config.version = v->version;
    if (head.has_record) {
        memcpy(v->config.class_uuid, head.record.class_uuid, SF_UUID_SIZE);
    }
    return SF_OK;
}

/* Where real firmware would use nvs_flash: a data partition `surefoot` of two sectors, or the first
 * two of the NVS partition if the table is one of somebody's own; two more with a trust root. */
static int open_records(struct vesp32 *v)
{
    const struct sf_partition_table *table = &v->options.work->table;
    const struct sf_partition *records = sf_partition_find_label(table, "surefoot");
    if (!records) {
        records = sf_partition_find(table, SF_PARTITION_DATA, SF_PARTITION_DATA_NVS);
    }
    const uint32_t roots_size = v->config.root ? SF_HOST_ROOT_STORE_SIZE : 0;
    if (!records || records->size < SF_HOST_STORE_SIZE + roots_size) {
        return SF_ERR_NOTFOUND;
    }
    const int err = sf_host_store_open(&v->store, v->medium, records->offset);
    if (err < 0 || roots_size == 0) {
        return err;
    }
    v->config.store = &v->roots.ops;
    return sf_host_root_store_open(&v->roots, &v->store.ops, v->medium,
                                   records->offset + SF_HOST_STORE_SIZE);
}

static int configure(struct vesp32 *v, int running_slot)
{
    const struct sf_partition *running =
        sf_bootloader_partition(&v->options.work->table, running_slot);
    if (!running) {
        return SF_ERR_NOT_BOOTABLE;
    }
    v->config = v->options.firmware;
    v->config.flash = v->medium;
    v->config.store = &v->store.ops;
    v->config.crypto = v->options.crypto;
    v->config.platform = &v->platform;
    v->config.sector_buffer = &v->sector_buffer;
    v->config.self_test = &v->self_test;
    v->config.self_test_count = 1;
    if (v->options.verifier) {
        v->config.secure_boot = &v->secure_boot;
        v->config.abilities |= v->efuse_secure_boot.enabled ? SF_ABILITY_SECURE_BOOT : 0U;
    }
    v->config.abilities |= v->options.flash_key ? SF_ABILITY_FLASH_ENCRYPTION : 0U;
    v->self_test.deadline_ms = SELF_TEST_DEADLINE_MS;
    configure_slots(v, running_slot);
    int err = configure_image(v, running->offset);
    if (v->behaviour.kind == SF_BEHAVIOUR_SELF_TEST_HANGS) {
        v->self_test.deadline_ms = v->behaviour.parameter * 1000;
    }
    if (err == SF_OK && v->options.flash_key) { /* the application goes by the table */
        err = sf_host_crypt_use_table(&v->crypt, &v->options.work->table);
    }
    return err < 0 ? err : open_records(v);
}

static uint64_t in_seconds(const struct vesp32 *v, uint32_t seconds)
{
    return v->now_ms + (uint64_t)seconds * 1000;
}

/* What will reset it, some time after its start. */
static void schedule_reset(struct vesp32 *v)
{
    static const enum sf_reset_reason reason[SF_BEHAVIOUR_COUNT] = {
        [SF_BEHAVIOUR_CRASH_AFTER] = SF_RESET_PANIC,
        [SF_BEHAVIOUR_BROWNOUT] = SF_RESET_BROWNOUT,
        [SF_BEHAVIOUR_DEEP_SLEEP] = SF_RESET_DEEP_SLEEP,
    };
    v->crash_reason = reason[v->behaviour.kind];
    if (v->crash_reason != SF_RESET_UNKNOWN) {
        v->crash_at_ms = in_seconds(v, v->behaviour.parameter);
    }
}

/* From the application's first instruction to its main loop. */
static void start_application(struct vesp32 *v)
{
    v->power = VESP32_RUNNING;
    v->boot_at_ms = v->now_ms;
    if (v->behaviour.kind == SF_BEHAVIOUR_CRASH_EARLY) {
        reset(v, SF_RESET_PANIC);
        return;
    }
    if (sf_boot_early(&v->config) == SF_BOOT_REBOOT) {
        reset(v, SF_RESET_SOFTWARE);
        return;
    }
    sf_engine_init(&v->engine, &v->config, v->now_ms);
    schedule_reset(v);
    if (v->behaviour.kind == SF_BEHAVIOUR_CRASH_AT_BOOT) {
        v->crash_at_ms = v->now_ms + CRASH_AT_BOOT_MS;
        v->crash_reason = SF_RESET_PANIC;
        v->hang_from_ms = v->now_ms; /* it crashes before it gets to the update engine */
    } else if (v->behaviour.kind == SF_BEHAVIOUR_HANG) {
        v->hang_from_ms = in_seconds(v, v->behaviour.parameter);
    }
}

static void boot(struct vesp32 *v)
{
    struct sf_boot_decision decision;
    v->boots++;
    vesp32_decay(v);
    int err = sf_host_crypt_use_table(&v->crypt, NULL); /* the bootloader reads all decrypted */
    if (err == SF_OK) {
        err = run_bootloader(v, &decision);
    }
    if (err == SF_OK) {
        err = configure(v, decision.slot);
    }
    v->boot_error = err;
    if (err < 0) {
        v->power = VESP32_BOOT_FAILS;
        return;
    }
    start_application(v);
}

/* ---- running ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t watchdog_at(const struct vesp32 *v)
{
    int is_hang = v->behaviour.kind == SF_BEHAVIOUR_HANG && v->hang_from_ms != NEVER;
    uint64_t limit = v->options.watchdog_ms > 0 ? v->options.watchdog_ms : WATCHDOG_MS;
    uint64_t hang = is_hang ? v->hang_from_ms + limit : NEVER;
    return earlier(hang, v->trial_watchdog_at_ms);
}

static struct vesp32_want want_wait(const struct vesp32 *v, uint64_t until_ms)
{
    uint64_t events = earlier(v->crash_at_ms, watchdog_at(v));
    return (struct vesp32_want){
        .kind = VESP32_WAIT, .until_ms = earlier(until_ms, events), .serial = v->request_serial};
}

static struct vesp32_want want_request(const struct vesp32 *v)
{
    struct vesp32_want want = want_wait(v, v->request.deadline_ms);
    want.kind = VESP32_REQUEST;
    want.request = &v->request;
    return want;
}

/* Power, resets and their causes. Returns 1 if the application may run now. */
static int run_hardware(struct vesp32 *v)
{
    if (v->power == VESP32_IN_RESET && v->now_ms >= v->ready_at_ms) {
        boot(v);
    }
    if (v->power != VESP32_RUNNING) {
        return 0;
    }
    if (v->now_ms >= v->crash_at_ms) {
        reset(v, v->crash_reason);
    } else if (v->now_ms >= watchdog_at(v)) {
        reset(v, SF_RESET_WATCHDOG);
    }
    return v->power == VESP32_RUNNING;
}

static void begin_request(struct vesp32 *v, const struct sf_request *request)
{
    v->request = *request;
    v->request_open = 1;
    v->request_serial++;
    if (v->behaviour.kind == SF_BEHAVIOUR_NO_NETWORK) {
        vesp32_response_end(v, SF_ERR_DNS, v->now_ms);
    }
}

/* Asks the engine whether to go on with its request. Returns 1 while it goes on. */
static int check_request(struct vesp32 *v)
{
    if (!v->request_open) {
        return 0;
    }
    int err = sf_engine_request_check(&v->engine, v->now_ms);
    if (err < 0) {
        vesp32_response_end(v, err, v->now_ms);
        return 0;
    }
    struct sf_action action = sf_engine_next(&v->engine, v->now_ms);
    if (action.kind == SF_ACTION_REQUEST) {
        v->request.deadline_ms = action.request.deadline_ms;
    }
    return 1;
}

/* One step of the application; fills `want` and returns 0 when it has to wait. */
static int run_application(struct vesp32 *v, struct vesp32_want *want)
{
    if (v->now_ms >= v->hang_from_ms) {
        *want = want_wait(v, NEVER);
        return 0;
    }
    if (check_request(v)) {
        /* a silent image's packets get lost: its request stays open until the engine gives up */
        *want = v->behaviour.kind == SF_BEHAVIOUR_SILENT ? want_wait(v, v->request.deadline_ms)
                                                         : want_request(v);
        return 0;
    }
    struct sf_action action = sf_engine_next(&v->engine, v->now_ms);
    switch (action.kind) {
    case SF_ACTION_WAIT:
        *want = want_wait(v, earlier(action.wait_until_ms, v->hang_from_ms));
        return 0;
    case SF_ACTION_WORK:
        sf_engine_work(&v->engine, v->now_ms);
        return 1;
    case SF_ACTION_REQUEST:
        begin_request(v, &action.request);
        return 1;
    case SF_ACTION_REBOOT:
        reset(v, SF_RESET_SOFTWARE);
        return 1;
    }
    return 0;
}

struct vesp32_want vesp32_run(struct vesp32 *v, uint64_t now_ms)
{
    v->now_ms = now_ms;
    for (unsigned step = 0; step < STEPS_A_RUN; step++) {
        struct vesp32_want want;
        int runs = run_hardware(v);
        if (!v->flash->has_power) {
            vesp32_power_off(v);
        }
        if (!runs || v->power != VESP32_RUNNING) {
            return want_wait(v, v->power == VESP32_IN_RESET ? v->ready_at_ms : NEVER);
        }
        if (!run_application(v, &want)) {
            return want;
        }
    }
    return want_wait(v, now_ms);
}

/* ---- outside ---- */

void vesp32_init(struct vesp32 *v, struct sf_host_flash *flash,
                 const struct vesp32_options *options)
{
    *v = (struct vesp32){.options = *options,
                         .flash = flash,
                         .efuse_secure_version = options->efuse_secure_version,
                         .efuse_secure_boot = options->secure_boot,
                         .crash_at_ms = NEVER,
                         .hang_from_ms = NEVER,
                         .trial_watchdog_at_ms = NEVER};
    v->platform = (struct sf_platform){.ctx = v,
                                       .reset_reason = platform_reset_reason,
                                       .slot_bootable = platform_slot_bootable,
                                       .efuse_secure_version = platform_efuse,
                                       .trial_deadline = platform_trial_deadline};
    v->secure_boot =
        (struct sf_secure_boot){.ctx = v, .check = &sf_secure_boot_v2, .keys = efuse_keys};
    if (options->verifier) {
        v->secure_boot.verifier = *options->verifier;
    }
    v->medium = &flash->ops;
    if (options->flash_key) {
        sf_host_crypt_init(&v->crypt, &flash->ops, options->flash_key,
                           options->flash_write_size > 0 ? options->flash_write_size
                                                         : (uint32_t)SF_HOST_CRYPT_BLOCK);
        v->medium = &v->crypt.ops;
    }
    v->self_test = (struct sf_self_test){
        .name = "sensors", .poll = poll_sensors, .ctx = v, .deadline_ms = SELF_TEST_DEADLINE_MS};
}

void vesp32_power_on(struct vesp32 *v, uint64_t now_ms)
{
    sf_host_flash_power_on(v->flash);
    v->now_ms = now_ms;
    reset(v, SF_RESET_POWER_ON);
}

void vesp32_power_off(struct vesp32 *v)
{
    reset(v, SF_RESET_POWER_ON);
    v->power = VESP32_OFF;
}

int vesp32_response_head(struct vesp32 *v, const struct sf_response_head *head, uint64_t now_ms)
{
    v->now_ms = now_ms;
    return sf_engine_response_head(&v->engine, head, now_ms);
}

int32_t vesp32_response_body(struct vesp32 *v, const uint8_t *data, size_t len, uint64_t now_ms)
{
    v->now_ms = now_ms;
    return sf_engine_response_body(&v->engine, data, len, now_ms);
}

void vesp32_response_end(struct vesp32 *v, int err, uint64_t now_ms)
{
    v->now_ms = now_ms;
    v->request_open = 0;
    v->request_serial++;
    sf_engine_response_end(&v->engine, err, now_ms);
}

int vesp32_at_rest(const struct vesp32 *v)
{
    struct sf_otadata_entry entry[2];
    if (v->power != VESP32_RUNNING) {
        return 0;
    }
    vesp32_otadata(v, entry);
    int active = sf_otadata_active(entry);
    /* Fallen back from PENDING_VERIFY: the bootloader aborts that one at the next reset. */
    int runs_boot_slot =
        active < 0 || v->config.slot_count == 0 ||
        entry[active].ota_state == SF_OTA_PENDING_VERIFY ||
        v->config.running_slot == (int)sf_otadata_slot(&entry[active], v->config.slot_count);
    struct sf_engine_view view = sf_engine_view(&v->engine);
    int idle = view.phase == SF_PHASE_IDLE || view.phase == SF_PHASE_CONFIRMED;
    int reported = view.outcome.counter == 0 || v->config.source != NULL; /* nobody to tell */
    return runs_boot_slot && !view.trial_open && idle && !view.update_due && reported &&
           view.checkins_answered > 0;
}

int vesp32_encrypt_flash(struct vesp32 *v)
{
    return sf_host_crypt_first_boot(&v->crypt, v->flash->cells, v->flash->size_bytes);
}
