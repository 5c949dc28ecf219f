#ifndef ARENA_H
#define ARENA_H

#include <stdarg.h>
#include <stddef.h>

/* Memory for one request or job: many small pieces, freed together, at most `limit` bytes. Not
 * thread-safe. */

struct arena_block;

struct arena {
    struct arena_block *block;
    size_t used;  /* bytes handed out */
    size_t limit; /* bytes */
};

void arena_init(struct arena *a, size_t limit_bytes);
void arena_release(struct arena *a);

/* Zeroed, aligned to 16; NULL when the limit or the memory is used up. */
void *arena_alloc(struct arena *a, size_t size_bytes);
char *arena_strdup(struct arena *a, const char *text);
char *arena_strndup(struct arena *a, const char *text, size_t len);
void *arena_memdup(struct arena *a, const void *data, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
