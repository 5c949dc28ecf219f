#ifndef PROTOCOLS_PLAIN_H
#define PROTOCOLS_PLAIN_H

#include "server/protocols/protocols.h"

/* The plain endpoint, /ota/<product>/...: for devices that update with esp_https_ota, HTTPUpdate,
 * ESPHome and the like (docs/plain.md). */

struct plain_login {
    struct product product;
    char
        device_id[SF_DEVICE_ID_MAX + 1]; /* whose token it is, or the user of Basic; "" = unknown */
    const char *token;                   /* from the path, so that links go on with it; or NULL */
};

/* Who may use it: part of protocols_authorise() for routes of ROLE_PLAIN. Fills x->handler_data
 * with struct plain_login. */
int plain_authorise(struct exchange *x, struct protocols *p);

/* User and password of "Basic <base64>" (RFC 7617): 0, or -1 if it is none. The password is what
 * stands behind the first colon. */
enum { PLAIN_BASIC_MAX = 192 };
struct plain_basic {
    char text[PLAIN_BASIC_MAX + 1];
    const char *user;
    const char *password;
};
int plain_basic_decode(const char *authorization, struct plain_basic *out)
    __attribute__((warn_unused_result));

/* What the headers say. */
void plain_report_read(const struct exchange *x, struct plain_report *out);

/* Answers one sentence as text, padded as old clients need it, and finishes. */
void plain_answer_text(struct exchange *x, int status, const char *sentence);

#endif
