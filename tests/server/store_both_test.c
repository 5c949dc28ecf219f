/* The same random jobs on SQLite and in memory: every answer and at last every row is equal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/store/backend.h"
#include "tests/server/store_kit.h"

enum { OPS = 400, SEEDS = 12, HASH_START = 5381 };

struct op {
    uint32_t seed;
    int64_t now;
    int result;
    uint32_t hash; /* of what it read */
};

static uint32_t next(uint32_t *rng)
{
    *rng ^= *rng << 13;
    *rng ^= *rng >> 17;
    *rng ^= *rng << 5;
    return *rng;
}

static uint32_t pick(uint32_t *rng, uint32_t below)
{
    return next(rng) % below;
}

static void name_of(char *out, size_t size, const char *prefix, uint32_t n)
{
    (void)snprintf(out, size, "%s-%u", prefix, n);
}

/* ---- comparing rows by their columns ---- */

static uint32_t hash_bytes(uint32_t hash, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = hash * 33 + data[i];
    }
    return hash;
}

static uint32_t hash_row(uint32_t hash, enum table_id t, const void *row)
{
    for (unsigned i = 0; i < tables[t].column_count; i++) {
        const struct column *c = &tables[t].column[i];
        const uint8_t *field = (const uint8_t *)row + c->offset;
        size_t len = c->type == COL_TEXT ? strnlen((const char *)field, c->size) : c->size;
        hash = hash_bytes(hash, field, len);
    }
    return hash;
}

static uint32_t hash_rows(uint32_t hash, enum table_id t, const void *rows, int count)
{
    hash = hash * 33 + (uint32_t)count;
    for (int i = 0; i < count; i++) {
        hash = hash_row(hash, t, (const uint8_t *)rows + (size_t)i * tables[t].row_size);
    }
    return hash;
}

/* ---- writes ---- */

static int add_product(struct store_tx *tx, uint32_t *rng)
{
    struct product p = {.kind = 1, .chip_id = 5, .slot_size = pick(rng, 100)};
    name_of(p.name, sizeof p.name, "product", pick(rng, 4));
    return store_product_add(tx, &p);
}

static int add_class(struct store_tx *tx, uint32_t *rng)
{
    struct hw_class c = {.product_id = 1 + pick(rng, 4)};
    name_of(c.revision, sizeof c.revision, "r", pick(rng, 3));
    memset(c.uuid, (int)(1 + pick(rng, 9)), sizeof c.uuid);
    return store_class_add(tx, &c);
}

static int add_release(struct store_tx *tx, uint32_t *rng)
{
    struct release r = {
        .product_id = 1 + pick(rng, 4), .state = RELEASE_PUBLISHED, .secure_version = pick(rng, 3)};
    name_of(r.version, sizeof r.version, "1", pick(rng, 5));
    return store_release_add(tx, &r);
}

static int withdraw_release(struct store_tx *tx, uint32_t *rng)
{
    struct release r;
    int err = store_release_get(store_tx_reader(tx), 1 + pick(rng, 12), &r);
    if (err < 0) {
        return err;
    }
    r.state = 1 + pick(rng, 2);
    name_of(r.notes, sizeof r.notes, "note", pick(rng, 9));
    return store_release_put(tx, &r);
}

static int add_artifact(struct store_tx *tx, uint32_t *rng)
{
    struct artifact a = {.size = next(rng), .created_at = pick(rng, 100)};
    memset(a.digest, (int)(1 + pick(rng, 8)), sizeof a.digest);
    return store_artifact_add(tx, &a);
}

static int remove_artifact(struct store_tx *tx, uint32_t *rng)
{
    return store_artifact_remove(tx, 1 + pick(rng, 12));
}

static int add_manifest(struct store_tx *tx, uint32_t *rng)
{
    struct manifest_row m = {.release_id = 1 + pick(rng, 12), .class_id = 1 + pick(rng, 6)};
    int err = store_seq_reserve(tx, m.class_id, &m.seq);
    m.seq -= pick(rng, 2) == 0 ? 0 : 2; /* sometimes one that is used */
    memset(m.image_digest, (int)(1 + pick(rng, 8)), sizeof m.image_digest);
    m.envelope_len = pick(rng, 40);
    memset(m.envelope, 7, m.envelope_len);
    return err < 0 ? err : store_manifest_add(tx, &m);
}

static int add_enrol_token(struct store_tx *tx, uint32_t *rng)
{
    struct enrol_token t = {.product_id = 1 + pick(rng, 5),
                            .expires_at = pick(rng, 2) == 0 ? 0 : 50};
    memset(t.digest, (int)pick(rng, 200), sizeof t.digest);
    return store_enrol_token_add(tx, &t, pick(rng, 2) == 0 ? 0 : 1 + pick(rng, 100));
}

static int add_token(struct store_tx *tx, uint32_t *rng)
{
    struct api_token t = {.roles = pick(rng, 64)};
    name_of(t.name, sizeof t.name, "ci", pick(rng, 20));
    memset(t.digest, (int)pick(rng, 200), sizeof t.digest);
    int err = store_token_add(tx, &t);
    t.revoked_at = pick(rng, 2);
    return err < 0 ? err : store_token_put(tx, &t);
}

static int add_device(struct store_tx *tx, uint32_t *rng)
{
    struct event event = {.kind = EVENT_ENROLLED};
    struct hw_class class;
    int err = store_class_get(store_tx_reader(tx), 1 + pick(rng, 3) / 2 * pick(rng, 4), &class);
    if (err < 0) {
        return err;
    }
    struct kit_fleet fleet = {.product = class.product_id, .class_id = class.id};
    char id[16];
    name_of(id, sizeof id, "lamp", pick(rng, 30));
    struct device d = kit_device(&fleet, id);
    return store_device_add(tx, &d, &event, 1);
}

static int operate_device(struct store_tx *tx, uint32_t *rng)
{
    struct device d;
    struct event event;
    int err = store_device_get(store_tx_reader(tx), 1 + pick(rng, 20), &d);
    if (err < 0) {
        return err;
    }
    switch (pick(rng, 4)) {
    case 0:
        memset(d.pending_digest, 0x77, sizeof d.pending_digest);
        d.state = DEVICE_QUARANTINED;
        return store_device_put(tx, &d, NULL, 2);
    case 1:
        err = device_approve(&d, 3, &event);
        break;
    case 2:
        err = device_reject(&d, 3, &event);
        break;
    default:
        err = device_revoke(&d, 3, &event);
        break;
    }
    return err < 0 ? err : store_device_put(tx, &d, &event, 3);
}

static int check_in(struct store_tx *tx, uint32_t *rng, int64_t now)
{
    char id[16];
    name_of(id, sizeof id, "lamp", pick(rng, 30));
    static const int errors[] = {SF_OK, SF_OK, SF_OK, SF_ERR_CRASHED, SF_ERR_STALLED};
    return kit_checkin(tx, id, (int)(1 + pick(rng, 4)), errors[pick(rng, 5)], now);
}

static int prune(struct store_tx *tx, uint32_t *rng, int64_t now)
{
    struct prune_result removed;
    struct retention keep = {.history_s = 150000,
                             .audit_s = 100000,
                             .deployments_s = 60000,
                             .revoked_devices_s = 60000,
                             .batch = 1 + pick(rng, 40)};
    int err = store_prune(tx, &keep, now, &removed);
    return err < 0 ? err
                   : (int)(removed.history + removed.audit * 10 + removed.deployments * 100 +
                           removed.devices * 1000 + removed.tokens * 10000);
}

static int small_write(struct store_tx *tx, uint32_t *rng)
{
    struct audit_row row = {.at = 1700000000 + pick(rng, 300000)};
    name_of(row.who, sizeof row.who, "who", pick(rng, 3));
    char key[16];
    name_of(key, sizeof key, "key", pick(rng, 5));
    int err = store_audit_add(tx, &row);
    return err < 0 ? err : store_meta_put(tx, key, row.who);
}

static int write_something(struct store_tx *tx, uint32_t *rng, int64_t now)
{
    switch (pick(rng, 28)) {
    case 0:
        return add_product(tx, rng);
    case 1:
        return add_class(tx, rng);
    case 2:
        return add_release(tx, rng);
    case 3:
        return withdraw_release(tx, rng);
    case 4:
        return add_artifact(tx, rng);
    case 5:
        return remove_artifact(tx, rng);
    case 6:
        return add_manifest(tx, rng);
    case 7:
        return add_enrol_token(tx, rng);
    case 8:
        return add_token(tx, rng);
    case 9:
        return add_device(tx, rng);
    case 10:
        return operate_device(tx, rng);
    case 11:
        return store_product_target(tx, 1 + pick(rng, 2), pick(rng, 6), now);
    case 12:
        return store_device_override(tx, 1 + pick(rng, 20), pick(rng, 6), now);
    case 13:
        return prune(tx, rng, now);
    case 14:
        return store_deployment_expire(tx, now, 1 + pick(rng, 5));
    case 15:
        return small_write(tx, rng);
    default:
        return check_in(tx, rng, now);
    }
}

static int job(struct store_tx *tx, void *arg)
{
    struct op *op = arg;
    uint32_t rng = op->seed;
    int err = SF_OK;
    for (uint32_t i = 0, n = 1 + pick(&rng, 3); i < n; i++) {
        err = write_something(tx, &rng, op->now);
        op->hash = op->hash * 33 + (uint32_t)err;
    }
    /* what fails is undone as a whole; sometimes for no reason */
    return pick(&rng, 6) == 0 ? SF_ERR_CANCELLED : err;
}

/* ---- reads ---- */

static uint32_t read_devices(struct store_reader *r, uint32_t *rng, uint32_t hash)
{
    static struct device rows[8];
    struct device_filter f = {.product_id = pick(rng, 3), .state = pick(rng, 3)};
    if (pick(rng, 2) == 0) {
        name_of(f.version, sizeof f.version, "", 0);
        (void)snprintf(f.version, sizeof f.version, "%u.0.0", 1 + pick(rng, 8));
    }
    (void)snprintf(f.id_prefix, sizeof f.id_prefix, "%s", pick(rng, 2) == 0 ? "lamp-1" : "");
    (void)snprintf(f.after_id, sizeof f.after_id, "%s", pick(rng, 2) == 0 ? "lamp-12" : "");
    int count = store_device_list(r, &f, rows, 1 + pick(rng, 8));
    return hash_rows(hash, T_DEVICE, rows, count);
}

static uint32_t read_something(struct store *s, uint32_t seed)
{
    static struct history_row history[20];
    static struct deployment deployments[20];
    static struct release releases[20];
    static struct artifact artifacts[20];
    struct store_reader *r = store_reader(s, 1);
    struct device_view v;
    struct store_counts counts;
    char id[16];
    uint32_t rng = seed;
    uint32_t hash = read_devices(r, &rng, HASH_START);
    name_of(id, sizeof id, "lamp", pick(&rng, 30));
    int err = store_device_view(r, id, &v);
    hash = hash * 33 + (uint32_t)err;
    if (err == SF_OK) {
        hash = hash_row(hash, T_DEVICE, &v.device);
        hash = hash_row(hash, T_DEPLOYMENT, &v.current);
        hash = hash_row(hash, T_DEPLOYMENT, &v.previous);
        hash = hash_bytes(hash, v.target.image_digest, DIGEST_SIZE);
        hash = hash * 33 + (uint32_t)(v.target.gen + v.has_target + v.target.has_manifest);
    }
    int64_t row = 1 + pick(&rng, 20);
    hash = hash_rows(hash, T_HISTORY, history, store_history_list(r, row, 3, history, 20));
    hash = hash_rows(hash, T_DEPLOYMENT, deployments,
                     store_deployment_list(r, row, 0, deployments, 20));
    hash = hash_rows(hash, T_DEPLOYMENT, deployments,
                     store_deployment_due(r, 1700700000, deployments, 20));
    hash = hash_rows(hash, T_RELEASE, releases, store_release_list(r, 1, 0, releases, 20));
    hash = hash_rows(hash, T_ARTIFACT, artifacts, store_artifact_unused(r, 50, artifacts, 20));
    assert_int_equal(store_counts(r, &counts), SF_OK);
    for (int i = 0; i < DEPLOYMENT_STATE_COUNT; i++) {
        hash = hash * 33 + (uint32_t)counts.deployments[i] + (uint32_t)counts.devices[i % 4];
    }
    return hash;
}

static void every_row_is_equal(struct store *a, struct store *b, uint32_t seed)
{
    static union {
        struct release release;
        struct manifest_row manifest;
        struct device device;
        struct audit_row audit;
    } x, y;
    unsigned found = 0;
    for (int t = 0; t < T_COUNT; t++) {
        for (int64_t id = 1; t != T_UPTIME && id < 2000; id++) {
            int first = get_row(store_reader(a, 0), (enum table_id)t, id, &x);
            int second = get_row(store_reader(b, 0), (enum table_id)t, id, &y);
            int equal = first == second && (first < 0 || hash_row(1, (enum table_id)t, &x) ==
                                                             hash_row(1, (enum table_id)t, &y));
            if (!equal) {
                print_error("seed %u: %s row %d differs\n", seed, tables[t].name, (int)id);
            }
            assert_true(equal);
            found += first == SF_OK;
        }
    }
    assert_true(found > 50);
}

static void one_seed(uint32_t seed)
{
    char *folder = kit_folder();
    struct store *sqlite = kit_open(folder);
    struct store *memory = kit_open(NULL);
    struct kit_fleet fleet;
    kit_fill(sqlite, &fleet);
    kit_fill(memory, &fleet);
    uint32_t rng = seed * 2654435761u + 1;
    int64_t now = 1700000000;
    unsigned good = 0;
    for (int i = 0; i < OPS; i++) {
        now += pick(&rng, 2000);
        struct op a = {.seed = next(&rng), .now = now, .hash = HASH_START};
        struct op b = a;
        a.result = store_run(sqlite, job, &a);
        b.result = store_run(memory, job, &b);
        if (a.result != b.result || a.hash != b.hash) {
            print_error("seed %u, job %d: sqlite %d, memory %d\n", seed, i, a.result, b.result);
        }
        assert_int_equal(a.result, b.result);
        assert_int_equal(a.hash, b.hash);
        good += a.result >= 0;
        uint32_t look = next(&rng);
        assert_int_equal(read_something(sqlite, look), read_something(memory, look));
    }
    assert_true(good > OPS / 8);
    every_row_is_equal(sqlite, memory, seed);
    store_close(sqlite);
    store_close(memory);
    kit_remove(folder);
}

static void both_backends_do_the_same_with_random_jobs(void **state)
{
    (void)state;
    print_message("seeds 1 to %d\n", SEEDS);
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        one_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_backends_do_the_same_with_random_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
