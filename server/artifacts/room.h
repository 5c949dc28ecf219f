#ifndef ARTIFACTS_ROOM_H
#define ARTIFACTS_ROOM_H

#include <stdatomic.h>
#include <stdint.h>

#include "server/artifacts/artifacts.h"

/* Whether there is room for an image: a quota for all of them, and a reserve on the disk that no
 * upload may touch, so that the database can always commit. From any thread. */

enum { ROOM_WHY_MAX = 320, ROOM_RESERVE_PARTS = 10 };

struct room {
    const struct artifacts *artifacts;
    atomic_uint_least64_t quota_bytes;   /* 0 = none */
    atomic_uint_least64_t reserve_bytes; /* at most a tenth of the file system counts */
};

struct room_state {
    uint64_t used_bytes;  /* of stored images */
    uint64_t quota_bytes; /* 0 = none */
    uint64_t disk_bytes;  /* the file system's size; 0 = it can't be told */
    uint64_t free_bytes;
    uint64_t reserve_bytes; /* that counts */
};
void room_state(const struct room *r, struct room_state *out);

/* Of an upload, `written` bytes are in the temporary file and `more` are to come (0 = not known):
 * SF_OK, or SF_ERR_NOSPC and a sentence. */
int room_check(const struct room *r, uint64_t written, uint64_t more, char why[ROOM_WHY_MAX])
    __attribute__((warn_unused_result));

#endif
