/* What an upload is: every way in which a file is no image, with the reason. */
#include "server/protocols/upload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "tests/support/esp_image.h"

enum { SIZE = 8192 };

static int file_of(const uint8_t *bytes, size_t len)
{
    int fd = memfd_create("upload", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    return fd;
}

static int inspect(const uint8_t *bytes, size_t len, struct release_image *image,
                   struct refusal *why)
{
    int fd = file_of(bytes, len);
    *why = (struct refusal){0};
    int result = upload_inspect(fd, crypto_openssl(), image, why);
    (void)close(fd);
    return result;
}

static void takes_a_whole_image_and_tells_its_facts(void **state)
{
    (void)state;
    uint8_t bytes[SIZE];
    const struct esp_image_spec spec = {.version = "1.2.3", .secure_version = 4};
    size_t len = esp_image_build(&spec, bytes, sizeof(bytes));
    struct release_image image;
    struct refusal why;
    assert_int_equal(inspect(bytes, len, &image, &why), 0);
    assert_int_equal(image.length, len);
    assert_int_equal(image.head.header.chip_id, SF_CHIP_ESP32C3);
    assert_string_equal(image.head.desc.version, "1.2.3");
    assert_int_equal(image.head.desc.secure_version, 4);
    assert_int_equal(image.head.has_record, 1);
}

static void refuses_what_is_no_image_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        const char *code;
    } cases[] = {
        {"erased", "not_an_image"},
        {"zero", "not_an_image"},
        {"badmagic_fixsha", "not_an_image"},
        {"badsha", "not_an_image"},
        {"bitflip", "not_an_image"},
        {"badck_fixsha", "not_an_image"},
        {"truncated", "not_an_image"},
        {"seg17", "not_an_image"},
        {"seg0", "not_an_image"},
        {"hugeseg", "not_an_image"},
        {"trailing", "trailing_bytes"},
    };
    uint8_t good[SIZE];
    const struct esp_image_spec spec = {0};
    size_t len = esp_image_build(&spec, good, sizeof(good));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static uint8_t slot[4 * SIZE];
        long used = esp_image_lay(cases[i].kind, good, len, slot, sizeof(slot));
        assert_true(used >= 0);
        struct release_image image;
        struct refusal why;
        assert_int_equal(inspect(slot, used == 0 ? len : (size_t)used, &image, &why), -1);
        assert_int_equal(why.status, 422);
        if (strcmp(why.code, cases[i].code) != 0 || strstr(why.message, "byte") == NULL) {
            fail_msg("%s: %s: %s", cases[i].kind, why.code, why.message);
        }
    }
}

static void refuses_every_truncation(void **state)
{
    (void)state;
    uint8_t bytes[ESP_IMAGE_SIZE_MIN];
    const struct esp_image_spec spec = {.size = ESP_IMAGE_SIZE_MIN};
    size_t len = esp_image_build(&spec, bytes, sizeof(bytes));
    struct release_image image;
    struct refusal why;
    assert_int_equal(inspect(bytes, len, &image, &why), 0);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(inspect(bytes, cut, &image, &why), -1);
        assert_string_equal(why.code, "not_an_image");
    }
}

static void refuses_an_upload_that_is_gone(void **state)
{
    (void)state;
    struct refusal why = {0};
    assert_int_equal(upload_open("/nonexistent/upload", &why), -1);
    assert_int_equal(why.status, 503);
    assert_int_equal(upload_open(NULL, &why), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_whole_image_and_tells_its_facts),
        cmocka_unit_test(refuses_what_is_no_image_with_the_reason),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_an_upload_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
