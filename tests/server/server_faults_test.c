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
#include <curl/curl.h>
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

/* The status; what was said goes to `said`, unless NULL. */
static long put_image(const struct kit *k, const uint8_t *bytes, size_t len, char said[512])
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
    if (said != NULL) {
        (void)snprintf(said, 512, "%s", r.body != NULL ? (const char *)r.body : "");
    }
    reply_release(&r);
    return r.curl == 0 ? r.status : -r.curl;
}

struct stream {
    const uint8_t *bytes;
    size_t left;
};

static size_t give(char *out, size_t size, size_t count, void *ctx)
{
    struct stream *s = ctx;
    const size_t n = s->left < size * count ? s->left : size * count;
    memcpy(out, s->bytes, n);
    s->bytes += n;
    s->left -= n;
    return n;
}

/* libcurl decides on the parameters */
static size_t drop(char *data, size_t size, size_t count, // NOLINT(readability-non-const-parameter)
                   void *ctx)
{
    (void)data;
    (void)ctx;
    return size * count;
}

/* In chunks, without a length: the server can't know how much will come. */
static long put_chunked(const struct kit *k, const uint8_t *bytes, size_t len)
{
    struct stream stream = {bytes, len};
    char text[256];
    long status = 0;
    CURL *curl = curl_easy_init();
    (void)snprintf(text, sizeof(text), "Authorization: Bearer %s", k->daemon.admin);
    struct curl_slist *headers = curl_slist_append(NULL, text);
    headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
    headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
    (void)snprintf(text, sizeof(text), "https://localhost:%u/api/v1/artifacts/%064d",
                   k->daemon.port, 0);
    (void)curl_easy_setopt(curl, CURLOPT_URL, text);
    (void)curl_easy_setopt(curl, CURLOPT_CAINFO, k->daemon.ca);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
    (void)curl_easy_setopt(curl, CURLOPT_READDATA, &stream);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
    (void)curl_easy_perform(curl); /* may be told to stop while it sends */
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return status;
}

static int64_t space_of(const struct kit *k, const char *name)
{
    long status = 0;
    json_t *server = api(&k->daemon, "GET", "/api/v1/server", NULL, &status);
    assert_int_equal(status, 200);
    const json_t *value = json_object_get(json_object_get(server, "space"), name);
    assert_true(json_is_integer(value));
    const int64_t bytes = json_integer_value(value);
    json_decref(server);
    return bytes;
}

static void refuses_an_image_beyond_the_quota_before_its_body(void **state)
{
    (void)state;
    enum { BIG = 3 * 1024 * 1024 };
    static uint8_t bytes[BIG];
    struct kit kit;
    char said[512];
    memset(&kit, 0, sizeof(kit));
    daemon_init(&kit.daemon);
    kit.daemon.extra[0] = "--quota=1M";
    daemon_start(&kit.daemon);
    struct esp_image_spec spec = {.size = 700000};
    const size_t first = esp_image_build(&spec, bytes, BIG);
    assert_int_equal(put_image(&kit, bytes, first, NULL), 201);
    assert_int_equal(space_of(&kit, "artifact_bytes"), first);
    assert_int_equal(space_of(&kit, "quota_bytes"), 1 << 20);
    assert_true(space_of(&kit, "database_bytes") > 0);

    spec = (struct esp_image_spec){.size = 400000};
    const size_t second = esp_image_build(&spec, bytes, BIG);
    assert_int_equal(put_image(&kit, bytes, second, said), 507);
    if (strstr(said, "take 0.6 MiB of the 1.0 MiB that 'quota' allows") == NULL) {
        fail_msg("%s", said);
    }
    assert_int_equal(put_chunked(&kit, bytes, BIG), 507); /* as soon as it is too much */
    spec = (struct esp_image_spec){.size = 300000};
    const size_t third = esp_image_build(&spec, bytes, BIG);
    assert_int_equal(put_image(&kit, bytes, third, NULL), 201);
    assert_int_equal(daemon_stop(&kit.daemon), 0);
    daemon_start(&kit.daemon); /* and a start counts the same */
    assert_int_equal(space_of(&kit, "artifact_bytes"), first + third);
    daemon_release(&kit.daemon);
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
    char said[512];
    assert_int_equal(put_image(&kit, bytes, len, said), 507);
    assert_non_null(strstr(said, "stay reserved for the database"));
    assert_int_equal(put_chunked(&kit, bytes, len), 507);
    wait_for_space(dir, 4 << 20); /* nothing of it stays */
    assert_true(space_of(&kit, "reserve_bytes") > 0);
    spec = (struct esp_image_spec){.size = 65536};
    len = esp_image_build(&spec, bytes, BIG);
    assert_int_equal(put_image(&kit, bytes, len, NULL), 201);
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
        cmocka_unit_test(refuses_an_image_beyond_the_quota_before_its_body),
        cmocka_unit_test(says_507_when_the_disk_is_full_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
