/* The native adapter without sockets: on the memory store, at any time of the world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/p256.h"
#include "base/uuid.h"
#include "server/protocols/auth.h"
#include "server/protocols/handlers.h"

enum { CHANGES = 5, CHANGE_S = 10 };

static int64_t test_time; /* what the adapter's clock says */

static int64_t test_now(void)
{
    return test_time;
}

struct world {
    struct protocols p;
    struct p256_signer signer;
    struct sf_signer sf_signer;
    struct stats stats;
    uint8_t vendor[SF_UUID_SIZE];
    uint8_t class_uuid[SF_UUID_SIZE];
};

static int finished;

static void finish(struct exchange *x)
{
    (void)x;
    finished++;
}

static void defer(struct exchange *x, void (*fn)(void *arg), void *arg)
{
    (void)x;
    fn(arg);
}

static const struct exchange_ops ops = {.finish = finish, .defer = defer};

static int add_product(struct store_tx *tx, void *arg)
{
    struct world *w = arg;
    struct product product = {.name = "lamp",
                              .kind = PRODUCT_SUREFOOT,
                              .chip_id = SF_CHIP_ESP32C3,
                              .slot_size = 65536,
                              .checkin_interval_s = 30,
                              .created_at = test_time};
    memcpy(product.vendor_uuid, w->vendor, SF_UUID_SIZE);
    int err = store_product_add(tx, &product);
    struct hw_class class = {.product_id = product.id, .revision = "A", .created_at = test_time};
    memcpy(class.uuid, w->class_uuid, SF_UUID_SIZE);
    err = err == SF_OK ? store_class_add(tx, &class) : err;
    struct enrol_token token = {
        .product_id = product.id, .created_at = test_time, .expires_at = test_time + 100};
    if (err == SF_OK) {
        err = sf_sha256(crypto_openssl(), "token", 5, token.digest);
    }
    return err == SF_OK ? store_enrol_token_add(tx, &token, 0) : err;
}

static void open_world(struct world *w, int64_t now)
{
    memset(w, 0, sizeof(*w));
    test_time = now;
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    const struct store_options options = {.backend = STORE_MEMORY};
    limits_init(&w->p.limits,
                &(struct protocols_limits){.changes = CHANGES, .change_ms = CHANGE_S * 1000});
    w->p.store = store_open(NULL, &options, &err, why);
    assert_non_null(w->p.store);
    struct p256_key key;
    assert_int_equal(p256_key_generate(&key), SF_OK);
    assert_int_equal(p256_signer_init(&w->signer, &key), SF_OK);
    w->sf_signer = p256_signer_as_sf(&w->signer);
    w->p.status_key = key.public_key;
    p256_key_release(&key);
    stats_init(&w->stats);
    w->p.crypto = crypto_openssl();
    w->p.signer = &w->sf_signer;
    w->p.loop_count = 1;
    w->p.stats = &w->stats;
    w->p.version = "test";
    w->p.now = test_now;
    atomic_store(&w->p.live.checkin_interval_s, 3600);
    assert_int_equal(uuid_vendor("example.com", w->vendor), SF_OK);
    assert_int_equal(uuid_class(w->vendor, "lamp", "A", w->class_uuid), SF_OK);
    assert_int_equal(store_run(w->p.store, add_product, w), SF_OK);
}

static void close_world(struct world *w)
{
    store_close(w->p.store);
    p256_signer_release(&w->signer);
}

struct request_run {
    struct arena arena;
    struct exchange x;
};

static const char secret[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* Runs hook and handler as http/ does; one answer. */
static int run(struct world *w, struct request_run *r, const char *path, const uint8_t *body,
               size_t len)
{
    unsigned count = 0;
    const struct route *routes = protocols_routes(&count);
    memset(r, 0, sizeof(*r));
    arena_init(&r->arena, 1 << 20);
    r->x.arena = &r->arena;
    r->x.ops = &ops;
    r->x.roles = ROLE_ANYONE;
    r->x.answer.file_fd = -1;
    r->x.body = body;
    r->x.body_len = len;
    r->x.path = path;
    r->x.header[0] =
        (struct pair){"authorization", arena_printf(&r->arena, "Bearer dev-1.%s", secret)};
    r->x.header_count = 1;
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(routes[i].path, path) == 0) {
            r->x.route = &routes[i];
        }
    }
    assert_non_null(r->x.route);
    finished = 0;
    int result = protocols_authorise(&r->x, &w->p);
    if (result == 0) {
        r->x.route->handle(&r->x, &w->p);
    }
    assert_int_equal(finished, 1);
    return r->x.answer.status;
}

static int enrol(struct world *w)
{
    struct sf_enrol e = {.id = "dev-1", .token = "token"};
    assert_int_equal(sf_sha256(crypto_openssl(), secret, strlen(secret), e.secret_digest), SF_OK);
    memcpy(e.class_uuid, w->class_uuid, SF_UUID_SIZE);
    uint8_t body[SF_ENROL_REQUEST_MAX];
    int32_t len = sf_enrol_encode(&e, body, sizeof(body));
    assert_true(len > 0);
    struct request_run r;
    int status = run(w, &r, "/device/v1/enrol", body, (size_t)len);
    arena_release(&r.arena);
    return status;
}

static uint8_t running = 0x11; /* each byte of the digest that the device reports */

/* Checks in; on 200 opens the status. Whether the connection is to be closed goes to `closes`. */
static int check_in(struct world *w, struct sf_status *status, int *closes)
{
    struct sf_checkin c = {.protocol_version = 1,
                           .boot_count = 1,
                           .running_length = 8192,
                           .running_version = "1.0.0",
                           .running_state = 2,
                           .chip_id = SF_CHIP_ESP32C3,
                           .hw_revision = "A"};
    memcpy(c.class_uuid, w->class_uuid, SF_UUID_SIZE);
    memset(c.nonce, 0x42, sizeof(c.nonce));
    memset(c.running_digest, running, sizeof(c.running_digest));
    uint8_t body[SF_CHECKIN_REQUEST_MAX];
    int32_t len = sf_checkin_encode(&c, body, sizeof(body));
    assert_true(len > 0);
    struct request_run r;
    int code = run(w, &r, "/device/v1/checkin", body, (size_t)len);
    if (code == 200) {
        struct sf_checkin_answer answer;
        struct sf_diag diag;
        struct sf_bytes in = {r.x.answer.body, r.x.answer.body_len};
        assert_int_equal(sf_checkin_answer_decode(in, &answer, &diag), SF_OK);
        assert_int_equal(
            sf_status_open(answer.status, &w->p.status_key, crypto_openssl(), status, &diag),
            SF_OK);
        assert_memory_equal(status->nonce, c.nonce, sizeof(c.nonce));
        *closes = 0;
        for (unsigned i = 0; i < r.x.answer.header_count; i++) {
            *closes |= strcmp(r.x.answer.header[i].name, "Connection") == 0;
        }
    }
    arena_release(&r.arena);
    return code;
}

/* 1970: the server's clock was never set; 2106: beyond 32 bits; and beyond 33. */
static void works_whatever_the_clock_says(void **state)
{
    (void)state;
    static const int64_t times[] = {1, 1795521713, INT64_C(4294967295), INT64_C(4294967296),
                                    INT64_C(16725225600)};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct world w;
        struct sf_status first;
        struct sf_status second;
        int closes = 0;
        open_world(&w, times[i]);
        assert_int_equal(enrol(&w), 204);
        assert_int_equal(check_in(&w, &first, &closes), 200);
        assert_int_equal(first.time, times[i]);
        assert_int_equal(first.expires, times[i] + 86400);
        assert_int_equal(closes, 0); /* the next one is within a minute */
        test_time += 30;
        assert_int_equal(check_in(&w, &second, &closes), 200);
        assert_int_equal(second.time, times[i] + 30);
        assert_int_equal(first.counter, second.counter);
        close_world(&w);
    }
}

static void keeps_polls_alike_when_the_clock_jumps_back(void **state)
{
    (void)state;
    struct world w;
    struct sf_status before;
    struct sf_status after;
    int closes = 0;
    open_world(&w, INT64_C(4295000000));
    assert_int_equal(enrol(&w), 204);
    assert_int_equal(check_in(&w, &before, &closes), 200);
    test_time = 5;
    assert_int_equal(check_in(&w, &after, &closes), 200);
    assert_int_equal(after.time, 5);
    assert_int_equal(before.counter, after.counter);
    close_world(&w);
}

static void refuses_an_enrolment_token_past_its_time(void **state)
{
    (void)state;
    struct world w;
    struct sf_status status;
    int closes = 0;
    open_world(&w, 1000);
    test_time = 1100;
    assert_int_equal(enrol(&w), 401);
    assert_int_equal(check_in(&w, &status, &closes), 401);
    test_time = 1099;
    assert_int_equal(enrol(&w), 204);
    close_world(&w);
}

static int cannot_sign(void *ctx, const uint8_t digest[SF_SHA256_SIZE],
                       uint8_t *signature) // NOLINT(readability-non-const-parameter)
{
    (void)ctx;
    (void)digest;
    (void)signature;
    return SF_ERR_CRYPTO;
}

static void answers_503_and_when_to_come_back_if_it_cannot_sign(void **state)
{
    (void)state;
    struct world w;
    struct sf_status status;
    int closes = 0;
    open_world(&w, 1000);
    assert_int_equal(enrol(&w), 204);
    w.sf_signer.sign = cannot_sign;
    assert_int_equal(check_in(&w, &status, &closes), 503);
    close_world(&w);
}

static void lets_no_device_fill_its_history_without_end(void **state)
{
    (void)state;
    struct world w;
    struct sf_status status;
    int closes;
    open_world(&w, 1795521713);
    assert_int_equal(enrol(&w), 204);
    for (int i = 0; i < CHANGES; i++) {
        running ^= 1;
        assert_int_equal(check_in(&w, &status, &closes), 200);
    }
    assert_int_equal(check_in(&w, &status, &closes), 200); /* nothing new: costs no write */
    running ^= 1;
    assert_int_equal(check_in(&w, &status, &closes), 429);
    test_time += CHANGE_S;
    assert_int_equal(check_in(&w, &status, &closes), 200);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(works_whatever_the_clock_says),
        cmocka_unit_test(keeps_polls_alike_when_the_clock_jumps_back),
        cmocka_unit_test(lets_no_device_fill_its_history_without_end),
        cmocka_unit_test(refuses_an_enrolment_token_past_its_time),
        cmocka_unit_test(answers_503_and_when_to_come_back_if_it_cannot_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
