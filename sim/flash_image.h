#ifndef FLASH_IMAGE_H
#define FLASH_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/partition.h"

/* Whole-flash images for virtual devices.
 *
 * The default layout (4 MiB), as gen_esp32part.py would make it:
 *
 *     0x000000  bootloader area, FF: the virtual device brings its own
 *     0x008000  partition table with MD5
 *     0x009000  nvs       data, nvs        16 KiB, FF
 *     0x00d000  otadata   data, ota         8 KiB, FF: the bootloader starts with ota_0
 *     0x010000  ota_0     app,  ota_0    1920 KiB, the firmware
 *     0x1f0000  ota_1     app,  ota_1    1920 KiB, FF
 *     0x3d0000  surefoot  data, undefined   8 KiB, FF: the two sectors of struct sf_host_store
 */

enum {
    FLASH_IMAGE_SIZE = 0x400000,
    FLASH_IMAGE_SLOT_SIZE = 0x1e0000,
    FLASH_IMAGE_OTA_0 = 0x10000,
    FLASH_IMAGE_OTA_1 = 0x1f0000,
    FLASH_IMAGE_OTADATA = 0xd000,
    FLASH_IMAGE_RECORDS = 0x3d0000,
};

/* Fills all FLASH_IMAGE_SIZE bytes of `out`. `app` must be an image that boots on its own chip.
 * Errors: NOSPC (larger than the slot) and those of sf_verdict_image(), `diag` with the offset in
 * `app`. */
int flash_image_build(const uint8_t *app, size_t app_len, uint8_t *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* The chip that the first decodable app of a flash dump is for, or an error: that of the partition
 * table, or NOTFOUND if no app partition holds an image. */
int flash_image_chip(const uint8_t *flash, size_t len, struct sf_diag *diag)
    __attribute__((warn_unused_result));

#endif
