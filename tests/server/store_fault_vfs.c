#include "tests/server/store_fault_vfs.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include <sqlite3.h>

static sqlite3_vfs *real;
static sqlite3_vfs layer;
static atomic_uint counted;
static atomic_uint limit = UINT_MAX;
static _Atomic int kind_now;
static int (*asked)(void);

struct file {
    sqlite3_file base;
    sqlite3_file *below; /* right behind this struct */
};

static sqlite3_file *below(sqlite3_file *f)
{
    return ((struct file *)f)->below;
}

/* SQLITE_OK, or the fault whose time has come. */
static int strike(int is_write)
{
    if (asked != NULL) {
        return asked() ? (is_write ? SQLITE_FULL : SQLITE_IOERR_FSYNC) : SQLITE_OK;
    }
    if (!is_write && kind_now == FAULT_FULL) {
        return SQLITE_OK;
    }
    if (atomic_fetch_add(&counted, 1) < limit) {
        return SQLITE_OK;
    }
    if (kind_now == FAULT_FULL) {
        return SQLITE_FULL;
    }
    return is_write ? SQLITE_IOERR_WRITE : SQLITE_IOERR_FSYNC;
}

static int f_close(sqlite3_file *f)
{
    return below(f)->pMethods->xClose(below(f));
}
static int f_read(sqlite3_file *f, void *data, int len, sqlite3_int64 at)
{
    return below(f)->pMethods->xRead(below(f), data, len, at);
}
static int f_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 at)
{
    int rc = strike(1);
    return rc != SQLITE_OK ? rc : below(f)->pMethods->xWrite(below(f), data, len, at);
}
static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return below(f)->pMethods->xTruncate(below(f), size);
}
static int f_sync(sqlite3_file *f, int flags)
{
    int rc = strike(0);
    return rc != SQLITE_OK ? rc : below(f)->pMethods->xSync(below(f), flags);
}
static int f_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return below(f)->pMethods->xFileSize(below(f), size);
}
static int f_lock(sqlite3_file *f, int level)
{
    return below(f)->pMethods->xLock(below(f), level);
}
static int f_unlock(sqlite3_file *f, int level)
{
    return below(f)->pMethods->xUnlock(below(f), level);
}
static int f_reserved(sqlite3_file *f, int *out)
{
    return below(f)->pMethods->xCheckReservedLock(below(f), out);
}
static int f_control(sqlite3_file *f, int op, void *arg)
{
    return below(f)->pMethods->xFileControl(below(f), op, arg);
}
static int f_sector(sqlite3_file *f)
{
    return below(f)->pMethods->xSectorSize(below(f));
}
static int f_device(sqlite3_file *f)
{
    return below(f)->pMethods->xDeviceCharacteristics(below(f));
}
static int f_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return below(f)->pMethods->xShmMap(below(f), page, size, extend, out);
}
static int f_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return below(f)->pMethods->xShmLock(below(f), offset, n, flags);
}
static void f_shm_barrier(sqlite3_file *f)
{
    below(f)->pMethods->xShmBarrier(below(f));
}
static int f_shm_unmap(sqlite3_file *f, int remove)
{
    return below(f)->pMethods->xShmUnmap(below(f), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_unlock,
    .xCheckReservedLock = f_reserved,
    .xFileControl = f_control,
    .xSectorSize = f_sector,
    .xDeviceCharacteristics = f_device,
    .xShmMap = f_shm_map,
    .xShmLock = f_shm_lock,
    .xShmBarrier = f_shm_barrier,
    .xShmUnmap = f_shm_unmap,
};

static int v_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    (void)vfs;
    struct file *file = (struct file *)f;
    file->below = (sqlite3_file *)(file + 1);
    memset(file->below, 0, (size_t)real->szOsFile);
    int rc = real->xOpen(real, name, file->below, flags, out_flags);
    file->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

void fault_vfs_install(void)
{
    real = sqlite3_vfs_find(NULL);
    layer = *real; /* what is not about files goes straight to the real one */
    layer.zName = "fault";
    layer.szOsFile = (int)sizeof(struct file) + real->szOsFile;
    layer.xOpen = v_open;
    (void)sqlite3_vfs_register(&layer, 1);
}

void fault_vfs_ask(int (*fails)(void))
{
    asked = fails;
}

void fault_vfs_arm(enum fault_kind kind, unsigned after)
{
    kind_now = kind;
    counted = 0;
    limit = after;
}

unsigned fault_vfs_heal(void)
{
    limit = UINT_MAX;
    return counted;
}

/* ---- statements ---- */

static int (*statement_fails)(const char *sql);
static _Thread_local int interrupt; /* the statement that has just begun */

static int begin_statement(unsigned what, void *ctx, void *stmt, void *text)
{
    (void)what;
    (void)ctx;
    (void)stmt;
    interrupt = statement_fails(text);
    return 0;
}

static int progress(void *ctx)
{
    (void)ctx;
    const int now = interrupt;
    interrupt = 0;
    return now;
}

static int on_connection(sqlite3 *db, const char **error, const struct sqlite3_api_routines *api)
{
    (void)error;
    (void)api;
    sqlite3_progress_handler(db, 1, progress, NULL);
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, begin_statement, NULL);
}

void fault_statements(int (*fails)(const char *sql))
{
    statement_fails = fails;
    (void)sqlite3_auto_extension((void (*)(void))on_connection);
}
