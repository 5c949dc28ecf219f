/* surefoot image info and verify: golden texts, and everything that is wrong with a file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cli/run.h"
#include "tests/support/esp_image.h"
#include "tests/support/vectors.h"

enum { SIZE = 8192, ROOM = 16384 };

static uint8_t image[SIZE];

static const char *write_image(const struct esp_image_spec *spec)
{
    const char *path = run_path("app.bin");
    run_write(path, image, esp_image_build(spec, image, sizeof image));
    return path;
}

static const char *write_good(void)
{
    const struct esp_image_spec spec = {.size = SIZE};
    return write_image(&spec);
}

static void info_of_a_good_image_is_the_golden_text(void **state)
{
    (void)state;
    const char *path = write_good();
    struct run *r = run_surefoot("image", "info", path, NULL);
    run_expect(r, 0, NULL);
    const char *const argv[] = {"sha256sum", path, NULL};
    char golden[2048];
    char *out = strdup(r->out);
    r = run_program(argv);
    snprintf(golden, sizeof golden,
             "file            %s, 8.0 KiB\n"
             "SHA-256         %.64s\n"
             "chip            esp32c3, revisions 3 to 99\n"
             "flash           dio, 4MB, 80m\n"
             "entry           0x40380000\n"
             "project         lamp\n"
             "version         1.0.0\n"
             "secure_version  0\n"
             "built           Jul  1 2026 12:00:00, ESP-IDF v5.1\n"
             "ELF SHA-256     a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\n"
             "updater record  class 5a110000-0000-0000-0000-000000000000, protocol 1, library "
             "0.1.0\n"
             "segment 0       0x3c000020,     512 bytes at 0x000020, flash\n"
             "segment 1       0x3fc90000,      64 bytes at 0x000228, ram\n"
             "segment 2       0x40380000,      64 bytes at 0x000270, ram\n"
             "segment 3       0x420002b8,    7460 bytes at 0x0002b8, flash\n"
             "verdict         sound\n",
             path, r->out);
    assert_string_equal(out, golden);
    free(out);
}

static void json_keys_are_stable(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "file",   "ok",       "reason",   "size",           "sha256",          "length",
        "header", "segments", "app_desc", "updater_record", "appended_sha256", "signature_blocks"};
    json_t *info = run_json(run_surefoot("image", "info", "--json", write_good(), NULL));
    assert_int_equal(json_object_size(info), sizeof keys / sizeof keys[0]);
    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_non_null(json_object_get(info, keys[i]));
    }
    json_decref(info);
    info = run_json(run_surefoot("image", "verify", "--json", write_good(), NULL));
    assert_int_equal(json_object_size(info), 4);
    assert_true(json_is_true(json_object_get(info, "ok")));
    json_decref(info);
}

static void every_broken_kind_is_refused_with_its_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        const char *sentence;
    } kinds[] = {
        {"badmagic", "wrong magic number"},
        {"badmagic_fixsha", "wrong magic number"},
        {"bitflip", "checksum does not match"},
        {"bitflip_fixck", "appended SHA-256 does not match"},
        {"badck_fixsha", "checksum does not match"},
        {"badsha", "appended SHA-256 does not match"},
        {"nohash_badck", "checksum does not match"},
        {"seg17", "bad segment"},
        {"seg0", "bad segment"},
        {"hugeseg", "input ends too early"},
        {"zero", "wrong magic number"},
    };
    static uint8_t slot[ROOM];
    const struct esp_image_spec spec = {.size = SIZE};
    const size_t len = esp_image_build(&spec, image, sizeof image);
    const char *path = run_path("broken.bin");
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_true(esp_image_lay(kinds[i].kind, image, len, slot, sizeof slot) >= 0);
        run_write(path, slot, len);
        struct run *r = run_surefoot("image", "verify", path, NULL);
        run_expect(r, 1, "is refused: ");
        run_expect(r, 1, kinds[i].sentence);
        assert_string_equal(r->out, "");
        r = run_surefoot("image", "info", "--json", path, NULL);
        run_expect(r, 1, kinds[i].sentence);
        json_t *info = run_json(r);
        assert_true(json_is_false(json_object_get(info, "ok")));
        assert_non_null(strstr(vectors_text(info, "reason"), kinds[i].sentence));
        json_decref(info);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    const char *path = write_good();
    static const size_t lengths[] = {0, 1, 23, 24, 31, 32, 287, 384, 4096, SIZE - 33, SIZE - 1};
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        run_write(path, image, lengths[i]);
        run_expect(run_surefoot("image", "verify", path, NULL), 1, "input ends too early");
    }
}

static void what_is_no_image_is_refused(void **state)
{
    (void)state;
    const char *path = run_path("text.bin");
    run_write(path, "this is a text file\n", 20);
    run_expect(run_surefoot("image", "verify", path, NULL), 1, "wrong magic number");
    run_expect(run_surefoot("image", "info", path, NULL), 1, "would not boot: wrong magic number");
    run_expect(run_surefoot("image", "verify", run_path("none.bin"), NULL), 4,
               "No such file or directory");
}

static void an_unknown_chip_is_refused(void **state)
{
    (void)state;
    const char *path = write_good();
    image[12] = 0x77;
    esp_image_reseal(image, SIZE);
    run_write(path, image, SIZE);
    run_expect(run_surefoot("image", "verify", path, NULL), 1, "unknown chip id");
}

static void bytes_after_the_image_are_refused_unless_allowed(void **state)
{
    (void)state;
    static uint8_t longer[SIZE + 16];
    const char *path = write_good();
    memcpy(longer, image, SIZE);
    run_write(path, longer, sizeof longer);
    run_expect(run_surefoot("image", "verify", path, NULL), 1, "bytes are left over after the end");
    run_expect(run_surefoot("image", "verify", "--allow-trailing", path, NULL), 0, NULL);
}

static void wishes_that_a_sound_image_does_not_meet_are_refused(void **state)
{
    (void)state;
    const char *path = write_good();
    run_expect(run_surefoot("image", "verify", "--chip", "esp32c3", "--chip-rev", "3",
                            "--slot-size", "8192", "--class",
                            "5a110000-0000-0000-0000-000000000000", path, NULL),
               0, NULL);
    run_expect(run_surefoot("image", "verify", "--chip", "esp32s3", path, NULL), 1,
               "the image is for another chip");
    run_expect(run_surefoot("image", "verify", "--chip-rev", "2", path, NULL), 1,
               "does not run on this chip revision");
    run_expect(run_surefoot("image", "verify", "--chip-rev", "100", path, NULL), 1,
               "does not run on this chip revision");
    run_expect(run_surefoot("image", "verify", "--slot-size", "8191", path, NULL), 1,
               "does not fit in the slot");
    run_expect(run_surefoot("image", "verify", "--class", "5a110000-0000-0000-0000-000000000001",
                            path, NULL),
               1, "meant for another product or hardware revision");
    run_expect(run_surefoot("image", "verify", "--class", "5a11", path, NULL), 2,
               "--class wants a uuid");
    const struct esp_image_spec plain = {.size = SIZE, .without_record = 1};
    run_expect(run_surefoot("image", "verify", write_image(&plain), NULL), 0, NULL);
    run_expect(run_surefoot("image", "verify", "--require-record", path, NULL), 1,
               "carries no updater record");
}

static void texts_of_an_image_cannot_write_to_the_terminal(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {
        .size = SIZE, .version = "1\033[2J\n2", .project_name = "\xff\xfe\""};
    const char *path = write_image(&spec);
    struct run *r = run_surefoot("image", "info", path, NULL);
    run_expect(r, 0, NULL);
    assert_null(strchr(r->out, '\033'));
    assert_non_null(strstr(r->out, "version         1?[2J?2\n"));
    json_t *info = run_json(run_surefoot("image", "info", "--json", path, NULL));
    assert_string_equal(vectors_text(json_object_get(info, "app_desc"), "project"), "??\"");
    json_decref(info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_of_a_good_image_is_the_golden_text),
        cmocka_unit_test(json_keys_are_stable),
        cmocka_unit_test(every_broken_kind_is_refused_with_its_sentence),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(what_is_no_image_is_refused),
        cmocka_unit_test(an_unknown_chip_is_refused),
        cmocka_unit_test(bytes_after_the_image_are_refused_unless_allowed),
        cmocka_unit_test(wishes_that_a_sound_image_does_not_meet_are_refused),
        cmocka_unit_test(texts_of_an_image_cannot_write_to_the_terminal),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
