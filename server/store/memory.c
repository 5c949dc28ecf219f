/* The memory backend: rows in arrays, conditions in C, a copy of everything as the savepoint. For
 * tests and for comparing with SQLite; nothing is kept.
 *
 * Invariants
 *  1. Rows of a table stand in ascending order of id; an id is never given out twice.
 *  2. Uniqueness and references are checked as the schema says.
 *  3. The lock is held in every read, and from begin to commit or rollback. */
#include "server/store/backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct rows {
    uint8_t *data;
    unsigned count;
    unsigned room;
    int64_t last_id;
};

struct memory {
    struct rows table[T_COUNT];
    struct rows saved[T_COUNT];
    int transaction;
    pthread_mutex_t lock; /* recursive: a job reads */
};

struct memory *memory_open(void)
{
    struct memory *m = calloc(1, sizeof *m);
    pthread_mutexattr_t attr;
    if (m != NULL) {
        (void)pthread_mutexattr_init(&attr);
        (void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
        (void)pthread_mutex_init(&m->lock, &attr);
        (void)pthread_mutexattr_destroy(&attr);
    }
    return m;
}

static void release_all(struct rows *t)
{
    for (unsigned i = 0; i < T_COUNT; i++) {
        free(t[i].data);
        t[i] = (struct rows){0};
    }
}

void memory_close(struct memory *m)
{
    if (m != NULL) {
        release_all(m->table);
        release_all(m->saved);
        (void)pthread_mutex_destroy(&m->lock);
        free(m);
    }
}

unsigned memory_rows(const struct memory *m, enum table_id t, const void **rows)
{
    *rows = m->table[t].data;
    return m->table[t].count;
}

static uint8_t *row_at(const struct memory *m, enum table_id t, unsigned i)
{
    return m->table[t].data + (size_t)i * tables[t].row_size;
}

static int64_t id_of(const void *row)
{
    int64_t id = 0;
    memcpy(&id, row, sizeof id);
    return id;
}

/* Index of the first row whose id is not below `id`. */
static unsigned lower_bound(const struct memory *m, enum table_id t, int64_t id)
{
    unsigned low = 0;
    unsigned high = m->table[t].count;
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (id_of(row_at(m, t, mid)) < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static uint8_t *find(const struct memory *m, enum table_id t, int64_t id)
{
    unsigned i = lower_bound(m, t, id);
    return i < m->table[t].count && id_of(row_at(m, t, i)) == id ? row_at(m, t, i) : NULL;
}

static int memory_get(void *conn, enum table_id t, int64_t id, void *row)
{
    struct memory *m = conn;
    (void)pthread_mutex_lock(&m->lock);
    const uint8_t *found = find(m, t, id);
    if (found != NULL) {
        memcpy(row, found, tables[t].row_size);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return found != NULL ? SF_OK : SF_ERR_NOTFOUND;
}

/* Insertion into a sorted list that keeps the first `max`: stable, and short for what tests use. */
static unsigned insert_sorted(const void **list, unsigned count, unsigned max, const void *row,
                              int (*order)(const void *, const void *))
{
    unsigned at = count;
    while (at > 0 && order != NULL && order(list[at - 1], row) > 0) {
        at--;
    }
    if (at == max) {
        return count;
    }
    unsigned move = (count < max ? count : max - 1) - at;
    memmove(&list[at + 1], &list[at], move * sizeof list[0]);
    list[at] = row;
    return count < max ? count + 1 : max;
}

static int memory_select(void *conn, const struct selection *what, void *rows, unsigned max)
{
    struct memory *m = conn;
    const struct query *query = query_find(what->query);
    const void *list[STORE_PAGE_MAX];
    unsigned count = 0;
    if (max == 0 || max > STORE_PAGE_MAX) {
        return max == 0 ? 0 : SF_ERR_RANGE;
    }
    (void)pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->table[query->table].count; i++) {
        const uint8_t *row = row_at(m, query->table, i);
        if (query->match(row, what->args, m)) {
            count = insert_sorted(list, count, max, row, query->order);
        }
    }
    size_t size = tables[query->table].row_size;
    for (unsigned i = 0; i < count; i++) {
        memcpy((uint8_t *)rows + i * size, list[i], size);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return (int)count;
}

/* ---- constraints ---- */

static int columns_equal(const struct column *c, const uint8_t *a, const uint8_t *b)
{
    if (c->type == COL_TEXT) {
        return strcmp((const char *)a + c->offset, (const char *)b + c->offset) == 0;
    }
    return memcmp(a + c->offset, b + c->offset, c->size) == 0;
}

static int same_key(const struct table *table, const uint8_t *key, const uint8_t *a,
                    const uint8_t *b)
{
    for (; *key != 0; key++) {
        if (!columns_equal(&table->column[*key], a, b)) {
            return 0;
        }
    }
    return 1;
}

/* At most one active deployment of a device: the schema's partial index. */
static int both_active(const uint8_t *a, const uint8_t *b)
{
    const struct deployment *x = (const void *)a;
    const struct deployment *y = (const void *)b;
    return deployment_active(x->state) && deployment_active(y->state) &&
           x->device_row == y->device_row;
}

static int check_unique(const struct memory *m, enum table_id t, const uint8_t *row)
{
    const struct table *table = &tables[t];
    for (unsigned i = 0; i < m->table[t].count; i++) {
        const uint8_t *other = row_at(m, t, i);
        if (id_of(other) == id_of(row)) {
            continue;
        }
        for (unsigned u = 0; u < UNIQUE_MAX && table->unique[u][0] != 0; u++) {
            if (same_key(table, table->unique[u], row, other)) {
                return SF_ERR_EXISTS;
            }
        }
        if (t == T_DEPLOYMENT && both_active(row, other)) {
            return SF_ERR_EXISTS;
        }
    }
    return SF_OK;
}

static int check_references(const struct memory *m, enum table_id t, const uint8_t *row)
{
    for (unsigned i = 0; i < tables[t].column_count; i++) {
        const struct column *c = &tables[t].column[i];
        if (c->references == NO_TABLE) {
            continue;
        }
        int64_t id = id_of(row + c->offset);
        int none = id == 0 && (c->flags & COL_OPTIONAL) != 0;
        if (!none && find(m, (enum table_id)c->references, id) == NULL) {
            return SF_ERR_NOTFOUND;
        }
    }
    return SF_OK;
}

/* 1 if some row still refers to this one. */
static int is_referenced(const struct memory *m, enum table_id target, int64_t id)
{
    for (unsigned t = 0; t < T_COUNT; t++) {
        for (unsigned i = 0; i < tables[t].column_count; i++) {
            const struct column *c = &tables[t].column[i];
            for (unsigned k = 0; c->references == (int)target && k < m->table[t].count; k++) {
                if (id_of(row_at(m, (enum table_id)t, k) + c->offset) == id) {
                    return 1;
                }
            }
        }
    }
    return 0;
}

/* ---- writing ---- */

static int grow(struct rows *t, size_t row_size)
{
    if (t->count < t->room) {
        return SF_OK;
    }
    unsigned room = t->room == 0 ? 16 : t->room * 2;
    uint8_t *data = realloc(t->data, room * row_size);
    if (data == NULL) {
        return SF_ERR_NOMEM;
    }
    t->data = data;
    t->room = room;
    return SF_OK;
}

/* Puts a row where its id belongs; there is none with that id. */
static int place(struct memory *m, enum table_id t, const void *row)
{
    struct rows *rows = &m->table[t];
    size_t size = tables[t].row_size;
    int err = grow(rows, size);
    if (err < 0) {
        return err;
    }
    unsigned at = lower_bound(m, t, id_of(row));
    memmove(rows->data + (at + 1) * size, rows->data + at * size, (rows->count - at) * size);
    memcpy(rows->data + at * size, row, size);
    rows->count++;
    rows->last_id = id_of(row) > rows->last_id ? id_of(row) : rows->last_id;
    return SF_OK;
}

static int check(const struct memory *m, enum table_id t, const void *row)
{
    int err = check_unique(m, t, row);
    return err < 0 ? err : check_references(m, t, row);
}

static int memory_insert(void *conn, enum table_id t, void *row)
{
    struct memory *m = conn;
    int64_t id = id_of(row);
    if (id != 0 && find(m, t, id) != NULL) {
        return SF_ERR_EXISTS;
    }
    int err = check(m, t, row);
    if (err == SF_OK) {
        if (id == 0) {
            id = m->table[t].last_id + 1;
            memcpy(row, &id, sizeof id);
        }
        err = place(m, t, row);
    }
    return err;
}

static int memory_update(void *conn, enum table_id t, const void *row)
{
    struct memory *m = conn;
    uint8_t *found = find(m, t, id_of(row));
    if (found == NULL) {
        return SF_ERR_NOTFOUND;
    }
    int err = check(m, t, row);
    if (err == SF_OK) {
        memcpy(found, row, tables[t].row_size);
    }
    return err;
}

static int memory_put(void *conn, enum table_id t, const void *row)
{
    struct memory *m = conn;
    uint8_t *found = find(m, t, id_of(row));
    if (found == NULL) {
        return place(m, t, row);
    }
    memcpy(found, row, tables[t].row_size);
    return SF_OK;
}

static int memory_remove(void *conn, enum table_id t, int64_t id)
{
    struct memory *m = conn;
    uint8_t *found = find(m, t, id);
    if (found == NULL) {
        return SF_ERR_NOTFOUND;
    }
    if (is_referenced(m, t, id)) {
        return SF_ERR_NOTFOUND; /* what the schema's foreign keys answer */
    }
    size_t size = tables[t].row_size;
    unsigned at = (unsigned)((size_t)(found - m->table[t].data) / size);
    memmove(found, found + size, (m->table[t].count - at - 1) * size);
    m->table[t].count--;
    return SF_OK;
}

static int memory_counts(void *conn, struct store_counts *out)
{
    struct memory *m = conn;
    memset(out, 0, sizeof *out);
    (void)pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->table[T_DEVICE].count; i++) {
        const struct device *d = (const void *)row_at(m, T_DEVICE, i);
        out->devices[d->state & 3]++;
    }
    for (unsigned i = 0; i < m->table[T_DEPLOYMENT].count; i++) {
        const struct deployment *d = (const void *)row_at(m, T_DEPLOYMENT, i);
        out->deployments[d->state < DEPLOYMENT_STATE_COUNT ? d->state : 0]++;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return SF_OK;
}

/* ---- transactions: jobs run one by one, so the savepoint is the transaction ---- */

static int copy_all(struct rows *to, const struct rows *from)
{
    release_all(to);
    for (unsigned t = 0; t < T_COUNT; t++) {
        size_t bytes = (size_t)from[t].count * tables[t].row_size;
        to[t] = from[t];
        to[t].room = from[t].count;
        to[t].data = NULL;
        if (bytes > 0) {
            to[t].data = malloc(bytes);
            if (to[t].data == NULL) {
                to[t].count = 0;
                return SF_ERR_NOMEM;
            }
            memcpy(to[t].data, from[t].data, bytes);
        }
    }
    return SF_OK;
}

static int memory_savepoint(void *conn)
{
    struct memory *m = conn;
    return copy_all(m->saved, m->table);
}

static int memory_release(void *conn)
{
    release_all(((struct memory *)conn)->saved);
    return SF_OK;
}

static int memory_rollback_to(void *conn)
{
    struct memory *m = conn;
    release_all(m->table);
    memcpy(m->table, m->saved, sizeof m->table);
    memset(m->saved, 0, sizeof m->saved);
    return SF_OK;
}

static int memory_begin(void *conn)
{
    struct memory *m = conn;
    (void)pthread_mutex_lock(&m->lock);
    m->transaction = 1;
    return SF_OK;
}

static void memory_rollback(void *conn)
{
    struct memory *m = conn;
    m->transaction = 0;
    (void)pthread_mutex_unlock(&m->lock);
}

static int memory_commit(void *conn)
{
    memory_rollback(conn); /* nothing is held back until here */
    return SF_OK;
}

static int memory_in_transaction(void *conn)
{
    return ((struct memory *)conn)->transaction;
}

static int memory_snapshot(void *conn)
{
    (void)conn;
    return SF_OK;
}

static void memory_snapshot_end(void *conn)
{
    (void)conn;
}

const struct backend memory_backend = {
    .get = memory_get,
    .select = memory_select,
    .insert = memory_insert,
    .update = memory_update,
    .put = memory_put,
    .remove = memory_remove,
    .counts = memory_counts,
    .snapshot = memory_snapshot,
    .snapshot_end = memory_snapshot_end,
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    .savepoint = memory_savepoint,
    .release = memory_release,
    .rollback_to = memory_rollback_to,
    .in_transaction = memory_in_transaction,
};
