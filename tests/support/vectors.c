#include "tests/support/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *vectors_load(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        fprintf(stderr, "cannot read %s, line %d: %s\n", path, error.line, error.text);
        abort();
    }
    return root;
}

const char *vectors_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL) {
        fprintf(stderr, "no text '%s' in a row of the vectors\n", key);
        abort();
    }
    return text;
}

static unsigned digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *p = c != '\0' ? strchr(digits, c) : NULL;
    if (p == NULL) {
        fprintf(stderr, "'%c' is no lower-case hex digit\n", c);
        abort();
    }
    return (unsigned)(p - digits);
}

void vectors_hex(const json_t *object, const char *key, uint8_t *out, size_t len)
{
    const char *text = vectors_text(object, key);
    if (strlen(text) != len * 2) {
        fprintf(stderr, "'%s' is not %zu bytes of hex\n", key, len);
        abort();
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    }
}
