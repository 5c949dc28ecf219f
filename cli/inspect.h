#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include <jansson.h>

#include "formats/image.h"

/* A whole image file, judged by the parser that the server and the device use. */

struct inspect {
    struct sf_image_parser image;
    struct sf_image_head head; /* also of an image that is broken further on */
    int head_known;            /* `head` says something: magic, chip and segment count are sane */
    int err; /* SF_OK, or the first reason against it: of the image, then TRAILING */
    struct sf_diag diag;
    uint32_t length;                /* the L of the digest; 0 unless the image is complete */
    uint8_t digest[SF_SHA256_SIZE]; /* of the whole file */
};

enum inspect_trailing { INSPECT_TRAILING_REFUSED, INSPECT_TRAILING_ALLOWED };

/* Returns out->err. */
int inspect_image(const uint8_t *data, size_t len, enum inspect_trailing trailing,
                  struct inspect *out);

/* Decodes the first 384 bytes of an image for showing; returns head_known. */
int inspect_head(const uint8_t *data, size_t len, struct sf_image_head *out);

/* "esp32c3", or "chip 0x1234". */
struct inspect_name {
    char text[24];
};
struct inspect_name inspect_chip(uint16_t chip_id);

/* Objects for --json: app_desc, the updater record; null if there is none. */
json_t *inspect_desc_json(const struct sf_image_head *head);
json_t *inspect_record_json(const struct sf_image_head *head);

#endif
