#include "base/plain.h"

#include <stddef.h>
#include <string.h>

enum { APP_OFFSET = 0x10000 };

json_t *plain_version_json(const struct plain_release *r)
{
    json_t *out = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:s}", "product",
                            r->product, "version", r->version, "url", r->image_url, "file", r->file,
                            "size", (json_int_t)r->size_bytes, "sha256", r->sha256, "md5", r->md5,
                            "chip", r->chip, "project", r->project, "secure_version",
                            (json_int_t)r->secure_version, "notes", r->notes);
    if (r->host == NULL || out == NULL) {
        return out;
    }
    /* clients that take host, port and path apart know the path as `bin` */
    json_t *more = json_pack("{s:s, s:s, s:i, s:s, s:s}", "hw_revision", r->hw_revision, "host",
                             r->host, "port", (int)r->port, "path", r->path, "bin", r->path);
    const int bad = json_object_update(out, more);
    json_decref(more);
    if (bad != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

/* ESPHome's and ESP Web Tools' names of chips. */
static const char *chip_family(const char *chip)
{
    static const struct {
        const char *chip;
        const char *family;
    } map[] = {
        {"esp32", "ESP32"},      {"esp32s2", "ESP32-S2"},   {"esp32s3", "ESP32-S3"},
        {"esp32c2", "ESP32-C2"}, {"esp32c3", "ESP32-C3"},   {"esp32c5", "ESP32-C5"},
        {"esp32c6", "ESP32-C6"}, {"esp32c61", "ESP32-C61"}, {"esp32h2", "ESP32-H2"},
        {"esp32p4", "ESP32-P4"}, {"esp8266", "ESP8266"},
    };
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        if (strcmp(map[i].chip, chip) == 0) {
            return map[i].family;
        }
    }
    return NULL;
}

json_t *plain_manifest_json(const struct plain_release *r)
{
    const char *family = chip_family(r->chip);
    const char *path = strstr(r->image_url, "://") != NULL ? r->image_url : r->file;
    if (family == NULL) {
        return NULL;
    }
    return json_pack("{s:s, s:s, s:b, s:[{s:s, s:[{s:s, s:i}], s:{s:s, s:s, s:s}}]}", "name",
                     r->product, "version", r->version, "new_install_prompt_erase", 0, "builds",
                     "chipFamily", family, "parts", "path", path, "offset", APP_OFFSET, "ota",
                     "path", path, "md5", r->md5, "summary", r->notes);
}
