/* Making signed manifests. */

#include "cli/manifest_make.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/uuid.h"
#include "cli/cli.h"
#include "cli/out.h"

int manifest_check(const struct manifest_wish *w)
{
    const struct sf_image_head *head = &w->image->head;
    char text[UUID_TEXT_SIZE];
    char clean[40];
    if (!head->has_desc) {
        return cli_fail(CLI_REFUSED,
                        "cannot sign for '%s': the image has no app_desc, so it has no "
                        "version",
                        w->image_path);
    }
    struct sf_manifest m;
    if (sf_manifest_version_parse(head->desc.version, &m) != SF_OK) {
        return cli_fail(CLI_REFUSED,
                        "cannot sign for '%s': its version '%s' is none of the form 1.2.0 or "
                        "1.2.0-rc.1; set PROJECT_VER",
                        w->image_path, out_clean(head->desc.version, clean, sizeof clean));
    }
    if (!head->has_record && w->record == MANIFEST_RECORD_OPTIONAL) {
        return CLI_OK;
    }
    if (!head->has_record) {
        return cli_fail(CLI_REFUSED,
                        "cannot sign for '%s': %s, so a device that runs it could not be updated "
                        "again; add SUREFOOT_RECORD of surefoot/record.h to the firmware",
                        w->image_path,
                        sf_err_str(head->record_err ? head->record_err : SF_ERR_NO_RECORD));
    }
    if (memcmp(head->record.class_uuid, w->class_uuid, SF_UUID_SIZE) != 0) {
        uuid_text(head->record.class_uuid, text);
        return cli_fail(CLI_REFUSED,
                        "cannot sign for '%s': its updater record is for class %s, another product "
                        "or hardware revision",
                        w->image_path, text);
    }
    return CLI_OK;
}

static int fill_uri(const struct manifest_wish *w, struct sf_manifest *m)
{
    int n = 0;
    if (w->uri) {
        n = snprintf(m->uri, sizeof m->uri, "%s", w->uri);
    } else {
        char hex[2 * SF_SHA256_SIZE + 1];
        hex_encode(w->image->digest, sizeof w->image->digest, hex);
        n = snprintf(m->uri, sizeof m->uri, "/artifacts/%s", hex);
    }
    if (n < 0 || (size_t)n >= sizeof m->uri) {
        return cli_fail(CLI_USAGE, "the uri has %d characters, at most %d fit", n,
                        SF_MANIFEST_URI_MAX);
    }
    return CLI_OK;
}

int manifest_make(const struct manifest_wish *w, const struct sf_signer *signer,
                  struct manifest_made *out)
{
    memset(out, 0, sizeof *out);
    int status = manifest_check(w);
    if (status != CLI_OK) {
        return status;
    }
    struct sf_manifest *m = &out->manifest;
    if (sf_manifest_version_parse(w->image->head.desc.version, m) != SF_OK) {
        return cli_fail(CLI_REFUSED, "cannot sign for '%s': bad version", w->image_path);
    }
    m->seq = w->seq;
    m->image_size = w->image->length;
    memcpy(m->vendor_uuid, w->vendor_uuid, SF_UUID_SIZE);
    memcpy(m->class_uuid, w->class_uuid, SF_UUID_SIZE);
    memcpy(m->image_digest, w->image->digest, SF_SHA256_SIZE);
    status = fill_uri(w, m);
    if (status != CLI_OK) {
        return status;
    }
    const int32_t len =
        sf_manifest_sign(m, signer, crypto_openssl(), out->envelope, SF_ENVELOPE_MAX);
    if (len < 0) {
        return cli_fail(CLI_REFUSED, "cannot sign for '%s': %s", w->image_path, sf_err_str(len));
    }
    out->len = (size_t)len;
    return CLI_OK;
}
