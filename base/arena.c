#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list of blocks; pieces are cut from the newest. A piece that does not fit the rest of a block
 * gets a new one, so at most half of the memory is slack.
 *
 * Invariant: used <= limit, where used counts the pieces rounded up to ALIGN. */

enum { ALIGN = 16, BLOCK_MIN = 4096, BLOCK_GROWTH_MAX = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data */
    size_t used;
    _Alignas(ALIGN) unsigned char data[];
};

void arena_init(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){.limit = limit_bytes};
}

void arena_release(struct arena *a)
{
    struct arena_block *block = a->block;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    a->block = NULL;
    a->used = 0;
}

static struct arena_block *add_block(struct arena *a, size_t need)
{
    size_t size = BLOCK_MIN;
    if (a->block != NULL && a->block->size < BLOCK_GROWTH_MAX) {
        size = a->block->size * 2;
    }
    if (size < need) {
        size = need;
    }
    struct arena_block *block = malloc(sizeof(*block) + size);
    if (block == NULL) {
        return NULL;
    }
    block->next = a->block;
    block->size = size;
    block->used = 0;
    a->block = block;
    return block;
}

/* Rounded up to ALIGN, or 0 when it is more than the arena may still give. */
static size_t grant(const struct arena *a, size_t size)
{
    if (size == 0) {
        size = 1;
    }
    if (size > SIZE_MAX - ALIGN) {
        return 0;
    }
    const size_t need = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    return need <= a->limit - a->used ? need : 0;
}

static void *cut(struct arena *a, size_t size)
{
    const size_t need = grant(a, size);
    if (need == 0) {
        return NULL;
    }
    struct arena_block *block = a->block;
    if (block == NULL || block->size - block->used < need) {
        block = add_block(a, need);
    }
    if (block == NULL) {
        return NULL;
    }
    void *piece = block->data + block->used;
    block->used += need;
    a->used += need;
    return piece;
}

void *arena_alloc(struct arena *a, size_t size_bytes)
{
    void *piece = cut(a, size_bytes);
    if (piece != NULL) {
        memset(piece, 0, size_bytes);
    }
    return piece;
}

char *arena_strdup(struct arena *a, const char *text)
{
    return arena_strndup(a, text, strlen(text));
}

char *arena_strndup(struct arena *a, const char *text, size_t len)
{
    const size_t n = strnlen(text, len);
    char *copy = n < SIZE_MAX ? cut(a, n + 1) : NULL;
    if (copy != NULL) {
        memcpy(copy, text, n);
        copy[n] = '\0';
    }
    return copy;
}

void *arena_memdup(struct arena *a, const void *data, size_t len)
{
    void *copy = cut(a, len);
    if (copy != NULL && len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = arena_vprintf(a, fmt, args);
    va_end(args);
    return text;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    char *text = NULL;
    const int len = vsnprintf(NULL, 0, fmt, args);
    if (len >= 0) {
        text = cut(a, (size_t)len + 1);
    }
    if (text != NULL) {
        (void)vsnprintf(text, (size_t)len + 1, fmt, again);
    }
    va_end(again);
    return text;
}
