/* libs: sf_http */
/* Range, If-Range and If-None-Match: a part must lie within the file. Input: 8 bytes of total
 * length, then the header's text. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/range.h"

enum { TEXT_MAX = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t total;
    if (size < sizeof(total) || size - sizeof(total) > TEXT_MAX) {
        return 0;
    }
    memcpy(&total, data, sizeof(total));
    char *text = malloc(size - sizeof(total) + 1); /* exact, so that overreading is seen */
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data + sizeof(total), size - sizeof(total));
    text[size - sizeof(total)] = '\0';
    uint64_t offset = 0;
    uint64_t len = 0;
    if (range_parse(text, total, &offset, &len) == RANGE_PART) {
        assert(len > 0 && offset < total && len <= total - offset);
    }
    assert(range_if_range(text, "\"a\"") == (strcmp(text, "\"a\"") == 0));
    (void)range_none_match(text, "\"a\"");
    (void)range_none_match(text, text);
    free(text);
    return 0;
}
