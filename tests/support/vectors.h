#ifndef VECTORS_H
#define VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* Loads a JSON file; prints why and aborts the test program if that fails. json_decref() it. */
json_t *vectors_load(const char *path);

/* Text of `key`, which must be there. */
const char *vectors_text(const json_t *object, const char *key);

/* Hex text of `key` to exactly `len` bytes. */
void vectors_hex(const json_t *object, const char *key, uint8_t *out, size_t len);

#endif
