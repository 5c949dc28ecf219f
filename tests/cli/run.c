/* Running programs from tests. */

#include "tests/cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static struct run result;

int run_setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/surefoot-cli-XXXXXX");
    if (!mkdtemp(folder)) {
        return -1;
    }
    /* Nothing of the one who runs the tests must be read or changed. */
    /* NOLINTBEGIN(concurrency-mt-unsafe): before any thread */
    setenv("XDG_CONFIG_HOME", folder, 1);
    setenv("HOME", folder, 1);
    /* NOLINTEND(concurrency-mt-unsafe) */
    return 0;
}

int run_teardown(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-rf", folder, NULL};
    return run_program(argv)->status;
}

const char *run_path(const char *name)
{
    static char names[RUN_PATHS_MAX][RUN_PATH_MAX];
    static unsigned count;
    char path[RUN_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(names[i], path) == 0) {
            return names[i];
        }
    }
    assert_true(count < RUN_PATHS_MAX);
    memcpy(names[count], path, sizeof path);
    return names[count++];
}

static void slurp(const char *name, char *text)
{
    int fd = open(run_path(name), O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;
    while (fd >= 0 && len + 1 < RUN_TEXT_MAX &&
           (n = read(fd, text + len, RUN_TEXT_MAX - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = '\0';
    if (fd >= 0) {
        close(fd); /* `rm -rf` of the folder leaves none */
    }
}

static struct run *spawn(const char *const argv[], const char *stdin_path)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int status = 0;
    char *copy[RUN_ARGS_MAX + 1]; /* posix_spawn wants it without const, and changes nothing */
    unsigned count = 0;
    while (argv[count]) {
        count++;
    }
    assert_true(count <= RUN_ARGS_MAX);
    memcpy(copy, argv, (count + 1) * sizeof copy[0]);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, stdin_path, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, run_path("stdout"), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_addopen(&actions, 2, run_path("stderr"), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    int err = posix_spawnp(&pid, copy[0], &actions, NULL, copy, environ);
    posix_spawn_file_actions_destroy(&actions);
    result.status = 127;
    result.out[0] = result.err[0] = '\0';
    if (err != 0) {
        return &result;
    }
    while (waitpid(pid, &status, 0) < 0) {
        assert_int_equal(errno, EINTR);
    }
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    slurp("stdout", result.out);
    slurp("stderr", result.err);
    return &result;
}

struct run *run_program(const char *const argv[])
{
    return spawn(argv, "/dev/null");
}

static struct run *run_list(const char *stdin_path, const char *first, va_list ap)
{
    const char *argv[RUN_ARGS_MAX + 1] = {SF_BIN_DIR "/surefoot", first};
    for (unsigned i = 2; argv[i - 1]; i++) {
        assert_true(i < RUN_ARGS_MAX);
        argv[i] = va_arg(ap, const char *);
    }
    return spawn(argv, stdin_path);
}

struct run *run_surefoot(const char *first, ...)
{
    va_list ap;
    va_start(ap, first);
    struct run *r = run_list("/dev/null", first, ap);
    va_end(ap);
    return r;
}

struct run *run_surefoot_stdin(const char *stdin_path, const char *first, ...)
{
    va_list ap;
    va_start(ap, first);
    struct run *r = run_list(stdin_path, first, ap);
    va_end(ap);
    return r;
}

void run_expect(const struct run *r, int status, const char *in_err)
{
    if (r->status != status) {
        fail_msg("exit status %d, wanted %d; stderr: %s", r->status, status, r->err);
    }
    if (in_err ? !strstr(r->err, in_err) : r->err[0] != '\0') {
        fail_msg("wanted '%s' on stderr, got: %s", in_err ? in_err : "", r->err);
    }
}

json_t *run_json(const struct run *r)
{
    json_error_t error;
    json_t *root = json_loads(r->out, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        fail_msg("stdout is no JSON (%s): %s; stderr: %s", error.text, r->out, r->err);
    }
    return root;
}

void run_write(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

uint8_t *run_read(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    uint8_t *data = malloc((size_t)st.st_size + 1);
    assert_non_null(data);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    close(fd);
    *len = (size_t)st.st_size;
    return data;
}

int run_full(void)
{
    const char *full = secure_getenv("SF_TEST_FULL");
    return full && strcmp(full, "1") == 0;
}

const char *run_esptool(void)
{
    static const char path[] = SF_SOURCE_DIR "/build/venv/bin/esptool";
    return access(path, X_OK) == 0 ? path : NULL;
}

const char *run_espsecure(void)
{
    static const char path[] = SF_SOURCE_DIR "/build/venv/bin/espsecure";
    return access(path, X_OK) == 0 ? path : NULL;
}
