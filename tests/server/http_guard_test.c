/* What one address may have, without sockets. */
#include "server/http/guard.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint8_t key[SIPHASH_KEY_SIZE] = "sixteen bytes..";
static const struct guard_limits few = {.connections = 3, .handshakes = 2, .per_s = 1, .burst = 5};
static struct guard guard;

static int set_up(void **state)
{
    (void)state;
    guard_init(&guard, &few, key);
    return 0;
}

static uint64_t v4(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &in.sin_addr), 1);
    return guard_address(&guard, (const struct sockaddr *)&in);
}

static uint64_t v6(const char *text)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return guard_address(&guard, (const struct sockaddr *)&in6);
}

static void ipv6_counts_by_network_and_mapped_ipv4_as_ipv4(void **state)
{
    (void)state;
    assert_true(v4("192.0.2.1") != v4("192.0.2.2"));
    assert_true(v6("2001:db8::1") == v6("2001:db8::ffff:2"));
    assert_true(v6("2001:db8:0:1::1") != v6("2001:db8::1"));
    assert_true(v6("::ffff:192.0.2.1") == v4("192.0.2.1"));
}

static void this_machine_counts_only_if_told(void **state)
{
    (void)state;
    assert_true(v4("127.0.0.1") == 0 && v4("127.9.9.9") == 0 && v6("::1") == 0);
    assert_true(v6("::ffff:127.0.0.1") == 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(guard_enter(&guard, 0, 0), GUARD_ENTERED);
        guard_shaken(&guard, 0);
        guard_leave(&guard, 0);
    }
    struct guard_limits all = few;
    all.count_loopback = 1;
    guard_init(&guard, &all, key);
    assert_true(v4("127.0.0.1") != 0 && v6("::1") != 0 && v4("127.0.0.1") != v4("127.0.0.2"));
}

static void each_limit_is_an_address_own(void **state)
{
    (void)state;
    const uint64_t bad = v4("192.0.2.1");
    const uint64_t good = v4("192.0.2.2");
    assert_int_equal(guard_enter(&guard, bad, 1000), GUARD_ENTERED);
    assert_int_equal(guard_enter(&guard, bad, 1000), GUARD_ENTERED);
    assert_int_equal(guard_enter(&guard, bad, 1000), GUARD_HANDSHAKES);
    guard_shaken(&guard, bad);
    assert_int_equal(guard_enter(&guard, bad, 1000), GUARD_ENTERED);
    guard_shaken(&guard, bad);
    assert_int_equal(guard_enter(&guard, bad, 1000), GUARD_CONNECTIONS);
    guard_leave(&guard, bad);
    assert_int_equal(guard_enter(&guard, bad, 1000), GUARD_ENTERED); /* the fourth */
    guard_shaken(&guard, bad);
    guard_leave(&guard, bad);
    assert_int_equal(guard_enter(&guard, bad, 1000), GUARD_ENTERED);
    guard_shaken(&guard, bad);
    guard_leave(&guard, bad);
    assert_int_equal(guard_enter(&guard, bad, 1000), GUARD_RATE);
    assert_int_equal(guard_enter(&guard, good, 1000), GUARD_ENTERED);
    assert_int_equal(guard_enter(&guard, bad, 1999), GUARD_RATE);
    assert_int_equal(guard_enter(&guard, bad, 2000), GUARD_ENTERED);
}

static void what_is_turned_away_holds_nothing(void **state)
{
    (void)state;
    const uint64_t one = v4("192.0.2.1");
    assert_int_equal(guard_enter(&guard, one, 0), GUARD_ENTERED);
    assert_int_equal(guard_enter(&guard, one, 0), GUARD_ENTERED);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(guard_enter(&guard, one, 0), GUARD_HANDSHAKES);
    }
    for (int i = 0; i < 2; i++) {
        guard_shaken(&guard, one);
        guard_leave(&guard, one);
    }
    for (size_t i = 0; i < GUARD_PLACES; i++) {
        assert_int_equal(atomic_load(&guard.place[i].connections), 0);
        assert_int_equal(atomic_load(&guard.place[i].handshakes), 0);
    }
}

static void another_key_spreads_addresses_otherwise(void **state)
{
    (void)state;
    static const uint8_t other[SIPHASH_KEY_SIZE] = "another key....";
    const uint64_t before = v4("192.0.2.1");
    guard_init(&guard, &few, other);
    assert_true(v4("192.0.2.1") != before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ipv6_counts_by_network_and_mapped_ipv4_as_ipv4, set_up),
        cmocka_unit_test_setup(this_machine_counts_only_if_told, set_up),
        cmocka_unit_test_setup(each_limit_is_an_address_own, set_up),
        cmocka_unit_test_setup(what_is_turned_away_holds_nothing, set_up),
        cmocka_unit_test_setup(another_key_spreads_addresses_otherwise, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
