#ifndef PROTOCOLS_REQUEST_H
#define PROTOCOLS_REQUEST_H

#include <jansson.h>
#include <stdint.h>

#include "base/exchange.h"

/* Reads the JSON object in a request's body, field by field, and keeps the first complaint: the
 * handler reads all its fields and checks once.
 *
 *     struct request r;
 *     request_open(&r, x);
 *     const char *name = request_text(&r, "name", REQUIRED, NAME_MAX);
 *     int64_t days = request_int(&r, "days", 1, 3650, 90);
 *     if (request_end(&r) != 0) {
 *         return;                      // answered: 400 with a sentence that names the field
 *     }
 *
 * Bounds: the body is at most the route's max_body; nesting at most REQUEST_DEPTH_MAX; duplicate
 * and unknown fields are refused. What is returned lives in the exchange's arena. */

enum { REQUEST_DEPTH_MAX = 6, REQUEST_FIELD_MAX = 24 };

enum request_need { REQUIRED, OPTIONAL };

struct request {
    struct exchange *x;
    json_t *root;
    json_t *object;    /* where fields are read now: root, or an element of an array */
    const char *where; /* "" or "manifests[1]." */
    const char *seen[REQUEST_FIELD_MAX];
    unsigned seen_count;
    unsigned seen_base;    /* where those of `object` begin */
    const char *code;      /* of the first complaint, NULL = none so far */
    const char *complaint; /* a sentence */
};

/* An empty body counts as {}. */
void request_open(struct request *r, struct exchange *x);

/* Text of 1..max_len bytes of UTF-8 without control characters; NULL if absent or refused. */
const char *request_text(struct request *r, const char *name, enum request_need need,
                         size_t max_len);

/* An integer in [min, max]; `absent` when the field is not there. */
int64_t request_int(struct request *r, const char *name, int64_t min, int64_t max, int64_t absent);

/* 1 or 0; 0 when absent. */
int request_bool(struct request *r, const char *name);

/* Whether the field is there (null counts as there). */
int request_has(const struct request *r, const char *name);

/* Whether the field is there and null. Marks it as read. */
int request_null(struct request *r, const char *name);

/* Exactly `size` bytes written as hex. Returns 1 if it was there and good, else 0. */
int request_hex(struct request *r, const char *name, enum request_need need, uint8_t *out,
                size_t size);

/* Base64 (RFC 4648 section 4, with padding) of 1..max_len bytes; NULL if absent or refused. */
const uint8_t *request_base64(struct request *r, const char *name, size_t max_len, size_t *len_out);

/* Number of elements of an array of objects or texts, at most `max`; 0 if absent. */
size_t request_array(struct request *r, const char *name, enum request_need need, size_t max);
/* Element `index` of that array, a text of 1 to 255 bytes, or NULL after a complaint. */
const char *request_element(struct request *r, const char *name, size_t index);
/* Reads on inside element `index` of that array, an object, until request_leave(). */
void request_enter(struct request *r, const char *name, size_t index);
void request_leave(struct request *r);

/* Remembers a complaint of the caller's own, unless there is one already. */
void request_refuse(struct request *r, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Frees the JSON. 0, or -1 after answering 400. */
int request_end(struct request *r) __attribute__((warn_unused_result));

/* Reads an unsigned number from the query string in [min, max]; `absent` when not there. On a bad
 * one answers 400 and returns -1. */
int request_query_uint(struct exchange *x, const char *name, int64_t max, int64_t absent,
                       int64_t *out) __attribute__((warn_unused_result));

/* Answers with JSON and finishes; takes over the reference. A NULL is answered as 500. */
void answer_json(struct exchange *x, int status, json_t *body);

/* Answers without a body and finishes. */
void answer_empty(struct exchange *x, int status);

/* Text of Unix seconds for "created": an integer, or null for 0. */
json_t *json_time(int64_t unix_s);
json_t *json_hex(struct arena *a, const uint8_t *data, size_t len);

#endif
