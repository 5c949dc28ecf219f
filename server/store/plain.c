/* Plain devices: the tokens that open their endpoint, and their place in the inventory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/store/backend.h"

int store_product_stable(struct store_tx *tx, int64_t product_id, int64_t release_id, int64_t now)
{
    struct product p;
    struct release release;
    int err = get_row(&tx->reader, T_PRODUCT, product_id, &p);
    if (err == SF_OK && release_id != 0) {
        err = store_check_target(tx, product_id, release_id, &release);
    }
    if (err < 0) {
        return err;
    }
    p.stable_release = release_id;
    p.changed_at = now;
    return update_row(tx, T_PRODUCT, &p);
}

int store_plain_token_get(struct store_reader *r, int64_t id, struct plain_token *out)
{
    return get_row(r, T_PLAIN_TOKEN, id, out);
}

int store_plain_token_find(struct store_reader *r, const uint8_t digest[DIGEST_SIZE],
                           struct plain_token *out)
{
    struct arg args[] = {arg_blob(digest, DIGEST_SIZE)};
    return select_one(r, SELECT(Q_PLAIN_TOKEN_DIGEST, args, 1), out);
}

int store_plain_token_list(struct store_reader *r, int64_t product_id, int64_t after,
                           struct plain_token *out, unsigned max)
{
    struct arg args[] = {arg_int(product_id), arg_int(after)};
    return select_rows(r, SELECT(Q_PLAIN_TOKENS, args, 2), out, max);
}

int store_plain_token_add(struct store_tx *tx, struct plain_token *row)
{
    row->id = 0;
    return insert_row(tx, T_PLAIN_TOKEN, row);
}

int store_plain_token_put(struct store_tx *tx, const struct plain_token *row)
{
    return update_row(tx, T_PLAIN_TOKEN, row);
}

/* How many a product has stands in `meta`, so that nobody counts them. */
int store_plain_count(struct store_tx *tx, int64_t product_id, int by)
{
    char key[STORE_ACTION_MAX + 1];
    char value[STORE_VALUE_MAX + 1] = "0";
    (void)snprintf(key, sizeof key, "plain_devices:%lld", (long long)product_id);
    int err = store_meta_get(&tx->reader, key, value);
    if (err < 0 && err != SF_ERR_NOTFOUND) {
        return err;
    }
    const long long count = strtoll(value, NULL, 10) + by;
    if (count > PLAIN_DEVICES_MAX) {
        return SF_ERR_NOSPC;
    }
    (void)snprintf(value, sizeof value, "%lld", count < 0 ? 0 : count);
    return store_meta_put(tx, key, value);
}

int store_plain_apply(struct store_tx *tx, struct plain_decision *d, int64_t now)
{
    const struct event *first = d->event_count > 0 ? &d->event[0] : NULL;
    int err = SF_OK;
    if (d->device.row == 0) {
        err = store_plain_count(tx, d->device.product_id, 1);
        err = err == SF_OK ? store_device_add(tx, &d->device, first, now) : err;
    } else {
        err = store_device_put(tx, &d->device, first, now);
    }
    for (unsigned i = 1; err == SF_OK && i < d->event_count; i++) {
        err = store_history_add(tx, d->device.row, &d->event[i], now);
    }
    return err;
}

int store_artifact_checksums(struct store_tx *tx, const struct artifact *row)
{
    struct artifact now;
    int err = get_row(&tx->reader, T_ARTIFACT, row->id, &now);
    if (err < 0) {
        return err;
    }
    memcpy(now.md5, row->md5, sizeof now.md5);
    memcpy(now.app_sha256, row->app_sha256, sizeof now.app_sha256);
    return update_row(tx, T_ARTIFACT, &now);
}
