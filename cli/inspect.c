/* Judging image files. */

#include "cli/inspect.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/esp8266.h"
#include "base/uuid.h"
#include "cli/out.h"

int inspect_head(const uint8_t *data, size_t len, struct sf_image_head *out)
{
    int err =
        sf_image_head_decode(data, len < SF_IMAGE_HEAD_SIZE ? len : SF_IMAGE_HEAD_SIZE, out, NULL);
    return err == SF_OK || err == SF_ERR_CORRUPT || err == SF_ERR_VERSION;
}

/* What somebody may have given in an image's place. */
static const char *what_else(const uint8_t *data, size_t len)
{
    static const char elf[4] = {0x7f, 'E', 'L', 'F'};
    if (len == 0) {
        return "the file is empty";
    }
    if (len >= sizeof elf && memcmp(data, elf, sizeof elf) == 0) {
        return "this is an ELF file: give the .bin beside it, or make an image with `surefoot "
               "image from-elf`";
    }
    if (len >= 5 && memcmp(data, "-----", 5) == 0) {
        return "this is a PEM file";
    }
    return "an app image begins with e9: give the app's own .bin, not a whole flash";
}

/* For plain products; there is nothing else to say of such an image. */
static int is_esp8266(const uint8_t *data, size_t len, struct inspect *out)
{
    struct sf_diag diag = {0};
    if (esp8266_image_check(data, len, &diag) != SF_OK) {
        return 0;
    }
    memset(&out->head, 0, sizeof out->head);
    out->head.header.chip_id = ESP8266_CHIP;
    out->head_known = 1;
    out->length = (uint32_t)len;
    out->err = SF_OK;
    return 1;
}

int inspect_image(const uint8_t *data, size_t len, enum inspect_trailing trailing,
                  struct inspect *out)
{
    memset(out, 0, sizeof *out);
    out->head_known = inspect_head(data, len, &out->head);
    const struct sf_crypto *crypto = crypto_openssl();
    out->err = sf_sha256(crypto, data, len, out->digest);
    if (out->err != SF_OK) {
        return out->err;
    }
    out->err = sf_image_start(&out->image, crypto);
    if (out->err != SF_OK) {
        return out->err;
    }
    int fed = sf_image_feed(&out->image, data, len, &out->diag);
    out->err = sf_image_end(&out->image, &out->diag);
    out->err = fed != SF_OK ? fed : out->err;
    const int is_magic = len > 0 && data[0] == SF_IMAGE_MAGIC;
    if (out->err != SF_OK && is_esp8266(data, len, out)) {
        return out->err;
    }
    if ((out->err == SF_ERR_TRUNCATED || out->err == SF_ERR_MAGIC) && !is_magic) {
        out->diag = (struct sf_diag){0};
        out->err =
            sf_fail(&out->diag, len ? SF_ERR_MAGIC : SF_ERR_TRUNCATED, 0, what_else(data, len));
    }
    if (out->err != SF_OK) {
        return out->err;
    }
    out->err = sf_image_file_length(&out->image, &out->length, &out->diag);
    if (out->err == SF_ERR_TRAILING && trailing == INSPECT_TRAILING_ALLOWED) {
        out->length = out->image.length;
        out->err = SF_OK;
    }
    return out->err;
}

struct inspect_name inspect_chip(uint16_t chip_id)
{
    struct inspect_name n;
    const char *name = chip_any_name(chip_id);
    if (name) {
        snprintf(n.text, sizeof n.text, "%s", name);
    } else {
        snprintf(n.text, sizeof n.text, "chip 0x%04x", chip_id);
    }
    return n;
}

json_t *inspect_desc_json(const struct sf_image_head *head)
{
    const struct sf_app_desc *d = &head->desc;
    if (!head->has_desc) {
        return json_null();
    }
    return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "version", out_json_text(d->version),
                     "project", out_json_text(d->project_name), "secure_version",
                     (json_int_t)d->secure_version, "date", out_json_text(d->date), "time",
                     out_json_text(d->time), "idf_version", out_json_text(d->idf_ver), "elf_sha256",
                     out_json_hex(d->app_elf_sha256, sizeof d->app_elf_sha256));
}

json_t *inspect_record_json(const struct sf_image_head *head)
{
    const struct sf_updater_record *r = &head->record;
    char class_text[UUID_TEXT_SIZE];
    if (!head->has_record) {
        return json_null();
    }
    uuid_text(r->class_uuid, class_text);
    return json_pack("{s:s, s:i, s:i, s:I, s:I}", "class_uuid", class_text, "record_version",
                     r->record_version, "protocol_version", r->protocol_version, "library_version",
                     (json_int_t)r->library_version, "flags", (json_int_t)r->flags);
}
