#ifndef ESP_IMAGE_H
#define ESP_IMAGE_H

#include "base/esp_image.h"

/* Writes a good image of `len` bytes, changed as `kind` says, at the start of a slot of `size`
 * bytes; what lies behind it becomes FF. The kinds are those of the observed bootloader's vectors:
 * ok erased zero badmagic badmagic_fixsha badchip minrev maxrev0 badsha bitflip bitflip_fixck
 * badck_fixsha truncated nohash nohash_badck nohash_bitflip2 noappdesc trailing seg17 seg0 hugeseg.
 * Returns the number of bytes that are not FF, or -1 for another kind. */
long esp_image_lay(const char *kind, const uint8_t *image, size_t len, uint8_t *slot, size_t size);

#endif
