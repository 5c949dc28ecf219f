/* surefoot release export.
 *
 * 1. Nothing is written that has not been verified: the manifest with the product's release key,
 *    the image by the digest that the manifest names.
 * 2. Images first, then manifests, then the documents of plain clients: whatever is there points at
 *    what is there, also when the export ends in between. */

#include "cli/release_export.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/p256.h"
#include "base/plain.h"
#include "base/plain_template.h"
#include "base/uuid.h"
#include "cli/client.h"
#include "cli/export_prune.h"
#include "cli/inspect.h"
#include "cli/keys.h"
#include "cli/out.h"
#include "cli/tree.h"
#include "formats/manifest.h"
#include "formats/md5.h"

enum { E_PRODUCT, E_VERSION, E_BASE_URL, E_KEY, E_PRUNE };

enum { LIST_MAX = 100000, PARTS_MAX = 16, URL_MAX = 512, HEX_SIZE = 2 * SF_SHA256_SIZE + 1 };

const struct cli_option release_export_options[] = {
    {"product", "NAME", "the product (required)", 'p', 0},
    {"version", "VERSION", "the release (the stable one, else the latest)", 0, 0},
    {"base-url", "URL", "where the folder will be served, for plain clients that want whole URLs",
     0, 0},
    {"release-key", "FILE", "verify with this key, not with the one the server names", 'k', 0},
    {"prune", NULL, "remove images that nothing in the folder names any more", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

/* One image of the release. */
struct part {
    const char *hw_revision; /* the release's JSON */
    const char *sha256;
    uint8_t digest[SF_SHA256_SIZE];
    uint8_t class_uuid[SF_UUID_SIZE];
    uint64_t size_bytes;
    struct file_bytes image;
    struct file_bytes envelope; /* len 0: a plain product */
    struct inspect inspected;
};

struct export
{
    const struct cli_args *args;
    struct client client;
    struct tree tree;
    const char *product_name;
    json_t *product;
    json_t *release;
    const char *version;
    int is_plain;
    struct sf_public_key key;
    struct part *part;
    unsigned count;
    json_t *files; /* what was put: path, size, written */
};

/* ---- which release ---- */

static int latest_version(struct export *e, char out[64])
{
    const struct client_path path = client_path("products", e->product_name, "releases", NULL);
    json_t *answer = NULL;
    int status = client_list(&e->client, &path, LIST_MAX, &answer);
    const json_t *items = json_object_get(answer, "items");
    out[0] = '\0';
    for (size_t i = 0; status == CLI_OK && i < json_array_size(items); i++) {
        const json_t *row = json_array_get(items, i); /* oldest first */
        const char *state = json_string_value(json_object_get(row, "state"));
        const char *version = json_string_value(json_object_get(row, "version"));
        if (state && version && strcmp(state, "published") == 0) {
            snprintf(out, 64, "%s", version);
        }
    }
    json_decref(answer);
    if (status == CLI_OK && out[0] == '\0') {
        return cli_fail(CLI_REFUSED,
                        "cannot export '%s': nothing is published yet; see `surefoot release "
                        "publish --help`",
                        e->product_name);
    }
    return status;
}

/* As told, else what the product calls stable, else the latest. */
static int choose_version(struct export *e, char out[64])
{
    const char *given = cli_value(e->args, E_VERSION);
    const char *stable = json_string_value(json_object_get(e->product, "stable"));
    if (given || stable) {
        snprintf(out, 64, "%s", given ? given : stable);
        return CLI_OK;
    }
    return latest_version(e, out);
}

static int load_key(struct export *e)
{
    const char *hex = json_string_value(json_object_get(e->product, "release_key"));
    const char *file = cli_value(e->args, E_KEY);
    uint8_t xy[SF_P256_KEY_SIZE] = {0};
    if (file) {
        struct p256_key key;
        const int status = keys_load_public(&key, file, KEY_ROLE_RELEASE, NULL);
        memcpy(xy, key.public_key.xy, sizeof xy);
        p256_key_release(&key);
        if (status != CLI_OK) {
            return status;
        }
    } else if (!hex || hex_decode(hex, xy, sizeof xy) != SF_OK) {
        return cli_fail(CLI_REFUSED, "cannot export '%s': the product has no release key",
                        e->product_name);
    }
    return sf_public_key_init(&e->key, crypto_openssl(), xy) == SF_OK
               ? CLI_OK
               : cli_fail(CLI_REFUSED, "cannot export '%s': its release key is no P-256 key",
                          e->product_name);
}

/* What the server calls the release is printed, and becomes part of file contents. */
static int is_version(const char *text)
{
    char clean[64];
    return text && text[0] != '\0' && strcmp(out_clean(text, clean, sizeof clean), text) == 0;
}

static int load_release(struct export *e)
{
    char version[64];
    const struct client_path product = client_path("products", e->product_name, NULL, NULL);
    int status = client_call(&e->client, "GET", &product, NULL, &e->product);
    status = status == CLI_OK ? choose_version(e, version) : status;
    if (status == CLI_OK) {
        const struct client_path path =
            client_path("products", e->product_name, "releases", version);
        status = client_call(&e->client, "GET", &path, NULL, &e->release);
    }
    if (status != CLI_OK) {
        return status;
    }
    const char *kind = json_string_value(json_object_get(e->product, "kind"));
    const char *state = json_string_value(json_object_get(e->release, "state"));
    e->version = json_string_value(json_object_get(e->release, "version"));
    e->is_plain = kind && strcmp(kind, "plain") == 0;
    if (!is_version(e->version)) {
        return cli_fail(CLI_UNREACHABLE, "the server's answer has no version that can be printed");
    }
    if (!state || strcmp(state, "published") != 0) {
        return cli_fail(CLI_REFUSED, "cannot export %s of '%s': it is withdrawn", version,
                        e->product_name);
    }
    return e->is_plain ? CLI_OK : load_key(e);
}

/* ---- fetch and verify ---- */

static int bad(const struct export *e, const struct part *p, const char *what)
{
    return cli_fail(CLI_REFUSED, "cannot export %s of '%s' for hardware revision %s: %s",
                    e->version, e->product_name, p->hw_revision, what);
}

/* The names become names of files. */
static int is_file_name(const char *text)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    return text && text[0] != '.' && text[0] != '\0' && text[strspn(text, allowed)] == '\0';
}

static int read_part(const struct export *e, const json_t *row, struct part *p)
{
    const char *uuid = json_string_value(json_object_get(row, "class_uuid"));
    const json_int_t size = json_integer_value(json_object_get(row, "size"));
    p->hw_revision = json_string_value(json_object_get(row, "hw_revision"));
    p->sha256 = json_string_value(json_object_get(row, "sha256"));
    if (!is_file_name(p->hw_revision)) {
        return cli_fail(CLI_REFUSED,
                        "cannot export %s of '%s': a hardware revision's name does not do as the "
                        "name of a folder",
                        e->version, e->product_name);
    }
    if (!p->sha256 || strlen(p->sha256) != HEX_SIZE - 1 || size <= 0 ||
        hex_decode(p->sha256, p->digest, SF_SHA256_SIZE) != SF_OK || !uuid ||
        uuid_parse(uuid, p->class_uuid) != SF_OK) {
        return bad(e, p, "the server's answer lacks digest, size or class");
    }
    p->size_bytes = (uint64_t)size;
    return CLI_OK;
}

static int fetch_envelope(struct export *e, struct part *p)
{
    struct client_path path = client_path("products", e->product_name, "releases", e->version);
    const struct client_download download = {"manifest", SF_ENVELOPE_MAX};
    client_path_add(&path, "manifests");
    client_path_add(&path, p->hw_revision);
    return client_get(&e->client, &path, &download, &p->envelope);
}

/* Everything that a device would refuse, and what would not be found on a host of files. */
static int check_envelope(const struct export *e, const struct part *p)
{
    struct sf_manifest m;
    struct sf_diag diag = {0};
    char text[HEX_SIZE + 16];
    char version[64];
    const struct sf_bytes envelope = {p->envelope.data, p->envelope.len};
    const int err = sf_manifest_open(envelope, &e->key, crypto_openssl(), &m, &diag);
    if (err != SF_OK) {
        snprintf(text, sizeof text, "its manifest: %s", sf_err_str(err));
        return bad(e, p, text);
    }
    snprintf(text, sizeof text, "/artifacts/%s", p->sha256);
    sf_manifest_version_text(&m, version);
    if (memcmp(m.class_uuid, p->class_uuid, SF_UUID_SIZE) != 0) {
        return bad(e, p, "its manifest is for another class");
    }
    if (memcmp(m.image_digest, p->digest, SF_SHA256_SIZE) != 0 || m.image_size != p->size_bytes) {
        return bad(e, p, "its manifest names another image");
    }
    if (strcmp(m.uri, text) != 0) {
        return bad(e, p, "its manifest sends devices elsewhere than to /artifacts/<sha256>");
    }
    return strcmp(version, e->version) == 0 ? CLI_OK
                                            : bad(e, p, "its manifest is of another version");
}

static int has_digest(const struct part *p)
{
    uint8_t digest[SF_SHA256_SIZE];
    return p->image.data && p->image.len == p->size_bytes &&
           sf_sha256(crypto_openssl(), p->image.data, p->image.len, digest) == SF_OK &&
           memcmp(digest, p->digest, SF_SHA256_SIZE) == 0;
}

/* From the folder if it is there whole already, else from the server. */
static int fetch_image(struct export *e, struct part *p)
{
    char path[TREE_PATH_MAX];
    snprintf(path, sizeof path, "artifacts/%s", p->sha256);
    int status = tree_read(&e->tree, path, FILE_IMAGE_MAX, &p->image);
    if (status != CLI_OK || has_digest(p)) {
        return status;
    }
    file_release(&p->image);
    struct client_path from = {.text = "/artifacts"};
    const struct client_download download = {p->sha256, FILE_IMAGE_MAX};
    client_path_add(&from, p->sha256);
    status = client_get(&e->client, &from, &download, &p->image);
    if (status != CLI_OK) {
        return status;
    }
    return has_digest(p) ? CLI_OK
                         : bad(e, p, "the server sends another image than its digest says");
}

static int check_image(const struct export *e, struct part *p)
{
    if (inspect_image(p->image.data, p->image.len, INSPECT_TRAILING_REFUSED, &p->inspected) !=
        SF_OK) {
        return bad(e, p, out_reason(p->inspected.err, &p->inspected.diag).text);
    }
    const struct sf_image_head *head = &p->inspected.head;
    if (!e->is_plain && head->has_record &&
        memcmp(head->record.class_uuid, p->class_uuid, SF_UUID_SIZE) != 0) {
        return bad(e, p, "its image is for another class");
    }
    return CLI_OK;
}

static int load_parts(struct export *e)
{
    const json_t *rows = json_object_get(e->release, "manifests");
    const size_t count = json_array_size(rows);
    if (count == 0 || count > PARTS_MAX) {
        return cli_fail(CLI_UNREACHABLE, "the server's answer has no images");
    }
    e->part = calloc(count, sizeof *e->part);
    if (!e->part) {
        return cli_fail(CLI_LOCAL, "out of memory");
    }
    e->count = (unsigned)count;
    int status = CLI_OK;
    for (unsigned i = 0; status == CLI_OK && i < e->count; i++) {
        struct part *p = &e->part[i];
        status = read_part(e, json_array_get(rows, i), p);
        if (!e->is_plain) {
            status = status == CLI_OK ? fetch_envelope(e, p) : status;
            status = status == CLI_OK ? check_envelope(e, p) : status;
        }
        status = status == CLI_OK ? fetch_image(e, p) : status;
        status = status == CLI_OK ? check_image(e, p) : status;
    }
    return status;
}

/* ---- write ---- */

static int put(struct export *e, const char *path, const void *data, size_t len)
{
    enum tree_put what = TREE_WRITTEN;
    const int status = tree_put(&e->tree, path, data, len, &what);
    if (status == CLI_OK) {
        cli_note("%s: %s, %s", path, out_size(len).text,
                 what == TREE_WRITTEN ? "written" : "unchanged");
        json_array_append_new(e->files,
                              json_pack("{s:s, s:I, s:b}", "path", path, "size", (json_int_t)len,
                                        "written", what == TREE_WRITTEN));
    }
    return status;
}

/* Devices that have installed the newer one stay there, whatever the folder says. */
static void warn_of_going_back(struct export *e, const struct part *p, const char *path)
{
    struct file_bytes old = {0};
    struct sf_manifest before;
    struct sf_manifest now;
    const struct sf_bytes envelope = {p->envelope.data, p->envelope.len};
    const int has_old = tree_read(&e->tree, path, SF_ENVELOPE_MAX, &old) == CLI_OK && old.data;
    const struct sf_bytes old_envelope = {old.data, old.len};
    if (has_old &&
        sf_manifest_open(old_envelope, &e->key, crypto_openssl(), &before, NULL) == SF_OK &&
        sf_manifest_open(envelope, &e->key, crypto_openssl(), &now, NULL) == SF_OK &&
        before.seq > now.seq) {
        char version[64];
        sf_manifest_version_text(&before, version);
        cli_note("note: the folder had %s, which is newer: a device that has installed it does not "
                 "go back; publish the older image again, under a higher version",
                 version);
    }
    file_release(&old);
}

static int put_manifest(struct export *e, const struct part *p)
{
    char uuid[UUID_TEXT_SIZE];
    char path[TREE_PATH_MAX];
    uuid_text(p->class_uuid, uuid);
    snprintf(path, sizeof path, "manifests/%s.suit", uuid);
    warn_of_going_back(e, p, path);
    return put(e, path, p->envelope.data, p->envelope.len);
}

static int put_in(struct export *e, const char *folder, const char *name, const void *data,
                  size_t len)
{
    char path[TREE_PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof path
               ? put(e, path, data, len)
               : cli_fail(CLI_USAGE, "the product's name is too long for a folder");
}

static int put_json(struct export *e, const char *folder, const char *name, json_t *document)
{
    char *text = document ? json_dumps(document, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(document);
    if (!text) {
        return cli_fail(CLI_LOCAL,
                        "cannot make '%s': its template or a name is bad, or there is no memory",
                        name);
    }
    const size_t len = strlen(text);
    text[len] = '\n'; /* in place of the NUL: its length is told */
    const int status = put_in(e, folder, name, text, len + 1);
    free(text);
    return status;
}

static void fill_plain(const struct export *e, const struct part *p, struct plain_release *r)
{
    const struct sf_image_head *head = &p->inspected.head;
    const char *notes = json_string_value(json_object_get(e->release, "notes"));
    *r = (struct plain_release){
        .product = e->product_name,
        .version = e->version,
        .project = "",
        .notes = notes ? notes : "",
        .sha256 = p->sha256,
        .size_bytes = p->size_bytes,
        .secure_version = head->has_desc ? head->desc.secure_version : 0,
        .file = "firmware.bin",
        .hw_revision = p->hw_revision,
    };
}

/* Host, port and path of firmware.bin, for clients that take them apart. */
struct address {
    char host[256];
    char path[URL_MAX];
};

static void fill_address(const char *base, const char *folder, struct address *a,
                         struct plain_release *r)
{
    const char *host = strstr(base, "://") + 3;
    const size_t len = strcspn(host, "/");
    const size_t name = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    const char *path = host + len;
    size_t path_len = strlen(path);
    path_len -= path_len > 0 && path[path_len - 1] == '/';
    snprintf(a->host, sizeof a->host, "%.*s", (int)(name < len ? name : len), host);
    snprintf(a->path, sizeof a->path, "%.*s/%.200s/firmware.bin", (int)path_len, path, folder);
    const unsigned long port = name < len && host[name] == ':'  ? strtoul(host + name + 1, NULL, 10)
                               : strncmp(base, "http:", 5) == 0 ? 80
                                                                : 443;
    r->host = a->host;
    r->path = a->path;
    r->port = (unsigned)port;
}

/* In the form of the product's template, if it has one, as the server answers it. */
static json_t *version_document(const struct export *e, const struct plain_release *r)
{
    const char *template = json_string_value(json_object_get(e->product, "version_template"));
    char why[256];
    if (!template || template[0] == '\0') {
        return plain_version_json(r);
    }
    return plain_template_check(template, why, sizeof why) == 0 ? plain_template_fill(template, r)
                                                                : NULL;
}

/* What plain clients ask for: the documents last, because they name the bytes. */
static int put_plain(struct export *e, const struct part *p, const char *folder)
{
    uint8_t md5[SF_MD5_SIZE];
    char md5_text[2 * SF_MD5_SIZE + 2];
    char project[40];
    char url[URL_MAX];
    struct plain_release r;
    struct address address;
    const char *base = cli_value(e->args, E_BASE_URL);
    const struct inspect_name chip = inspect_chip(p->inspected.head.header.chip_id);

    fill_plain(e, p, &r);
    sf_md5(p->image.data, p->image.len, md5);
    hex_encode(md5, sizeof md5, md5_text);
    r.project = out_clean(p->inspected.head.desc.project_name, project, sizeof project);
    r.chip = chip.text;
    r.md5 = md5_text;
    r.image_url = url;
    const char *up = strchr(folder + strlen("ota/"), '/') ? "../../.." : "../..";
    snprintf(url, sizeof url, "%.*s/artifacts/%s",
             (int)(base ? strlen(base) - (base[strlen(base) - 1] == '/') : strlen(up)),
             base ? base : up, p->sha256);

    if (base) {
        fill_address(base, folder, &address, &r);
    }
    int status = put_in(e, folder, "firmware.bin", p->image.data, p->image.len);
    if (status == CLI_OK) {
        status = put_in(e, folder, "firmware.bin.md5", md5_text, strlen(md5_text));
    }
    status =
        status == CLI_OK ? put_json(e, folder, "version.json", version_document(e, &r)) : status;
    json_t *manifest = status == CLI_OK ? plain_manifest_json(&r) : NULL;
    return manifest ? put_json(e, folder, "manifest.json", manifest) : status;
}

/* One image: in the product's own folder. Several: in one for each hardware revision, and what an
 * earlier release left for all of them goes, because it would be wrong for some. */
static int put_all_plain(struct export *e)
{
    static const char *const names[] = {"version.json", "manifest.json", "firmware.bin.md5",
                                        "firmware.bin"};
    char folder[TREE_PATH_MAX];
    char path[TREE_PATH_MAX];
    unsigned removed = 0;
    int status = CLI_OK;
    for (unsigned i = 0; status == CLI_OK && i < e->count; i++) {
        snprintf(folder, sizeof folder, e->count == 1 ? "ota/%s" : "ota/%s/%s", e->product_name,
                 e->part[i].hw_revision);
        status = put_plain(e, &e->part[i], folder);
    }
    for (size_t i = 0; status == CLI_OK && e->count > 1 && i < sizeof names / sizeof names[0];
         i++) {
        snprintf(path, sizeof path, "ota/%s/%s", e->product_name, names[i]);
        status = tree_remove(&e->tree, path, &removed);
    }
    if (removed > 0) {
        cli_note("ota/%s: %u files removed: the release has an image for each hardware revision",
                 e->product_name, removed);
    }
    return status;
}

static int write_tree(struct export *e)
{
    char path[TREE_PATH_MAX];
    int status = CLI_OK;
    for (unsigned i = 0; status == CLI_OK && i < e->count; i++) {
        snprintf(path, sizeof path, "artifacts/%s", e->part[i].sha256);
        status = put(e, path, e->part[i].image.data, e->part[i].image.len);
    }
    for (unsigned i = 0; status == CLI_OK && !e->is_plain && i < e->count; i++) {
        status = put_manifest(e, &e->part[i]);
    }
    return status == CLI_OK ? put_all_plain(e) : status;
}

/* ---- the command ---- */

static int check_arguments(const struct export *e)
{
    const char *base = cli_value(e->args, E_BASE_URL);
    const int status = cli_require(e->args, E_PRODUCT);
    if (status != CLI_OK) {
        return status;
    }
    if (!is_file_name(e->product_name)) {
        return cli_fail(CLI_USAGE, "--product: '%s' is no product's name", e->product_name);
    }
    if (base && strncmp(base, "https://", 8) != 0 && strncmp(base, "http://", 7) != 0) {
        return cli_fail(CLI_USAGE, "--base-url: '%s' is no URL such as https://example.com/fw",
                        base);
    }
    return base && strlen(base) > URL_MAX - HEX_SIZE - 16
               ? cli_fail(CLI_USAGE, "--base-url has more than %d characters",
                          URL_MAX - HEX_SIZE - 16)
               : CLI_OK;
}

static int export(struct export *e, unsigned *pruned)
{
    int status = check_arguments(e);
    status = status == CLI_OK ? client_open(&e->client, e->args->config) : status;
    status = status == CLI_OK ? load_release(e) : status;
    status = status == CLI_OK ? tree_open(&e->tree, e->args->operand[0]) : status;
    status = status == CLI_OK ? load_parts(e) : status;
    status = status == CLI_OK ? write_tree(e) : status;
    if (status == CLI_OK && cli_given(e->args, E_PRUNE)) {
        status = export_prune(&e->tree, pruned);
    }
    return status;
}

static void release(struct export *e)
{
    for (unsigned i = 0; i < e->count; i++) {
        file_release(&e->part[i].image);
        file_release(&e->part[i].envelope);
    }
    free(e->part);
    json_decref(e->files);
    json_decref(e->release);
    json_decref(e->product);
    tree_close(&e->tree);
    client_close(&e->client);
}

int release_export_run(const struct cli_args *args)
{
    struct export e = {.args = args,
                       .product_name = cli_value(args, E_PRODUCT),
                       .tree = {.fd = -1},
                       .files = json_array()};
    unsigned pruned = 0;
    int status = export(&e, &pruned);
    if (status == CLI_OK && args->json) {
        status = out_json(json_pack("{s:s, s:s, s:o, s:O, s:i}", "product", e.product_name,
                                    "version", e.version, "folder", out_json_path(args->operand[0]),
                                    "files", e.files, "pruned", (int)pruned));
    } else if (status == CLI_OK) {
        printf("%s %s is in %s\n", e.product_name, e.version, args->operand[0]);
    }
    release(&e);
    return status;
}
