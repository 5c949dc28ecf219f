#ifndef TEST_RAW_H
#define TEST_RAW_H

#include "tests/server/daemon.h"

/* A client that sends just the bytes it is told to, over TLS, and reads until the server closes. */

/* The status. What came back is there until the next call. */
int raw_send(const struct daemon *d, const char *text);
const char *raw_answer(void);
/* The value of a header, or "". */
const char *raw_header(const char *name);
const char *raw_body(size_t *len);

#endif
