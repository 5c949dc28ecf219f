/* libs: sf_protocols */
/* Every handler of the route table, on the memory store, with any parameters, query and body:
 * exactly one answer, never 500, and JSON where it says JSON. Input: "PUT /path/:of/the/table" (or
 * anything: its first byte chooses), the parameters, the query (name=value&...), each ended by NUL;
 * then the body. */
#include <assert.h>
#include <jansson.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto_openssl.h"
#include "base/log.h"
#include "base/p256.h"
#include "server/protocols/auth.h"
#include "server/protocols/handlers.h"

enum { INPUTS_A_WORLD = 512, WAIT_S = 20, ARENA_BYTES = 4 << 20, NOW = 1795521713 };

static struct world {
    struct protocols p;
    struct stats stats;
    struct p256_signer signer;
    struct sf_signer sf_signer;
    char dir[32];
    unsigned inputs;
    int64_t token;
} w;
static sem_t finished;
static int answers;

static int64_t now(void)
{
    return NOW;
}

static void finish(struct exchange *x)
{
    (void)x;
    answers++;
    (void)sem_post(&finished);
}

static void defer(struct exchange *x, void (*fn)(void *arg), void *arg)
{
    (void)x;
    fn(arg); /* on the writer's thread: the loop's thread only waits meanwhile */
}

static const struct exchange_ops ops = {.finish = finish, .defer = defer};
static const char secret[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static int add_product(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct product product = {.name = "lamp",
                              .kind = PRODUCT_SUREFOOT,
                              .chip_id = SF_CHIP_ESP32C3,
                              .slot_size = 65536,
                              .plain_access = PLAIN_ACCESS_OPEN,
                              .created_at = NOW};
    int err = store_product_add(tx, &product);
    struct hw_class class = {.product_id = product.id, .revision = "A", .created_at = NOW};
    err = err == SF_OK ? store_class_add(tx, &class) : err;
    struct device device = {.id = "dev-1",
                            .product_id = product.id,
                            .class_id = class.id,
                            .state = DEVICE_ENROLLED,
                            .desired_seq = 1,
                            .enrolled_at = NOW,
                            .changed_at = NOW};
    if (err == SF_OK) {
        err = sf_sha256(crypto_openssl(), secret, strlen(secret), device.secret_digest);
    }
    struct api_token token = {
        .name = "fuzz", .roles = scopes[SCOPE_ADMIN].roles, .created_at = NOW, .digest = {1}};
    err = err == SF_OK ? store_token_add(tx, &token) : err;
    w.token = token.id;
    const struct event event = {.kind = EVENT_ENROLLED};
    return err == SF_OK ? store_device_add(tx, &device, &event, NOW) : err;
}

static void open_world(void)
{
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    const struct store_options options = {.backend = STORE_MEMORY};
    if (w.p.store != NULL) {
        store_close(w.p.store);
    }
    w.p.store = store_open(NULL, &options, &err, why);
    if (w.p.store == NULL || store_run(w.p.store, add_product, NULL) != SF_OK) {
        abort();
    }
    limits_init(&w.p.limits, &(struct protocols_limits){0});
    w.inputs = 0;
}

static void clean(void)
{
    char path[48];
    store_close(w.p.store);
    artifacts_close(w.p.artifacts);
    (void)snprintf(path, sizeof(path), "%s/tmp", w.dir);
    (void)rmdir(path);
    (void)rmdir(w.dir);
}

__attribute__((constructor)) static void set_up(void)
{
    char error[ARTIFACTS_ERROR_MAX];
    struct p256_key key;
    log_set_level(LOG_LEVEL_ERROR);
    (void)snprintf(w.dir, sizeof(w.dir), "/tmp/surefoot-fuzz-XXXXXX");
    if (sem_init(&finished, 0, 0) != 0 || mkdtemp(w.dir) == NULL ||
        artifacts_open(&w.p.artifacts, w.dir, error) < 0 || p256_key_generate(&key) != SF_OK ||
        p256_signer_init(&w.signer, &key) != SF_OK) {
        abort();
    }
    w.sf_signer = p256_signer_as_sf(&w.signer);
    w.p.status_key = key.public_key;
    p256_key_release(&key);
    stats_init(&w.stats);
    w.p.crypto = crypto_openssl();
    w.p.signer = &w.sf_signer;
    w.p.loop_count = 1;
    w.p.stats = &w.stats;
    w.p.version = "fuzz";
    w.p.room.artifacts = w.p.artifacts;
    w.p.now = now;
    open_world();
    (void)atexit(clean);
}

/* The text up to a NUL or the end, in the arena; moves on behind it. */
static char *take_text(struct arena *arena, const uint8_t **data, size_t *size)
{
    const uint8_t *stop = *size > 0 ? memchr(*data, '\0', *size) : NULL;
    const size_t len = stop != NULL ? (size_t)(stop - *data) : *size;
    char *text = arena_strndup(arena, (const char *)*data, len);
    const size_t used = len + (stop != NULL);
    *data += used;
    *size -= used;
    for (char *c = text; *c != '\0'; c++) { /* http/ gives valid UTF-8 */
        *c = (char)(*c & 0x7f);
        *c = (char)(*c < 0x20 || *c == 0x7f ? '_' : *c);
    }
    return text;
}

static const struct route *take_route(struct arena *arena, const uint8_t **data, size_t *size)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    unsigned count = 0;
    const struct route *routes = protocols_routes(&count);
    const char *text = take_text(arena, data, size);
    assert(count > 0);
    for (unsigned i = 0; i < count; i++) {
        const char *method = methods[routes[i].method];
        const size_t len = strlen(method);
        if (strncmp(text, method, len) == 0 && text[len] == ' ' &&
            strcmp(text + len + 1, routes[i].path) == 0) {
            return &routes[i];
        }
    }
    return &routes[(uint8_t)text[0] % count];
}

static void take_params(struct exchange *x, const uint8_t **data, size_t *size)
{
    for (const char *c = strchr(x->route->path, ':'); c != NULL; c = strchr(c + 1, ':')) {
        const char *name = arena_strndup(x->arena, c + 1, strcspn(c + 1, "/"));
        char *value = take_text(x->arena, data, size);
        if (value[0] == '\0') {
            value = arena_strdup(x->arena, "lamp");
        }
        x->param[x->param_count++] = (struct pair){name, value};
    }
}

static void take_query(struct exchange *x, const uint8_t **data, size_t *size)
{
    char *next = take_text(x->arena, data, size);
    while (next != NULL && x->query_count < EXCHANGE_QUERY_MAX) {
        char *name = next;
        next = strchr(next, '&');
        if (next != NULL) {
            *next++ = '\0';
        }
        char *value = strchr(name, '=');
        if (value == NULL) {
            continue;
        }
        *value++ = '\0';
        if (exchange_query(x, name) == NULL) {
            x->query[x->query_count++] = (struct pair){name, value};
        }
    }
}

static void check_answer(const struct exchange *x)
{
    const struct answer *a = &x->answer;
    assert(answers == 1);
    assert(a->status >= 200 && a->status < 600 && a->status != 500);
    if (a->content_type != NULL && strcmp(a->content_type, "application/json") == 0) {
        json_t *json = json_loadb(a->body, a->body_len, 0, NULL);
        assert(json != NULL);
        json_decref(json);
    }
    if (a->file_fd >= 0) {
        (void)close(a->file_fd);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (++w.inputs > INPUTS_A_WORLD) {
        open_world();
    }
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct exchange x = {.arena = &arena, .ops = &ops, .path = "/", .peer = "fuzz"};
    x.route = take_route(&arena, &data, &size);
    x.method = x.route->method;
    x.roles = ROLE_ANYONE | x.route->roles;
    x.who = "fuzz";
    x.who_id = w.token;
    x.answer.file_fd = -1;
    take_params(&x, &data, &size);
    take_query(&x, &data, &size);
    uint8_t *body = arena_alloc(&arena, size + 1); /* a text would end at its first zero */
    memcpy(body, data, size);
    body[size] = '\0';
    x.body = body;
    x.body_len = x.route->body == BODY_NONE ? 0 : size;
    answers = 0;
    int go_on = x.body_len <= x.route->max_body && x.route->body != BODY_FILE;
    if (go_on && (x.route->roles & (ROLE_DEVICE | ROLE_PLAIN)) != 0) { /* they need its data */
        x.header[x.header_count++] =
            (struct pair){"authorization", arena_printf(&arena, "Bearer dev-1.%s", secret)};
        go_on = protocols_authorise(&x, &w.p) == 0;
        if (!go_on) {
            (void)sem_wait(&finished);
        }
    }
    if (go_on) {
        struct timespec until = {.tv_sec = time(NULL) + WAIT_S};
        x.route->handle(&x, &w.p);
        assert(sem_timedwait(&finished, &until) == 0);
        check_answer(&x);
    }
    arena_release(&arena);
    return 0;
}
