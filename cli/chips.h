#ifndef CLI_CHIPS_H
#define CLI_CHIPS_H

#include <stdint.h>

/* What an app image's layout depends on, chip by chip. Source: the memory maps of Espressif's
 * technical reference manuals; the codes of byte 3 of the image header are esp_app_format.h's. */

enum { CHIP_FREQ_MAX = 4 };

struct chip_freq {
    const char *name; /* "80m" */
    uint8_t code;     /* low nibble of byte 3 */
};

struct chip {
    uint16_t id;      /* enum sf_chip */
    uint16_t machine; /* EM_RISCV or EM_XTENSA */
    uint32_t drom_start;
    uint32_t drom_end;
    uint32_t irom_start; /* the same as drom_start where one bus sees both */
    uint32_t irom_end;
    /* Whether data and code are mapped by the same MMU entries (by the low bits of the address), so
     * that a page of one hides a page of the other. */
    uint8_t shared_mmu;
    uint8_t page_log2_min; /* smallest MMU page the chip can be set to; 16 = fixed at 64 KiB */
    struct chip_freq freq[CHIP_FREQ_MAX]; /* fastest first */
};

/* NULL if unknown. */
const struct chip *chip_find(int id);

/* "esp32, esp32s2, ..." for sentences; static. */
const char *chip_names(void);

int chip_is_flash(const struct chip *chip, uint32_t addr);

/* The code of a flash frequency on this chip ("80m"), of a flash size ("4MB"), of a flash mode
 * ("dio"); -1 if there is none. */
int chip_freq_code(const struct chip *chip, const char *name);
int chip_size_code(const char *name);
int chip_mode_code(const char *name);

/* And back, for people; "?" if unknown. Static. */
const char *chip_freq_name(const struct chip *chip, unsigned code);
const char *chip_size_name(unsigned code);
const char *chip_mode_name(unsigned code);

#endif
