#include "server/protocols/text.h"

#include <string.h>
#include <strings.h>

/* The 64 digits, and the padding. */
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

static int base64_value(char c)
{
    const char *at = c == '\0' || c == '=' ? NULL : strchr(base64_digits, c);
    return at == NULL ? -1 : (int)(at - base64_digits);
}

/* Adds the bytes of one group of four digits; `used` digits of it count. */
static int base64_group(const char *group, size_t used, uint8_t out[3])
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < used ? base64_value(group[i]) : 0;
        if (value < 0) {
            return -1;
        }
        bits = bits << 6 | (uint32_t)value;
    }
    out[0] = (uint8_t)(bits >> 16);
    out[1] = (uint8_t)(bits >> 8);
    out[2] = (uint8_t)bits;
    /* the bits that padding cuts off must be zero, else two texts mean the same bytes */
    if ((used == 2 && (out[1] != 0 || out[2] != 0)) || (used == 3 && out[2] != 0)) {
        return -1;
    }
    return 0;
}

int32_t text_unbase64(const char *text, size_t text_len, uint8_t *out, size_t size)
{
    if (text_len % 4 != 0) {
        return -1;
    }
    size_t len = 0;
    for (size_t i = 0; i < text_len; i += 4) {
        size_t used = 4;
        if (i + 4 == text_len) {
            used -= text[i + 3] == '=';
            used -= used == 3 && text[i + 2] == '=';
        }
        uint8_t bytes[3];
        if (base64_group(text + i, used, bytes) != 0 || used - 1 > size - len) {
            return -1;
        }
        memcpy(out + len, bytes, used - 1);
        len += used - 1;
    }
    return (int32_t)len;
}

size_t text_base64_size(size_t len)
{
    return (len + 2) / 3 * 4 + 1;
}

void text_base64(const uint8_t *data, size_t len, char *out)
{
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)data[i] << 16;
        bits |= i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0;
        bits |= i + 2 < len ? data[i + 2] : 0;
        *out++ = base64_digits[bits >> 18];
        *out++ = base64_digits[bits >> 12 & 63];
        *out++ = base64_digits[i + 1 < len ? bits >> 6 & 63 : 64];
        *out++ = base64_digits[i + 2 < len ? bits & 63 : 64];
    }
    *out = '\0';
}

int text_is_name(const char *text, size_t max)
{
    size_t len = strlen(text);
    if (len < 1 || len > max || strchr("._-", text[0]) != NULL) {
        return 0;
    }
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

const char *text_bearer(const char *authorization)
{
    static const char scheme[] = "bearer ";
    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0) {
        return NULL;
    }
    const char *secret = authorization + sizeof(scheme) - 1;
    while (*secret == ' ') {
        secret++;
    }
    return *secret == '\0' ? NULL : secret;
}
