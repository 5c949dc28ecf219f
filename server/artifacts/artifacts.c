#include "server/artifacts/artifacts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/hex.h"
#include "formats/err.h"

/* See artifacts.h for the layout and its invariants. Nothing is cached but the sum of the sizes:
 * the folder is the state, and rename() is what makes concurrent puts of one digest harmless. Two
 * puts of one digest at once may both count it; the next start counts anew. */

enum { FOLDER_NAME_LEN = 2, VERIFY_CHUNK = 64 * 1024, DIR_MAX = PATH_MAX - 80 };

struct artifacts {
    char dir[DIR_MAX];
    char tmp[DIR_MAX + 8];
    atomic_int_least64_t used;
};

int artifact_digest_decode(const char *hex, uint8_t sha256[ARTIFACT_DIGEST_SIZE])
{
    for (const char *p = hex; *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'F') {
            return SF_ERR_FORMAT; /* one artifact, one name: caches must not hold it twice */
        }
    }
    return hex_decode(hex, sha256, ARTIFACT_DIGEST_SIZE);
}

void artifact_digest_encode(const uint8_t sha256[ARTIFACT_DIGEST_SIZE], char hex[ARTIFACT_HEX_SIZE])
{
    hex_encode(sha256, ARTIFACT_DIGEST_SIZE, hex);
}

struct artifact_path {
    char folder[DIR_MAX + 8];
    char file[PATH_MAX];
};

static void path_of(const struct artifacts *a, const uint8_t *sha256, struct artifact_path *out)
{
    char hex[ARTIFACT_HEX_SIZE];
    artifact_digest_encode(sha256, hex);
    (void)snprintf(out->folder, sizeof(out->folder), "%s/%.2s", a->dir, hex);
    (void)snprintf(out->file, sizeof(out->file), "%s/%.2s/%s", a->dir, hex, hex);
}

static int make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? SF_OK : disk_error(errno);
}

/* What a crash left there belongs to no request any more. */
static void empty_tmp(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        if (entry->d_name[0] != '.') {
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    (void)closedir(dir);
}

static int add_size(const struct artifact_file *file, void *ctx)
{
    atomic_int_least64_t *sum = ctx;
    (void)atomic_fetch_add(sum, (int64_t)file->len);
    return 0;
}

uint64_t artifacts_used(const struct artifacts *a)
{
    const int64_t used = atomic_load(&a->used);
    return used > 0 ? (uint64_t)used : 0;
}

int artifacts_open(struct artifacts **out, const char *dir, char error[ARTIFACTS_ERROR_MAX])
{
    if (strlen(dir) >= DIR_MAX) {
        (void)snprintf(error, ARTIFACTS_ERROR_MAX, "the path of the artifacts folder is too long");
        return SF_ERR_RANGE;
    }
    struct artifacts *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        (void)snprintf(error, ARTIFACTS_ERROR_MAX, "out of memory");
        return SF_ERR_NOMEM;
    }
    (void)snprintf(a->dir, sizeof(a->dir), "%s", dir);
    (void)snprintf(a->tmp, sizeof(a->tmp), "%s/tmp", dir);
    int err = make_folder(a->dir);
    if (err == SF_OK) {
        err = make_folder(a->tmp);
    }
    if (err == SF_OK && access(a->tmp, W_OK | X_OK) != 0) {
        err = disk_error(errno);
    }
    if (err == SF_OK) {
        empty_tmp(a->tmp);
        err = disk_sync_folder(a->dir);
    }
    if (err == SF_OK) {
        err = artifacts_list(a, add_size, &a->used);
    }
    if (err < 0) {
        (void)snprintf(error, ARTIFACTS_ERROR_MAX,
                       "cannot use the artifacts folder '%.150s': %s; check that it is writable",
                       dir, sf_err_str(err));
        free(a);
        return err;
    }
    *out = a;
    return SF_OK;
}

void artifacts_close(struct artifacts *a)
{
    free(a);
}

const char *artifacts_tmp_dir(const struct artifacts *a)
{
    return a->tmp;
}

/* Read-only from then on, and on the disk. */
static int seal(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return disk_error(errno);
    }
    int err = fchmod(fd, 0444) == 0 && fsync(fd) == 0 ? SF_OK : disk_error(errno);
    if (close(fd) != 0 && err == SF_OK) {
        err = disk_error(errno);
    }
    return err;
}

static int move_in(struct artifacts *a, const char *path, const struct artifact_path *to)
{
    struct stat st = {.st_size = 0};
    int err = stat(path, &st) == 0 ? seal(path) : disk_error(errno);
    if (err == SF_OK) {
        err = make_folder(to->folder);
    }
    if (err == SF_OK && rename(path, to->file) != 0) {
        err = disk_error(errno);
    }
    if (err == SF_OK) {
        (void)atomic_fetch_add(&a->used, (int64_t)st.st_size);
    }
    return err;
}

int artifacts_put(struct artifacts *a, const char *path, const uint8_t sha256[ARTIFACT_DIGEST_SIZE])
{
    struct artifact_path to = {0};
    path_of(a, sha256, &to);
    struct stat st;
    int err = SF_OK;
    if (stat(to.file, &st) == 0) {
        /* As young as a new one, or the collector might take it before its release exists. Its name
         * may not be on the disk yet: another put may be between its rename and its fsync. */
        (void)utimensat(AT_FDCWD, to.file, NULL, 0);
        err = unlink(path) == 0 ? SF_OK : disk_error(errno);
    } else {
        err = move_in(a, path, &to);
    }
    if (err == SF_OK) {
        err = disk_sync_folder(to.folder);
    }
    return err == SF_OK ? disk_sync_folder(a->dir) : err;
}

int artifacts_read(const struct artifacts *a, const uint8_t sha256[ARTIFACT_DIGEST_SIZE], int *fd,
                   uint64_t *len)
{
    struct artifact_path path = {0};
    path_of(a, sha256, &path);
    const int file = open(path.file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) {
        return disk_error(errno);
    }
    struct stat st;
    if (fstat(file, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(file);
        return SF_ERR_IO;
    }
    *fd = file;
    *len = (uint64_t)st.st_size;
    return SF_OK;
}

static int hash_file(EVP_MD_CTX *ctx, int fd, unsigned char *chunk)
{
    for (;;) {
        const ssize_t n = read(fd, chunk, VERIFY_CHUNK);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return disk_error(errno);
        }
        if (n == 0) {
            return SF_OK;
        }
        if (EVP_DigestUpdate(ctx, chunk, (size_t)n) != 1) {
            return SF_ERR_CRYPTO;
        }
    }
}

int artifacts_verify(const struct artifacts *a, const uint8_t sha256[ARTIFACT_DIGEST_SIZE])
{
    int fd = -1;
    uint64_t len = 0;
    int err = artifacts_read(a, sha256, &fd, &len);
    if (err < 0) {
        return err;
    }
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *chunk = malloc(VERIFY_CHUNK);
    if (ctx == NULL || chunk == NULL) {
        err = SF_ERR_NOMEM;
    } else if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        err = SF_ERR_CRYPTO;
    } else {
        err = hash_file(ctx, fd, chunk);
    }
    if (err == SF_OK && EVP_DigestFinal_ex(ctx, digest, NULL) != 1) {
        err = SF_ERR_CRYPTO;
    }
    if (err == SF_OK && memcmp(digest, sha256, ARTIFACT_DIGEST_SIZE) != 0) {
        err = SF_ERR_DIGEST;
    }
    free(chunk);
    EVP_MD_CTX_free(ctx);
    (void)close(fd);
    return err;
}

int artifacts_remove(struct artifacts *a, const uint8_t sha256[ARTIFACT_DIGEST_SIZE])
{
    struct artifact_path path = {0};
    path_of(a, sha256, &path);
    struct stat st = {.st_size = 0};
    if (stat(path.file, &st) != 0 || unlink(path.file) != 0) {
        return disk_error(errno);
    }
    (void)atomic_fetch_sub(&a->used, (int64_t)st.st_size);
    return SF_OK;
}

struct listing {
    int (*each)(const struct artifact_file *file, void *ctx);
    void *ctx;
};

static int list_folder(int parent, const char *name, const struct listing *l)
{
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        const int err = disk_error(errno);
        if (fd >= 0) {
            (void)close(fd);
        }
        return err;
    }
    int result = SF_OK;
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        struct artifact_file file;
        struct stat st;
        if (artifact_digest_decode(entry->d_name, file.sha256) == SF_OK &&
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            file.len = (uint64_t)st.st_size;
            file.stored_at = (int64_t)st.st_mtime;
            result = l->each(&file, l->ctx);
        }
    }
    (void)closedir(dir);
    return result;
}

int artifacts_list(const struct artifacts *a,
                   int (*each)(const struct artifact_file *file, void *ctx), void *ctx)
{
    const struct listing listing = {.each = each, .ctx = ctx};
    DIR *dir = opendir(a->dir);
    if (dir == NULL) {
        return disk_error(errno);
    }
    int result = SF_OK;
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        const char *name = entry->d_name;
        if (strlen(name) == FOLDER_NAME_LEN && hex_digit(name[0]) >= 0 && hex_digit(name[1]) >= 0) {
            result = list_folder(dirfd(dir), name, &listing);
        }
    }
    (void)closedir(dir);
    return result;
}
