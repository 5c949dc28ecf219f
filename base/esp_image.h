#ifndef ESP_IMAGE_BASE_H
#define ESP_IMAGE_BASE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/behaviour.h"
#include "formats/image.h"

/* Makes app images out of nothing: an ESP32-C3 image with app_desc, updater record, four segments
 * (two of them mapped), checksum and appended SHA-256, as esptool would make it. Deterministic: the
 * same spec gives the same bytes. */

enum { ESP_IMAGE_SIZE_MIN = 1024 };

struct esp_image_spec {
    const char *version;       /* of app_desc; NULL = "1.0.0" */
    const char *project_name;  /* NULL = "lamp" */
    const uint8_t *class_uuid; /* 16 bytes; NULL = 5a 11 00 .. 00 */
    uint32_t secure_version;
    uint32_t size;      /* of the file, a multiple of 16, at least ESP_IMAGE_SIZE_MIN; 0 = 8192 */
    uint32_t seed;      /* of the filling; images of different seeds differ in nearly every byte */
    int without_record; /* no updater record: a plain image */
    const struct sf_behaviour *behaviour; /* NULL = no behaviour record */
};

/* Returns the image's length. `size` must have room for it. */
size_t esp_image_build(const struct esp_image_spec *spec, uint8_t *out, size_t size);

/* Recomputes the checksum and the appended hash over an image whose fields were changed. */
void esp_image_reseal(uint8_t *image, size_t len);

/* One of both alone. */
void esp_image_rechecksum(uint8_t *image, size_t len);
void esp_image_rehash(uint8_t *image, size_t len);

#endif
