/* surefoot image from-elf; oracle_test.c lets esptool judge its images. */

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "cli/appimage.h"
#include "formats/image.h"
#include "tests/cli/elf_make.h"
#include "tests/cli/run.h"
#include "tests/support/vectors.h"

static uint8_t elf[ELF_MAKE_MAX];

static const char *write_elf(const struct elf_make *spec)
{
    const char *path = run_path("a.elf");
    run_write(path, elf, elf_make(spec, elf));
    return path;
}

static json_int_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

/* Converts and returns what `image info` says about the result. */
static json_t *convert(const struct elf_make *spec, const char *chip, const char *out)
{
    run_expect(run_surefoot("image", "from-elf", write_elf(spec), "--chip", chip, "-o", out, NULL),
               0, "");
    struct run *r = run_surefoot("image", "info", "--json", out, NULL);
    run_expect(r, 0, NULL);
    return run_json(r);
}

static void flash_segments_lie_where_they_can_be_mapped_and_app_desc_comes_first(void **state)
{
    (void)state;
    const struct elf_make spec = elf_make_c3();
    json_t *info = convert(&spec, "esp32c3", run_path("a.bin"));
    const json_t *segments = json_object_get(info, "segments");
    unsigned mapped = 0;
    for (size_t i = 0; i < json_array_size(segments); i++) {
        const json_t *s = json_array_get(segments, i);
        if (strcmp(vectors_text(s, "kind"), "flash") == 0) {
            assert_int_equal(number(s, "offset") % 0x10000, number(s, "load_addr") % 0x10000);
            mapped++;
        }
    }
    assert_int_equal(mapped, 2);
    assert_int_equal(number(json_array_get(segments, 0), "load_addr"), 0x3c000020);
    assert_int_equal(number(json_array_get(segments, 0), "offset"), 0x20);
    assert_string_equal(vectors_text(json_object_get(info, "app_desc"), "version"), "1.2.3");
    assert_int_equal(number(json_object_get(info, "header"), "entry_addr"), 0x42010020);
    json_decref(info);
}

/* All bytes of all ELF segments are in the image at their addresses, and RAM is used as padding. */
static void nothing_of_the_elf_is_lost(void **state)
{
    (void)state;
    const struct elf_make spec = elf_make_c3();
    const char *path = run_path("b.bin");
    json_t *info = convert(&spec, "esp32c3", path);
    const json_t *segments = json_object_get(info, "segments");
    size_t len = 0;
    uint8_t *image = run_read(path, &len);
    uint8_t record_crc[4];
    memcpy(record_crc, image + 0x120 + 60, 4);
    memset(image + 0x20 + 144, 0, 32); /* what from-elf fills in */
    memset(image + 0x120 + 60, 0, 4);
    size_t at = sizeof(Elf32_Ehdr) + spec.count * sizeof(Elf32_Phdr);
    for (unsigned i = 0; i < spec.count; i++) {
        uint32_t found = 0;
        for (size_t k = 0; k < json_array_size(segments); k++) {
            const json_t *s = json_array_get(segments, k);
            const int64_t from = number(s, "load_addr") - spec.segment[i].addr;
            for (int64_t b = 0; b < number(s, "size"); b++) {
                if (from + b >= 0 && from + b < spec.segment[i].len) {
                    assert_int_equal(image[number(s, "offset") + b], elf[at + (size_t)(from + b)]);
                    found++;
                }
            }
        }
        assert_int_equal(found, spec.segment[i].len);
        at += spec.segment[i].len;
    }
    assert_true(record_crc[0] | record_crc[1] | record_crc[2] | record_crc[3]);
    free(image);
    json_decref(info);
}

static void the_elf_s_digest_and_the_record_s_crc_are_filled_in(void **state)
{
    (void)state;
    const struct elf_make spec = elf_make_c3();
    json_t *info = convert(&spec, "esp32c3", run_path("c.bin"));
    const char *const argv[] = {"sha256sum", run_path("a.elf"), NULL};
    struct run *r = run_program(argv);
    assert_int_equal(r->status, 0);
    r->out[64] = '\0';
    assert_string_equal(vectors_text(json_object_get(info, "app_desc"), "elf_sha256"), r->out);
    assert_string_equal(vectors_text(json_object_get(info, "updater_record"), "class_uuid"),
                        "5a110000-0000-0000-0000-000000000000");
    json_decref(info);
}

static void the_same_elf_gives_the_same_image(void **state)
{
    (void)state;
    const struct elf_make spec = elf_make_c3();
    size_t len[2] = {0};
    json_decref(convert(&spec, "esp32c3", run_path("d.bin")));
    uint8_t *first = run_read(run_path("d.bin"), &len[0]);
    json_decref(convert(&spec, "esp32c3", run_path("d.bin")));
    uint8_t *second = run_read(run_path("d.bin"), &len[1]);
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(first, second, len[0]);
    free(first);
    free(second);
}

static void header_options_are_written(void **state)
{
    (void)state;
    const struct elf_make spec = elf_make_c3();
    const char *out = run_path("e.bin");
    run_expect(run_surefoot("image", "from-elf", write_elf(&spec), "--chip", "esp32c3",
                            "--flash-mode", "qio", "--flash-size", "8MB", "--flash-freq", "40m",
                            "--min-rev", "3", "--max-rev", "199", "-o", out, NULL),
               0, NULL);
    json_t *info = run_json(run_surefoot("image", "info", "--json", out, NULL));
    const json_t *header = json_object_get(info, "header");
    assert_string_equal(vectors_text(header, "flash_mode"), "qio");
    assert_string_equal(vectors_text(header, "flash_size"), "8MB");
    assert_string_equal(vectors_text(header, "flash_freq"), "40m");
    assert_int_equal(number(header, "min_chip_rev"), 3);
    assert_int_equal(number(header, "max_chip_rev"), 199);
    json_decref(info);
}

static void neighbouring_segments_become_one(void **state)
{
    (void)state;
    struct elf_make spec = elf_make_c3();
    spec.segment[2].len = 0x100;
    spec.segment[spec.count++] = (struct elf_make_segment){0x3fc90100, 0x40, ELF_PLAIN};
    /* In the page where the constants end: it can be mapped only with them. */
    spec.segment[spec.count++] = (struct elf_make_segment){0x3c001100, 0x40, ELF_PLAIN};
    json_t *info = convert(&spec, "esp32c3", run_path("f.bin"));
    const json_t *segments = json_object_get(info, "segments");
    assert_int_equal(number(json_array_get(segments, 0), "size"), 0x1120);
    for (size_t i = 0; i < json_array_size(segments); i++) {
        assert_int_not_equal(number(json_array_get(segments, i), "load_addr"), 0x3fc90100);
        assert_int_not_equal(number(json_array_get(segments, i), "load_addr"), 0x3c001100);
    }
    json_decref(info);
}

static void an_elf_without_app_desc_gives_a_bootable_image_and_a_note(void **state)
{
    (void)state;
    struct elf_make spec = elf_make_c3();
    spec.segment[0].content = ELF_PLAIN;
    const char *out = run_path("g.bin");
    run_expect(
        run_surefoot("image", "from-elf", write_elf(&spec), "--chip", "esp32c3", "-o", out, NULL),
        0, "has no app_desc");
    run_expect(run_surefoot("image", "verify", out, NULL), 0, NULL);
    spec.segment[0].content = ELF_DESC;
    run_expect(
        run_surefoot("image", "from-elf", write_elf(&spec), "--chip", "esp32c3", "-o", out, NULL),
        0, "carries no updater record");
    run_expect(run_surefoot("image", "verify", "--require-record", out, NULL), 1,
               "carries no updater record");
}

/* ---- refusals ---- */

static void expect_refused(const struct elf_make *spec, const char *chip, const char *sentence)
{
    const char *out = run_path("refused.bin");
    struct run *r =
        run_surefoot("image", "from-elf", write_elf(spec), "--chip", chip, "-o", out, NULL);
    run_expect(r, 1, "cannot make an image from");
    run_expect(r, 1, sentence);
    run_expect(run_surefoot("image", "info", out, NULL), 4, "cannot read");
}

static void elfs_that_fit_no_chip_are_refused_with_a_sentence(void **state)
{
    (void)state;
    struct elf_make spec = elf_make_c3();
    expect_refused(&spec, "esp32s3", "for another processor than the esp32s3 has");
    spec.machine = EM_X86_64;
    expect_refused(&spec, "esp32c3", "neither RISC-V nor Xtensa");
    spec = elf_make_c3();
    spec.segment[2].addr = 0x10000;
    expect_refused(&spec, "esp32c3", "no address of this chip");
    spec = elf_make_c3();
    spec.segment[2].addr = 0x3fc90002;
    expect_refused(&spec, "esp32c3", "not a multiple of 4");
    spec = elf_make_c3();
    spec.segment[3].addr = spec.segment[2].addr + 0x10;
    expect_refused(&spec, "esp32c3", "two segments load to the same address");
    spec = elf_make_c3();
    spec.segment[1].addr = 0x42000020;
    expect_refused(&spec, "esp32c3", "need the same MMU page");
    spec = elf_make_c3();
    spec.segment[0].addr = 0x3c000100;
    expect_refused(&spec, "esp32c3", "app_desc is at 0x3c000100: it must be 0x20 bytes past");
    spec = elf_make_c3();
    spec.segment[1].addr = 0x427fff20;
    expect_refused(&spec, "esp32c3", "runs over the edge of mapped flash");
}

static void seventeen_segments_are_refused(void **state)
{
    (void)state;
    struct elf_make spec = elf_make_c3();
    while (spec.count < 17) {
        spec.segment[spec.count] =
            (struct elf_make_segment){0x3fc91000 + spec.count * 0x100, 0x40, ELF_PLAIN};
        spec.count++;
    }
    expect_refused(&spec, "esp32c3", "an image has at most 16");
}

static void what_is_no_elf_is_refused(void **state)
{
    (void)state;
    const struct elf_make spec = elf_make_c3();
    const char *path = write_elf(&spec);
    const char *out = run_path("h.bin");
    size_t len = 0;
    uint8_t *bytes = run_read(path, &len);
    run_write(path, bytes, 40);
    run_expect(run_surefoot("image", "from-elf", path, "--chip", "esp32c3", "-o", out, NULL), 1,
               "the ELF header is not complete");
    run_write(path, bytes, len / 2);
    run_expect(run_surefoot("image", "from-elf", path, "--chip", "esp32c3", "-o", out, NULL), 1,
               "a segment lies beyond the end of the file");
    bytes[EI_CLASS] = ELFCLASS64;
    run_write(path, bytes, len);
    run_expect(run_surefoot("image", "from-elf", path, "--chip", "esp32c3", "-o", out, NULL), 1,
               "not a 32-bit little-endian ELF");
    run_write(path, "hello", 5);
    run_expect(run_surefoot("image", "from-elf", path, "--chip", "esp32c3", "-o", out, NULL), 1,
               "this is not an ELF file");
    free(bytes);
}

static void wrong_options_are_usage(void **state)
{
    (void)state;
    const struct elf_make spec = elf_make_c3();
    const char *path = write_elf(&spec);
    const char *out = run_path("i.bin");
    run_expect(run_surefoot("image", "from-elf", path, "-o", out, NULL), 2,
               "--chip CHIP is missing");
    run_expect(run_surefoot("image", "from-elf", path, "--chip", "esp32c3", NULL), 2,
               "--output FILE is missing");
    run_expect(run_surefoot("image", "from-elf", path, "--chip", "z80", "-o", out, NULL), 2,
               "unknown chip 'z80'; there are esp32, ");
    run_expect(run_surefoot("image", "from-elf", path, "--chip", "esp32h2", "--flash-freq", "80m",
                            "-o", out, NULL),
               2, "--flash-freq '80m' is not possible on the esp32h2");
    run_expect(run_surefoot("image", "from-elf", path, "--chip", "esp32c3", "--min-rev", "5",
                            "--max-rev", "4", "-o", out, NULL),
               2, "--min-rev 5 is above --max-rev 4");
}

/* What a bit flip or a truncation makes of an ELF is refused, or gives an image that parses. */
static void check_hostile(const uint8_t *data, size_t len)
{
    struct elf_file file;
    struct appimage image;
    struct sf_diag diag = {0};
    const struct appimage_options options = {.chip = chip_find(SF_CHIP_ESP32C3)};
    if (elf_file_decode(data, len, &file, &diag) != SF_OK) {
        assert_non_null(diag.why);
        return;
    }
    if (appimage_build(&file, &options, crypto_openssl(), &image) != SF_OK) {
        assert_true(strlen(image.why) > 0);
    } else {
        assert_int_equal(image.data[0], SF_IMAGE_MAGIC);
        assert_true(image.segment_count <= SF_IMAGE_SEGMENT_MAX);
    }
    appimage_release(&image);
}

static void no_truncation_and_no_flipped_header_bit_gets_past_the_checks(void **state)
{
    (void)state;
    struct elf_make spec = elf_make_c3();
    for (unsigned i = 1; i < spec.count; i++) {
        spec.segment[i].len = 64;
    }
    size_t len = elf_make(&spec, elf);
    size_t headers = sizeof(Elf32_Ehdr) + spec.count * sizeof(Elf32_Phdr);
    for (size_t n = 0; n < len; n++) {
        uint8_t *copy = malloc(n ? n : 1); /* exact, so that ASan sees one byte too many */
        assert_non_null(copy);
        memcpy(copy, elf, n);
        check_hostile(copy, n);
        free(copy);
    }
    for (size_t bit = 0; bit < headers * 8; bit++) {
        elf[bit / 8] ^= (uint8_t)(1U << bit % 8);
        check_hostile(elf, len);
        elf[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flash_segments_lie_where_they_can_be_mapped_and_app_desc_comes_first),
        cmocka_unit_test(nothing_of_the_elf_is_lost),
        cmocka_unit_test(the_elf_s_digest_and_the_record_s_crc_are_filled_in),
        cmocka_unit_test(the_same_elf_gives_the_same_image),
        cmocka_unit_test(header_options_are_written),
        cmocka_unit_test(neighbouring_segments_become_one),
        cmocka_unit_test(an_elf_without_app_desc_gives_a_bootable_image_and_a_note),
        cmocka_unit_test(elfs_that_fit_no_chip_are_refused_with_a_sentence),
        cmocka_unit_test(seventeen_segments_are_refused),
        cmocka_unit_test(what_is_no_elf_is_refused),
        cmocka_unit_test(wrong_options_are_usage),
        cmocka_unit_test(no_truncation_and_no_flipped_header_bit_gets_past_the_checks),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
