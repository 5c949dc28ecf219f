/* surefoot against the real surefootd: products, releases and their refusals, devices. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/uuid.h"
#include "tests/cli/run.h"
#include "tests/cli/served.h"
#include "tests/support/esp8266_image.h"
#include "tests/support/esp_flash.h"
#include "tests/support/esp_image.h"
#include "tests/support/vectors.h"

enum { SIZE = 8192, SLOT_SIZE = 65536 };

static const char *key;
static uint8_t class_a[UUID_SIZE];
static uint8_t class_b[UUID_SIZE];

static int setup(void **state)
{
    uint8_t vendor[UUID_SIZE];
    if (run_setup(state) != 0 || served_start() != 0 ||
        uuid_vendor("example.com", vendor) != SF_OK ||
        uuid_class(vendor, "lamp", "A", class_a) != SF_OK ||
        uuid_class(vendor, "lamp", "B", class_b) != SF_OK) {
        return -1;
    }
    key = run_path("release.pem");
    return served_make_lamp();
}

static int teardown(void **state)
{
    int failed = served_stop();
    return run_teardown(state) | failed;
}

static const char *write_image(const char *name, const struct esp_image_spec *spec)
{
    static uint8_t image[2 * SLOT_SIZE];
    const char *path = run_path(name);
    run_write(path, image, esp_image_build(spec, image, sizeof image));
    return path;
}

static struct run *publish(const char *image)
{
    return run_surefoot("release", "publish", image, "--product", "lamp", "--key", key, NULL);
}

static void a_product_is_created_with_a_token_in_a_0600_file(void **state)
{
    (void)state;
    struct stat st;
    size_t len = 0;
    assert_int_equal(stat(run_path("lamp.token"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    uint8_t *token = run_read(run_path("lamp.token"), &len);
    assert_true(len > 32);
    free(token);
    json_t *product = run_json(run_surefoot("product", "show", "lamp", "--json", NULL));
    assert_string_equal(vectors_text(product, "chip"), "esp32c3");
    const json_t *classes = json_object_get(product, "hw_revisions");
    assert_int_equal(json_array_size(classes), 2);
    char text[UUID_TEXT_SIZE];
    uuid_text(class_a, text);
    assert_string_equal(vectors_text(json_array_get(classes, 0), "class_uuid"), text);
    json_t *public_key = run_json(run_surefoot("key", "show", "--json", key, NULL));
    assert_string_equal(vectors_text(product, "release_key"),
                        vectors_text(public_key, "public_key"));
    json_decref(public_key);
    json_decref(product);
}

static void a_product_that_is_there_is_not_created_again(void **state)
{
    (void)state;
    run_expect(run_surefoot("product", "create", "lamp", "--chip", "esp32c3", "--vendor",
                            "example.com", "--slot-size", "65536", "--enrol-token",
                            run_path("lamp.token"), NULL),
               4, "is there already and is not overwritten");
    run_expect(run_surefoot("product", "create", "lamp", "--chip", "esp32c3", "--vendor",
                            "example.com", "--slot-size", "65536", "--enrol-token",
                            run_path("again.token"), NULL),
               1, "there is a product 'lamp' already");
    assert_int_not_equal(access(run_path("again.token"), F_OK), 0);
    run_expect(run_surefoot("product", "show", "fridge", NULL), 1, "fridge");
}

static struct run *create_with_table(unsigned ota_count, void (*spoil)(uint8_t *table))
{
    static uint8_t bytes[SF_PARTITION_TABLE_SIZE];
    const struct esp_flash_layout layout = {1, 1, ota_count};
    struct sf_partition_table table;
    const char *path = run_path("table.bin");
    esp_flash_table(&layout, &table);
    assert_int_equal(sf_partition_table_encode(&table, bytes), SF_OK);
    if (spoil) {
        spoil(bytes);
    }
    run_write(path, bytes, sizeof bytes);
    return run_surefoot("product", "create", "door", "--chip", "esp32c3", "--vendor", "example.com",
                        "--partition-table", path, "--enrol-token", run_path("door.token"),
                        "--json", NULL);
}

static void flip_a_label(uint8_t *table)
{
    table[12] ^= 1;
}

static void the_slot_size_comes_from_a_partition_table_with_two_slots(void **state)
{
    (void)state;
    run_expect(create_with_table(1, NULL), 1, "has 1 ota slots: an update over the air needs two");
    run_expect(create_with_table(2, flip_a_label), 1, "is no sound partition table: MD5");
    struct run *r = create_with_table(2, NULL);
    run_expect(r, 0, "door.token");
    json_t *product = run_json(r);
    assert_int_equal(json_integer_value(json_object_get(product, "slot_size")),
                     ESP_FLASH_SLOT_SIZE);
    assert_null(json_object_get(product, "enrol_token")); /* in its file, not on the terminal */
    json_decref(product);
}

static void settings_of_a_product_are_changed_and_revisions_added(void **state)
{
    (void)state;
    run_expect(run_surefoot("product", "set", "lamp", NULL), 2, "nothing to set");
    json_t *product = run_json(run_surefoot("product", "set", "lamp", "--hw-revision", "C",
                                            "--interval", "900", "--json", NULL));
    assert_int_equal(json_array_size(json_object_get(product, "hw_revisions")), 3);
    assert_int_equal(json_integer_value(json_object_get(product, "checkin_interval_s")), 900);
    json_decref(product);
    run_expect(run_surefoot("product", "enrol-token", "lamp", "-o", run_path("no/token"), NULL), 4,
               "No such file");
    run_expect(run_surefoot("product", "enrol-token", "lamp", "-o", "/dev/full", NULL), 4,
               "is there already");
    run_expect(run_surefoot("product", "enrol-token", "lamp", "--days", "30", "-o",
                            run_path("second.token"), NULL),
               0, "enrolment token, mode 0600");
    struct run *r = run_surefoot("product", "list", NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "lamp     surefoot  esp32c3"));
}

static void an_image_is_published_shown_and_made_the_target(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {.size = SIZE, .class_uuid = class_a};
    struct run *r = run_surefoot("release", "publish", write_image("a.bin", &spec), "-p", "lamp",
                                 "-k", key, "--notes", "first light", "--json", NULL);
    run_expect(r, 0, NULL);
    json_t *release = run_json(r);
    assert_string_equal(vectors_text(release, "version"), "1.0.0");
    assert_string_equal(vectors_text(release, "notes"), "first light");
    const json_t *m = json_array_get(json_object_get(release, "manifests"), 0);
    assert_string_equal(vectors_text(m, "hw_revision"), "A");
    assert_int_equal(json_integer_value(json_object_get(m, "size")), SIZE);
    json_t *shown = run_json(run_surefoot("release", "show", "lamp", "1.0.0", "--json", NULL));
    assert_true(json_equal(release, shown));
    json_decref(shown);
    json_decref(release);
    r = run_surefoot("release", "list", "lamp", NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "1.0.0"));
    run_expect(run_surefoot("release", "target", "lamp", "1.0.0", NULL), 0, NULL);
    json_t *product = run_json(run_surefoot("product", "show", "lamp", "--json", NULL));
    assert_string_equal(vectors_text(product, "target"), "1.0.0");
    json_decref(product);
    run_expect(run_surefoot("product", "target", "lamp", "none", NULL), 0, NULL);
    run_expect(run_surefoot("product", "target", "lamp", "9.9.9", NULL), 1, "9.9.9");
    run_expect(run_surefoot("release", "show", "lamp", "1.0", NULL), 1,
               "product 'lamp' has no release '1.0'; did you mean '1.0.0'?");
    run_expect(run_surefoot("release", "list", "lmap", NULL), 1, "did you mean 'lamp'?");
    run_expect(run_surefoot("device", "list", "--product", "lamb", NULL), 1,
               "did you mean 'lamp'?");
}

static void one_release_has_an_image_for_each_hardware_revision(void **state)
{
    (void)state;
    const struct esp_image_spec a = {.size = SIZE, .class_uuid = class_a, .version = "1.1.0"};
    const struct esp_image_spec b = {.size = SIZE, .class_uuid = class_b, .version = "1.1.0"};
    const char *path_a = write_image("a.bin", &a);
    const char *path_b = write_image("b.bin", &b);
    run_expect(run_surefoot("release", "publish", path_a, path_a, "-p", "lamp", "-k", key, NULL), 1,
               "both are for hardware revision A");
    json_t *release = run_json(run_surefoot("release", "publish", path_a, path_b, "-p", "lamp",
                                            "-k", key, "--target", "--json", NULL));
    assert_int_equal(json_array_size(json_object_get(release, "manifests")), 2);
    json_decref(release);
    json_t *product = run_json(run_surefoot("product", "show", "lamp", "--json", NULL));
    assert_string_equal(vectors_text(product, "target"), "1.1.0");
    json_decref(product);
}

/* CI jobs are run again: that must not fail, and must not make a second release. */
static void the_same_images_are_published_once(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {.size = SIZE, .class_uuid = class_a, .version = "1.1.0"};
    const char *path = write_image("again.bin", &spec);
    json_t *before = run_json(run_surefoot("release", "list", "lamp", "--json", NULL));
    struct run *r =
        run_surefoot("release", "publish", path, "-p", "lamp", "-k", key, "--json", NULL);
    run_expect(r, 0, "release 1.1.0 of 'lamp' is there already with the same images");
    json_t *release = run_json(r);
    assert_string_equal(vectors_text(release, "version"), "1.1.0");
    json_decref(release);
    json_t *after = run_json(run_surefoot("release", "list", "lamp", "--json", NULL));
    assert_true(json_equal(before, after));
    json_decref(after);
    json_decref(before);
    run_expect(run_surefoot("product", "target", "lamp", "none", NULL), 0, NULL);
    run_expect(run_surefoot("release", "publish", path, "-p", "lamp", "-k", key, "--target", NULL),
               0, "the devices of lamp should run it from now on");
    json_t *product = run_json(run_surefoot("product", "show", "lamp", "--json", NULL));
    assert_string_equal(vectors_text(product, "target"), "1.1.0");
    json_decref(product);
}

/* Each of these would be refused by the server too; nothing is uploaded for it. */
static void what_devices_would_refuse_is_refused_before_the_upload(void **state)
{
    (void)state;
    static const uint8_t other_class[UUID_SIZE] = {1, 2, 3};
    struct esp_image_spec spec = {.size = SIZE, .class_uuid = class_a, .version = "1.1.0"};
    spec.seed = 1;
    run_expect(publish(write_image("r.bin", &spec)), 1,
               "has a release 1.1.0 already, with another image for hardware revision A");
    spec.seed = 0;
    spec.version = "2.0.0";
    spec.size = SLOT_SIZE + 16;
    run_expect(publish(write_image("r.bin", &spec)), 1, "the smallest app slot of product 'lamp'");
    spec.size = SIZE;
    spec.class_uuid = other_class;
    run_expect(publish(write_image("r.bin", &spec)), 1, "no hardware revision of product 'lamp'");
    spec.class_uuid = class_a;
    spec.without_record = 1;
    run_expect(publish(write_image("r.bin", &spec)), 1, "carries no updater record");
    spec.without_record = 0;
    spec.version = "nightly";
    run_expect(publish(write_image("r.bin", &spec)), 1, "its version 'nightly'");
    spec.version = "2.0.0";
    const char *path = write_image("r.bin", &spec);
    size_t len = 0;
    uint8_t *image = run_read(path, &len);
    image[12] = SF_CHIP_ESP32S3;
    esp_image_reseal(image, len);
    run_write(path, image, len);
    run_expect(publish(path), 1, "image is for esp32s3, product 'lamp' is esp32c3");
    image[12] = SF_CHIP_ESP32C3;
    run_write(path, image, len);
    run_expect(publish(path), 1, "appended SHA-256 does not match");
    run_write(path, image, len - 1);
    run_expect(publish(path), 1, "input ends too early");
    free(image);
    const char *other = run_path("other.pem");
    path = write_image("r.bin", &spec);
    run_expect(run_surefoot("key", "new", "--no-passphrase", other, NULL), 0, "0600");
    run_expect(run_surefoot("release", "publish", path, "-p", "lamp", "-k", other, NULL), 1,
               "is not the product's release key");
    run_expect(run_surefoot("release", "publish", path, "-p", "lamp", NULL), 2,
               "--key FILE is missing");
    json_t *list = run_json(run_surefoot("release", "list", "lamp", "--json", NULL));
    assert_int_equal(json_array_size(json_object_get(list, "items")), 2);
    json_decref(list);
}

static void a_lower_secure_version_is_refused(void **state)
{
    (void)state;
    struct esp_image_spec spec = {
        .size = SIZE, .class_uuid = class_a, .version = "3.0.0", .secure_version = 2};
    run_expect(publish(write_image("s.bin", &spec)), 0, "--allow-burn permits them to burn it");
    spec.version = "3.1.0";
    spec.secure_version = 1;
    run_expect(publish(write_image("s.bin", &spec)), 1,
               "its secure_version is 1, product 'lamp' had a release with 2");
}

static void a_secure_version_may_be_burnt_only_if_the_publisher_says_so(void **state)
{
    (void)state;
    struct esp_image_spec spec = {
        .size = SIZE, .class_uuid = class_a, .version = "3.2.0", .secure_version = 2};
    const char *path = write_image("b.bin", &spec);
    run_expect(
        run_surefoot("release", "publish", path, "-p", "lamp", "-k", key, "--allow-burn", NULL), 0,
        NULL);
    json_t *burns = run_json(run_surefoot("release", "show", "lamp", "3.2.0", "--json", NULL));
    assert_true(json_is_true(json_object_get(burns, "allow_burn")));
    json_decref(burns);
    json_t *keeps = run_json(run_surefoot("release", "show", "lamp", "3.0.0", "--json", NULL));
    assert_true(json_is_false(json_object_get(keeps, "allow_burn")));
    json_decref(keeps);
    const struct run *r = run_surefoot("release", "show", "lamp", "3.2.0", NULL);
    assert_non_null(strstr(r->out, "may be burnt"));
}

static void there_is_nothing_to_burn_at_secure_version_0(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {.size = SIZE, .class_uuid = class_a, .version = "1.9.0"};
    run_expect(run_surefoot("release", "publish", write_image("z.bin", &spec), "-p", "lamp", "-k",
                            key, "--allow-burn", NULL),
               1, "so there is nothing to burn");
}

static void an_image_without_record_goes_out_only_when_one_insists(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {
        .size = SIZE, .version = "4.0.0", .secure_version = 2, .without_record = 1};
    const char *path = write_image("n.bin", &spec);
    run_expect(run_surefoot("release", "publish", path, "-p", "lamp", "-k", key,
                            "--allow-no-record", NULL),
               2, "--hw-revision NAME");
    json_t *release =
        run_json(run_surefoot("release", "publish", path, "-p", "lamp", "-k", key,
                              "--allow-no-record", "--hw-revision", "B", "--json", NULL));
    const json_t *m = json_array_get(json_object_get(release, "manifests"), 0);
    assert_true(json_is_true(json_object_get(m, "forced")));
    assert_string_equal(vectors_text(m, "hw_revision"), "B");
    json_decref(release);
}

static void a_plain_product_takes_plain_images_without_a_key(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {.size = SIZE, .without_record = 1};
    run_expect(run_surefoot("product", "create", "fan", "--kind", "plain", "--chip", "esp32c3",
                            "--vendor", "example.com", "--slot-size", "65536", "--enrol-token",
                            run_path("fan.token"), NULL),
               0, "fan.token");
    const char *path = write_image("p.bin", &spec);
    run_expect(run_surefoot("release", "publish", path, "-p", "fan", NULL), 0, NULL);
    run_expect(run_surefoot("release", "publish", path, "-p", "fan", NULL), 0,
               "is there already with the same images");
    const struct esp_image_spec other = {.size = SIZE, .without_record = 1, .seed = 1};
    run_expect(run_surefoot("release", "publish", write_image("p.bin", &other), "-p", "fan", NULL),
               1, "with another image");
}

/* It says no version itself. */
static void an_esp8266_is_published_by_the_version_that_is_given(void **state)
{
    (void)state;
    uint8_t image[8192];
    const char *path = run_path("esp8266.bin");
    run_write(path, image, esp8266_image_build(1000, image, sizeof image));
    run_expect(run_surefoot("product", "create", "plug", "--chip", "esp8266", "--vendor",
                            "example.com", "--slot-size", "0x80000", NULL),
               1, "plain");
    run_expect(run_surefoot("product", "create", "plug", "--kind", "plain", "--chip", "esp8266",
                            "--vendor", "example.com", "--slot-size", "0x80000", "--enrol-token",
                            run_path("plug.token"), NULL),
               0, "plug.token");
    run_expect(run_surefoot("release", "publish", path, "-p", "plug", NULL), 1,
               "--release-version");
    run_expect(
        run_surefoot("release", "publish", path, "-p", "fan", "--release-version", "1.0.0", NULL),
        1, "image is for esp8266");
    run_expect(
        run_surefoot("release", "publish", path, "-p", "plug", "--release-version", "1.0.0", NULL),
        0, NULL);
    run_expect(run_surefoot("plain", "stable", "plug", "1.0.0", NULL), 0, NULL);
    json_t *product = run_json(run_surefoot("product", "show", "plug", "--json", NULL));
    assert_string_equal(vectors_text(product, "chip"), "esp8266");
    assert_string_equal(vectors_text(product, "stable"), "1.0.0");
    json_decref(product);
}

static void devices_are_listed_and_unknown_ones_told(void **state)
{
    (void)state;
    struct run *r = run_surefoot("device", "list", "--product", "lamp", NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "DEVICE  PRODUCT"));
    json_t *list = run_json(run_surefoot("device", "list", "--json", NULL));
    assert_int_equal(json_array_size(json_object_get(list, "items")), 0);
    json_decref(list);
    static const char *const verbs[] = {"show", "history", "approve", "reject", "revoke"};
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        run_expect(run_surefoot("device", verbs[i], "nobody", NULL), 1, "nobody");
    }
    run_expect(run_surefoot("device", "target", "nobody", "1.0.0", NULL), 1, "nobody");
    run_expect(run_surefoot("device", "list", "--state", "sleepy", NULL), 1, "state");
}

static void the_server_says_how_it_is(void **state)
{
    (void)state;
    json_t *answer = run_json(run_surefoot("server", "status", "--json", NULL));
    const json_t *space = json_object_get(answer, "space");
    assert_true(json_integer_value(json_object_get(space, "database_bytes")) > 0);
    assert_true(json_is_null(json_object_get(space, "quota_bytes")));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(answer, "keep_days"), "audit")), 1100);
    json_decref(answer);
    struct run *r = run_surefoot("server", "status", NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "Certificate until"));
    assert_non_null(strstr(r->out, " MiB"));
    run_expect(run_surefoot("server", "status", "now", NULL), 2, "now");
}

static void the_fleet_is_frozen_shown_and_let_go_on(void **state)
{
    (void)state;
    json_t *answer = run_json(run_surefoot("freeze", "--reason", "bad batch", "--json", NULL));
    assert_true(json_is_true(json_object_get(answer, "frozen")));
    assert_string_equal(vectors_text(answer, "reason"), "bad batch");
    json_decref(answer);
    struct run *r = run_surefoot("freeze", "--show", NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "bad batch"));
    answer = run_json(run_surefoot("unfreeze", "--json", NULL));
    assert_true(json_is_false(json_object_get(answer, "frozen")));
    json_decref(answer);
    run_expect(run_surefoot("freeze", "now", NULL), 2, "now");
    char reason[200];
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    run_expect(run_surefoot("freeze", "--reason", reason, NULL), 1, "reason");
    r = run_surefoot("freeze", "--show", "--json", NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "\"frozen\": false"));
}

/* What the command line shows leads to the request's line in the server's log. */
static void a_refusal_can_be_found_in_the_server_s_log(void **state)
{
    (void)state;
    struct run *r = run_surefoot("device", "show", "nobody", NULL);
    run_expect(r, 1, "there is no device 'nobody'; `surefoot device list` shows those there are");
    char id[64];
    const char *at = strstr(r->err, " (request ");
    assert_non_null(at);
    at += strlen(" (request ");
    snprintf(id, sizeof id, "%.*s", (int)strcspn(at, ")"), at);
    assert_true(strlen(id) >= 8);
    size_t len = 0;
    uint8_t *log = run_read(run_path("server.log"), &len);
    assert_non_null(memmem(log, len, id, strlen(id)));
    free(log);
}

static void a_token_that_the_server_does_not_know_is_refused(void **state)
{
    (void)state;
    const char *token = run_path("wrong-token");
    run_write(token, "sft_0000000000000000000000000000000000000000000000000000000000000000", 68);
    run_expect(run_surefoot("login", served_url(), "--ca", run_path("data/ca.pem"), "--token-file",
                            token, "--config", run_path("wrong.json"), NULL),
               1, "token");
    assert_int_not_equal(access(run_path("wrong.json"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_product_is_created_with_a_token_in_a_0600_file),
        cmocka_unit_test(a_product_that_is_there_is_not_created_again),
        cmocka_unit_test(the_slot_size_comes_from_a_partition_table_with_two_slots),
        cmocka_unit_test(settings_of_a_product_are_changed_and_revisions_added),
        cmocka_unit_test(an_image_is_published_shown_and_made_the_target),
        cmocka_unit_test(one_release_has_an_image_for_each_hardware_revision),
        cmocka_unit_test(the_same_images_are_published_once),
        cmocka_unit_test(what_devices_would_refuse_is_refused_before_the_upload),
        cmocka_unit_test(there_is_nothing_to_burn_at_secure_version_0),
        cmocka_unit_test(a_lower_secure_version_is_refused),
        cmocka_unit_test(a_secure_version_may_be_burnt_only_if_the_publisher_says_so),
        cmocka_unit_test(an_image_without_record_goes_out_only_when_one_insists),
        cmocka_unit_test(a_plain_product_takes_plain_images_without_a_key),
        cmocka_unit_test(an_esp8266_is_published_by_the_version_that_is_given),
        cmocka_unit_test(devices_are_listed_and_unknown_ones_told),
        cmocka_unit_test(the_server_says_how_it_is),
        cmocka_unit_test(the_fleet_is_frozen_shown_and_let_go_on),
        cmocka_unit_test(a_refusal_can_be_found_in_the_server_s_log),
        cmocka_unit_test(a_token_that_the_server_does_not_know_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
