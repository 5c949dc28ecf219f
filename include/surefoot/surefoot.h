#ifndef SUREFOOT_H
#define SUREFOOT_H

#include "device/engine.h"
#include "device/ports.h"
#include "formats/boot.h"
#include "formats/partition.h"

/* Surefoot for firmware authors: let your port fill a struct sf_config (flash, store, crypto,
 * slots), say who the device is, call sf_boot_early() first thing, then drive the engine
 * (device/engine.h). Complete, but for what each platform has its own ways for;
 * tests/device/example_test.c compiles and runs these very lines:
 *
 *     void update_task(struct sf_config *config)
 *     {
 *         static union sf_sector_buffer buffer;
 *         static struct sf_engine engine;
 *         static const struct sf_self_test tests[] = {
 *             {.name = "sensors", .poll = sensors_work, .deadline_ms = 60000},
 *         };
 *         config->sector_buffer = &buffer;
 *         config->self_test = tests;
 *         config->self_test_count = 1;
 *         if (sf_boot_early(config) == SF_BOOT_REBOOT) {
 *             restart();
 *         }
 *         sf_engine_init(&engine, config, now_ms());
 *         for (;;) {
 *             struct sf_action a = sf_engine_next(&engine, now_ms());
 *             switch (a.kind) {
 *             case SF_ACTION_WAIT: sleep_until(a.wait_until_ms); break;
 *             case SF_ACTION_WORK: sf_engine_work(&engine, now_ms()); break;
 *             case SF_ACTION_REQUEST: http_run(&engine, &a.request); break;
 *             case SF_ACTION_REBOOT: restart();
 *             }
 *         }
 *     }
 *
 * Memory: struct sf_engine and one sector buffer, both static here; nothing is allocated. Threads:
 * one at a time. http_run() sends the request and tells the engine what comes back, with
 * sf_engine_response_head(), _body() and _end(). */

enum sf_self_test_result { SF_SELF_TEST_PENDING, SF_SELF_TEST_PASS, SF_SELF_TEST_FAIL };

/* One named check that the application runs in a trial. */
struct sf_self_test {
    const char *name;        /* static, at most 24 characters; told to the server when it fails */
    int (*start)(void *ctx); /* may be NULL */
    enum sf_self_test_result (*poll)(void *ctx); /* returns at once */
    void *ctx;
    uint32_t deadline_ms; /* from boot */
};
enum { SF_SELF_TEST_MAX = 8 };

/* Where word of a new image comes from when there is no server that answers check-ins. */
struct sf_source;

/* A tree of files on any web host, as `surefoot release export` writes it (docs/static.md): the
 * engine asks for `/manifests/<class uuid>.suit` in place of a check-in, and installs what is
 * newer. No credential, no status, no time: whoever holds the host can keep a device where it is,
 * and nothing more. Nothing of it is linked into a firmware that does not name it. */
extern const struct sf_source sf_static_tree;

/* For sf_secure_boot.check. An image that the device's bootloader would refuse for its signature,
 * or that ESP-IDF would (signed apps without Secure Boot: the key of the running image's first
 * block counts, and the first block of the new image), is refused with SF_ERR_UNSIGNED,
 * SF_ERR_BOOT_KEY or SF_ERR_BOOT_SIGNATURE: before the first erase where the host serves ranges,
 * and in any case before the switch. Nothing of it is linked into a firmware that does not name
 * it. */
extern const struct sf_image_check sf_secure_boot_v2;

/* For sf_trust_root.walk: the engine then fetches newer trust roots from the server, one by one
 * (GET /device/v1/root/<n>), stores each, and judges statuses and manifests by the newest. Nothing
 * of it is linked into a firmware that does not name it. The store must take an SF_RECORD_ROOT of
 * SF_ROOT_RECORD_MAX bytes. */
struct sf_trust;
extern const struct sf_trust sf_walk_roots;

/* A trust root (docs/formats.md) in the firmware: where the walk begins, and where it begins anew
 * should the stored one be lost. */
struct sf_trust_root {
    const struct sf_trust *walk; /* &sf_walk_roots */
    const uint8_t *file;         /* as signed */
    size_t len;                  /* bytes */
};

enum sf_policy {
    /* Without a status, the release key alone says what runs here. */
    SF_POLICY_ALLOW_OFFLINE = 1 << 0,
};

struct sf_slot_map { /* one app slot as the partition table has it */
    uint32_t offset;
    uint32_t size;
};

enum sf_rollback_ability { SF_ROLLBACK_UNKNOWN, SF_ROLLBACK_YES, SF_ROLLBACK_NO };

/* One flash sector: requests, answers and image data pass here. A union because the engine lays
 * structs into it, too. */
union sf_sector_buffer {
    uint8_t bytes[SF_SECTOR_SIZE];
    uint64_t alignment;
};

/* Everything the engine knows of its device; kept by reference, constant while the engine lives. */
struct sf_config {
    const struct sf_flash *flash;
    const struct sf_store *store;
    const struct sf_crypto *crypto;
    const struct sf_platform *platform;

    union sf_sector_buffer *sector_buffer; /* the caller's; one for each engine */

    /* partitions */
    struct sf_slot_map slot[SF_OTA_SLOT_MAX]; /* ota_0 .. */
    unsigned slot_count;
    struct sf_slot_map factory; /* size 0 = none */
    uint32_t otadata_offset;
    int running_slot; /* 0.. or SF_BOOT_FACTORY: esp_ota_get_running_partition() */

    /* who this is */
    const char *device_id; /* [A-Za-z0-9_-]{1,64}; by default the base MAC in hex */
    uint8_t class_uuid[SF_UUID_SIZE];
    uint16_t chip_id;
    uint16_t chip_revision;   /* major * 100 + minor */
    const char *hw_revision;  /* at most 15 characters */
    const char *version;      /* of the running image, app_desc's */
    const char *enrol_token;  /* NULL = the credential is provisioned */
    uint32_t abilities;       /* what the port knows: SF_ABILITY_SECURE_BOOT, _FLASH_ENCRYPTION */
    uint32_t longest_sleep_s; /* that the application may sleep; 0 = it does not */
    int64_t build_time;       /* of the running image, Unix seconds; 0 = not known */

    /* trust: a trust root, or NULL and two bare keys as x || y; and what may be done without the
     * server's word */
    const struct sf_trust_root *root;
    uint8_t release_key[SF_P256_KEY_SIZE];
    uint8_t status_key[SF_P256_KEY_SIZE]; /* not used with a source */
    uint32_t policy;                      /* enum sf_policy; 0 = nothing */

    /* NULL = the server that answers check-ins; or &sf_static_tree, which needs
     * SF_POLICY_ALLOW_OFFLINE: else nothing is ever asked for (SF_ERR_POLICY). device_id and
     * enrol_token are then not used. */
    const struct sf_source *source;

    const struct sf_secure_boot *secure_boot; /* NULL = signature sectors are not judged */

    /* trial */
    const struct sf_self_test *self_test;
    unsigned self_test_count;
    uint32_t trial_deadline_ms; /* 0 = 30 minutes */

    /* times; 0 = the default of device/engine.c */
    uint32_t checkin_interval_s; /* until the server says otherwise */
    uint32_t stall_timeout_ms;
    uint32_t request_timeout_ms;       /* whole check-in */
    uint32_t download_timeout_ms;      /* whole download */
    uint32_t minimum_bytes_per_minute; /* progress floor */
};

enum sf_boot_advice {
    SF_BOOT_GO_ON,
    SF_BOOT_REBOOT, /* otadata was switched back: reset now, before the application starts */
};

/* Runs before anything of the application: counts this boot in an open trial, and where the
 * bootloader cannot roll back and the trial's attempts are used up, switches the slot back itself;
 * where the bootloader fell back to an older image than the one before, switches to that one.
 * Uses `config`'s flash, store, platform and partitions only. Returns enum sf_boot_advice or an
 * error (go on then). */
int sf_boot_early(const struct sf_config *config) __attribute__((warn_unused_result));

#endif
