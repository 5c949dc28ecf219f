/* libs: sf_http */
/* One connection's bytes: heads, bodies and targets of one request after the other, cut into pieces
 * whose sizes the first byte chooses. A request may be refused at any point; what is accepted must
 * be consistent. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/request.h"
#include "server/http/routes.h"

enum { REQUESTS_MAX = 8, HEAD_MAX = 8192, ARENA_MAX = 1 << 20 };

static void handle(struct exchange *x, void *ctx)
{
    (void)x;
    (void)ctx;
}

static const struct route table[] = {
    {.method = METHOD_GET, .path = "/", .handle = handle},
    {.method = METHOD_POST, .path = "/a/:id", .handle = handle, .body = BODY_FILE, .max_body = 9},
    {.method = METHOD_GET, .path = "/a/:id/b/:other", .handle = handle},
};
static const char *const hosts[] = {"localhost"};
static const struct routes routes = {table, 3, hosts, 1};

static int count_body(void *ctx, const uint8_t *data, size_t len)
{
    uint64_t *sum = ctx;
    assert(len > 0 && data != NULL);
    *sum += len;
    return 0;
}

static void look_up(const struct request *r, struct arena *arena)
{
    struct exchange x = {.arena = arena, .method = r->method};
    struct target target;
    const char *why = NULL;
    char allow[ROUTES_ALLOW_SIZE] = "";
    const int status = routes_target(&routes, &x, r->target, &target, &why);
    if (status != 0) {
        assert(why != NULL);
        return;
    }
    const int found = routes_find(&routes, &x, &target, allow);
    assert(found == 0 ? x.route != NULL : x.route == NULL);
    assert(found != 405 || allow[0] != '\0');
}

static size_t find_head(const uint8_t *data, size_t size, size_t piece)
{
    struct head_scan scan = {0};
    const char *why = NULL;
    size_t have = 0;
    while (have < size && have < HEAD_MAX) {
        have = size - have < piece ? size : have + piece;
        const int n = request_head_scan(&scan, data, have, &why);
        if (n != HEAD_MORE) {
            assert(n > 0 || why != NULL);
            return n > 0 ? (size_t)n : 0;
        }
    }
    return 0;
}

/* Bytes used, or 0 when the connection ends here. */
static size_t one(const uint8_t *data, size_t size, size_t piece)
{
    struct arena arena;
    struct request r;
    uint64_t body = 0;
    const size_t head = find_head(data, size, piece);
    arena_init(&arena, ARENA_MAX);
    char *copy = head > 0 ? arena_memdup(&arena, data, head) : NULL;
    size_t at = head;
    int status = copy != NULL ? request_head(&r, &arena, copy, head) : 400;
    if (status == 0) {
        assert(r.target != NULL && (r.host != NULL || r.minor == 0));
        assert(!r.chunked || r.content_length == 0);
        assert(r.complete == !r.has_body);
        r.body = count_body;
        r.body_ctx = &body;
        look_up(&r, &arena);
    }
    while (status == 0 && !r.complete && at < size) {
        size_t used = 0;
        const size_t n = size - at < piece ? size - at : piece;
        status = request_feed(&r, data + at, n, &used);
        assert(used <= n && (status != 0 || r.complete || used == n));
        at += used;
    }
    const int ended = status != 0 || !r.complete || !r.keep_alive;
    assert(status != 0 || r.chunked || !r.complete || body == r.content_length);
    assert(copy == NULL || status == 0 || r.why != NULL);
    arena_release(&arena);
    return ended ? 0 : at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const size_t piece = (size_t)data[0] + 1;
    data++;
    size--;
    for (int i = 0; i < REQUESTS_MAX && size > 0; i++) {
        const size_t used = one(data, size, piece);
        if (used == 0) {
            break;
        }
        data += used;
        size -= used;
    }
    return 0;
}
