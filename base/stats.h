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

#define STATS_MAP(X)                                                              \
    X(accepted, "connections accepted")                                           \
    X(shed, "connections closed at accept, over a limit")                         \
    X(limited, "of these, over what one address may have")                        \
    X(shed_seconds, "seconds in which somebody was turned away for overload")     \
    X(throttled, "requests answered 429")                                         \
    X(wrong_credentials, "requests with an unknown, wrong or revoked credential") \
    X(handshakes, "TLS handshakes completed")                                     \
    X(handshakes_resumed, "TLS handshakes by resumption")                         \
    X(handshakes_failed, "TLS handshakes failed or timed out")                    \
    X(refused, "requests refused before a route was known")                       \
    X(timeouts, "connections closed by a deadline")                               \
    X(bytes_in, "body bytes received")                                            \
    X(bytes_out, "body bytes handed to connections")

struct stats {
#define X(name, help) atomic_uint_least64_t name;
    STATS_MAP(X)
#undef X
    atomic_int_least64_t connections; /* open now */
    atomic_int_least64_t exchanges;   /* running now */
    atomic_int_least64_t shed_at_s;   /* the last of shed_seconds; of the monotonic clock */
    atomic_uint_least32_t shed_new_s; /* of shed_seconds, not yet taken */
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

/* Somebody was turned away because the whole server had too much to do: counts the second `mono_s`,
 * once. stats_take_shed() gives the seconds since it was last called. Any thread. */
void stats_overload(struct stats *s, int64_t mono_s);
uint32_t stats_take_shed(struct stats *s);

void stats_read(struct stats *s, struct stats_snapshot *out);

#endif
