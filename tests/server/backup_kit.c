#include "tests/server/backup_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/clock.h"

struct kit kit;
struct kit_image v1;
struct kit_image v2;
static char room[64]; /* where backups go */

int backup_kit_setup(void **state)
{
    (void)state;
    kit_init(&kit);
    kit_ship(&kit, "1.0.0", &v1);
    kit_ship(&kit, "1.1.0", &v2);
    kit_target(&kit, "1.1.0");
    (void)snprintf(room, sizeof(room), "/tmp/surefoot-backup-XXXXXX");
    return mkdtemp(room) == NULL ? -1 : 0;
}

int backup_kit_teardown(void **state)
{
    (void)state;
    files_remove_tree(room, FILES_WHOLE);
    kit_release(&kit);
    return 0;
}

const char *inside(const char *dir, const char *name)
{
    static char path[8][PATH_MAX];
    static unsigned next;
    char *out = path[next++ % 8];
    assert_int_equal(files_path(out, dir, name), SF_OK);
    return out;
}

const char *in_room(const char *name)
{
    return inside(room, name);
}

const char *image_path(const char *dir, const struct kit_image *image)
{
    char name[128];
    (void)snprintf(name, sizeof(name), "artifacts/%.2s/%s", image->hex, image->hex);
    return inside(dir, name);
}

int exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int back_up(const char *name, const char *base, struct backup_summary *summary,
            char why[BACKUP_WHY_SIZE])
{
    char data[PATH_MAX];
    char dest[PATH_MAX];
    (void)snprintf(data, sizeof(data), "%s", kit.daemon.dir);
    (void)snprintf(dest, sizeof(dest), "%s", in_room(name));
    const struct backup_request r = {
        .data = data, .dest = dest, .base = base, .version = "test", .now = clock_unix_s()};
    why[0] = '\0';
    return backup_make(&r, summary, why);
}

void must_back_up(const char *name)
{
    struct backup_summary summary;
    char why[BACKUP_WHY_SIZE];
    if (back_up(name, NULL, &summary, why) != SF_OK) {
        fail_msg("%s", why);
    }
}

static void remember(void *ctx, enum backup_grade grade, const char *sentence)
{
    struct said *s = ctx;
    s->problems += grade == BACKUP_PROBLEM;
    const size_t len = strlen(s->text);
    (void)snprintf(s->text + len, sizeof(s->text) - len, "%s\n", sentence);
}

unsigned problems_of(const char *dir, struct said *said)
{
    char why[BACKUP_WHY_SIZE];
    struct backup_report report;
    *said = (struct said){0};
    const struct backup_check c = {
        .dir = dir, .now = clock_unix_s(), .found = remember, .ctx = said};
    if (backup_check(&c, &report, why) != SF_OK) {
        fail_msg("%s", why);
    }
    assert_int_equal(report.problems, said->problems);
    return report.problems;
}

void expect_sound(const char *dir)
{
    struct said said;
    if (problems_of(dir, &said) != 0) {
        fail_msg("%s: %s", dir, said.text);
    }
}

int put_back(const char *backup, const char *data, char why[BACKUP_WHY_SIZE])
{
    struct backup_summary summary;
    const struct backup_restore r = {.backup = backup, .data = data, .now = clock_unix_s()};
    return backup_restore(&r, &summary, why);
}

int64_t number_in(const char *folder, const char *sql)
{
    const char *path = inside(folder, "surefoot.db");
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    const int64_t value = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return value;
}
