#include "server/fleet/release.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct release_context context;
    struct release_image image;
    struct sf_manifest manifest;
    const char *version;
};

static struct fixture good(void)
{
    struct fixture f = {
        .context = {.product = "lamp",
                    .kind = PRODUCT_SUREFOOT,
                    .chip_id = SF_CHIP_ESP32C3,
                    .smallest_slot = 0x100000,
                    .hw_revision = "a",
                    .latest_secure_version = 2,
                    .reserved_seq = 12,
                    .last_seq = 6},
        .image = {.name = "app.bin", .length = 0x80000},
        .manifest = {.seq = 10, .image_size = 0x80000, .version = {1, 2, 0}, .version_count = 3},
        .version = "1.2.0",
    };
    f.image.head.header.chip_id = SF_CHIP_ESP32C3;
    f.image.head.has_desc = 1;
    f.image.head.desc.secure_version = 2;
    f.image.head.has_record = 1;
    memset(f.context.vendor_uuid, 0x11, SF_UUID_SIZE);
    memset(f.context.class_uuid, 0x22, SF_UUID_SIZE);
    memset(f.manifest.vendor_uuid, 0x11, SF_UUID_SIZE);
    memset(f.manifest.class_uuid, 0x22, SF_UUID_SIZE);
    memset(f.image.head.record.class_uuid, 0x22, SF_UUID_SIZE);
    memset(f.image.digest, 0xab, SF_SHA256_SIZE);
    memset(f.manifest.image_digest, 0xab, SF_SHA256_SIZE);
    char *uri = f.manifest.uri;
    int at = snprintf(uri, sizeof f.manifest.uri, "/artifacts/");
    for (int i = 0; i < SF_SHA256_SIZE; i++) {
        at += snprintf(uri + at, sizeof f.manifest.uri - (size_t)at, "ab");
    }
    return f;
}

static void publishes_a_release_that_fits(void **state)
{
    (void)state;
    char why[RELEASE_WHY_SIZE];
    struct fixture f = good();
    assert_int_equal(release_check_image(&f.context, &f.image, why), SF_OK);
    assert_int_equal(release_check_manifest(&f.context, &f.image, &f.manifest, f.version, why),
                     SF_OK);
    f.image.length = f.context.smallest_slot; /* fills the slot to the last byte */
    assert_int_equal(release_check_image(&f.context, &f.image, why), SF_OK);
    f.context.smallest_slot = 0; /* not told */
    f.image.length = UINT32_MAX;
    assert_int_equal(release_check_image(&f.context, &f.image, why), SF_OK);
}

static void other_chip(struct fixture *f)
{
    f->image.head.header.chip_id = SF_CHIP_ESP32S3;
}
static void too_large(struct fixture *f)
{
    f->image.length = f->context.smallest_slot + 1;
}
static void no_record(struct fixture *f)
{
    f->image.head.has_record = 0;
}
static void other_class(struct fixture *f)
{
    f->image.head.record.class_uuid[15] ^= 1;
}
static void lower_secure_version(struct fixture *f)
{
    f->image.head.desc.secure_version = 1;
}
static void no_description(struct fixture *f)
{
    f->image.head.has_desc = 0; /* its secure_version counts as 0 */
}

static void refuses_an_image_with_a_sentence_that_names_it(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct fixture *);
        int error;
        const char *part;
    } rows[] = {
        {other_chip, SF_ERR_CHIP, "image is for esp32s3, product 'lamp' is esp32c3"},
        {too_large, SF_ERR_NOSPC, "has 1048577 bytes, the smallest app slot of product 'lamp'"},
        {no_record, SF_ERR_NO_RECORD, "force 'no-record'"},
        {other_class, SF_ERR_CLASS, "hardware revision 'a'"},
        {lower_secure_version, SF_ERR_SECURE_VERSION, "its secure_version is 1"},
        {no_description, SF_ERR_SECURE_VERSION, "its secure_version is 0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[RELEASE_WHY_SIZE] = "";
        struct fixture f = good();
        rows[i].spoil(&f);
        assert_int_equal(release_check_image(&f.context, &f.image, why), rows[i].error);
        assert_non_null(strstr(why, "cannot publish 'app.bin': "));
        assert_non_null(strstr(why, rows[i].part));
        assert_true(strlen(why) < RELEASE_WHY_SIZE - 1);
    }
}

static void an_image_without_record_passes_if_forced_by_name_or_plain(void **state)
{
    (void)state;
    char why[RELEASE_WHY_SIZE];
    struct fixture f = good();
    f.image.head.has_record = 0;
    f.context.force = RELEASE_FORCE_NO_RECORD;
    assert_int_equal(release_check_image(&f.context, &f.image, why), SF_OK);
    f.context.force = 0;
    f.context.kind = PRODUCT_PLAIN;
    assert_int_equal(release_check_image(&f.context, &f.image, why), SF_OK);
    f = good();
    f.context.force = RELEASE_FORCE_NO_RECORD; /* does not force another class */
    other_class(&f);
    assert_int_equal(release_check_image(&f.context, &f.image, why), SF_ERR_CLASS);
}

static void other_vendor(struct fixture *f)
{
    f->manifest.vendor_uuid[0] ^= 1;
}
static void manifest_of_other_class(struct fixture *f)
{
    f->manifest.class_uuid[0] ^= 1;
}
static void other_image(struct fixture *f)
{
    f->manifest.image_digest[31] ^= 1;
}
static void other_size(struct fixture *f)
{
    f->manifest.image_size--;
}
static void other_uri(struct fixture *f)
{
    f->manifest.uri[20] = 'c';
}
static void odd_seq(struct fixture *f)
{
    f->manifest.seq = 9;
}
static void used_seq(struct fixture *f)
{
    f->manifest.seq = 6;
}
static void unreserved_seq(struct fixture *f)
{
    f->manifest.seq = 12;
}
static void huge_seq(struct fixture *f)
{
    f->manifest.seq = UINT64_C(1) << 63;
}
static void other_version(struct fixture *f)
{
    f->version = "1.2.1";
}

static void refuses_a_manifest_that_says_something_else(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct fixture *);
        int error;
    } rows[] = {
        {other_vendor, SF_ERR_CLASS}, {manifest_of_other_class, SF_ERR_CLASS},
        {other_image, SF_ERR_DIGEST}, {other_size, SF_ERR_IMAGE_SIZE},
        {other_uri, SF_ERR_PROFILE},  {odd_seq, SF_ERR_RANGE},
        {used_seq, SF_ERR_SEQ_OLD},   {unreserved_seq, SF_ERR_SEQ_JUMP},
        {huge_seq, SF_ERR_SEQ_JUMP},  {other_version, SF_ERR_VERSION},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[RELEASE_WHY_SIZE] = "";
        struct fixture f = good();
        rows[i].spoil(&f);
        assert_int_equal(release_check_manifest(&f.context, &f.image, &f.manifest, f.version, why),
                         rows[i].error);
        assert_true(strlen(why) > 20);
    }
}

/* In the order of SemVer 2.0.0, clause 11. */
static const char *const ordered[] = {
    "0.0.1",      "0.9.0",        "1.0.0-0",        "1.0.0-2",
    "1.0.0-10",   "1.0.0-alpha",  "1.0.0-alpha.1",  "1.0.0-alpha.beta",
    "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",  "1.0.0-rc.1",
    "1.0.0",      "1.0.1",        "1.2.0",          "1.10.0",
    "2.0.0",      "10.0.0",       "4294967296.0.0", "99999999999999999999.0.0",
};

static void orders_versions_as_semver_says(void **state)
{
    (void)state;
    size_t count = sizeof ordered / sizeof ordered[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            enum version_order want = i < k ? VERSION_LESS : (i > k ? VERSION_MORE : VERSION_EQUAL);
            if (version_compare(ordered[i], ordered[k]) != want) {
                print_error("%s and %s\n", ordered[i], ordered[k]);
            }
            assert_int_equal(version_compare(ordered[i], ordered[k]), want);
        }
    }
    assert_int_equal(version_compare("1.0.0+a", "1.0.0+b.7"), VERSION_EQUAL);
    assert_int_equal(version_compare("1.0.0-rc.1+x", "1.0.0-rc.1"), VERSION_EQUAL);
}

static void what_is_no_semver_only_equals_itself(void **state)
{
    (void)state;
    static const char *const odd[] = {"",       "1",       "1.2",     "v1.2.0",   "01.2.0",
                                      "1.2.00", "1.2.0-",  "1.2.0+",  "1.2.0-01", "1.2.0-a..b",
                                      "1.2.0 ", "1.2.0-ä", "2024-05", "1.2.0.1",  "-1.2.0"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_int_equal(version_compare(odd[i], odd[i]), VERSION_EQUAL);
        assert_int_equal(version_compare(odd[i], "1.2.0"), VERSION_UNRELATED);
        assert_int_equal(version_compare("1.2.0", odd[i]), VERSION_UNRELATED);
    }
}

static void a_release_has_a_name_that_fits_everywhere(void **state)
{
    (void)state;
    char why[RELEASE_WHY_SIZE];
    static const char *const fine[] = {"1", "1.2.0-rc.1+5", "2024_05",
                                       "12345678901234567890123456789012"};
    static const char *const bad[] = {"", "1 2", "1/2", "ä", "123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        assert_int_equal(release_check_version(fine[i], why), SF_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(release_check_version(bad[i], why), SF_ERR_FORMAT);
    }
    assert_string_equal(product_kind_str(PRODUCT_PLAIN), "plain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishes_a_release_that_fits),
        cmocka_unit_test(refuses_an_image_with_a_sentence_that_names_it),
        cmocka_unit_test(an_image_without_record_passes_if_forced_by_name_or_plain),
        cmocka_unit_test(refuses_a_manifest_that_says_something_else),
        cmocka_unit_test(orders_versions_as_semver_says),
        cmocka_unit_test(what_is_no_semver_only_equals_itself),
        cmocka_unit_test(a_release_has_a_name_that_fits_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
