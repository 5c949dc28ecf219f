/* ELF files for tests. */

#include "tests/cli/elf_make.h"

#include <assert.h>
#include <elf.h>
#include <string.h>

struct elf_make elf_make_c3(void)
{
    const struct elf_make spec = {.machine = EM_RISCV,
                                  .entry = 0x42010020,
                                  .count = 4,
                                  .segment = {
                                      {0x3c000020, 0x1000, ELF_DESC_AND_RECORD},
                                      {0x42010020, 0x2345, ELF_PLAIN},
                                      {0x3fc90000, 0x333, ELF_PLAIN},
                                      {0x40380000, 0x800, ELF_PLAIN},
                                  }};
    return spec;
}

static void put_text(uint8_t *at, const char *text)
{
    memcpy(at, text, strlen(text) + 1);
}

static void fill(const struct elf_make_segment *s, uint8_t *at)
{
    static const uint8_t desc_magic[] = {0x32, 0x54, 0xcd, 0xab};
    static const uint8_t record_head[] = {'S', 'F', 'U', 'R', 1, 0, 1, 0, 0x5a, 0x11};
    for (uint32_t i = 0; i < s->len; i++) {
        at[i] = (uint8_t)((s->addr + i) * 2654435761U >> 24);
    }
    if (s->content != ELF_PLAIN) {
        memset(at, 0, 256);
        memcpy(at, desc_magic, sizeof desc_magic);
        put_text(at + 16, "1.2.3");
        put_text(at + 48, "lamp");
        at[180] = 16; /* MMU page: 64 KiB */
    }
    if (s->content == ELF_DESC_AND_RECORD) {
        memset(at + 256, 0, 64);
        memcpy(at + 256, record_head, sizeof record_head);
    }
}

size_t elf_make(const struct elf_make *spec, uint8_t out[ELF_MAKE_MAX])
{
    static const char names[] = "\0.shstrtab";
    const Elf32_Shdr none = {0};
    size_t pos = sizeof(Elf32_Ehdr) + spec->count * sizeof(Elf32_Phdr);
    Elf32_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = spec->machine,
        .e_version = EV_CURRENT,
        .e_entry = spec->entry,
        .e_phoff = sizeof header,
        .e_ehsize = sizeof header,
        .e_phentsize = sizeof(Elf32_Phdr),
        .e_phnum = (Elf32_Half)spec->count,
        .e_shentsize = sizeof(Elf32_Shdr),
    };
    for (unsigned i = 0; i < spec->count; i++) {
        const struct elf_make_segment *s = &spec->segment[i];
        const Elf32_Phdr p = {PT_LOAD, (Elf32_Off)pos, s->addr, s->addr, s->len, s->len, PF_R, 4};
        assert(pos + s->len + 256 < ELF_MAKE_MAX);
        memcpy(out + sizeof header + i * sizeof p, &p, sizeof p);
        fill(s, out + pos);
        pos += s->len;
    }
    /* A section table with its names, which some readers insist on. */
    const Elf32_Shdr strings = {
        .sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = (Elf32_Off)pos, .sh_size = sizeof names};
    memcpy(out + pos, names, sizeof names);
    pos += sizeof names;
    header.e_shoff = (Elf32_Off)pos;
    header.e_shnum = 2;
    header.e_shstrndx = 1;
    memcpy(out + pos, &none, sizeof none);
    memcpy(out + pos + sizeof none, &strings, sizeof strings);
    memcpy(out, &header, sizeof header);
    return pos + 2 * sizeof none;
}
