/* Products, their hardware revisions, enrolment tokens and target. */
#include <stdio.h>
#include <string.h>

#include "base/esp8266.h"
#include "base/p256.h"
#include "base/plain_template.h"
#include "base/uuid.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"
#include "server/protocols/text.h"

enum {
    HW_REVISIONS_MAX = 64,
    SLOT_SIZE_MIN = 65536,
    SLOT_SIZE_MAX = 16 * 1024 * 1024,
    INTERVAL_MIN_S = 10,
    INTERVAL_MAX_S = 30 * 86400,
    DOMAIN_MAX = 253,
    ENROL_DAYS_DEFAULT = 3650,
    ENROL_DAYS_MAX = 36500,
    DAY_S = 86400,
    KEY_HEX_SIZE = 2 * SF_P256_KEY_SIZE,
};

static json_t *classes_json(struct store_reader *r, int64_t product_id)
{
    struct hw_class rows[HW_REVISIONS_MAX];
    int count = store_class_list(r, product_id, 0, rows, HW_REVISIONS_MAX);
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_t *one = json_pack("{s:s, s:o, s:I}", "name", rows[i].revision, "class_uuid",
                                json_uuid(rows[i].uuid), "last_seq", (json_int_t)rows[i].last_seq);
        (void)json_array_append_new(list, one);
    }
    return list;
}

static json_t *key_json(struct arena *a, const uint8_t key[SF_P256_KEY_SIZE])
{
    static const uint8_t none[SF_P256_KEY_SIZE];
    return memcmp(key, none, sizeof(none)) == 0 ? json_null() : json_hex(a, key, SF_P256_KEY_SIZE);
}

static json_t *product_json(struct exchange *x, struct store_reader *r, const struct product *row)
{
    return json_pack(
        "{s:s, s:s, s:s?, s:o, s:I, s:I, s:o, s:o, s:s, s:o, s:s, s:o, s:o}", "name", row->name,
        "kind", product_kind_str(row->kind), "chip", chip_any_name(row->chip_id), "vendor_uuid",
        json_uuid(row->vendor_uuid), "slot_size", (json_int_t)row->slot_size, "checkin_interval_s",
        (json_int_t)row->checkin_interval_s, "release_key", key_json(x->arena, row->release_key),
        "target", json_version(r, row->target_release), "plain_access",
        plain_access_str(row->plain_access), "stable", json_version(r, row->stable_release),
        "version_template", row->version_template, "created", json_time(row->created_at),
        "hw_revisions", classes_json(r, row->id));
}

/* After a change: the product as it is now. */
static void answer_product(struct change *c, int status, const char *enrol_token)
{
    struct product row;
    struct store_reader *r = reader_of(c->x, c->p);
    int err = store_product_find(r, c->object, &row);
    if (err != SF_OK) {
        answer_store_error(c->x, err);
        return;
    }
    json_t *body = product_json(c->x, r, &row);
    if (enrol_token != NULL) {
        (void)json_object_set_new(body, "enrol_token", json_string(enrol_token));
        answer_header(c->x, "Cache-Control", "no-store");
    }
    answer_json(c->x, status, body);
}

static void answer_changed(struct change *c)
{
    answer_product(c, 200, NULL);
}

void handle_product_list(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct page page;
    if (page_parse(x, &page) != 0) {
        return;
    }
    struct product *rows = exchange_alloc(x, page.limit * sizeof(*rows));
    if (rows == NULL) {
        return;
    }
    struct store_reader *r = reader_of(x, p);
    int count = store_product_list(r, page.after, rows, page.limit);
    if (count < 0) {
        answer_store_error(x, count);
        return;
    }
    json_t *items = json_array();
    for (int i = 0; i < count; i++) {
        (void)json_array_append_new(items, product_json(x, r, &rows[i]));
    }
    answer_list(x, items, count == (int)page.limit ? rows[count - 1].id : 0);
}

void handle_product_show(struct exchange *x, void *ctx)
{
    const struct product *product = product_of(x, ctx);
    if (product != NULL) {
        answer_json(x, 200, product_json(x, reader_of(x, ctx), product));
    }
}

/* A product and what comes with it, as asked for. */
struct product_job {
    struct product row;
    const char *revision[HW_REVISIONS_MAX];
    size_t revision_count;
    int has_slot_size;
    int has_interval;
    int has_release_key;
    int has_plain_access;
    int has_template;
    struct enrol_token enrol;
    char enrol_text[PROTOCOLS_TOKEN_SIZE];
};

static int revision_valid(const char *text)
{
    size_t len = strlen(text);
    return len >= 1 && len <= SF_HW_REVISION_MAX &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static void read_revisions(struct request *r, struct product_job *job)
{
    size_t count = request_array(r, "hw_revisions", OPTIONAL, HW_REVISIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *text = request_element(r, "hw_revisions", i);
        if (text != NULL && !revision_valid(text)) {
            request_refuse(r, "bad_field",
                           "field 'hw_revisions[%zu]' must be 1 to 15 of A-Z, a-z, 0-9, '.', '_' "
                           "and '-'",
                           i);
        }
        job->revision[job->revision_count++] = text;
    }
}

/* A key that is no point of the curve would refuse every release: better told now. */
static void read_release_key(struct request *r, struct product *row)
{
    const char *hex = request_text(r, "release_key", OPTIONAL, KEY_HEX_SIZE);
    if (hex == NULL) {
        return;
    }
    struct p256_key key;
    if (p256_key_from_hex(&key, hex) == SF_OK) {
        memcpy(row->release_key, key.public_key.xy, SF_P256_KEY_SIZE);
    } else {
        request_refuse(r, "bad_field",
                       "field 'release_key' must be a P-256 public key: x and y as "
                       "128 hex digits, as `surefoot key show` prints");
    }
    p256_key_release(&key);
}

static void read_plain_settings(struct request *r, struct product *row)
{
    char why[256];
    const char *access = request_text(r, "plain_access", OPTIONAL, 8);
    if (access != NULL && plain_access_from(access) < 0) {
        request_refuse(r, "bad_field", "field 'plain_access' must be none, token or open");
    } else if (access != NULL) {
        row->plain_access = (uint32_t)plain_access_from(access);
    }
    int none = request_null(r, "version_template");
    const char *template =
        none ? "" : request_text(r, "version_template", OPTIONAL, PLAIN_TEMPLATE_MAX);
    if (template == NULL) {
        return;
    }
    if (template[0] != '\0' && plain_template_check(template, why, sizeof(why)) != 0) {
        request_refuse(r, "bad_template", "field 'version_template' cannot be used: %s", why);
        return;
    }
    (void)snprintf(row->version_template, sizeof(row->version_template), "%s", template);
}

static void read_settings(struct request *r, struct product *row)
{
    row->slot_size =
        (uint32_t)request_int(r, "slot_size", SLOT_SIZE_MIN, SLOT_SIZE_MAX, row->slot_size);
    row->checkin_interval_s = (uint32_t)request_int(r, "checkin_interval_s", INTERVAL_MIN_S,
                                                    INTERVAL_MAX_S, row->checkin_interval_s);
    read_release_key(r, row);
    read_plain_settings(r, row);
}

static void read_kind_and_chip(struct request *r, struct product *row)
{
    const char *kind = request_text(r, "kind", OPTIONAL, 16);
    const char *chip = request_text(r, "chip", REQUIRED, 16);
    row->kind = PRODUCT_SUREFOOT;
    if (kind != NULL && strcmp(kind, "plain") == 0) {
        row->kind = PRODUCT_PLAIN;
    } else if (kind != NULL && strcmp(kind, "surefoot") != 0) {
        request_refuse(r, "bad_field", "field 'kind' must be surefoot or plain");
    }
    row->plain_access = row->kind == PRODUCT_PLAIN ? PLAIN_ACCESS_TOKEN : PLAIN_ACCESS_NONE;
    int chip_id = chip == NULL ? -1 : chip_any_from_name(chip);
    if (chip_id == ESP8266_CHIP && row->kind != PRODUCT_PLAIN) {
        request_refuse(r, "bad_field", "field 'chip': only products of kind plain can be esp8266");
    }
    if (chip_id < 0) {
        request_refuse(r, "bad_field",
                       "field 'chip' is not an ESP32 chip: write esp32, esp32s2, "
                       "esp32s3, esp32c3, esp32c6 and so on");
        return;
    }
    row->chip_id = (uint32_t)chip_id;
}

static int read_product(struct exchange *x, struct product_job *job)
{
    struct request r;
    request_open(&r, x);
    const char *name = request_text(&r, "name", REQUIRED, NAME_MAX_LEN);
    const char *domain = request_text(&r, "vendor_domain", REQUIRED, DOMAIN_MAX);
    if (name != NULL && !text_is_name(name, NAME_MAX_LEN)) {
        request_refuse(&r, "bad_field", "field 'name' may have a-z, 0-9, '.', '_' and '-' only");
    }
    if (domain != NULL && (!text_is_name(domain, DOMAIN_MAX) || strchr(domain, '.') == NULL)) {
        request_refuse(&r, "bad_field",
                       "field 'vendor_domain' must be a domain in lower case, like example.com");
    }
    job->row.slot_size = 0;
    read_kind_and_chip(&r, &job->row);
    read_settings(&r, &job->row);
    if (!request_has(&r, "slot_size")) {
        request_refuse(&r, "missing_field",
                       "field 'slot_size' is missing: the bytes of the "
                       "smallest app slot in the partition table");
    }
    read_revisions(&r, job);
    if (job->revision_count == 0) {
        job->revision[job->revision_count++] = "1";
    }
    if (request_end(&r) != 0) {
        return -1;
    }
    (void)snprintf(job->row.name, sizeof(job->row.name), "%s", name);
    if (uuid_vendor(domain, job->row.vendor_uuid) != SF_OK) {
        exchange_fail(x, 500, "internal", "the vendor's UUID cannot be computed");
        return -1;
    }
    return 0;
}

/* Adds those revisions that are not there yet. */
static int add_classes(struct store_tx *tx, struct change *c, const struct product_job *job)
{
    for (size_t i = 0; i < job->revision_count; i++) {
        struct hw_class class = {.product_id = job->row.id, .created_at = c->now};
        (void)snprintf(class.revision, sizeof(class.revision), "%s", job->revision[i]);
        int err = uuid_class(job->row.vendor_uuid, job->row.name, class.revision, class.uuid);
        if (err == SF_OK) {
            err = store_class_add(tx, &class);
        }
        if (err != SF_OK && err != SF_ERR_EXISTS) {
            return err;
        }
    }
    return SF_OK;
}

static int create_product(struct store_tx *tx, struct change *c)
{
    struct product_job *job = c->data;
    int err = store_product_add(tx, &job->row);
    if (err == SF_ERR_EXISTS) {
        return refuse(&c->why, 409, "exists", "there is a product '%s' already", job->row.name);
    }
    if (err == SF_OK) {
        err = add_classes(tx, c, job);
    }
    if (err == SF_OK) {
        job->enrol.product_id = job->row.id;
        err = store_enrol_token_add(tx, &job->enrol, 0);
    }
    return err;
}

static void answer_created(struct change *c)
{
    const struct product_job *job = c->data;
    answer_product(c, 201, job->enrol_text);
}

static int make_enrol_token(const struct protocols *p, int64_t now, int64_t days,
                            struct product_job *job)
{
    job->enrol.created_at = now;
    job->enrol.expires_at = now + days * DAY_S;
    /* without prefix: 64 digits are as long as a device's may be */
    return secret_make(p->crypto, "", job->enrol_text, job->enrol.digest);
}

void handle_product_create(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct product_job *job = exchange_alloc(x, sizeof(*job));
    if (job == NULL || read_product(x, job) != 0) {
        return;
    }
    struct change *c = change_new(x, p, "product.create", job->row.name);
    if (c == NULL) {
        return;
    }
    job->row.created_at = c->now;
    job->row.changed_at = c->now;
    int err = make_enrol_token(p, c->now, ENROL_DAYS_DEFAULT, job);
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    c->data = job;
    c->run = create_product;
    c->answer = answer_created;
    change_detail(c, json_pack("{s:s, s:s?, s:I, s:o}", "kind", product_kind_str(job->row.kind),
                               "chip", chip_any_name(job->row.chip_id), "slot_size",
                               (json_int_t)job->row.slot_size, "release_key",
                               key_json(x->arena, job->row.release_key)));
    change_submit(c);
}

/* On the row as it is now: two patches of different fields both hold. */
static int patch_product(struct store_tx *tx, struct change *c)
{
    struct product_job *job = c->data;
    struct product now;
    int err = store_product_get(store_tx_reader(tx), job->row.id, &now);
    if (err != SF_OK) {
        return err;
    }
    if (job->has_slot_size) {
        now.slot_size = job->row.slot_size;
    }
    if (job->has_interval) {
        now.checkin_interval_s = job->row.checkin_interval_s;
    }
    if (job->has_release_key) {
        memcpy(now.release_key, job->row.release_key, sizeof(now.release_key));
    }
    if (job->has_plain_access) {
        now.plain_access = job->row.plain_access;
    }
    if (job->has_template) {
        memcpy(now.version_template, job->row.version_template, sizeof(now.version_template));
    }
    now.changed_at = c->now;
    err = store_product_put(tx, &now);
    return err == SF_OK ? add_classes(tx, c, job) : err;
}

void handle_product_patch(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    const struct product *old = product_of(x, p);
    struct product_job *job = old == NULL ? NULL : exchange_alloc(x, sizeof(*job));
    if (job == NULL) {
        return;
    }
    job->row = *old;
    struct request r;
    request_open(&r, x);
    read_settings(&r, &job->row);
    read_revisions(&r, job);
    job->has_slot_size = request_has(&r, "slot_size");
    job->has_interval = request_has(&r, "checkin_interval_s");
    job->has_release_key = request_has(&r, "release_key");
    job->has_plain_access = request_has(&r, "plain_access");
    job->has_template = request_has(&r, "version_template");
    struct change *c = request_end(&r) != 0 ? NULL : change_new(x, p, "product.change", old->name);
    if (c == NULL) {
        return;
    }
    c->data = job;
    c->run = patch_product;
    c->answer = answer_changed;
    change_detail(c, json_pack("{s:I, s:s, s:I, s:o, s:I}", "slot_size",
                               (json_int_t)job->row.slot_size, "plain_access",
                               plain_access_str(job->row.plain_access), "checkin_interval_s",
                               (json_int_t)job->row.checkin_interval_s, "release_key",
                               key_json(x->arena, job->row.release_key), "hw_revisions_added",
                               (json_int_t)job->revision_count));
    change_submit(c);
}

struct target_job {
    int64_t product_id;
    int64_t release_id;
};

static int set_target(struct store_tx *tx, struct change *c)
{
    const struct target_job *job = c->data;
    int err = store_product_target(tx, job->product_id, job->release_id, c->now);
    if (err == SF_ERR_STATE) {
        return refuse(&c->why, 409, "withdrawn", "this release was withdrawn: choose another");
    }
    return err;
}

void handle_product_target(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    const struct product *product = product_of(x, p);
    struct target_job *job = product == NULL ? NULL : exchange_alloc(x, sizeof(*job));
    if (job == NULL) {
        return;
    }
    struct request r;
    request_open(&r, x);
    int none = request_null(&r, "version");
    const char *version = none ? NULL : request_text(&r, "version", REQUIRED, SF_VERSION_TEXT_MAX);
    if (request_end(&r) != 0) {
        return;
    }
    job->product_id = product->id;
    if (version != NULL) {
        const struct release *release = release_of(x, p, product, version);
        if (release == NULL) {
            return;
        }
        job->release_id = release->id;
    }
    struct change *c = change_new(x, p, "product.target", product->name);
    if (c != NULL) {
        c->data = job;
        c->run = set_target;
        c->answer = answer_changed;
        change_detail(c, json_pack("{s:s?}", "version", version));
        change_submit(c);
    }
}

void handle_enrol_token_list(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct page page;
    const struct product *product = page_parse(x, &page) != 0 ? NULL : product_of(x, p);
    struct enrol_token *rows =
        product == NULL ? NULL : exchange_alloc(x, page.limit * sizeof(*rows));
    if (rows == NULL) {
        return;
    }
    int count = store_enrol_token_list(reader_of(x, p), product->id, page.after, rows, page.limit);
    if (count < 0) {
        answer_store_error(x, count);
        return;
    }
    json_t *items = json_array();
    for (int i = 0; i < count; i++) {
        json_t *one =
            json_pack("{s:I, s:o, s:o}", "id", (json_int_t)rows[i].id, "created",
                      json_time(rows[i].created_at), "expires", json_time(rows[i].expires_at));
        (void)json_array_append_new(items, one);
    }
    answer_list(x, items, count == (int)page.limit ? rows[count - 1].id : 0);
}

struct enrol_job {
    struct product_job product; /* enrol and enrol_text of it */
    int replace;
};

static int create_enrol_token(struct store_tx *tx, struct change *c)
{
    struct enrol_job *job = c->data;
    return store_enrol_token_add(tx, &job->product.enrol, job->replace ? c->now : 0);
}

static void answer_enrol_token(struct change *c)
{
    const struct enrol_job *job = c->data;
    answer_header(c->x, "Cache-Control", "no-store");
    answer_json(c->x, 201,
                json_pack("{s:I, s:s, s:o}", "id", (json_int_t)job->product.enrol.id, "token",
                          job->product.enrol_text, "expires",
                          json_time(job->product.enrol.expires_at)));
}

void handle_enrol_token_create(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    const struct product *product = product_of(x, p);
    struct enrol_job *job = product == NULL ? NULL : exchange_alloc(x, sizeof(*job));
    if (job == NULL) {
        return;
    }
    struct request r;
    request_open(&r, x);
    int64_t days = request_int(&r, "days", 1, ENROL_DAYS_MAX, ENROL_DAYS_DEFAULT);
    job->replace = request_bool(&r, "replace");
    struct change *c =
        request_end(&r) != 0 ? NULL : change_new(x, p, "enrol_token.create", product->name);
    if (c == NULL) {
        return;
    }
    job->product.enrol.product_id = product->id;
    int err = make_enrol_token(p, c->now, days, &job->product);
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    c->data = job;
    c->run = create_enrol_token;
    c->answer = answer_enrol_token;
    change_detail(c, json_pack("{s:I, s:b}", "days", (json_int_t)days, "replace", job->replace));
    change_submit(c);
}
