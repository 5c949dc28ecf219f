#ifndef LAB_H
#define LAB_H

#include "base/p256.h"
#include "formats/manifest.h"
#include "sim/vesp32.h"
#include "tests/support/esp_image.h"

/* An update server of a few lines and virtual time, for tests of one virtual device: it answers in
 * the same process, with real signatures. */

enum { LAB_IMAGE_MAX = 65536 };

struct lab_release {
    uint8_t image[LAB_IMAGE_MAX];
    size_t image_len;
    uint8_t digest[SF_SHA256_SIZE];
    uint8_t envelope[SF_ENVELOPE_MAX];
    size_t envelope_len;
    struct sf_manifest manifest;
};

struct lab {
    struct p256_key release_key;
    struct p256_key status_key;
    struct p256_signer release_signer;
    struct p256_signer status_signer;
    struct sf_crypto crypto; /* PSA, as the devices have it */
    struct sf_bootloader_work work;
    struct sf_host_flash flash;
    struct vesp32 esp;
    uint64_t now_ms;
    /* the server */
    uint64_t counter;
    uint8_t action;                   /* while the target is not what runs */
    const struct lab_release *target; /* NULL = stay */
    int is_down;                      /* refuses connections */
    unsigned checkins;
    unsigned enrolments;
    unsigned downloads;
    struct sf_checkin last;    /* views are gone */
    struct sf_outcome outcome; /* the last one reported; counter 0 = none */
    unsigned outcomes;         /* different ones */
};

/* Keys, crypto and a flash with `first` in ota_0; the device is switched off. Fails the test if
 * anything goes wrong. */
void lab_open(struct lab *lab, const struct lab_release *first);
void lab_close(struct lab *lab);

/* Makes an image of this version and behaviour (NULL = healthy) and its manifest. */
void lab_release(struct lab *lab, struct lab_release *out, const char *version,
                 const struct sf_behaviour *behaviour, uint64_t seq);

/* The device's options before it is switched on; the test may change them and call vesp32_init()
 * again. */
struct vesp32_options lab_options(struct lab *lab);

/* Lets device and server work until `until_ms` of virtual time, or until `stop` says so (NULL =
 * never). Returns 1 if it did. */
int lab_run(struct lab *lab, uint64_t until_ms, int (*stop)(const struct lab *lab));

#endif
