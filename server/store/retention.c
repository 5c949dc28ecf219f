/* What is forgotten, in bounded steps.
 *
 * Invariants
 *  1. One call reads and removes at most `batch` rows of each kind, however large the fleet is.
 *  2. A device's latest deployment stays: it says which release is not to be offered again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/store/backend.h"

enum { PAGE = 128, BATCH_MAX = 10000, TOKEN_KEPT_S = 30 * 86400 };

struct pruning;

/* Looks at one row: > 0 = remove it, 0 = keep it, < 0 = an error, SF_ERR_STATE ends the walk. */
typedef int look_fn(struct pruning *p, const void *row);

struct pruning {
    struct store_tx *tx;
    look_fn *look;
    int64_t before; /* rows older than this go */
    unsigned left;  /* rows this call may still look at */
    unsigned removed;
};

static int prune_page(struct pruning *p, const struct selection *what, void *rows)
{
    enum table_id t = query_find(what->query)->table;
    unsigned want = p->left < PAGE ? p->left : PAGE;
    int count = select_rows(&p->tx->reader, what, rows, want);
    for (int i = 0; i < count; i++) {
        const uint8_t *row = (const uint8_t *)rows + (size_t)i * tables[t].row_size;
        int64_t id = 0;
        memcpy(&id, row, sizeof id);
        p->left--;
        int err = p->look(p, row);
        if (err > 0) {
            err = remove_row(p->tx, t, id);
            p->removed += err == SF_OK;
        }
        if (err < 0) {
            return err;
        }
    }
    return count;
}

/* Repeats a query whose rows go away as they are removed, until it is empty, the walk ends or the
 * batch is used up. */
static int prune_all(struct pruning *p, const struct selection *what)
{
    void *rows = calloc(PAGE, tables[query_find(what->query)->table].row_size);
    int count = rows != NULL ? PAGE : SF_ERR_NOMEM;
    while (count == PAGE && p->left > 0) {
        count = prune_page(p, what, rows);
    }
    free(rows);
    return count < 0 && count != SF_ERR_STATE ? count : SF_OK;
}

/* Rows stand in the order they were written: the first one that is young enough ends the walk. */
static int look_history(struct pruning *p, const void *row)
{
    return ((const struct history_row *)row)->at < p->before ? 1 : SF_ERR_STATE;
}

static int look_audit(struct pruning *p, const void *row)
{
    return ((const struct audit_row *)row)->at < p->before ? 1 : SF_ERR_STATE;
}

static int look_uptime(struct pruning *p, const void *row)
{
    return ((const struct uptime_row *)row)->until_at < p->before ? 1 : SF_ERR_STATE;
}

static int look_any(struct pruning *p, const void *row)
{
    (void)p;
    (void)row;
    return 1;
}

static int look_deployment(struct pruning *p, const void *row)
{
    const struct deployment *d = row;
    struct device device;
    if (deployment_active(d->state) || d->changed_at >= p->before) {
        return 0;
    }
    int err = get_row(&p->tx->reader, T_DEVICE, d->device_row, &device);
    return err < 0 ? err : device.deployment_id != d->id;
}

/* Deployments are walked round and round: most of them are somebody's latest and stay. */
static int prune_deployments(struct pruning *p)
{
    static const char key[] = "prune_deployment";
    char value[STORE_VALUE_MAX + 1] = "0";
    struct deployment rows[PAGE];
    int err = store_meta_get(&p->tx->reader, key, value);
    if (err < 0 && err != SF_ERR_NOTFOUND) {
        return err;
    }
    int64_t after = strtoll(value, NULL, 10);
    int count = PAGE;
    while (count == PAGE && p->left > 0) {
        unsigned want = p->left < PAGE ? p->left : PAGE;
        struct arg args[] = {arg_int(after)};
        count = prune_page(p, SELECT(Q_DEPLOYMENTS_AFTER, args, 1), rows);
        if (count < 0) {
            return count;
        }
        after = count > 0 && (unsigned)count == want ? rows[count - 1].id : 0;
    }
    (void)snprintf(value, sizeof value, "%" PRId64, after);
    return store_meta_put(p->tx, key, value);
}

/* A device goes when its history has gone; a long one takes several calls. */
static int remove_device(struct store_tx *tx, const struct device *device, unsigned batch)
{
    int64_t row = device->row;
    struct pruning rest = {tx, look_any, 0, batch, 0};
    struct arg args[] = {arg_int(row), arg_int(0)};
    int err = prune_all(&rest, SELECT(Q_HISTORY, args, 2));
    if (err == SF_OK) {
        err = prune_all(&rest, SELECT(Q_DEPLOYMENTS, args, 2));
    }
    if (err < 0 || rest.left == 0) {
        return err < 0 ? err : SF_ERR_STATE;
    }
    err = remove_row(tx, T_SEEN, row);
    if (err < 0 && err != SF_ERR_NOTFOUND) {
        return err;
    }
    err = device->kind == DEVICE_PLAIN ? store_plain_count(tx, device->product_id, -1) : SF_OK;
    return err < 0 ? err : remove_row(tx, T_DEVICE, row);
}

static int prune_devices(struct store_tx *tx, int64_t before, unsigned batch, unsigned *removed)
{
    enum { DEVICES = 16 };
    struct device rows[DEVICES];
    struct arg args[] = {arg_int(before)};
    int count = select_rows(&tx->reader, SELECT(Q_DEVICES_REVOKED, args, 1), rows,
                            batch < DEVICES ? batch : DEVICES);
    for (int i = 0; i < count; i++) {
        int err = remove_device(tx, &rows[i], batch / DEVICES + 1);
        if (err < 0) {
            return err == SF_ERR_STATE ? SF_OK : err;
        }
        (*removed)++;
    }
    return count < 0 ? count : SF_OK;
}

/* Rows that go by their age alone. */
struct kind {
    enum query_id query;
    unsigned arg_count;
    struct arg arg; /* of the query */
    look_fn *look;
    int64_t keep_s; /* 0 = for ever */
    unsigned *removed;
};

static int prune_kind(struct store_tx *tx, const struct kind *k, int64_t now, unsigned batch)
{
    struct pruning p = {tx, k->look, now - k->keep_s, batch, 0};
    int err = k->keep_s != 0 ? prune_all(&p, SELECT(k->query, &k->arg, k->arg_count)) : SF_OK;
    *k->removed = p.removed;
    return err;
}

int store_prune(struct store_tx *tx, const struct retention *keep, int64_t now,
                struct prune_result *out)
{
    unsigned batch = keep->batch < BATCH_MAX ? keep->batch : BATCH_MAX;
    const struct kind kinds[] = {
        {Q_HISTORY_OLDEST, 0, arg_int(0), look_history, keep->history_s, &out->history},
        {Q_AUDIT_OLDEST, 0, arg_int(0), look_audit, keep->audit_s, &out->audit},
        {Q_UPTIME, 1, arg_int(0), look_uptime, keep->uptime_s, &out->uptime},
        {Q_ENROL_TOKENS_EXPIRED, 1, arg_int(now - TOKEN_KEPT_S), look_any, TOKEN_KEPT_S,
         &out->tokens},
        {Q_PLAIN_TOKENS_EXPIRED, 1, arg_int(now - TOKEN_KEPT_S), look_any, TOKEN_KEPT_S,
         &out->plain_tokens},
    };
    int err = SF_OK;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; err == SF_OK && i < sizeof kinds / sizeof kinds[0]; i++) {
        err = prune_kind(tx, &kinds[i], now, batch);
    }
    if (err == SF_OK && keep->deployments_s != 0) {
        struct pruning p = {tx, look_deployment, now - keep->deployments_s, batch, 0};
        err = prune_deployments(&p);
        out->deployments = p.removed;
    }
    if (err == SF_OK && keep->revoked_devices_s != 0) {
        err = prune_devices(tx, now - keep->revoked_devices_s, batch, &out->devices);
    }
    return err;
}
