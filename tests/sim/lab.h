#ifndef LAB_H
#define LAB_H

#include "base/p256.h"
#include "formats/manifest.h"
#include "sim/vesp32.h"
#include "tests/support/esp_image.h"

/* An update server of a few lines and virtual time, for tests of one virtual device: it answers in
 * the same process, with real signatures. */

enum { LAB_IMAGE_MAX = 81920 };

struct lab_release {
    uint8_t image[LAB_IMAGE_MAX];
    size_t image_len;
    uint8_t digest[SF_SHA256_SIZE];
    uint8_t envelope[SF_ENVELOPE_MAX];
    size_t envelope_len;
    struct sf_manifest manifest;
};

/* The answer to one request; `body` is in `bytes` or in a release. */
struct lab_answer {
    struct sf_response_head head;
    const uint8_t *body;
    size_t body_len;
    uint8_t bytes[SF_CHECKIN_ANSWER_MAX];
    char etag[SF_SHA256_SIZE * 2 + 3];
};

struct lab_server {
    struct p256_key release_key;
    struct p256_key status_key;
    struct p256_signer release_signer;
    struct p256_signer status_signer;
    uint64_t counter;
    uint8_t action;                   /* while the target is not what runs */
    const struct lab_release *target; /* NULL = stay */
    int is_down;                      /* refuses connections */
    unsigned checkins;
    unsigned enrolments;
    unsigned downloads;
    unsigned ranges;           /* of these, how many asked for a range */
    struct sf_checkin last;    /* views are gone */
    struct sf_outcome outcome; /* the last one reported; counter 0 = none */
    unsigned outcomes;         /* different ones */
};

struct lab {
    struct lab_server server;
    struct sf_crypto crypto; /* PSA, as the devices have it */
    struct sf_bootloader_work work;
    struct sf_host_flash flash;
    struct vesp32 esp;
    uint64_t now_ms;
};

/* Makes the keys. */
void lab_server_open(struct lab_server *server);
void lab_server_close(struct lab_server *server);

/* Answers as surefootd does, at `unix_s`. Who asks is told by request->authorization. */
void lab_server_answer(struct lab_server *server, const struct sf_request *request, int64_t unix_s,
                       struct lab_answer *out);

/* Crypto and a flash with `first` in ota_0; the device is switched off. The server is open already.
 * Fails the test if anything goes wrong, as all do here. */
void lab_open(struct lab *lab, const struct lab_release *first);
void lab_close(struct lab *lab);

/* Makes an image of this version and behaviour (NULL = healthy) and its manifest. */
void lab_release(struct lab_server *server, struct lab_release *out, const char *version,
                 const struct sf_behaviour *behaviour, uint64_t seq);

/* Digest, length and path anew, and signed, once a test has changed the image. */
void lab_seal(struct lab_server *server, struct lab_release *out);

/* The device's options before it is switched on; the test may change them and call vesp32_init()
 * again. */
struct vesp32_options lab_options(struct lab *lab);

/* Lets device and server work until `until_ms` of virtual time, or until `stop` says so (NULL =
 * never). Returns 1 if it did. */
int lab_run(struct lab *lab, uint64_t until_ms, int (*stop)(const struct lab *lab));

#endif
