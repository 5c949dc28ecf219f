#include "base/disk.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/err.h"

static char dir[64];
static char path[96];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/disk-test-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(dir); /* fails if a temporary file was left */
}

static void a_written_file_reads_back_with_its_mode(void **state)
{
    (void)state;
    assert_int_equal(disk_write_atomic(path, 0600, "one", 3), SF_OK);
    assert_int_equal(disk_write_atomic(path, 0640, "two\0two", 7), SF_OK);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    struct arena a;
    arena_init(&a, 1024);
    char *data;
    size_t len;
    assert_int_equal(disk_read(&a, path, 7, &data, &len), SF_OK);
    assert_int_equal(len, 7);
    assert_memory_equal(data, "two\0two", 8);
    arena_release(&a);
}

static void reading_tells_missing_too_long_and_folder_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    char *data;
    assert_int_equal(disk_read(&a, path, 10, &data, NULL), SF_ERR_NOTFOUND);
    assert_int_equal(disk_write_atomic(path, 0600, "12345", 5), SF_OK);
    assert_int_equal(disk_read(&a, path, 4, &data, NULL), SF_ERR_RANGE);
    assert_int_equal(disk_read(&a, dir, 10, &data, NULL), SF_ERR_FORMAT);
    arena_release(&a);
}

static void a_full_disk_keeps_the_old_file_and_leaves_nothing(void **state)
{
    (void)state;
    static char big[8192];
    assert_int_equal(disk_write_atomic(path, 0600, "old", 3), SF_OK);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const int err = disk_write_atomic(path, 0600, big, sizeof(big));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err, SF_ERR_NOSPC);
    struct arena a;
    arena_init(&a, 1024);
    char *data;
    assert_int_equal(disk_read(&a, path, 10, &data, NULL), SF_OK);
    assert_string_equal(data, "old");
    arena_release(&a);
}

static void a_missing_folder_is_an_error(void **state)
{
    (void)state;
    char missing[128];
    (void)snprintf(missing, sizeof(missing), "%s/none/file", dir);
    assert_int_equal(disk_write_atomic(missing, 0600, "x", 1), SF_ERR_NOTFOUND);
    (void)snprintf(missing, sizeof(missing), "%s/none", dir);
    assert_int_equal(disk_sync_folder(missing), SF_ERR_NOTFOUND);
    assert_int_equal(disk_error(ENOSPC), SF_ERR_NOSPC);
    assert_int_equal(disk_error(EIO), SF_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_written_file_reads_back_with_its_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reading_tells_missing_too_long_and_folder_apart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_keeps_the_old_file_and_leaves_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_missing_folder_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
