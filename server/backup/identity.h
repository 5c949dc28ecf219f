#ifndef BACKUP_IDENTITY_H
#define BACKUP_IDENTITY_H

#include "server/backup/backup.h"

/* Keys and certificates of a data folder or a backup: do they belong together, are they good at
 * `c->now`. Told to c->found(). */
void identity_check(const struct backup_check *c, struct backup_report *report);

/* Adds to the report and tells. */
void backup_tell(const struct backup_check *c, struct backup_report *report,
                 enum backup_grade grade, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
