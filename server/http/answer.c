#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http/connection.h"
#include "server/http/range.h"

/* An answer to bytes: status line, headers that every answer has, the handler's own, and the body
 * from memory; of a file only the place is noted. Always a Content-Length, never chunked. */

enum { HEAD_MAX = 4096, COPY_MAX = 3072 };

struct head {
    size_t len;
    int overflow;
    char text[HEAD_MAX];
};

static void put(struct head *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct head *h, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(h->text + h->len, sizeof(h->text) - h->len, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(h->text) - h->len) {
        h->overflow = 1;
    } else {
        h->len += (size_t)n;
    }
}

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "Unknown";
}

static const char *find_header(const struct answer *a, const char *name)
{
    for (unsigned i = 0; i < a->header_count; i++) {
        if (strcasecmp(a->header[i].name, name) == 0) {
            return a->header[i].value;
        }
    }
    return NULL;
}

static const char *date(struct worker *w)
{
    const int64_t now = clock_unix_s();
    if (now != w->date_s) {
        const time_t t = (time_t)now;
        struct tm tm;
        w->date_s = now;
        w->date[0] = '\0';
        if (gmtime_r(&t, &tm) != NULL) {
            (void)strftime(w->date, sizeof(w->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        }
    }
    return w->date;
}

/* What is sent, once conditions and ranges are decided. */
struct plan {
    int status;
    uint64_t len;    /* Content-Length */
    uint64_t offset; /* into the file */
    uint64_t total;  /* of the file, for Content-Range */
    int no_body;     /* 204 and 304: neither body nor Content-Length */
    int head_only;
    int from_file;
};

static void plan_range(const struct exchange *x, const char *etag, struct plan *p)
{
    if (x->method != METHOD_GET || !range_if_range(exchange_header(x, "if-range"), etag)) {
        return;
    }
    uint64_t offset = 0;
    uint64_t len = 0;
    switch (range_parse(exchange_header(x, "range"), p->total, &offset, &len)) {
    case RANGE_PART:
        p->status = 206;
        p->offset += offset;
        p->len = len;
        break;
    case RANGE_UNSATISFIABLE:
        p->status = 416;
        p->len = 0;
        break;
    case RANGE_WHOLE:
        break;
    }
}

static struct plan make_plan(const struct exchange *x)
{
    const struct answer *a = &x->answer;
    const char *etag = find_header(a, "etag");
    const int reads = x->method == METHOD_GET || x->method == METHOD_HEAD;
    struct plan p = {.status = a->status, .head_only = x->method == METHOD_HEAD};
    p.from_file = a->file_fd >= 0;
    p.len = p.from_file ? a->file_len : a->content_type != NULL ? a->body_len : 0;
    p.offset = p.from_file ? a->file_offset : 0;
    p.total = p.len;
    if (a->status == 200 && reads && range_none_match(exchange_header(x, "if-none-match"), etag)) {
        p.status = 304;
    } else if (a->status == 200 && p.from_file) {
        plan_range(x, etag, &p);
    }
    p.no_body = p.status == 304 || p.status == 204;
    return p;
}

static void put_extra(struct head *h, const struct exchange *x, const struct plan *p)
{
    const struct answer *a = &x->answer;
    for (unsigned i = 0; i < a->header_count; i++) {
        if (strcasecmp(a->header[i].name, "connection") != 0) {
            put(h, "%s: %s\r\n", a->header[i].name, a->header[i].value);
        }
    }
    if (find_header(a, "cache-control") == NULL) {
        put(h, "Cache-Control: no-store\r\n");
    }
    if (p->status == 401 && find_header(a, "www-authenticate") == NULL) {
        put(h, "WWW-Authenticate: Bearer\r\n");
    }
    if (p->from_file) {
        put(h, "Accept-Ranges: bytes\r\n");
    }
    if (p->status == 206) {
        const uint64_t first = p->offset - a->file_offset;
        put(h, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", first,
            first + p->len - 1, p->total);
    } else if (p->status == 416) {
        put(h, "Content-Range: bytes */%" PRIu64 "\r\n", p->total);
    }
}

static void put_head(struct head *h, const struct connection *c, const struct plan *p)
{
    const struct call *call = c->call;
    const struct answer *a = &call->x.answer;
    put(h,
        "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Content-Type-Options: nosniff\r\n"
        "X-Request-Id: %s\r\n",
        p->status, reason(p->status), date(c->worker), call->x.id);
    put_extra(h, &call->x, p);
    if (!p->no_body) {
        if (p->len > 0 && a->content_type != NULL) {
            put(h, "Content-Type: %s\r\n", a->content_type);
        }
        put(h, "Content-Length: %" PRIu64 "\r\n", p->len);
    }
    if (c->close_after) {
        put(h, "Connection: close\r\n");
    } else if (call->request.minor == 0) {
        put(h, "Connection: keep-alive\r\n");
    }
    put(h, "\r\n");
}

static const char *method_name(enum method method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    return names[method];
}

/* The route, not the path: tokens may stand in it. */
static void log_request(const struct connection *c, const struct plan *p)
{
    const struct call *call = c->call;
    const struct exchange *x = &call->x;
    const int our_fault = p->status >= 500 && p->status != 501 && p->status != 505;
    const int access = atomic_load_explicit(&c->worker->server->access_log, memory_order_relaxed);
    /* what clients ask for in vain would let them fill the log */
    const enum log_level level = our_fault ? LOG_LEVEL_WARN
                                 : access  ? LOG_LEVEL_INFO
                                           : LOG_LEVEL_DEBUG;
    LOG_CALL(level, our_fault ? "request failed" : "request", LOG_TEXT("request", x->id),
             LOG_TEXT("peer", x->peer), LOG_TEXT("who", x->who),
             LOG_TEXT("method", x->route != NULL ? method_name(x->method) : ""),
             LOG_TEXT("route", exchange_name(x)), LOG_INT("status", p->status),
             LOG_INT("bytes", p->no_body || p->head_only ? 0 : p->len),
             LOG_INT("ms", clock_mono_ms() - call->began_ms), LOG_LAST);
}

static void count(const struct connection *c, const struct plan *p)
{
    const struct http_server *s = c->worker->server;
    const struct exchange *x = &c->call->x;
    const unsigned route =
        x->route != NULL ? (unsigned)(x->route - s->config.routes) : STATS_ROUTE_MAX;
    stats_count_answer(s->stats, route, p->status);
    if (p->status == 503) { /* silence during it is no device's fault: the uptime ledger wants it */
        stats_overload(s->stats, clock_mono_ms() / 1000);
    }
    log_request(c, p);
}

/* A handler that sets no status, or headers beyond all reason. */
static void replace_answer(struct answer *a)
{
    static const char text[] =
        "{\"error\":{\"code\":\"internal\",\"message\":\"the answer could not be made\"}}";
    const int fd = a->file_fd;
    *a = (struct answer){.status = 500,
                         .content_type = "application/json",
                         .body = text,
                         .body_len = sizeof(text) - 1,
                         .file_fd = fd};
}

static void take_file(struct connection *c, const struct plan *p)
{
    struct answer *a = &c->call->x.answer;
    c->file = (struct file_body){.fd = a->file_fd, .offset = p->offset, .left = p->len};
    a->file_fd = -1;
    if (p->no_body || p->head_only || !p->from_file) {
        c->file.left = 0;
    }
}

/* The answer's memory lives in the call, which lives until the output has drained: a large body is
 * not copied, a small one is, to leave in one TLS record with its head. */
static void put_body(struct connection *c, const struct plan *p)
{
    struct evbuffer *output = bufferevent_get_output(c->bev);
    const struct answer *a = &c->call->x.answer;
    if (p->no_body || p->head_only || p->from_file || p->len == 0) {
        return;
    }
    const size_t len = (size_t)p->len;
    const int bad = len <= COPY_MAX ? evbuffer_add(output, a->body, len)
                                    : evbuffer_add_reference(output, a->body, len, NULL, NULL);
    if (bad == 0) {
        c->queued += len;
    } else {
        c->close_after = 1;
    }
}

void answer_write(struct connection *c)
{
    struct answer *a = &c->call->x.answer;
    struct evbuffer *output = bufferevent_get_output(c->bev);
    struct head head;
    struct plan p;
    for (int attempt = 0; attempt < 2; attempt++) {
        const char *connection = find_header(a, "connection");
        if (connection != NULL && strcasecmp(connection, "close") == 0) {
            c->close_after = 1;
        }
        p = make_plan(&c->call->x);
        if (attempt > 0) {
            p.from_file = 0;
            p.len = a->body_len;
        }
        head.len = 0;
        head.overflow = a->status < 200 || a->status > 599;
        put_head(&head, c, &p);
        if (!head.overflow) {
            break;
        }
        replace_answer(a);
    }
    count(c, &p);
    take_file(c, &p);
    (void)evbuffer_expand(output, head.len + (p.len <= COPY_MAX ? (size_t)p.len : 0));
    if (evbuffer_add(output, head.text, head.len) == 0) {
        c->queued += head.len;
    }
    put_body(c, &p);
    if (!p.no_body && !p.head_only) {
        STATS_ADD(c->worker->server->stats->bytes_out, p.len);
    }
}
