#ifndef POWERCUT_SERVER_H
#define POWERCUT_SERVER_H

#include "device/engine.h"
#include "sim/powercut/kit.h"

/* A server of a few lines in the same process: real statuses, manifests and ranges, and what a
 * network can do to each of them. Plain data but for pointers into the kit: a copy of it is the
 * same server at the same moment. */

enum net_kind {
    NET_GOOD,
    NET_REFUSED,   /* no connection */
    NET_CLOSE,     /* closed after `at` bytes of the body */
    NET_STALL,     /* nothing more after `at` bytes */
    NET_TRUNCATE,  /* ends as if complete after `at` bytes */
    NET_RANGE,     /* another range than was asked for */
    NET_CHANGED,   /* another file, with another ETag */
    NET_DUPLICATE, /* the bytes before `at` once more */
    NET_CORRUPT,   /* the byte at `at` is another one */
    NET_PORTAL,    /* 200 and HTML */
    NET_BUSY,      /* 503, come back later */
    NET_REDIRECT,  /* 302 */
    NET_FORGED,    /* another image that boots, as long as the new one, in its place */
    NET_NONCE,     /* a status that answers another request, */
    NET_DEVICE,    /* or another device, */
    NET_UNSIGNED,  /* or whose signature is wrong; each with a counter that gives it away */
    NET_COUNT,
};

enum { NET_FAULT_MAX = 4, SERVER_ANSWER_MAX = 2048, SERVER_OUTCOMES = 16 };

struct net_fault {
    enum net_kind kind;
    uint32_t message; /* 0-based, counted since the server came up */
    uint32_t at;      /* byte of the body, modulo its length */
};

struct server {
    struct kit *kit;
    enum kit_signing signing;
    enum kit_image target; /* KIT_NO_IMAGE = stay */
    uint8_t action;
    uint64_t counter;
    int64_t time;
    uint32_t root_version; /* of the newest trust root; 0 = there is none */
    unsigned fault_count;
    struct net_fault fault[NET_FAULT_MAX];
    uint32_t messages;
    uint32_t checkins;
    uint32_t enrolments;
    uint32_t downloads;
    struct sf_checkin last;
    unsigned outcome_count; /* as reported, repetitions left out; the last ones are kept */
    struct sf_outcome outcome[SERVER_OUTCOMES];
};

struct reply {
    int refused; /* < 0: no head at all */
    struct sf_response_head head;
    const uint8_t *body;
    size_t body_len;   /* that is sent */
    size_t repeat_at;  /* > 0: once this many bytes are sent, they are sent again from the start */
    size_t corrupt_at; /* SIZE_MAX = none */
    int end;           /* how the connection ends */
    int stalls;        /* or it does not */
    int is_checkin;    /* server.last is what was asked */
    char etag[SF_SHA256_SIZE * 2 + 3];
    uint8_t bytes[SERVER_ANSWER_MAX];
};

void server_init(struct server *s, struct kit *kit);

/* Wants `which` from now on, under a new counter. */
void server_want(struct server *s, enum kit_image which, enum sf_status_action action);

/* SF_OK, or the error of a request that no server would understand. */
int server_answer(struct server *s, const struct sf_request *request, struct reply *out)
    __attribute__((warn_unused_result));

/* The last outcome told of that counter; NULL if none was. */
const struct sf_outcome *server_outcome(const struct server *s, uint64_t counter);

const char *net_name(enum net_kind kind);

#endif
