/* The plain endpoint: firmware.bin and the documents that name it.
 *
 * Invariants
 *  1. What is served is the product's stable release, for one hardware revision; nothing while the
 *     fleet is frozen.
 *  2. A request changes the database only when it tells something new of its device; nobody waits
 *     for that, because the answer promises nothing.
 *  3. esp_https_ota is sent on to /artifacts/<sha256>: it keeps that URL for all its ranges, so a
 *     pointer that moves meanwhile cannot mix two images. HTTPUpdate does not follow, and asks
 *     once. */
#include "server/protocols/plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/esp8266.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/plain_template.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"
#include "server/protocols/upload.h"

enum {
    BODY_MIN = 512,
    URL_MAX = 768,
    HEX_SIZE = 2 * SF_SHA256_SIZE + 1,
    MANIFESTS_MAX = 64,
    MS_A_SECOND = 1000,
};

/* All that one request is about. */
struct plain_call {
    struct exchange *x;
    struct protocols *p;
    struct store_reader *r;
    const struct plain_login *login;
    struct plain_report report;
    struct release release;
    struct hw_class class;
    struct artifact artifact;
    struct plain_stable stable; /* release_id 0 = none */
    struct device known;
    int is_known;
    enum plain_answer answer;
};

void plain_answer_text(struct exchange *x, int status, const char *sentence)
{
    char *body = arena_alloc(x->arena, BODY_MIN + 1);
    if (body == NULL) {
        exchange_fail(x, 500, "out_of_memory", "%s", sentence);
        return;
    }
    memset(body, ' ', BODY_MIN);
    const int len = snprintf(body, BODY_MIN, "%s\n", sentence);
    body[len > 0 && len < BODY_MIN ? len : 0] = ' ';
    body[BODY_MIN - 1] = '\n';
    answer_body(x, status, "text/plain; charset=utf-8", body, BODY_MIN);
    exchange_finish(x);
}

/* ---- the stable release ---- */

/* The manifest for the revision of ?hw=, or the only one there is: 0, or -1 after answering. */
static int choose_manifest(struct plain_call *c, struct manifest_row *out)
{
    struct manifest_row *rows = exchange_alloc(c->x, MANIFESTS_MAX * sizeof(*rows));
    if (rows == NULL) {
        return -1;
    }
    const char *wanted = exchange_query(c->x, "hw");
    int count = store_manifest_list(c->r, c->release.id, 0, rows, MANIFESTS_MAX);
    int found = -1;
    for (int i = 0; i < count; i++) {
        struct hw_class class;
        if (store_class_get(c->r, rows[i].class_id, &class) == SF_OK &&
            (wanted == NULL || strcmp(class.revision, wanted) == 0)) {
            c->class = class;
            found = found < 0 ? i : MANIFESTS_MAX;
        }
    }
    if (found >= 0 && found < MANIFESTS_MAX) {
        *out = rows[found];
        return 0;
    }
    if (count < 0) {
        answer_store_error(c->x, count);
    } else if (found == MANIFESTS_MAX) {
        plain_answer_text(c->x, 400,
                          "the release has an image for each hardware revision: add ?hw=NAME");
    } else {
        plain_answer_text(c->x, 404, "the stable release has no image for this hardware revision");
    }
    return -1;
}

static void done_checksums(void *arg, int err)
{
    if (err < 0) {
        log_warn("checksums not stored", LOG_TEXT("error", sf_err_name(err)));
    }
    free(arg);
}

struct checksum_job {
    struct store_job job;
    struct artifact row;
};

static int run_checksums(struct store_tx *tx, void *arg)
{
    const struct checksum_job *j = arg;
    return store_artifact_checksums(tx, &j->row);
}

/* An artifact from before there were plain devices: its checksums are computed now and kept. */
static int add_checksums(struct plain_call *c)
{
    static const uint8_t none[SF_MD5_SIZE];
    if (memcmp(c->artifact.md5, none, sizeof(none)) != 0) {
        return SF_OK;
    }
    struct release_image image = {0};
    struct refusal why = {0};
    int fd = -1;
    uint64_t len = 0;
    int err = artifacts_read(c->p->artifacts, c->artifact.digest, &fd, &len);
    if (err != SF_OK) {
        return err;
    }
    int bad = upload_inspect(fd, c->p->crypto, &image, &why);
    (void)close(fd);
    if (bad != 0) {
        return SF_ERR_CORRUPT;
    }
    memcpy(c->artifact.md5, image.md5, SF_MD5_SIZE);
    memcpy(c->artifact.app_sha256, image.app_sha256, DIGEST_SIZE);
    struct checksum_job *j = calloc(1, sizeof(*j));
    if (j != NULL) {
        j->row = c->artifact;
        j->job = (struct store_job){.run = run_checksums, .done = done_checksums, .arg = j};
        if (store_submit(c->p->store, &j->job) != SF_OK) {
            free(j);
        }
    }
    return SF_OK;
}

static void fill_stable(struct plain_call *c)
{
    struct plain_stable *s = &c->stable;
    s->release_id = c->release.id;
    s->class_id = c->class.id;
    s->size = (uint32_t)c->artifact.size;
    memcpy(s->digest, c->artifact.digest, DIGEST_SIZE);
    memcpy(s->md5, c->artifact.md5, SF_MD5_SIZE);
    memcpy(s->app_sha256, c->artifact.app_sha256, DIGEST_SIZE);
    memcpy(s->version, c->release.version, sizeof(s->version));
}

/* Reads the stable release, if there is one: 0, or -1 after answering. */
static int read_stable(struct plain_call *c)
{
    struct manifest_row manifest;
    if (c->login->product.stable_release == 0) {
        return 0;
    }
    int err = store_release_get(c->r, c->login->product.stable_release, &c->release);
    if (err == SF_OK && c->release.state != RELEASE_PUBLISHED) {
        return 0;
    }
    if (err == SF_OK) {
        if (choose_manifest(c, &manifest) != 0) {
            return -1;
        }
        err = store_artifact_find(c->r, manifest.image_digest, &c->artifact);
    }
    err = err == SF_OK ? add_checksums(c) : err;
    if (err != SF_OK) {
        answer_store_error(c->x, err);
        return -1;
    }
    fill_stable(c);
    return 0;
}

/* ---- the inventory ---- */

struct observe_job {
    struct store_job job;
    struct protocols *p;
    struct plain_input in;
    struct plain_report report;
    struct plain_stable release;
    struct plain_decision decision;
    int64_t now;
};

/* Decided again on the row as it is now. */
static int run_observe(struct store_tx *tx, void *arg)
{
    struct observe_job *j = arg;
    struct device known;
    int err = store_device_find(store_tx_reader(tx), j->report.id, &known);
    if (err != SF_OK && err != SF_ERR_NOTFOUND) {
        return err;
    }
    j->in.known = err == SF_OK ? &known : NULL;
    plain_observe(&j->in, j->now, &j->decision);
    j->in.known = NULL;
    return j->decision.changed ? store_plain_apply(tx, &j->decision, j->now) : SF_OK;
}

static void done_observe(void *arg, int err)
{
    struct observe_job *j = arg;
    if (err == SF_OK && j->decision.recorded) {
        const struct device_seen seen = {.device_row = j->decision.device.row,
                                         .last_seen = j->now > 0 ? j->now : 1};
        store_seen(j->p->store, &seen);
    }
    if (err < 0) {
        atomic_fetch_add(&j->p->plain_unrecorded, 1);
    }
    free(j);
}

static void submit_observation(struct plain_call *c, int64_t now)
{
    struct observe_job *j = calloc(1, sizeof(*j));
    if (j == NULL) {
        return;
    }
    j->p = c->p;
    j->now = now;
    j->report = c->report;
    j->release = c->stable;
    j->in = (struct plain_input){.report = &j->report,
                                 .release = &j->release,
                                 .answer = c->answer,
                                 .product_id = c->login->product.id};
    j->job = (struct store_job){.run = run_observe, .done = done_observe, .arg = j};
    if (store_submit(c->p->store, &j->job) != SF_OK) {
        atomic_fetch_add(&c->p->plain_unrecorded, 1);
        free(j);
    }
}

static void observe(struct plain_call *c)
{
    struct plain_decision decision;
    const int64_t now = c->p->now();
    const struct plain_input in = {.known = c->is_known ? &c->known : NULL,
                                   .report = &c->report,
                                   .release = &c->stable,
                                   .answer = c->answer,
                                   .product_id = c->login->product.id};
    plain_observe(&in, now, &decision);
    if (!decision.recorded) {
        return;
    }
    if (!decision.changed) {
        const struct device_seen seen = {.device_row = decision.device.row,
                                         .last_seen = now > 0 ? now : 1};
        store_seen(c->p->store, &seen);
        return;
    }
    const uint64_t who = c->is_known ? (uint64_t)c->known.row : c->x->address;
    struct limit *limit = c->is_known ? &c->p->limits.changes : &c->p->limits.newcomers;
    if (limit_take(limit, who, now * MS_A_SECOND) != 0) {
        atomic_fetch_add(&c->p->plain_unrecorded, 1);
        return;
    }
    submit_observation(c, now);
}

/* ---- answers ---- */

/* Begins every request: 0, or -1 after answering. */
static int open_call(struct plain_call *c, struct exchange *x, void *ctx)
{
    struct freeze freeze;
    *c = (struct plain_call){.x = x, .p = ctx, .login = x->handler_data};
    c->r = reader_of(x, c->p);
    plain_report_read(x, &c->report);
    int err = store_freeze_get(c->r, &freeze);
    if (err == SF_OK && c->report.id[0] != '\0') {
        err = store_device_find(c->r, c->report.id, &c->known);
        c->is_known = err == SF_OK;
        err = err == SF_ERR_NOTFOUND ? SF_OK : err;
    }
    if (err != SF_OK) {
        answer_store_error(x, err);
        return -1;
    }
    if (!plain_may_update(c->is_known ? &c->known : NULL, c->login->product.id)) {
        plain_answer_text(x, 403, "this device was revoked");
        return -1;
    }
    if (read_stable(c) != 0) {
        return -1;
    }
    c->answer = plain_decide(&c->report, &c->stable, freeze.since != 0);
    return 0;
}

/* Whatever is not the file itself: 1 if it was answered. */
static int answer_none(struct plain_call *c)
{
    switch (c->answer) {
    case PLAIN_SEND:
        return 0;
    case PLAIN_UP_TO_DATE:
        answer_empty(c->x, 304);
        return 1;
    case PLAIN_NOTHING:
        plain_answer_text(c->x, 404,
                          c->report.filesystem
                              ? "there are no file system images here, only firmware"
                              : "the product has no stable release");
        return 1;
    case PLAIN_FROZEN:
        break;
    }
    answer_header(c->x, "Retry-After", "300");
    plain_answer_text(c->x, 503, "updates are stopped for the moment: try again later");
    return 1;
}

/* Only what follows redirects is sent on. */
static int follows_redirects(const struct exchange *x)
{
    static const char agent[] = "ESP32 HTTP Client/";
    const char *value = exchange_header(x, "user-agent");
    return value != NULL && strncmp(value, agent, sizeof(agent) - 1) == 0;
}

static void send_file(struct plain_call *c)
{
    struct exchange *x = c->x;
    char hex[HEX_SIZE];
    char md5[2 * SF_MD5_SIZE + 1];
    int fd = -1;
    uint64_t len = 0;
    hex_encode(c->stable.digest, DIGEST_SIZE, hex);
    hex_encode(c->stable.md5, SF_MD5_SIZE, md5);
    if (follows_redirects(x)) {
        const char *to = arena_printf(x->arena, "/artifacts/%s", hex);
        answer_header(x, "Location", to != NULL ? to : "/");
        plain_answer_text(x, 302, "the image is at the address in Location");
        return;
    }
    const char *etag = arena_printf(x->arena, "\"%s\"", hex);
    const char *sum = arena_printf(x->arena, "%s", md5);
    const char *name = arena_printf(x->arena, "attachment; filename=\"%s-%s.bin\"",
                                    c->login->product.name, c->stable.version);
    int err = artifacts_read(c->p->artifacts, c->stable.digest, &fd, &len);
    if (err != SF_OK || etag == NULL || sum == NULL || name == NULL) {
        if (err == SF_OK) {
            (void)close(fd);
        }
        answer_store_error(x, err != SF_OK ? SF_ERR_IO : SF_ERR_NOMEM);
        return;
    }
    answer_header(x, "ETag", etag);
    answer_header(x, "x-MD5", sum);
    answer_header(x, "Content-Disposition", name);
    answer_header(x, "Cache-Control", "private, no-cache");
    x->answer.status = 200;
    x->answer.content_type = "application/octet-stream";
    x->answer.file_fd = fd;
    x->answer.file_offset = 0;
    x->answer.file_len = len;
    exchange_finish(x);
}

void handle_plain_firmware(struct exchange *x, void *ctx)
{
    struct plain_call *c = exchange_alloc(x, sizeof(*c));
    if (c == NULL || open_call(c, x, ctx) != 0) {
        return;
    }
    observe(c);
    if (!answer_none(c)) {
        send_file(c);
    }
}

/* ---- documents ---- */

/* Splits "name:port" and "[v6]:port" of the Host header, which http/ has checked. */
static unsigned split_host(char *host)
{
    char *colon = strrchr(host, ':');
    if (colon == NULL || strchr(colon, ']') != NULL) {
        return 443;
    }
    *colon = '\0';
    const unsigned long port = strtoul(colon + 1, NULL, 10);
    return port > 0 && port <= 65535 ? (unsigned)port : 443;
}

struct texts {
    char sha256[HEX_SIZE];
    char md5[2 * SF_MD5_SIZE + 1];
    char path[URL_MAX];
    char url[URL_MAX + 272];
    char host[256];
};

/* The address of firmware.bin as this very client may use it: with its token, if it has one. */
static void fill_address(const struct plain_call *c, struct texts *t, struct plain_release *f)
{
    const char *host = exchange_header(c->x, "host");
    const char *token = c->login->token;
    const char *hw = exchange_query(c->x, "hw");
    (void)snprintf(t->path, sizeof(t->path), "/ota/%s%s%s/firmware.bin%s%s", c->login->product.name,
                   token != NULL ? "/t/" : "", token != NULL ? token : "", hw != NULL ? "?hw=" : "",
                   hw != NULL ? c->class.revision : "");
    (void)snprintf(t->host, sizeof(t->host), "%s", host != NULL ? host : "");
    (void)snprintf(t->url, sizeof(t->url), "%s%.255s%s", t->host[0] != '\0' ? "https://" : "",
                   t->host, t->host[0] != '\0' ? t->path : "firmware.bin");
    f->port = split_host(t->host);
}

static void fill_facts(const struct plain_call *c, struct texts *t, struct plain_release *f)
{
    const char *chip = chip_any_name(c->login->product.chip_id);
    hex_encode(c->stable.digest, DIGEST_SIZE, t->sha256);
    hex_encode(c->stable.md5, SF_MD5_SIZE, t->md5);
    fill_address(c, t, f);
    f->product = c->login->product.name;
    f->hw_revision = c->class.revision;
    f->version = c->release.version;
    f->notes = c->release.notes;
    f->project = c->artifact.project;
    f->chip = chip != NULL ? chip : "";
    f->sha256 = t->sha256;
    f->md5 = t->md5;
    f->image_url = t->url;
    f->file = "firmware.bin";
    f->host = t->host;
    f->path = t->path;
    f->size_bytes = c->stable.size;
    f->secure_version = c->release.secure_version;
}

/* Takes over the reference. */
static void answer_document(struct exchange *x, json_t *root)
{
    char *text = root != NULL ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    char *copy = text != NULL ? arena_printf(x->arena, "%s\n", text) : NULL;
    json_decref(root);
    free(text);
    if (copy == NULL) {
        answer_store_error(x, SF_ERR_NOMEM);
        return;
    }
    answer_header(x, "Cache-Control", "private, no-cache");
    answer_body(x, 200, "application/json", copy, strlen(copy));
    exchange_finish(x);
}

/* A document is asked for by those who decide themselves: it exists or it does not. */
static struct plain_call *open_document(struct exchange *x, void *ctx, struct texts **texts,
                                        struct plain_release *facts)
{
    struct plain_call *c = exchange_alloc(x, sizeof(*c));
    *texts = c == NULL ? NULL : exchange_alloc(x, sizeof(**texts));
    if (*texts == NULL || open_call(c, x, ctx) != 0 || answer_none(c)) {
        return NULL;
    }
    fill_facts(c, *texts, facts);
    return c;
}

void handle_plain_version(struct exchange *x, void *ctx)
{
    struct plain_release facts = {0};
    struct texts *texts = NULL;
    const struct plain_call *c = open_document(x, ctx, &texts, &facts);
    if (c != NULL) {
        const char *template = c->login->product.version_template;
        answer_document(x, template[0] != '\0' ? plain_template_fill(template, &facts)
                                               : plain_version_json(&facts));
    }
}

void handle_plain_manifest(struct exchange *x, void *ctx)
{
    struct plain_release facts = {0};
    struct texts *texts = NULL;
    if (open_document(x, ctx, &texts, &facts) != NULL) {
        answer_header(x, "Access-Control-Allow-Origin", "*"); /* a browser flashes from any page */
        facts.image_url = facts.file;                         /* links go on with the token */
        answer_document(x, plain_manifest_json(&facts));
    }
}

void handle_plain_md5(struct exchange *x, void *ctx)
{
    struct plain_release facts = {0};
    struct texts *texts = NULL;
    if (open_document(x, ctx, &texts, &facts) != NULL) {
        answer_body(x, 200, "text/plain; charset=utf-8", texts->md5, strlen(texts->md5));
        exchange_finish(x);
    }
}
