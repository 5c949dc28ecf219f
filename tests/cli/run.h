#ifndef TESTS_CLI_RUN_H
#define TESTS_CLI_RUN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Runs the real `surefoot` (or another program) and keeps what it printed. Everything happens in a
 * temporary folder of the test program's own. */

enum { RUN_TEXT_MAX = 1 << 18, RUN_ARGS_MAX = 32, RUN_PATH_MAX = 512, RUN_PATHS_MAX = 128 };

struct run {
    int status; /* exit status; -1 = killed by a signal */
    char out[RUN_TEXT_MAX];
    char err[RUN_TEXT_MAX];
};

/* cmocka group fixtures: makes and removes the folder. */
int run_setup(void **state);
int run_teardown(void **state);

/* The path of a file in the folder; static. */
const char *run_path(const char *name);

/* `surefoot` with these arguments, up to a NULL. Static result, gone with the next call. */
struct run *run_surefoot(const char *first, ...) __attribute__((sentinel));

/* Any program, found on PATH unless it has a slash. status 127: there is none. */
struct run *run_program(const char *const argv[]);

/* The same with a file as stdin. */
struct run *run_surefoot_stdin(const char *stdin_path, const char *first, ...)
    __attribute__((sentinel));

/* Demands an exit status and a part of stderr (NULL: stderr must be empty). */
void run_expect(const struct run *r, int status, const char *in_err);

/* stdout as one JSON value; fails the test if it is none. json_decref() it. */
json_t *run_json(const struct run *r);

void run_write(const char *path, const void *data, size_t len);
/* Returns malloc'ed bytes. */
uint8_t *run_read(const char *path, size_t *len);

/* 1 if the long form of a test is wanted (script/test --full): SF_TEST_FULL=1. */
int run_full(void);

/* esptool of build/venv, or NULL. */
const char *run_esptool(void);
const char *run_espsecure(void); /* likewise */

#endif
