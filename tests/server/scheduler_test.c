/* What surefootd does by itself, on a real folder and database, with the time as we like. */
#include "server/scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cert.h"
#include "base/clock.h"
#include "base/crypto_openssl.h"

#define DAY INT64_C(86400)

struct world {
    char dir[64];
    struct store *store;
    struct artifacts *artifacts;
    struct certificate certificate;
    struct scheduler_config config;
    struct stats stats;
    struct live live;
};

enum { KEEP_AUDIT_DAYS = 1100, KEEP_UPLOADS_DAYS = 7 };

static const char *const hosts[] = {"localhost"};

static void open_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/surefoot-scheduler-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    char path[96];
    char error[512];
    int err = SF_OK;
    (void)snprintf(path, sizeof(path), "%s/artifacts", w->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(artifacts_open(&w->artifacts, path, error), SF_OK);
    const struct store_options options = {.backend = STORE_SQLITE, .readers = 1};
    w->store = store_open(w->dir, &options, &err, error);
    assert_non_null(w->store);
    w->certificate = (struct certificate){
        .identity = {.dir = w->dir, .hosts = hosts, .host_count = 1}, .live = &w->live};
    assert_int_equal(certificate_open(&w->certificate, clock_unix_s(), error), SF_OK);
    w->config = (struct scheduler_config){.store = w->store,
                                          .reader = store_reader(w->store, 0),
                                          .artifacts = w->artifacts,
                                          .certificate = &w->certificate,
                                          .stats = &w->stats,
                                          .live = &w->live};
    atomic_store(&w->live.keep_audit_days, KEEP_AUDIT_DAYS);
    atomic_store(&w->live.keep_uploads_days, KEEP_UPLOADS_DAYS);
    stats_init(&w->stats);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void close_world(struct world *w)
{
    store_close(w->store);
    certificate_close(&w->certificate);
    artifacts_close(w->artifacts);
    (void)nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS); // NOLINT(concurrency-mt-unsafe)
}

static void notes_the_seconds_in_which_clients_were_turned_away(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    stats_overload(&w.stats, 100);
    stats_overload(&w.stats, 100);
    scheduler_shed(&w.config, 0);
    stats_overload(&w.stats, 101);
    stats_overload(&w.stats, 205);
    scheduler_shed(&w.config, 0);
    scheduler_shed(&w.config, 0);
    assert_int_equal(store_flush(w.store), SF_OK);
    struct uptime_row row;
    assert_int_equal(store_uptime_list(w.config.reader, 0, &row, 1), 1);
    assert_int_equal(row.shed_s, 3);
    close_world(&w);
}

static int64_t leaf_end(const struct world *w)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/server.pem", w->dir);
    return tls_not_after(path);
}

static void renews_the_certificate_before_it_ends_and_not_earlier(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    int64_t now = clock_unix_s();
    int64_t end = leaf_end(&w);
    assert_true(end > now + 80 * DAY);
    scheduler_renew_certificate(&w.config, now + 10 * DAY);
    assert_int_equal(leaf_end(&w), end);
    scheduler_renew_certificate(&w.config, end - 10 * DAY);
    assert_true(leaf_end(&w) > end + 60 * DAY);
    close_world(&w);
}

/* A leaf of a new CA, made at `made_at`, with its key in one file, as the private CA has it. */
static void issue(const char *path, int64_t made_at)
{
    const struct tls_identity id = {.hosts = hosts, .host_count = 1};
    EVP_PKEY *key = NULL;
    struct cert_pair ca;
    struct cert_pair leaf;
    assert_int_equal(cert_key_make(&key), SF_OK);
    assert_int_equal(cert_ca_make(key, made_at, &ca), SF_OK);
    assert_int_equal(cert_leaf_make(&ca, &id, made_at, &leaf), SF_OK);
    assert_int_equal(cert_write(path, &leaf), SF_OK);
    cert_release(&leaf);
    cert_release(&ca);
    EVP_PKEY_free(key);
}

static void notices_that_the_files_of_another_ca_changed(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    char path[96];
    char error[512];
    const int64_t now = clock_unix_s();
    (void)snprintf(path, sizeof(path), "%s/own.pem", w.dir);
    issue(path, now - 80 * DAY);
    certificate_close(&w.certificate);
    w.certificate.files = (struct tls_files){.cert = path, .key = path};
    assert_int_equal(certificate_open(&w.certificate, now, error), SF_OK);
    assert_int_equal(atomic_load(&w.live.certificate_ends_at), now + 10 * DAY);

    issue(path, now - 95 * DAY); /* expired: the old one stays */
    scheduler_renew_certificate(&w.config, now + 3600);
    assert_int_equal(atomic_load(&w.live.certificate_ends_at), now + 10 * DAY);
    assert_int_equal(atomic_load(&w.live.certificate_failures), 1);

    issue(path, now);
    scheduler_renew_certificate(&w.config, now + 7200);
    assert_int_equal(atomic_load(&w.live.certificate_ends_at), now + 90 * DAY);
    assert_int_equal(atomic_load(&w.live.certificate_failures), 1);
    close_world(&w);
}

/* Stores the bytes as an upload does; `row` NULL = killed before the database knew. */
static void store_bytes(struct world *w, const char *text, struct artifact *row,
                        uint8_t digest[SF_SHA256_SIZE])
{
    char path[160];
    assert_int_equal(sf_sha256(crypto_openssl(), text, strlen(text), digest), SF_OK);
    (void)snprintf(path, sizeof(path), "%s/upload", artifacts_tmp_dir(w->artifacts));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    assert_int_equal(artifacts_put(w->artifacts, path, digest), SF_OK);
    if (row != NULL) {
        memcpy(row->digest, digest, SF_SHA256_SIZE);
    }
}

static int add_row(struct store_tx *tx, void *arg)
{
    return store_artifact_add(tx, arg);
}

static int stored(const struct world *w, const uint8_t digest[SF_SHA256_SIZE])
{
    int fd = -1;
    uint64_t len = 0;
    if (artifacts_read(w->artifacts, digest, &fd, &len) != SF_OK) {
        return 0;
    }
    (void)close(fd);
    return 1;
}

static void collects_uploads_that_no_release_names(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    int64_t now = clock_unix_s();
    uint8_t unused[SF_SHA256_SIZE];
    uint8_t stray[SF_SHA256_SIZE];
    struct artifact row = {.size = 6, .chip_id = 5, .created_at = now};
    store_bytes(&w, "unused", &row, unused);
    assert_int_equal(store_run(w.store, add_row, &row), SF_OK);
    store_bytes(&w, "stray", NULL, stray);

    scheduler_collect(&w.config, now); /* both are young */
    assert_int_equal(stored(&w, unused), 1);
    assert_int_equal(stored(&w, stray), 1);
    scheduler_collect(&w.config, now + (KEEP_STRAY_FILES_DAYS + 1) * DAY);
    assert_int_equal(stored(&w, unused), 1);
    assert_int_equal(stored(&w, stray), 0);
    scheduler_collect(&w.config, now + (KEEP_UPLOADS_DAYS + 1) * DAY);
    assert_int_equal(stored(&w, unused), 0);
    assert_int_equal(store_artifact_find(w.config.reader, unused, &row), SF_ERR_NOTFOUND);
    close_world(&w);
}

static int touch_row(struct store_tx *tx, void *arg)
{
    const struct artifact *row = arg;
    return store_artifact_touch(tx, row->digest, row->created_at);
}

static void keeps_an_image_that_was_uploaded_again(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    int64_t now = clock_unix_s();
    uint8_t digest[SF_SHA256_SIZE];
    struct artifact row = {.size = 5, .chip_id = 5, .created_at = now};
    store_bytes(&w, "again", &row, digest);
    assert_int_equal(store_run(w.store, add_row, &row), SF_OK);
    row.created_at = now + KEEP_UPLOADS_DAYS * DAY;
    assert_int_equal(store_run(w.store, touch_row, &row), SF_OK);
    scheduler_collect(&w.config, now + (KEEP_UPLOADS_DAYS + 1) * DAY);
    assert_int_equal(stored(&w, digest), 1);
    assert_int_equal(store_artifact_find(w.config.reader, digest, &row), SF_OK);
    close_world(&w);
}

static int add_audit(struct store_tx *tx, void *arg)
{
    const int64_t *at = arg;
    const struct audit_row row = {.at = *at, .who = "x", .action = "y", .object = "z"};
    return store_audit_add(tx, &row);
}

static void forgets_what_its_retention_has_passed(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    int64_t now = clock_unix_s();
    int64_t old = now - (KEEP_AUDIT_DAYS + 1) * DAY;
    for (int i = 0; i < 300; i++) { /* more than one batch */
        assert_int_equal(store_run(w.store, add_audit, &old), SF_OK);
    }
    assert_int_equal(store_run(w.store, add_audit, &now), SF_OK);
    scheduler_prune(&w.config, now);
    struct audit_row rows[2];
    assert_int_equal(store_audit_list(w.config.reader, 0, NULL, rows, 2), 1);
    assert_int_equal(rows[0].at, now);
    scheduler_expire(&w.config, now); /* nothing is due: nothing happens */
    close_world(&w);
}

static void forgets_nothing_while_the_clock_may_be_wrong(void **state)
{
    (void)state;
    struct world w;
    struct scheduler_clock clock;
    const int64_t steady = CLOCK_STEADY_S;
    open_world(&w);
    int64_t now = clock_unix_s();
    /* the first run ever: there is nothing to compare with */
    scheduler_clock_start(&clock, &w.config, now, 0);
    assert_int_equal(scheduler_clock_good(&clock, now + 60, 60000), 0);
    assert_int_equal(scheduler_clock_good(&clock, now + steady, steady * 1000), 1);
    /* it jumps, and jumps back */
    assert_int_equal(scheduler_clock_good(&clock, INT64_C(4294967296), steady * 1000), 0);
    assert_int_equal(scheduler_clock_good(&clock, now + 2 * steady, 2 * steady * 1000), 0);
    assert_int_equal(scheduler_clock_good(&clock, now + 3 * steady, 3 * steady * 1000), 1);

    /* a second run, soon after the first: at once, but not if the clock is elsewhere */
    char error[512];
    int err = SF_OK;
    store_close(w.store);
    const struct store_options options = {.backend = STORE_SQLITE, .readers = 1};
    w.store = store_open(w.dir, &options, &err, error);
    assert_non_null(w.store);
    w.config.store = w.store;
    w.config.reader = store_reader(w.store, 0);
    scheduler_clock_start(&clock, &w.config, clock_unix_s(), 0);
    assert_int_equal(scheduler_clock_good(&clock, clock_unix_s(), 0), 1);
    scheduler_clock_start(&clock, &w.config, INT64_C(4294967296), 0);
    assert_int_equal(scheduler_clock_good(&clock, INT64_C(4294967296), 0), 0);
    scheduler_clock_start(&clock, &w.config, 1000, 0);
    assert_int_equal(scheduler_clock_good(&clock, 1000, 0), 0);
    close_world(&w);
}

static void stops_at_once_when_it_is_told(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct scheduler *s = scheduler_start(&w.config);
    assert_non_null(s);
    int64_t before = clock_mono_ms();
    scheduler_stop(s);
    assert_in_range(clock_mono_ms() - before, 0, 5000);
    scheduler_stop(NULL);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_the_seconds_in_which_clients_were_turned_away),
        cmocka_unit_test(renews_the_certificate_before_it_ends_and_not_earlier),
        cmocka_unit_test(notices_that_the_files_of_another_ca_changed),
        cmocka_unit_test(collects_uploads_that_no_release_names),
        cmocka_unit_test(keeps_an_image_that_was_uploaded_again),
        cmocka_unit_test(forgets_what_its_retention_has_passed),
        cmocka_unit_test(forgets_nothing_while_the_clock_may_be_wrong),
        cmocka_unit_test(stops_at_once_when_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
