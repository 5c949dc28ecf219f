/* Trust roots: uploaded by an admin, fetched one by one by devices.
 *
 * A root proves itself; the server only refuses what no device would take, or what would make
 * devices stop believing this server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/fleet/root.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"

static struct sf_bytes file_of(const struct root_row *row)
{
    return (struct sf_bytes){row->file, row->file_len};
}

static uint64_t live_root(const struct root_row *row)
{
    return (uint64_t)row->id << 32 | row->release_epoch;
}

int protocols_load_root(struct protocols *p, struct store_reader *r, int *lists_status_key)
{
    struct root_row row;
    struct sf_root root;
    int err = store_root_latest(r, &row);
    *lists_status_key = 1;
    if (err < 0) {
        return err == SF_ERR_NOTFOUND ? SF_OK : err;
    }
    err = root_load(file_of(&row), p->crypto, &root);
    if (err == SF_OK) {
        *lists_status_key = root_lists(&root, SF_ROLE_STATUS, &p->status_key);
        atomic_store(&p->live.root, live_root(&row));
    }
    return err;
}

/* The version in the path, 0 if it is none. */
static uint32_t version_of(const struct exchange *x)
{
    const char *text = exchange_param(x, "version");
    const size_t len = text == NULL ? 0 : strspn(text, "0123456789");
    if (len == 0 || len > 10 || text[len] != '\0' || text[0] == '0') {
        return 0;
    }
    const unsigned long long value = strtoull(text, NULL, 10);
    return value <= UINT32_MAX ? (uint32_t)value : 0;
}

void handle_root_get(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct root_row *row = exchange_alloc(x, sizeof(*row));
    const uint32_t version = version_of(x);
    if (row == NULL) {
        return;
    }
    const int err = version == 0 ? SF_ERR_NOTFOUND : store_root_get(reader_of(x, p), version, row);
    if (err == SF_ERR_NOTFOUND) {
        exchange_fail(x, 404, "no_such_root", "there is no trust root with this version here");
        return;
    }
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    answer_body(x, 200, "application/cose", row->file, row->file_len);
    exchange_finish(x);
}

static json_t *root_json(const struct root_row *row)
{
    return json_pack("{s:I, s:o, s:o, s:I, s:I, s:s, s:o}", "version", (json_int_t)row->id,
                     "issued", json_time(row->issued_at), "expires", json_time(row->expires_at),
                     "release_epoch", (json_int_t)row->release_epoch, "bytes",
                     (json_int_t)row->file_len, "uploaded_by", row->created_by, "uploaded",
                     json_time(row->created_at));
}

void handle_root_list(struct exchange *x, void *ctx)
{
    struct page page;
    if (page_parse(x, &page) != 0) {
        return;
    }
    struct root_row *rows = exchange_alloc(x, page.limit * sizeof(*rows));
    if (rows == NULL) {
        return;
    }
    const int count = store_root_list(reader_of(x, ctx), page.after, rows, page.limit);
    if (count < 0) {
        answer_store_error(x, count);
        return;
    }
    json_t *items = json_array();
    for (int i = 0; i < count; i++) {
        (void)json_array_append_new(items, root_json(&rows[i]));
    }
    answer_list(x, items, (unsigned)count == page.limit ? rows[count - 1].id : 0);
}

static int refuse_root(struct refusal *why, int err, uint32_t newest)
{
    switch (err) {
    case SF_ERR_STATE:
        return refuse(why, 409, "other_status_key",
                      "the trust root does not list this server's status key: devices that have it "
                      "would believe nothing that this server says; list the key of GET "
                      "/api/v1/whoami in the status role, or start the server with the listed one");
    case SF_ERR_ROOT_VERSION:
        return refuse(why, 409, "other_version",
                      "the newest trust root here has version %u: upload the one right after it",
                      newest);
    case SF_ERR_THRESHOLD:
        return refuse(why, 422, "too_few_signatures",
                      "too few root keys have signed: it takes the threshold of the root keys of "
                      "version %u, and of its own; let more of them sign, and merge",
                      newest);
    case SF_ERR_KEY_UNKNOWN:
        return refuse(why, 422, "other_key",
                      "a signature is by a key that is a root key of neither version");
    case SF_ERR_ROOT_LINEAGE:
        return refuse(why, 422, "other_fleet",
                      "the trust root is of another fleet, or a role's epoch goes back");
    default:
        return refuse(why, 422, "bad_root", "the trust root is refused: %s", sf_err_str(err));
    }
}

/* The same bytes once more are no error: an answer may have been lost. */
static int is_there(const struct root_row *newest, const struct root_row *row)
{
    return newest->file_len == row->file_len && memcmp(newest->file, row->file, row->file_len) == 0;
}

static int add_root(struct store_tx *tx, struct change *c)
{
    struct root_row *row = c->data;
    struct root_row newest = {0};
    struct sf_root root;
    int err = store_root_latest(store_tx_reader(tx), &newest);
    if (err < 0 && err != SF_ERR_NOTFOUND) {
        return err;
    }
    if (err == SF_OK && is_there(&newest, row)) {
        *row = newest;
        return SF_OK;
    }
    err = root_accept(file_of(row), file_of(&newest), &c->p->status_key, c->p->crypto, &root);
    if (err < 0) {
        return refuse_root(&c->why, err, (uint32_t)newest.id);
    }
    row->id = root.version;
    row->issued_at = root.issued_at;
    row->expires_at = root.expires;
    row->release_epoch = root.role[SF_ROLE_RELEASE].epoch;
    return store_root_add(tx, row);
}

static void answer_root(struct change *c)
{
    const struct root_row *row = c->data;
    atomic_store(&c->p->live.root, live_root(row));
    log_info("trust root taken", LOG_TEXT("request", c->x->id), LOG_TEXT("who", c->x->who),
             LOG_INT("version", row->id));
    answer_json(c->x, 201, root_json(row));
}

void handle_root_upload(struct exchange *x, void *ctx)
{
    struct root_row *row = exchange_alloc(x, sizeof(*row));
    struct change *c = row == NULL ? NULL : change_new(x, ctx, "root.upload", "");
    if (c == NULL) {
        return;
    }
    *row = (struct root_row){.created_at = c->now, .file_len = (uint32_t)x->body_len};
    memcpy(row->file, x->body, x->body_len); /* the route takes no longer one */
    (void)snprintf(row->created_by, sizeof(row->created_by), "%s", x->who);
    c->run = add_root;
    c->answer = answer_root;
    c->data = row;
    change_submit(c);
}
