#include "server/http/range.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t");
}

/* Digits at *p to a number; what does not fit 64 bits becomes the largest. 0 = no digit. */
static int number(const char **p, uint64_t *out)
{
    const char *start = *p;
    uint64_t value = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        const uint64_t digit = (uint64_t)(**p - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *out = value;
    return *p != start;
}

static int at_end(const char *p)
{
    return *skip_space(p) == '\0';
}

static enum range_result suffix(const char *p, uint64_t total, uint64_t *offset, uint64_t *len)
{
    uint64_t count;
    if (!number(&p, &count) || !at_end(p)) {
        return RANGE_WHOLE;
    }
    if (count == 0 || total == 0) {
        return RANGE_UNSATISFIABLE;
    }
    *len = count < total ? count : total;
    *offset = total - *len;
    return RANGE_PART;
}

enum range_result range_parse(const char *value, uint64_t total, uint64_t *offset, uint64_t *len)
{
    static const char unit[] = "bytes=";
    if (value == NULL || strncasecmp(value, unit, sizeof(unit) - 1) != 0) {
        return RANGE_WHOLE;
    }
    const char *p = skip_space(value + sizeof(unit) - 1);
    if (*p == '-') {
        return suffix(p + 1, total, offset, len);
    }
    uint64_t first;
    if (!number(&p, &first) || *p++ != '-') {
        return RANGE_WHOLE;
    }
    uint64_t last;
    if (!number(&p, &last)) {
        last = UINT64_MAX;
    }
    if (!at_end(p) || last < first) {
        return RANGE_WHOLE;
    }
    if (first >= total) {
        return RANGE_UNSATISFIABLE;
    }
    *offset = first;
    *len = (last < total ? last + 1 : total) - first;
    return RANGE_PART;
}

static int is_weak(const char *etag)
{
    return etag[0] == 'W' && etag[1] == '/';
}

int range_if_range(const char *value, const char *etag)
{
    if (value == NULL) {
        return 1;
    }
    return etag != NULL && !is_weak(value) && !is_weak(etag) && strcmp(value, etag) == 0;
}

/* Length of the entity tag at p with its quotes, 0 if there is none. */
static size_t tag_length(const char *p)
{
    if (*p != '"') {
        return 0;
    }
    const char *end = strchr(p + 1, '"');
    return end != NULL ? (size_t)(end - p) + 1 : 0;
}

int range_none_match(const char *value, const char *etag)
{
    if (value == NULL || etag == NULL) {
        return 0;
    }
    const char *opaque = is_weak(etag) ? etag + 2 : etag;
    const char *p = skip_space(value);
    if (*p == '*' && at_end(p + 1)) {
        return 1;
    }
    while (*p != '\0') {
        const char *tag = is_weak(p) ? p + 2 : p;
        const size_t len = tag_length(tag);
        if (len == 0) {
            return 0;
        }
        if (len == strlen(opaque) && memcmp(tag, opaque, len) == 0) {
            return 1;
        }
        p = skip_space(tag + len);
        p = *p == ',' ? skip_space(p + 1) : p + strlen(p);
    }
    return 0;
}
