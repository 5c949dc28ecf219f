#ifndef TEST_FAULTY_H
#define TEST_FAULTY_H

#include <stdatomic.h>

/* surefootd_faulty is surefootd in which the n-th allocation, statement or write fails. Who starts
 * it names a file of this struct in the environment and writes orders there while it runs. */

#define FAULTY_FILE "SF_TEST_FAULTY_FILE"

enum faulty_kind {
    FAULTY_NONE,
    FAULTY_MEMORY,    /* our own allocations and SQLite's */
    FAULTY_STATEMENT, /* of SQLite */
    FAULTY_DISK,      /* our own writes and syncs, and SQLite's */
    FAULTY_KINDS,
};

struct faulty_orders {
    atomic_int kind;
    atomic_int left; /* this many go well first; the next one fails, and no more */
    atomic_int struck;
};

#endif
