#ifndef FILES_H
#define FILES_H

#include <stddef.h>
#include <stdint.h>

/* A whole file, with a NUL behind it that `len_out` does not count; free() it. Prints why and
 * aborts the test program if it cannot be read. */
uint8_t *file_load(const char *path, size_t *len_out);

#endif
