#ifndef TEST_TOOL_H
#define TEST_TOOL_H

#include <sys/types.h>

/* Programs from outside (slowhttptest, testssl) against the real surefootd. */

/* 1 if the program is installed. Else says that its test is skipped. */
int tool_is_there(const char *path);

/* Starts it, its output going to the file `log`; it dies with the test. NULL ends args. */
pid_t tool_start(const char *const args[], const char *log);
/* -1 while it runs, then its exit code (> 128: a signal). */
int tool_poll(pid_t pid);
int tool_wait(pid_t pid);

/* SF_TEST_FULL=1. */
int tool_full(void);

/* ctest's exit code for a test that was skipped. */
enum { TOOL_SKIPPED = 77 };

#endif
