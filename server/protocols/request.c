/* Requests' JSON: bounded, strict, and every complaint names the field. */
#include "server/protocols/request.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "server/protocols/text.h"

void request_refuse(struct request *r, const char *code, const char *fmt, ...)
{
    if (r->code != NULL) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    const char *sentence = arena_vprintf(r->x->arena, fmt, args);
    va_end(args);
    r->code = code;
    r->complaint = sentence == NULL ? "the request cannot be read" : sentence;
}

/* jansson recurses once a level: count the levels before it sees the text. */
static int depth_fits(const char *text, size_t len)
{
    unsigned depth = 0;
    int in_string = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '[' || c == '{') {
            if (++depth > REQUEST_DEPTH_MAX) {
                return 0;
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return 1;
}

void request_open(struct request *r, struct exchange *x)
{
    *r = (struct request){.x = x, .where = ""};
    if (x->body_len == 0) {
        r->root = json_object();
    } else if (!depth_fits((const char *)x->body, x->body_len)) {
        request_refuse(r, "bad_json", "the JSON is nested deeper than %d levels",
                       REQUEST_DEPTH_MAX);
    } else {
        json_error_t error;
        r->root = json_loadb((const char *)x->body, x->body_len, JSON_REJECT_DUPLICATES, &error);
        if (r->root == NULL) {
            request_refuse(r, "bad_json", "the body is not JSON: %s (line %d, column %d)",
                           error.text, error.line, error.column);
        }
    }
    if (r->code == NULL && !json_is_object(r->root)) {
        request_refuse(r, "bad_json", "the body must be a JSON object, { ... }");
    }
    r->object = r->root;
}

static void mark(struct request *r, const char *name)
{
    for (unsigned i = r->seen_base; i < r->seen_count; i++) {
        if (strcmp(r->seen[i], name) == 0) {
            return;
        }
    }
    if (r->seen_count < REQUEST_FIELD_MAX) {
        r->seen[r->seen_count++] = name;
    }
}

/* The field's value, or NULL when it is absent (after a complaint if it is required). */
static json_t *take(struct request *r, const char *name, enum request_need need)
{
    mark(r, name);
    if (r->code != NULL) {
        return NULL;
    }
    json_t *value = json_object_get(r->object, name);
    if ((value == NULL || json_is_null(value)) && need == REQUIRED) {
        request_refuse(r, "missing_field", "field '%s%s' is missing", r->where, name);
        return NULL;
    }
    return json_is_null(value) ? NULL : value;
}

static int has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return 1;
        }
    }
    return 0;
}

/* Text with its length in bytes, any content. */
static const char *take_text(struct request *r, const char *name, enum request_need need,
                             size_t max_len)
{
    json_t *value = take(r, name, need);
    if (value == NULL) {
        return NULL;
    }
    if (!json_is_string(value)) {
        request_refuse(r, "bad_field", "field '%s%s' must be text", r->where, name);
        return NULL;
    }
    size_t len = json_string_length(value);
    if (len < 1 || len > max_len) {
        request_refuse(r, "bad_field", "field '%s%s' must have 1 to %zu characters, it has %zu",
                       r->where, name, max_len, len);
        return NULL;
    }
    if (has_control(json_string_value(value), len)) {
        request_refuse(r, "bad_field", "field '%s%s' contains a control character", r->where, name);
        return NULL;
    }
    return json_string_value(value);
}

const char *request_text(struct request *r, const char *name, enum request_need need,
                         size_t max_len)
{
    const char *text = take_text(r, name, need, max_len);
    if (text == NULL) {
        return NULL;
    }
    char *copy = arena_strdup(r->x->arena, text);
    if (copy == NULL) {
        request_refuse(r, "too_large", "the request needs too much memory");
    }
    return copy;
}

int64_t request_int(struct request *r, const char *name, int64_t min, int64_t max, int64_t absent)
{
    json_t *value = take(r, name, OPTIONAL);
    if (value == NULL) {
        return absent;
    }
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max) {
        request_refuse(r, "bad_field",
                       "field '%s%s' must be a whole number from %" PRId64 " to %" PRId64, r->where,
                       name, min, max);
        return absent;
    }
    return json_integer_value(value);
}

int request_bool(struct request *r, const char *name)
{
    json_t *value = take(r, name, OPTIONAL);
    if (value != NULL && !json_is_boolean(value)) {
        request_refuse(r, "bad_field", "field '%s%s' must be true or false", r->where, name);
        return 0;
    }
    return json_is_true(value);
}

int request_has(const struct request *r, const char *name)
{
    return r->code == NULL && json_object_get(r->object, name) != NULL;
}

int request_null(struct request *r, const char *name)
{
    if (r->code != NULL || !json_is_null(json_object_get(r->object, name))) {
        return 0;
    }
    mark(r, name);
    return 1;
}

int request_hex(struct request *r, const char *name, enum request_need need, uint8_t *out,
                size_t size)
{
    const char *text = take_text(r, name, need, 2 * size);
    if (text == NULL) {
        return 0;
    }
    if (hex_decode(text, out, size) != 0) {
        request_refuse(r, "bad_field", "field '%s%s' must be %zu hex digits", r->where, name,
                       2 * size);
        return 0;
    }
    return 1;
}

const uint8_t *request_base64(struct request *r, const char *name, size_t max_len, size_t *len_out)
{
    *len_out = 0;
    const char *text = take_text(r, name, REQUIRED, text_base64_size(max_len) - 1);
    if (text == NULL) {
        return NULL;
    }
    uint8_t *out = arena_alloc(r->x->arena, max_len);
    int32_t len = out == NULL ? -1 : text_unbase64(text, strlen(text), out, max_len);
    if (len < 1) {
        request_refuse(r, "bad_field", "field '%s%s' must be base64 of 1 to %zu bytes", r->where,
                       name, max_len);
        return NULL;
    }
    *len_out = (size_t)len;
    return out;
}

size_t request_array(struct request *r, const char *name, enum request_need need, size_t max)
{
    json_t *value = take(r, name, need);
    if (value == NULL) {
        return 0;
    }
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count > max || (count == 0 && need == REQUIRED)) {
        request_refuse(r, "bad_field", "field '%s%s' must be a list of %d to %zu elements",
                       r->where, name, need == REQUIRED, max);
        return 0;
    }
    return count;
}

const char *request_element(struct request *r, const char *name, size_t index)
{
    if (r->code != NULL) {
        return NULL;
    }
    const json_t *element = json_array_get(json_object_get(r->object, name), index);
    size_t len = json_string_length(element);
    if (!json_is_string(element) || len < 1 || len > 255 ||
        has_control(json_string_value(element), len)) {
        request_refuse(r, "bad_field", "field '%s%s[%zu]' must be text of 1 to 255 characters",
                       r->where, name, index);
        return NULL;
    }
    char *copy = arena_strdup(r->x->arena, json_string_value(element));
    if (copy == NULL) {
        request_refuse(r, "too_large", "the request needs too much memory");
    }
    return copy;
}

/* Fields that nobody has asked for are mistakes of the caller: better told than ignored. */
static void refuse_unknown(struct request *r)
{
    const char *name;
    json_t *value;
    json_object_foreach(r->object, name, value)
    {
        int known = 0;
        for (unsigned i = r->seen_base; i < r->seen_count && !known; i++) {
            known = strcmp(r->seen[i], name) == 0;
        }
        if (!known) {
            request_refuse(r, "unknown_field", "field '%s%.64s' is not known here", r->where, name);
            return;
        }
    }
}

void request_enter(struct request *r, const char *name, size_t index)
{
    if (r->code != NULL) {
        return;
    }
    json_t *element = json_array_get(json_object_get(r->object, name), index);
    if (!json_is_object(element)) {
        request_refuse(r, "bad_field", "field '%s[%zu]' must be an object, { ... }", name, index);
        return;
    }
    const char *where = arena_printf(r->x->arena, "%s[%zu].", name, index);
    r->where = where == NULL ? "" : where;
    r->object = element;
    r->seen_base = r->seen_count;
}

void request_leave(struct request *r)
{
    if (r->object == r->root) {
        return;
    }
    if (r->code == NULL) {
        refuse_unknown(r);
    }
    r->object = r->root;
    r->where = "";
    r->seen_count = r->seen_base;
    r->seen_base = 0;
}

int request_end(struct request *r)
{
    if (r->code == NULL) {
        refuse_unknown(r);
    }
    json_decref(r->root);
    r->root = NULL;
    r->object = NULL;
    if (r->code == NULL) {
        return 0;
    }
    exchange_fail(r->x, 400, r->code, "%s", r->complaint);
    return -1;
}

int request_query_uint(struct exchange *x, const char *name, int64_t max, int64_t absent,
                       int64_t *out)
{
    *out = absent;
    const char *text = exchange_query(x, name);
    if (text == NULL) {
        return 0;
    }
    size_t len = strlen(text);
    int64_t value = -1;
    if (len >= 1 && len <= 18 && strspn(text, "0123456789") == len) {
        value = strtoll(text, NULL, 10);
    }
    if (value < 0 || value > max) {
        exchange_fail(x, 400, "bad_query", "'%s' must be a whole number from 0 to %" PRId64, name,
                      max);
        return -1;
    }
    *out = value;
    return 0;
}

void answer_json(struct exchange *x, int status, json_t *body)
{
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    size_t len = text == NULL ? 0 : strlen(text);
    void *copy = text == NULL ? NULL : arena_memdup(x->arena, text, len);
    free(text);
    if (copy == NULL) {
        exchange_fail(x, 500, "out_of_memory", "the answer needs too much memory; ask for less");
        return;
    }
    x->answer.status = status;
    x->answer.content_type = "application/json";
    x->answer.body = copy;
    x->answer.body_len = len;
    exchange_finish(x);
}

void answer_empty(struct exchange *x, int status)
{
    x->answer.status = status;
    x->answer.content_type = NULL;
    exchange_finish(x);
}

json_t *json_time(int64_t unix_s)
{
    return unix_s == 0 ? json_null() : json_integer(unix_s);
}

json_t *json_hex(struct arena *a, const uint8_t *data, size_t len)
{
    char *text = arena_alloc(a, 2 * len + 1);
    if (text == NULL) {
        return NULL;
    }
    hex_encode(data, len, text);
    return json_string(text);
}
