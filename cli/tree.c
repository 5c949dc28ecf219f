/* Files in a folder, through descriptors of folders: openat() with O_NOFOLLOW, part by part. */

#include "cli/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

enum { FOLDER_MODE = 0755, FILE_MODE = 0644, WANTS = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

/* Where a path leads: the folder's descriptor and the last part. */
struct place {
    int folder;
    char name[TREE_PATH_MAX];
};

static int fail(const struct tree *t, const char *verb, const char *path)
{
    const char *why = errno == ELOOP || errno == ENOTDIR
                          ? "there is a symbolic link, or no folder, on its way; it is not followed"
                          : strerrordesc_np(errno);
    return cli_fail(CLI_LOCAL, "cannot %s '%s/%s': %s", verb, t->name, path, why);
}

int tree_open(struct tree *t, const char *name)
{
    *t = (struct tree){.fd = -1, .name = name};
    if (mkdir(name, FOLDER_MODE) != 0 && errno != EEXIST) {
        return cli_fail(CLI_LOCAL, "cannot make the folder '%s': %s", name, strerrordesc_np(errno));
    }
    t->fd = open(name, WANTS);
    return t->fd >= 0 ? CLI_OK
                      : cli_fail(CLI_LOCAL, "cannot open the folder '%s': %s", name,
                                 strerrordesc_np(errno));
}

void tree_close(struct tree *t)
{
    if (t->fd >= 0) {
        close(t->fd);
    }
    t->fd = -1;
}

/* A folder inside a folder, made if `make` says so; its name is durable then. -1 with errno. */
static int enter(int folder, const char *name, int make)
{
    if (make) {
        const int made = mkdirat(folder, name, FOLDER_MODE);
        if ((made != 0 && errno != EEXIST) || (made == 0 && fsync(folder) != 0)) {
            return -1;
        }
    }
    return openat(folder, name, WANTS | O_NOFOLLOW);
}

/* Goes to the folder of `path`: 0, or -1 with errno. */
static int go(const struct tree *t, const char *path, int make, struct place *out)
{
    out->folder = fcntl(t->fd, F_DUPFD_CLOEXEC, 0);
    for (unsigned depth = 0; out->folder >= 0; depth++) {
        const char *slash = strchr(path, '/');
        const size_t len = slash ? (size_t)(slash - path) : strlen(path);
        snprintf(out->name, sizeof out->name, "%.*s", (int)len, path);
        const int is_bad = len == 0 || len >= sizeof out->name || strcmp(out->name, ".") == 0 ||
                           strcmp(out->name, "..") == 0 || depth >= TREE_DEPTH;
        if (!is_bad && !slash) {
            return 0;
        }
        const int next = is_bad ? -1 : enter(out->folder, out->name, make);
        const int why = is_bad ? EINVAL : errno;
        close(out->folder);
        out->folder = next;
        errno = why;
        path += len + 1;
    }
    return -1;
}

/* ---- reading ---- */

static int read_whole(int fd, size_t max, struct file_bytes *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return -1;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max) {
        errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
        return -1;
    }
    const size_t size = (size_t)st.st_size;
    out->data = calloc(1, size + 1);
    while (out->data && out->len < size) {
        const ssize_t n = read(fd, out->data + out->len, size - out->len);
        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            errno = n == 0 ? EIO : errno;
            return -1;
        }
        out->len += n > 0 ? (size_t)n : 0;
    }
    return out->data ? 0 : -1;
}

int tree_read(struct tree *t, const char *path, size_t max, struct file_bytes *out)
{
    struct place at;
    *out = (struct file_bytes){0};
    if (go(t, path, 0, &at) != 0) {
        return errno == ENOENT ? CLI_OK : fail(t, "read", path);
    }
    const int fd = openat(at.folder, at.name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const int is_absent = fd < 0 && errno == ENOENT;
    int status = CLI_OK;
    if (!is_absent && (fd < 0 || read_whole(fd, max, out) != 0)) {
        status = fail(t, "read", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    close(at.folder);
    return status;
}

/* ---- writing ---- */

static int write_synced(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd);
}

/* The file of an export that was killed is in the way at most once: it is taken away first. */
static int write_beside(const struct place *at, const char *temporary, const void *data, size_t len)
{
    if (unlinkat(at->folder, temporary, 0) != 0 && errno != ENOENT) {
        return -1;
    }
    const int fd = openat(at->folder, temporary,
                          O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        return -1;
    }
    int failed = write_synced(fd, data, len) != 0;
    int why = errno;
    if (close(fd) != 0 && !failed) {
        failed = 1;
        why = errno;
    }
    if (!failed && renameat(at->folder, temporary, at->folder, at->name) != 0) {
        failed = 1;
        why = errno;
    }
    if (failed) {
        (void)unlinkat(at->folder, temporary, 0);
        errno = why;
        return -1;
    }
    return fsync(at->folder);
}

/* 1 if the file is there with these bytes; a link or anything else is replaced. */
static int is_same(const struct place *at, const void *data, size_t len)
{
    struct file_bytes have = {0};
    const int fd = openat(at->folder, at->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const int same = fd >= 0 && read_whole(fd, len, &have) == 0 && have.len == len &&
                     memcmp(have.data, data, len) == 0;
    if (fd >= 0) {
        close(fd);
    }
    file_release(&have);
    return same;
}

int tree_put(struct tree *t, const char *path, const void *data, size_t len, enum tree_put *what)
{
    struct place at;
    char temporary[TREE_PATH_MAX + 8];
    if (go(t, path, 1, &at) != 0) {
        return fail(t, "write", path);
    }
    int failed = 0;
    *what = is_same(&at, data, len) ? TREE_SAME : TREE_WRITTEN;
    if (*what == TREE_WRITTEN) {
        snprintf(temporary, sizeof temporary, ".%s.new", at.name);
        failed = write_beside(&at, temporary, data, len) != 0;
    }
    const int why = errno;
    close(at.folder);
    errno = why;
    return failed ? fail(t, "write", path) : CLI_OK;
}

int tree_remove(struct tree *t, const char *path, unsigned *removed)
{
    struct place at;
    if (go(t, path, 0, &at) != 0) {
        return errno == ENOENT ? CLI_OK : fail(t, "remove", path);
    }
    const int failed = unlinkat(at.folder, at.name, 0) != 0;
    const int why = errno;
    *removed += !failed;
    close(at.folder);
    errno = why;
    return failed && why != ENOENT ? fail(t, "remove", path) : CLI_OK;
}

/* ---- listing ---- */

/* A folder's descriptor; -1 with errno. */
static int open_folder(struct tree *t, const char *path)
{
    struct place at;
    if (go(t, path, 0, &at) != 0) {
        return -1;
    }
    const int fd = openat(at.folder, at.name, WANTS | O_NOFOLLOW);
    const int why = errno;
    close(at.folder);
    errno = why;
    return fd;
}

int tree_is_folder(struct tree *t, const char *path)
{
    const int fd = open_folder(t, path);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

int tree_each(struct tree *t, const char *folder,
              int (*visit)(void *ctx, struct tree *t, const char *path), void *ctx)
{
    char path[2 * TREE_PATH_MAX];
    const int fd = open_folder(t, folder);
    if (fd < 0) {
        return errno == ENOENT ? CLI_OK : fail(t, "read", folder);
    }
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return fail(t, "read", folder);
    }
    int status = CLI_OK;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread reads this stream */
    for (struct dirent *e = readdir(dir); status == CLI_OK && e; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            status = visit(ctx, t, path);
        }
    }
    closedir(dir);
    return status;
}
