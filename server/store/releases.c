/* Releases, their manifests, and the artifacts they name. */
#include <string.h>

#include "server/store/backend.h"

int store_release_get(struct store_reader *r, int64_t id, struct release *out)
{
    return get_row(r, T_RELEASE, id, out);
}

int store_release_find(struct store_reader *r, int64_t product_id, const char *version,
                       struct release *out)
{
    struct arg args[] = {arg_int(product_id), arg_text(version)};
    return select_one(r, SELECT(Q_RELEASE_VERSION, args, 2), out);
}

int store_release_list(struct store_reader *r, int64_t product_id, int64_t after,
                       struct release *out, unsigned max)
{
    struct arg args[] = {arg_int(product_id), arg_int(after)};
    return select_rows(r, SELECT(Q_RELEASES, args, 2), out, max);
}

int store_release_secure_version(struct store_reader *r, int64_t product_id, uint32_t *out)
{
    struct release row;
    struct arg args[] = {arg_int(product_id)};
    int err = select_one(r, SELECT(Q_RELEASE_TOP_SECURE, args, 1), &row);
    if (err < 0 && err != SF_ERR_NOTFOUND) {
        return err;
    }
    *out = err == SF_OK ? row.secure_version : 0;
    return SF_OK;
}

int store_release_add(struct store_tx *tx, struct release *row)
{
    row->id = 0;
    return insert_row(tx, T_RELEASE, row);
}

int store_release_put(struct store_tx *tx, const struct release *row)
{
    struct release old;
    int err = get_row(&tx->reader, T_RELEASE, row->id, &old);
    if (err < 0) {
        return err;
    }
    old.state = row->state;
    memcpy(old.notes, row->notes, sizeof old.notes);
    return update_row(tx, T_RELEASE, &old);
}

/* ---- manifests ---- */

int store_manifest_find(struct store_reader *r, int64_t release_id, int64_t class_id,
                        struct manifest_row *out)
{
    struct arg args[] = {arg_int(release_id), arg_int(class_id)};
    return select_one(r, SELECT(Q_MANIFEST_CLASS, args, 2), out);
}

int store_manifest_list(struct store_reader *r, int64_t release_id, int64_t after,
                        struct manifest_row *out, unsigned max)
{
    struct arg args[] = {arg_int(release_id), arg_int(after)};
    return select_rows(r, SELECT(Q_MANIFESTS, args, 2), out, max);
}

int store_manifest_add(struct store_tx *tx, struct manifest_row *row)
{
    struct artifact artifact;
    struct hw_class class = {0};
    int err = store_artifact_find(&tx->reader, row->image_digest, &artifact);
    if (err == SF_OK) {
        err = get_row(&tx->reader, T_CLASS, row->class_id, &class);
    }
    if (err < 0) {
        return err;
    }
    row->id = 0;
    err = insert_row(tx, T_MANIFEST, row);
    if (err == SF_OK && row->seq > class.last_seq) {
        class.last_seq = row->seq;
        err = update_row(tx, T_CLASS, &class);
    }
    return err;
}

/* ---- artifacts ---- */

int store_artifact_find(struct store_reader *r, const uint8_t digest[DIGEST_SIZE],
                        struct artifact *out)
{
    struct arg args[] = {arg_blob(digest, DIGEST_SIZE)};
    return select_one(r, SELECT(Q_ARTIFACT_DIGEST, args, 1), out);
}

int store_artifact_list(struct store_reader *r, int64_t after, struct artifact *out, unsigned max)
{
    struct arg args[] = {arg_int(after)};
    return select_rows(r, SELECT(Q_ARTIFACTS, args, 1), out, max);
}

int store_artifact_unused(struct store_reader *r, int64_t older_than, struct artifact *out,
                          unsigned max)
{
    struct arg args[] = {arg_int(older_than)};
    return select_rows(r, SELECT(Q_ARTIFACTS_UNUSED, args, 1), out, max);
}

int store_artifact_add(struct store_tx *tx, struct artifact *row)
{
    row->id = 0;
    return insert_row(tx, T_ARTIFACT, row);
}

int store_artifact_touch(struct store_tx *tx, const uint8_t digest[DIGEST_SIZE], int64_t now)
{
    struct artifact row;
    int err = store_artifact_find(&tx->reader, digest, &row);
    if (err < 0) {
        return err;
    }
    row.created_at = now;
    return update_row(tx, T_ARTIFACT, &row);
}

int store_artifact_remove(struct store_tx *tx, int64_t id)
{
    struct artifact row;
    struct manifest_row manifest;
    int err = get_row(&tx->reader, T_ARTIFACT, id, &row);
    if (err < 0) {
        return err;
    }
    struct arg args[] = {arg_blob(row.digest, DIGEST_SIZE)};
    err = select_one(&tx->reader, SELECT(Q_MANIFEST_IMAGE, args, 1), &manifest);
    if (err != SF_ERR_NOTFOUND) {
        return err < 0 ? err : SF_ERR_STATE;
    }
    return remove_row(tx, T_ARTIFACT, id);
}
