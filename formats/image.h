#ifndef SF_IMAGE_H
#define SF_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/crypto.h"
#include "formats/err.h"

/* The ESP32 app image: header, segments, checksum, appended SHA-256, app_desc, updater record.
 * Source: ESP-IDF bootloader_support/include/esp_app_format.h (esp_image_header_t), src/
 * esp_image_format.c, esp_app_format/include/esp_app_desc.h; the updater record is ours
 * (include/surefoot/record.h, docs/formats.md). */

enum {
    SF_IMAGE_MAGIC = 0xe9,
    SF_IMAGE_HEADER_SIZE = 24,
    SF_IMAGE_SEGMENT_HEADER_SIZE = 8,
    SF_IMAGE_SEGMENT_MAX = 16,
    SF_IMAGE_DESC_OFFSET = 0x20,
    SF_IMAGE_SECURE_VERSION_OFFSET = SF_IMAGE_DESC_OFFSET + 4,
    SF_IMAGE_DESC_SIZE = 256,
    SF_IMAGE_RECORD_OFFSET = 0x120,
    SF_IMAGE_RECORD_SIZE = 64,
    SF_IMAGE_HEAD_SIZE = 384, /* all that the gate before the first erase needs */
    SF_UUID_SIZE = 16,
};

enum sf_chip { /* esp_chip_id_t */
               SF_CHIP_ESP32 = 0x00,
               SF_CHIP_ESP32S2 = 0x02,
               SF_CHIP_ESP32C3 = 0x05,
               SF_CHIP_ESP32S3 = 0x09,
               SF_CHIP_ESP32C2 = 0x0c,
               SF_CHIP_ESP32C6 = 0x0d,
               SF_CHIP_ESP32H2 = 0x10,
               SF_CHIP_ESP32P4 = 0x12,
               SF_CHIP_ESP32C61 = 0x14,
               SF_CHIP_ESP32C5 = 0x17,
               SF_CHIP_ESP32H21 = 0x19,
               SF_CHIP_ESP32H4 = 0x1c,
               SF_CHIP_ESP32S31 = 0x20,
};

/* "esp32c3" for 5; NULL if unknown. And back: the id, or -1. */
const char *sf_chip_name(uint16_t chip_id);
int sf_chip_from_name(const char *name);

struct sf_image_header {
    uint8_t segment_count;
    uint8_t spi_mode;
    uint8_t spi_speed; /* low nibble of byte 3 */
    uint8_t spi_size;  /* high nibble of byte 3 */
    uint32_t entry_addr;
    uint16_t chip_id;
    uint16_t min_chip_rev_full; /* major * 100 + minor */
    uint16_t max_chip_rev_full; /* 0 and 65535 = unset */
    uint8_t hash_appended;
};

struct sf_app_desc { /* esp_app_desc_t; texts are NUL-terminated here */
    uint32_t secure_version;
    char version[33];
    char project_name[33];
    char time[17];
    char date[17];
    char idf_ver[33];
    uint8_t app_elf_sha256[32];
    uint8_t mmu_page_size_log2; /* 0 = absent */
};

struct sf_updater_record { /* 64 bytes at file offset 0x120, magic "SFUR" */
    uint16_t record_version;
    uint16_t protocol_version;
    uint8_t class_uuid[SF_UUID_SIZE];
    uint32_t library_version;
    uint32_t flags;
};

struct sf_image_head { /* what the first 384 bytes tell */
    struct sf_image_header header;
    int has_desc; /* app_desc's magic is right; the bootloader accepts an image without */
    struct sf_app_desc desc;
    int has_record; /* magic, version and crc of the updater record are right */
    int record_err; /* SF_OK, or why not: NO_RECORD, VERSION, CORRUPT */
    struct sf_updater_record record;
};

/* Decodes the 64 bytes at SF_IMAGE_RECORD_OFFSET. Errors: NO_RECORD (no magic), CORRUPT (crc),
 * VERSION (not 1). `out` is all zeros then. Bytes 32..59 are left for later versions: they are
 * covered by the crc and otherwise ignored. */
int sf_updater_record_decode(const uint8_t bytes[SF_IMAGE_RECORD_SIZE],
                             struct sf_updater_record *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* Decodes the 256 bytes at SF_IMAGE_DESC_OFFSET. Returns 1, or 0 if its magic is wrong; `out` is
 * then all zeros. */
int sf_app_desc_decode(const uint8_t bytes[SF_IMAGE_DESC_SIZE], struct sf_app_desc *out);

/* With magic, zeros and crc. */
void sf_updater_record_encode(const struct sf_updater_record *record,
                              uint8_t bytes[SF_IMAGE_RECORD_SIZE]);

/* Decodes the first 384 bytes (or all of a shorter image: the rest counts as FF).
 * Errors: TRUNCATED, MAGIC, CHIP_UNKNOWN, SEGMENTS (0 or more than 16), and CORRUPT or VERSION for
 * an updater record that has the magic but is damaged or from another time; `out` is whole then but
 * for the record. A missing app_desc or record is not an error here. */
int sf_image_head_decode(const uint8_t *data, size_t len, struct sf_image_head *out,
                         struct sf_diag *diag) __attribute__((warn_unused_result));

struct sf_image_segment {
    uint32_t load_addr;
    uint32_t data_len;    /* bytes, multiple of 4 */
    uint32_t data_offset; /* in the file */
};

/* A parser fed in pieces of any size; it keeps the first 384 bytes and no more. */
struct sf_image_parser {
    struct sf_image_head head;
    struct sf_image_segment segment[SF_IMAGE_SEGMENT_MAX];
    uint32_t length;      /* header to appended hash; known once complete */
    int complete;         /* the image has ended; what is fed beyond counts as trailing */
    uint32_t trailing;    /* bytes fed after the end */
    uint8_t appended[32]; /* the appended SHA-256, if header.hash_appended */
    uint32_t limit;       /* bytes there are for it, e.g. the slot's size; 16 MiB from start */
    int err;              /* the first error, or SF_OK */
    struct sf_diag diag;  /* of err */
    /* private */
    const struct sf_crypto *crypto;
    struct sf_sha256 hash;
    int hashing;
    uint8_t head_bytes[SF_IMAGE_HEAD_SIZE];
    uint32_t pos;
    uint32_t phase_end;
    uint8_t phase;
    uint8_t segment_index;
    uint8_t checksum;
    uint8_t scratch[32];
    uint8_t sector_magic;      /* of what begins on the next 4 KiB boundary ... */
    uint32_t sector_crc;       /* ... as a signature block: its crc as computed, */
    uint32_t sector_crc_named; /* and as it says */
};

/* `crypto` NULL: the appended hash is not checked (to learn the length only). With it, end the
 * parser with sf_image_end() in every case: the hash may hold memory. */
int sf_image_start(struct sf_image_parser *p, const struct sf_crypto *crypto)
    __attribute__((warn_unused_result));

/* Errors stick: MAGIC, CHIP_UNKNOWN, SEGMENTS, CHECKSUM, HASH, RANGE (longer than 16 MiB), NOSPC
 * (longer than `limit`). `diag` has the offset in the file. A damaged updater record is no error
 * here, the bootloader does not read it: see head.record_err. */
int sf_image_feed(struct sf_image_parser *p, const uint8_t *data, size_t len, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* SF_OK if a whole image was fed, the first error of feed, or SF_ERR_TRUNCATED. Trailing bytes are
 * no error: the bootloader ignores them; sf_image_file_length() is for uploads. */
int sf_image_end(struct sf_image_parser *p, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* 1 if head.header is valid: 24 bytes were fed without error. The app_desc and the record are there
 * once 384 bytes were fed, or all of a shorter image. */
int sf_image_head_known(const struct sf_image_parser *p);

/* The L of a digest: the parsed image, or with a Secure Boot V2 sector that length rounded up to
 * 4 KiB plus 4096: the sector's first block must have magic and crc, as the device looks for it.
 * Returns SF_OK if exactly L bytes were fed, else SF_ERR_TRAILING. */
int sf_image_file_length(const struct sf_image_parser *p, uint32_t *length_out,
                         struct sf_diag *diag) __attribute__((warn_unused_result));

#endif
