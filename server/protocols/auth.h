#ifndef PROTOCOLS_AUTH_H
#define PROTOCOLS_AUTH_H

#include "server/protocols/protocols.h"

/* Credentials: API tokens and device secrets, and what each may do. */

/* The scopes of API tokens and the role bits each stands for. */
struct scope {
    const char *name;
    unsigned roles;
};
enum { SCOPE_ADMIN = 4, SCOPE_COUNT = 5 };
extern const struct scope scopes[SCOPE_COUNT];

/* By name or by exactly these bits; NULL if there is none. */
const struct scope *scope_find(const char *name);
const char *scope_name(unsigned roles);

/* What the authorise hook leaves in exchange.handler_data for device routes; in the arena. */
struct device_login {
    struct device_view view;
    uint8_t secret_digest[SF_SHA256_SIZE];
};

/* Counts a wrong credential. 1 = answer it with 401; 0 after answering 429, when its address has
 * had too many of them. */
int may_be_wrong(struct exchange *x, struct protocols *p) __attribute__((warn_unused_result));

/* 1 if the token may be used at `now`, else 0. */
int token_usable(const struct api_token *token, int64_t now);

#endif
