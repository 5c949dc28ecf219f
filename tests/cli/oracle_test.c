/* Our images and dumps before judges that nobody here wrote: esptool and nvs_partition_gen, of
 * build/venv. Without them, or without the RISC-V compiler, the program counts as skipped. */

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/cli/elf_make.h"
#include "tests/cli/run.h"
#include "tests/support/esp_flash.h"
#include "tests/support/vectors.h"

enum { FLASH_SIZE = 0x400000, SKIPPED = 77 };

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

/* Runs `esptool image-info` and demands that checksum and hash are right. */
static struct run *esptool_info(const char *path)
{
    const char *const argv[] = {run_esptool(), "image-info", path, NULL};
    struct run *r = run_program(argv);
    if (r->status != 0 || !strstr(r->out, "Checksum: 0x") || strstr(r->out, "invalid") ||
        !strstr(r->out, "(valid)")) {
        fail_msg("esptool refuses the image: %s %s", r->out, r->err);
    }
    return r;
}

static void esptool_accepts_the_images_of_every_chip(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *esptool_name;
        uint32_t drom;
        uint32_t irom;
        uint32_t ram;
    } chips[] = {
        {"esp32", "ESP32", 0x3f400020, 0x400d0020, 0x3ffb0000},
        {"esp32s2", "ESP32-S2", 0x3f000020, 0x40080020, 0x3ffc0000},
        {"esp32s3", "ESP32-S3", 0x3c000020, 0x42010020, 0x3fc90000},
        {"esp32c2", "ESP32-C2", 0x3c000020, 0x42010020, 0x3fca0000},
        {"esp32c3", "ESP32-C3", 0x3c000020, 0x42010020, 0x3fc90000},
        {"esp32c5", "ESP32-C5", 0x42010020, 0x42000020, 0x40810000},
        {"esp32c6", "ESP32-C6", 0x42010020, 0x42000020, 0x40810000},
        {"esp32c61", "ESP32-C61", 0x42010020, 0x42000020, 0x40810000},
        {"esp32h2", "ESP32-H2", 0x42010020, 0x42000020, 0x40810000},
        {"esp32p4", "ESP32-P4", 0x40010020, 0x40000020, 0x4ff20000},
    };
    for (unsigned i = 0; i < sizeof chips / sizeof chips[0]; i++) {
        const struct elf_make spec = {.machine = i < 3 ? EM_XTENSA : EM_RISCV,
                                      .entry = chips[i].irom,
                                      .count = 3,
                                      .segment = {{chips[i].irom, 0x900, ELF_PLAIN},
                                                  {chips[i].drom, 0x700, ELF_DESC_AND_RECORD},
                                                  {chips[i].ram, 0x500, ELF_PLAIN}}};
        json_decref(convert(&spec, chips[i].name, run_path("chip.bin")));
        struct run *r = esptool_info(run_path("chip.bin"));
        char line[64];
        snprintf(line, sizeof line, "Detected image type: %s\n", chips[i].esptool_name);
        if (!strstr(r->out, line) || !strstr(r->out, "App version: 1.2.3")) {
            fail_msg("esptool describes the %s image otherwise: %s", chips[i].name, r->out);
        }
    }
}

/* The same fields, as esptool prints them. */
static void esptool_describes_the_image_as_we_do(void **state)
{
    (void)state;
    const struct elf_make spec = elf_make_c3();
    const char *path = run_path("j.bin");
    json_t *info = convert(&spec, "esp32c3", path);
    struct run *r = esptool_info(path);
    char line[160];
    const json_t *segments = json_object_get(info, "segments");
    snprintf(line, sizeof line, "Segments: %zu\n", json_array_size(segments));
    assert_non_null(strstr(r->out, line));
    for (size_t i = 0; i < json_array_size(segments); i++) {
        const json_t *s = json_array_get(segments, i);
        snprintf(line, sizeof line, "0x%05x  0x%08x  0x%08x", (unsigned)number(s, "size"),
                 (unsigned)number(s, "load_addr"), (unsigned)number(s, "offset") - 8);
        assert_non_null(strstr(r->out, line));
    }
    snprintf(line, sizeof line, "Validation hash: %s (valid)",
             vectors_text(info, "appended_sha256"));
    assert_non_null(strstr(r->out, line));
    snprintf(line, sizeof line, "ELF file SHA256: %s",
             vectors_text(json_object_get(info, "app_desc"), "elf_sha256"));
    assert_non_null(strstr(r->out, line));
    assert_non_null(strstr(r->out, "Entry point: 0x42010020"));
    assert_non_null(strstr(r->out, "Flash mode: DIO"));
    assert_non_null(strstr(r->out, "Flash size: 4MB"));
    assert_non_null(strstr(r->out, "Flash freq: 80m"));
    json_decref(info);
}

static void compile_firmware(const char *out)
{
    static const char source[] = SF_SOURCE_DIR "/examples/demo-firmware/";
    static const char include[] = "-I" SF_SOURCE_DIR "/include";
    char script[RUN_PATH_MAX];
    char code[RUN_PATH_MAX];
    char start[RUN_PATH_MAX];
    snprintf(script, sizeof script, "%slink.ld", source);
    snprintf(code, sizeof code, "%sfirmware.c", source);
    snprintf(start, sizeof start, "%sstart.S", source);
    const char *const argv[] = {"riscv64-unknown-elf-gcc",
                                "-march=rv32imc",
                                "-mabi=ilp32",
                                "-Os",
                                "-ffreestanding",
                                "-nostdlib",
                                include,
                                "-DDEMO_CLASS=0x5a,0x11,0,0,0,0,0,0,0,0,0,0,0,0,0,0",
                                "-T",
                                script,
                                code,
                                start,
                                "-o",
                                out,
                                NULL};
    run_expect(run_program(argv), 0, NULL);
}

static void esptool_accepts_an_image_of_a_linked_firmware(void **state)
{
    (void)state;
    const char *firmware = run_path("firmware.elf");
    const char *out = run_path("firmware.bin");
    compile_firmware(firmware);
    run_expect(run_surefoot("image", "from-elf", firmware, "--chip", "esp32c3", "-o", out, NULL), 0,
               NULL);
    struct run *r = esptool_info(out);
    assert_non_null(strstr(r->out, "Project name: demo-lamp"));
    run_expect(run_surefoot("image", "verify", "--chip", "esp32c3", "--class",
                            "5a110000-0000-0000-0000-000000000000", out, NULL),
               0, NULL);
}

static void we_accept_the_image_that_esptool_makes_of_the_same_elf(void **state)
{
    (void)state;
    const char *firmware = run_path("firmware.elf");
    const char *theirs = run_path("esptool.bin");
    const char *ours = run_path("ours.bin");
    compile_firmware(firmware);
    const char *const argv[] = {
        run_esptool(),  "--chip", "esp32c3",      "elf2image", "--elf-sha256-offset", "0xb0",
        "--flash-mode", "dio",    "--flash-size", "4MB",       "--flash-freq",        "80m",
        "-o",           theirs,   firmware,       NULL};
    assert_int_equal(run_program(argv)->status, 0);
    run_expect(run_surefoot("image", "verify", theirs, NULL), 0, NULL);
    run_expect(run_surefoot("image", "from-elf", firmware, "--chip", "esp32c3", "-o", ours, NULL),
               0, NULL);
    json_t *a = run_json(run_surefoot("image", "info", "--json", theirs, NULL));
    json_t *b = run_json(run_surefoot("image", "info", "--json", ours, NULL));
    assert_true(json_equal(json_object_get(a, "app_desc"), json_object_get(b, "app_desc")));
    assert_int_equal(number(json_object_get(a, "header"), "entry_addr"),
                     number(json_object_get(b, "header"), "entry_addr"));
    /* esptool knows nothing of the record: its crc stays 0, publishing refuses it. */
    assert_true(json_is_null(json_object_get(a, "updater_record")));
    assert_false(json_is_null(json_object_get(b, "updater_record")));
    json_decref(a);
    json_decref(b);
}

/* Real NVS bytes, made by nvs_partition_gen. */
static void info_lists_the_keys_of_an_nvs_partition_but_not_their_values(void **state)
{
    (void)state;
    static const char csv[] = "key,type,encoding,value\n"
                              "wifi,namespace,,\n"
                              "ssid,data,string,my network\n"
                              "pass,data,string,hunter2-hunter2\n"
                              "count,data,u32,7\n";
    const char *generator = SF_SOURCE_DIR "/build/venv/bin/python";
    const struct esp_flash_layout layout = {1, 1, 2};
    struct sf_partition_table table;
    struct esp_flash flash = {malloc(FLASH_SIZE), FLASH_SIZE};
    const char *dump = run_path("dump.bin");
    assert_non_null(flash.bytes);
    const char *csv_path = run_path("nvs.csv");
    const char *bin_path = run_path("nvs.bin");
    size_t len = 0;
    run_write(csv_path, csv, sizeof csv - 1);
    const char *const argv[] = {generator,  "-m",     "esp_idf_nvs_partition_gen",
                                "generate", csv_path, bin_path,
                                "0x4000",   NULL};
    assert_int_equal(run_program(argv)->status, 0);
    uint8_t *nvs = run_read(bin_path, &len);
    assert_int_equal(len, 0x4000);
    memset(flash.bytes, 0xff, FLASH_SIZE);
    esp_flash_table(&layout, &table);
    esp_flash_put_table(&flash, &table);
    memcpy(flash.bytes + 0x9000, nvs, len);
    run_write(dump, flash.bytes, FLASH_SIZE);
    free(flash.bytes);
    free(nvs);
    struct run *r = run_surefoot("flash", "info", dump, "--json", NULL);
    assert_null(strstr(r->out, "hunter2"));
    json_t *info = run_json(r);
    const json_t *part = json_array_get(json_object_get(info, "nvs"), 0);
    const json_t *items = json_object_get(part, "items");
    assert_int_equal(json_array_size(items), 3);
    assert_string_equal(vectors_text(json_array_get(items, 1), "namespace"), "wifi");
    assert_string_equal(vectors_text(json_array_get(items, 1), "key"), "pass");
    assert_string_equal(vectors_text(json_array_get(items, 1), "type"), "string");
    json_decref(info);
    r = run_surefoot("flash", "info", dump, "--chip", "esp32c3", NULL);
    assert_non_null(strstr(r->out, "NVS             nvs: 3 keys"));
    assert_null(strstr(r->out, "hunter2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(esptool_accepts_the_images_of_every_chip),
        cmocka_unit_test(esptool_describes_the_image_as_we_do),
        cmocka_unit_test(esptool_accepts_an_image_of_a_linked_firmware),
        cmocka_unit_test(we_accept_the_image_that_esptool_makes_of_the_same_elf),
        cmocka_unit_test(info_lists_the_keys_of_an_nvs_partition_but_not_their_values),
    };
    if (!run_esptool()) {
        puts("skipped: there is no esptool in build/venv; script/bootstrap test installs it");
        return SKIPPED;
    }
    if (access("/usr/bin/riscv64-unknown-elf-gcc", X_OK) != 0) {
        puts("skipped: there is no riscv64-unknown-elf-gcc; script/bootstrap installs it");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
