/* Images as bytes: served by their SHA-256 to anyone who knows it, taken from publishers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/esp8266.h"
#include "base/hex.h"
#include "base/log.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"
#include "server/protocols/text.h"
#include "server/protocols/upload.h"

enum {
    ETAG_SIZE = ARTIFACT_HEX_SIZE + 2,
    FRESH_S = 86400, /* far from the age at which unused images are collected */
};

/* The route's digest, or -1 after answering `status`. */
static int digest_of(struct exchange *x, int status, uint8_t digest[SF_SHA256_SIZE])
{
    const char *hex = exchange_param(x, "sha256");
    if (hex != NULL && artifact_digest_decode(hex, digest) == SF_OK) {
        return 0;
    }
    exchange_fail(x, status, "bad_digest",
                  "an artifact is named by the 64 lower-case hex digits of its SHA-256");
    return -1;
}

void handle_artifact_get(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    uint8_t digest[SF_SHA256_SIZE];
    if (digest_of(x, 404, digest) != 0) {
        return;
    }
    char *etag = exchange_alloc(x, ETAG_SIZE);
    if (etag == NULL) {
        return;
    }
    int fd = -1;
    uint64_t len = 0;
    int err = artifacts_read(p->artifacts, digest, &fd, &len);
    if (err == SF_ERR_NOTFOUND) {
        exchange_fail(x, 404, "no_such_artifact", "there is no artifact with this SHA-256");
        return;
    }
    if (err != SF_OK) {
        answer_header(x, "Retry-After", "5");
        exchange_fail(x, 503, "store_unavailable", "the artifact cannot be read now: try again");
        return;
    }
    (void)snprintf(etag, ETAG_SIZE, "\"%s\"", exchange_param(x, "sha256"));
    answer_header(x, "ETag", etag);
    answer_header(x, "Cache-Control", "public, immutable, max-age=31536000");
    x->answer.status = 200;
    x->answer.content_type = "application/octet-stream";
    x->answer.file_fd = fd;
    x->answer.file_offset = 0;
    x->answer.file_len = len;
    exchange_finish(x);
}

static json_t *artifact_json(const struct artifact *a)
{
    char hex[2 * SF_SHA256_SIZE + 1];
    hex_encode(a->digest, SF_SHA256_SIZE, hex);
    const char *chip = chip_any_name(a->chip_id);
    return json_pack("{s:s, s:I, s:s?, s:s, s:s, s:I, s:b, s:o, s:s, s:I}", "sha256", hex, "size",
                     (json_int_t)a->size, "chip", chip, "version", a->version, "project",
                     a->project, "secure_version", (json_int_t)a->secure_version, "has_record",
                     (int)a->has_record, "class_uuid",
                     a->has_record ? json_uuid(a->class_uuid) : json_null(), "created_by",
                     a->created_by, "created", (json_int_t)a->created_at);
}

static int have_bytes(const struct protocols *p, const uint8_t digest[SF_SHA256_SIZE])
{
    int fd = -1;
    uint64_t len = 0;
    if (artifacts_read(p->artifacts, digest, &fd, &len) != SF_OK) {
        return 0;
    }
    (void)close(fd);
    return 1;
}

/* The collector of unused images removes bytes on this thread too: what is there now stays. */
static int add_artifact(struct store_tx *tx, struct change *c)
{
    struct artifact *row = c->data;
    if (!have_bytes(c->p, row->digest)) {
        return refuse(&c->why, 503, "store_unavailable",
                      "the image was removed as unused a moment ago: upload it again");
    }
    int err = store_artifact_add(tx, row);
    return err == SF_ERR_EXISTS ? store_artifact_touch(tx, row->digest, c->now) : err;
}

static void answer_stored(struct change *c)
{
    answer_json(c->x, 201, artifact_json(c->data));
}

static void answer_kept(struct change *c)
{
    answer_json(c->x, 200, artifact_json(c->data));
}

/* Printable ASCII of an app_desc field; other bytes become '?': the database keeps UTF-8. */
static void copy_printable(const char *from, char *out, size_t size)
{
    size_t len = 0;
    for (; from[len] != '\0' && len + 1 < size; len++) {
        out[len] = '?';
        if (from[len] >= ' ' && from[len] <= '~') {
            out[len] = from[len];
        }
    }
    out[len] = '\0';
}

static void fill_row(struct artifact *row, const struct release_image *image,
                     const struct exchange *x)
{
    const struct sf_image_head *head = &image->head;
    memcpy(row->digest, image->digest, SF_SHA256_SIZE);
    row->size = image->length;
    memcpy(row->md5, image->md5, SF_MD5_SIZE);
    memcpy(row->app_sha256, image->app_sha256, SF_SHA256_SIZE);
    row->chip_id = head->header.chip_id;
    if (head->has_desc) {
        row->secure_version = head->desc.secure_version;
        copy_printable(head->desc.version, row->version, sizeof(row->version));
        copy_printable(head->desc.project_name, row->project, sizeof(row->project));
    }
    row->has_record = head->has_record != 0;
    if (head->has_record) {
        memcpy(row->class_uuid, head->record.class_uuid, SF_UUID_SIZE);
    }
    (void)snprintf(row->created_by, sizeof(row->created_by), "%s", x->who);
}

/* Parses the upload and moves it to its place: 0, or -1 after answering. */
static int take_upload(struct exchange *x, const struct protocols *p, struct release_image *image)
{
    struct refusal why = {0};
    int fd = upload_open(x->body_path, &why);
    int result = fd < 0 ? -1 : upload_inspect(fd, p->crypto, image, &why);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (result != 0) {
        answer_refusal(x, &why);
        return -1;
    }
    int err = artifacts_put(p->artifacts, x->body_path, image->digest);
    if (err == SF_ERR_NOSPC) {
        exchange_fail(x, 507, "disk_full",
                      "the server's disk is full: free space, then upload again");
    } else if (err != SF_OK) {
        answer_header(x, "Retry-After", "5");
        exchange_fail(x, 503, "store_unavailable", "the image cannot be stored now (%s): try again",
                      sf_err_str(err));
    }
    return err == SF_OK ? 0 : -1;
}

const char *protocols_refuse_upload(void *ctx, struct arena *arena, uint64_t written, uint64_t more)
{
    const struct protocols *p = ctx;
    char why[ROOM_WHY_MAX];
    if (room_check(&p->room, written, more, why) == SF_OK) {
        return NULL;
    }
    log_warn("upload refused", LOG_TEXT("why", why));
    const char *copy = arena_strdup(arena, why);
    return copy != NULL ? copy : "the server has no room for this image";
}

void handle_artifact_put(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct release_image image = {0};
    if (digest_of(x, 400, image.digest) != 0) {
        return;
    }
    if (memcmp(image.digest, x->body_sha256, SF_SHA256_SIZE) != 0) {
        exchange_fail(x, 422, "other_digest",
                      "the body's SHA-256 is not the one in the path: the upload is damaged or "
                      "named wrongly");
        return;
    }
    struct artifact *row = exchange_alloc(x, sizeof(*row));
    if (row == NULL) {
        return;
    }
    int err = store_artifact_find(reader_of(x, p), image.digest, row);
    if (err != SF_OK && err != SF_ERR_NOTFOUND) {
        answer_store_error(x, err);
        return;
    }
    int kept = err == SF_OK && have_bytes(p, image.digest);
    if (kept && row->created_at <= p->now() && p->now() - row->created_at < FRESH_S) {
        answer_json(x, 200, artifact_json(row));
        return;
    }
    if (!kept && take_upload(x, p, &image) != 0) {
        return;
    }
    struct change *c = change_new(x, p, "artifact.upload", exchange_param(x, "sha256"));
    if (c == NULL) {
        return;
    }
    if (!kept) {
        memset(row, 0, sizeof(*row));
        fill_row(row, &image, x);
    }
    row->created_at = c->now;
    c->data = row;
    c->run = add_artifact;
    c->answer = kept ? answer_kept : answer_stored;
    change_detail(c,
                  json_pack("{s:I, s:s}", "size", (json_int_t)row->size, "version", row->version));
    change_submit(c);
}
