/* Who calls, and what that allows.
 *
 * Invariants
 *  1. A credential is looked up or compared by its SHA-256, the device's in constant time.
 *  2. Unknown, wrong and revoked are answered alike, so nothing can be probed.
 *  3. The credential is looked at before any limit: a good one is served whatever else came from
 *     its address (limits.h). */
#include "server/protocols/auth.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "server/protocols/common.h"
#include "server/protocols/plain.h"
#include "server/protocols/text.h"

enum { FIRST_TOKEN_DAYS = 365, SECRET_TEXT_MAX = 128, TOKEN_PAGE = 64 };

const struct scope scopes[SCOPE_COUNT] = {
    {"viewer", ROLE_VIEWER},
    {"publisher", ROLE_VIEWER | ROLE_PUBLISHER},
    {"operator", ROLE_VIEWER | ROLE_OPERATOR},
    {"approver", ROLE_VIEWER | ROLE_APPROVER},
    {"admin", ROLE_VIEWER | ROLE_PUBLISHER | ROLE_OPERATOR | ROLE_APPROVER | ROLE_ADMIN},
};

const struct scope *scope_find(const char *name)
{
    for (unsigned i = 0; i < SCOPE_COUNT; i++) {
        if (strcmp(scopes[i].name, name) == 0) {
            return &scopes[i];
        }
    }
    return NULL;
}

const char *scope_name(unsigned roles)
{
    for (unsigned i = 0; i < SCOPE_COUNT; i++) {
        if (scopes[i].roles == roles) {
            return scopes[i].name;
        }
    }
    return "custom";
}

int token_usable(const struct api_token *token, int64_t now)
{
    return token->revoked_at == 0 && (token->expires_at == 0 || now < token->expires_at);
}

static int answer_401(struct exchange *x, const char *message)
{
    answer_header(x, "WWW-Authenticate", "Bearer");
    exchange_fail(x, 401, "unauthorized", "%s", message);
    return EXCHANGE_ANSWERED;
}

int may_be_wrong(struct exchange *x, struct protocols *p)
{
    STATS_ADD(p->stats->wrong_credentials, 1);
    if (x->address == 0 || limits_allow(&p->limits.wrong, x->address, p->now(), x,
                                        "too many wrong credentials came from this address")) {
        return 1;
    }
    return 0;
}

static int answer_wrong(struct exchange *x, struct protocols *p, const char *message)
{
    return may_be_wrong(x, p) ? answer_401(x, message) : EXCHANGE_ANSWERED;
}

/* 0, or EXCHANGE_ANSWERED with 429 when the credential asks too often. */
static int limit_requests(struct exchange *x, struct protocols *p)
{
    const int device = (x->roles & ROLE_DEVICE) != 0;
    struct limit *l = device ? &p->limits.devices : &p->limits.tokens;
    if (x->address == 0 ||
        limits_allow(l, (uint64_t)x->who_id, p->now(), x,
                     device ? "this device asks too often" : "this API token asks too often")) {
        return 0;
    }
    return EXCHANGE_ANSWERED;
}

static int authorise_token(struct exchange *x, struct protocols *p, const char *secret)
{
    uint8_t digest[SF_SHA256_SIZE];
    struct api_token token;
    size_t len = strnlen(secret, SECRET_TEXT_MAX + 1);
    int err = len > SECRET_TEXT_MAX ? SF_ERR_NOTFOUND : sf_sha256(p->crypto, secret, len, digest);
    if (err == SF_OK) {
        err = store_token_find(reader_of(x, p), digest, &token);
    }
    if (err == SF_ERR_NOTFOUND || (err == SF_OK && !token_usable(&token, p->now()))) {
        return answer_wrong(
            x, p,
            "this API token is unknown, revoked or expired: an administrator makes another "
            "(`surefoot token new NAME --scope SCOPE`), `surefoot login` stores it");
    }
    x->who = err == SF_OK ? arena_strdup(x->arena, token.name) : NULL;
    if (x->who == NULL) {
        answer_store_error(x, err == SF_OK ? SF_ERR_NOMEM : err);
        return EXCHANGE_ANSWERED;
    }
    x->who_id = token.id;
    x->roles |= token.roles;
    return 0;
}

/* "<id>.<secret>": ids have no dot. */
static const char *split_credential(const char *bearer, char id[SF_DEVICE_ID_MAX + 1])
{
    const char *dot = strchr(bearer, '.');
    if (dot == NULL || dot == bearer || dot - bearer > SF_DEVICE_ID_MAX) {
        return NULL;
    }
    memcpy(id, bearer, (size_t)(dot - bearer));
    id[dot - bearer] = '\0';
    return sf_device_id_valid(id) ? dot + 1 : NULL;
}

static int authorise_device(struct exchange *x, struct protocols *p, const char *bearer)
{
    char id[SF_DEVICE_ID_MAX + 1];
    const char *secret = split_credential(bearer, id);
    size_t len = secret == NULL ? 0 : strnlen(secret, SECRET_TEXT_MAX + 1);
    struct device_login *login = arena_alloc(x->arena, sizeof(*login));
    int err = login == NULL ? SF_ERR_NOMEM : SF_ERR_UNAUTHORIZED;
    if (login != NULL && len > 0 && len <= SECRET_TEXT_MAX) {
        err = sf_sha256(p->crypto, secret, len, login->secret_digest);
        if (err == SF_OK) {
            err = store_device_view(reader_of(x, p), id, &login->view);
        }
        if (err == SF_OK) {
            err = device_authenticate(&login->view.device, login->secret_digest);
        }
    }
    switch (err) {
    case SF_OK:
        x->who = login->view.device.id;
        x->who_id = login->view.device.row;
        x->roles |= ROLE_DEVICE;
        x->handler_data = login;
        return 0;
    case SF_ERR_QUARANTINED:
        exchange_fail(x, 403, "quarantined",
                      "this credential waits until an operator approves the device");
        return EXCHANGE_ANSWERED;
    case SF_ERR_UNAUTHORIZED:
    case SF_ERR_NOTFOUND:
        return answer_wrong(x, p, "this device credential is unknown or revoked");
    default:
        answer_store_error(x, err);
        return EXCHANGE_ANSWERED;
    }
}

/* Says which scopes would do. */
static int answer_403(struct exchange *x, unsigned wanted)
{
    char list[80] = "";
    const char *first = NULL;
    for (unsigned i = 0; i < SCOPE_COUNT; i++) {
        if ((scopes[i].roles & wanted) != 0) {
            size_t have = strlen(list);
            (void)snprintf(list + have, sizeof(list) - have, "%s%s", first == NULL ? "" : " or ",
                           scopes[i].name);
            first = first == NULL ? scopes[i].name : first;
        }
    }
    const char *has = scope_name(x->roles & ~(unsigned)ROLE_ANYONE);
    if (first == NULL) {
        exchange_fail(x, 403, "forbidden", "token '%s' of scope %s may not do this", x->who, has);
    } else {
        exchange_fail(x, 403, "forbidden",
                      "token '%s' of scope %s may not do this, it takes scope %s: an administrator "
                      "makes such a token (`surefoot token new NAME --scope %s`)",
                      x->who, has, list, first);
    }
    return EXCHANGE_ANSWERED;
}

int protocols_authorise(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    unsigned wanted = x->route->roles;
    if ((wanted & ROLE_ANYONE) != 0) {
        return 0;
    }
    if ((wanted & ROLE_PLAIN) != 0) {
        return plain_authorise(x, p);
    }
    const char *secret = text_bearer(exchange_header(x, "authorization"));
    if (secret == NULL) {
        return answer_401(x, "this needs a credential: Authorization: Bearer <token>");
    }
    int result = (wanted & ROLE_DEVICE) != 0 ? authorise_device(x, p, secret)
                                             : authorise_token(x, p, secret);
    if (result == 0 && (x->roles & wanted) == 0) {
        return answer_403(x, wanted);
    }
    return result == 0 ? limit_requests(x, p) : result;
}

/* Whether somebody can log in as administrator. */
static int has_admin(struct store_reader *r, int64_t now)
{
    struct api_token page[TOKEN_PAGE];
    int64_t after = 0;
    int count = 0;
    do {
        count = store_token_list(r, after, page, TOKEN_PAGE);
        for (int i = 0; i < count; i++) {
            if (token_usable(&page[i], now) && (page[i].roles & ROLE_ADMIN) != 0) {
                return 1;
            }
            after = page[i].id;
        }
    } while (count == TOKEN_PAGE);
    return count < 0 ? count : 0;
}

static int add_first(struct store_tx *tx, void *arg)
{
    struct api_token *token = arg;
    int err = store_token_add(tx, token);
    if (err == SF_ERR_EXISTS) { /* an earlier one has expired or was revoked */
        (void)snprintf(token->name, sizeof(token->name), "admin-%lld",
                       (long long)token->created_at);
        err = store_token_add(tx, token);
    }
    if (err < 0) {
        return err;
    }
    struct audit_row audit = {
        .at = token->created_at, .who = "surefootd", .action = "token.create"};
    (void)snprintf(audit.object, sizeof(audit.object), "%s", token->name);
    return store_audit_add(tx, &audit);
}

int protocols_needs_admin(struct protocols *p)
{
    int has = has_admin(store_reader(p->store, 0), p->now());
    return has < 0 ? has : !has;
}

int protocols_make_token(struct protocols *p, char text[PROTOCOLS_TOKEN_SIZE],
                         struct api_token *token)
{
    int64_t now = p->now();
    *token = (struct api_token){.name = "admin",
                                .roles = scopes[SCOPE_ADMIN].roles,
                                .created_at = now,
                                .expires_at = now + FIRST_TOKEN_DAYS * 86400LL};
    return secret_make(p->crypto, "sft_", text, token->digest);
}

int protocols_add_token(struct protocols *p, struct api_token *token)
{
    return store_run(p->store, add_first, token);
}
