#ifndef PLAIN_H
#define PLAIN_H

#include <jansson.h>
#include <stdint.h>

/* The documents by which devices with another updater find an image: `version.json` for hand-made
 * clients, `manifest.json` for ESPHome's `update: http_request` (the form of ESP Web Tools). One
 * place writes them, whoever serves them. */

struct plain_release {
    const char *product;
    const char *version;
    const char *project; /* app_desc's */
    const char *chip;    /* "esp32c3" */
    const char *notes;   /* "" = none */
    const char *sha256;  /* 64 hex digits */
    const char *md5;     /* 32 hex digits */
    uint64_t size_bytes;
    uint32_t secure_version;
    const char *file; /* name of the image beside the documents: "firmware.bin" */
    /* Where the bytes are under a name that never means others: absolute, or relative to the
     * documents. */
    const char *image_url;
    /* Where a host serves it; `host` NULL = not known, then the others do not count. */
    const char *hw_revision;
    const char *host;
    unsigned port;
    const char *path; /* of the image on that host */
};

/* version, url, file, size, sha256, md5 and what else is known. NULL without memory, or if a text
 * is not UTF-8. */
json_t *plain_version_json(const struct plain_release *r);

/* ESP Web Tools flashes `parts` by cable: there is the app image alone, so the board must have a
 * bootloader and a partition table already, and its app at the usual place, 0x10000. ESPHome joins
 * a relative path to the folder of the manifest: `file`, or `image_url` if that is absolute.
 * NULL as above, or if the chip has no family there. */
json_t *plain_manifest_json(const struct plain_release *r);

#endif
