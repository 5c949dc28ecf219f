#ifndef HEX_H
#define HEX_H

#include <stddef.h>
#include <stdint.h>

/* Lower-case hex, NUL-terminated; `out` has 2 * len + 1 bytes. */
void hex_encode(const uint8_t *data, size_t len, char *out);

/* Exactly `size` bytes from 2 * size hex digits of either case, and nothing after them. SF_OK, or
 * SF_ERR_FORMAT; `out` is then undefined. */
int hex_decode(const char *text, uint8_t *out, size_t size) __attribute__((warn_unused_result));

/* The value of one hex digit, -1 for another character. */
int hex_digit(char c);

#endif
