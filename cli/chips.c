/* The chips' address ranges and header codes. */

#include "cli/chips.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "formats/image.h"

/* clang-format off */
#define FREQ_80 {{"80m", 15}, {"40m", 0}, {"20m", 2}}

static const struct chip chips[] = {
    {SF_CHIP_ESP32, EM_XTENSA, 0x3f400000, 0x3f800000, 0x400d0000, 0x40400000, 0, 16,
     {{"80m", 15}, {"40m", 0}, {"26m", 1}, {"20m", 2}}},
    {SF_CHIP_ESP32S2, EM_XTENSA, 0x3f000000, 0x3f3f0000, 0x40080000, 0x40b80000, 0, 16,
     {{"80m", 15}, {"40m", 0}, {"26m", 1}, {"20m", 2}}},
    {SF_CHIP_ESP32S3, EM_XTENSA, 0x3c000000, 0x3e000000, 0x42000000, 0x44000000, 1, 16,
     {{"80m", 15}, {"40m", 0}, {"20m", 2}}},
    {SF_CHIP_ESP32C3, EM_RISCV, 0x3c000000, 0x3c800000, 0x42000000, 0x42800000, 1, 16,
     {{"80m", 15}, {"40m", 0}, {"26m", 1}, {"20m", 2}}},
    {SF_CHIP_ESP32C2, EM_RISCV, 0x3c000000, 0x3c400000, 0x42000000, 0x42400000, 1, 14,
     {{"60m", 15}, {"30m", 0}, {"20m", 1}, {"15m", 2}}},
    /* The C6's flash controller divides by other values: 80 MHz is code 0 there. */
    {SF_CHIP_ESP32C6, EM_RISCV, 0x42000000, 0x43000000, 0x42000000, 0x43000000, 1, 13,
     {{"80m", 0}, {"40m", 0}, {"20m", 2}}},
    {SF_CHIP_ESP32H2, EM_RISCV, 0x42000000, 0x43000000, 0x42000000, 0x43000000, 1, 13,
     {{"48m", 15}, {"24m", 0}, {"16m", 1}, {"12m", 2}}},
    {SF_CHIP_ESP32P4, EM_RISCV, 0x40000000, 0x4c000000, 0x40000000, 0x4c000000, 1, 16, FREQ_80},
    {SF_CHIP_ESP32C61, EM_RISCV, 0x42000000, 0x44000000, 0x42000000, 0x44000000, 1, 13, FREQ_80},
    {SF_CHIP_ESP32C5, EM_RISCV, 0x42000000, 0x44000000, 0x42000000, 0x44000000, 1, 13, FREQ_80},
    {SF_CHIP_ESP32H21, EM_RISCV, 0x42000000, 0x43000000, 0x42000000, 0x43000000, 1, 13,
     {{"48m", 15}, {"24m", 0}}},
    {SF_CHIP_ESP32H4, EM_RISCV, 0x42000000, 0x44000000, 0x42000000, 0x44000000, 1, 13,
     {{"48m", 15}, {"24m", 0}}},
    {SF_CHIP_ESP32S31, EM_RISCV, 0x40000000, 0x54000000, 0x40000000, 0x54000000, 1, 16, FREQ_80},
};
/* clang-format on */

static const char *const sizes[] = {"1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB"};
static const char *const modes[] = {"qio", "qout", "dio", "dout", "fast", "slow"};

enum {
    CHIP_COUNT = sizeof chips / sizeof chips[0],
    SIZE_COUNT = sizeof sizes / sizeof sizes[0],
    MODE_COUNT = sizeof modes / sizeof modes[0],
};

const struct chip *chip_find(int id)
{
    for (unsigned i = 0; i < CHIP_COUNT; i++) {
        if (chips[i].id == id) {
            return &chips[i];
        }
    }
    return NULL;
}

const char *chip_names(void)
{
    return "esp32, esp32s2, esp32s3, esp32s31, esp32c2, esp32c3, esp32c5, esp32c6, esp32c61, "
           "esp32h2, esp32h21, esp32h4, esp32p4";
}

int chip_is_flash(const struct chip *chip, uint32_t addr)
{
    return (addr >= chip->drom_start && addr < chip->drom_end) ||
           (addr >= chip->irom_start && addr < chip->irom_end);
}

int chip_freq_code(const struct chip *chip, const char *name)
{
    for (unsigned i = 0; i < CHIP_FREQ_MAX && chip->freq[i].name; i++) {
        if (strcmp(chip->freq[i].name, name) == 0) {
            return chip->freq[i].code;
        }
    }
    return -1;
}

static int find_name(const char *const *names, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int chip_size_code(const char *name)
{
    return find_name(sizes, SIZE_COUNT, name);
}

int chip_mode_code(const char *name)
{
    return find_name(modes, 4, name); /* "fast" and "slow" are not for new images */
}

const char *chip_freq_name(const struct chip *chip, unsigned code)
{
    for (unsigned i = 0; chip && i < CHIP_FREQ_MAX && chip->freq[i].name; i++) {
        if (chip->freq[i].code == code) {
            return chip->freq[i].name;
        }
    }
    return "?";
}

const char *chip_size_name(unsigned code)
{
    return code < SIZE_COUNT ? sizes[code] : "?";
}

const char *chip_mode_name(unsigned code)
{
    return code < MODE_COUNT ? modes[code] : "?";
}
