#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "formats/err.h"

/* What goes to stdout: JSON values, tables, hexadecimal. Texts out of images, dumps and servers are
 * never printed raw: they could carry terminal escapes or break the JSON. */

/* A copy of `text` with everything but printable ASCII as '?'; returns `out`. */
char *out_clean(const char *text, char *out, size_t size);

/* JSON strings; a NULL text gives null. */
json_t *out_json_text(const char *text);
/* A path as it is if it is UTF-8, else cleaned. */
json_t *out_json_path(const char *path);
json_t *out_json_hex(const uint8_t *bytes, size_t len);

/* Prints `root` and drops it. Returns CLI_OK, or CLI_LOCAL if there was no memory for it. */
int out_json(json_t *root) __attribute__((warn_unused_result));

/* "bad segment (at byte 0x1234: runs past the end)" of an error and its decoder's diag. */
struct out_reason {
    char text[192];
};
struct out_reason out_reason(int err, const struct sf_diag *diag);

/* "1.5 MiB", "64 KiB", "12 bytes". */
struct out_size {
    char text[32];
};
struct out_size out_size(uint64_t size_bytes);

/* A column shows `key` of each object in `rows` ("a.b" looks inside); numbers, texts, booleans,
 * arrays of texts, and "-" for null, "" or absent. The last one has no title. */
struct out_column {
    const char *title;
    const char *key;
    /* Unix seconds as "5 min ago", as UTC; bytes as "1.5 MiB" */
    enum { OUT_PLAIN, OUT_AGE, OUT_TIME, OUT_BYTES } style;
};
void out_table(FILE *to, const json_t *rows, const struct out_column *columns, int64_t now_s);

/* One line per column for a single object. */
void out_record(FILE *to, const json_t *row, const struct out_column *columns, int64_t now_s);

/* The Unix time, in seconds. */
int64_t out_now_s(void);

#endif
