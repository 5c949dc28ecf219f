/* How often a credential may ask and an address may be wrong: the authorise hook without sockets,
 * on the memory store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "server/protocols/auth.h"

enum { WRONG = 4, REQUESTS = 6, EVERY_S = 10, HOME = 11, ELSEWHERE = 12 };

static int64_t test_time;

static int64_t test_now(void)
{
    return test_time;
}

static struct world {
    struct protocols p;
    struct stats stats;
    char token[2][PROTOCOLS_TOKEN_SIZE];
} w;

static void finish(struct exchange *x)
{
    (void)x;
}

static const struct exchange_ops ops = {.finish = finish};
static const struct route for_viewers = {.path = "/", .roles = ROLE_VIEWER};
static const struct route for_devices = {.path = "/", .roles = ROLE_DEVICE};
#define DEVICE_SECRET "0123456789abcdef0123456789abcdef"
#define DEVICE        "dev-1." DEVICE_SECRET

static int add_device(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct product product = {
        .name = "lamp", .chip_id = SF_CHIP_ESP32C3, .slot_size = 65536, .created_at = test_time};
    int err = store_product_add(tx, &product);
    struct hw_class class = {.product_id = product.id, .revision = "A", .created_at = test_time};
    err = err == SF_OK ? store_class_add(tx, &class) : err;
    struct device device = {.id = "dev-1",
                            .product_id = product.id,
                            .class_id = class.id,
                            .state = DEVICE_ENROLLED,
                            .desired_seq = 1,
                            .enrolled_at = test_time,
                            .changed_at = test_time};
    if (err == SF_OK) {
        err =
            sf_sha256(crypto_openssl(), DEVICE_SECRET, strlen(DEVICE_SECRET), device.secret_digest);
    }
    const struct event event = {.kind = EVENT_ENROLLED};
    return err == SF_OK ? store_device_add(tx, &device, &event, test_time) : err;
}

static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    test_time = 1795521713;
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    const struct store_options options = {.backend = STORE_MEMORY};
    const struct protocols_limits limits = {.wrong = WRONG,
                                            .wrong_ms = EVERY_S * 1000,
                                            .device_requests = REQUESTS,
                                            .device_ms = EVERY_S * 1000,
                                            .token_requests = REQUESTS,
                                            .token_ms = EVERY_S * 1000};
    stats_init(&w.stats);
    limits_init(&w.p.limits, &limits);
    w.p.store = store_open(NULL, &options, &err, why);
    assert_non_null(w.p.store);
    w.p.crypto = crypto_openssl();
    w.p.now = test_now;
    w.p.stats = &w.stats;
    assert_int_equal(store_run(w.p.store, add_device, NULL), SF_OK);
    for (int i = 0; i < 2; i++) {
        struct api_token token;
        assert_int_equal(protocols_make_token(&w.p, w.token[i], &token), SF_OK);
        (void)snprintf(token.name, sizeof(token.name), "token-%d", i);
        assert_int_equal(protocols_add_token(&w.p, &token), SF_OK);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(w.p.store);
    return 0;
}

struct verdict {
    int status; /* 200 = let in */
    char retry_after[16];
    int closes;
};

static struct verdict ask_for(const struct route *route, const char *secret, uint64_t address)
{
    struct arena arena;
    char header[128];
    struct verdict v = {.status = 200};
    arena_init(&arena, 1 << 16);
    (void)snprintf(header, sizeof(header), "Bearer %s", secret);
    struct exchange x = {.arena = &arena,
                         .ops = &ops,
                         .route = route,
                         .address = address,
                         .header = {{"authorization", header}},
                         .header_count = 1,
                         .answer = {.file_fd = -1}};
    if (protocols_authorise(&x, &w.p) != 0) {
        v.status = x.answer.status;
    }
    for (unsigned i = 0; i < x.answer.header_count; i++) {
        if (strcmp(x.answer.header[i].name, "Retry-After") == 0) {
            (void)snprintf(v.retry_after, sizeof(v.retry_after), "%s", x.answer.header[i].value);
        }
        v.closes = v.closes || strcmp(x.answer.header[i].name, "Connection") == 0;
    }
    arena_release(&arena);
    return v;
}

static struct verdict ask(const char *secret, uint64_t address)
{
    return ask_for(&for_viewers, secret, address);
}

static void guesses_are_429_and_good_credentials_from_there_still_served(void **state)
{
    (void)state;
    for (int i = 0; i < WRONG; i++) {
        const struct verdict v = ask("sft_guess", HOME);
        assert_int_equal(v.status, 401);
        assert_int_equal(v.closes, 0);
    }
    const struct verdict over = ask("sft_guess", HOME);
    assert_int_equal(over.status, 429);
    assert_string_equal(over.retry_after, "10");
    assert_int_equal(over.closes, 1);
    assert_int_equal(ask(w.token[0], HOME).status, 200);
    assert_int_equal(ask("sft_guess", ELSEWHERE).status, 401);
    test_time += EVERY_S;
    assert_int_equal(ask("sft_guess", HOME).status, 401);
    assert_int_equal(ask("sft_guess", HOME).status, 429);
}

static void a_token_that_asks_too_often_waits_and_the_others_do_not(void **state)
{
    (void)state;
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(ask(w.token[0], i % 2 == 0 ? HOME : ELSEWHERE).status, 200);
    }
    const struct verdict over = ask(w.token[0], HOME);
    assert_int_equal(over.status, 429);
    assert_string_equal(over.retry_after, "10");
    assert_int_equal(ask(w.token[1], HOME).status, 200);
    test_time += EVERY_S;
    assert_int_equal(ask(w.token[0], HOME).status, 200);
}

static void a_device_that_asks_too_often_waits_wherever_it_is(void **state)
{
    (void)state;
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(ask_for(&for_devices, DEVICE, i % 2 == 0 ? HOME : ELSEWHERE).status, 200);
    }
    const struct verdict over = ask_for(&for_devices, DEVICE, HOME);
    assert_int_equal(over.status, 429);
    assert_string_equal(over.retry_after, "10");
    assert_int_equal(over.closes, 1);
    assert_int_equal(ask_for(&for_devices, DEVICE, 0).status, 200); /* from this machine */
    assert_int_equal(ask(w.token[0], HOME).status, 200);
    for (int i = 0; i < WRONG; i++) { /* a wrong secret does not spend the device's */
        assert_int_equal(ask_for(&for_devices, "dev-1.00", ELSEWHERE).status, 401);
    }
    assert_int_equal(ask_for(&for_devices, "dev-1.00", ELSEWHERE).status, 429);
    test_time += EVERY_S;
    assert_int_equal(ask_for(&for_devices, DEVICE, ELSEWHERE).status, 200);
}

static void this_machine_is_not_limited(void **state)
{
    (void)state;
    for (int i = 0; i < 10 * REQUESTS; i++) {
        assert_int_equal(ask(w.token[0], 0).status, 200);
        assert_int_equal(ask("sft_guess", 0).status, 401);
    }
    struct stats_snapshot s;
    stats_read(&w.stats, &s);
    assert_int_equal(s.wrong_credentials, 10 * REQUESTS);
}

static void defaults_let_a_fleet_behind_one_address_work(void **state)
{
    (void)state;
    limits_init(&w.p.limits, &(struct protocols_limits){0});
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(ask(w.token[i % 2], HOME).status, 200);
    }
    for (int i = 0; i < 60; i++) {
        assert_int_equal(ask("sft_guess", HOME).status, 401);
    }
    assert_int_equal(ask("sft_guess", HOME).status, 429);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(guesses_are_429_and_good_credentials_from_there_still_served),
        TEST(a_token_that_asks_too_often_waits_and_the_others_do_not),
        TEST(a_device_that_asks_too_often_waits_wherever_it_is),
        TEST(this_machine_is_not_limited),
        TEST(defaults_let_a_fleet_behind_one_address_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
