/* libs: sf_protocols */
/* What plain clients and operators write: Authorization, MACs, version.json as a template.
 * A template that passes its check can be filled in; one that cannot be filled in did not pass. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/plain_template.h"
#include "server/fleet/plain.h"
#include "server/protocols/plain.h"

enum { TEXT_MAX = 2048 };

static const struct plain_release release = {
    .product = "lamp",
    .version = "1.1.0",
    .project = "lamp-fw",
    .chip = "esp32c3",
    .notes = "notes",
    .sha256 = "00ff",
    .md5 = "d41d",
    .size_bytes = 123456,
    .file = "firmware.bin",
    .image_url = "https://h/ota/lamp/firmware.bin",
    .hw_revision = "A",
    .host = "h",
    .port = 8443,
    .path = "/ota/lamp/firmware.bin",
};

static void fill(const char *template)
{
    char why[200];
    if (plain_template_check(template, why, sizeof why) == 0) {
        json_t *root = plain_template_fill(template, &release);
        assert(root != NULL);
        json_decref(root);
    } else {
        assert(strlen(why) > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[TEXT_MAX];
    char id[SF_DEVICE_ID_MAX + 1];
    struct plain_basic basic;
    if (len >= sizeof text || memchr(data, '\0', len) != NULL) {
        return 0;
    }
    memcpy(text, data, len);
    text[len] = '\0';
    if (plain_basic_decode(text, &basic) == 0) {
        assert(strlen(basic.user) + 1 + strlen(basic.password) <= PLAIN_BASIC_MAX);
    }
    if (strlen(text) == 17 && plain_id_from_mac(text, id)) {
        assert(sf_device_id_valid(id));
    }
    fill(text);
    return 0;
}
