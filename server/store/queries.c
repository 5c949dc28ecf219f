/* Every read, twice: the tail of a SELECT, and the same condition in C. Invariant: both select the
 * same rows in the same order; a property test drives both backends. */
#include "server/store/backend.h"

#include <stdio.h>
#include <string.h>

#define ROW(type) const struct type *x = row

static int same(const struct arg *a, const uint8_t *bytes)
{
    return memcmp(a->data, bytes, a->len) == 0;
}

static int is(const struct arg *a, const char *text)
{
    return strcmp(a->data, text) == 0;
}

#define MATCH(name, type, condition)                                              \
    static int name(const void *row, const struct arg *a, const struct memory *m) \
    {                                                                             \
        ROW(type);                                                                \
        (void)a;                                                                  \
        (void)m;                                                                  \
        return condition;                                                         \
    }

MATCH(any, meta_row, x->id >= 0)
MATCH(meta_key, meta_row, is(&a[0], x->key))
MATCH(token_digest, api_token, same(&a[0], x->digest))
MATCH(tokens, api_token, x->id > a[0].number)
MATCH(product_name, product, is(&a[0], x->name))
MATCH(products, product, x->id > a[0].number)
MATCH(class_uuid, hw_class, same(&a[0], x->uuid))
MATCH(classes, hw_class, x->product_id == a[0].number && x->id > a[1].number)
MATCH(enrol_digest, enrol_token, same(&a[0], x->digest))
MATCH(enrol_tokens, enrol_token, x->product_id == a[0].number && x->id > a[1].number)
MATCH(enrol_expired, enrol_token, x->expires_at != 0 && x->expires_at < a[0].number)
MATCH(release_version, release, x->product_id == a[0].number && is(&a[1], x->version))
MATCH(releases, release, x->product_id == a[0].number && x->id > a[1].number)
MATCH(releases_all, release, x->product_id == a[0].number)
MATCH(manifest_class, manifest_row, x->release_id == a[0].number && x->class_id == a[1].number)
MATCH(manifests, manifest_row, x->release_id == a[0].number && x->id > a[1].number)
MATCH(manifest_image, manifest_row, same(&a[0], x->image_digest))
MATCH(artifact_digest, artifact, same(&a[0], x->digest))
MATCH(artifacts, artifact, x->id > a[0].number)
MATCH(device_id, device, is(&a[0], x->id))
MATCH(device_revoked, device, x->state == DEVICE_REVOKED && x->revoked_at < a[0].number)
MATCH(deployment_of, deployment, x->device_row == a[0].number && x->release_id == a[1].number)
MATCH(deployments, deployment, x->device_row == a[0].number && x->id > a[1].number)
MATCH(deployments_after, deployment, x->id > a[0].number)
MATCH(deployments_due, deployment,
      x->state <= DEPLOYMENT_TRIAL && x->deadline_at != 0 && x->deadline_at <= a[0].number)
MATCH(history, history_row, x->device_row == a[0].number && x->id > a[1].number)
MATCH(audit, audit_row, x->id > a[0].number)
MATCH(audit_who, audit_row, is(&a[0], x->who) && x->id > a[1].number)
MATCH(plain_digest, plain_token, same(&a[0], x->digest))
MATCH(plain_tokens, plain_token, x->product_id == a[0].number && x->id > a[1].number)
MATCH(plain_expired, plain_token, x->expires_at != 0 && x->expires_at < a[0].number)
MATCH(roots_after, root_row, x->id > a[0].number)
MATCH(uptime, uptime_row, x->id > a[0].number)

static int artifacts_unused(const void *row, const struct arg *a, const struct memory *m)
{
    ROW(artifact);
    const void *rows = NULL;
    unsigned count = memory_rows(m, T_MANIFEST, &rows);
    const struct manifest_row *manifest = rows;
    for (unsigned i = 0; i < count; i++) {
        if (memcmp(manifest[i].image_digest, x->digest, DIGEST_SIZE) == 0) {
            return 0;
        }
    }
    return x->created_at < a[0].number;
}

static int by_id_descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static int by_secure_version_descending(const void *a, const void *b)
{
    uint32_t x = ((const struct release *)a)->secure_version;
    uint32_t y = ((const struct release *)b)->secure_version;
    return (x < y) - (x > y);
}

static int by_created(const void *a, const void *b)
{
    int64_t x = ((const struct artifact *)a)->created_at;
    int64_t y = ((const struct artifact *)b)->created_at;
    return (x > y) - (x < y);
}

static int by_deadline(const void *a, const void *b)
{
    int64_t x = ((const struct deployment *)a)->deadline_at;
    int64_t y = ((const struct deployment *)b)->deadline_at;
    return (x > y) - (x < y);
}

static int by_device_id(const void *a, const void *b)
{
    return strcmp(((const struct device *)a)->id, ((const struct device *)b)->id);
}

static const struct query queries[Q_DEVICES] = {
    [Q_META_KEY] = {T_META, "WHERE key = ?1", meta_key, NULL},
    [Q_TOKEN_DIGEST] = {T_API_TOKEN, "WHERE digest = ?1", token_digest, NULL},
    [Q_TOKENS] = {T_API_TOKEN, "WHERE id > ?1 ORDER BY id", tokens, NULL},
    [Q_PRODUCT_NAME] = {T_PRODUCT, "WHERE name = ?1", product_name, NULL},
    [Q_PRODUCTS] = {T_PRODUCT, "WHERE id > ?1 ORDER BY id", products, NULL},
    [Q_CLASS_UUID] = {T_CLASS, "WHERE uuid = ?1", class_uuid, NULL},
    [Q_CLASSES] = {T_CLASS, "WHERE product_id = ?1 AND id > ?2 ORDER BY id", classes, NULL},
    [Q_ENROL_TOKEN_DIGEST] = {T_ENROL_TOKEN, "WHERE digest = ?1", enrol_digest, NULL},
    [Q_ENROL_TOKENS] = {T_ENROL_TOKEN, "WHERE product_id = ?1 AND id > ?2 ORDER BY id",
                        enrol_tokens, NULL},
    [Q_ENROL_TOKENS_EXPIRED] = {T_ENROL_TOKEN, "WHERE expires_at < ?1", enrol_expired, NULL},
    [Q_RELEASE_VERSION] = {T_RELEASE, "WHERE product_id = ?1 AND version = ?2", release_version,
                           NULL},
    [Q_RELEASES] = {T_RELEASE, "WHERE product_id = ?1 AND id > ?2 ORDER BY id", releases, NULL},
    [Q_RELEASE_TOP_SECURE] = {T_RELEASE, "WHERE product_id = ?1 ORDER BY secure_version DESC",
                              releases_all, by_secure_version_descending},
    [Q_MANIFEST_CLASS] = {T_MANIFEST, "WHERE release_id = ?1 AND class_id = ?2", manifest_class,
                          NULL},
    [Q_MANIFESTS] = {T_MANIFEST, "WHERE release_id = ?1 AND id > ?2 ORDER BY id", manifests, NULL},
    [Q_MANIFEST_IMAGE] = {T_MANIFEST, "WHERE image_digest = ?1", manifest_image, NULL},
    [Q_ARTIFACT_DIGEST] = {T_ARTIFACT, "WHERE digest = ?1", artifact_digest, NULL},
    [Q_ARTIFACTS] = {T_ARTIFACT, "WHERE id > ?1 ORDER BY id", artifacts, NULL},
    [Q_ARTIFACTS_UNUSED] = {T_ARTIFACT,
                            "WHERE created_at < ?1 AND NOT EXISTS (SELECT 1 FROM manifest "
                            "WHERE image_digest = artifact.digest) ORDER BY created_at, id",
                            artifacts_unused, by_created},
    [Q_DEVICE_ID] = {T_DEVICE, "WHERE device_id = ?1", device_id, NULL},
    [Q_DEVICES_REVOKED] = {T_DEVICE, "WHERE state = 3 AND revoked_at < ?1 ORDER BY device_id",
                           device_revoked, by_device_id},
    [Q_DEPLOYMENT_LATEST] = {T_DEPLOYMENT,
                             "WHERE device_row = ?1 AND release_id = ?2 ORDER BY id DESC",
                             deployment_of, by_id_descending},
    [Q_DEPLOYMENTS] = {T_DEPLOYMENT, "WHERE device_row = ?1 AND id > ?2 ORDER BY id", deployments,
                       NULL},
    [Q_DEPLOYMENTS_DUE] = {T_DEPLOYMENT,
                           "WHERE state <= 5 AND deadline_at <= ?1 ORDER BY deadline_at, id",
                           deployments_due, by_deadline},
    [Q_DEPLOYMENTS_AFTER] = {T_DEPLOYMENT, "WHERE id > ?1 ORDER BY id", deployments_after, NULL},
    [Q_HISTORY] = {T_HISTORY, "WHERE device_row = ?1 AND id > ?2 ORDER BY id", history, NULL},
    [Q_HISTORY_OLDEST] = {T_HISTORY, "ORDER BY id", any, NULL},
    [Q_AUDIT] = {T_AUDIT, "WHERE id > ?1 ORDER BY id", audit, NULL},
    [Q_AUDIT_WHO] = {T_AUDIT, "WHERE who = ?1 AND id > ?2 ORDER BY id", audit_who, NULL},
    [Q_AUDIT_OLDEST] = {T_AUDIT, "ORDER BY id", any, NULL},
    [Q_UPTIME] = {T_UPTIME, "WHERE id > ?1 ORDER BY id", uptime, NULL},
    [Q_PLAIN_TOKEN_DIGEST] = {T_PLAIN_TOKEN, "WHERE digest = ?1", plain_digest, NULL},
    [Q_PLAIN_TOKENS] = {T_PLAIN_TOKEN, "WHERE product_id = ?1 AND id > ?2 ORDER BY id",
                        plain_tokens, NULL},
    [Q_PLAIN_TOKENS_EXPIRED] = {T_PLAIN_TOKEN, "WHERE expires_at < ?1", plain_expired, NULL},
    [Q_ROOT_LATEST] = {T_ROOT, "WHERE id > ?1 ORDER BY id DESC", roots_after, by_id_descending},
    [Q_ROOTS] = {T_ROOT, "WHERE id > ?1 ORDER BY id", roots_after, NULL},
};

/* ---- the device lists: one query for each set of filters, so that each uses its index ---- */

static int device_matches(const struct device *x, const struct arg *a, unsigned filters)
{
    unsigned i = 0;
    if (strcmp(x->id, a[i++].data) <= 0) {
        return 0;
    }
    if ((filters & BY_PRODUCT) != 0 && x->product_id != a[i++].number) {
        return 0;
    }
    if ((filters & BY_STATE) != 0 && (int64_t)x->state != a[i++].number) {
        return 0;
    }
    if ((filters & BY_VERSION) != 0 && !is(&a[i++], x->running_version)) {
        return 0;
    }
    return (filters & BY_PREFIX) == 0 ||
           (strcmp(x->id, a[i].data) >= 0 && strcmp(x->id, a[i + 1].data) < 0);
}

#define DEVICE_LIST(n)                                                                   \
    static int devices_##n(const void *row, const struct arg *a, const struct memory *m) \
    {                                                                                    \
        (void)m;                                                                         \
        return device_matches(row, a, n);                                                \
    }
#define EACH_DEVICE_LIST(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
EACH_DEVICE_LIST(DEVICE_LIST)

static const struct query device_lists[DEVICE_LIST_VARIANTS] = {
#define DEVICE_LIST_ROW(n) [n] = {T_DEVICE, NULL, devices_##n, by_device_id},
    EACH_DEVICE_LIST(DEVICE_LIST_ROW)
#undef DEVICE_LIST_ROW
};

const struct query *query_find(enum query_id q)
{
    return q < Q_DEVICES ? &queries[q] : &device_lists[q - Q_DEVICES];
}

const char *query_tail(enum query_id q, char out[QUERY_TAIL_SIZE])
{
    if (q < Q_DEVICES) {
        return queries[q].tail;
    }
    static const char *const conditions[] = {" AND product_id = ?", " AND state = ?",
                                             " AND running_version = ?",
                                             " AND device_id >= ? AND device_id < ?"};
    unsigned filters = (unsigned)q - Q_DEVICES;
    int at = snprintf(out, QUERY_TAIL_SIZE, "WHERE device_id > ?");
    for (unsigned i = 0; i < 4; i++) {
        if ((filters & (1u << i)) != 0) {
            at += snprintf(out + at, QUERY_TAIL_SIZE - (size_t)at, "%s", conditions[i]);
        }
    }
    (void)snprintf(out + at, QUERY_TAIL_SIZE - (size_t)at, " ORDER BY device_id");
    return out;
}
