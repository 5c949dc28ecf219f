/* Backups of a real surefootd at work: made, and made in vain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/backup_kit.h"

/* ---- while it runs ---- */

struct load {
    atomic_int enrolled; /* acknowledged */
    atomic_int stop;
};

static void *enrol_all_the_time(void *arg)
{
    struct load *load = arg;
    struct kit_image old;
    kit_image(&kit, "0.9.0", &old);
    for (int i = 0; !atomic_load(&load->stop); i++) {
        char id[32];
        struct kit_device dev;
        (void)snprintf(id, sizeof(id), "busy-%d", i);
        kit_device(&kit, id, &old, "0.9.0", &dev);
        if (kit_enrol(&kit, &dev, kit.enrol_token) != 204 || kit_checkin(&kit, &dev) != 200) {
            return load; /* only a failure ends early */
        }
        atomic_store(&load->enrolled, i + 1);
    }
    return NULL;
}

static void a_backup_has_all_that_was_acknowledged_before_it(void **state)
{
    (void)state;
    enum { BACKUPS = 6 };
    static struct load load;
    pthread_t thread;
    void *failed = NULL;
    assert_int_equal(pthread_create(&thread, NULL, enrol_all_the_time, &load), 0);
    for (int i = 0; i < BACKUPS; i++) {
        char name[32];
        const struct timespec pause = {.tv_nsec = 1000000};
        while (atomic_load(&load.enrolled) < 5 * (i + 1)) {
            (void)nanosleep(&pause, NULL); /* only polls; the condition decides */
        }
        const int before = atomic_load(&load.enrolled);
        (void)snprintf(name, sizeof(name), "busy-%d", i);
        must_back_up(name);
        expect_sound(in_room(name));
        assert_true(number_in(in_room(name), "SELECT count(*) FROM device WHERE device_id LIKE"
                                             " 'busy-%'") >= before);
        expect_sound(kit.daemon.dir);
    }
    atomic_store(&load.stop, 1);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed); /* no enrolment was turned away meanwhile */
}

static void images_of_an_earlier_backup_are_shared(void **state)
{
    (void)state;
    struct backup_summary summary;
    char why[BACKUP_WHY_SIZE];
    struct stat a;
    struct stat b;
    must_back_up("sun");
    assert_int_equal(back_up("mon/", in_room("sun"), &summary, why), SF_OK);
    assert_int_equal(summary.shared_files, 2);
    assert_int_equal(stat(image_path(in_room("sun"), &v1), &a), 0);
    assert_int_equal(stat(image_path(in_room("mon"), &v1), &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    expect_sound(in_room("mon"));
}

static void secrets_in_a_backup_are_for_its_owner_only(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "/surefoot.db",
                                        "/ca.key",
                                        "/server.pem",
                                        "/admin-token",
                                        "/status-key.pem",
                                        "/backup.json"};
    must_back_up("modes");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[64];
        struct stat st;
        (void)snprintf(name, sizeof(name), "modes%s", names[i]);
        assert_int_equal(stat(in_room(name), &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
}

/* ---- what stops a backup ---- */

static void expect_refused(int want, const char *in_why)
{
    struct backup_summary summary;
    char why[BACKUP_WHY_SIZE];
    const int err = back_up("refused", NULL, &summary, why);
    if (err != want || strstr(why, in_why) == NULL) {
        fail_msg("%d instead of %d: %s", err, want, why);
    }
    assert_false(exists(in_room("refused")));
}

static void a_second_backup_at_once_and_a_name_that_is_taken_are_refused(void **state)
{
    (void)state;
    struct backup_summary summary;
    char why[BACKUP_WHY_SIZE];
    must_back_up("taken");
    assert_int_equal(back_up("taken", NULL, &summary, why), SF_ERR_EXISTS);
    assert_non_null(strstr(why, "is there already"));

    assert_int_equal(mkdir(in_room("refused.partial"), 0700), 0);
    const int fd = open(in_room("refused.partial"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    expect_refused(SF_ERR_BUSY, "is running");
    (void)close(fd); /* as if it had been killed: the next one takes the rest away */
    FILE *rest = fopen(in_room("refused.partial/surefoot.db"), "we");
    assert_non_null(rest);
    (void)fclose(rest);
    must_back_up("refused");
    assert_false(exists(in_room("refused.partial")));
    files_remove_tree(in_room("refused"), FILES_WHOLE);
}

static void what_cannot_be_read_stops_a_backup(void **state)
{
    (void)state;
    char key[PATH_MAX];
    char away[PATH_MAX];
    assert_int_equal(files_path(key, kit.daemon.dir, "ca.key"), SF_OK);
    assert_int_equal(files_path(away, kit.daemon.dir, "ca.key.away"), SF_OK);
    assert_int_equal(rename(key, away), 0);
    expect_refused(SF_ERR_NOTFOUND, "ca.key': there is no such file");
    assert_int_equal(mkdir(key, 0700), 0);
    expect_refused(SF_ERR_IO, "ca.key': Is a directory");
    assert_int_equal(rmdir(key), 0);
    assert_int_equal(rename(away, key), 0);
    assert_false(exists(in_room("refused.partial")));
}

static void an_image_that_was_collected_meanwhile_is_left_out(void **state)
{
    (void)state;
    struct kit_image loose;
    char path[PATH_MAX];
    char away[PATH_MAX];
    char code[64];
    kit_image(&kit, "7.7.7", &loose);
    assert_int_equal(kit_upload(&kit, &loose, code), 201);
    assert_int_equal(unlink(image_path(kit.daemon.dir, &loose)),
                     0); /* the database still knows it */
    must_back_up("collected");
    expect_sound(in_room("collected"));
    assert_int_equal(number_in(in_room("collected"), "SELECT count(*) FROM artifact"), 2);

    /* one of a release is a loss, not a collection */
    (void)snprintf(path, sizeof(path), "%s", image_path(kit.daemon.dir, &v1));
    (void)snprintf(away, sizeof(away), "%s", in_room("away"));
    assert_int_equal(rename(path, away), 0);
    expect_refused(SF_ERR_CORRUPT, "the image of a release");
    struct said said;
    assert_int_equal(problems_of(kit.daemon.dir, &said), 1);
    assert_non_null(strstr(said.text, "it is the image of a release"));
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(kit_upload(&kit, &loose, code), 201); /* the server has it again */
}

/* As it is where the certificate is another CA's from the first start on. */
static void a_data_folder_without_a_private_ca_is_whole(void **state)
{
    (void)state;
    static const char *const names[] = {"ca.pem", "ca.key", "server.pem"};
    char from[3][PATH_MAX];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(files_path(from[i], kit.daemon.dir, names[i]), SF_OK);
        assert_int_equal(rename(from[i], in_room(names[i])), 0);
    }
    must_back_up("no-ca");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rename(in_room(names[i]), from[i]), 0);
    }
    expect_sound(in_room("no-ca"));
    assert_false(exists(in_room("no-ca/ca.key")));
}

/* On file systems that only root can make, too small for all of it at different places. */
static void a_full_disk_leaves_no_half_backup(void **state)
{
    (void)state;
    static const unsigned sizes_kib[] = {8, 24, 48, 120, 200};
    char small[PATH_MAX];
    (void)snprintf(small, sizeof(small), "%s", in_room("small"));
    assert_int_equal(mkdir(small, 0700), 0);
    for (size_t i = 0; i < sizeof(sizes_kib) / sizeof(sizes_kib[0]); i++) {
        char size[32];
        char why[BACKUP_WHY_SIZE];
        struct backup_summary summary;
        (void)snprintf(size, sizeof(size), "size=%uk", sizes_kib[i]);
        if (mount("tmpfs", small, "tmpfs", 0, size) != 0) {
            print_message("no right to mount a small file system: skipped\n");
            skip();
        }
        const int err = back_up("small/b", NULL, &summary, why);
        const int empty = files_is_empty(small);
        assert_int_equal(umount2(small, MNT_DETACH), 0);
        if (err != SF_ERR_NOSPC || strstr(why, "full") == NULL) {
            fail_msg("%u KiB: %d %s", sizes_kib[i], err, why);
        }
        assert_int_equal(empty, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_has_all_that_was_acknowledged_before_it),
        cmocka_unit_test(images_of_an_earlier_backup_are_shared),
        cmocka_unit_test(secrets_in_a_backup_are_for_its_owner_only),
        cmocka_unit_test(a_second_backup_at_once_and_a_name_that_is_taken_are_refused),
        cmocka_unit_test(what_cannot_be_read_stops_a_backup),
        cmocka_unit_test(an_image_that_was_collected_meanwhile_is_left_out),
        cmocka_unit_test(a_data_folder_without_a_private_ca_is_whole),
        cmocka_unit_test(a_full_disk_leaves_no_half_backup),
    };
    return cmocka_run_group_tests(tests, backup_kit_setup, backup_kit_teardown);
}
