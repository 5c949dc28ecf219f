/* Releases: numbers are reserved, images uploaded (files.c), then a release is published with one
 * manifest for each hardware revision.
 *
 * Invariant: everything a device would refuse is refused here first, by the same parsers: the image
 * is read again from where devices will get it, the envelope is verified with the trust root's
 * release keys, or where there is no trust root, with the product's. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "server/fleet/root.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"
#include "server/protocols/text.h"
#include "server/protocols/upload.h"

enum { MANIFESTS_MAX = 16, FORCES_MAX = 4 };

struct seq_job {
    uint64_t seq;
    struct hw_class class;
    const struct product *product;
};

static int reserve_seq(struct store_tx *tx, struct change *c)
{
    struct seq_job *job = c->data;
    int err = store_seq_reserve(tx, job->class.id, &job->seq);
    if (err == SF_OK) {
        change_detail(c, json_pack("{s:s, s:I}", "hw_revision", job->class.revision, "seq",
                                   (json_int_t)job->seq));
    }
    return err;
}

static void answer_seq(struct change *c)
{
    const struct seq_job *job = c->data;
    answer_json(c->x, 200,
                json_pack("{s:s, s:o, s:o, s:I}", "hw_revision", job->class.revision, "class_uuid",
                          json_uuid(job->class.uuid), "vendor_uuid",
                          json_uuid(job->product->vendor_uuid), "seq", (json_int_t)job->seq));
}

/* Finds the hardware revision by its name: SF_OK, NOTFOUND or an error of the store. */
static int class_named(struct store_reader *r, const struct product *product, const char *revision,
                       struct hw_class *out)
{
    int64_t after = 0;
    int count = 0;
    while ((count = store_class_list(r, product->id, after, out, 1)) == 1) {
        if (strcmp(out->revision, revision) == 0) {
            return SF_OK;
        }
        after = out->id;
    }
    return count < 0 ? count : SF_ERR_NOTFOUND;
}

/* 0, or -1 after answering. */
static int class_of(struct exchange *x, struct protocols *p, const struct product *product,
                    const char *revision, struct hw_class *out)
{
    int err = class_named(reader_of(x, p), product, revision, out);
    if (err == SF_ERR_NOTFOUND) {
        exchange_fail(x, 404, "no_such_hw_revision",
                      "product '%s' has no hardware revision '%.15s': add it with PATCH",
                      product->name, revision);
    } else if (err != SF_OK) {
        answer_store_error(x, err);
    }
    return err == SF_OK ? 0 : -1;
}

void handle_seq_reserve(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    const struct product *product = product_of(x, p);
    struct seq_job *job = product == NULL ? NULL : exchange_alloc(x, sizeof(*job));
    if (job == NULL) {
        return;
    }
    job->product = product;
    struct request r;
    request_open(&r, x);
    const char *revision = request_text(&r, "hw_revision", REQUIRED, SF_HW_REVISION_MAX);
    if (request_end(&r) != 0 || class_of(x, p, product, revision, &job->class) != 0) {
        return;
    }
    struct change *c = change_new(x, p, "seq.reserve", product->name);
    if (c != NULL) {
        c->data = job;
        c->run = reserve_seq;
        c->answer = answer_seq;
        change_submit(c);
    }
}

static json_t *manifest_json(struct store_reader *r, const struct manifest_row *row)
{
    struct hw_class class = {0};
    if (store_class_get(r, row->class_id, &class) != SF_OK) {
        return NULL;
    }
    char image[2 * SF_SHA256_SIZE + 1];
    char digest[2 * SF_SHA256_SIZE + 1];
    hex_encode(row->image_digest, SF_SHA256_SIZE, image);
    hex_encode(row->digest, SF_SHA256_SIZE, digest);
    return json_pack("{s:s, s:o, s:I, s:s, s:I, s:s?, s:I, s:b}", "hw_revision", class.revision,
                     "class_uuid", json_uuid(class.uuid), "seq", (json_int_t)row->seq, "sha256",
                     image, "size", (json_int_t)row->image_size, "manifest_digest",
                     row->envelope_len == 0 ? NULL : digest, "manifest_size",
                     (json_int_t)row->envelope_len, "forced", row->forced != 0);
}

static json_t *release_json(struct store_reader *r, const char *product, const struct release *row)
{
    json_t *list = json_array();
    struct manifest_row manifest = {0};
    while (store_manifest_list(r, row->id, manifest.id, &manifest, 1) == 1) {
        (void)json_array_append_new(list, manifest_json(r, &manifest));
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:b, s:s, s:o, s:s, s:o}", "product", product, "version",
                     row->version, "state",
                     row->state == RELEASE_WITHDRAWN ? "withdrawn" : "published", "secure_version",
                     (json_int_t)row->secure_version, "allow_burn", row->allow_burn != 0,
                     "created_by", row->created_by, "created", json_time(row->created_at), "notes",
                     row->notes, "manifests", list);
}

void handle_release_list(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct page page;
    const struct product *product = page_parse(x, &page) != 0 ? NULL : product_of(x, p);
    struct release *rows = product == NULL ? NULL : exchange_alloc(x, page.limit * sizeof(*rows));
    if (rows == NULL) {
        return;
    }
    struct store_reader *r = reader_of(x, p);
    int count = store_release_list(r, product->id, page.after, rows, page.limit);
    if (count < 0) {
        answer_store_error(x, count);
        return;
    }
    json_t *items = json_array();
    for (int i = 0; i < count; i++) {
        (void)json_array_append_new(items, release_json(r, product->name, &rows[i]));
    }
    answer_list(x, items, count == (int)page.limit ? rows[count - 1].id : 0);
}

void handle_release_show(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    const struct product *product = product_of(x, p);
    const struct release *release =
        product == NULL ? NULL : release_of(x, p, product, exchange_param(x, "version"));
    if (release != NULL) {
        answer_json(x, 200, release_json(reader_of(x, p), product->name, release));
    }
}

void handle_manifest_get(struct exchange *x, void *ctx)
{
    enum { ETAG_SIZE = 2 * SF_SHA256_SIZE + 3 };
    struct protocols *p = ctx;
    struct hw_class class;
    const struct product *product = product_of(x, p);
    const struct release *release =
        product == NULL ? NULL : release_of(x, p, product, exchange_param(x, "version"));
    if (release == NULL || class_of(x, p, product, exchange_param(x, "hw_revision"), &class) != 0) {
        return;
    }
    struct manifest_row *row = exchange_alloc(x, sizeof(*row));
    char *etag = row == NULL ? NULL : exchange_alloc(x, ETAG_SIZE);
    if (etag == NULL) {
        return;
    }
    int err = store_manifest_find(reader_of(x, p), release->id, class.id, row);
    if (err == SF_ERR_NOTFOUND || (err == SF_OK && row->envelope_len == 0)) {
        exchange_fail(x, 404, "no_such_manifest",
                      "release %s of product '%s' has no manifest for hardware revision '%s'",
                      release->version, product->name, class.revision);
        return;
    }
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    char digest[2 * SF_SHA256_SIZE + 1];
    hex_encode(row->digest, SF_SHA256_SIZE, digest);
    (void)snprintf(etag, ETAG_SIZE, "\"%s\"", digest);
    answer_header(x, "ETag", etag);
    answer_body(x, 200, "application/suit-envelope+cose", row->envelope, row->envelope_len);
    exchange_finish(x);
}

/* One entry of "manifests" on its way to a row. */
struct part {
    const char *hw_revision;
    const uint8_t *envelope;
    size_t envelope_len;
    uint8_t artifact[SF_SHA256_SIZE];
    struct hw_class class;
    struct sf_manifest manifest;
    struct release_image image;
};

struct publication {
    const struct product *product;
    const char *version;
    const char *notes;
    unsigned force; /* enum release_force */
    struct part part[MANIFESTS_MAX];
    size_t part_count;
    struct sf_public_key release_key[SF_ROOT_ROLE_KEY_MAX];
    struct sf_verifier verifier; /* of manifests: release_key, and how many of them */
    struct release release;
    struct product now; /* the product when the writer decides */
};

static void read_parts(struct request *r, struct publication *pub)
{
    pub->part_count = request_array(r, "manifests", REQUIRED, MANIFESTS_MAX);
    for (size_t i = 0; i < pub->part_count; i++) {
        struct part *part = &pub->part[i];
        request_enter(r, "manifests", i);
        part->hw_revision = request_text(r, "hw_revision", REQUIRED, SF_HW_REVISION_MAX);
        if (pub->product->kind == PRODUCT_PLAIN) {
            (void)request_hex(r, "artifact", REQUIRED, part->artifact, SF_SHA256_SIZE);
        } else {
            part->envelope = request_base64(r, "envelope", SF_ENVELOPE_MAX, &part->envelope_len);
        }
        request_leave(r);
    }
}

static void read_force(struct request *r, struct publication *pub)
{
    size_t count = request_array(r, "force", OPTIONAL, FORCES_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *name = request_element(r, "force", i);
        if (name != NULL && strcmp(name, "no-record") != 0) {
            request_refuse(r, "bad_field", "field 'force[%zu]': only \"no-record\" can be forced",
                           i);
        }
        pub->force |= RELEASE_FORCE_NO_RECORD;
    }
}

static int read_publication(struct exchange *x, struct publication *pub)
{
    struct request r;
    request_open(&r, x);
    char why[RELEASE_WHY_SIZE];
    pub->version = request_text(&r, "version", REQUIRED, SF_VERSION_TEXT_MAX);
    if (pub->version != NULL && release_check_version(pub->version, why) != SF_OK) {
        request_refuse(&r, "bad_field", "%s", why);
    }
    pub->notes = request_text(&r, "notes", OPTIONAL, STORE_NOTES_MAX);
    pub->release.allow_burn = (uint32_t)request_bool(&r, "allow_burn");
    read_force(&r, pub);
    read_parts(&r, pub);
    return request_end(&r);
}

/* Reads the stored image again, as a device would: 0, or -1 with the refusal. */
static int inspect_artifact(const struct protocols *p, struct part *part, struct refusal *why)
{
    int fd = -1;
    uint64_t len = 0;
    int err = artifacts_read(p->artifacts, part->artifact, &fd, &len);
    if (err == SF_ERR_NOTFOUND) {
        return refuse(
            why, 422, "no_such_artifact",
            "hardware revision '%s': the image is not on the server; upload it first with "
            "PUT /api/v1/artifacts/<sha256>",
            part->hw_revision);
    }
    if (err != SF_OK) {
        return refuse(why, 503, "store_unavailable", "the image cannot be read now: try again");
    }
    memcpy(part->image.digest, part->artifact, SF_SHA256_SIZE);
    part->image.name = part->hw_revision;
    int result = upload_inspect(fd, p->crypto, &part->image, why);
    (void)close(fd);
    return result;
}

static int open_part(const struct protocols *p, const struct publication *pub, struct part *part,
                     struct refusal *why)
{
    if (pub->product->kind == PRODUCT_SUREFOOT) {
        struct sf_bytes envelope = {part->envelope, part->envelope_len};
        if (upload_open_manifest(envelope, &pub->verifier, &part->manifest, why) != 0) {
            return -1;
        }
        memcpy(part->artifact, part->manifest.image_digest, SF_SHA256_SIZE);
    }
    return inspect_artifact(p, part, why);
}

/* By whose keys: the trust root's if there is one, else the product's. 0, or -1 after answering. */
static int find_release_keys(struct exchange *x, struct protocols *p, struct publication *pub)
{
    static const uint8_t none[SF_P256_KEY_SIZE];
    struct root_row row;
    struct sf_root root;
    int err = store_root_latest(reader_of(x, p), &row);
    if (err == SF_OK) {
        err = root_load((struct sf_bytes){row.file, row.file_len}, p->crypto, &root);
        pub->verifier = root_release_verifier(&root, p->crypto, pub->release_key);
    } else if (err == SF_ERR_NOTFOUND &&
               memcmp(pub->product->release_key, none, sizeof(none)) == 0) {
        exchange_fail(x, 409, "no_release_key",
                      "product '%s' has no release key: register it with PATCH "
                      "{\"release_key\": ...}",
                      pub->product->name);
        return -1;
    } else if (err == SF_ERR_NOTFOUND) {
        err = sf_public_key_init(pub->release_key, p->crypto, pub->product->release_key);
        pub->verifier = (struct sf_verifier){.key = pub->release_key, .crypto = p->crypto};
    }
    if (err != SF_OK) {
        answer_store_error(x, err);
    }
    return err == SF_OK ? 0 : -1;
}

/* Everything that needs no lock: 0, or -1 after answering. */
static int open_parts(struct exchange *x, struct protocols *p, struct publication *pub)
{
    if (pub->product->kind == PRODUCT_SUREFOOT && find_release_keys(x, p, pub) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pub->part_count; i++) {
        struct part *part = &pub->part[i];
        struct refusal why = {0};
        if (class_of(x, p, pub->product, part->hw_revision, &part->class) != 0) {
            return -1;
        }
        if (open_part(p, pub, part, &why) != 0) {
            answer_refusal(x, &why);
            return -1;
        }
    }
    return 0;
}

/* The rules, on the rows as they are now. */
static int check_part(struct store_reader *r, const struct publication *pub, struct part *part,
                      struct refusal *refusal)
{
    const struct product *product = pub->product;
    struct release_context context = {
        .product = product->name,
        .kind = product->kind,
        .chip_id = product->chip_id,
        .smallest_slot = product->slot_size,
        .hw_revision = part->hw_revision,
        .force = pub->force,
    };
    int err = store_class_get(r, part->class.id, &part->class);
    if (err == SF_OK) {
        err = store_release_secure_version(r, product->id, &context.latest_secure_version);
    }
    if (err != SF_OK) {
        return err;
    }
    memcpy(context.vendor_uuid, product->vendor_uuid, SF_UUID_SIZE);
    memcpy(context.class_uuid, part->class.uuid, SF_UUID_SIZE);
    context.reserved_seq = part->class.next_seq;
    context.last_seq = part->class.last_seq;
    char why[RELEASE_WHY_SIZE];
    err = release_check_image(&context, &part->image, why);
    if (err == SF_OK && product->kind == PRODUCT_SUREFOOT) {
        err = release_check_manifest(&context, &part->image, &part->manifest, pub->version, why);
    }
    return err == SF_OK ? SF_OK : refuse(refusal, 422, upload_code(err), "%s", why);
}

static int add_part(struct store_tx *tx, const struct publication *pub, const struct part *part,
                    struct refusal *why)
{
    struct manifest_row row = {
        .release_id = pub->release.id,
        .class_id = part->class.id,
        .seq = part->manifest.seq,
        .image_size = part->image.length,
        .forced = part->image.head.has_record ? 0 : pub->force,
        .envelope_len = (uint32_t)part->envelope_len,
    };
    memcpy(row.image_digest, part->artifact, SF_SHA256_SIZE);
    if (pub->product->kind == PRODUCT_PLAIN) { /* no manifest, but the numbers are unique */
        int reserved = store_seq_reserve(tx, part->class.id, &row.seq);
        if (reserved != SF_OK) {
            return reserved;
        }
    } else {
        memcpy(row.digest, part->manifest.digest, SF_SHA256_SIZE);
        memcpy(row.envelope, part->envelope, part->envelope_len);
    }
    int err = store_manifest_add(tx, &row);
    if (err == SF_ERR_EXISTS) {
        return refuse(why, 409, "exists",
                      "hardware revision '%s' is there twice, or its manifest was published before",
                      part->hw_revision);
    }
    if (err == SF_ERR_NOTFOUND) {
        return refuse(why, 422, "no_such_artifact",
                      "hardware revision '%s': the image is not registered; upload it again",
                      part->hw_revision);
    }
    return err;
}

/* The envelopes were verified with the key that the product had then. */
static int same_key(struct store_reader *r, struct publication *pub, struct refusal *why)
{
    int err = store_product_get(r, pub->product->id, &pub->now);
    if (err != SF_OK) {
        return err;
    }
    if (memcmp(pub->now.release_key, pub->product->release_key, SF_P256_KEY_SIZE) != 0) {
        return refuse(why, 409, "key_changed",
                      "the release key of product '%s' was changed meanwhile: publish again",
                      pub->now.name);
    }
    pub->product = &pub->now;
    return SF_OK;
}

static int publish(struct store_tx *tx, struct change *c)
{
    struct publication *pub = c->data;
    struct store_reader *r = store_tx_reader(tx);
    int same = same_key(r, pub, &c->why);
    if (same != SF_OK) {
        return same;
    }
    for (size_t i = 0; i < pub->part_count; i++) {
        int err = check_part(r, pub, &pub->part[i], &c->why);
        if (err != SF_OK) {
            return err;
        }
        const struct sf_image_head *head = &pub->part[i].image.head;
        if (head->has_desc && head->desc.secure_version > pub->release.secure_version) {
            pub->release.secure_version = head->desc.secure_version;
        }
    }
    if (pub->release.allow_burn && pub->release.secure_version == 0) {
        return refuse(&c->why, 422, "nothing_to_burn",
                      "'allow_burn' permits devices to burn the images' secure_version into their "
                      "eFuses, and it is 0: leave 'allow_burn' out");
    }
    int err = store_release_add(tx, &pub->release);
    if (err == SF_ERR_EXISTS) {
        return refuse(&c->why, 409, "exists", "product '%s' has a release '%s' already",
                      pub->product->name, pub->version);
    }
    for (size_t i = 0; i < pub->part_count && err == SF_OK; i++) {
        err = add_part(tx, pub, &pub->part[i], &c->why);
    }
    return err;
}

static void answer_published(struct change *c)
{
    const struct publication *pub = c->data;
    answer_json(c->x, 201, release_json(reader_of(c->x, c->p), pub->product->name, &pub->release));
}

void handle_release_publish(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct publication *pub = exchange_alloc(x, sizeof(*pub));
    if (pub == NULL) {
        return;
    }
    pub->product = product_of(x, p);
    if (pub->product == NULL || read_publication(x, pub) != 0 || open_parts(x, p, pub) != 0) {
        return;
    }
    const char *object = arena_printf(x->arena, "%s %s", pub->product->name, pub->version);
    struct change *c = change_new(x, p, "release.publish", object == NULL ? pub->version : object);
    if (c == NULL) {
        return;
    }
    pub->release.product_id = pub->product->id;
    pub->release.state = RELEASE_PUBLISHED;
    pub->release.created_at = c->now;
    (void)snprintf(pub->release.version, sizeof(pub->release.version), "%s", pub->version);
    (void)snprintf(pub->release.created_by, sizeof(pub->release.created_by), "%s", x->who);
    (void)snprintf(pub->release.notes, sizeof(pub->release.notes), "%s",
                   pub->notes == NULL ? "" : pub->notes);
    c->data = pub;
    c->run = publish;
    c->answer = answer_published;
    change_detail(c,
                  json_pack("{s:I, s:b, s:b}", "manifests", (json_int_t)pub->part_count, "forced",
                            pub->force != 0, "allow_burn", pub->release.allow_burn != 0));
    change_submit(c);
}
