#ifndef TESTS_CLI_SERVED_H
#define TESTS_CLI_SERVED_H

/* A real surefootd on a free port of the loopback, for tests of the command line. */

/* Starts it on run_path("data"), its log in run_path("server.log"), and waits until it listens. 0,
 * or -1. */
int served_start(void);
/* SIGTERM; 0 if it ended well. */
int served_stop(void);

/* https://localhost:PORT */
const char *served_url(void);

/* `surefoot login` with this token file, into the default configuration or `config`. Returns the
 * exit status. */
int served_login(const char *token_file, const char *config);

/* Creates the product 'lamp' (esp32c3, hardware revisions A and B, slots of 64 KiB) with a new
 * release key in run_path("release.pem"), as the administrator. Returns the exit status. */
int served_make_lamp(void);

#endif
