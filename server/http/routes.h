#ifndef ROUTES_H
#define ROUTES_H

#include "base/exchange.h"

/* From a request target to a route: path segments, parameters, query. */

enum { ROUTES_SEGMENT_MAX = 12, ROUTES_ALLOW_SIZE = 64 };

struct routes {
    const struct route *route;
    unsigned count;
    const char *const *hosts; /* that an absolute-form target may name */
    unsigned host_count;
};

/* NULL, or one sentence about what is wrong with the table. `buffer` holds it. */
const char *routes_check(const struct routes *r, char *buffer, size_t size);

struct target {
    const char *segment[ROUTES_SEGMENT_MAX]; /* decoded */
    unsigned segments;
};

/* Decodes `raw` (in place) into the target, x->path and x->query. 0, or a status with a sentence in
 * *why: 400 for bad encodings, steps like '..', and other forms than origin-form and absolute-form;
 * 421 for the absolute-form of another server. */
int routes_target(const struct routes *r, struct exchange *x, char *raw, struct target *out,
                  const char **why) __attribute__((warn_unused_result));

/* Finds the route for x->method and fills x->route and x->param. Literal segments win over
 * parameters. 0; 404; or 405 with the allowed methods in `allow`. */
int routes_find(const struct routes *r, struct exchange *x, const struct target *t,
                char allow[ROUTES_ALLOW_SIZE]) __attribute__((warn_unused_result));

const char *routes_method_name(enum method method);

#endif
