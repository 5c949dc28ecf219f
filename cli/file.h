#ifndef CLI_FILE_H
#define CLI_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Whole local files. Each function returns CLI_OK, or CLI_LOCAL after a sentence on stderr. */

struct file_bytes {
    uint8_t *data; /* ends with a NUL that `len` does not count */
    size_t len;
};

enum {
    FILE_IMAGE_MAX = 16 * 1024 * 1024 + 8192, /* the largest image, its signature sector, slack */
    FILE_FLASH_MAX = 128 * 1024 * 1024,       /* the largest flash a header can name */
    FILE_ELF_MAX = 256 * 1024 * 1024,         /* debug information included */
    FILE_TEXT_MAX = 1024 * 1024,              /* PEM files, tokens, configuration */
};

/* Reads a file of at most `max` bytes; "-" is stdin. Release `out` afterwards. */
int file_read(const char *path, size_t max, struct file_bytes *out)
    __attribute__((warn_unused_result));
void file_release(struct file_bytes *bytes);

enum file_replace { FILE_NEW_ONLY, FILE_REPLACE };

/* Writes beside `path`, syncs and renames: the file is there whole or not at all. */
int file_write(const char *path, const void *data, size_t len, unsigned mode,
               enum file_replace replace) __attribute__((warn_unused_result));

#endif
