#include "server/http/spool.h"

#include <errno.h>
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

#include "base/hex.h"
#include "formats/err.h"

static char dir[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/spool-test-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(dir); /* fails if a file was left */
}

static void a_body_is_stored_hashed_and_removed(void **state)
{
    (void)state;
    struct spool s;
    uint8_t digest[32];
    char hex[65];
    assert_int_equal(spool_open(&s, dir), SF_OK);
    assert_int_equal(spool_write(&s, "ab", 2), SF_OK);
    assert_int_equal(spool_write(&s, "c", 1), SF_OK);
    assert_int_equal(spool_end(&s, digest), SF_OK);
    hex_encode(digest, 32, hex); /* FIPS 180-2, appendix B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct stat st;
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(s.len, 3);
    spool_release(&s);
    spool_release(&s);
}

static void a_file_renamed_away_stays(void **state)
{
    (void)state;
    struct spool s;
    uint8_t digest[32];
    char kept[96];
    (void)snprintf(kept, sizeof(kept), "%s/kept", dir);
    assert_int_equal(spool_open(&s, dir), SF_OK);
    assert_int_equal(spool_end(&s, digest), SF_OK);
    assert_int_equal(rename(s.path, kept), 0);
    spool_release(&s);
    assert_int_equal(unlink(kept), 0);
}

static int calls_until_full;

static ssize_t full_disk(int fd, const void *data, size_t len)
{
    if (calls_until_full-- > 0) {
        return write(fd, data, len > 3 ? 3 : len); /* and short writes before that */
    }
    errno = ENOSPC;
    return -1;
}

static void a_full_disk_is_told_and_the_file_removed(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct spool s;
        calls_until_full = i;
        assert_int_equal(spool_open(&s, dir), SF_OK);
        s.write = full_disk;
        assert_int_equal(spool_write(&s, "twelve bytes", 12), SF_ERR_NOSPC);
        spool_release(&s);
    }
    struct spool s;
    calls_until_full = 4;
    assert_int_equal(spool_open(&s, dir), SF_OK);
    s.write = full_disk;
    assert_int_equal(spool_write(&s, "twelve bytes", 12), SF_OK);
    spool_release(&s);
}

static void a_missing_folder_is_an_error(void **state)
{
    (void)state;
    struct spool s;
    assert_int_equal(spool_open(&s, "/nonexistent/folder"), SF_ERR_NOTFOUND);
    spool_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_body_is_stored_hashed_and_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_renamed_away_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_and_the_file_removed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_missing_folder_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
