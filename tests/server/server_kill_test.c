/* kill -9 at any moment, under load, loses nothing that was acknowledged, and needs no repair.
 * SF_TEST_FULL=1 makes it 200 times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>

#include "server/backup/backup.h"
#include "tests/server/fleet_kit.h"

enum { ROUNDS = 12, ROUNDS_FULL = 200, PER_ROUND = 100, WORKERS = 4, TARGETS = 2 };

static const char *const targets[TARGETS] = {"1.0.0", "1.1.0"};
static struct kit kit;
static struct kit_image old;

static int setup(void **state)
{
    (void)state;
    struct kit_image image;
    kit_init(&kit);
    kit_image(&kit, "0.9.0", &old);
    for (unsigned i = 0; i < TARGETS; i++) {
        kit_ship(&kit, targets[i], &image);
    }
    kit_target(&kit, targets[0]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_release(&kit);
    return 0;
}

/* What was acknowledged in a round; each worker writes its own. */
struct work {
    int round;
    atomic_int enrolled;
    atomic_int offered;
    atomic_int uploaded;
    atomic_int no_more_uploads;
    atomic_int published;
    atomic_int targeted;
    struct kit_image image[PER_ROUND];
    uint64_t seq[PER_ROUND]; /* of published */
};

static int acknowledged(struct work *w)
{
    return atomic_load(&w->enrolled) + atomic_load(&w->offered) + atomic_load(&w->uploaded) +
           atomic_load(&w->published) + atomic_load(&w->targeted);
}

/* Workers work until the server is gone; what has no answer does not count. */

static void *enrol_and_check_in(void *arg)
{
    struct work *w = arg;
    for (int i = 0; i < PER_ROUND; i++) {
        char id[32];
        struct kit_device dev;
        (void)snprintf(id, sizeof(id), "kill-%d-%d", w->round, i);
        kit_device(&kit, id, &old, "0.9.0", &dev);
        if (kit_enrol(&kit, &dev, kit.enrol_token) != 204) {
            return NULL;
        }
        atomic_store(&w->enrolled, i + 1);
        if (kit_checkin(&kit, &dev) != 200 || dev.status.action != SF_STATUS_INSTALL) {
            return NULL;
        }
        atomic_store(&w->offered, i + 1);
    }
    return NULL;
}

static void *upload(void *arg)
{
    struct work *w = arg;
    for (int i = 0; i < PER_ROUND; i++) {
        char version[32];
        char code[64];
        (void)snprintf(version, sizeof(version), "9.%d.%d", w->round, i);
        kit_image(&kit, version, &w->image[i]);
        if (kit_upload(&kit, &w->image[i], code) != 201) {
            break;
        }
        atomic_store(&w->uploaded, i + 1);
    }
    atomic_store(&w->no_more_uploads, 1);
    return NULL;
}

/* Publishes what upload() has brought. */
static void *publish(void *arg)
{
    const struct timespec pause = {.tv_nsec = 200000};
    struct work *w = arg;
    for (int i = 0; i < PER_ROUND; i++) {
        char version[32];
        char code[64];
        struct sf_manifest m;
        while (atomic_load(&w->uploaded) <= i && !atomic_load(&w->no_more_uploads)) {
            (void)nanosleep(&pause, NULL); /* only polls; the condition decides */
        }
        (void)snprintf(version, sizeof(version), "9.%d.%d", w->round, i);
        kit_manifest_of(&kit, &w->image[i], version, &m);
        m.seq = atomic_load(&w->uploaded) > i ? kit_try_seq(&kit) : 0;
        if (m.seq == 0 || kit_publish(&kit, &m, version, code) != 201) {
            return NULL;
        }
        w->seq[i] = m.seq;
        atomic_store(&w->published, i + 1);
    }
    return NULL;
}

static void *change_target(void *arg)
{
    struct work *w = arg;
    for (int i = 0; i < PER_ROUND; i++) {
        long status = 0;
        json_decref(api(&kit.daemon, "PUT", "/api/v1/products/lamp/target",
                        json_pack("{s:s}", "version", targets[(i + 1) % TARGETS]), &status));
        if (status != 200) {
            return NULL;
        }
        atomic_store(&w->targeted, i + 1);
    }
    return NULL;
}

/* Kills when `threshold` answers have come: at another moment of the server's life each round. */
static void kill_after(struct work *w, int threshold)
{
    const struct timespec pause = {.tv_nsec = 200000};
    for (int i = 0; acknowledged(w) < threshold && i < 300000; i++) {
        (void)nanosleep(&pause, NULL); /* only polls; the condition decides */
    }
    daemon_kill(&kit.daemon);
}

/* ---- after it ---- */

static json_t *get(const char *path)
{
    long status = 0;
    json_t *answer = api(&kit.daemon, "GET", path, NULL, &status);
    if (status != 200) {
        fail_msg("%s was acknowledged and is lost: %ld", path, status);
    }
    return answer;
}

static void expect_devices(const struct work *w)
{
    for (int i = 0; i < atomic_load(&w->enrolled); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/api/v1/devices/kill-%d-%d", w->round, i);
        json_t *d = get(path);
        if (i < atomic_load(&w->offered)) {
            const json_t *last = json_object_get(d, "deployment");
            assert_string_equal(json_string_value(json_object_get(last, "state")), "offered");
        }
        json_decref(d);
    }
}

static void expect_images(const struct work *w)
{
    for (int i = 0; i < atomic_load(&w->uploaded); i++) {
        char path[128];
        char code[64];
        struct reply r;
        (void)snprintf(path, sizeof(path), "/artifacts/%s", w->image[i].hex);
        call(&kit.daemon, &(struct call){.path = path}, &r);
        assert_int_equal(r.status, 200);
        assert_memory_equal(r.body, w->image[i].bytes, w->image[i].len);
        reply_release(&r);
        assert_int_equal(kit_upload(&kit, &w->image[i], code), 200); /* known, not new */
    }
}

static void expect_releases(const struct work *w, uint64_t *last_seq)
{
    for (int i = 0; i < atomic_load(&w->published); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "/api/v1/products/lamp/releases/9.%d.%d", w->round, i);
        json_t *release = get(path);
        const json_t *m = json_array_get(json_object_get(release, "manifests"), 0);
        assert_string_equal(json_string_value(json_object_get(m, "sha256")), w->image[i].hex);
        assert_int_equal(json_integer_value(json_object_get(m, "seq")), w->seq[i]);
        assert_true(w->seq[i] > *last_seq); /* no number is ever given out twice */
        *last_seq = w->seq[i];
        json_decref(release);
    }
}

/* The last that was acknowledged, or the one that was under way. */
static void expect_target(const struct work *w)
{
    const int done = atomic_load(&w->targeted);
    json_t *product = get("/api/v1/products/lamp");
    const char *target = json_string_value(json_object_get(product, "target"));
    assert_non_null(target);
    if (done > 0) {
        assert_true(strcmp(target, targets[done % TARGETS]) == 0 ||
                    strcmp(target, targets[(done + 1) % TARGETS]) == 0);
    }
    json_decref(product);
}

static void tell(void *ctx, enum backup_grade grade, const char *sentence)
{
    (void)ctx;
    if (grade == BACKUP_PROBLEM) {
        fail_msg("%s", sentence);
    }
}

static void expect_sound(void)
{
    char why[BACKUP_WHY_SIZE];
    struct backup_report report;
    const struct backup_check check = {
        .dir = kit.daemon.dir, .now = (int64_t)time(NULL), .found = tell};
    assert_int_equal(backup_check(&check, &report, why), SF_OK);
}

static int is_full(void)
{
    const char *full = getenv("SF_TEST_FULL");
    return full != NULL && strcmp(full, "1") == 0;
}

static void keeps_what_it_acknowledged_through_kill_9(void **state)
{
    (void)state;
    static void *(*const workers[WORKERS])(void *) = {enrol_and_check_in, upload, publish,
                                                      change_target};
    static struct work w;
    const int rounds = is_full() ? ROUNDS_FULL : ROUNDS;
    uint64_t last_seq = 0;
    long sum[5] = {0};
    for (int round = 0; round < rounds; round++) {
        pthread_t threads[WORKERS];
        memset(&w, 0, sizeof(w));
        w.round = round;
        for (unsigned i = 0; i < WORKERS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, workers[i], &w), 0);
        }
        kill_after(&w, 1 + round * 7 % 60);
        for (unsigned i = 0; i < WORKERS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        expect_sound(); /* as it was left, before anybody opens it to serve */
        daemon_start(&kit.daemon);
        expect_devices(&w);
        expect_images(&w);
        expect_releases(&w, &last_seq);
        expect_target(&w);
        sum[0] += atomic_load(&w.enrolled);
        sum[1] += atomic_load(&w.offered);
        sum[2] += atomic_load(&w.uploaded);
        sum[3] += atomic_load(&w.published);
        sum[4] += atomic_load(&w.targeted);
    }
    print_message("killed %d times; kept %ld enrolments, %ld offers, %ld images, %ld releases, "
                  "%ld targets\n",
                  rounds, sum[0], sum[1], sum[2], sum[3], sum[4]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_acknowledged_through_kill_9),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
