#ifndef TESTS_CLI_ELF_MAKE_H
#define TESTS_CLI_ELF_MAKE_H

#include <stddef.h>
#include <stdint.h>

/* ELF32 executables made field by field, as no linker would make the wrong ones. */

enum { ELF_MAKE_SEGMENTS = 24, ELF_MAKE_MAX = 1 << 20 };

struct elf_make_segment {
    uint32_t addr;
    uint32_t len;
    enum { ELF_PLAIN, ELF_DESC, ELF_DESC_AND_RECORD } content;
};

struct elf_make {
    uint16_t machine;
    uint32_t entry;
    unsigned count;
    struct elf_make_segment segment[ELF_MAKE_SEGMENTS];
};

/* An ESP32-C3 program: constants with app_desc and record, code, data, code in RAM. */
struct elf_make elf_make_c3(void);

/* Writes the ELF into `out` and returns its length. The filling of a segment is a pattern of its
 * address. */
size_t elf_make(const struct elf_make *spec, uint8_t out[ELF_MAKE_MAX]);

#endif
