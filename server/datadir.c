#include "server/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(char *error, size_t size, const char *what, const char *path)
{
    char text[128];
    (void)snprintf(error, size, "cannot %s '%s': %s", what, path,
                   strerror_r(errno, text, sizeof(text)));
    return -1;
}

int datadir_path(const struct datadir *d, const char *name, char *out, size_t size)
{
    int len = snprintf(out, size, "%s/%s", d->path, name);
    return len < 0 || (size_t)len >= size ? -1 : 0;
}

int datadir_has(const struct datadir *d, const char *name)
{
    char path[PATH_MAX];
    return datadir_path(d, name, path, sizeof(path)) == 0 && access(path, F_OK) == 0;
}

static int make_folder(const char *path, char *error, size_t error_size)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return fail(error, error_size, "make the data folder", path);
    }
    return 0;
}

static int take_lock(struct datadir *d, char *error, size_t error_size)
{
    char path[PATH_MAX];
    if (datadir_path(d, "lock", path, sizeof(path)) != 0) {
        errno = ENAMETOOLONG;
        return fail(error, error_size, "use the data folder", d->path);
    }
    d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock_fd < 0) {
        return fail(error, error_size, "write to the data folder", d->path);
    }
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        return 0;
    }
    if (errno == EWOULDBLOCK) {
        (void)snprintf(error, error_size,
                       "the data folder '%s' is in use by another surefootd; stop that one, or "
                       "give this one another folder with --data",
                       d->path);
    } else {
        (void)fail(error, error_size, "lock the data folder", d->path);
    }
    (void)close(d->lock_fd);
    d->lock_fd = -1;
    return -1;
}

int datadir_open(struct datadir *d, const char *path, char *error, size_t error_size)
{
    *d = (struct datadir){.path = path, .lock_fd = -1};
    if (make_folder(path, error, error_size) != 0 || take_lock(d, error, error_size) != 0) {
        return -1;
    }
    if (datadir_has(d, DATADIR_RESTORING)) {
        (void)snprintf(error, error_size,
                       "a restore into the data folder '%s' did not end: empty that folder and run "
                       "`surefoot server restore` again",
                       path);
        datadir_close(d);
        return -1;
    }
    return 0;
}

void datadir_close(struct datadir *d)
{
    if (d->lock_fd >= 0) {
        (void)close(d->lock_fd);
        d->lock_fd = -1;
    }
}
