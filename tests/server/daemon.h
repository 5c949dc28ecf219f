#ifndef TEST_DAEMON_H
#define TEST_DAEMON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The real surefootd on a free loopback port, and a real client (libcurl) for it. */

enum { DAEMON_PATH = 256, DAEMON_TOKEN = 128, DAEMON_EXTRA = 8 };

struct daemon {
    const char *program;   /* path; NULL = surefootd */
    char dir[DAEMON_PATH]; /* its data folder, in a temporary one */
    char ca[DAEMON_PATH + 16];
    char admin[DAEMON_TOKEN];
    const char *extra[DAEMON_EXTRA]; /* more arguments; NULL ends them */
    const char *log;                 /* a file for its stderr; NULL = ours */
    pid_t pid;                       /* 0 = not running */
    unsigned port;
};

/* Makes a temporary data folder; nothing runs yet. */
void daemon_init(struct daemon *d);
/* Starts it and waits for the line that names the port; fails the test if it does not come. */
void daemon_start(struct daemon *d);
/* The same; the exit code if it ends instead, or minus the signal. */
int daemon_try_start(struct daemon *d);
/* SIGTERM, and the exit code. */
int daemon_stop(struct daemon *d);
/* kill -9. */
void daemon_kill(struct daemon *d);
/* Stops it if it runs, and removes the folder. */
void daemon_release(struct daemon *d);

/* Runs surefootd until it ends by itself: its exit code; stderr goes to `error`. NULL ends args. */
int daemon_run(const char *const args[], char *error, size_t error_size);

struct call {
    const char *method; /* NULL = GET, or POST with a body */
    const char *path;
    const char *bearer;       /* NULL = none */
    const char *content_type; /* NULL = none */
    const void *body;
    size_t body_len;
    const char *range; /* "0-99" */
    const char *ca;    /* NULL = the daemon's */
};

struct reply {
    int curl; /* CURLcode */
    long status;
    uint8_t *body; /* NUL-terminated; free with reply_release() */
    size_t len;
    char header[4096]; /* all lines of the last response */
};

/* Each call is a new connection. */
void call(const struct daemon *d, const struct call *c, struct reply *out);
void reply_release(struct reply *r);

/* A call with JSON both ways, as the administrator. Returns the answer's JSON (or
 * null), and its status; `body` NULL = none; the reference is taken over. */
json_t *api(const struct daemon *d, const char *method, const char *path, json_t *body,
            long *status);
/* With another bearer: method, path and bearer of `c` count. */
json_t *api_as(const struct daemon *d, const struct call *c, json_t *body, long *status);

/* "code" of an error answer, or "". */
const char *error_code(const json_t *answer);

#endif
