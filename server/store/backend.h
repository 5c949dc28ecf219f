#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include "server/store/store.h"

/* Inside the store: tables and queries as data, and the few operations a backend must offer on
 * them. A table is a struct and a list of its columns; a query is the tail of a SELECT for SQL
 * backends and, beside it, the same condition in C for the memory backend. Everything else is
 * written once, above this. */

enum table_id {
    T_META,
    T_API_TOKEN,
    T_PRODUCT,
    T_CLASS,
    T_ENROL_TOKEN,
    T_RELEASE,
    T_ARTIFACT,
    T_MANIFEST,
    T_DEVICE,
    T_SEEN,
    T_DEPLOYMENT,
    T_HISTORY,
    T_AUDIT,
    T_UPTIME,
    T_PLAIN_TOKEN,
    T_ROOT,
    T_COUNT,
};

enum column_type {
    COL_I64,
    COL_U64, /* kept as the signed number with the same bits */
    COL_I32,
    COL_U32,
    COL_TEXT, /* char[size] */
    COL_BLOB, /* uint8_t[size], always whole */
    COL_VAR,  /* uint8_t[size], its length in the uint32_t right before it */
};

enum column_flag {
    COL_OPTIONAL = 1 << 0, /* 0 or all zeros is stored as NULL */
    COL_KEY = 1 << 1,      /* in an index: written only when it changes */
};

enum { COLUMN_MAX = 44, UNIQUE_MAX = 2, NO_TABLE = -1 };

struct column {
    const char *name;
    enum column_type type;
    unsigned flags;
    unsigned offset;
    unsigned size;
    int references; /* enum table_id or NO_TABLE */
};

struct table {
    const char *name;
    const struct column *column; /* the first is the id, COL_I64 */
    unsigned column_count;
    unsigned row_size;
    /* columns that are unique together, by index, ended by 0; { 0 } = no more */
    uint8_t unique[UNIQUE_MAX][3];
};
extern const struct table tables[T_COUNT];

struct meta_row {
    int64_t id;
    char key[STORE_ACTION_MAX + 1];
    char value[STORE_VALUE_MAX + 1];
};

/* ---- queries ---- */

enum { ARG_MAX_COUNT = 6, DEVICE_LIST_VARIANTS = 16 };

/* Q_DEVICES + any sum of these: which filters are on. */
enum { BY_PRODUCT = 1, BY_STATE = 2, BY_VERSION = 4, BY_PREFIX = 8 };

enum query_id {
    Q_META_KEY,
    Q_TOKEN_DIGEST,
    Q_TOKENS,
    Q_PRODUCT_NAME,
    Q_PRODUCTS,
    Q_CLASS_UUID,
    Q_CLASSES,
    Q_ENROL_TOKEN_DIGEST,
    Q_ENROL_TOKENS,
    Q_ENROL_TOKENS_EXPIRED,
    Q_RELEASE_VERSION,
    Q_RELEASES,
    Q_RELEASE_TOP_SECURE,
    Q_MANIFEST_CLASS,
    Q_MANIFESTS,
    Q_MANIFEST_IMAGE,
    Q_ARTIFACT_DIGEST,
    Q_ARTIFACTS,
    Q_ARTIFACTS_UNUSED,
    Q_DEVICE_ID,
    Q_DEVICES_REVOKED,
    Q_DEPLOYMENT_LATEST,
    Q_DEPLOYMENTS,
    Q_DEPLOYMENTS_DUE,
    Q_DEPLOYMENTS_AFTER,
    Q_HISTORY,
    Q_HISTORY_OLDEST,
    Q_AUDIT,
    Q_AUDIT_WHO,
    Q_AUDIT_OLDEST,
    Q_UPTIME,
    Q_PLAIN_TOKEN_DIGEST,
    Q_PLAIN_TOKENS,
    Q_PLAIN_TOKENS_EXPIRED,
    Q_ROOT_LATEST,
    Q_ROOTS,
    Q_DEVICES, /* DEVICE_LIST_VARIANTS of them */
    Q_COUNT = Q_DEVICES + DEVICE_LIST_VARIANTS,
};

struct arg {
    enum { ARG_INT, ARG_TEXT, ARG_BLOB } type;
    unsigned len; /* of a blob */
    int64_t number;
    const void *data;
};

static inline struct arg arg_int(int64_t number)
{
    return (struct arg){.type = ARG_INT, .number = number};
}
static inline struct arg arg_text(const char *text)
{
    return (struct arg){.type = ARG_TEXT, .data = text};
}
static inline struct arg arg_blob(const void *data, unsigned len)
{
    return (struct arg){.type = ARG_BLOB, .len = len, .data = data};
}

/* A query with its arguments. */
struct selection {
    enum query_id query;
    const struct arg *args;
    unsigned arg_count;
};
#define SELECT(query, args, arg_count) (&(struct selection){(query), (args), (arg_count)})

struct memory; /* the memory backend, for conditions that look at a second table */

struct query {
    enum table_id table;
    const char *tail; /* "WHERE ... ORDER BY ..."; LIMIT is appended */
    int (*match)(const void *row, const struct arg *a, const struct memory *m);
    int (*order)(const void *a, const void *b); /* NULL = by id */
};
const struct query *query_find(enum query_id q);

/* The tail of one of the device lists, written to `out`. Arguments in this order, those that are
 * on: after_id, product, state, version, prefix, prefix end. */
enum { QUERY_TAIL_SIZE = 256 };
const char *query_tail(enum query_id q, char out[QUERY_TAIL_SIZE]);

/* ---- what a backend does ---- */

struct backend {
    int (*get)(void *conn, enum table_id t, int64_t id, void *row);
    /* Number of rows, at most max. */
    int (*select)(void *conn, const struct selection *what, void *rows, unsigned max);
    int (*insert)(void *conn, enum table_id t, void *row); /* id 0 = a new one, set in the row */
    int (*update)(void *conn, enum table_id t, const void *row);
    int (*put)(void *conn, enum table_id t, const void *row); /* insert or replace by id */
    int (*remove)(void *conn, enum table_id t, int64_t id);
    int (*counts)(void *conn, struct store_counts *out);
    /* One moment for several reads; no effect inside a job. */
    int (*snapshot)(void *conn);
    void (*snapshot_end)(void *conn);
    /* Transactions of the writer. */
    int (*begin)(void *conn);
    int (*commit)(void *conn);
    void (*rollback)(void *conn);
    int (*savepoint)(void *conn);
    int (*release)(void *conn);        /* keeps what came after the savepoint */
    int (*rollback_to)(void *conn);    /* and releases */
    int (*in_transaction)(void *conn); /* 0: an error has rolled back everything */
};
extern const struct backend sqlite_backend;
extern const struct backend memory_backend;

struct store_reader {
    const struct backend *backend;
    void *conn;
    struct store *store;
};

struct store_tx {
    struct store_reader reader;
};

/* ---- opening (sqlite_open.c, memory.c) ---- */

struct sqlite_files; /* lock file and folder */
struct sqlite_files *sqlite_open_folder(const char *folder, int *err, char *why);
void sqlite_close_folder(struct sqlite_files *f);
/* The first connection migrates. */
void *sqlite_open_writer(struct sqlite_files *f, unsigned busy_timeout_ms, int64_t now, int *err,
                         char *why);
void *sqlite_open_reader(struct sqlite_files *f, unsigned busy_timeout_ms, int *err, char *why);
void sqlite_close(void *conn);

struct memory *memory_open(void);
void memory_close(struct memory *m);
unsigned memory_rows(const struct memory *m, enum table_id t, const void **rows);

/* ---- shorthands ---- */

static inline int get_row(struct store_reader *r, enum table_id t, int64_t id, void *row)
{
    return r->backend->get(r->conn, t, id, row);
}

static inline int select_rows(struct store_reader *r, const struct selection *what, void *rows,
                              unsigned max)
{
    return r->backend->select(r->conn, what, rows, max < STORE_PAGE_MAX ? max : STORE_PAGE_MAX);
}

/* The first row: SF_OK or NOTFOUND. */
int select_one(struct store_reader *r, const struct selection *what, void *row)
    __attribute__((warn_unused_result));

static inline int insert_row(struct store_tx *tx, enum table_id t, void *row)
{
    return tx->reader.backend->insert(tx->reader.conn, t, row);
}

static inline int update_row(struct store_tx *tx, enum table_id t, const void *row)
{
    return tx->reader.backend->update(tx->reader.conn, t, row);
}

static inline int remove_row(struct store_tx *tx, enum table_id t, int64_t id)
{
    return tx->reader.backend->remove(tx->reader.conn, t, id);
}

/* ---- shared between the store's own files ---- */

/* The number of the next order. */
int store_next_gen(struct store_tx *tx, int64_t *gen) STORE_USE;
/* May the product run this release? NOTFOUND, CLASS, STATE (withdrawn). */
int store_check_target(struct store_tx *tx, int64_t product_id, int64_t release_id,
                       struct release *out) STORE_USE;
int store_history_add(struct store_tx *tx, int64_t device_row, const struct event *event,
                      int64_t now) STORE_USE;

/* 1 if a poll that is not flushed yet is in memory; copies it. */
int seen_pending(struct store *s, int64_t device_row, struct device_seen *out);

#endif
