#ifndef SF_CRC32_H
#define SF_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 as zlib computes it (polynomial 0xedb88320, reflected). `crc` 0 starts one; the result of
 * one call continues in the next. ESP-IDF's esp_rom_crc32_le(seed, ...) is sf_crc32(seed, ...):
 * otadata and NVS use seed 0xffffffff, the updater record and Secure Boot blocks 0. */
uint32_t sf_crc32(uint32_t crc, const void *data, size_t len);

#endif
