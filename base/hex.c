/* Hexadecimal text. */
#include "base/hex.h"

#include <string.h>

#include "formats/err.h"

void hex_encode(const uint8_t *data, size_t len, char *out)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digit[data[i] >> 4];
        out[2 * i + 1] = digit[data[i] & 15];
    }
    out[2 * len] = '\0';
}

int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int hex_decode(const char *text, uint8_t *out, size_t size)
{
    if (strlen(text) != 2 * size) {
        return SF_ERR_FORMAT;
    }
    for (size_t i = 0; i < size; i++) {
        const int high = hex_digit(text[2 * i]);
        const int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return SF_ERR_FORMAT;
        }
        out[i] = (uint8_t)(high * 16 + low);
    }
    return SF_OK;
}
