#ifndef CONFIG_LINES_H
#define CONFIG_LINES_H

#include <stddef.h>

/* The grammar of surefootd's configuration file: a line is empty, a comment, or `key = value`.
 * A '#' begins a comment at the start of a line and after white space. Values are printable ASCII
 * or UTF-8 and stand without quotes; spaces around them do not count. Names of keys are the
 * caller's matter (options.c). Pure.
 *
 *     struct config_lines r = {.text = text, .len = len};
 *     struct config_line line;
 *     while ((got = config_lines_next(&r, &line)) > 0) ...    // < 0: line.error says why
 */

enum {
    CONFIG_KEY_MAX = 40,
    CONFIG_VALUE_MAX = 1000,
    CONFIG_FILE_MAX = 65536, /* bytes of a file; the shell that reads it checks */
};

struct config_lines {
    const char *text;
    size_t len;
    size_t at;
    unsigned number; /* of the line that was read last, from 1 */
};

struct config_line {
    char key[CONFIG_KEY_MAX + 1];
    char value[CONFIG_VALUE_MAX + 1];
    const char *error; /* what is wrong and what to do, static */
};

/* 1 = a key and its value, 0 = the end, -1 = a line that is neither, with `error`. */
int config_lines_next(struct config_lines *r, struct config_line *out)
    __attribute__((warn_unused_result));

#endif
