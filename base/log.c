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
static atomic_int log_format = LOG_FORMAT_TEXT;
static atomic_int log_fd = STDERR_FILENO;

struct line {
    int json;
    int full; /* something did not fit */
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

void log_set_format(enum log_format format)
{
    atomic_store(&log_format, (int)format);
}

void log_set_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

/* Keeps room for the end of the line. */
static void put_char(struct line *line, char c)
{
    if (line->len + 1 + (size_t)line->json < sizeof(line->text)) {
        line->text[line->len++] = c;
    } else {
        line->full = 1;
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
            put_text(line, line->json ? "\\u00" : "\\x");
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

/* Keys are our own and static. */
static void put_key(struct line *line, const char *key)
{
    if (line->json) {
        put_text(line, line->len > 1 ? ",\"" : "\"");
        put_text(line, key);
        put_text(line, "\":");
    } else {
        put_text(line, line->len > 0 ? " " : "");
        put_text(line, key);
        put_char(line, '=');
    }
}

static void put_value(struct line *line, const struct log_field *field)
{
    if (is_secret(field->key)) {
        put_text(line, line->json ? "\"***\"" : "***");
    } else if (field->kind == LOG_KIND_INT) {
        char number[24];
        (void)snprintf(number, sizeof(number), "%" PRId64, field->number);
        put_text(line, number);
    } else {
        put_quoted(line, field->text != NULL ? field->text : "");
    }
}

static void put_field(struct line *line, const struct log_field *field)
{
    const size_t before = line->len;
    put_key(line, field->key);
    put_value(line, field);
    if (line->json && line->full) { /* half a value would spoil the whole line */
        line->len = before;
        line->full = 0;
    }
}

/* Words that need no quotes; JSON wants them all the same. */
static void put_word(struct line *line, const char *key, const char *word)
{
    put_key(line, key);
    put_text(line, line->json ? "\"" : "");
    put_text(line, word);
    put_text(line, line->json ? "\"" : "");
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
    put_text(line, line->json ? "{" : "");
    put_word(line, "time", text);
    put_word(line, "level", names[level]);
    put_key(line, "msg");
    put_quoted(line, message);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    if ((int)level < atomic_load_explicit(&min_level, memory_order_relaxed)) {
        return;
    }
    struct line line = {.json = atomic_load_explicit(&log_format, memory_order_relaxed) ==
                                LOG_FORMAT_JSON};
    put_head(&line, level, message);
    for (; fields->kind != LOG_KIND_END; fields++) {
        put_field(&line, fields);
    }
    if (line.json) {
        line.text[line.len++] = '}';
    }
    line.text[line.len++] = '\n';
    ssize_t n;
    do {
        n = write(atomic_load(&log_fd), line.text, line.len);
    } while (n < 0 && errno == EINTR);
}
