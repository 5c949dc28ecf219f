/* Reading ELF32 program headers.
 *
 * 1. Sums of two file fields are made in 64 bits before they are compared with anything. */

#include "cli/elf_file.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

static int check_header(const Elf32_Ehdr *h, size_t len, struct sf_diag *diag)
{
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0) {
        return sf_fail(diag, SF_ERR_MAGIC, 0, "this is not an ELF file");
    }
    if (h->e_ident[EI_CLASS] != ELFCLASS32 || h->e_ident[EI_DATA] != ELFDATA2LSB) {
        return sf_fail(diag, SF_ERR_UNSUPPORTED, EI_CLASS, "not a 32-bit little-endian ELF");
    }
    if (h->e_machine != EM_RISCV && h->e_machine != EM_XTENSA) {
        return sf_fail(diag, SF_ERR_UNSUPPORTED, offsetof(Elf32_Ehdr, e_machine),
                       "neither RISC-V nor Xtensa");
    }
    if (h->e_type != ET_EXEC) {
        return sf_fail(diag, SF_ERR_UNSUPPORTED, offsetof(Elf32_Ehdr, e_type),
                       "not a linked executable");
    }
    if (h->e_phentsize != sizeof(Elf32_Phdr)) {
        return sf_fail(diag, SF_ERR_RANGE, offsetof(Elf32_Ehdr, e_phentsize),
                       "program headers of another size");
    }
    if ((uint64_t)h->e_phoff + (uint64_t)h->e_phnum * sizeof(Elf32_Phdr) > len) {
        return sf_fail(diag, SF_ERR_TRUNCATED, offsetof(Elf32_Ehdr, e_phoff),
                       "the program headers lie beyond the end of the file");
    }
    return SF_OK;
}

static int take_segment(const Elf32_Phdr *p, const uint8_t *data, size_t len, struct elf_file *out)
{
    if (p->p_type != PT_LOAD || p->p_filesz == 0) {
        return SF_OK;
    }
    if ((uint64_t)p->p_offset + p->p_filesz > len) {
        return SF_ERR_TRUNCATED;
    }
    if ((uint64_t)p->p_paddr + p->p_filesz > UINT32_MAX) {
        return SF_ERR_RANGE;
    }
    if (out->count == ELF_FILE_SEGMENT_MAX) {
        return SF_ERR_NOSPC;
    }
    out->segment[out->count++] = (struct elf_segment){p->p_paddr, p->p_filesz, data + p->p_offset};
    return SF_OK;
}

static const char *segment_problem(int err)
{
    switch (err) {
    case SF_ERR_TRUNCATED:
        return "a segment lies beyond the end of the file";
    case SF_ERR_RANGE:
        return "a segment's addresses run past 4 GiB";
    default:
        return "more than 64 loadable segments";
    }
}

static int by_address(const void *a, const void *b)
{
    const struct elf_segment *x = a;
    const struct elf_segment *y = b;
    return (x->addr > y->addr) - (x->addr < y->addr);
}

int elf_file_decode(const uint8_t *data, size_t len, struct elf_file *out, struct sf_diag *diag)
{
    memset(out, 0, sizeof *out);
    Elf32_Ehdr header;
    if (len < SELFMAG || memcmp(data, ELFMAG, SELFMAG) != 0) {
        return sf_fail(diag, SF_ERR_MAGIC, 0, "this is not an ELF file");
    }
    if (len < sizeof header) {
        return sf_fail(diag, SF_ERR_TRUNCATED, len, "the ELF header is not complete");
    }
    memcpy(&header, data, sizeof header);
    int err = check_header(&header, len, diag);
    if (err != SF_OK) {
        return err;
    }
    out->machine = header.e_machine;
    out->entry = header.e_entry;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf32_Phdr p;
        size_t offset = header.e_phoff + i * sizeof p;
        memcpy(&p, data + offset, sizeof p);
        err = take_segment(&p, data, len, out);
        if (err != SF_OK) {
            return sf_fail(diag, err, offset, segment_problem(err));
        }
    }
    if (out->count == 0) {
        return sf_fail(diag, SF_ERR_NOTFOUND, header.e_phoff, "no segment has anything to load");
    }
    qsort(out->segment, out->count, sizeof out->segment[0], by_address);
    for (unsigned i = 1; i < out->count; i++) {
        if (out->segment[i].addr - out->segment[i - 1].addr < out->segment[i - 1].len) {
            return sf_fail(diag, SF_ERR_OVERLAP, (size_t)(out->segment[i].data - data),
                           "two segments load to the same address");
        }
    }
    return SF_OK;
}
