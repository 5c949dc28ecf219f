#ifndef REQUEST_H
#define REQUEST_H

#include <llhttp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/exchange.h"

/* One HTTP request from bytes, without sockets: the head in one piece, then the body in pieces of
 * any size. llhttp parses; what it lets through and we do not is refused here.
 *
 * Invariants:
 * 1. Nothing is interpreted in two ways: lines end with CRLF, no folding, no control characters, no
 *    second Host, Content-Length or kept header, no coding but chunked alone, no chunk extension,
 *    no trailer, no Upgrade. Each of these is refused with a status, and the connection must close.
 *    Nothing is ever decompressed: a body with a content coding is refused too.
 * 2. Header names are lower case; names and values are NUL-terminated in the arena. */

struct head_scan {
    size_t pos;     /* bytes looked at */
    int end;        /* progress through CR LF CR LF */
    unsigned lines; /* that have ended */
};

enum { HEAD_MORE = 0 };

/* Header fields of one request. Clients send up to some 25 (HTTPUpdate on an ESP8266). */
enum { REQUEST_FIELDS_MAX = 64 };

/* Looks for the end of the head in data[0, len); call it again with more bytes at the same data.
 * The length of the head with its empty line, HEAD_MORE, or -status with a sentence in *why. */
int request_head_scan(struct head_scan *s, const uint8_t *data, size_t len, const char **why)
    __attribute__((warn_unused_result));

struct request {
    llhttp_t parser;
    struct arena *arena;
    enum method method;
    char *target;     /* as sent */
    const char *host; /* NULL only in HTTP/1.0 */
    int minor;        /* 0 or 1 */
    int keep_alive;   /* the client allows another request */
    int has_body;     /* chunked, or a Content-Length above 0 */
    int chunked;
    uint64_t content_length; /* 0 when chunked */
    int expect_continue;
    struct pair header[EXCHANGE_HEADER_MAX];
    unsigned header_count;
    int complete; /* the body is there as well */
    /* why it is refused; status 0 = it is not */
    int status;
    const char *why;
    /* gets each piece of the body: 0, or a status that refuses the request */
    int (*body)(void *ctx, const uint8_t *data, size_t len);
    void *body_ctx;
    /* parser's scratch */
    unsigned lines;
    char *name;
    char *value;
};

/* Parses a head of exactly `len` bytes; `head` lives in the arena and is changed. 0 or the status
 * that refuses it (then request.why is a sentence). */
int request_head(struct request *r, struct arena *arena, char *head, size_t len)
    __attribute__((warn_unused_result));

/* Feeds bytes that follow the head and sets *used; what is behind the request is not used. 0 (see
 * request.complete) or a status. */
int request_feed(struct request *r, const uint8_t *data, size_t len, size_t *used)
    __attribute__((warn_unused_result));

#endif
