#ifndef VESP32_H
#define VESP32_H

#include "formats/behaviour.h"
#include "formats/bootloader.h"
#include "ports/host/crypt.h"
#include "ports/host/flash.h"
#include "ports/host/root_store.h"
#include "ports/host/store.h"
#include "surefoot/surefoot.h"

/* A virtual ESP32: what happens between two resets, on flash that a real one could boot from.
 *
 * Its bootloader reads partition table, otadata and images from the flash and writes otadata to it;
 * its application is the update engine, told what real firmware knows of itself (version and class
 * of the image that runs). The image's behaviour record decides whether it crashes, hangs or works.
 *
 * It has neither clock nor network: time comes in, requests go out.
 *
 *     vesp32_power_on(&v, now);
 *     for (;;) {
 *         struct vesp32_want want = vesp32_run(&v, now());
 *         ... start want.request, or drop the one that runs; come back at want.until_ms ...
 *     }
 *
 * Invariants
 *  1. Flash is changed by the bootloader and the engine only, through struct sf_flash; but for the
 *     one bit of an image whose behaviour is to decay.
 *  2. A reset forgets everything but flash, eFuse and the reset reason.
 *  3. Every reset takes time, so a crash loop is no endless loop here. */

enum vesp32_power {
    VESP32_OFF,
    VESP32_IN_RESET,   /* until ready_at_ms */
    VESP32_RUNNING,    /* an application runs */
    VESP32_BOOT_FAILS, /* the bootloader finds nothing to boot and resets for ever */
};

/* Secure Boot V2's eFuse bits. */
struct vesp32_secure_boot {
    uint8_t enabled;
    uint8_t digest_size; /* 32; 16 on the C2 */
    uint8_t block_count; /* of a signature sector that count: 3; 1 on ESP32 and C2 */
    uint8_t burnt;       /* bit n: digest n is there */
    uint8_t revoked;     /* bit n: and is not to be trusted any more */
    uint8_t digest[SF_SBV2_KEY_MAX][SF_SHA256_SIZE];
};

struct vesp32_options {
    /* What the firmware is built with: id, keys, token, hardware revision, chip, times. The fields
     * that flash, image and ports determine are filled in at each boot. */
    struct sf_config firmware;
    const struct sf_crypto *crypto;  /* of application and bootloader */
    struct sf_bootloader_work *work; /* scratch memory; one does for all devices of a thread */
    uint8_t rollback;                /* bootloader's build options */
    uint8_t anti_rollback;
    uint32_t efuse_secure_version; /* at first */
    const uint8_t *flash_key;  /* of flash encryption, SF_HOST_CRYPT_KEY_SIZE bytes; NULL = off */
    uint32_t flash_write_size; /* with it: 16 (0, too) or 32 */
    uint32_t watchdog_ms;      /* that resets a hanging application; 0 = 5000 */
    struct vesp32_secure_boot secure_boot; /* at first; all zero = off */
    /* What computes signatures, in bootloader and firmware; NULL = the firmware judges none, and
     * secure_boot has to be off. */
    const struct sf_sbv2_verifier *verifier;
    /* Asked before the bootloader burns eFuse bits: how far it gets, in `*to`. < 0 = power is lost
     * at it (flash->has_power is 0 then). NULL = all the way. */
    int (*burn)(void *ctx, uint32_t from, uint32_t *to);
    void *burn_ctx;
};

struct vesp32 {
    struct vesp32_options options;
    struct sf_host_flash *flash;
    const struct sf_flash *medium; /* flash as its programs see it: decrypted */
    struct sf_host_crypt crypt;
    struct sf_host_store store;
    struct sf_host_root_store roots; /* in front of it, where the firmware has a trust root */
    struct sf_config config;
    struct sf_platform platform;
    struct sf_self_test self_test;
    struct sf_engine engine;
    union sf_sector_buffer sector_buffer;
    char version[33]; /* of the running image, app_desc's */
    struct sf_behaviour behaviour;
    enum vesp32_power power;
    enum sf_reset_reason reset_reason;
    uint32_t efuse_secure_version;
    struct vesp32_secure_boot efuse_secure_boot; /* may be changed between two boots */
    struct sf_secure_boot secure_boot;           /* the firmware's view of it */
    int boot_error;                              /* why BOOT_FAILS */
    unsigned boots;
    unsigned request_serial; /* changes with every new request and every reset */
    int request_open;
    struct sf_request request;
    uint64_t now_ms;
    uint64_t ready_at_ms;
    enum sf_reset_reason crash_reason;
    uint64_t crash_at_ms;          /* UINT64_MAX = never; likewise: */
    uint64_t hang_from_ms;         /* the application does nothing from then on */
    uint64_t trial_watchdog_at_ms; /* armed by the engine */
    uint64_t boot_at_ms;
};

enum vesp32_want_kind {
    VESP32_WAIT,    /* nothing to do before until_ms */
    VESP32_REQUEST, /* have `request` running; come back at until_ms even if nothing arrives */
};

struct vesp32_want {
    enum vesp32_want_kind kind;
    uint64_t until_ms; /* UINT64_MAX = for ever */
    unsigned serial;   /* a request under another serial than this is to be dropped */
    const struct sf_request *request;
};

/* `flash` and what `options` points to outlive the device. It is off. */
void vesp32_init(struct vesp32 *v, struct sf_host_flash *flash,
                 const struct vesp32_options *options);

void vesp32_power_on(struct vesp32 *v, uint64_t now_ms);
void vesp32_power_off(struct vesp32 *v);

/* Lets the device do all it can do at this time, but never for long: until_ms == now_ms asks to be
 * called again. When a flash hook has cut the power, the device is off afterwards. */
struct vesp32_want vesp32_run(struct vesp32 *v, uint64_t now_ms);

/* What the network has to say of the open request, as sf_engine_response_*(). */
int vesp32_response_head(struct vesp32 *v, const struct sf_response_head *head, uint64_t now_ms)
    __attribute__((warn_unused_result));
int32_t vesp32_response_body(struct vesp32 *v, const uint8_t *data, size_t len, uint64_t now_ms)
    __attribute__((warn_unused_result));
void vesp32_response_end(struct vesp32 *v, int err, uint64_t now_ms);

/* 1 if nothing but its routine is going on: it runs the image that otadata names, or the bootloader
 * fell back and will give that one up at the next reset; no trial is open,
 * no update is under way or due, every outcome is reported (where there is a server to tell), and
 * the server or the static host has answered in this boot. */
int vesp32_at_rest(const struct vesp32 *v);

/* What lies in flash, as its programs would read it, powered or not. `address` is a multiple of 16;
 * what is beyond the chip reads FF. */
void vesp32_peek(const struct vesp32 *v, uint32_t address, uint8_t *out, size_t len);

/* With flash encryption: what the bootloader does at its very first boot, and nothing may
 * interrupt. To be called once, on a flash in plaintext. */
int vesp32_encrypt_flash(struct vesp32 *v) __attribute__((warn_unused_result));

/* The otadata entries as they are now; both empty if there is no such partition. */
void vesp32_otadata(const struct vesp32 *v, struct sf_otadata_entry out[2]);

/* A block that is lost between the engine's last look and the bootloader's: of an image that says
 * so, before its first boot. */
void vesp32_decay(const struct vesp32 *v);

#endif
