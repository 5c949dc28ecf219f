/* An ESP8266 image: whatever the bytes, the check ends within them. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/esp8266.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sf_diag diag = {0};
    const int err = esp8266_image_check(data, len, &diag);
    assert(err <= 0 && diag.offset <= len);
    return 0;
}
