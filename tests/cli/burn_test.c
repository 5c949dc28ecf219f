/* Anti-rollback from the publisher's word to the eFuse, and flash encryption beside it: real
 * engine, real server, the bootloader's own rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/checkin.h"
#include "tests/cli/served.h"
#include "tests/cli/shop.h"

static struct shop shop;

static int setup(void **state)
{
    if (run_setup(state) != 0) {
        return -1;
    }
    shop_open(&shop);
    shop_publish(&shop, "1.0.0", 1, NULL);
    run_expect(run_surefoot("product", "set", "lamp", "--interval", "60", NULL), 0, NULL);
    return 0;
}

static int teardown(void **state)
{
    int failed = served_stop();
    return run_teardown(state) | failed;
}

static void publish(const char *version, uint32_t secure_version, const char *option)
{
    char name[64];
    const struct esp_image_spec spec = {.size = SHOP_IMAGE_SIZE,
                                        .class_uuid = shop.class_a,
                                        .version = version,
                                        .secure_version = secure_version};
    snprintf(name, sizeof name, "lamp-%s.bin", version);
    struct run *r = run_surefoot("release", "publish", shop_image(name, &spec), "-p", "lamp", "-k",
                                 shop.key, option, NULL);
    assert_int_equal(r->status, 0);
    assert_int_equal(strstr(r->err, "--allow-burn permits") != NULL, option == NULL);
    run_expect(run_surefoot("product", "target", "lamp", version, NULL), 0, NULL);
}

static void expect_history(const char *id, const char *words)
{
    struct run *r = run_surefoot("device", "history", id, NULL);
    run_expect(r, 0, NULL);
    if (strstr(r->out, words) == NULL) {
        fail_msg("the history does not say '%s':\n%s", words, r->out);
    }
}

static json_t *show(const char *id)
{
    return run_json(run_surefoot("device", "show", id, "--json", NULL));
}

static void expect_efuse(const char *id, json_int_t version, int has_way_back)
{
    json_t *device = show(id);
    assert_int_equal(json_integer_value(json_object_get(device, "efuse_secure_version")), version);
    assert_int_equal(json_is_string(json_object_get(device, "way_back")), has_way_back);
    json_decref(device);
}

static void a_secure_version_is_burnt_on_the_publishers_word_alone(void **state)
{
    (void)state;
    char id[SHOP_ID_SIZE];
    shop.device_option = "--anti-rollback";
    shop_run_device(&shop, "lamp", "1.0.0", id);
    publish("1.5.0", 0, "--quiet");
    shop_run_device(&shop, "lamp", "1.5.0", id);
    expect_efuse(id, 0, 1);

    publish("2.0.0", 1, NULL);
    shop_run_device(&shop, "lamp", "1.5.0", id);
    expect_history(id, "2.0.0 cannot go to this device: its secure_version is above the eFuse's, "
                       "and only a release published with --allow-burn may burn it");
    expect_efuse(id, 0, 1);

    publish("2.1.0", 1, "--allow-burn");
    shop_run_device(&shop, "lamp", "2.1.0", id); /* confirmed: burnt at the boot after that */
    shop_run_device(&shop, "lamp", "2.1.0", id);
    expect_efuse(id, 1, 0); /* and 1.5.0 is no way back */

    run_expect(run_surefoot("product", "target", "lamp", "1.5.0", NULL), 0, NULL);
    shop_run_device(&shop, "lamp", "2.1.0", id);
    expect_history(id, "1.5.0 cannot go to this device: its secure_version is below the eFuse's");

    publish("2.2.0", 1, NULL); /* burnt already: that takes nobody's word */
    shop_run_device(&shop, "lamp", "2.2.0", id);
    shop_run_device(&shop, "lamp", "2.2.0", id);
    expect_efuse(id, 1, 1);
}

static void a_device_with_flash_encryption_updates_and_says_that_it_has_it(void **state)
{
    (void)state;
    char id[SHOP_ID_SIZE];
    shop.device_option = "--flash-encryption";
    run_expect(run_surefoot("product", "target", "lamp", "2.1.0", NULL), 0, NULL);
    shop_run_device(&shop, "safe", "2.1.0", id);
    json_t *device = show(id);
    const json_int_t abilities = json_integer_value(json_object_get(device, "abilities"));
    assert_int_equal(abilities & SF_ABILITY_FLASH_ENCRYPTION, SF_ABILITY_FLASH_ENCRYPTION);
    json_decref(device);
    expect_efuse(id, 0, 1); /* permitted, and no bootloader that would burn it */
    run_expect(run_surefoot("product", "target", "lamp", "2.1.0", NULL), 0, NULL);
    shop_run_device(&shop, "safe", "2.1.0", id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secure_version_is_burnt_on_the_publishers_word_alone),
        cmocka_unit_test(a_device_with_flash_encryption_updates_and_says_that_it_has_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
