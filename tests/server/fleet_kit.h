#ifndef TEST_FLEET_KIT_H
#define TEST_FLEET_KIT_H

#include "base/p256.h"
#include "formats/checkin.h"
#include "formats/manifest.h"
#include "tests/server/daemon.h"
#include "tests/support/esp_image.h"

/* A product with its release key, images and manifests for it, and devices that follow a script:
 * what the end-to-end tests of the server are written with. */

enum { KIT_IMAGE_SIZE = 8192, KIT_SLOT_SIZE = 65536 };

struct kit {
    struct daemon daemon;
    struct p256_key release_key;
    struct p256_signer release_signer;
    struct sf_public_key status_key; /* as status-key.pub.pem says */
    char enrol_token[SF_ENROL_TOKEN_MAX + 1];
    uint8_t vendor_uuid[SF_UUID_SIZE];
    uint8_t class_uuid[SF_UUID_SIZE]; /* of product "lamp", hardware revision "A" */
};

/* Starts the daemon and makes product "lamp". */
void kit_init(struct kit *k);
/* With another program than surefootd: its path. */
void kit_init_program(struct kit *k, const char *program);
void kit_release(struct kit *k);

struct kit_image {
    uint8_t bytes[KIT_IMAGE_SIZE];
    size_t len;
    uint8_t digest[SF_SHA256_SIZE];
    char hex[2 * SF_SHA256_SIZE + 1];
};
void kit_image(const struct kit *k, const char *version, struct kit_image *out);
/* After a change of the bytes. */
void kit_image_seal(struct kit_image *image);

/* PUT /api/v1/artifacts/<sha256>: the status; the answer's error code goes to `code` (64 bytes). */
long kit_upload(const struct kit *k, const struct kit_image *image, char *code);

/* The next seq of the class; with `try` 0 if the server does not give one. */
uint64_t kit_seq(const struct kit *k);
uint64_t kit_try_seq(const struct kit *k);
void kit_manifest(const struct kit *k, const struct kit_image *image, const char *version,
                  struct sf_manifest *out);
/* The same without its seq. */
void kit_manifest_of(const struct kit *k, const struct kit_image *image, const char *version,
                     struct sf_manifest *out);
/* Signs and publishes: the status. */
long kit_publish(const struct kit *k, struct sf_manifest *m, const char *version, char *code);
long kit_publish_envelope(const struct kit *k, struct sf_bytes envelope, const char *version,
                          char *code);
/* Image, seq, manifest, release; fails the test unless all is accepted. */
void kit_ship(const struct kit *k, const char *version, struct kit_image *image);
void kit_target(const struct kit *k, const char *version);

struct kit_device {
    char id[SF_DEVICE_ID_MAX + 1];
    char secret[SF_SECRET_HEX_SIZE + 1];
    struct sf_checkin report;
    struct sf_status status; /* last answer's, verified */
    uint8_t answer[SF_CHECKIN_ANSWER_MAX];
    struct sf_checkin_answer parts; /* views into answer */
    struct reply reply;             /* last, without body */
};
/* A device that runs `image`; its secret comes from its id. */
void kit_device(const struct kit *k, const char *id, const struct kit_image *image,
                const char *version, struct kit_device *out);
long kit_enrol(const struct kit *k, const struct kit_device *dev, const char *token);
/* Checks in with a new nonce; on 200 verifies the status with the status key and that it is bound
 * to this nonce, device and class. Returns the HTTP status. */
long kit_checkin(const struct kit *k, struct kit_device *dev);

#endif
