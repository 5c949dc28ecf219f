/* The download: one GET of the whole image, continued with Range and If-Range where it broke.
 *
 * 1. Bytes of two different files never meet in the slot: a 206 must continue exactly the file
 *    that the first answer began, everything else starts over at 0.
 * 2. The first 384 bytes are judged before the first sector is erased; and where the image has to
 *    be signed, its last sector before those.
 * 3. A download ends: stall, minimum progress, losses in a row and the total time are bounded. */
#include <string.h>

#include "device/steps.h"

enum {
    LOSSES_MAX = 8,               /* in a row without one new sector */
    FLASH_LOSS = 3,               /* a sector that reads back wrong costs this many: it wears */
    RESTARTS_MAX = 3,             /* of one download from byte 0 */
    ASK_EVERY_MS = 4 * 60 * 1000, /* so that a cancel arrives during a long download */
    WINDOW_MS = 60 * 1000,
    DEFAULT_BYTES_PER_MINUTE = 6 * 1024, /* slower than the slowest radio that carries TLS at all */
    BYTES_PER_MINUTE_MAX = 16 * 1024 * 1024,
};

static const struct sf_pace lost_pace = {.base_ms = 2 * 1000, .cap_ms = 5 * 60 * 1000};

static uint32_t whole_sectors(uint32_t bytes)
{
    return bytes - bytes % SF_SECTOR_SIZE;
}

static void start_over(struct sf_core *c)
{
    c->held.bytes = 0;
    c->held.complete = 0;
    c->held.etag[0] = '\0';
    c->offset = 0;
    c->deploy.resumed = 0;
    c->deploy.tail = SF_TAIL_IN_ITS_TURN;
}

int sf_fetch_build(struct sf_core *c)
{
    if (c->now_ms >= c->deploy.give_up_ms) {
        return SF_ERR_DEADLINE;
    }
    sf_exchange_begin(c, c->path, (uint32_t)(c->deploy.give_up_ms - c->now_ms));
    c->exchange.authorization = c->config->source == NULL ? c->authorization : NULL;
    c->offset = c->deploy.tail == SF_TAIL_FIRST ? c->deploy.image_size - SF_SECTOR_SIZE
                                                : whole_sectors(c->held.bytes);
    c->window_bytes = 0;
    c->window_end_ms = c->now_ms + WINDOW_MS;
    if (c->ask_at_ms <= c->now_ms) {
        c->ask_at_ms = c->now_ms + ASK_EVERY_MS;
    }
    return SF_OK;
}

/* What to compare and to send as If-Range: a strong validator, or nothing (RFC 9110 13.1.5). */
static void take_etag(struct sf_core *c, const char *etag)
{
    size_t len = 0;
    while (etag != NULL && len <= SF_ETAG_MAX && etag[len] != '\0') {
        len++;
    }
    c->held.etag[0] = '\0';
    if (len > 1 && len <= SF_ETAG_MAX && etag[0] == '"') {
        memcpy(c->held.etag, etag, len);
        c->held.etag[len] = '\0';
    }
}

static int length_fits(int64_t announced, uint32_t expected)
{
    return announced < 0 || announced == (int64_t)expected;
}

static int begin_at_zero(struct sf_core *c, const struct sf_response_head *head)
{
    if (!length_fits(head->content_len, c->deploy.image_size)) {
        return SF_ERR_HTTP_LENGTH;
    }
    if (c->offset != 0) { /* the file changed, or the server does not know ranges */
        if (++c->deploy.restarts > RESTARTS_MAX) {
            return SF_ERR_HTTP_CHANGED;
        }
        const int err = sf_record_remove(c->config->store, SF_RECORD_PROG);
        if (err != SF_OK) {
            return err;
        }
        start_over(c);
    }
    take_etag(c, head->etag);
    return SF_OK;
}

static int go_on(struct sf_core *c, const struct sf_response_head *head)
{
    const uint32_t size = c->deploy.image_size;
    if (c->offset == 0 || head->range_start != (int64_t)c->offset) {
        return SF_ERR_HTTP_RANGE;
    }
    if (!length_fits(head->range_total, size) ||
        (c->held.etag[0] != '\0' && head->etag != NULL && head->etag[0] != '\0' &&
         strcmp(c->held.etag, head->etag) != 0)) {
        return SF_ERR_HTTP_CHANGED;
    }
    return length_fits(head->content_len, size - c->offset) ? SF_OK : SF_ERR_HTTP_LENGTH;
}

int sf_fetch_head(struct sf_core *c, const struct sf_response_head *head)
{
    const int err = sf_exchange_http_error(head);
    if (err != SF_OK) {
        return err;
    }
    if (head->status == 206) {
        return go_on(c, head);
    }
    return head->status == 200 ? begin_at_zero(c, head) : SF_ERR_HTTP_STATUS;
}

/* Losing this record costs a download, not safety; so a store that fails here stops nothing. */
static void record_progress(struct sf_core *c)
{
    struct sf_record_progress p = {
        .slot = c->held.slot, .length = c->held.length, .bytes = c->held.bytes};
    sf_digest_copy(p.digest, c->held.digest);
    memcpy(p.etag, c->held.etag, sizeof(p.etag));
    sf_digest_copy(p.manifest_digest, c->deploy.target.manifest_digest);
    const int err = sf_record_save(c->config->store, SF_RECORD_PROG, &p);
    if (err != SF_OK) {
        c->last_error = err;
    }
}

static int sector_done(struct sf_core *c)
{
    const uint32_t start = whole_sectors(c->offset - 1);
    if (c->deploy.tail == SF_TAIL_FIRST) {
        return c->config->secure_boot->check->judge_last(c);
    }
    const int err = sf_install_sector(c, start, c->offset - start);
    if (err != SF_OK) {
        return err;
    }
    c->held.bytes = c->offset;
    c->deploy.losses = 0;
    if (c->offset % SF_PROGRESS_STEP == 0 && c->offset < c->deploy.image_size) {
        record_progress(c);
    }
    return SF_OK;
}

int32_t sf_fetch_body(struct sf_core *c, const uint8_t *data, size_t len)
{
    uint8_t *buffer = sf_scratch(c)->sector;
    const uint32_t size = c->deploy.image_size;
    const uint32_t in_sector = c->offset % SF_SECTOR_SIZE;
    const uint32_t before = c->offset;
    uint32_t take = SF_SECTOR_SIZE - in_sector;

    if (c->offset >= size) {
        return SF_ERR_TOO_LARGE;
    }
    take = take < size - c->offset ? take : size - c->offset;
    take = len < take ? (uint32_t)len : take;
    memcpy(buffer + in_sector, data, take);
    c->offset += take;
    c->window_bytes += take;
    if (before < SF_IMAGE_HEAD_SIZE && c->offset >= SF_IMAGE_HEAD_SIZE) {
        const int err = sf_install_judge_head(c);
        if (err != SF_OK) {
            return err;
        }
    }
    if (c->offset % SF_SECTOR_SIZE == 0 || c->offset == size) {
        const int err = sector_done(c);
        if (err != SF_OK) {
            return err;
        }
        if (c->now_ms >= c->ask_at_ms && c->offset < size) {
            return SF_ERR_BUSY; /* a check-in first; the next range goes on here */
        }
    }
    return (int32_t)take;
}

uint64_t sf_fetch_deadline(const struct sf_core *c)
{
    return c->window_end_ms;
}

int sf_fetch_check(struct sf_core *c)
{
    if (c->now_ms < c->window_end_ms) {
        return SF_OK;
    }
    const uint32_t minimum = sf_pace_config(c->config->minimum_bytes_per_minute,
                                            DEFAULT_BYTES_PER_MINUTE, BYTES_PER_MINUTE_MAX);
    if (c->window_bytes < minimum) {
        return SF_ERR_TOO_SLOW;
    }
    c->window_bytes = 0;
    c->window_end_ms = c->now_ms + WINDOW_MS;
    return SF_OK;
}

/* Whether trying again, from where it stopped or from 0, can help at once. */
static int is_loss(int err)
{
    switch (err) {
    case SF_ERR_REDIRECT:
    case SF_ERR_UNAUTHORIZED:
    case SF_ERR_HTTP_NOT_FOUND:
    case SF_ERR_HTTP_STATUS:
    case SF_ERR_HTTP_LENGTH:
    case SF_ERR_TOO_LARGE:
    case SF_ERR_DEADLINE:
    case SF_ERR_CANCELLED:
        return 0;
    case SF_ERR_READ_BACK:
        return 1;
    default:
        return err <= SF_ERR_DNS && err >= SF_ERR_HTTP_NOT_FOUND;
    }
}

enum sf_event sf_fetch_end(struct sf_core *c, int err)
{
    if (c->deploy.tail == SF_TAIL_JUDGED && (err == SF_OK || is_loss(err))) {
        c->deploy.tail = SF_TAIL_IN_ITS_TURN; /* and now from the beginning, however that ended */
        return sf_core_note(c, sf_fetch_build(c)) == SF_OK ? SF_EVENT_NONE : SF_EVENT_FAILED;
    }
    if (err == SF_ERR_BUSY) {
        return SF_EVENT_ASK;
    }
    if (err != SF_ERR_TOO_LARGE && c->held.bytes == c->deploy.image_size) {
        return SF_EVENT_OK; /* all is there, however the connection ended */
    }
    if (err == SF_OK) {
        err = SF_ERR_CLOSED;
    }
    (void)sf_core_note(c, err);
    if (err == SF_ERR_TOO_LARGE) {
        start_over(c);
    }
    if (c->now_ms >= c->deploy.give_up_ms || !is_loss(err)) {
        return SF_EVENT_FAILED;
    }
    if (err == SF_ERR_HTTP_RANGE || err == SF_ERR_HTTP_CHANGED) {
        if (++c->deploy.restarts > RESTARTS_MAX) {
            return SF_EVENT_FAILED;
        }
        if (sf_record_remove(c->config->store, SF_RECORD_PROG) != SF_OK) {
            c->last_error = SF_ERR_STORE;
            return SF_EVENT_FAILED;
        }
        start_over(c);
    }
    c->deploy.losses = (uint8_t)(c->deploy.losses + (err == SF_ERR_READ_BACK ? FLASH_LOSS : 1));
    return c->deploy.losses > LOSSES_MAX ? SF_EVENT_FAILED : SF_EVENT_LOST;
}

int sf_fetch_back_off(struct sf_core *c)
{
    const unsigned fails = c->deploy.losses > 0 ? c->deploy.losses - 1U : 0;
    uint64_t ms = sf_pace_backoff_ms(c, &lost_pace, fails);
    const uint32_t asked = sf_pace_retry_after_ms(c);
    ms = asked > ms ? asked : ms;
    c->wait_until_ms = c->now_ms + ms;
    if (c->wait_until_ms > c->deploy.give_up_ms) {
        c->wait_until_ms = c->deploy.give_up_ms;
    }
    return SF_OK;
}
