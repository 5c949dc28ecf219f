#ifndef STATS_H
#define STATS_H

#include <stdatomic.h>
#include <stdint.h>

/* Counters of the HTTP server since its start, for /metrics. http/ adds, anybody may take a
 * snapshot at any time; the numbers of one snapshot need not be of one instant. */

enum {
    STATS_ROUTE_MAX = 96, /* routes; requests without a route count at index STATS_ROUTE_MAX */
    STATS_CLASSES = 5,    /* of status codes: 1xx to 5xx */
};

#define STATS_MAP(X)                                           \
    X(accepted, "connections accepted")                        \
    X(shed, "connections closed at accept, over a limit")      \
    X(handshakes, "TLS handshakes completed")                  \
    X(handshakes_resumed, "TLS handshakes by resumption")      \
    X(handshakes_failed, "TLS handshakes failed or timed out") \
    X(refused, "requests refused before a route was known")    \
    X(timeouts, "connections closed by a deadline")            \
    X(bytes_in, "body bytes received")                         \
    X(bytes_out, "body bytes handed to connections")

struct stats {
#define X(name, help) atomic_uint_least64_t name;
    STATS_MAP(X)
#undef X
    atomic_int_least64_t connections; /* open now */
    atomic_int_least64_t exchanges;   /* running now */
    /* by index in the route table and first digit of the status */
    atomic_uint_least64_t route[STATS_ROUTE_MAX + 1][STATS_CLASSES];
};

struct stats_snapshot {
#define X(name, help) uint64_t name;
    STATS_MAP(X)
#undef X
    int64_t connections;
    int64_t exchanges;
    uint64_t route[STATS_ROUTE_MAX + 1][STATS_CLASSES];
};

#define STATS_ADD(counter, n) \
    atomic_fetch_add_explicit(&(counter), (uint_least64_t)(n), memory_order_relaxed)

void stats_init(struct stats *s);
void stats_count_answer(struct stats *s, unsigned route_index, int status);
void stats_read(struct stats *s, struct stats_snapshot *out);

#endif
