#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* Level and descriptor are the module's only state: where a process logs to is a property of the
 * process, like stderr itself. */

enum { LINE_MAX_BYTES = 1024 };

static atomic_int min_level = LOG_LEVEL_INFO;
static atomic_int log_fd = STDERR_FILENO;

struct line {
    size_t len;
    char text[LINE_MAX_BYTES];
};

void log_set_level(enum log_level level)
{
    atomic_store(&min_level, (int)level);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load(&min_level);
}

void log_set_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

/* Keeps one byte for the newline. */
static void put_char(struct line *line, char c)
{
    if (line->len < sizeof(line->text) - 1) {
        line->text[line->len++] = c;
    }
}

static void put_text(struct line *line, const char *text)
{
    for (; *text != '\0'; text++) {
        put_char(line, *text);
    }
}

/* Bytes from 0x80 are escaped as well: what reads the log need not agree on an encoding. */
static void put_quoted(struct line *line, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    put_char(line, '"');
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            put_char(line, '\\');
            put_char(line, (char)c);
        } else if (c < 0x20 || c >= 0x7f) {
            put_text(line, "\\x");
            put_char(line, hex[c >> 4]);
            put_char(line, hex[c & 15]);
        } else {
            put_char(line, (char)c);
        }
    }
    put_char(line, '"');
}

static int is_secret(const char *key)
{
    static const char *const secret[] = {"token",         "secret",     "password",
                                         "authorization", "credential", "private_key"};
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
        if (strcmp(key, secret[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static void put_field(struct line *line, const struct log_field *field)
{
    put_char(line, ' ');
    put_text(line, field->key);
    put_char(line, '=');
    if (is_secret(field->key)) {
        put_text(line, "***");
    } else if (field->kind == LOG_KIND_INT) {
        char number[24];
        (void)snprintf(number, sizeof(number), "%" PRId64, field->number);
        put_text(line, number);
    } else {
        put_quoted(line, field->text != NULL ? field->text : "");
    }
}

static void put_head(struct line *line, enum log_level level, const char *message)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    const time_t now = (time_t)clock_unix_s();
    struct tm tm;
    char text[32] = "";
    if (gmtime_r(&now, &tm) != NULL) {
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    put_text(line, "time=");
    put_text(line, text);
    put_text(line, " level=");
    put_text(line, names[level]);
    put_text(line, " msg=");
    put_quoted(line, message);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    if ((int)level < atomic_load_explicit(&min_level, memory_order_relaxed)) {
        return;
    }
    struct line line = {.len = 0};
    put_head(&line, level, message);
    for (; fields->kind != LOG_KIND_END; fields++) {
        put_field(&line, fields);
    }
    line.text[line.len++] = '\n';
    ssize_t n;
    do {
        n = write(atomic_load(&log_fd), line.text, line.len);
    } while (n < 0 && errno == EINTR);
}
