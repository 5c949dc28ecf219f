#include "server/artifacts/room.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "formats/err.h"

#define MIB (UINT64_C(1) << 20)

void room_state(const struct room *r, struct room_state *out)
{
    struct statvfs fs;
    *out = (struct room_state){.used_bytes = artifacts_used(r->artifacts),
                               .quota_bytes = atomic_load(&r->quota_bytes)};
    if (statvfs(artifacts_tmp_dir(r->artifacts), &fs) != 0) {
        return;
    }
    out->disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
    out->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    const uint64_t reserve = atomic_load(&r->reserve_bytes);
    const uint64_t most = out->disk_bytes / ROOM_RESERVE_PARTS;
    out->reserve_bytes = reserve < most ? reserve : most;
}

/* In MiB and tenths, for a sentence. */
struct amount {
    char text[32];
};

static struct amount amount(uint64_t bytes)
{
    struct amount a;
    (void)snprintf(a.text, sizeof(a.text), "%" PRIu64 ".%" PRIu64 " MiB", bytes / MIB,
                   bytes % MIB * 10 / MIB);
    return a;
}

int room_check(const struct room *r, uint64_t written, uint64_t more, char why[ROOM_WHY_MAX])
{
    struct room_state s;
    room_state(r, &s);
    const uint64_t len = written + more;
    if (s.quota_bytes > 0 && (s.used_bytes > s.quota_bytes || len > s.quota_bytes - s.used_bytes)) {
        (void)snprintf(why, ROOM_WHY_MAX,
                       "no room for this image of %s: stored images take %s of the %s that 'quota' "
                       "allows; those that no release names go by themselves, or raise 'quota' in "
                       "surefootd's settings",
                       amount(len).text, amount(s.used_bytes).text, amount(s.quota_bytes).text);
        return SF_ERR_NOSPC;
    }
    if (s.disk_bytes > 0 &&
        (s.free_bytes < s.reserve_bytes || more > s.free_bytes - s.reserve_bytes)) {
        (void)snprintf(why, ROOM_WHY_MAX,
                       "the server's disk is full: %s are free, of which %s stay reserved for the "
                       "database; free some space there and try again",
                       amount(s.free_bytes).text, amount(s.reserve_bytes).text);
        return SF_ERR_NOSPC;
    }
    return SF_OK;
}
