#ifndef SF_BEHAVIOUR_H
#define SF_BEHAVIOUR_H

#include <stddef.h>
#include <stdint.h>

#include "formats/err.h"

/* The behaviour record of test firmware: 16 bytes at file offset 0x160, right behind the updater
 * record. A virtual device that boots such an image acts on it; a real one does what its code does.
 * Test firmware carries it through include/surefoot/behaviour.h. An image without is healthy. */

enum { SF_BEHAVIOUR_OFFSET = 0x160, SF_BEHAVIOUR_SIZE = 16 };

enum sf_behaviour_kind { /* append-only */
                         SF_BEHAVIOUR_HEALTHY = 0,
                         SF_BEHAVIOUR_CRASH_AT_BOOT = 1,
                         SF_BEHAVIOUR_CRASH_AFTER = 2, /* parameter: seconds from boot */
                         SF_BEHAVIOUR_HANG = 3,
                         SF_BEHAVIOUR_NO_NETWORK = 4,
                         SF_BEHAVIOUR_SELF_TEST_FAILS = 5,
                         SF_BEHAVIOUR_CRASH_EARLY = 6, /* before the early hook */
                         SF_BEHAVIOUR_SILENT = 7,      /* runs, but never checks in */
                         /* The self-test never answers. parameter: its own deadline in seconds, 0
                          * = it has none but the trial's. */
                         SF_BEHAVIOUR_SELF_TEST_HANGS = 8,
                         SF_BEHAVIOUR_BROWNOUT = 9,    /* parameter: seconds from boot */
                         SF_BEHAVIOUR_DEEP_SLEEP = 10, /* the same; it wakes at once */
                         SF_BEHAVIOUR_DECAYS = 11, /* a block of it is lost before its first boot */
                         SF_BEHAVIOUR_COUNT,
};

struct sf_behaviour {
    uint8_t kind; /* enum sf_behaviour_kind */
    uint32_t parameter;
};

/* Errors: NOTFOUND (no magic), RANGE (unknown kind), FORMAT (a zero byte is not zero); `out` is
 * healthy then. */
int sf_behaviour_decode(const uint8_t bytes[SF_BEHAVIOUR_SIZE], struct sf_behaviour *out,
                        struct sf_diag *diag) __attribute__((warn_unused_result));
void sf_behaviour_encode(const struct sf_behaviour *behaviour, uint8_t bytes[SF_BEHAVIOUR_SIZE]);

/* The record of an image of which `data` holds the first `len` bytes. Absent or too short: healthy
 * and SF_OK; else as sf_behaviour_decode(), `diag` with the offset in the file. */
int sf_behaviour_find(const uint8_t *data, size_t len, struct sf_behaviour *out,
                      struct sf_diag *diag) __attribute__((warn_unused_result));

/* "healthy", "crash_at_boot", ...; "unknown" for any other number; static. And back: the kind, or
 * -1. */
const char *sf_behaviour_name(unsigned kind);
int sf_behaviour_from_name(const char *name);

#endif
