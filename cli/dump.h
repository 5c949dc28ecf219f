#ifndef CLI_DUMP_H
#define CLI_DUMP_H

#include "cli/cli.h"
#include "cli/file.h"
#include "formats/bootloader.h"

/* A dump of a whole flash chip, seen as its bootloader sees it. What the chip has beyond the end of
 * the dump reads as erased. */

struct dump {
    const char *path;
    struct file_bytes file;
    struct sf_bootloader loader; /* reads this dump */
    enum { DUMP_CHIP_GIVEN, DUMP_CHIP_READ, DUMP_CHIP_ASSUMED } chip_from;

    /* Of dump_boot(): */
    int err; /* SF_OK, or why the bootloader refuses the partition table */
    struct sf_diag diag;
    struct sf_bootloader_work work;
    struct sf_boot_decision decision;
};

/* The options that `flash info` and `flash boot` share come first in both tables. */
enum { DUMP_CHIP, DUMP_CHIP_REV, DUMP_NO_ROLLBACK, DUMP_EFUSE, DUMP_FLASH_SIZE, DUMP_OPTIONS };

/* clang-format off */
#define DUMP_OPTION_ROWS                                                                           \
    {"chip", "NAME", "the chip (of the bootloader in the dump, else esp32c3)", 0, 0},              \
    {"chip-rev", "N", "its revision, major * 100 + minor (3 for the esp32c3)", 0, 0},              \
    {"no-rollback", NULL, "a bootloader built without rollback support", 0, 0},                    \
    {"efuse-secure-version", "N", "an anti-rollback bootloader, with N burnt in the eFuse", 0, 0}, \
    {"flash-size", "BYTES", "the chip's flash, if the dump is a part of it", 0, 0}
/* clang-format on */

/* Reads the file and the options. Returns enum cli_exit, with a sentence; release in every case. */
int dump_open(struct dump *dump, const struct cli_args *args) __attribute__((warn_unused_result));
void dump_release(struct dump *dump);

/* Runs the boot decision. */
void dump_boot(struct dump *dump);

/* Why nothing boots: the table's error or the decision's reason; for people. */
struct dump_reason {
    char text[256];
};
struct dump_reason dump_none_reason(const struct dump *dump);

/* Carries out the decision's writes in the dump. */
void dump_apply(struct dump *dump);

/* The 64 bytes of both otadata entries as they are in the dump; 0 if there is no otadata. */
int dump_otadata(const struct dump *dump, uint8_t out[2 * SF_OTADATA_ENTRY_SIZE])
    __attribute__((warn_unused_result));

#endif
