#ifndef NET_H
#define NET_H

#include <stddef.h>
#include <stdint.h>

#include "device/engine.h"

/* The network of virtual devices: HTTP/1.1 over TLS, thousands of requests at once on one libcurl
 * multi handle and one thread. What a device's port does with one socket, net does for all.
 *
 * Each request has a connection of its own, as devices have: none is shared between devices, no
 * redirect is followed, no proxy used, no body decoded. Time limits are the caller's: it watches
 * sf_engine_request_check() and cancels. */

enum {
    NET_HEADER_MAX = 2048, /* bytes of a response's header; more is SF_ERR_TOO_LARGE */
    NET_ETAG_MAX = 80,
};

/* Where a response goes. None is called before net_start() has returned. */
struct net_sink {
    /* Once. < 0 ends the request with that error. */
    int (*head)(void *ctx, const struct sf_response_head *head);
    /* Returns how many bytes it took (> 0); the rest is offered again. < 0 as above. */
    int32_t (*body)(void *ctx, const uint8_t *data, size_t len);
    /* The request is over; the transfer may be started again from within. SF_OK, what head or body
     * returned, or DNS, CONNECT, TLS_CERT, TLS_TIME, TLS, NET_MEMORY, CLOSED, TOO_LARGE, FORMAT,
     * IO. */
    void (*end)(void *ctx, int err);
};

struct net_options {
    const char *server; /* "https://host:port", or with a path; kept by reference */
    const char *cacert; /* PEM file that alone is trusted; NULL = the system's store */
};

/* One request's memory; all zeros before its first net_start(). */
struct net_transfer {
    void *easy; /* CURL *; NULL = none is running */
    struct curl_slist *headers;
    const struct net_sink *sink;
    void *ctx;
    size_t header_bytes;
    int head_told;
    int err; /* of the sink */
};

struct net {
    struct net_options options;
    void *multi; /* CURLM * */
    int epoll_fd;
    int64_t timer_at_ms;     /* when curl wants to be called, by sf_host_now_ms(); -1 = never */
    unsigned running;        /* transfers */
    uint64_t received_bytes; /* of bodies, in total */
};

/* The program must ignore SIGPIPE. Errors: NET_MEMORY, IO (see errno). */
int net_open(struct net *n, const struct net_options *options) __attribute__((warn_unused_result));
/* Every transfer must have ended or been cancelled. */
void net_close(struct net *n);

/* Begins a request to the configured server. Its strings may go once this returns, its body stays
 * valid until head or end. Errors: STATE (the transfer is running), UNSUPPORTED (another origin
 * than the server: net knows no mirrors), RANGE (the path is too long), NET_MEMORY. */
int net_start(struct net *n, struct net_transfer *t, const struct sf_request *request,
              const struct net_sink *sink, void *ctx) __attribute__((warn_unused_result));

/* Drops a running transfer without a word to its sink; nothing if none is running. Not from within
 * head or body. */
void net_cancel(struct net *n, struct net_transfer *t);

/* Waits until something happens, at most `timeout_ms`, and serves it. */
int net_run(struct net *n, int timeout_ms) __attribute__((warn_unused_result));

#endif
