#ifndef PROTOCOLS_REFUSAL_H
#define PROTOCOLS_REFUSAL_H

/* Why a request is refused: an HTTP status, a code for programs, a sentence for people. */

enum { REFUSAL_SIZE = 320 };

struct refusal {
    int status;       /* HTTP; 0 = not refused */
    const char *code; /* static */
    char message[REFUSAL_SIZE];
};

/* Fills the refusal; returns -1 for `return refuse(...)`. */
int refuse(struct refusal *why, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
