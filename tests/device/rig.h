#ifndef RIG_H
#define RIG_H

#include "base/p256.h"
#include "device/engine_private.h"
#include "formats/bootloader.h"
#include "formats/root.h"
#include "ports/host/flash.h"
#include "ports/host/root_store.h"
#include "ports/host/store.h"
#include "surefoot/surefoot.h"
#include "tests/support/esp_image.h"

/* One device on virtual flash with a virtual clock, and a server of a few lines that answers in the
 * same process with real signatures and can be told to misbehave. The record store has a flash of
 * its own, so that operations on `chip` are those on slots and otadata alone. */

enum {
    RIG_OTADATA = 0xd000,
    RIG_FACTORY = 0x10000,
    RIG_SLOT_0 = 0x40000,
    RIG_SLOT_SIZE = 0x40000,
    RIG_SLOT_1 = RIG_SLOT_0 + RIG_SLOT_SIZE,
    RIG_SLOT_2 = RIG_SLOT_1 + RIG_SLOT_SIZE,
    RIG_IMAGE_MAX = 0x40000,
    RIG_SMALL = 20 * 1024 + 480, /* bytes of an image: no multiple of a sector */
    RIG_LARGE = 150 * 1024 + 16, /* passes two progress records */
    RIG_OUTCOMES = 32,
    RIG_ROOTS = 48,
    RIG_EARLY_REBOOTS = 10, /* in a row, at most */
    RIG_ENDLESS = 1 << 30,
};

struct rig_release {
    uint8_t image[RIG_IMAGE_MAX];
    size_t image_len;
    uint8_t digest[SF_SHA256_SIZE];
    uint8_t envelope[SF_ENVELOPE_MAX];
    size_t envelope_len;
    struct sf_manifest manifest;
};

/* What happens to one request; made in full, then changed by the test's script. */
struct rig_reply {
    int refused; /* < 0: no head at all, the connection fails with this */
    struct sf_response_head head;
    char etag[100];
    const uint8_t *body; /* NULL = zeros */
    size_t body_len;
    size_t chunk_len;  /* of the bytes offered at once */
    uint64_t chunk_ms; /* between two of them */
    int end;           /* how the connection ends once the body is through */
    uint8_t bytes[SF_CHECKIN_ANSWER_MAX + 1024];
};

struct rig_root {
    uint8_t file[SF_ROOT_MAX];
    size_t len; /* 0 = there is none */
};

struct rig;
typedef void rig_script(struct rig *r, const struct sf_request *request, struct rig_reply *reply);
typedef void rig_status_script(struct rig *r, struct sf_status *status);

struct rig_server {
    struct p256_key release_key;
    struct p256_key status_key;
    struct p256_signer release_signer;
    struct p256_signer status_signer;
    const struct rig_release *target; /* NULL = stay */
    uint8_t action;
    uint64_t counter;
    int64_t time;
    uint32_t next_checkin_s;
    uint32_t max_secure_version;
    int acknowledges;
    int enrol_status; /* what an enrolment is answered with */
    int is_down;
    rig_script *script; /* NULL = none; sees every reply before it is sent */
    rig_status_script *status_script;
    uint8_t secret_digest[SF_SHA256_SIZE]; /* last one enrolled */
    unsigned checkins;
    unsigned enrolments;
    unsigned downloads;
    unsigned ranges;                 /* of these, how many asked for a range */
    unsigned manifests;              /* asked for by their path */
    unsigned not_modified;           /* of these, how many were answered 304 */
    unsigned roots;                  /* asked for, whether there or not */
    struct rig_root root[RIG_ROOTS]; /* by version */
    uint32_t root_version;           /* what statuses say */
    uint32_t epoch;
    struct sf_checkin last;
    char last_authorization[160];
    struct sf_outcome outcome[RIG_OUTCOMES]; /* as reported, repetitions left out */
    unsigned outcome_count;
};

struct rig {
    struct sf_host_flash chip;
    struct sf_host_flash nvs;
    struct sf_host_store store;
    struct sf_host_root_store roots; /* in front of `store` */
    struct sf_crypto crypto;
    struct sf_crypto psa;
    uint64_t random;
    int random_fails;
    struct sf_platform platform;
    enum sf_reset_reason reset_reason;
    int not_now;
    int not_bootable; /* slot_bootable says no */
    uint32_t efuse;
    uint32_t deadline_armed_ms;
    struct sf_bootloader_work work;
    int without_rollback; /* the bootloader's build */
    int anti_rollback;
    struct sf_config config;
    struct sf_self_test test[2];
    enum sf_self_test_result test_result[2];
    unsigned test_started;
    struct sf_engine engine;
    union sf_sector_buffer buffer;
    int early; /* what sf_boot_early() said last */
    uint64_t now_ms;
    uint64_t last_wait_ms; /* length of the last WAIT */
    struct rig_server server;
    struct rig_reply reply;
    struct rig_release v1;
    struct rig_release v2;
    struct rig_release v3;
};

/* A device with v1 (RIG_SMALL bytes) in ota_0, nothing in ota_1, erased otadata, no factory; v2
 * and v3 are releases of RIG_LARGE and RIG_SMALL bytes with seq 4 and 6. Not booted yet. */
struct rig *rig_new(void);
void rig_free(struct rig *r);

/* The table gets an ota_2. */
void rig_third_slot(struct rig *r);

/* Builds an image of this spec, and its manifest with `seq`, signed. */
void rig_make(struct rig *r, struct rig_release *out, const struct esp_image_spec *spec,
              uint64_t seq);
void rig_sign(struct rig *r, struct rig_release *release);

/* Digest, length and path anew, and signed, once a test has changed the image. */
void rig_seal(struct rig *r, struct rig_release *out);
void rig_flash(struct rig *r, uint32_t address, const struct rig_release *release);
void rig_otadata(struct rig *r, struct sf_otadata_entry entry[2]);
void rig_put_otadata(struct rig *r, unsigned sector, uint32_t ota_seq, uint32_t ota_state);

/* Resets the chip: bootloader, early hook (and again, if it says so), engine. */
void rig_boot(struct rig *r, enum sf_reset_reason reason);

/* Does what the engine says next, once; time passes as it asks. */
enum sf_action_kind rig_step(struct rig *r);

/* Runs one request against the server, as a port would. */
void rig_request(struct rig *r, struct sf_engine *e, const struct sf_request *request);

/* Goes on until the engine rests (idle, with time to wait) or wants a reboot, and says which. */
enum sf_action_kind rig_settle(struct rig *r);

/* The same, after the wait that the engine rests in. */
enum sf_action_kind rig_settle_again(struct rig *r);

/* From a rested device to the trial of `release` under a new counter; the trial's first boot. */
void rig_install(struct rig *r, const struct rig_release *release);

void rig_target(struct rig *r, const struct rig_release *release);

/* The device knows a static tree in place of the server, which is the host then and shows v1. */
void rig_static_tree(struct rig *r);

/* The host shows `release`, and the device looks at once: until it rests or wants a reboot, to the
 * first boot of its trial, to its confirmation; or in vain: it stays, because of `err`. */
enum sf_action_kind rig_show(struct rig *r, const struct rig_release *release);
void rig_show_into_trial(struct rig *r, const struct rig_release *release);
void rig_show_confirm(struct rig *r, const struct rig_release *release);
void rig_show_in_vain(struct rig *r, const struct rig_release *release, int err);

/* The core, to look at. */
const struct sf_core *rig_core(const struct rig *r);
unsigned rig_slot_runs(const struct rig *r);
struct sf_record_trial rig_trial(struct rig *r);

#endif
