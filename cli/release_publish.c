/* surefoot release publish.
 *
 * 1. Everything that can be found wrong without changing anything on the server is found before the
 *    first upload. A publication that fails later leaves an unreferenced artifact and a skipped
 *    sequence number behind, both harmless.
 * 2. The release key never leaves this machine. */

#include "cli/release_publish.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/uuid.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/file.h"
#include "cli/keys.h"
#include "cli/manifest_make.h"
#include "cli/out.h"
#include "cli/passphrase.h"

enum {
    P_PRODUCT,
    P_KEY,
    P_TARGET,
    P_NOTES,
    P_NO_RECORD,
    P_BURN,
    P_HW,
    P_VERSION,
    P_QUIET,
    P_PASSPHRASE
};

enum { LIST_MAX = 100000 };

const struct cli_option release_publish_options[] = {
    {"product", "NAME", "the product (required)", 'p', 0},
    {"key", "FILE", "the private release key, a file or a token's URI (but for plain products)",
     'k', 0},
    {"target", NULL, "let the product's devices run it at once", 0, 0},
    {"notes", "TEXT", "what is new, for people", 0, 0},
    {"allow-no-record", NULL, "publish an image that can never be updated by Surefoot again", 0, 0},
    {"allow-burn", NULL, "permit devices to burn the image's secure_version: no way back from it",
     0, 0},
    {"hw-revision", "NAME", "the hardware revision of an image without updater record", 0, 0},
    {"release-version", "TEXT", "the version of an image that says none (esp8266)", 0, 0},
    {"quiet", NULL, "say nothing on stderr but warnings and errors", 'q', 0},
    PASSPHRASE_OPTION,
    {NULL, NULL, NULL, 0, 0},
};

/* One image on its way. */
struct publication {
    const char *path;
    struct file_bytes file;
    struct inspect image;
    const char *hw_revision; /* of the product's JSON */
    uint8_t class_uuid[SF_UUID_SIZE];
    char sha256[2 * SF_SHA256_SIZE + 1];
};

struct publish {
    const struct cli_args *args;
    struct client client;
    const char *product_name;
    json_t *product;
    int is_plain;
    struct signing_key key;
    struct publication *image;
    unsigned count;
    json_t *there; /* the release of this version with these images, if it is published already */
};

/* ---- early refusals ---- */

/* The image's own version, else the one that was given. */
static int take_version(const struct publish *p, struct publication *i)
{
    const char *given = cli_value(p->args, P_VERSION);
    char *version = i->image.head.desc.version;
    if (version[0] == '\0' && given) {
        snprintf(version, sizeof i->image.head.desc.version, "%s", given);
    }
    if (version[0] == '\0') {
        return cli_fail(CLI_REFUSED,
                        "cannot publish '%s': the image says no version; give it one with "
                        "--release-version",
                        i->path);
    }
    if (given && strcmp(version, given) != 0) {
        return cli_fail(CLI_REFUSED, "cannot publish '%s': the image says that it is %s, not %s",
                        i->path, version, given);
    }
    return CLI_OK;
}

static int load_image(const struct publish *p, struct publication *i)
{
    int status = file_read(i->path, FILE_IMAGE_MAX, &i->file);
    if (status != CLI_OK) {
        return status;
    }
    if (inspect_image(i->file.data, i->file.len, INSPECT_TRAILING_REFUSED, &i->image) != SF_OK) {
        return cli_fail(CLI_REFUSED, "cannot publish '%s': it is not a sound app image: %s",
                        i->path, out_reason(i->image.err, &i->image.diag).text);
    }
    hex_encode(i->image.digest, SF_SHA256_SIZE, i->sha256);
    return take_version(p, i);
}

static int check_key(const struct publish *p)
{
    const char *registered = json_string_value(json_object_get(p->product, "release_key"));
    uint8_t xy[SF_P256_KEY_SIZE];
    if (!registered || hex_decode(registered, xy, sizeof xy) != SF_OK) {
        return cli_fail(
            CLI_REFUSED,
            "cannot publish for '%s': the product has no release key; `surefoot product "
            "set %s --release-key FILE` registers one",
            p->product_name, p->product_name);
    }
    if (memcmp(xy, p->key.public_key.xy, sizeof xy) != 0) {
        return cli_fail(CLI_REFUSED,
                        "cannot publish for '%s': '%s' is not the product's release key, its "
                        "devices would refuse the manifest",
                        p->product_name, cli_value(p->args, P_KEY));
    }
    return CLI_OK;
}

static int check_place(const struct publish *p, const struct publication *i)
{
    const struct sf_image_head *head = &i->image.head;
    const char *chip = json_string_value(json_object_get(p->product, "chip"));
    json_int_t slot_size = json_integer_value(json_object_get(p->product, "slot_size"));
    if (chip && strcmp(chip, inspect_chip(head->header.chip_id).text) != 0) {
        return cli_fail(CLI_REFUSED, "cannot publish '%s': image is for %s, product '%s' is %s",
                        i->path, inspect_chip(head->header.chip_id).text, p->product_name, chip);
    }
    if (slot_size > 0 && (json_int_t)i->image.length > slot_size) {
        return cli_fail(CLI_REFUSED,
                        "cannot publish '%s': it has %u bytes, the smallest app slot of product "
                        "'%s' has %" JSON_INTEGER_FORMAT,
                        i->path, i->image.length, p->product_name, slot_size);
    }
    return CLI_OK;
}

static int allows_no_record(const struct publish *p)
{
    return p->is_plain || cli_given(p->args, P_NO_RECORD);
}

/* The revision of --hw-revision, or the only one there is. */
static int is_chosen(const struct publish *p, const json_t *classes, const char *name)
{
    const char *chosen = cli_value(p->args, P_HW);
    return chosen ? strcmp(chosen, name) == 0 : json_array_size(classes) == 1;
}

static int set_class(struct publication *i, const json_t *class_json)
{
    const char *uuid = json_string_value(json_object_get(class_json, "class_uuid"));
    i->hw_revision = json_string_value(json_object_get(class_json, "name"));
    return i->hw_revision && uuid && uuid_parse(uuid, i->class_uuid) == SF_OK;
}

static int tell_no_class(const struct publish *p, const struct publication *i)
{
    const struct sf_image_head *head = &i->image.head;
    if (!head->has_record && allows_no_record(p)) {
        return cli_fail(CLI_USAGE,
                        "cannot publish '%s': it carries no updater record, so say which of the "
                        "hardware revisions of '%s' it is for: --hw-revision NAME",
                        i->path, p->product_name);
    }
    if (!head->has_record) {
        return cli_fail(CLI_REFUSED,
                        "cannot publish '%s': %s, so a device that runs it might never update "
                        "again; add SUREFOOT_RECORD of surefoot/record.h to the firmware, or "
                        "insist with --allow-no-record",
                        i->path,
                        sf_err_str(head->record_err ? head->record_err : SF_ERR_NO_RECORD));
    }
    char text[UUID_TEXT_SIZE];
    uuid_text(head->record.class_uuid, text);
    return cli_fail(CLI_REFUSED,
                    "cannot publish '%s': its updater record is of class %s, no hardware revision "
                    "of product '%s'; see `surefoot product show %s`",
                    i->path, text, p->product_name, p->product_name);
}

/* The hardware revision whose class the image carries; without a record, the chosen one. */
static int find_class(const struct publish *p, struct publication *i)
{
    const struct sf_image_head *head = &i->image.head;
    const json_t *classes = json_object_get(p->product, "hw_revisions");
    for (size_t k = 0; k < json_array_size(classes); k++) {
        if (!set_class(i, json_array_get(classes, k))) {
            return cli_fail(CLI_UNREACHABLE, "the server's answer has a class without uuid");
        }
        int fits = head->has_record
                       ? memcmp(i->class_uuid, head->record.class_uuid, SF_UUID_SIZE) == 0
                       : allows_no_record(p) && is_chosen(p, classes, i->hw_revision);
        if (fits) {
            return CLI_OK;
        }
    }
    return tell_no_class(p, i);
}

static struct manifest_wish wish_of(const struct publish *p, const struct publication *i)
{
    struct manifest_wish w = {.image_path = i->path,
                              .image = &i->image,
                              .record = allows_no_record(p) ? MANIFEST_RECORD_OPTIONAL
                                                            : MANIFEST_RECORD_REQUIRED};
    const char *vendor = json_string_value(json_object_get(p->product, "vendor_uuid"));
    if (!vendor || uuid_parse(vendor, w.vendor_uuid) != SF_OK) {
        memset(w.vendor_uuid, 0, SF_UUID_SIZE); /* the server will refuse it */
    }
    memcpy(w.class_uuid, i->class_uuid, SF_UUID_SIZE);
    return w;
}

static int check_together(const struct publish *p)
{
    const char *first = p->image[0].image.head.desc.version;
    for (unsigned i = 0; i < p->count; i++) {
        const char *version = p->image[i].image.head.desc.version;
        if (strcmp(version, first) != 0) {
            return cli_fail(CLI_REFUSED,
                            "cannot publish '%s' and '%s' together: their versions "
                            "differ",
                            p->image[0].path, p->image[i].path);
        }
        for (unsigned k = 0; k < i; k++) {
            if (strcmp(p->image[i].hw_revision, p->image[k].hw_revision) == 0) {
                return cli_fail(CLI_REFUSED,
                                "cannot publish '%s' and '%s' together: both are for "
                                "hardware revision %s",
                                p->image[k].path, p->image[i].path, p->image[i].hw_revision);
            }
        }
    }
    return CLI_OK;
}

/* The SHA-256 that a release has for a hardware revision, or NULL. */
static const char *digest_in(const json_t *release, const char *hw_revision)
{
    const json_t *manifests = json_object_get(release, "manifests");
    for (size_t i = 0; i < json_array_size(manifests); i++) {
        const json_t *m = json_array_get(manifests, i);
        const char *name = json_string_value(json_object_get(m, "hw_revision"));
        if (name && strcmp(name, hw_revision) == 0) {
            return json_string_value(json_object_get(m, "sha256"));
        }
    }
    return NULL;
}

/* A version is published once. The same images again are no mistake: CI jobs are run again. */
static int check_same(struct publish *p, json_t *release)
{
    const char *version = p->image[0].image.head.desc.version;
    for (unsigned i = 0; i < p->count; i++) {
        const char *there = digest_in(release, p->image[i].hw_revision);
        if (!there || strcmp(there, p->image[i].sha256) != 0) {
            return cli_fail(CLI_REFUSED,
                            "cannot publish '%s': product '%s' has a release %s already, with %s "
                            "for hardware revision %s; raise the version",
                            p->image[i].path, p->product_name, version,
                            there ? "another image" : "no image", p->image[i].hw_revision);
        }
    }
    p->there = json_incref(release);
    return CLI_OK;
}

/* The highest of the images', which devices may be permitted to burn. */
static int check_burn(const struct publish *p)
{
    uint32_t highest = 0;
    for (unsigned i = 0; i < p->count; i++) {
        const uint32_t version = p->image[i].image.head.desc.secure_version;
        highest = version > highest ? version : highest;
    }
    if (cli_given(p->args, P_BURN)) {
        return highest > 0 ? CLI_OK
                           : cli_fail(CLI_REFUSED,
                                      "cannot publish '%s' with --allow-burn: its secure_version "
                                      "is 0, so there is nothing to burn; leave it out",
                                      p->image[0].path);
    }
    if (highest > 0 && !p->is_plain && !p->client.is_quiet) {
        cli_note("surefoot: note: secure_version is %u: devices whose eFuse is below it will not "
                 "be offered this release; --allow-burn permits them to burn it",
                 highest);
    }
    return CLI_OK;
}

/* secure_version never goes back. */
static int check_secure_version(const struct publish *p, const json_t *release)
{
    json_int_t secure = json_integer_value(json_object_get(release, "secure_version"));
    for (unsigned i = 0; i < p->count; i++) {
        const struct sf_image_head *head = &p->image[i].image.head;
        if ((json_int_t)head->desc.secure_version < secure) {
            return cli_fail(CLI_REFUSED,
                            "cannot publish '%s': its secure_version is %u, product '%s' had a "
                            "release with %" JSON_INTEGER_FORMAT
                            "; devices that burnt it would refuse this one",
                            p->image[i].path, head->desc.secure_version, p->product_name, secure);
        }
    }
    return CLI_OK;
}

static int check_against_releases(struct publish *p)
{
    const struct client_path path = client_path("products", p->product_name, "releases", NULL);
    json_t *answer = NULL;
    int status = client_list(&p->client, &path, LIST_MAX, &answer);
    const json_t *items = json_object_get(answer, "items");
    for (size_t i = 0; status == CLI_OK && i < json_array_size(items) && !p->there; i++) {
        json_t *release = json_array_get(items, i);
        const char *version = json_string_value(json_object_get(release, "version"));
        if (version && strcmp(version, p->image[0].image.head.desc.version) == 0) {
            status = check_same(p, release);
        }
    }
    for (size_t i = 0; status == CLI_OK && i < json_array_size(items) && !p->there; i++) {
        status = check_secure_version(p, json_array_get(items, i));
    }
    json_decref(answer);
    return status;
}

static int check_image(struct publish *p, struct publication *i)
{
    int status = load_image(p, i);
    status = status == CLI_OK ? check_place(p, i) : status;
    status = status == CLI_OK ? find_class(p, i) : status;
    if (status != CLI_OK || p->is_plain) {
        return status;
    }
    const struct manifest_wish wish = wish_of(p, i);
    return manifest_check(&wish);
}

static int check_all(struct publish *p)
{
    int status = p->is_plain ? CLI_OK : check_key(p);
    for (unsigned i = 0; status == CLI_OK && i < p->count; i++) {
        status = check_image(p, &p->image[i]);
    }
    status = status == CLI_OK ? check_together(p) : status;
    status = status == CLI_OK ? check_burn(p) : status;
    return status == CLI_OK ? check_against_releases(p) : status;
}

/* ---- publishing ---- */

static int upload(struct publish *p, const struct publication *i)
{
    const struct client_path path = client_path("artifacts", i->sha256, NULL, NULL);
    const struct client_upload bytes = {i->path, i->file.data, i->file.len, NULL};
    return client_put(&p->client, &path, &bytes, NULL);
}

static int reserve_seq(struct publish *p, const struct publication *i, uint64_t *seq)
{
    const struct client_path path = client_path("products", p->product_name, "seq", NULL);
    json_t *body = json_pack("{s:s}", "hw_revision", i->hw_revision);
    json_t *answer = NULL;
    int status = client_call(&p->client, "POST", &path, body, &answer);
    json_int_t value = json_integer_value(json_object_get(answer, "seq"));
    json_decref(body);
    json_decref(answer);
    if (status == CLI_OK && value <= 0) {
        return cli_fail(CLI_UNREACHABLE, "the server's answer has no sequence number");
    }
    *seq = (uint64_t)value;
    return status;
}

static json_t *base64(const uint8_t *data, size_t len)
{
    unsigned char text[SF_ENVELOPE_MAX * 4 / 3 + 8];
    int n = EVP_EncodeBlock(text, data, (int)len);
    return json_stringn((const char *)text, (size_t)n);
}

/* The release's entry for one image: signed, or for a plain product just named. */
static int make_entry(struct publish *p, const struct publication *i, json_t *list)
{
    if (p->is_plain) {
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "hw_revision", i->hw_revision, "artifact", i->sha256));
        return CLI_OK;
    }
    struct manifest_wish wish = wish_of(p, i);
    struct manifest_made made;
    int status = reserve_seq(p, i, &wish.seq);
    const struct sf_signer signer = keys_signer(&p->key);
    status = status == CLI_OK ? manifest_make(&wish, &signer, &made) : status;
    if (status == CLI_OK) {
        json_array_append_new(list, json_pack("{s:s, s:o}", "hw_revision", i->hw_revision,
                                              "envelope", base64(made.envelope, made.len)));
    }
    return status;
}

static int post_release(struct publish *p, json_t **answer)
{
    const struct client_path path = client_path("products", p->product_name, "releases", NULL);
    json_t *list = json_array();
    int status = CLI_OK;
    for (unsigned i = 0; status == CLI_OK && i < p->count; i++) {
        status = upload(p, &p->image[i]);
    }
    for (unsigned i = 0; status == CLI_OK && i < p->count; i++) {
        status = make_entry(p, &p->image[i], list);
    }
    if (status != CLI_OK) {
        json_decref(list);
        return status;
    }
    json_t *body = json_pack("{s:o, s:o}", "version",
                             out_json_text(p->image[0].image.head.desc.version), "manifests", list);
    if (cli_given(p->args, P_NOTES)) {
        json_object_set_new(body, "notes", json_string(cli_value(p->args, P_NOTES)));
    }
    if (cli_given(p->args, P_NO_RECORD)) {
        json_object_set_new(body, "force", json_pack("[s]", "no-record"));
    }
    if (cli_given(p->args, P_BURN)) {
        json_object_set_new(body, "allow_burn", json_true());
    }
    status = client_call(&p->client, "POST", &path, body, answer);
    json_decref(body);
    return status;
}

/* Publishing takes scope publisher, setting a target scope operator: only admin has both. */
static int check_may_target(struct publish *p)
{
    const struct client_path path = client_path("whoami", NULL, NULL, NULL);
    json_t *who = NULL;
    if (!cli_given(p->args, P_TARGET)) {
        return CLI_OK;
    }
    int status = client_call(&p->client, "GET", &path, NULL, &who);
    const char *scope = json_string_value(json_object_get(who, "scope"));
    char clean[32];
    if (status == CLI_OK && scope && strcmp(scope, "publisher") == 0) {
        status = cli_fail(CLI_REFUSED,
                          "nothing was published: a token of scope %s may publish, and not set a "
                          "target; leave --target out, and let an operator say `surefoot product "
                          "target %s VERSION`",
                          out_clean(scope, clean, sizeof clean), p->product_name);
    }
    json_decref(who);
    return status;
}

static int set_target(struct publish *p)
{
    if (!cli_given(p->args, P_TARGET)) {
        return CLI_OK;
    }
    const struct client_path path = client_path("products", p->product_name, "target", NULL);
    json_t *body =
        json_pack("{s:o}", "version", out_json_text(p->image[0].image.head.desc.version));
    int status = client_call(&p->client, "PUT", &path, body, NULL);
    json_decref(body);
    if (status == CLI_OK && !p->client.is_quiet) {
        cli_note("the devices of %s should run it from now on", p->product_name);
    }
    return status;
}

static void print_release(const json_t *release, int64_t now_s)
{
    static const struct out_column columns[] = {
        {"product", "product", OUT_PLAIN},
        {"version", "version", OUT_PLAIN},
        {"published", "created", OUT_AGE},
        {"by", "created_by", OUT_PLAIN},
        {"state", "state", OUT_PLAIN},
        {"secure_version", "secure_version", OUT_PLAIN},
        {"may be burnt", "allow_burn", OUT_PLAIN},
        {"notes", "notes", OUT_PLAIN},
        {NULL, NULL, OUT_PLAIN},
    };
    static const struct out_column manifest_columns[] = {
        {"HW", "hw_revision", OUT_PLAIN}, {"SEQ", "seq", OUT_PLAIN},
        {"BYTES", "size", OUT_PLAIN},     {"IMAGE SHA-256", "sha256", OUT_PLAIN},
        {NULL, NULL, OUT_PLAIN},
    };
    out_record(stdout, release, columns, now_s);
    out_table(stdout, json_object_get(release, "manifests"), manifest_columns, now_s);
}

int release_tell(const struct cli_args *args, json_t *release)
{
    if (args->json) {
        return out_json(release);
    }
    print_release(release, out_now_s());
    json_decref(release);
    return CLI_OK;
}

static void tell_there(const struct publish *p)
{
    if (!p->client.is_quiet) {
        cli_note("surefoot: note: release %s of '%s' is there already with the same images: "
                 "nothing to publish",
                 p->image[0].image.head.desc.version, p->product_name);
    }
}

static int open_key(struct publish *p)
{
    const struct key_request request = {cli_value(p->args, P_KEY), KEY_ROLE_RELEASE,
                                        cli_value(p->args, P_PASSPHRASE)};
    return keys_open(&p->key, &request);
}

static int publish(struct publish *p)
{
    const struct client_path path = client_path("products", p->product_name, NULL, NULL);
    json_t *answer = NULL;
    int status = client_open(&p->client, p->args->config);
    p->client.is_quiet = cli_given(p->args, P_QUIET);
    status = status == CLI_OK ? client_call(&p->client, "GET", &path, NULL, &p->product) : status;
    if (status != CLI_OK) {
        return status;
    }
    const char *kind = json_string_value(json_object_get(p->product, "kind"));
    p->is_plain = kind && strcmp(kind, "plain") == 0;
    if (!p->is_plain) {
        status = cli_require(p->args, P_KEY);
        status = status == CLI_OK ? open_key(p) : status;
    }
    status = status == CLI_OK ? check_may_target(p) : status;
    status = status == CLI_OK ? check_all(p) : status;
    if (status == CLI_OK && p->there) {
        tell_there(p);
        answer = json_incref(p->there);
    } else if (status == CLI_OK) {
        status = post_release(p, &answer);
    }
    status = status == CLI_OK ? set_target(p) : status;
    if (status != CLI_OK) {
        json_decref(answer);
        return status;
    }
    return release_tell(p->args, answer);
}

int release_publish_run(const struct cli_args *args)
{
    struct publish p = {.args = args, .product_name = cli_value(args, P_PRODUCT)};
    int status = cli_require(args, P_PRODUCT);
    if (status != CLI_OK) {
        return status;
    }
    p.count = args->operand_count;
    p.image = calloc(p.count, sizeof *p.image);
    if (!p.image) {
        return cli_fail(CLI_LOCAL, "out of memory");
    }
    for (unsigned i = 0; i < p.count; i++) {
        p.image[i].path = args->operand[i];
    }
    status = publish(&p);
    for (unsigned i = 0; i < p.count; i++) {
        file_release(&p.image[i].file);
    }
    free(p.image);
    json_decref(p.product);
    json_decref(p.there);
    keys_close(&p.key);
    client_close(&p.client);
    return status;
}
