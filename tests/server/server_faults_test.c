/* The machine fails under a running server: it says so, promises nothing, and goes on when the
 * fault is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "tests/server/fleet_kit.h"

static void answers_503_while_another_process_locks_the_database(void **state)
{
    (void)state;
    struct kit kit;
    struct kit_image image;
    struct kit_device dev;
    struct kit_device late;
    kit_init(&kit);
    kit_image(&kit, "1.0.0", &image);
    kit_device(&kit, "early", &image, "1.0.0", &dev);
    kit_device(&kit, "late", &image, "1.0.0", &late);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    assert_int_equal(kit_checkin(&kit, &dev), 200);

    char path[DAEMON_PATH + 32];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/surefoot.db", kit.daemon.dir);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", 0, 0, 0) != SQLITE_OK) {
        /* the server holds the database for itself: nobody can lock it */
        (void)sqlite3_close(db);
        kit_release(&kit);
        return;
    }
    assert_int_equal(kit_checkin(&kit, &dev), 200); /* an unchanged poll needs no write */
    assert_int_equal(kit_enrol(&kit, &late, kit.enrol_token), 503);
    struct reply r;
    call(&kit.daemon, &(struct call){.path = "/readyz"}, &r);
    assert_int_equal(r.status, 503);
    reply_release(&r);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", 0, 0, 0), SQLITE_OK);
    (void)sqlite3_close(db);

    assert_int_equal(kit_checkin(&kit, &late), 401); /* nothing of it had stayed */
    assert_int_equal(kit_enrol(&kit, &late, kit.enrol_token), 204);
    call(&kit.daemon, &(struct call){.path = "/readyz"}, &r);
    assert_int_equal(r.status, 200);
    reply_release(&r);
    kit_release(&kit);
}

static long put_image(const struct kit *k, const uint8_t *bytes, size_t len)
{
    uint8_t digest[SF_SHA256_SIZE];
    char hex[2 * SF_SHA256_SIZE + 1];
    char path[128];
    assert_int_equal(sf_sha256(crypto_openssl(), bytes, len, digest), SF_OK);
    hex_encode(digest, sizeof(digest), hex);
    (void)snprintf(path, sizeof(path), "/api/v1/artifacts/%s", hex);
    struct reply r;
    call(&k->daemon,
         &(struct call){.method = "PUT",
                        .path = path,
                        .bearer = k->daemon.admin,
                        .content_type = "application/octet-stream",
                        .body = bytes,
                        .body_len = len},
         &r);
    reply_release(&r);
    return r.curl == 0 ? r.status : -r.curl;
}

/* The file goes when the exchange ends, which is just after its answer. */
static void wait_for_space(const char *dir, unsigned long bytes)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 10000; i++) {
        struct statvfs fs;
        assert_int_equal(statvfs(dir, &fs), 0);
        if (fs.f_bavail * fs.f_bsize > bytes) {
            return;
        }
        (void)nanosleep(&pause, NULL); /* only polls; the condition decides */
    }
    fail_msg("the refused upload still fills %s", dir);
}

/* On a file system of 8 MiB, which only root can make. */
static void says_507_when_the_disk_is_full_and_goes_on(void **state)
{
    (void)state;
    enum { BIG = 12 * 1024 * 1024 };
    struct kit kit;
    memset(&kit, 0, sizeof(kit));
    daemon_init(&kit.daemon);
    if (mount("tmpfs", kit.daemon.dir, "tmpfs", 0, "size=8m") != 0) {
        daemon_release(&kit.daemon);
        print_message("no right to mount a small file system: skipped\n");
        skip();
    }
    char dir[DAEMON_PATH];
    memcpy(dir, kit.daemon.dir, sizeof(dir));
    daemon_start(&kit.daemon);
    uint8_t *bytes = malloc(BIG);
    assert_non_null(bytes);
    struct esp_image_spec spec = {.size = BIG};
    size_t len = esp_image_build(&spec, bytes, BIG);
    assert_int_equal(put_image(&kit, bytes, len), 507);
    wait_for_space(dir, 4 << 20); /* nothing of it stays */
    spec = (struct esp_image_spec){.size = 65536};
    len = esp_image_build(&spec, bytes, BIG);
    assert_int_equal(put_image(&kit, bytes, len), 201);
    free(bytes);
    int code = daemon_stop(&kit.daemon);
    assert_int_equal(umount2(dir, MNT_DETACH), 0);
    daemon_release(&kit.daemon);
    assert_int_equal(code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_503_while_another_process_locks_the_database),
        cmocka_unit_test(says_507_when_the_disk_is_full_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
