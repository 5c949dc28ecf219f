#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/siphash.h"
#include "formats/err.h"
#include "server/http/connection.h"

/* One exchange: from its head to finish(). */

enum { BODY_FIRST_BYTES = 1024, SPOOL_CHECK_BYTES = 1 << 20 };

/* On the worker's thread. */
static void answered(void *arg)
{
    struct call *call = arg;
    call->answered = 1;
    if (call->conn == NULL) {
        struct http_server *s = call->worker->server;
        call_free(call);
        server_leave(s);
    } else {
        connection_advance(call->conn);
    }
}

static void finish(struct exchange *x)
{
    struct call *call = (struct call *)x;
    const int before = atomic_exchange(&call->finished, 1);
    assert(!before);
    (void)before;
    if (loop_is_current(&call->worker->loop)) {
        answered(call);
    } else {
        call->finish_task = (struct task){.run = answered, .arg = call};
        loop_post(&call->worker->loop, &call->finish_task);
    }
}

static void run_deferred(void *arg)
{
    struct call *call = arg;
    void (*fn)(void *) = call->defer_fn;
    void *fn_arg = call->defer_arg;
    atomic_store(&call->deferred, 0);
    fn(fn_arg); /* may finish and free the call */
}

static void defer(struct exchange *x, void (*fn)(void *arg), void *arg)
{
    struct call *call = (struct call *)x;
    const int before = atomic_exchange(&call->deferred, 1);
    assert(!before);
    (void)before;
    call->defer_fn = fn;
    call->defer_arg = arg;
    call->defer_task = (struct task){.run = run_deferred, .arg = call};
    loop_post(&call->worker->loop, &call->defer_task);
}

static const struct exchange_ops ops = {.finish = finish, .defer = defer};

/* A number that nobody else can know the next of, as hex: other people's requests are not to be
 * named by guessing. */
static void make_id(struct worker *w, char id[EXCHANGE_ID_SIZE])
{
    const uint64_t number[2] = {w->index, ++w->ids};
    (void)snprintf(id, EXCHANGE_ID_SIZE, "%016" PRIx64,
                   siphash(w->server->id_key, number, sizeof(number)));
}

struct call *call_new(struct connection *c)
{
    struct worker *w = c->worker;
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }
    arena_init(&call->arena, w->server->limits.arena_bytes);
    call->worker = w;
    call->conn = c;
    call->spool.fd = -1;
    call->x = (struct exchange){
        .arena = &call->arena,
        .ops = &ops,
        .loop = w->index,
        .roles = ROLE_ANYONE,
        .address = c->address,
        .path = "",
        .answer = {.file_fd = -1},
    };
    call->began_ms = clock_mono_ms();
    make_id(w, call->x.id);
    call->x.peer = arena_strdup(&call->arena, c->peer);
    if (call->x.peer == NULL) {
        call->x.peer = "";
    }
    call->next = w->calls;
    if (w->calls != NULL) {
        w->calls->prev = call;
    }
    w->calls = call;
    (void)atomic_fetch_add_explicit(&w->server->stats->exchanges, 1, memory_order_relaxed);
    return call;
}

void call_free(struct call *call)
{
    struct worker *w = call->worker;
    if (call->prev != NULL) {
        call->prev->next = call->next;
    } else {
        w->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    }
    (void)atomic_fetch_sub_explicit(&w->server->stats->exchanges, 1, memory_order_relaxed);
    if (call->x.answer.file_fd >= 0) {
        (void)close(call->x.answer.file_fd);
    }
    spool_release(&call->spool);
    arena_release(&call->arena);
    free(call);
}

void call_refuse(struct call *call, int status, const char *why)
{
    static const struct {
        int status;
        const char *code;
    } codes[] = {
        {400, "bad_request"},         {401, "unauthorized"},       {403, "forbidden"},
        {404, "not_found"},           {405, "method_not_allowed"}, {408, "too_slow"},
        {413, "too_large"},           {414, "target_too_long"},    {415, "wrong_content_type"},
        {417, "expectation_failed"},  {421, "other_server"},       {429, "too_many_requests"},
        {431, "headers_too_large"},   {501, "not_implemented"},    {503, "unavailable"},
        {505, "version_unsupported"}, {507, "disk_full"},
    };
    const char *code = "error";
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].status == status) {
            code = codes[i].code;
        }
    }
    exchange_fail(&call->x, status, code, "%s", why);
}

/* ---- body ---- */

static int refuse_body(struct call *call, int status, const char *why)
{
    call->refusal = why;
    return status;
}

/* A body of known length gets its memory at once, another one doubles. */
static int grow(struct call *call, size_t need)
{
    const struct route *route = call->x.route;
    size_t size = call->memory_size > 0 ? call->memory_size * 2 : BODY_FIRST_BYTES;
    if (call->request.content_length > 0) {
        size = (size_t)call->request.content_length + 1;
    } else if (size > route->max_body + 1) {
        size = (size_t)route->max_body + 1;
    }
    if (size < need) {
        size = need;
    }
    uint8_t *memory = arena_alloc(&call->arena, size);
    if (memory == NULL) {
        return refuse_body(call, 503, "the server is out of memory; try again later");
    }
    if (call->x.body_len > 0) {
        memcpy(memory, call->memory_body, call->x.body_len);
    }
    call->memory_body = memory;
    call->memory_size = size;
    return 0;
}

static int take_memory(struct call *call, const uint8_t *data, size_t len)
{
    const size_t need = call->x.body_len + len + 1;
    if (need > call->memory_size) {
        const int status = grow(call, need);
        if (status != 0) {
            return status;
        }
    }
    memcpy(call->memory_body + call->x.body_len, data, len);
    call->x.body_len += len;
    call->memory_body[call->x.body_len] = '\0';
    return 0;
}

static int disk_refusal(struct call *call, int err)
{
    if (err == SF_ERR_NOSPC) {
        log_error("upload refused: the disk is full", LOG_TEXT("request", call->x.id),
                  LOG_TEXT("route", exchange_name(&call->x)));
        return refuse_body(call, 507, "the server's disk is full; free some space and try again");
    }
    log_error("upload failed", LOG_TEXT("request", call->x.id),
              LOG_TEXT("route", exchange_name(&call->x)), LOG_TEXT("why", sf_err_str(err)));
    return refuse_body(call, 500, "the server could not store the body");
}

static const char *refuse_spool(struct call *call, uint64_t written, uint64_t more)
{
    const struct http_config *config = &call->worker->server->config;
    return config->spool_refuse != NULL
               ? config->spool_refuse(config->ctx, &call->arena, written, more)
               : NULL;
}

static int take_body(void *ctx, const uint8_t *data, size_t len)
{
    struct call *call = ctx;
    const struct route *route = call->x.route;
    struct stats *stats = call->worker->server->stats;
    STATS_ADD(stats->bytes_in, len);
    if (call->conn != NULL) {
        call->conn->moved += len;
    }
    const uint64_t before = route->body == BODY_FILE ? call->spool.len : call->x.body_len;
    if (len > route->max_body - before) {
        return refuse_body(call, 413, "the body is larger than this route takes");
    }
    if (route->body == BODY_MEMORY) {
        return take_memory(call, data, len);
    }
    if (((before + len) ^ before) >= SPOOL_CHECK_BYTES) {
        const char *why = refuse_spool(call, before + len, 0);
        if (why != NULL) {
            return refuse_body(call, 507, why);
        }
    }
    const int err = spool_write(&call->spool, data, len);
    return err < 0 ? disk_refusal(call, err) : 0;
}

/* ---- head ---- */

static const char *media_type_end(const char *value)
{
    return value + strcspn(value, "; \t");
}

static int content_type_fits(const struct call *call)
{
    const char *want = call->x.route->body_content_type;
    const char *got = exchange_header(&call->x, "content-type");
    if (want == NULL) {
        return 1;
    }
    return got != NULL && (size_t)(media_type_end(got) - got) == strlen(want) &&
           strncasecmp(got, want, strlen(want)) == 0;
}

/* 0 if the route takes a body like this one. */
static int check_body(struct call *call, const char **why)
{
    const struct request *r = &call->request;
    const struct route *route = call->x.route;
    if (!r->has_body) {
        return 0;
    }
    if (route->body == BODY_NONE) {
        *why = "this route takes no body";
        return 413;
    }
    if (r->content_length > route->max_body) {
        *why = "the body is larger than this route takes";
        return 413;
    }
    if (!content_type_fits(call)) {
        *why =
            arena_printf(&call->arena, "the Content-Type must be '%s'", route->body_content_type);
        return *why != NULL ? 415 : 503;
    }
    return 0;
}

static int open_spool(struct call *call, const char **why)
{
    const char *dir = call->worker->server->config.spool_dir;
    if (call->x.route->body != BODY_FILE) {
        return 0;
    }
    *why = refuse_spool(call, 0, call->request.content_length);
    if (*why != NULL) {
        return 507;
    }
    const int err = dir != NULL ? spool_open(&call->spool, dir) : SF_ERR_STATE;
    if (err < 0) {
        const int status = disk_refusal(call, err);
        *why = call->refusal;
        return status;
    }
    return 0;
}

/* 1 if the call goes on. The hook may have finished it. */
static int authorise(struct call *call)
{
    struct http_server *s = call->worker->server;
    struct exchange *x = &call->x;
    const int status = s->config.authorise != NULL ? s->config.authorise(x, s->config.ctx) : 0;
    if (status == EXCHANGE_ANSWERED) {
        return 0;
    }
    if (status != 0) {
        call_refuse(call, status, "the caller may not do this");
        return 0;
    }
    if ((x->roles & x->route->roles) != 0) {
        return 1;
    }
    if (x->who == NULL) {
        call_refuse(call, 401, "this needs a credential: send 'Authorization: Bearer ...'");
    } else {
        call_refuse(call, 403, "the caller's role does not allow this");
    }
    return 0;
}

static int find_route(struct call *call)
{
    struct http_server *s = call->worker->server;
    struct exchange *x = &call->x;
    struct target target;
    const char *why;
    int status = routes_target(&s->routes, x, call->request.target, &target, &why);
    if (status != 0) { /* a proxy in between may have understood something else */
        STATS_ADD(s->stats->refused, 1);
        call->conn->close_after = 1;
        call_refuse(call, status, why);
        return 0;
    }
    char allow[ROUTES_ALLOW_SIZE];
    status = routes_find(&s->routes, x, &target, allow);
    if (status == 405) {
        const char *copy = arena_strdup(&call->arena, allow);
        answer_header(x, "Allow", copy != NULL ? copy : "");
        call_refuse(call, status, "this path does not take this method");
    } else if (status != 0) {
        call_refuse(call, status, "there is nothing at this path");
    }
    return status == 0;
}

void call_begin(struct call *call, char *head, size_t len)
{
    struct request *r = &call->request;
    struct exchange *x = &call->x;
    int status = request_head(r, &call->arena, head, len);
    if (status != 0) {
        STATS_ADD(call->worker->server->stats->refused, 1);
        call->conn->close_after = 1;
        call_refuse(call, status, r->why);
        return;
    }
    x->method = r->method;
    memcpy(x->header, r->header, sizeof(x->header));
    x->header_count = r->header_count;
    r->body = take_body;
    r->body_ctx = call;
    if (!find_route(call) || !authorise(call)) {
        return;
    }
    const char *why = "";
    status = check_body(call, &why);
    if (status == 0) {
        status = open_spool(call, &why);
    }
    if (status != 0) {
        call_refuse(call, status, why != NULL ? why : "out of memory");
    }
}

void call_run(struct call *call)
{
    struct exchange *x = &call->x;
    x->body = call->memory_body != NULL ? call->memory_body : (const uint8_t *)"";
    if (call->spool.path != NULL) {
        const int err = spool_end(&call->spool, x->body_sha256);
        if (err < 0) {
            const int status = disk_refusal(call, err);
            call_refuse(call, status, call->refusal);
            return;
        }
        x->body_path = call->spool.path;
        x->body_file_len = call->spool.len;
    }
    x->route->handle(x, call->worker->server->config.ctx);
}
