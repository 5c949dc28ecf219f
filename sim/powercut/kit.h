#ifndef POWERCUT_KIT_H
#define POWERCUT_KIT_H

#include "base/p256.h"
#include "formats/behaviour.h"
#include "formats/manifest.h"
#include "sim/powercut/chip.h"
#include "sim/powercut/roots.h"
#include "surefoot/surefoot.h"

/* What a scenario is played with: the layout of the flash, three releases with signed manifests,
 * and keys. Made once, constant from then on. */

#define KIT_DEVICE_ID "powercut-0001"

enum kit_size {
    KIT_SMALL, /* two slots of 128 KiB: every step of an update can be tried */
    KIT_FULL,  /* two slots of 1920 KiB, as on a chip of 4 MiB */
};

/* Signatures: real ones, or a keyed MAC in their place, a thousand times as fast. The bytes have
 * the same places and lengths, so the engine cannot tell but by verifying. */
enum kit_signing { KIT_MAC, KIT_ECDSA, KIT_SIGNINGS };

enum kit_image { KIT_OLD, KIT_NEW, KIT_NEXT, KIT_IMAGES, KIT_NO_IMAGE = KIT_IMAGES };

enum scenario_end {
    END_NEW, /* confirmed; three power cuts in its trial may end it */
    END_OLD,
};

struct scenario {
    const char *name;
    const char *what;       /* one line for people */
    uint8_t behaviour;      /* of the new image: enum sf_behaviour_kind */
    uint8_t behaves_later;  /* parameter of the behaviour */
    uint8_t no_rollback;    /* the bootloader's build */
    uint8_t anti_rollback;  /* likewise; the new image has secure_version 1, and it is permitted */
    uint8_t not_permitted;  /* likewise, and it is not; the others have 0 */
    uint8_t factory;        /* the old image is a factory image and both ota slots are blank */
    uint8_t starts_updated; /* the old image came by an update; what it replaced is known good */
    uint8_t rolls_back;     /* and that is the new image: the server wants it back */
    uint8_t offline;        /* a static tree in place of the server */
    uint8_t encrypted;      /* flash encryption, which takes so many bytes at once: 16 or 32 */
    uint8_t walks;          /* three new trust roots come first; they replace both signing keys */
    enum scenario_end end;
    int reason;        /* what an undisturbed update tells of its end: SF_ERR_... */
    uint32_t new_size; /* bytes of the new image in KIT_SMALL; 0 = 20 KiB and a bit */
};

/* Ends with a row whose name is NULL. */
extern const struct scenario scenarios[];
const struct scenario *scenario_find(const char *name);

struct kit_release {
    uint8_t *image;
    uint32_t image_len;
    uint8_t digest[SF_SHA256_SIZE];
    struct sf_manifest manifest;
    uint8_t envelope[KIT_SIGNINGS][SF_ENVELOPE_MAX];
    size_t envelope_len;
    char etag[SF_SHA256_SIZE * 2 + 3];
    uint32_t secure_version;
};

struct kit {
    const struct scenario *scenario;
    enum kit_size size;
    uint32_t flash_size;
    uint32_t slot_size;
    uint32_t factory_offset; /* 0 = none */
    struct kit_release release[KIT_IMAGES];
    uint8_t *forged; /* as long as the new image, and as good, but nobody signed it */
    struct p256_key release_key;
    struct p256_key status_key;
    struct p256_signer status_signer;
    struct sf_crypto psa;       /* verifies ECDSA */
    struct roots roots;         /* of scenarios that walk */
    struct sf_trust_root trust; /* the first of them, in the firmware */
};

enum {
    KIT_RECORDS = 0x9000,
    KIT_OTADATA = 0xd000,
    KIT_SLOT_0 = 0x10000,
    KIT_RECORDS_SIZE = 0x4000, /* the log of records, and the trust root's two copies */
    KIT_OTADATA_SIZE = 0x2000,
};

/* Errors: NOMEM, CRYPTO. */
int kit_open(struct kit *k, const struct scenario *scenario, enum kit_size size)
    __attribute__((warn_unused_result));
void kit_release_all(struct kit *k);

/* The flash as it leaves the factory: table, the old image, blank otadata and records. */
void kit_flash(const struct kit *k, struct chip *chip);

/* The signer of statuses once the trust root of that version is the newest (0 = there is none);
 * valid while `k` is. */
struct sf_signer kit_status_signer(struct kit *k, uint32_t root_version, enum kit_signing how);

/* The image that is flashed first: the old one, unless the scenario starts updated. */
enum kit_image kit_first(const struct kit *k);

/* The keyed MAC in the place of a signature by the holder of `xy`. */
void kit_mac(const uint8_t xy[SF_P256_KEY_SIZE], const uint8_t digest[SF_SHA256_SIZE],
             uint8_t signature[SF_P256_SIGNATURE_SIZE]);

#endif
