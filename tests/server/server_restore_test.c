/* Backups that are looked at, damaged, interrupted, put back and used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/server/backup_kit.h"

/* ---- what a check finds ---- */

static void overwrite(const char *path, long offset, const char *bytes, size_t len)
{
    assert_int_equal(chmod(path, 0600), 0);
    FILE *f = fopen(path, "r+e");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    (void)fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void damage_image(const char *dir)
{
    const char *path = image_path(dir, &v2);
    const char *fresh = inside(dir, "fresh"); /* the data folder has the same inode */
    struct file_sum sum;
    assert_int_equal(files_copy(path, fresh, 0600, &sum), SF_OK);
    assert_int_equal(rename(fresh, path), 0);
    overwrite(path, 5000, "x", 1);
}

static void lose_image(const char *dir)
{
    assert_int_equal(unlink(image_path(dir, &v1)), 0);
}

static void damage_page(const char *dir)
{
    char path[PATH_MAX];
    char junk[4096];
    memset(junk, 0x5a, sizeof(junk));
    (void)snprintf(path, sizeof(path), "%s/surefoot.db", dir);
    overwrite(path, 4096 * 5, junk, sizeof(junk));
}

static void cut_database(const char *dir)
{
    const char *path = inside(dir, "surefoot.db");
    assert_int_equal(truncate(path, 10000), 0);
}

static void open_secret(const char *dir)
{
    const char *path = inside(dir, "ca.key");
    assert_int_equal(chmod(path, 0644), 0);
}

static void swap_keys(const char *dir)
{
    const char *a = inside(dir, "status-key.pem");
    const char *b = inside(dir, "ca.key");
    struct file_sum sum;
    assert_int_equal(unlink(b), 0);
    assert_int_equal(files_copy(a, b, 0600, &sum), SF_OK);
}

static void lose_key(const char *dir)
{
    const char *path = inside(dir, "status-key.pem");
    assert_int_equal(unlink(path), 0);
}

static void change_tally(const char *dir)
{
    const char *path = inside(dir, "surefoot.db");
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE tally SET count = count + 1 WHERE kind = 1 AND"
                                  " state = 1",
                                  0, 0, 0),
                     SQLITE_OK);
    (void)sqlite3_close(db);
}

static void change_manifest(const char *dir)
{
    const char *path = inside(dir, "surefoot.db");
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE manifest SET envelope = zeroblob(length(envelope))"
                                  " WHERE id = 1",
                                  0, 0, 0),
                     SQLITE_OK);
    (void)sqlite3_close(db);
}

static void garble_list(const char *dir)
{
    const char *path = inside(dir, "backup.json");
    write_text(path, "{\"format\": 1");
}

static void lead_list_astray(const char *dir)
{
    const char *path = inside(dir, "backup.json");
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "{\"format\": 1, \"version\": \"x\", \"made_at\": 1, \"schema\": 1, \"files\": "
                   "[{\"name\": \"../../etc/passwd\", \"size\": 1, \"sha256\": \"%s\"}]}",
                   v1.hex);
    write_text(path, text);
}

static void age_list(const char *dir)
{
    const char *path = inside(dir, "backup.json");
    write_text(path, "{\"format\": 2, \"version\": \"9.9\", \"made_at\": 1, \"schema\": 1, "
                     "\"files\": []}");
}

static void each_damage_is_told_and_not_restored(void **state)
{
    (void)state;
    static const struct {
        void (*damage)(const char *dir);
        const char *says;
    } rows[] = {
        {damage_image, "does not have the bytes it is named after"},
        {lose_image, "no such file"},
        {damage_page, "is not what was backed up"},
        {cut_database, "is not what was backed up"},
        {open_secret, "can be read by others"},
        {swap_keys, "'ca.key' is not the key of 'ca.pem'"},
        {lose_key, "status-key.pem': there is no such file"},
        {change_tally, "the count of devices in state 1"},
        {change_manifest, "release 1.0.0 of product 'lamp': the manifest"},
        {garble_list, "backup.json is not one of a backup"},
        {lead_list_astray, "is no file that a backup has"},
        {age_list, "has format 2"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct said said;
        char why[BACKUP_WHY_SIZE] = "";
        char dir[PATH_MAX];
        (void)snprintf(dir, sizeof(dir), "%s", in_room("damaged"));
        must_back_up("damaged");
        rows[i].damage(dir);
        if (problems_of(dir, &said) == 0 || strstr(said.text, rows[i].says) == NULL) {
            fail_msg("row %zu wants '%s': %s", i, rows[i].says, said.text);
        }
        assert_int_not_equal(put_back(dir, in_room("never"), why), SF_OK);
        assert_non_null(strstr(why, "nothing was restored"));
        assert_false(exists(in_room("never")));
        files_remove_tree(dir, FILES_WHOLE);
    }
}

/* Bytes of the database overwritten at random places behind the list's back: told or harmless,
 * never a crash. */
static void a_database_with_random_damage_is_told_or_works(void **state)
{
    (void)state;
    enum { ROUNDS = 30 };
    unsigned told = 0;
    uint32_t rng = 20261127;
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof(dir), "%s", in_room("random"));
    print_message("seed %u\n", rng);
    for (int i = 0; i < ROUNDS; i++) {
        struct said said;
        char junk[64];
        struct stat st;
        must_back_up("random");
        assert_int_equal(unlink(inside(dir, "backup.json")), 0); /* looked at as a data folder */
        const char *path = inside(dir, "surefoot.db");
        assert_int_equal(stat(path, &st), 0);
        rng = rng * 1664525u + 1013904223u;
        memset(junk, (int)(rng >> 24), sizeof(junk));
        overwrite(path, (long)(rng % ((uint32_t)st.st_size - sizeof(junk))), junk, sizeof(junk));
        told += problems_of(dir, &said) > 0;
        files_remove_tree(dir, FILES_WHOLE);
    }
    print_message("%u of %d told\n", told, ROUNDS);
    assert_true(told > 0);
}

static void ask_around(const struct daemon *d)
{
    static const char *const paths[] = {"/api/v1/devices",
                                        "/api/v1/products",
                                        "/api/v1/audit",
                                        "/api/v1/tokens",
                                        "/readyz",
                                        "/metrics",
                                        "/api/v1/products/lamp/releases"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct reply r;
        call(d, &(struct call){.path = paths[i], .bearer = d->admin}, &r);
        assert_int_equal(r.curl, 0); /* answered, whatever it says */
        reply_release(&r);
    }
}

/* The same under surefootd: it says so and ends with 4, or serves what it can; it never crashes. */
static void a_server_on_a_damaged_database_says_so_or_serves(void **state)
{
    (void)state;
    enum { ROUNDS = 10 };
    unsigned ended = 0;
    uint32_t rng = 424242;
    print_message("seed %u\n", rng);
    must_back_up("sound");
    for (int i = 0; i < ROUNDS; i++) {
        struct daemon d = {0};
        char why[BACKUP_WHY_SIZE];
        char junk[512];
        struct stat st;
        (void)snprintf(d.dir, sizeof(d.dir), "%s", in_room("damaged-data"));
        (void)snprintf(d.ca, sizeof(d.ca), "%s/ca.pem", d.dir);
        assert_int_equal(put_back(in_room("sound"), d.dir, why), SF_OK);
        const char *path = inside(d.dir, "surefoot.db");
        assert_int_equal(stat(path, &st), 0);
        rng = rng * 1664525u + 1013904223u;
        memset(junk, (int)(rng >> 24), sizeof(junk));
        overwrite(path, i == 0 ? 0 : (long)(rng % ((uint32_t)st.st_size - sizeof(junk))), junk,
                  sizeof(junk));
        const int code = daemon_try_start(&d);
        if (code == 0) {
            ask_around(&d);
            assert_int_equal(daemon_stop(&d), 0);
        } else {
            assert_int_equal(code, 4);
            ended++;
        }
        files_remove_tree(in_room("damaged-data"), FILES_WHOLE);
    }
    print_message("%u of %d ended at the start\n", ended, ROUNDS);
    assert_true(ended > 0); /* the first has no SQLite header any more */
}

/* ---- interrupted ---- */

/* Runs `work` in a child that is killed after a while that differs each time. */
enum { NEVER = -1, KILLS = 30 };
static int killed_while(void (*work)(void), long after_us)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work();
        _exit(0);
    }
    if (after_us != NEVER) {
        const struct timespec wait = {after_us / 1000000, after_us % 1000000 * 1000};
        (void)nanosleep(&wait, NULL); /* the moment of the kill is what the test varies */
        (void)kill(child, SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

/* How long it takes when nothing comes between. */
static long duration_us(void (*work)(void))
{
    const int64_t start_ms = clock_mono_ms();
    assert_int_equal(killed_while(work, NEVER), 0);
    return (long)(clock_mono_ms() - start_ms) * 1000;
}

static void work_backup(void)
{
    struct backup_summary summary;
    char why[BACKUP_WHY_SIZE];
    const int err = back_up("killed", NULL, &summary, why);
    (void)err;
}

static void work_restore(void)
{
    char why[BACKUP_WHY_SIZE];
    char from[PATH_MAX];
    (void)snprintf(from, sizeof(from), "%s", in_room("from"));
    const int err = put_back(from, in_room("to"), why);
    (void)err;
}

static void a_backup_that_is_killed_is_not_there_or_whole(void **state)
{
    (void)state;
    unsigned killed = 0;
    unsigned whole = 0;
    const long all_us = duration_us(work_backup);
    files_remove_tree(in_room("killed"), FILES_WHOLE);
    for (long i = 0; i < KILLS; i++) {
        killed += (unsigned)killed_while(work_backup, all_us * i / KILLS);
        if (exists(in_room("killed"))) {
            whole++;
            expect_sound(in_room("killed"));
            files_remove_tree(in_room("killed"), FILES_WHOLE);
        }
    }
    print_message("%u killed, %u had ended\n", killed, whole);
    assert_true(killed > 0);
    must_back_up("killed"); /* over what the last one left */
    expect_sound(in_room("killed"));
    assert_false(exists(in_room("killed.partial")));
}

static void expect_unserved(const char *dir)
{
    char error[512];
    const char *args[] = {SF_BIN_DIR "/surefootd", "--data", dir, "--listen", "127.0.0.1:0", NULL};
    assert_int_equal(daemon_run(args, error, sizeof(error)), 3);
    assert_non_null(strstr(error, "did not end: empty that folder"));
}

static void a_restore_that_is_killed_serves_nobody_or_is_whole(void **state)
{
    (void)state;
    must_back_up("from");
    unsigned refused = 0;
    const long all_us = duration_us(work_restore);
    expect_sound(in_room("to"));
    files_remove_tree(in_room("to"), FILES_WHOLE);
    for (long i = 0; i < KILLS; i++) {
        (void)killed_while(work_restore, all_us * i / KILLS);
        if (exists(in_room("to/restoring"))) {
            expect_unserved(in_room("to"));
            refused++;
        } else if (exists(in_room("to/surefoot.db"))) {
            expect_sound(in_room("to"));
        }
        files_remove_tree(in_room("to"), FILES_WHOLE);
    }
    print_message("%u were refused by surefootd\n", refused);
    assert_int_equal(killed_while(work_restore, NEVER), 0);
    write_text(in_room("to/restoring"), "");
    expect_unserved(in_room("to"));
    files_remove_tree(in_room("to"), FILES_WHOLE);
}

/* ---- put back ---- */

static void nothing_is_restored_over_something(void **state)
{
    (void)state;
    char why[BACKUP_WHY_SIZE];
    char from[PATH_MAX];
    (void)snprintf(from, sizeof(from), "%s", in_room("over"));
    must_back_up("over");
    assert_int_equal(put_back(from, kit.daemon.dir, why), SF_ERR_STATE);
    assert_non_null(strstr(why, "is not empty"));
    assert_int_equal(put_back(kit.daemon.dir, in_room("never"), why), SF_ERR_STATE);
    assert_non_null(strstr(why, "is a data folder, not a backup"));
    assert_int_equal(mkdir(in_room("empty"), 0700), 0);
    assert_int_equal(put_back(from, in_room("empty"), why), SF_OK);
    expect_sound(in_room("empty"));
}

static void expect_no_offer(struct kit_device *dev)
{
    assert_int_equal(kit_checkin(&kit, dev), 200);
    assert_int_not_equal(dev->status.action, SF_STATUS_INSTALL);
    assert_int_not_equal(dev->status.action, SF_STATUS_ROLL_BACK);
}

static void runs_now(struct kit_device *dev, const struct kit_image *image, const char *version)
{
    memcpy(dev->report.running_digest, image->digest, SF_SHA256_SIZE);
    dev->report.running_length = (uint32_t)image->len;
    (void)snprintf(dev->report.running_version, sizeof(dev->report.running_version), "%s", version);
}

static void lose_and_put_back(const char *backup)
{
    char why[BACKUP_WHY_SIZE];
    long status = 0;
    daemon_kill(&kit.daemon);
    files_remove_tree(kit.daemon.dir, FILES_CONTENTS);
    if (put_back(backup, kit.daemon.dir, why) != SF_OK) {
        fail_msg("%s", why);
    }
    expect_sound(kit.daemon.dir);
    daemon_start(&kit.daemon);
    json_t *freeze = api(&kit.daemon, "GET", "/api/v1/freeze", NULL, &status);
    assert_true(json_is_true(json_object_get(freeze, "frozen")));
    assert_non_null(strstr(json_string_value(json_object_get(freeze, "reason")), "restored from"));
    json_decref(freeze);
}

/* Back up, let the fleet go on, lose the server, put the backup back: no device goes back, numbers
 * and counters are above all that was given out, and the next release reaches every device. */
static void a_restored_server_steps_over_what_it_forgot(void **state)
{
    (void)state;
    struct kit_device dev;
    struct kit_device late;
    struct kit_image v3;
    struct kit_image v4;
    char from[PATH_MAX];
    long status = 0;
    kit_device(&kit, "restored", &v1, "1.0.0", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_equal(dev.status.action, SF_STATUS_INSTALL);
    (void)snprintf(from, sizeof(from), "%s", in_room("drill"));
    must_back_up("drill");

    kit_ship(&kit, "1.2.0", &v3);
    kit_target(&kit, "1.2.0");
    const uint64_t published = kit_seq(&kit) - 2;
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_equal(dev.status.action, SF_STATUS_INSTALL);
    assert_int_equal(dev.status.target.seq, published);
    runs_now(&dev, &v3, "1.2.0");
    dev.report.seq = published;
    dev.report.other_count = 1; /* the way back that the backup's target could misuse */
    dev.report.other[0] = (struct sf_other_slot){
        .slot = 1, .content = SF_SLOT_COMPLETE, .has_digest = 1, .confirmed_here = 1};
    memcpy(dev.report.other[0].digest, v2.digest, SF_SHA256_SIZE);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    kit_device(&kit, "latecomer", &v3, "1.2.0", &late);
    assert_int_equal(kit_enrol(&kit, &late, kit.enrol_token), 204);
    const uint64_t highest = dev.status.counter;

    lose_and_put_back(from);

    expect_no_offer(&dev);
    assert_true(dev.status.counter > highest);
    expect_no_offer(&dev);
    json_t *shown = api(&kit.daemon, "GET", "/api/v1/devices/restored", NULL, &status);
    assert_int_equal(status, 200);
    char *text = json_dumps(json_object_get(shown, "alarms"), JSON_ENCODE_ANY);
    assert_non_null(strstr(text, "counter"));
    free(text);
    json_decref(shown);

    assert_int_equal(kit_checkin(&kit, &late), 401); /* the engine enrols again */
    assert_int_equal(kit_enrol(&kit, &late, kit.enrol_token), 204);
    expect_no_offer(&late);

    kit_ship(&kit, "1.3.0", &v4);
    assert_true(kit_seq(&kit) - 2 > published);
    kit_target(&kit, "1.3.0");
    json_decref(
        api(&kit.daemon, "PUT", "/api/v1/freeze", json_pack("{s:b}", "frozen", 0), &status));
    assert_int_equal(status, 200);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_equal(dev.status.action, SF_STATUS_INSTALL);
    assert_memory_equal(dev.status.target.image_digest, v4.digest, SF_SHA256_SIZE);
    assert_true(dev.status.target.seq > dev.report.seq);
    assert_int_equal(kit_checkin(&kit, &late), 200);
    assert_int_equal(late.status.action, SF_STATUS_INSTALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_damage_is_told_and_not_restored),
        cmocka_unit_test(a_database_with_random_damage_is_told_or_works),
        cmocka_unit_test(a_server_on_a_damaged_database_says_so_or_serves),
        cmocka_unit_test(a_backup_that_is_killed_is_not_there_or_whole),
        cmocka_unit_test(a_restore_that_is_killed_serves_nobody_or_is_whole),
        cmocka_unit_test(nothing_is_restored_over_something),
        cmocka_unit_test(a_restored_server_steps_over_what_it_forgot),
    };
    return cmocka_run_group_tests(tests, backup_kit_setup, backup_kit_teardown);
}
