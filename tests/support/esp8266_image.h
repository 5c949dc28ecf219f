#ifndef ESP8266_IMAGE_H
#define ESP8266_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* An ESP8266 image as elf2bin.py of Arduino's core lays it out: eboot with one segment, padded with
 * aa to 4 KiB, and an app with one segment of `app_segment` bytes. Returns its length; `out` has
 * room for it. */
size_t esp8266_image_build(uint32_t app_segment, uint8_t *out, size_t size);

#endif
