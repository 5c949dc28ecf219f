#ifndef PROTOCOLS_TEXT_H
#define PROTOCOLS_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Small conversions that the adapters share. No allocation. */

/* Strict base64 with padding, no white space. Returns the length, or -1 (bad, or over `size`). */
int32_t text_unbase64(const char *text, size_t text_len, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));

/* Base64 of `data`, NUL-terminated; `out` has at least text_base64_size(len) bytes. */
size_t text_base64_size(size_t len);
void text_base64(const uint8_t *data, size_t len, char *out);

/* 1 if the text is 1..max bytes of [a-z0-9._-] beginning with a letter or digit: names of products
 * and tokens, which appear in paths. */
int text_is_name(const char *text, size_t max);

/* The secret of "Bearer <secret>" (RFC 6750: the scheme's case does not matter), or NULL. */
const char *text_bearer(const char *authorization);

#endif
