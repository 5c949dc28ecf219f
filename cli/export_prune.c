/* Which images an exported folder still needs: first all that are named are collected, then what is
 * not among them goes. */

#include "cli/export_prune.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "cli/cli.h"
#include "formats/manifest.h"

enum { HEX_LEN = 2 * SF_SHA256_SIZE, DEPTH_MAX = 2 };

struct prune {
    json_t *named; /* object: sha256 in hex -> true */
    unsigned depth;
    unsigned removed;
};

static int ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text);
    const size_t tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

static int unreadable(const struct tree *t, const char *path)
{
    return cli_fail(CLI_REFUSED,
                    "cannot prune '%s': '%s' cannot be understood, so what it names is not known; "
                    "nothing was removed",
                    t->name, path);
}

static int collect_manifest(void *ctx, struct tree *t, const char *path)
{
    struct prune *p = ctx;
    struct file_bytes file;
    struct sf_bytes inside;
    struct sf_manifest m;
    char hex[HEX_LEN + 1];
    if (!ends_with(path, ".suit")) {
        return CLI_OK;
    }
    int status = tree_read(t, path, SF_ENVELOPE_MAX, &file);
    const struct sf_bytes envelope = {file.data, file.len};
    if (status == CLI_OK && (!file.data || sf_envelope_peek(envelope, &inside, NULL) != SF_OK ||
                             sf_manifest_decode(inside, &m, NULL) != SF_OK)) {
        status = unreadable(t, path);
    }
    if (status == CLI_OK) {
        hex_encode(m.image_digest, SF_SHA256_SIZE, hex);
        json_object_set_new(p->named, hex, json_true());
    }
    file_release(&file);
    return status;
}

/* Whatever form a product's template gives its documents: 64 hex digits in a row are a digest. */
static int collect_text(struct prune *p, struct tree *t, const char *path)
{
    struct file_bytes file;
    const int status = tree_read(t, path, FILE_TEXT_MAX, &file);
    const char *at = (const char *)file.data;
    while (at && *at) {
        const size_t run = strspn(at, "0123456789abcdef");
        if (run == HEX_LEN) {
            json_object_setn_new(p->named, at, run, json_true());
        }
        at += run > 0 ? run : 1;
    }
    file_release(&file);
    return status;
}

/* The documents in ota/<product>/ and ota/<product>/<hardware revision>/. */
static int collect_plain(void *ctx, struct tree *t, const char *path)
{
    struct prune *p = ctx;
    if (ends_with(path, ".json")) {
        return collect_text(p, t, path);
    }
    if (p->depth == DEPTH_MAX || !tree_is_folder(t, path)) {
        return CLI_OK;
    }
    p->depth++;
    const int status = tree_each(t, path, collect_plain, p);
    p->depth--;
    return status;
}

static int remove_unnamed(void *ctx, struct tree *t, const char *path)
{
    struct prune *p = ctx;
    const char *name = strrchr(path, '/') + 1;
    const int is_left_over = name[0] == '.' && ends_with(name, ".new"); /* of a killed export */
    const int is_image = strlen(name) == HEX_LEN && strspn(name, "0123456789abcdef") == HEX_LEN;
    if (!is_left_over && (!is_image || json_object_get(p->named, name))) {
        return CLI_OK;
    }
    const unsigned before = p->removed;
    const int status = tree_remove(t, path, &p->removed);
    if (p->removed > before) {
        cli_note("%s: removed, nothing names it", path);
    }
    return status;
}

int export_prune(struct tree *t, unsigned *removed)
{
    struct prune p = {.named = json_object()};
    int status = tree_each(t, "manifests", collect_manifest, &p);
    status = status == CLI_OK ? tree_each(t, "ota", collect_plain, &p) : status;
    status = status == CLI_OK ? tree_each(t, "artifacts", remove_unnamed, &p) : status;
    json_decref(p.named);
    *removed = p.removed;
    return status;
}
