#include "base/exchange.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *pair_find(const struct pair *pairs, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(pairs[i].name, name) == 0) {
            return pairs[i].value;
        }
    }
    return NULL;
}

const char *exchange_param(const struct exchange *x, const char *name)
{
    return pair_find(x->param, x->param_count, name);
}

const char *exchange_query(const struct exchange *x, const char *name)
{
    return pair_find(x->query, x->query_count, name);
}

const char *exchange_header(const struct exchange *x, const char *name)
{
    return pair_find(x->header, x->header_count, name);
}

static int has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            return 1;
        }
    }
    return 0;
}

const char *exchange_name(const struct exchange *x)
{
    return x->route != NULL ? x->route->path : "none";
}

void answer_header(struct exchange *x, const char *name, const char *value)
{
    struct answer *a = &x->answer;
    if (a->header_count < ANSWER_HEADER_MAX && !has_control(name) && !has_control(value)) {
        a->header[a->header_count++] = (struct pair){.name = name, .value = value};
    }
}

void answer_body(struct exchange *x, int status, const char *content_type, const void *body,
                 size_t body_len)
{
    x->answer.status = status;
    x->answer.content_type = content_type;
    x->answer.body = body;
    x->answer.body_len = body_len;
}

void exchange_finish(struct exchange *x)
{
    x->ops->finish(x);
}

/* What is not UTF-8 can't stand in JSON: each byte outside ASCII becomes '?'. */
static void make_ascii(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text >= 0x80) {
            *text = '?';
        }
    }
}

static char *error_json(struct arena *arena, const char *code, char *message)
{
    json_t *root = json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);
    if (root == NULL) {
        make_ascii(message);
        root = json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);
    }
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    char *copy = text != NULL ? arena_strdup(arena, text) : NULL;
    free(text);
    json_decref(root);
    return copy;
}

void exchange_fail(struct exchange *x, int status, const char *code, const char *fmt, ...)
{
    static const char no_memory[] =
        "{\"error\":{\"code\":\"no_memory\",\"message\":\"the server is out of memory\"}}";
    va_list args;
    va_start(args, fmt);
    char *message = arena_vprintf(x->arena, fmt, args);
    va_end(args);
    const char *body = message != NULL ? error_json(x->arena, code, message) : NULL;
    if (body != NULL) {
        answer_body(x, status, "application/json", body, strlen(body));
    } else {
        answer_body(x, 503, "application/json", no_memory, sizeof(no_memory) - 1);
    }
    exchange_finish(x);
}
