/* Tokens, products, hardware revisions, enrolment tokens, and the audit log. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/store/backend.h"

/* ---- API tokens ---- */

int store_token_get(struct store_reader *r, int64_t id, struct api_token *out)
{
    return get_row(r, T_API_TOKEN, id, out);
}

int store_token_find(struct store_reader *r, const uint8_t digest[DIGEST_SIZE],
                     struct api_token *out)
{
    struct arg args[] = {arg_blob(digest, DIGEST_SIZE)};
    return select_one(r, SELECT(Q_TOKEN_DIGEST, args, 1), out);
}

int store_token_list(struct store_reader *r, int64_t after, struct api_token *out, unsigned max)
{
    struct arg args[] = {arg_int(after)};
    return select_rows(r, SELECT(Q_TOKENS, args, 1), out, max);
}

int store_token_add(struct store_tx *tx, struct api_token *row)
{
    row->id = 0;
    return insert_row(tx, T_API_TOKEN, row);
}

int store_token_put(struct store_tx *tx, const struct api_token *row)
{
    return update_row(tx, T_API_TOKEN, row);
}

/* ---- products ---- */

int store_product_get(struct store_reader *r, int64_t id, struct product *out)
{
    return get_row(r, T_PRODUCT, id, out);
}

int store_product_find(struct store_reader *r, const char *name, struct product *out)
{
    struct arg args[] = {arg_text(name)};
    return select_one(r, SELECT(Q_PRODUCT_NAME, args, 1), out);
}

int store_product_list(struct store_reader *r, int64_t after, struct product *out, unsigned max)
{
    struct arg args[] = {arg_int(after)};
    return select_rows(r, SELECT(Q_PRODUCTS, args, 1), out, max);
}

int store_product_add(struct store_tx *tx, struct product *row)
{
    row->id = 0;
    row->target_release = 0;
    row->target_gen = 0;
    row->stable_release = 0;
    return insert_row(tx, T_PRODUCT, row);
}

int store_product_put(struct store_tx *tx, const struct product *row)
{
    struct product old;
    int err = get_row(&tx->reader, T_PRODUCT, row->id, &old);
    if (err < 0) {
        return err;
    }
    struct product row_out = *row;
    row_out.target_release = old.target_release;
    row_out.target_gen = old.target_gen;
    row_out.stable_release = old.stable_release;
    return update_row(tx, T_PRODUCT, &row_out);
}

int store_next_gen(struct store_tx *tx, int64_t *gen)
{
    static const char key[] = "target_gen";
    char value[STORE_VALUE_MAX + 1];
    int err = store_meta_get(&tx->reader, key, value);
    if (err < 0 && err != SF_ERR_NOTFOUND) {
        return err;
    }
    *gen = 1 + (err == SF_OK ? strtoll(value, NULL, 10) : 0);
    (void)snprintf(value, sizeof value, "%" PRId64, *gen);
    return store_meta_put(tx, key, value);
}

int store_check_target(struct store_tx *tx, int64_t product_id, int64_t release_id,
                       struct release *out)
{
    int err = get_row(&tx->reader, T_RELEASE, release_id, out);
    if (err < 0) {
        return err;
    }
    if (out->product_id != product_id) {
        return SF_ERR_CLASS;
    }
    return out->state == RELEASE_PUBLISHED ? SF_OK : SF_ERR_STATE;
}

int store_product_target(struct store_tx *tx, int64_t product_id, int64_t release_id, int64_t now)
{
    struct product p;
    struct release release;
    int err = get_row(&tx->reader, T_PRODUCT, product_id, &p);
    if (err == SF_OK && release_id != 0) {
        err = store_check_target(tx, product_id, release_id, &release);
    }
    if (err == SF_OK) {
        err = store_next_gen(tx, &p.target_gen);
    }
    if (err < 0) {
        return err;
    }
    p.target_release = release_id;
    p.changed_at = now;
    return update_row(tx, T_PRODUCT, &p);
}

/* ---- hardware revisions ---- */

int store_class_get(struct store_reader *r, int64_t id, struct hw_class *out)
{
    return get_row(r, T_CLASS, id, out);
}

int store_class_find(struct store_reader *r, const uint8_t uuid[SF_UUID_SIZE], struct hw_class *out)
{
    struct arg args[] = {arg_blob(uuid, SF_UUID_SIZE)};
    return select_one(r, SELECT(Q_CLASS_UUID, args, 1), out);
}

int store_class_list(struct store_reader *r, int64_t product_id, int64_t after,
                     struct hw_class *out, unsigned max)
{
    struct arg args[] = {arg_int(product_id), arg_int(after)};
    return select_rows(r, SELECT(Q_CLASSES, args, 2), out, max);
}

int store_class_add(struct store_tx *tx, struct hw_class *row)
{
    row->id = 0;
    row->next_seq = row->next_seq == 0 ? 2 : row->next_seq;
    return insert_row(tx, T_CLASS, row);
}

int store_seq_reserve(struct store_tx *tx, int64_t class_id, uint64_t *seq)
{
    struct hw_class row;
    int err = get_row(&tx->reader, T_CLASS, class_id, &row);
    if (err < 0) {
        return err;
    }
    uint64_t reserved = row.next_seq;
    row.next_seq += 2;
    err = update_row(tx, T_CLASS, &row);
    if (err == SF_OK) {
        *seq = reserved;
    }
    return err;
}

int store_seq_skip(struct store_tx *tx, int64_t product_id, uint32_t count)
{
    struct hw_class row = {0};
    int found = 0;
    while ((found = store_class_list(&tx->reader, product_id, row.id, &row, 1)) == 1) {
        row.next_seq += count;
        int err = update_row(tx, T_CLASS, &row);
        if (err < 0) {
            return err;
        }
    }
    return found;
}

/* ---- enrolment tokens ---- */

int store_enrol_token_find(struct store_reader *r, const uint8_t digest[DIGEST_SIZE],
                           struct enrol_token *out)
{
    struct arg args[] = {arg_blob(digest, DIGEST_SIZE)};
    return select_one(r, SELECT(Q_ENROL_TOKEN_DIGEST, args, 1), out);
}

int store_enrol_token_list(struct store_reader *r, int64_t product_id, int64_t after,
                           struct enrol_token *out, unsigned max)
{
    struct arg args[] = {arg_int(product_id), arg_int(after)};
    return select_rows(r, SELECT(Q_ENROL_TOKENS, args, 2), out, max);
}

static int expire_enrol_tokens(struct store_tx *tx, int64_t product_id, int64_t at)
{
    enum { PAGE = 32 };
    struct enrol_token row[PAGE];
    int64_t after = 0;
    int count = PAGE;
    while (count == PAGE) {
        count = store_enrol_token_list(&tx->reader, product_id, after, row, PAGE);
        for (int i = 0; i < count; i++) {
            after = row[i].id;
            if (row[i].expires_at != 0 && row[i].expires_at <= at) {
                continue;
            }
            row[i].expires_at = at;
            int err = update_row(tx, T_ENROL_TOKEN, &row[i]);
            if (err < 0) {
                return err;
            }
        }
    }
    return count < 0 ? count : SF_OK;
}

int store_enrol_token_add(struct store_tx *tx, struct enrol_token *row, int64_t old_expire_at)
{
    row->id = 0;
    if (old_expire_at != 0) {
        int err = expire_enrol_tokens(tx, row->product_id, old_expire_at);
        if (err < 0) {
            return err;
        }
    }
    return insert_row(tx, T_ENROL_TOKEN, row);
}

/* ---- audit, uptime ---- */

int store_audit_add(struct store_tx *tx, const struct audit_row *row)
{
    struct audit_row copy = *row;
    copy.id = 0;
    return insert_row(tx, T_AUDIT, &copy);
}

int store_audit_list(struct store_reader *r, int64_t after, const char *who, struct audit_row *out,
                     unsigned max)
{
    if (who == NULL) {
        struct arg args[] = {arg_int(after)};
        return select_rows(r, SELECT(Q_AUDIT, args, 1), out, max);
    }
    struct arg args[] = {arg_text(who), arg_int(after)};
    return select_rows(r, SELECT(Q_AUDIT_WHO, args, 2), out, max);
}

int store_uptime_list(struct store_reader *r, int64_t after, struct uptime_row *out, unsigned max)
{
    struct arg args[] = {arg_int(after)};
    return select_rows(r, SELECT(Q_UPTIME, args, 1), out, max);
}
