#include "server/protocols/limits.h"

enum { MS_A_SECOND = 1000 };

static uint32_t choose(uint32_t wanted, uint32_t otherwise)
{
    return wanted > 0 ? wanted : otherwise;
}

void limits_init(struct limits *l, const struct protocols_limits *wanted)
{
    /* An update takes some ten changes; a device that reports something new each second, broken or
     * hostile, would fill the disk with its history. */
    limit_init(&l->changes, choose(wanted->changes, 64), choose(wanted->change_ms, 10000));
    /* A busy device asks every 10 s; one under test every second. */
    limit_init(&l->devices, choose(wanted->device_requests, 240), choose(wanted->device_ms, 500));
    /* Reading 1,000,000 devices takes 2,000 pages. */
    limit_init(&l->tokens, choose(wanted->token_requests, 2000), choose(wanted->token_ms, 20));
    /* Some forgotten devices with revoked credentials behind one NAT do not get there. */
    limit_init(&l->wrong, choose(wanted->wrong, 60), choose(wanted->wrong_ms, 5000));
    /* A plain client says who it is, so it could be anybody. */
    limit_init(&l->newcomers, choose(wanted->newcomers, 64), choose(wanted->newcomer_ms, 10000));
}

int limits_allow(struct limit *l, uint64_t key, int64_t now_unix_s, struct exchange *x,
                 const char *what)
{
    const uint32_t wait_ms = limit_take(l, key, now_unix_s * MS_A_SECOND);
    if (wait_ms == 0) {
        return 1;
    }
    const unsigned wait_s = wait_ms / MS_A_SECOND + (wait_ms % MS_A_SECOND != 0);
    const char *text = arena_printf(x->arena, "%u", wait_s);
    answer_header(x, "Retry-After", text == NULL ? "60" : text);
    answer_header(x, "Connection", "close"); /* it has nothing to do here meanwhile */
    exchange_fail(x, 429, "too_many_requests", "%s: try again in %u s", what, wait_s);
    return 0;
}
