#ifndef LOG_H
#define LOG_H

#include <stdint.h>

/* Structured log to stderr, one logfmt line an event, in one write(2):
 *
 *     time=2025-11-24T11:00:00Z level=info msg="listening" address="127.0.0.1:8443" loops=2
 *
 * From any thread. Values are quoted and escaped, so input can't forge lines or fields. A value
 * whose key names a secret (token, secret, password, authorization, credential, private_key) is
 * replaced by "***".
 *
 *     log_info("listening", LOG_TEXT("address", address), LOG_INT("loops", loops));
 *     log_warn("clock went back");
 */

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum log_kind { LOG_KIND_END, LOG_KIND_TEXT, LOG_KIND_INT };

struct log_field {
    enum log_kind kind;
    const char *key;  /* static, lower case */
    const char *text; /* NULL is written as empty */
    int64_t number;
};

#define LOG_TEXT(key_, text_) \
    ((struct log_field){.kind = LOG_KIND_TEXT, .key = (key_), .text = (text_)})
#define LOG_INT(key_, number_) \
    ((struct log_field){.kind = LOG_KIND_INT, .key = (key_), .number = (int64_t)(number_)})
#define LOG_LAST ((struct log_field){.kind = LOG_KIND_END})

#define LOG_CALL(level, message, ...) \
    log_write((level), (message), (const struct log_field[]){__VA_ARGS__})
#define log_debug(...) LOG_CALL(LOG_LEVEL_DEBUG, __VA_ARGS__, LOG_LAST)
#define log_info(...)  LOG_CALL(LOG_LEVEL_INFO, __VA_ARGS__, LOG_LAST)
#define log_warn(...)  LOG_CALL(LOG_LEVEL_WARN, __VA_ARGS__, LOG_LAST)
#define log_error(...) LOG_CALL(LOG_LEVEL_ERROR, __VA_ARGS__, LOG_LAST)

/* Lines below `level` are dropped; info is the default. */
void log_set_level(enum log_level level);
enum log_level log_level(void);
/* The same as lines of JSON: {"time": "...", "level": "info", "msg": "listening", "loops": 2}.
 * Fields that would make a line too long are left out. */
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
void log_set_format(enum log_format format);
/* Another file descriptor than 2, for tests. */
void log_set_fd(int fd);

/* Fields end with LOG_LAST. Lines over 1 KiB are cut. */
void log_write(enum log_level level, const char *message, const struct log_field *fields);

#endif
