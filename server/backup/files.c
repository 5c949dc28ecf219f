#include "server/backup/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto_openssl.h"
#include "base/disk.h"
#include "formats/err.h"
#include "server/backup/backup.h"

enum { CHUNK = 32768, OPEN_FOLDERS = 8 };

int backup_fail(char *why, int err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why, BACKUP_WHY_SIZE, fmt, args);
    va_end(args);
    return err;
}

int backup_fail_file(char *why, int err, const char *done, const char *path)
{
    char text[96];
    const char *reason = strerror_r(errno, text, sizeof(text));
    if (err == SF_ERR_NOSPC) {
        return backup_fail(why, err,
                           "cannot %s '%.400s': the disk is full; free some space and try again",
                           done, path);
    }
    if (err == SF_ERR_NOTFOUND) {
        return backup_fail(why, err, "cannot %s '%.400s': there is no such file or folder", done,
                           path);
    }
    return backup_fail(why, err, "cannot %s '%.400s': %s", done, path,
                       err == SF_ERR_IO ? reason : sf_err_str(err));
}

int files_path(char out[PATH_MAX], const char *folder, const char *name)
{
    const int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return len < 0 || len >= PATH_MAX ? SF_ERR_RANGE : SF_OK;
}

int files_has(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return name != NULL && files_path(path, folder, name) == SF_OK && access(path, F_OK) == 0;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return disk_error(errno);
        }
        data += n < 0 ? 0 : n;
        len -= n < 0 ? 0 : (size_t)n;
    }
    return SF_OK;
}

/* Reads to the end; `to` -1 = hash only. */
static int pump(int from, int to, struct sf_sha256 *hash, uint64_t *size)
{
    const struct sf_crypto *crypto = crypto_openssl();
    uint8_t chunk[CHUNK];
    *size = 0;
    for (;;) {
        const ssize_t n = read(from, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? SF_OK : disk_error(errno);
        }
        int err = crypto->sha256_feed(crypto->ctx, hash, chunk, (size_t)n);
        if (err == SF_OK && to >= 0) {
            err = write_all(to, chunk, (size_t)n);
        }
        if (err != SF_OK) {
            return err;
        }
        *size += (uint64_t)n;
    }
}

static int pump_and_sum(int from, int to, struct file_sum *out)
{
    const struct sf_crypto *crypto = crypto_openssl();
    struct sf_sha256 hash;
    int err = crypto->sha256_start(crypto->ctx, &hash);
    if (err != SF_OK) {
        return err;
    }
    err = pump(from, to, &hash, &out->size);
    const int saved = errno;
    const int end = crypto->sha256_end(crypto->ctx, &hash, err == SF_OK ? out->sha256 : NULL);
    errno = saved;
    return err != SF_OK ? err : end;
}

static int open_file(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        (void)close(fd);
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    return fd;
}

int files_sum(const char *path, struct file_sum *out)
{
    const int fd = open_file(path);
    if (fd < 0) {
        return disk_error(errno);
    }
    const int err = pump_and_sum(fd, -1, out);
    const int saved = errno;
    (void)close(fd);
    errno = saved;
    return err;
}

static int finish_copy(int to, mode_t mode, int err)
{
    if (err == SF_OK && (fchmod(to, mode) != 0 || fsync(to) != 0)) {
        err = disk_error(errno);
    }
    const int saved = errno;
    if (close(to) != 0 && err == SF_OK) {
        return disk_error(errno);
    }
    errno = saved;
    return err;
}

int files_copy(const char *from, const char *to, mode_t mode, struct file_sum *out)
{
    const int in = open_file(from);
    if (in < 0) {
        return disk_error(errno);
    }
    const int made = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int err = made >= 0 ? SF_OK : disk_error(errno);
    if (err == SF_OK) {
        err = finish_copy(made, mode, pump_and_sum(in, made, out));
    }
    const int saved = errno;
    (void)close(in);
    errno = saved;
    return err;
}

int files_make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? SF_OK : disk_error(errno);
}

int files_is_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return disk_error(errno);
    }
    int empty = 1;
    const struct dirent *entry;
    while (empty && (entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    (void)closedir(dir);
    return empty;
}

static int sync_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)at;
    return kind == FTW_DP || kind == FTW_D ? disk_sync_folder(path) : 0;
}

int files_sync_tree(const char *folder)
{
    const int flags = FTW_DEPTH | FTW_PHYS;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the command line has one thread */
    const int err = nftw(folder, sync_one, OPEN_FOLDERS, flags);
    return err == -1 ? disk_error(errno) : err;
}

static int remove_any(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

static int remove_inside(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return at->level == 0 ? 0 : remove_any(path, st, kind, at);
}

void files_remove_tree(const char *folder, enum files_remove what)
{
    const int saved = errno;
    const int flags = FTW_DEPTH | FTW_PHYS;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the command line has one thread */
    (void)nftw(folder, what == FILES_WHOLE ? remove_any : remove_inside, OPEN_FOLDERS, flags);
    errno = saved;
}
