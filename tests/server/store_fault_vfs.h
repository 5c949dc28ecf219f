#ifndef STORE_FAULT_VFS_H
#define STORE_FAULT_VFS_H

/* A layer under SQLite that fails on command: the n-th write or sync from now on, and all that
 * follow until it is healed. */

enum fault_kind {
    FAULT_FULL, /* writes: no space left */
    FAULT_IO,   /* writes and syncs: the disk is broken */
};

/* Becomes SQLite's default VFS; before the first store_open(). */
void fault_vfs_install(void);

/* From now on `fails` says of each write and sync whether it does, instead of what follows. */
void fault_vfs_ask(int (*fails)(void));

/* `after` operations go well first. */
void fault_vfs_arm(enum fault_kind kind, unsigned after);

/* Returns how many operations were counted since it was armed. */
unsigned fault_vfs_heal(void);

/* On connections opened from now on: `fails` says of each statement, when it begins, whether it is
 * interrupted. */
void fault_statements(int (*fails)(const char *sql));

#endif
