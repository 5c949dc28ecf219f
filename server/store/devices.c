/* Devices: rows, the view that a check-in is decided on, lists, and an operator's override. */
#include <stdio.h>
#include <string.h>

#include "server/store/backend.h"

int store_device_get(struct store_reader *r, int64_t row, struct device *out)
{
    return get_row(r, T_DEVICE, row, out);
}

int store_device_find(struct store_reader *r, const char *id, struct device *out)
{
    struct arg args[] = {arg_text(id)};
    return select_one(r, SELECT(Q_DEVICE_ID, args, 1), out);
}

/* Memory first: what is not there any more has been committed, so the row read next has it. */
int store_device_seen(struct store_reader *r, int64_t row, struct device_seen *out)
{
    if (seen_pending(r->store, row, out)) {
        return SF_OK;
    }
    return get_row(r, T_SEEN, row, out);
}

/* ---- the view ---- */

static int view_target(struct store_reader *r, struct device_view *v)
{
    struct release release;
    struct manifest_row manifest;
    int own = v->device.override_release != 0;
    struct target *t = &v->target;
    t->release_id = own ? v->device.override_release : v->product.target_release;
    t->gen = own ? v->device.override_gen : v->product.target_gen;
    v->has_target = t->release_id != 0;
    if (!v->has_target) {
        return SF_OK;
    }
    int err = get_row(r, T_RELEASE, t->release_id, &release);
    if (err < 0) {
        return err;
    }
    memcpy(t->version, release.version, sizeof t->version);
    t->secure_version = release.secure_version;
    t->may_burn = (int)release.allow_burn;
    err = store_manifest_find(r, t->release_id, v->device.class_id, &manifest);
    if (err < 0 || release.state != RELEASE_PUBLISHED) {
        return err == SF_ERR_NOTFOUND ? SF_OK : err; /* nothing for this device */
    }
    t->has_manifest = 1;
    memcpy(t->image_digest, manifest.image_digest, DIGEST_SIZE);
    t->seq = manifest.seq;
    return SF_OK;
}

static int view_deployments(struct store_reader *r, struct device_view *v)
{
    int err = SF_OK;
    if (v->device.deployment_id != 0) {
        err = get_row(r, T_DEPLOYMENT, v->device.deployment_id, &v->current);
        v->has_current = err == SF_OK;
    }
    if (err < 0 || !v->has_target) {
        return err;
    }
    if (v->has_current && v->current.release_id == v->target.release_id) {
        v->previous = v->current;
        v->has_previous = 1;
        return SF_OK;
    }
    struct arg args[] = {arg_int(v->device.row), arg_int(v->target.release_id)};
    err = select_one(r, SELECT(Q_DEPLOYMENT_LATEST, args, 2), &v->previous);
    v->has_previous = err == SF_OK;
    return err == SF_ERR_NOTFOUND ? SF_OK : err;
}

static int view_rows(struct store_reader *r, const char *id, struct device_view *out)
{
    int err = store_device_find(r, id, &out->device);
    if (err == SF_OK) {
        err = get_row(r, T_PRODUCT, out->device.product_id, &out->product);
    }
    if (err == SF_OK) {
        err = view_target(r, out);
    }
    if (err == SF_OK) {
        struct freeze freeze;
        err = store_freeze_get(r, &freeze);
        out->frozen = freeze.since != 0;
    }
    return err == SF_OK ? view_deployments(r, out) : err;
}

int store_device_view(struct store_reader *r, const char *id, struct device_view *out)
{
    memset(out, 0, sizeof *out);
    int err = r->backend->snapshot(r->conn);
    if (err < 0) {
        return err;
    }
    err = view_rows(r, id, out);
    r->backend->snapshot_end(r->conn);
    if (err == SF_OK) {
        err = store_device_seen(r, out->device.row, &out->seen);
        err = err == SF_ERR_NOTFOUND ? SF_OK : err;
    }
    return err;
}

/* ---- lists ---- */

int store_device_list(struct store_reader *r, const struct device_filter *f, struct device *out,
                      unsigned max)
{
    struct arg args[ARG_MAX_COUNT];
    char end[SF_DEVICE_ID_MAX + 2];
    unsigned count = 0;
    unsigned filters = 0;
    if (f->version[0] != '\0' && f->product_id == 0) {
        return SF_ERR_RANGE; /* no index for it */
    }
    args[count++] = arg_text(f->after_id);
    if (f->product_id != 0) {
        filters |= BY_PRODUCT;
        args[count++] = arg_int(f->product_id);
    }
    if (f->state != 0) {
        filters |= BY_STATE;
        args[count++] = arg_int(f->state);
    }
    if (f->version[0] != '\0') {
        filters |= BY_VERSION;
        args[count++] = arg_text(f->version);
    }
    if (f->id_prefix[0] != '\0') {
        /* '~' comes after every character of an id */
        (void)snprintf(end, sizeof end, "%s~", f->id_prefix);
        filters |= BY_PREFIX;
        args[count++] = arg_text(f->id_prefix);
        args[count++] = arg_text(end);
    }
    return select_rows(r, SELECT((enum query_id)(Q_DEVICES + filters), args, count), out, max);
}

/* ---- writing ---- */

int store_history_add(struct store_tx *tx, int64_t device_row, const struct event *event,
                      int64_t now)
{
    struct history_row row = {.device_row = device_row, .at = now, .event = *event};
    return insert_row(tx, T_HISTORY, &row);
}

int store_device_add(struct store_tx *tx, struct device *row, const struct event *event,
                     int64_t now)
{
    row->row = 0;
    int err = insert_row(tx, T_DEVICE, row);
    if (err == SF_OK && event != NULL) {
        err = store_history_add(tx, row->row, event, now);
    }
    return err;
}

int store_device_put(struct store_tx *tx, const struct device *row, const struct event *event,
                     int64_t now)
{
    int err = update_row(tx, T_DEVICE, row);
    if (err == SF_OK && event != NULL) {
        err = store_history_add(tx, row->row, event, now);
    }
    return err;
}

int store_device_override(struct store_tx *tx, int64_t device_row, int64_t release_id, int64_t now)
{
    struct device d;
    struct release release;
    struct event event = {.kind = EVENT_OVERRIDE_CLEARED};
    int err = get_row(&tx->reader, T_DEVICE, device_row, &d);
    if (err < 0) {
        return err;
    }
    if (release_id == 0 && d.override_release == 0) {
        return SF_OK;
    }
    d.override_gen = 0;
    if (release_id != 0) {
        err = store_check_target(tx, d.product_id, release_id, &release);
        if (err == SF_OK) {
            err = store_next_gen(tx, &d.override_gen);
        }
        if (err < 0) {
            return err;
        }
        event.kind = EVENT_OVERRIDE_SET;
        event.release_id = release_id;
        (void)snprintf(event.text, sizeof event.text, "%s", release.version);
    }
    d.override_release = release_id;
    d.changed_at = now;
    return store_device_put(tx, &d, &event, now);
}

static int apply_deployments(struct store_tx *tx, const struct checkin_decision *d,
                             struct device *device, int64_t *fresh_id)
{
    int err = SF_OK;
    *fresh_id = 0;
    if (d->current_changed) { /* first: only one of a device may be active */
        err = update_row(tx, T_DEPLOYMENT, &d->current);
    }
    if (err == SF_OK && d->created) {
        struct deployment fresh = d->fresh;
        err = insert_row(tx, T_DEPLOYMENT, &fresh);
        *fresh_id = fresh.id;
        device->deployment_id = fresh.id;
    }
    return err;
}

int store_checkin_apply(struct store_tx *tx, const struct checkin_decision *d, int64_t now)
{
    struct device device = d->device;
    int64_t fresh_id = 0;
    int err = apply_deployments(tx, d, &device, &fresh_id);
    if (err == SF_OK && d->device_changed) {
        err = update_row(tx, T_DEVICE, &device);
    }
    for (unsigned i = 0; err == SF_OK && i < d->event_count; i++) {
        struct event event = d->event[i];
        if (event.release_id != 0 && event.deployment_id == 0) {
            event.deployment_id = fresh_id;
        }
        err = store_history_add(tx, device.row, &event, now);
    }
    return err;
}

int store_history_list(struct store_reader *r, int64_t device_row, int64_t after,
                       struct history_row *out, unsigned max)
{
    struct arg args[] = {arg_int(device_row), arg_int(after)};
    return select_rows(r, SELECT(Q_HISTORY, args, 2), out, max);
}
