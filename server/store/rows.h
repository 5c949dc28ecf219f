#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "formats/manifest.h"
#include "formats/md5.h"
#include "formats/root.h"
#include "server/fleet/checkin.h"
#include "server/fleet/plain.h"
#include "server/fleet/release.h"

/* The rows of the database as plain structs without pointers; docs/database.md says what each
 * table is for. struct device, deployment and event are fleet/'s own. Times are Unix seconds, row
 * numbers start at 1 and 0 means "none", a digest of zeros means "none", texts are UTF-8 and
 * NUL-terminated. A text that does not fit its field is refused with SF_ERR_NOSPC. */

enum {
    STORE_NOTES_MAX = 4000,
    STORE_DETAIL_MAX = 1023,
    STORE_OBJECT_MAX = 127,
    STORE_ACTION_MAX = 47,
    STORE_VALUE_MAX = 255,
    STORE_PROJECT_MAX = 32,
};

struct product {
    int64_t id;
    char name[NAME_MAX_LEN + 1]; /* unique */
    uint32_t kind;               /* enum product_kind */
    uint32_t chip_id;            /* enum sf_chip */
    uint8_t vendor_uuid[SF_UUID_SIZE];
    uint32_t slot_size; /* bytes, the smallest app slot of its partition table; 0 = unknown */
    uint32_t checkin_interval_s;           /* 0 = the server's default */
    uint8_t release_key[SF_P256_KEY_SIZE]; /* x || y; zeros = none yet */
    uint32_t require_credential;           /* 1: artifacts only with a device's credential */
    int64_t target_release;                /* 0 = none */
    int64_t target_gen;                    /* number of the order that set it */
    int64_t created_at;
    int64_t changed_at;
    int64_t stable_release;                        /* what the plain endpoint serves; 0 = none */
    uint32_t plain_access;                         /* enum plain_access */
    char version_template[PLAIN_TEMPLATE_MAX + 1]; /* of version.json; "" = ours */
};

/* A hardware revision of a product; in manifests and images it is the class uuid. */
struct hw_class {
    int64_t id;
    int64_t product_id;
    char revision[SF_HW_REVISION_MAX + 1]; /* unique in the product */
    uint8_t uuid[SF_UUID_SIZE];            /* unique */
    uint64_t next_seq; /* first manifest number not given out yet; even, from 2 */
    uint64_t last_seq; /* highest published */
    int64_t created_at;
};

struct enrol_token {
    int64_t id;
    int64_t product_id;
    uint8_t digest[DIGEST_SIZE]; /* SHA-256 of the token's text; unique */
    int64_t created_at;
    int64_t expires_at; /* 0 = never */
};

struct api_token {
    int64_t id;
    char name[NAME_MAX_LEN + 1]; /* unique */
    uint8_t digest[DIGEST_SIZE]; /* SHA-256 of the secret; unique */
    uint32_t roles;              /* bits of base/exchange.h enum role */
    int64_t created_at;
    int64_t expires_at; /* 0 = never */
    int64_t revoked_at; /* 0 = is not */
};

enum release_state { RELEASE_PUBLISHED = 1, RELEASE_WITHDRAWN = 2 };

struct release {
    int64_t id;
    int64_t product_id;
    int64_t created_at;
    uint32_t secure_version;
    uint32_t state;                    /* enum release_state */
    uint32_t allow_burn;               /* its secure_version may be burnt into eFuses */
    char version[VERSION_MAX_LEN + 1]; /* unique in the product */
    char created_by[NAME_MAX_LEN + 1];
    char notes[STORE_NOTES_MAX + 1];
};

struct manifest_row {
    int64_t id;
    int64_t release_id;
    int64_t class_id;
    uint64_t seq; /* unique in the class */
    uint8_t image_digest[DIGEST_SIZE];
    uint32_t image_size;         /* bytes */
    uint8_t digest[DIGEST_SIZE]; /* of the SUIT_Digest; unique. Plain products have none: zeros */
    uint32_t forced;             /* enum release_force: what the publisher insisted on */
    uint32_t envelope_len;       /* bytes; 0 for plain products */
    uint8_t envelope[SF_ENVELOPE_MAX];
};

struct artifact {
    int64_t id;
    uint8_t digest[DIGEST_SIZE]; /* unique */
    uint64_t size;               /* bytes */
    uint32_t chip_id;
    uint32_t secure_version;
    uint32_t has_record;
    uint8_t class_uuid[SF_UUID_SIZE];  /* of the updater record */
    char version[VERSION_MAX_LEN + 1]; /* of app_desc */
    char project[STORE_PROJECT_MAX + 1];
    char created_by[NAME_MAX_LEN + 1];
    int64_t created_at;
    uint8_t md5[SF_MD5_SIZE];        /* of the bytes; zeros = not computed yet */
    uint8_t app_sha256[DIGEST_SIZE]; /* the one appended to the image; zeros = none */
};

struct history_row { /* append-only */
    int64_t id;
    int64_t device_row;
    int64_t at;
    struct event event;
};

struct audit_row { /* append-only */
    int64_t id;
    int64_t at;
    char who[NAME_MAX_LEN + 1];
    int64_t who_id;                    /* api_token, 0 = the server itself */
    char action[STORE_ACTION_MAX + 1]; /* "product.create" */
    char object[STORE_OBJECT_MAX + 1]; /* "lamp" */
    char detail[STORE_DETAIL_MAX + 1]; /* JSON, or "" */
};

/* One stretch of time in which the server was up; for telling silence of devices from our own. */
struct uptime_row {
    int64_t id;
    int64_t from_at;
    int64_t until_at; /* last flush */
    uint32_t shed_s;  /* seconds of it in which connections were turned away */
};

/* Whether all offers are stopped, everywhere: an operator's order, kept in `meta`. */
enum { FREEZE_REASON_MAX = 150 };
struct freeze {
    int64_t since; /* 0 = not frozen */
    char who[NAME_MAX_LEN + 1];
    char reason[FREEZE_REASON_MAX + 1]; /* may be "" */
};

/* Opens the plain endpoint of a product, to one device or to any. */
struct plain_token {
    int64_t id;
    int64_t product_id;
    uint8_t digest[DIGEST_SIZE]; /* SHA-256 of the token's text; unique */
    int64_t created_at;
    int64_t expires_at;                   /* 0 = never */
    char device_id[SF_DEVICE_ID_MAX + 1]; /* "" = for any */
};

/* A trust root, as signed. */
struct root_row {
    int64_t id; /* its version */
    int64_t issued_at;
    int64_t expires_at;
    int64_t created_at; /* uploaded */
    uint32_t release_epoch;
    char created_by[NAME_MAX_LEN + 1];
    uint32_t file_len; /* bytes */
    uint8_t file[SF_ROOT_MAX];
};

/* All that a check-in needs, from one moment. */
struct device_view {
    struct device device;
    struct device_seen seen;
    struct product product;
    int has_current;
    struct deployment current; /* device.deployment_id */
    int has_target;
    struct target target;
    int has_previous;
    struct deployment previous; /* latest of this device with target.release_id */
    int frozen;
};

struct device_filter { /* a field of 0 or "" does not filter */
    int64_t product_id;
    uint32_t state;                    /* enum device_state */
    char version[VERSION_MAX_LEN + 1]; /* running; needs product_id */
    char id_prefix[SF_DEVICE_ID_MAX + 1];
    char after_id[SF_DEVICE_ID_MAX + 1]; /* cursor: the last id of the page before */
};

enum { STORE_PAGE_MAX = 1000 }; /* rows a list returns at most, whatever is asked */

/* What is kept how long; 0 = for ever. Each call of store_prune() removes at most `batch` rows of
 * each kind, oldest first. */
struct retention {
    int64_t history_s;
    int64_t audit_s;
    int64_t deployments_s;     /* terminal ones that are not a device's latest */
    int64_t revoked_devices_s; /* with all that belongs to them */
    int64_t uptime_s;
    unsigned batch; /* 1 .. 10000 */
};

struct prune_result {
    unsigned history;
    unsigned audit;
    unsigned deployments;
    unsigned devices;
    unsigned uptime;
    unsigned tokens;       /* enrolment tokens that expired over 30 days ago */
    unsigned plain_tokens; /* likewise */
};

#endif
