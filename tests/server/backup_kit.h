#ifndef TEST_BACKUP_KIT_H
#define TEST_BACKUP_KIT_H

#include "server/backup/backup.h"
#include "server/backup/files.h"
#include "tests/server/fleet_kit.h"

/* A surefootd with two releases of product "lamp", and a folder for backups of it. */

extern struct kit kit;
extern struct kit_image v1; /* 1.0.0 */
extern struct kit_image v2; /* 1.1.0, the target */

/* cmocka group fixtures. */
int backup_kit_setup(void **state);
int backup_kit_teardown(void **state);

/* "<dir>/<name>", and of a name in the folder for backups; one of eight buffers. */
const char *inside(const char *dir, const char *name);
const char *in_room(const char *name);
const char *image_path(const char *dir, const struct kit_image *image);
int exists(const char *path);

/* Into the folder for backups: what backup_make() says. */
int back_up(const char *name, const char *base, struct backup_summary *summary,
            char why[BACKUP_WHY_SIZE]) __attribute__((warn_unused_result));
void must_back_up(const char *name);
int put_back(const char *backup, const char *data, char why[BACKUP_WHY_SIZE])
    __attribute__((warn_unused_result));

/* What a check says, a line each. */
struct said {
    unsigned problems;
    char text[8192];
};
unsigned problems_of(const char *dir, struct said *said);
void expect_sound(const char *dir);

/* One number out of <folder>/surefoot.db. */
int64_t number_in(const char *folder, const char *sql);

#endif
