/* surefoot-sim as a program: its exit status, what it says, and the files it leaves. */
#include <fcntl.h>
#include <ftw.h>
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

#include "formats/bootloader.h"
#include "sim/flash_image.h"
#include "tests/support/esp_flash.h"
#include "tests/support/esp_image.h"

#define PROGRAM SF_BIN_DIR "/surefoot-sim"
#define KEY_HEX                                                        \
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" \
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"

enum { TEXT_SIZE = 8192, PATH_SIZE = 128, ARGUMENT_MAX = 32 };

struct workshop {
    char dir[PATH_SIZE];
    char app[PATH_SIZE + 32];
    char output[TEXT_SIZE]; /* of the last run, both streams */
};

static int make_workshop(void **state)
{
    struct workshop *w = calloc(1, sizeof(*w));
    struct esp_image_spec spec = {.version = "1.0.0"};
    uint8_t app[16384];
    assert_non_null(w);
    snprintf(w->dir, sizeof(w->dir), "/tmp/sf_main_test_XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->app, sizeof(w->app), "%s/app.bin", w->dir);
    size_t len = esp_image_build(&spec, app, sizeof(app));
    FILE *file = fopen(w->app, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(app, 1, len, file), len);
    fclose(file);
    *state = w;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int release_workshop(void **state)
{
    struct workshop *w = *state;
    (void)nftw(w->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

/* Runs the program; its exit status. */
static int run(struct workshop *w, const char *const *argv)
{
    char *copy[ARGUMENT_MAX] = {NULL};

    posix_spawn_file_actions_t actions;
    int pipe_fd[2];
    pid_t pid = 0;
    int status = 0;
    size_t used = 0;
    assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], 1);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], 2);
    for (unsigned i = 0; argv[i]; i++) {
        assert_true(i < ARGUMENT_MAX - 1);
        copy[i] = strdup(argv[i]);
    }
    assert_int_equal(posix_spawn(&pid, copy[0], &actions, NULL, copy, environ), 0);
    for (unsigned i = 0; copy[i]; i++) {
        free(copy[i]);
    }
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fd[1]);
    for (;;) {
        ssize_t got = read(pipe_fd[0], w->output + used, TEXT_SIZE - 1 - used);
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
    }
    w->output[used] = '\0';
    close(pipe_fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define RUN(w, ...) run(w, (const char *const[]){PROGRAM, __VA_ARGS__, NULL})

static void assert_said(const struct workshop *w, const char *part)
{
    if (!strstr(w->output, part)) {
        fail_msg("'%s' does not say '%s'", w->output, part);
    }
}

static void help_and_version_succeed(void **state)
{
    struct workshop *w = *state;
    assert_int_equal(RUN(w, "--help"), 0);
    assert_said(w, "usage: surefoot-sim run");
    assert_int_equal(RUN(w, "--version"), 0);
    assert_said(w, "surefoot-sim 0.");
    const char *const full[] = {"/bin/sh", "-c", PROGRAM " --help >/dev/full", NULL};
    assert_int_equal(run(w, full), 1);
    assert_said(w, "No space left");
}

static void wrong_usage_and_bad_files_are_exit_status_2(void **state)
{
    struct workshop *w = *state;
    assert_int_equal(RUN(w, "run"), 2);
    assert_said(w, "--server URL is missing");
    assert_int_equal(RUN(w, "run", "--server", "https://127.0.0.1:1", "--firmware", "/nonexistent",
                         "--release-key", KEY_HEX, "--status-key", KEY_HEX),
                     2);
    assert_said(w, "cannot open '/nonexistent': No such file");
    assert_int_equal(truncate(w->app, 5000), 0);
    assert_int_equal(RUN(w, "run", "--server", "https://127.0.0.1:1", "--firmware", w->app,
                         "--release-key", KEY_HEX, "--status-key", KEY_HEX),
                     2);
    assert_said(w, "cannot use");
    assert_said(w, "at byte");
    assert_int_equal(RUN(w, "run", "--server", "https://127.0.0.1:1", "--flash", w->app,
                         "--release-key", KEY_HEX, "--status-key", KEY_HEX),
                     2);
    assert_said(w, "at byte 32768");
}

static void make_flash_writes_what_the_bootloader_boots(void **state)
{
    struct workshop *w = *state;
    char path[PATH_SIZE + 32];
    struct esp_flash flash = {.size = FLASH_IMAGE_SIZE, .bytes = malloc(FLASH_IMAGE_SIZE)};
    struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
    struct sf_bootloader_work work;
    struct sf_boot_decision decision;
    snprintf(path, sizeof(path), "%s/flash.bin", w->dir);
    assert_int_equal(RUN(w, "make-flash", "--firmware", w->app, "-o", path), 0);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fread(flash.bytes, 1, FLASH_IMAGE_SIZE, file), FLASH_IMAGE_SIZE);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
    assert_int_equal(sf_bootloader_run(&bootloader, &work, &decision, NULL), SF_OK);
    assert_int_equal(decision.slot, 0);
    free(flash.bytes);
}

static void write_token(const struct workshop *w, char path[PATH_SIZE + 32])
{
    snprintf(path, PATH_SIZE + 32, "%s/token", w->dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("sfe_1\n", file) >= 0);
    fclose(file);
}

static void an_unreachable_server_is_exit_status_3_and_state_is_kept(void **state)
{
    struct workshop *w = *state;
    char dir[PATH_SIZE + 32];
    char first[PATH_SIZE + 64];
    char token[PATH_SIZE + 32];
    struct stat st;
    snprintf(dir, sizeof(dir), "%s/state", w->dir);
    snprintf(first, sizeof(first), "%s/0200002a0000.bin", dir);
    write_token(w, token);
    assert_int_equal(RUN(w, "run", "--server", "https://127.0.0.1:1", "--firmware", w->app,
                         "--release-key", KEY_HEX, "--status-key", KEY_HEX, "--enrol-token-file",
                         token, "--until", "1", "--speed", "10", "--devices", "3", "--seed", "42",
                         "--state", dir),
                     3);
    assert_said(w, "no connection to the server");
    assert_int_equal(stat(first, &st), 0);
    assert_int_equal(st.st_size, FLASH_IMAGE_SIZE);
    assert_int_equal(RUN(w, "run", "--server", "https://127.0.0.1:1", "--firmware", w->app,
                         "--release-key", KEY_HEX, "--status-key", KEY_HEX, "--enrol-token-file",
                         token, "--until", "1", "--state", dir, "--json"),
                     3);
    assert_said(w, "\"id\":\"0200002a0000\"");
    assert_said(w, "\"version\":\"1.0.0\"");
    assert_said(w, "\"at_rest\":false");
}

static void with_flash_encryption_the_flash_is_ciphertext_and_boots(void **state)
{
    struct workshop *w = *state;
    char dir[PATH_SIZE + 32];
    char path[PATH_SIZE + 64];
    char token[PATH_SIZE + 32];
    uint8_t magic[2] = {0};
    snprintf(dir, sizeof(dir), "%s/state", w->dir);
    snprintf(path, sizeof(path), "%s/0200002a0000.bin", dir);
    write_token(w, token);
    assert_int_equal(RUN(w, "run", "--server", "https://127.0.0.1:1", "--firmware", w->app,
                         "--release-key", KEY_HEX, "--status-key", KEY_HEX, "--flash-encryption",
                         "--enrol-token-file", token, "--until", "1", "--speed", "10", "--seed",
                         "42", "--state", dir, "--json"),
                     3);
    assert_said(w, "\"version\":\"1.0.0\"");
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0x8000, SEEK_SET), 0);
    assert_int_equal(fread(magic, 1, sizeof(magic), file), sizeof(magic));
    fclose(file);
    assert_true(magic[0] != 0xaa || magic[1] != 0x50);
    assert_int_equal(RUN(w, "run", "--server", "https://127.0.0.1:1", "--firmware", w->app,
                         "--release-key", KEY_HEX, "--status-key", KEY_HEX, "--until", "1",
                         "--state", dir),
                     2);
    assert_said(w, "was made with --flash-encryption");
}

#define WORK_TEST(f) cmocka_unit_test_setup_teardown(f, make_workshop, release_workshop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORK_TEST(help_and_version_succeed),
        WORK_TEST(wrong_usage_and_bad_files_are_exit_status_2),
        WORK_TEST(make_flash_writes_what_the_bootloader_boots),
        WORK_TEST(with_flash_encryption_the_flash_is_ciphertext_and_boots),
        WORK_TEST(an_unreachable_server_is_exit_status_3_and_state_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
