/* How long the engine waits, and for how long it waits at most.
 *
 * 1. Every wait and every time from the configuration or the server is bounded here.
 * 2. Retries back off exponentially with full jitter: a fleet that lost its server comes back
 *    spread out. */
#include "device/steps.h"

enum {
    /* defaults, in surefoot.h's order */
    DEFAULT_INTERVAL_S = 60 * 60,
    DEFAULT_STALL_MS = 30 * 1000,
    DEFAULT_REQUEST_MS = 60 * 1000,
    DEFAULT_DOWNLOAD_MS = 4 * 60 * 60 * 1000,
    DEFAULT_TRIAL_MS = 30 * 60 * 1000,
    /* A server can neither silence a device for over a week nor have it poll without pause. */
    INTERVAL_MIN_S = 1,
    INTERVAL_MAX_S = 7 * 24 * 60 * 60,
    TIME_MAX_MS = 24 * 60 * 60 * 1000, /* for every other time of the configuration */
    RETRY_AFTER_MAX_S = 24 * 60 * 60,
    /* Full jitter can draw 0; a loop that never pauses would starve the application. */
    BACKOFF_MIN_MS = 500,
    BACKOFF_DOUBLINGS_MAX = 16,
    QUARANTINE_MIN_MS = 5 * 60 * 1000, /* an operator has to act: minutes are soon enough */
    QUARANTINE_MAX_MS = 15 * 60 * 1000,
};

static const struct sf_pace contact_pace = {.base_ms = 5 * 1000, .cap_ms = 60 * 60 * 1000};

uint32_t sf_pace_random(const struct sf_core *c, uint32_t max)
{
    uint32_t r = 0;
    if (c->config->crypto->random(c->config->crypto->ctx, (uint8_t *)&r, sizeof(r)) != SF_OK) {
        return max; /* no jitter, but the wait stays bounded */
    }
    return max == UINT32_MAX ? r : r % (max + 1);
}

uint32_t sf_pace_backoff_ms(const struct sf_core *c, const struct sf_pace *pace, unsigned fails)
{
    const unsigned doublings = fails < BACKOFF_DOUBLINGS_MAX ? fails : BACKOFF_DOUBLINGS_MAX;
    const uint64_t top = (uint64_t)pace->base_ms << doublings;
    const uint32_t cap = top < pace->cap_ms ? (uint32_t)top : pace->cap_ms;
    return BACKOFF_MIN_MS + sf_pace_random(c, cap - BACKOFF_MIN_MS);
}

uint32_t sf_pace_config(uint32_t value, uint32_t fallback, uint32_t max)
{
    if (value == 0) {
        return fallback;
    }
    return value < max ? value : max;
}

uint32_t sf_pace_interval_bound_s(uint32_t seconds)
{
    if (seconds < INTERVAL_MIN_S) {
        return INTERVAL_MIN_S;
    }
    return seconds < INTERVAL_MAX_S ? seconds : INTERVAL_MAX_S;
}

uint32_t sf_pace_stall_ms(const struct sf_core *c)
{
    return sf_pace_config(c->config->stall_timeout_ms, DEFAULT_STALL_MS, TIME_MAX_MS);
}

uint32_t sf_pace_request_ms(const struct sf_core *c)
{
    return sf_pace_config(c->config->request_timeout_ms, DEFAULT_REQUEST_MS, TIME_MAX_MS);
}

uint32_t sf_pace_download_ms(const struct sf_core *c)
{
    return sf_pace_config(c->config->download_timeout_ms, DEFAULT_DOWNLOAD_MS, TIME_MAX_MS);
}

uint32_t sf_pace_trial_ms(const struct sf_config *config)
{
    return sf_pace_config(config->trial_deadline_ms, DEFAULT_TRIAL_MS, TIME_MAX_MS);
}

/* The interval with a tenth of jitter to either side. */
uint32_t sf_pace_interval_ms(const struct sf_core *c)
{
    const uint32_t seconds =
        c->interval_s != 0
            ? c->interval_s
            : sf_pace_config(c->config->checkin_interval_s, DEFAULT_INTERVAL_S, INTERVAL_MAX_S);
    const uint32_t ms = seconds * 1000U; /* a week is 604,800,000 ms */
    return ms - ms / 10 + sf_pace_random(c, ms / 5);
}

/* What the server asked for with Retry-After, bounded and spread by a tenth; 0 if nothing. */
uint32_t sf_pace_retry_after_ms(struct sf_core *c)
{
    const uint32_t s = c->exchange.retry_after_s;
    c->exchange.retry_after_s = 0;
    if (s == 0) {
        return 0;
    }
    const uint32_t ms = (s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S) * 1000U;
    return ms + sf_pace_random(c, ms / 10);
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

int sf_pace_contact_now(struct sf_core *c)
{
    c->wait_until_ms = c->now_ms;
    return SF_OK;
}

int sf_pace_contact_on_interval(struct sf_core *c)
{
    c->wait_until_ms = c->now_ms + sf_pace_interval_ms(c);
    if (c->not_before_ms > c->now_ms && c->not_before_ms < c->wait_until_ms) {
        c->wait_until_ms = c->not_before_ms;
    }
    return SF_OK;
}

int sf_pace_contact_later(struct sf_core *c)
{
    uint32_t ms = sf_pace_backoff_ms(c, &contact_pace, c->contact_fails);
    if (c->error == SF_ERR_QUARANTINED) {
        ms = QUARANTINE_MIN_MS + sf_pace_random(c, QUARANTINE_MAX_MS - QUARANTINE_MIN_MS);
    }
    sf_count(&c->contact_fails);
    c->wait_until_ms = c->now_ms + max_u32(ms, sf_pace_retry_after_ms(c));
    return SF_OK;
}

int sf_pace_ask_later(struct sf_core *c)
{
    const uint32_t ms = sf_pace_backoff_ms(c, &contact_pace, c->ask_fails);
    sf_count(&c->ask_fails);
    c->wait_until_ms = c->now_ms + max_u32(ms, sf_pace_retry_after_ms(c));
    return SF_OK;
}
