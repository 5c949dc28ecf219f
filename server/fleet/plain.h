#ifndef FLEET_PLAIN_H
#define FLEET_PLAIN_H

#include "server/fleet/device.h"

/* Devices that update over HTTPS without our library: what their request is answered with, and what
 * it tells about them. Pure.
 *
 * Invariants
 *  1. Nothing that a plain client says changes a native device, or one of another product.
 *  2. The same request twice: the second changes nothing, so a poll costs no write. */

enum plain_access {
    PLAIN_ACCESS_NONE = 0,
    PLAIN_ACCESS_TOKEN = 1,
    PLAIN_ACCESS_OPEN = 2
};                                             /* stored */
const char *plain_access_str(uint32_t access); /* "none", "token", "open"; static */
int plain_access_from(const char *text);       /* or -1 */

enum {
    PLAIN_TEMPLATE_MAX = 1000, /* bytes of a product's version.json */
    /* In the inventory, a product: ids are what clients say, so somebody with a token could make
     * them up. Who comes after that is served all the same. */
    PLAIN_DEVICES_MAX = 10000,
};

enum plain_client {
    PLAIN_CLIENT_OTHER,
    PLAIN_CLIENT_ESP32,   /* Arduino HTTPUpdate: one URL for "update" and "nothing new" */
    PLAIN_CLIENT_ESP8266, /* ESPhttpUpdate */
};

/* What a request says. Everything may be absent. */
struct plain_report {
    enum plain_client client;
    char id[SF_DEVICE_ID_MAX + 1]; /* "" = not told */
    int filesystem;                /* asks for a file system image, which we do not have */
    int has_md5;
    int has_app_sha256;
    uint8_t md5[SF_MD5_SIZE];        /* of the running sketch */
    uint8_t app_sha256[DIGEST_SIZE]; /* appended to the running image */
    uint32_t free_space;             /* bytes; 0 = not told */
    char version[VERSION_MAX_LEN + 1];
};

/* The stable release, for the client's hardware revision. */
struct plain_stable {
    int64_t release_id; /* 0 = none */
    int64_t class_id;
    uint32_t size;
    uint8_t digest[DIGEST_SIZE];
    uint8_t md5[SF_MD5_SIZE];
    uint8_t app_sha256[DIGEST_SIZE]; /* zeros = none is appended */
    char version[VERSION_MAX_LEN + 1];
};

enum plain_answer {
    PLAIN_SEND,
    PLAIN_UP_TO_DATE, /* 304 */
    PLAIN_NOTHING,    /* no stable release, or no such kind of image */
    PLAIN_FROZEN,
};
enum plain_answer plain_decide(const struct plain_report *report,
                               const struct plain_stable *release, int frozen);

struct plain_input {
    const struct device *known; /* the row with report->id, or NULL */
    const struct plain_report *report;
    const struct plain_stable *release;
    enum plain_answer answer;
    int64_t product_id;
};

enum { PLAIN_EVENT_MAX = 3 };

struct plain_decision {
    int recorded; /* the device has a place in the inventory: store_seen() is right */
    int changed;  /* `device` and events are to be written; row 0 = a new one */
    struct device device;
    unsigned event_count;
    struct event event[PLAIN_EVENT_MAX];
};

void plain_observe(const struct plain_input *in, int64_t now, struct plain_decision *out);

/* 1 unless an operator has revoked it. */
int plain_may_update(const struct device *known, int64_t product_id);

/* "AA:BB:CC:DD:EE:FF" as native devices write it, "aabbccddeeff"; 0 = it is no MAC. */
int plain_id_from_mac(const char *mac, char id[SF_DEVICE_ID_MAX + 1]);

#endif
