#ifndef CLI_ELF_FILE_H
#define CLI_ELF_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/err.h"

/* The loadable parts of a 32-bit little-endian ELF executable (RISC-V or Xtensa). Nothing of the
 * file is believed: every offset and length is checked against what was read. */

enum { ELF_FILE_SEGMENT_MAX = 64 };

struct elf_segment {
    uint32_t addr; /* p_paddr: where the bootloader puts it */
    uint32_t len;  /* bytes in the file, > 0; .bss beyond them is not in an image */
    const uint8_t *data;
};

struct elf_file {
    uint16_t machine; /* EM_RISCV or EM_XTENSA */
    uint32_t entry;
    struct elf_segment segment[ELF_FILE_SEGMENT_MAX]; /* sorted by addr; they do not overlap */
    unsigned count;                                   /* > 0 */
};

/* `out` points into `data`. Errors: MAGIC (not ELF), UNSUPPORTED (64-bit, big-endian, other
 * machine, not an executable), TRUNCATED, RANGE, OVERLAP, NOTFOUND (nothing to load). */
int elf_file_decode(const uint8_t *data, size_t len, struct elf_file *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

#endif
