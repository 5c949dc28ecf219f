/* The server itself, for people who run it. */
#include <stdio.h>
#include <sys/stat.h>

#include "server/artifacts/room.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"

/* The database and what is not merged into it yet. */
static json_int_t database_bytes(const struct protocols *p)
{
    static const char *const suffix[] = {"", "-wal"};
    json_int_t sum = 0;
    for (unsigned i = 0; p->database != NULL && i < sizeof(suffix) / sizeof(suffix[0]); i++) {
        char path[4096];
        struct stat st;
        const int len = snprintf(path, sizeof(path), "%s%s", p->database, suffix[i]);
        if (len > 0 && (size_t)len < sizeof(path) && stat(path, &st) == 0) {
            sum += (json_int_t)st.st_size;
        }
    }
    return sum;
}

static json_t *retention_json(const struct live *live)
{
    json_t *days = json_object();
#define X(name, help) \
    (void)json_object_set_new(days, #name, json_integer(atomic_load(&live->keep_##name##_days)));
    KEEP_MAP(X)
#undef X
    return days;
}

static json_t *space_json(const struct protocols *p)
{
    struct room_state s;
    room_state(&p->room, &s);
    return json_pack(
        "{s:I, s:o, s:I, s:I, s:I, s:I}", "artifact_bytes", (json_int_t)s.used_bytes, "quota_bytes",
        s.quota_bytes > 0 ? json_integer((json_int_t)s.quota_bytes) : json_null(), "database_bytes",
        database_bytes(p), "disk_bytes", (json_int_t)s.disk_bytes, "free_bytes",
        (json_int_t)s.free_bytes, "reserve_bytes", (json_int_t)s.reserve_bytes);
}

void handle_server_show(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct freeze freeze;
    const int err = store_freeze_get(reader_of(x, p), &freeze);
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    answer_json(x, 200,
                json_pack("{s:s, s:o, s:o, s:b, s:o, s:I, s:o, s:o}", "version", p->version, "now",
                          json_time(p->now()), "started", json_time(p->started_at), "frozen",
                          freeze.since != 0, "certificate_expires",
                          json_time(atomic_load(&p->live.certificate_ends_at)),
                          "checkin_interval_s",
                          (json_int_t)atomic_load(&p->live.checkin_interval_s), "space",
                          space_json(p), "keep_days", retention_json(&p->live)));
}
