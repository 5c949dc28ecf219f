/* Flash dumps and the boot decision on them.
 *
 * 1. An offset out of the partition table is used only after the table was decoded with the size of
 *    the chip as its bound; a read beyond the dump gives FF. */

#include "cli/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "cli/chips.h"
#include "cli/out.h"

static int read_flash(void *ctx, uint32_t address, void *out, size_t len)
{
    const struct dump *d = ctx;
    if (address > d->loader.flash_size || len > d->loader.flash_size - address) {
        return SF_ERR_FLASH_READ;
    }
    memset(out, 0xff, len);
    if (address < d->file.len) {
        size_t have = d->file.len - address;
        memcpy(out, d->file.data + address, have < len ? have : len);
    }
    return SF_OK;
}

/* Where the second-stage bootloader of each chip lies. */
static uint32_t bootloader_offset(int chip_id)
{
    switch (chip_id) {
    case SF_CHIP_ESP32:
    case SF_CHIP_ESP32S2:
        return 0x1000;
    case SF_CHIP_ESP32C5:
    case SF_CHIP_ESP32P4:
        return 0x2000;
    default:
        return 0;
    }
}

/* The chip of the bootloader in the dump, or -1. */
static int chip_of_bootloader(const struct file_bytes *file)
{
    static const uint32_t places[] = {0, 0x1000, 0x2000};
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct sf_image_head head;
        if (file->len >= places[i] + SF_IMAGE_HEAD_SIZE &&
            sf_image_head_decode(file->data + places[i], SF_IMAGE_HEADER_SIZE, &head, NULL) ==
                SF_OK &&
            bootloader_offset(head.header.chip_id) == places[i]) {
            return head.header.chip_id;
        }
    }
    return -1;
}

/* What is on the market and what current ESP-IDF asks for at least, where that is not 0. */
static unsigned long usual_revision(int chip_id)
{
    switch (chip_id) {
    case SF_CHIP_ESP32:
        return 300;
    case SF_CHIP_ESP32C3:
        return 3;
    case SF_CHIP_ESP32C2:
    case SF_CHIP_ESP32C5:
    case SF_CHIP_ESP32P4:
    case SF_CHIP_ESP32C61:
        return 100;
    default:
        return 0;
    }
}

static int choose_chip(struct dump *d, const struct cli_args *args, int *chip_id)
{
    const char *name = cli_value(args, DUMP_CHIP);
    if (name) {
        d->chip_from = DUMP_CHIP_GIVEN;
        *chip_id = sf_chip_from_name(name);
        return *chip_id >= 0
                   ? CLI_OK
                   : cli_fail(CLI_USAGE, "unknown chip '%s'; there are %s", name, chip_names());
    }
    *chip_id = chip_of_bootloader(&d->file);
    d->chip_from = *chip_id >= 0 ? DUMP_CHIP_READ : DUMP_CHIP_ASSUMED;
    if (*chip_id < 0) {
        *chip_id = SF_CHIP_ESP32C3;
    }
    return CLI_OK;
}

static int read_options(struct dump *d, const struct cli_args *args)
{
    int chip_id = -1;
    int status = choose_chip(d, args, &chip_id);
    unsigned long revision = usual_revision(chip_id);
    unsigned long efuse = 0;
    unsigned long flash_size = d->file.len;
    status = status == CLI_OK ? cli_number(args, DUMP_CHIP_REV, UINT16_MAX, &revision) : status;
    status = status == CLI_OK ? cli_number(args, DUMP_EFUSE, UINT32_MAX, &efuse) : status;
    status =
        status == CLI_OK ? cli_number(args, DUMP_FLASH_SIZE, FILE_FLASH_MAX, &flash_size) : status;
    if (status != CLI_OK) {
        return status;
    }
    if (cli_given(args, DUMP_NO_ROLLBACK) && cli_given(args, DUMP_EFUSE)) {
        return cli_fail(CLI_USAGE, "--no-rollback and --efuse-secure-version exclude each other: "
                                   "an anti-rollback bootloader always supports rollback");
    }
    if (flash_size < d->file.len) {
        return cli_fail(CLI_USAGE, "--flash-size %lu is less than the dump's %zu bytes", flash_size,
                        d->file.len);
    }
    d->loader = (struct sf_bootloader){
        .ctx = d,
        .read = read_flash,
        .crypto = crypto_openssl(),
        .flash_size = (uint32_t)flash_size,
        .table_offset = SF_PARTITION_TABLE_OFFSET,
        .chip_id = (uint16_t)chip_id,
        .chip_revision = (uint16_t)revision,
        .rollback = !cli_given(args, DUMP_NO_ROLLBACK),
        .anti_rollback = cli_given(args, DUMP_EFUSE) != 0,
        .efuse_secure_version = (uint32_t)efuse,
    };
    return CLI_OK;
}

int dump_open(struct dump *d, const struct cli_args *args)
{
    memset(d, 0, sizeof *d);
    d->path = args->operand[0];
    int status = file_read(d->path, FILE_FLASH_MAX, &d->file);
    if (status != CLI_OK) {
        return status;
    }
    if (d->file.len < SF_PARTITION_TABLE_OFFSET + SF_PARTITION_TABLE_SIZE) {
        return cli_fail(CLI_REFUSED,
                        "'%s' is no flash dump: it has %zu bytes, and the partition table is at "
                        "0x%x; dump the whole chip: esptool read-flash 0 ALL dump.bin",
                        d->path, d->file.len, SF_PARTITION_TABLE_OFFSET);
    }
    return read_options(d, args);
}

void dump_release(struct dump *d)
{
    file_release(&d->file);
}

void dump_boot(struct dump *d)
{
    d->err = sf_bootloader_run(&d->loader, &d->work, &d->decision, &d->diag);
}

struct dump_reason dump_none_reason(const struct dump *d)
{
    struct dump_reason r;
    if (d->err != SF_OK) {
        snprintf(r.text, sizeof r.text, "the bootloader refuses the partition table: %s",
                 out_reason(d->err, &d->diag).text);
    } else {
        snprintf(r.text, sizeof r.text, "%s", d->decision.why);
    }
    return r;
}

void dump_apply(struct dump *d)
{
    for (unsigned i = 0; i < d->decision.write_count; i++) {
        const struct sf_boot_write *w = &d->decision.write[i];
        size_t offset = d->work.otadata_offset + (size_t)w->sector * SF_OTADATA_SECTOR_SIZE;
        if (offset + SF_OTADATA_SECTOR_SIZE > d->file.len) {
            continue; /* beyond a partial dump: there is nothing to change */
        }
        memset(d->file.data + offset, 0xff, SF_OTADATA_SECTOR_SIZE);
        memcpy(d->file.data + offset, w->entry, SF_OTADATA_ENTRY_SIZE);
    }
}

int dump_otadata(const struct dump *d, uint8_t out[2 * SF_OTADATA_ENTRY_SIZE])
{
    if (d->err != SF_OK || !d->work.input.has_otadata) {
        return 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *entry = out + (size_t)i * SF_OTADATA_ENTRY_SIZE;
        if (d->loader.read(d->loader.ctx, d->work.otadata_offset + i * SF_OTADATA_SECTOR_SIZE,
                           entry, SF_OTADATA_ENTRY_SIZE) != SF_OK) {
            return 0;
        }
    }
    return 1;
}
