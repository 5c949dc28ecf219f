/* What is linked into surefootd to make surefootd_faulty: the linker sends our own calls of
 * malloc() and write() here (--wrap), SQLite has hooks for all of it. */
#include "tests/server/faulty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sqlite3.h>

#include "tests/server/store_fault_vfs.h"

static struct faulty_orders idle;
static struct faulty_orders *orders = &idle;
static sqlite3_mem_methods real_memory;

static int fails(enum faulty_kind kind)
{
    if (atomic_load(&orders->kind) != (int)kind || atomic_fetch_sub(&orders->left, 1) != 0) {
        return 0;
    }
    atomic_store(&orders->struck, 1);
    return 1;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_fsync(int fd);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fsync(int fd);

void *__wrap_malloc(size_t size)
{
    return fails(FAULTY_MEMORY) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(FAULTY_MEMORY) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails(FAULTY_MEMORY) ? NULL : __real_realloc(old, size);
}

/* Not of the log, and not of the eventfds by which threads wake each other (8 bytes). */
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    if (fd > STDERR_FILENO && len > sizeof(uint64_t) && fails(FAULTY_DISK)) {
        errno = ENOSPC;
        return -1;
    }
    return __real_write(fd, data, len);
}

int __wrap_fsync(int fd)
{
    if (fails(FAULTY_DISK)) {
        errno = EIO;
        return -1;
    }
    return __real_fsync(fd);
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void *sqlite_malloc(int size)
{
    return fails(FAULTY_MEMORY) ? NULL : real_memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return fails(FAULTY_MEMORY) ? NULL : real_memory.xRealloc(old, size);
}

static int disk_fails(void)
{
    return fails(FAULTY_DISK);
}

static int statement_fails(const char *sql)
{
    (void)sql;
    return fails(FAULTY_STATEMENT);
}

__attribute__((constructor)) static void take_orders(void)
{
    const char *path = getenv(FAULTY_FILE);
    const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED
                        : mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        _exit(99);
    }
    (void)close(fd);
    sqlite3_mem_methods memory;
    (void)sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    memory = real_memory;
    memory.xMalloc = sqlite_malloc;
    memory.xRealloc = sqlite_realloc;
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    fault_vfs_install();
    fault_vfs_ask(disk_fails);
    fault_statements(statement_fails);
    orders = page;
}
