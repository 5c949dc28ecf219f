#ifndef CLI_APPIMAGE_H
#define CLI_APPIMAGE_H

#include "cli/chips.h"
#include "cli/elf_file.h"
#include "formats/crypto.h"

/* Makes an ESP32 app image from an ELF's segments (docs/formats.md has the bytes). */

struct appimage_options {
    const struct chip *chip;
    uint8_t spi_mode; /* codes of the header, chips.h */
    uint8_t spi_size;
    uint8_t spi_freq;
    uint16_t min_chip_rev_full;         /* major * 100 + minor */
    uint16_t max_chip_rev_full;         /* 65535: any */
    uint8_t elf_sha256[SF_SHA256_SIZE]; /* goes into app_desc */
};

/* On success `data` is malloc'ed. On failure `why` says what is wrong, for a person. */
struct appimage {
    uint8_t *data;
    size_t len;
    int has_desc;   /* app_desc is at file offset 0x20 */
    int has_record; /* an updater record is at 0x120; its crc has been filled in */
    unsigned segment_count;
    char why[240];
};

/* Errors: CHIP (the ELF is for another architecture), RANGE, SEGMENTS, OVERLAP, NOMEM, or what the
 * crypto returned. Release `out` in every case. */
int appimage_build(const struct elf_file *elf, const struct appimage_options *options,
                   const struct sf_crypto *crypto, struct appimage *out)
    __attribute__((warn_unused_result));
void appimage_release(struct appimage *image);

#endif
