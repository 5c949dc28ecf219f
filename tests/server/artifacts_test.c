#include "server/artifacts/room.h"

#include <fcntl.h>
#include <ftw.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/err.h"

static char dir[64];
static struct artifacts *artifacts;
static char error[ARTIFACTS_ERROR_MAX];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/artifacts-test-XXXXXX");
    return mkdtemp(dir) != NULL && artifacts_open(&artifacts, dir, error) == SF_OK ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    artifacts_close(artifacts);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes an upload into the tmp folder; its path is static. */
static const char *upload(const char *text, uint8_t digest[32])
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/upload", artifacts_tmp_dir(artifacts));
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    (void)SHA256((const unsigned char *)text, strlen(text), digest);
    return path;
}

static void put(const char *text, uint8_t digest[32])
{
    const char *path = upload(text, digest);
    assert_int_equal(artifacts_put(artifacts, path, digest), SF_OK);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void stored_bytes_read_back_under_their_digest(void **state)
{
    (void)state;
    uint8_t digest[32];
    put("an image", digest);
    int fd;
    uint64_t len;
    assert_int_equal(artifacts_read(artifacts, digest, &fd, &len), SF_OK);
    char text[16] = "";
    assert_int_equal(read(fd, text, sizeof(text)), 8);
    assert_int_equal(len, 8);
    assert_string_equal(text, "an image");
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
    (void)close(fd);
    assert_int_equal(artifacts_verify(artifacts, digest), SF_OK);
}

static void the_same_bytes_twice_are_one_file_and_young_again(void **state)
{
    (void)state;
    uint8_t digest[32];
    put("an image", digest);
    char hex[ARTIFACT_HEX_SIZE];
    char path[256];
    artifact_digest_encode(digest, hex);
    (void)snprintf(path, sizeof(path), "%s/%.2s/%s", dir, hex, hex);
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    put("an image", digest);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_mtime > 1000);
}

static void missing_and_removed_artifacts_are_not_found(void **state)
{
    (void)state;
    uint8_t digest[32];
    put("x", digest);
    assert_int_equal(artifacts_remove(artifacts, digest), SF_OK);
    int fd;
    uint64_t len;
    assert_int_equal(artifacts_read(artifacts, digest, &fd, &len), SF_ERR_NOTFOUND);
    assert_int_equal(artifacts_verify(artifacts, digest), SF_ERR_NOTFOUND);
    assert_int_equal(artifacts_remove(artifacts, digest), SF_ERR_NOTFOUND);
}

static void changed_bytes_are_found_by_verify(void **state)
{
    (void)state;
    uint8_t digest[32];
    const char *path = upload("an image", digest);
    digest[0] ^= 1;
    assert_int_equal(artifacts_put(artifacts, path, digest), SF_OK);
    assert_int_equal(artifacts_verify(artifacts, digest), SF_ERR_DIGEST);
}

static void leftovers_of_a_crash_go_at_the_next_open_and_artifacts_stay(void **state)
{
    (void)state;
    uint8_t digest[32];
    uint8_t other[32];
    put("kept", digest);
    const char *path = upload("half an upl", other);
    artifacts_close(artifacts);
    assert_int_equal(artifacts_open(&artifacts, dir, error), SF_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(artifacts_verify(artifacts, digest), SF_OK);
}

struct seen {
    unsigned count;
    uint64_t bytes;
    unsigned stop_at;
};

static int see(const struct artifact_file *file, void *ctx)
{
    struct seen *s = ctx;
    s->count++;
    s->bytes += file->len;
    assert_true(file->stored_at > 1700000000);
    assert_int_equal(artifacts_verify(artifacts, file->sha256), SF_OK);
    return s->count == s->stop_at ? 7 : 0;
}

static void the_list_has_every_artifact_and_nothing_else(void **state)
{
    (void)state;
    uint8_t digest[32];
    for (int i = 0; i < 50; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%04d", i);
        put(text, digest);
    }
    (void)upload("not yet an artifact", digest);
    struct seen all = {0};
    assert_int_equal(artifacts_list(artifacts, see, &all), 0);
    assert_int_equal(all.count, 50);
    assert_int_equal(all.bytes, 200);
    struct seen some = {.stop_at = 3};
    assert_int_equal(artifacts_list(artifacts, see, &some), 7);
    assert_int_equal(some.count, 3);
}

static void digests_have_one_spelling(void **state)
{
    (void)state;
    uint8_t digest[32];
    char hex[ARTIFACT_HEX_SIZE];
    const char *good = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_int_equal(artifact_digest_decode(good, digest), SF_OK);
    artifact_digest_encode(digest, hex);
    assert_string_equal(hex, good);
    static const char *const bad[] = {
        "", "ba78", "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0",
        "../816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(artifact_digest_decode(bad[i], digest), SF_ERR_FORMAT);
    }
}

static void an_unusable_folder_is_one_sentence(void **state)
{
    (void)state;
    struct artifacts *none = NULL;
    assert_true(artifacts_open(&none, "/proc/none", error) < 0);
    assert_non_null(strstr(error, "'/proc/none'"));
    assert_null(none);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void knows_how_much_is_stored_and_whether_more_fits(void **state)
{
    (void)state;
    uint8_t one[32];
    uint8_t two[32];
    char why[ROOM_WHY_MAX];
    put("12345", one);
    put("1234567", two);
    put("12345", one); /* the same again takes no more */
    assert_int_equal(artifacts_used(artifacts), 12);
    struct room room = {.artifacts = artifacts};
    assert_int_equal(room_check(&room, 0, 1 << 20, why), SF_OK); /* no quota */
    atomic_store(&room.quota_bytes, 20);
    assert_int_equal(room_check(&room, 3, 5, why), SF_OK);
    assert_int_equal(room_check(&room, 3, 6, why), SF_ERR_NOSPC);
    assert_int_equal(room_check(&room, UINT64_MAX / 2, 6, why), SF_ERR_NOSPC);
    assert_non_null(strstr(why, "'quota'"));
    atomic_store(&room.quota_bytes, 7); /* lowered below what is there */
    assert_int_equal(room_check(&room, 0, 0, why), SF_ERR_NOSPC);
    atomic_store(&room.quota_bytes, 0);
    atomic_store(&room.reserve_bytes, UINT64_MAX); /* a tenth of the disk counts */
    struct room_state s;
    room_state(&room, &s);
    assert_int_equal(s.reserve_bytes, s.disk_bytes / ROOM_RESERVE_PARTS);
    assert_int_equal(room_check(&room, 0, s.disk_bytes, why), SF_ERR_NOSPC);
    assert_non_null(strstr(why, "reserved for the database"));

    assert_int_equal(artifacts_remove(artifacts, one), SF_OK);
    assert_int_equal(artifacts_used(artifacts), 7);
    artifacts_close(artifacts);
    assert_int_equal(artifacts_open(&artifacts, dir, error), SF_OK);
    assert_int_equal(artifacts_used(artifacts), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(knows_how_much_is_stored_and_whether_more_fits),
        TEST(stored_bytes_read_back_under_their_digest),
        TEST(the_same_bytes_twice_are_one_file_and_young_again),
        TEST(missing_and_removed_artifacts_are_not_found),
        TEST(changed_bytes_are_found_by_verify),
        TEST(leftovers_of_a_crash_go_at_the_next_open_and_artifacts_stay),
        TEST(the_list_has_every_artifact_and_nothing_else),
        TEST(digests_have_one_spelling),
        TEST(an_unusable_folder_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
