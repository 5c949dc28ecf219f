#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>

/* surefootd's command line. */

enum {
    OPTIONS_HOST_MAX = 16,
    OPTIONS_LOOPS_MAX = 64,
    OPTIONS_ADDRESS_MAX = 46, /* an IPv6 address as text, with NUL */
    OPTIONS_NAME_MAX = 253,   /* of a host, RFC 1035 */
};

/* Exit codes; documented in --help and README. */
enum exit_code {
    EXIT_STOPPED = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_DATA = 3,     /* the data folder cannot be used, or another surefootd uses it */
    EXIT_DATABASE = 4, /* locked, read-only, damaged, or from a newer version */
    EXIT_LISTEN = 5,   /* the address is in use or is not this machine's */
};

enum option_mode { MODE_RUN, MODE_HELP, MODE_VERSION, MODE_PRINT_ROUTES };

struct options {
    enum option_mode mode;
    const char *data;
    char address[OPTIONS_ADDRESS_MAX];
    uint16_t port; /* 0 = any free one */
    const char *host[OPTIONS_HOST_MAX];
    unsigned host_count;
    unsigned loops;
    char error[256]; /* a sentence, when options_parse() fails */
};

/* 0, or -1 with `error`. Strings point into argv or are static. */
int options_parse(struct options *o, int argc, const char *const argv[])
    __attribute__((warn_unused_result));

extern const char options_help[];

#endif
