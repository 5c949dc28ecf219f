#ifndef OPTIONS_H
#define OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* surefootd's settings. One table (options.c) has them all; each may be given as a flag, as a
 * variable of the environment and in the configuration file:
 *
 *     --tls-cert FILE    SUREFOOTD_TLS_CERT=FILE    tls-cert = FILE
 *
 * The flag counts before the environment, that before the file, that before the default; what does
 * not count is checked all the same. No secret is a setting: this all may be printed.
 *
 *     struct options o;                                 // 24 KiB
 *     if (options_load(&o, argc, argv, environ) != 0)   // options_load.c: reads the file
 *         ... o.error ...
 *
 * The rest is pure. Strings live as long as `o`, which can't be copied. */

enum {
    OPTIONS_HOST_MAX = 16,
    OPTIONS_LOOPS_MAX = 64,
    OPTIONS_ADDRESS_MAX = 46, /* an IPv6 address as text, with NUL */
    OPTIONS_NAME_MAX = 253,   /* of a host, RFC 1035 */
    OPTIONS_SETTING_MAX = 40,
    OPTIONS_POOL = 16384, /* bytes of all text */
    OPTIONS_PATH_MAX = 4096,
    OPTIONS_ERROR_MAX = 512,
};

/* Exit codes; documented in --help and README. */
enum exit_code {
    EXIT_STOPPED = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,    /* command line, environment or configuration file */
    EXIT_DATA = 3,     /* the data folder cannot be used, or another surefootd uses it */
    EXIT_DATABASE = 4, /* locked, read-only, damaged, or from a newer version */
    EXIT_LISTEN = 5,   /* the address is in use or is not this machine's */
};

enum option_mode {
    MODE_RUN,
    MODE_CHECK_CONFIG,
    MODE_PRINT_CONFIG,
    MODE_PRINT_SETTINGS,
    MODE_PRINT_ROUTES,
    MODE_HELP,
    MODE_VERSION,
};

enum option_source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

struct option_origin {
    enum option_source source;
    unsigned line;    /* of the file */
    const char *text; /* as it was given; NULL = not given and without a default */
};

struct options {
    enum option_mode mode;
    const char *config; /* the file that was read, or NULL */
    const char *data;
    char address[OPTIONS_ADDRESS_MAX];
    uint16_t port; /* 0 = any free one */
    const char *host[OPTIONS_HOST_MAX];
    unsigned host_count;
    const char *tls_cert; /* NULL = the private CA's, like tls_key */
    const char *tls_key;
    unsigned loops;
    unsigned drain_s;
    unsigned log_level;  /* enum log_level */
    unsigned log_format; /* enum log_format */
    unsigned access_log; /* 0 or 1 */
    unsigned connections;
    unsigned address_connections; /* 0 = a quarter of the above */
    unsigned address_handshakes;  /* 0 = a quarter of a loop's */
    unsigned address_per_s;
    unsigned address_burst;
    unsigned checkin_interval_s;
    uint64_t quota_bytes;       /* 0 = none */
    uint64_t reserve_bytes;     /* for the database */
    unsigned keep_history_days; /* 0 = for ever, like the others */
    unsigned keep_audit_days;
    unsigned keep_deployments_days;
    unsigned keep_revoked_devices_days;
    unsigned keep_uptime_days;
    unsigned keep_uploads_days;

    struct option_origin origin[OPTIONS_SETTING_MAX]; /* by index in the table */
    char path[OPTIONS_PATH_MAX];                      /* of the file in the data folder */
    char pool[OPTIONS_POOL];
    size_t pool_used;
    char error[OPTIONS_ERROR_MAX]; /* a sentence, when a step fails */
};

void options_init(struct options *o);

/* Each: 0, or -1 with `error`. In this order; the file's text need not outlive the call. */
int options_flags(struct options *o, int argc, const char *const argv[])
    __attribute__((warn_unused_result));
int options_environment(struct options *o, const char *const environment[])
    __attribute__((warn_unused_result));
int options_file(struct options *o, const char *text, size_t len)
    __attribute__((warn_unused_result));
/* Defaults for what was not given, and what must fit together. */
int options_finish(struct options *o) __attribute__((warn_unused_result));

/* All of it. The file is --config, or surefootd.conf in the data folder if there is one. */
int options_load(struct options *o, int argc, const char *const argv[],
                 const char *const environment[]) __attribute__((warn_unused_result));

/* What a person reads about a setting, and how it is applied. */
struct setting {
    const char *name;     /* "tls-cert" */
    const char *value;    /* "FILE" */
    const char *fallback; /* the default as text, or NULL */
    const char *absent;   /* without a default: what is done then */
    const char *help;     /* lines, of the flag */
    int reloads;          /* SIGHUP takes a new value; the others need a restart */
    int many;             /* may be given several times */
};

/* The table's rows in order, and NULL behind the last. */
const struct setting *options_setting(unsigned index);

/* options_text.c: --help, --print-config (a file that means the same), --print-settings (Markdown).
 */
void options_print_help(FILE *to);
void options_print_config(const struct options *o, FILE *to);
void options_print_settings(FILE *to);

/* The name of the first setting from `*index` on that differs and needs a restart, or NULL; moves
 * *index behind it. */
const char *options_needs_restart(const struct options *now, const struct options *next,
                                  unsigned *index);

#endif
