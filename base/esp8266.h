#ifndef ESP8266_H
#define ESP8266_H

#include <stddef.h>
#include <stdint.h>

#include "formats/err.h"

/* The ESP8266, which only plain products have: no library of ours runs there. Its images are those
 * of Arduino's core (tools/elf2bin.py of esp8266/Arduino): eboot, padded to 4 KiB, then the app;
 * each part a header of 8 bytes (e9, segments, flash mode, size and frequency, entry point),
 * segments of {address, size, bytes}, zeros up to the last byte of a multiple of 16, and there the
 * XOR of all segment bytes, seed ef. A signed image has its signature behind that. */

enum {
    ESP8266_CHIP = 0xfffe, /* in the place of an enum sf_chip; no image header carries it */
    ESP8266_IMAGE_MAX = 1024 * 1024,
};

/* SF_OK; MAGIC, SEGMENTS, TRUNCATED, CHECKSUM, TRAILING (over 4 KiB behind the app) or RANGE
 * (larger than the chip can map), with the offset in `diag`. */
int esp8266_image_check(const uint8_t *data, size_t len, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* sf_chip_name() and sf_chip_from_name(), and "esp8266" besides. */
const char *chip_any_name(uint32_t chip_id);
int chip_any_from_name(const char *name);

#endif
