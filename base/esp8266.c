#include "base/esp8266.h"

#include <string.h>

#include "formats/image.h"

enum {
    APP_OFFSET = 4096,
    HEADER = 8,
    SEGMENT_HEADER = 8,
    SEGMENTS_MAX = 16,
    ALIGN = 16,
    TRAILING_MAX = 4096, /* a signature */
    CHECKSUM_SEED = 0xef,
};

static const char esp8266[] = "esp8266";

/* One part from `at` on: its end, or an error. */
static int32_t check_part(const uint8_t *data, size_t len, size_t at, struct sf_diag *diag)
{
    uint8_t sum = CHECKSUM_SEED;
    if (len < at || len - at < HEADER) {
        return sf_fail(diag, SF_ERR_TRUNCATED, len, "the file ends within a header");
    }
    if (data[at] != SF_IMAGE_MAGIC) {
        return sf_fail(diag, SF_ERR_MAGIC, at, "no e9 where eboot or the app begins");
    }
    const unsigned segments = data[at + 1];
    if (segments == 0 || segments > SEGMENTS_MAX) {
        return sf_fail(diag, SF_ERR_SEGMENTS, at + 1, "0 or more than 16 segments");
    }
    size_t pos = at + HEADER;
    for (unsigned i = 0; i < segments; i++) {
        if (len - pos < SEGMENT_HEADER) {
            return sf_fail(diag, SF_ERR_TRUNCATED, pos, "the file ends within a segment's header");
        }
        const uint32_t size = (uint32_t)data[pos + 4] | (uint32_t)data[pos + 5] << 8 |
                              (uint32_t)data[pos + 6] << 16 | (uint32_t)data[pos + 7] << 24;
        pos += SEGMENT_HEADER;
        if (size > len - pos) {
            return sf_fail(diag, SF_ERR_TRUNCATED, pos - 4, "a segment runs past the end");
        }
        for (size_t k = 0; k < size; k++) {
            sum ^= data[pos + k];
        }
        pos += size;
    }
    const size_t end = at + ((pos - at) / ALIGN + 1) * ALIGN;
    if (end > len) {
        return sf_fail(diag, SF_ERR_TRUNCATED, len, "the file ends before the checksum");
    }
    if (data[end - 1] != sum) {
        return sf_fail(diag, SF_ERR_CHECKSUM, end - 1, "the checksum of the segments differs");
    }
    return (int32_t)end;
}

int esp8266_image_check(const uint8_t *data, size_t len, struct sf_diag *diag)
{
    if (len > ESP8266_IMAGE_MAX) {
        return sf_fail(diag, SF_ERR_RANGE, ESP8266_IMAGE_MAX, "an ESP8266 maps 1 MiB");
    }
    const int32_t boot = check_part(data, len, 0, diag);
    if (boot < 0) {
        return boot;
    }
    if (boot > APP_OFFSET) {
        return sf_fail(diag, SF_ERR_RANGE, APP_OFFSET, "eboot is larger than 4 KiB");
    }
    const int32_t end = check_part(data, len, APP_OFFSET, diag);
    if (end < 0) {
        return end;
    }
    if (len - (size_t)end > TRAILING_MAX) {
        return sf_fail(diag, SF_ERR_TRAILING, (size_t)end, "more than a signature behind the app");
    }
    return SF_OK;
}

const char *chip_any_name(uint32_t chip_id)
{
    if (chip_id == ESP8266_CHIP) {
        return esp8266;
    }
    return chip_id <= UINT16_MAX ? sf_chip_name((uint16_t)chip_id) : NULL;
}

int chip_any_from_name(const char *name)
{
    return strcmp(name, esp8266) == 0 ? ESP8266_CHIP : sf_chip_from_name(name);
}
