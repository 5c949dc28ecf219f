/* The n-th allocation, statement or write of the server fails, for every n until a request gets
 * through without meeting it: each request is answered, or its connection closed; what failed can
 * be done again; what was acknowledged is there; nothing leaks (the sanitizers look at the end).
 * Without SF_TEST_FULL=1 the larger n are taken in growing steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/server/faulty.h"
#include "tests/server/fleet_kit.h"

enum { N_MAX = 20000 };

static struct kit kit;
static struct kit_image old;
static struct faulty_orders *orders;
static json_t *listed; /* the last good answer of list_devices() */
static int refused;    /* requests that the fault has cost */
static char orders_path[] = "/tmp/surefoot-faulty-XXXXXX";

static int setup(void **state)
{
    (void)state;
    struct kit_image image;
    const int fd = mkstemp(orders_path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof(*orders)), 0);
    void *page = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    orders = page;
    (void)close(fd);
    assert_int_equal(setenv(FAULTY_FILE, orders_path, 1), 0);
    kit_init_program(&kit, SF_FAULTY);
    kit_image(&kit, "0.9.0", &old);
    kit_ship(&kit, "1.0.0", &image);
    kit_target(&kit, "1.0.0");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(listed);
    kit_release(&kit);
    (void)unlink(orders_path);
    return 0;
}

/* ---- what is asked ---- */

static long enrol(const char *name)
{
    struct kit_device dev;
    kit_device(&kit, name, &old, "0.9.0", &dev);
    return kit_enrol(&kit, &dev, kit.enrol_token);
}

/* Of a device that is enrolled already: it is offered a release, which writes. */
static long check_in(const char *name)
{
    struct kit_device dev;
    kit_device(&kit, name, &old, "0.9.0", &dev);
    const long status = kit_checkin(&kit, &dev);
    assert_true(status != 200 || dev.status.action == SF_STATUS_INSTALL);
    return status;
}

static long upload(const char *name)
{
    struct kit_image image;
    char version[64];
    char code[64];
    (void)snprintf(version, sizeof(version), "1.0.0-%s", name);
    kit_image(&kit, version, &image);
    return kit_upload(&kit, &image, code);
}

static long call_api(const char *method, const char *path, json_t *body)
{
    long status = 0;
    json_decref(api(&kit.daemon, method, path, body, &status));
    return status;
}

static long set_target(const char *name)
{
    (void)name;
    return call_api("PUT", "/api/v1/products/lamp/target", json_pack("{s:s}", "version", "1.0.0"));
}

/* Whole or not at all: twice in a row, nothing has changed. */
static long list_devices(const char *name)
{
    static char last_name[64];
    long status = 0;
    json_t *list = api(&kit.daemon, "GET", "/api/v1/devices?limit=50", NULL, &status);
    if (status == 200) {
        if (strcmp(name, last_name) == 0) {
            assert_true(json_equal(list, listed));
        }
        json_decref(listed);
        listed = json_incref(list);
        (void)snprintf(last_name, sizeof(last_name), "%s", name);
    }
    json_decref(list);
    return status;
}

static const struct {
    const char *name;
    long (*ask)(const char *name);
    int needs_enrolment;
} requests[] = {
    {"enrol", enrol, 0},       {"checkin", check_in, 1},  {"upload", upload, 0},
    {"target", set_target, 0}, {"list", list_devices, 0},
};

/* ---- with a fault ---- */

static int good(long status)
{
    return status >= 200 && status < 300;
}

/* Refused as overloaded, out of space or broken; < 0: the connection ended. */
static int honest(long status)
{
    return status < 0 || status == 500 || status == 503 || status == 507;
}

/* 1 if the fault was met. */
static int once(unsigned request, enum faulty_kind kind, int n)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s-%d-%d", requests[request].name, (int)kind, n);
    if (requests[request].needs_enrolment) {
        assert_int_equal(enrol(name), 204);
    }
    atomic_store(&orders->struck, 0);
    atomic_store(&orders->left, n);
    atomic_store(&orders->kind, (int)kind);
    const long status = requests[request].ask(name);
    atomic_store(&orders->kind, FAULTY_NONE);
    const int struck = atomic_load(&orders->struck);
    if (!good(status) && !(struck && honest(status))) {
        fail_msg("%s, fault %d after %d: answered with %ld", requests[request].name, (int)kind, n,
                 status);
    }
    refused += !good(status);
    const long again = requests[request].ask(name);
    if (!good(again)) {
        fail_msg("%s, fault %d after %d: %ld, and then %ld", requests[request].name, (int)kind, n,
                 status, again);
    }
    return struck;
}

static int next(int n)
{
    const char *full = getenv("SF_TEST_FULL");
    return full != NULL && strcmp(full, "1") == 0 ? n + 1 : n + 1 + n / 12;
}

static void with_each_n(enum faulty_kind kind)
{
    for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        int n = 0;
        int tried = 0;
        refused = 0;
        while (n < N_MAX && once(i, kind, n)) {
            n = next(n);
            tried++;
        }
        print_message("%s: %d faults in %d places, %d refused\n", requests[i].name, tried, n,
                      refused);
        assert_true(n < N_MAX);
    }
}

static void the_nth_statement_fails(void **state)
{
    (void)state;
    with_each_n(FAULTY_STATEMENT);
}

static void the_nth_write_fails(void **state)
{
    (void)state;
    with_each_n(FAULTY_DISK);
}

static void the_nth_allocation_fails(void **state)
{
    (void)state;
    with_each_n(FAULTY_MEMORY);
}

/* Exit status 0: no sanitizer had anything to say, leaks included. */
static void nothing_leaked(void **state)
{
    (void)state;
    assert_int_equal(daemon_stop(&kit.daemon), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_statement_fails),
        cmocka_unit_test(the_nth_write_fails),
        cmocka_unit_test(the_nth_allocation_fails),
        cmocka_unit_test(nothing_leaked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
