/* UUIDs by name, against Python's uuid module and the SUIT draft. */
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/err.h"

/* The vendor of the draft's examples is arm.com. */
static void the_vendor_of_the_draft(void **state)
{
    (void)state;
    uint8_t vendor[UUID_SIZE];
    char text[UUID_TEXT_SIZE];
    assert_int_equal(uuid_vendor("arm.com", vendor), SF_OK);
    uuid_text(vendor, text);
    assert_string_equal(text, "fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe");
}

/* uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, 'arm.com'), 'lamp:1.0') */
static void a_class_is_product_and_hardware_revision(void **state)
{
    (void)state;
    uint8_t vendor[UUID_SIZE];
    uint8_t class_uuid[UUID_SIZE];
    uint8_t joined[UUID_SIZE];
    char text[UUID_TEXT_SIZE];
    assert_int_equal(uuid_vendor("arm.com", vendor), SF_OK);
    assert_int_equal(uuid_class(vendor, "lamp", "1.0", class_uuid), SF_OK);
    uuid_text(class_uuid, text);
    assert_string_equal(text, "865a8d54-ee87-5e66-8885-987099285aa5");
    assert_int_equal(uuid_v5(vendor, "lamp:1.0", joined), SF_OK);
    assert_memory_equal(joined, class_uuid, UUID_SIZE);
}

static void text_goes_to_bytes_and_back(void **state)
{
    (void)state;
    static const char upper[] = "886313E1-3B8A-5372-9B90-0C9AEE199E5D";
    uint8_t uuid[UUID_SIZE];
    uint8_t made[UUID_SIZE];
    char text[UUID_TEXT_SIZE];
    assert_int_equal(uuid_parse(upper, uuid), SF_OK);
    assert_int_equal(uuid_vendor("python.org", made), SF_OK);
    assert_memory_equal(uuid, made, UUID_SIZE);
    uuid_text(uuid, text);
    assert_string_equal(text, "886313e1-3b8a-5372-9b90-0c9aee199e5d");
}

static void other_text_is_refused(void **state)
{
    (void)state;
    static const char good[] = "886313e1-3b8a-5372-9b90-0c9aee199e5d";
    uint8_t uuid[UUID_SIZE];
    for (size_t i = 0; i < sizeof(good) - 1; i++) {
        char text[sizeof(good)];
        memcpy(text, good, sizeof(good));
        text[i] = text[i] == '-' ? '0' : '-';
        assert_int_equal(uuid_parse(text, uuid), SF_ERR_FORMAT);
        text[i] = 'g';
        assert_int_equal(uuid_parse(text, uuid), SF_ERR_FORMAT);
        text[i] = '\0';
        assert_int_equal(uuid_parse(text, uuid), SF_ERR_FORMAT);
    }
    assert_int_equal(uuid_parse("886313e1-3b8a-5372-9b90-0c9aee199e5d0", uuid), SF_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vendor_of_the_draft),
        cmocka_unit_test(a_class_is_product_and_hardware_revision),
        cmocka_unit_test(text_goes_to_bytes_and_back),
        cmocka_unit_test(other_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
