#include "tests/support/esp8266_image.h"

#include <assert.h>
#include <string.h>

enum { APP = 4096, HEAD = 16, EBOOT_SEGMENT = 300 };

/* One part with one segment at `at`: its end. */
static size_t put_part(uint8_t *image, size_t at, uint32_t size)
{
    uint8_t sum = 0xef;
    const uint8_t header[HEAD] = {0xe9, 1,    2,    0x40, 0x00, 0xf0,          0x10,
                                  0x40, 0x00, 0xf0, 0x10, 0x40, (uint8_t)size, (uint8_t)(size >> 8),
                                  0,    0};
    memcpy(image + at, header, sizeof header);
    for (uint32_t i = 0; i < size; i++) {
        image[at + HEAD + i] = (uint8_t)(i * 7);
        sum ^= (uint8_t)(i * 7);
    }
    const size_t end = at + ((HEAD + size) / 16 + 1) * 16;
    memset(image + at + HEAD + size, 0, end - (at + HEAD + size));
    image[end - 1] = sum;
    return end;
}

size_t esp8266_image_build(uint32_t app_segment, uint8_t *out, size_t size)
{
    assert(size >= APP + HEAD + (size_t)app_segment + 16);
    const size_t boot_end = put_part(out, 0, EBOOT_SEGMENT);
    memset(out + boot_end, 0xaa, APP - boot_end);
    return put_part(out, APP, app_segment);
}
