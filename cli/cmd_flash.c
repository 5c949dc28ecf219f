/* surefoot flash: info, boot. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"
#include "cli/dump.h"
#include "cli/inspect.h"
#include "cli/out.h"
#include "formats/nvs.h"

static const struct cli_option info_options[] = {
    DUMP_OPTION_ROWS,
    {NULL, NULL, NULL, 0, 0},
};

enum { BOOT_AFTER = DUMP_OPTIONS };

static const struct cli_option boot_options[] = {
    DUMP_OPTION_ROWS,
    {"output", "AFTER", "write the dump as it is after the bootloader's writes", 'o', 0},
    {NULL, NULL, NULL, 0, 0},
};

/* ---- boot ---- */

static json_t *otadata_json(const struct dump *d)
{
    uint8_t bytes[2 * SF_OTADATA_ENTRY_SIZE];
    return dump_otadata(d, bytes) ? out_json_hex(bytes, sizeof bytes) : json_null();
}

/* The contract of `flash boot --json`: these keys and no others. */
static json_t *boot_json(const struct dump *d)
{
    json_t *root = json_pack("{s:s, s:o, s:I}", "boot", sf_boot_slot_str(d->decision.slot),
                             "otadata", otadata_json(d), "efuse_secure_version",
                             (json_int_t)d->decision.efuse_secure_version);
    if (d->decision.slot == SF_BOOT_NONE) {
        json_object_set_new(root, "reason", json_string(dump_none_reason(d).text));
    }
    return root;
}

static void print_entry(const struct dump *d, unsigned index, const uint8_t *bytes)
{
    struct sf_otadata_entry e;
    sf_otadata_decode(bytes, &e);
    printf("otadata %u       ", index);
    if (e.ota_seq == SF_OTA_SEQ_EMPTY) {
        puts("empty");
        return;
    }
    printf("seq %" PRIu32 ", %s", e.ota_seq, sf_ota_state_str(e.ota_state));
    if (e.crc != sf_otadata_crc(e.ota_seq)) {
        puts(", bad crc");
    } else if (d->work.input.ota_count > 0) {
        printf(", names ota_%u\n", sf_otadata_slot(&e, d->work.input.ota_count));
    } else {
        putchar('\n');
    }
}

static void print_otadata(const struct dump *d)
{
    uint8_t bytes[2 * SF_OTADATA_ENTRY_SIZE];
    if (!dump_otadata(d, bytes)) {
        puts("otadata         none");
        return;
    }
    print_entry(d, 0, bytes);
    print_entry(d, 1, bytes + SF_OTADATA_ENTRY_SIZE);
}

static void print_decision(const struct dump *d)
{
    if (d->decision.slot == SF_BOOT_NONE) {
        printf("boots           nothing: %s\n", dump_none_reason(d).text);
    } else {
        printf("boots           %s: %s\n", sf_boot_slot_str(d->decision.slot), d->decision.why);
    }
    for (unsigned i = 0; i < d->decision.write_count; i++) {
        struct sf_otadata_entry e;
        sf_otadata_decode(d->decision.write[i].entry, &e);
        printf("writes          otadata %u: seq %" PRIu32 ", %s\n", d->decision.write[i].sector,
               e.ota_seq, sf_ota_state_str(e.ota_state));
    }
    if (d->decision.efuse_secure_version != d->loader.efuse_secure_version) {
        printf("burns           secure_version %" PRIu32 "\n", d->decision.efuse_secure_version);
    }
}

static int tell_boot(const struct cli_args *args, struct dump *d)
{
    if (!args->json) {
        print_otadata(d);
        print_decision(d);
    }
    dump_apply(d);
    int status = args->json ? out_json(boot_json(d)) : CLI_OK;
    const char *after = cli_value(args, BOOT_AFTER);
    if (status == CLI_OK && after) {
        status = file_write(after, d->file.data, d->file.len, 0644, FILE_REPLACE);
    }
    return status;
}

static void note_chip(const struct dump *d)
{
    if (d->chip_from == DUMP_CHIP_ASSUMED) {
        cli_note("surefoot: note: no bootloader in this dump: judged for an %s of revision %u; say "
                 "--chip and --chip-rev for another",
                 sf_chip_name(d->loader.chip_id), d->loader.chip_revision);
    }
}

/* Chips have a power of two of flash: a dump of another size is a part of one. */
static void note_part(const struct dump *d)
{
    const size_t size = d->file.len;
    if (d->err != SF_OK && (size & (size - 1)) != 0 && d->loader.flash_size == size) {
        cli_note(
            "surefoot: note: a dump of %zu bytes is not the whole chip; say how large the chip "
            "is: --flash-size 0x400000",
            size);
    }
}

static int with_dump(const struct cli_args *args,
                     int (*tell)(const struct cli_args *args, struct dump *d))
{
    struct dump *d = malloc(sizeof *d);
    if (!d) {
        return cli_fail(CLI_LOCAL, "out of memory");
    }
    int status = dump_open(d, args);
    if (status == CLI_OK) {
        note_chip(d);
        dump_boot(d);
        note_part(d);
        status = tell(args, d);
    }
    dump_release(d);
    free(d);
    return status;
}

static int run_boot(const struct cli_args *args)
{
    return with_dump(args, tell_boot);
}

/* ---- info: partitions ---- */

static const char *type_name(const struct sf_partition *p, char text[16])
{
    static const char *const data[] = {"ota", "phy", "nvs", "coredump", "nvs_keys", "efuse_em"};
    static const struct {
        uint8_t type;
        uint8_t subtype;
        const char *name;
    } more[] = {{1, 0x80, "esphttpd"}, {1, 0x81, "fat"},     {1, 0x82, "spiffs"},
                {1, 0x83, "littlefs"}, {0, 0x00, "factory"}, {0, 0x20, "test"}};
    if (p->type == SF_PARTITION_APP && (p->subtype & 0xf0) == SF_PARTITION_APP_OTA_0) {
        return sf_boot_slot_str(p->subtype & 0x0f);
    }
    if (p->type == SF_PARTITION_DATA && p->subtype < sizeof data / sizeof data[0]) {
        return data[p->subtype];
    }
    for (unsigned i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (more[i].type == p->type && more[i].subtype == p->subtype) {
            return more[i].name;
        }
    }
    snprintf(text, 16, "0x%02x/0x%02x", p->type, p->subtype);
    return text;
}

static json_t *table_json(const struct dump *d)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < d->work.table.count; i++) {
        const struct sf_partition *p = &d->work.table.entry[i];
        char text[16];
        json_array_append_new(list, json_pack("{s:o, s:s, s:i, s:i, s:I, s:I, s:I}", "label",
                                              out_json_text(p->label), "kind", type_name(p, text),
                                              "type", p->type, "subtype", p->subtype, "offset",
                                              (json_int_t)p->offset, "size", (json_int_t)p->size,
                                              "flags", (json_int_t)p->flags));
    }
    struct sf_diag diag = {0};
    int check = sf_partition_table_check(&d->work.table, &diag);
    return json_pack("{s:i, s:b, s:o, s:o}", "offset", SF_PARTITION_TABLE_OFFSET, "md5",
                     d->work.table.has_md5, "warning",
                     check == SF_OK ? json_null() : json_string(out_reason(check, &diag).text),
                     "partitions", list);
}

static void print_table(const struct dump *d)
{
    printf("partitions      at 0x%x%s\n", SF_PARTITION_TABLE_OFFSET,
           d->work.table.has_md5 ? "" : ", without MD5");
    for (unsigned i = 0; i < d->work.table.count; i++) {
        const struct sf_partition *p = &d->work.table.entry[i];
        char text[16];
        char label[20];
        printf("  %-16s  %-9s  0x%06" PRIx32 "  %10s%s%s\n",
               out_clean(p->label, label, sizeof label), type_name(p, text), p->offset,
               out_size(p->size).text, p->flags & 1 ? "  encrypted" : "",
               p->flags & 2 ? "  readonly" : "");
    }
    struct sf_diag diag = {0};
    int check = sf_partition_table_check(&d->work.table, &diag);
    if (check != SF_OK) {
        printf("  warning: %s: the bootloader takes this table, a build tool would not\n",
               out_reason(check, &diag).text);
    }
}

static json_t *entries_json(const struct dump *d)
{
    uint8_t bytes[2 * SF_OTADATA_ENTRY_SIZE];
    if (!dump_otadata(d, bytes)) {
        return json_null();
    }
    json_t *list = json_array();
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *at = bytes + (size_t)i * SF_OTADATA_ENTRY_SIZE;
        struct sf_otadata_entry e;
        sf_otadata_decode(at, &e);
        int crc_ok = e.crc == sf_otadata_crc(e.ota_seq);
        int names = e.ota_seq != SF_OTA_SEQ_EMPTY && crc_ok && d->work.input.ota_count > 0;
        const char *slot =
            names ? sf_boot_slot_str((int)sf_otadata_slot(&e, d->work.input.ota_count)) : NULL;
        json_array_append_new(list, json_pack("{s:I, s:s, s:I, s:b, s:b, s:s?, s:o}", "ota_seq",
                                              (json_int_t)e.ota_seq, "state",
                                              sf_ota_state_str(e.ota_state), "state_number",
                                              (json_int_t)e.ota_state, "crc_ok", crc_ok, "valid",
                                              sf_otadata_valid(&e), "slot", slot, "hex",
                                              out_json_hex(at, SF_OTADATA_ENTRY_SIZE)));
    }
    return list;
}

/* ---- info: app slots ---- */

static json_t *slot_json(struct dump *d, const struct sf_partition *p)
{
    const struct sf_verdict_input in = {.ctx = d->loader.ctx,
                                        .read = d->loader.read,
                                        .crypto = d->loader.crypto,
                                        .address = p->offset,
                                        .size = p->size,
                                        .chip_id = d->loader.chip_id,
                                        .chip_revision = d->loader.chip_revision};
    struct sf_verdict *v = malloc(sizeof *v);
    if (!v) {
        return NULL;
    }
    int err = sf_verdict_image(&in, v);
    uint8_t first[SF_IMAGE_HEAD_SIZE];
    struct sf_image_head head;
    int known = p->size >= sizeof first &&
                in.read(in.ctx, p->offset, first, sizeof first) == SF_OK &&
                inspect_head(first, sizeof first, &head);
    char text[16];
    json_t *slot =
        json_pack("{s:s, s:o, s:I, s:I, s:b, s:o}", "slot", type_name(p, text), "label",
                  out_json_text(p->label), "offset", (json_int_t)p->offset, "size",
                  (json_int_t)p->size, "boots", err == SF_OK, "reason",
                  err == SF_OK ? json_null() : json_string(out_reason(err, &v->diag).text));
    json_object_set_new(slot, "chip",
                        known ? json_string(inspect_chip(head.header.chip_id).text) : json_null());
    json_object_set_new(slot, "length", err == SF_OK ? json_integer(v->image.length) : json_null());
    json_object_set_new(slot, "app_desc", known ? inspect_desc_json(&head) : json_null());
    json_object_set_new(slot, "updater_record", known ? inspect_record_json(&head) : json_null());
    free(v);
    return slot;
}

static json_t *slots_json(struct dump *d)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < d->work.table.count; i++) {
        if (d->work.table.entry[i].type == SF_PARTITION_APP) {
            json_array_append_new(list, slot_json(d, &d->work.table.entry[i]));
        }
    }
    return list;
}

static void print_slots(struct dump *d)
{
    static const struct out_column columns[] = {
        {"SLOT", "slot", OUT_PLAIN},
        {"BOOTS", "boots", OUT_PLAIN},
        {"CHIP", "chip", OUT_PLAIN},
        {"PROJECT", "app_desc.project", OUT_PLAIN},
        {"VERSION", "app_desc.version", OUT_PLAIN},
        {"WHY NOT", "reason", OUT_PLAIN},
        {NULL, NULL, OUT_PLAIN},
    };
    json_t *slots = slots_json(d);
    out_table(stdout, slots, columns, 0);
    json_decref(slots);
}

/* ---- info: NVS ---- */

static const char *nvs_type_name(uint8_t type)
{
    static const struct {
        uint8_t type;
        const char *name;
    } names[] = {{SF_NVS_U8, "u8"},           {SF_NVS_I8, "i8"},       {SF_NVS_U16, "u16"},
                 {SF_NVS_I16, "i16"},         {SF_NVS_U32, "u32"},     {SF_NVS_I32, "i32"},
                 {SF_NVS_U64, "u64"},         {SF_NVS_I64, "i64"},     {SF_NVS_STR, "string"},
                 {SF_NVS_BLOB_INDEX, "blob"}, {SF_NVS_BLOB_V1, "blob"}};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].type == type) {
            return names[i].name;
        }
    }
    return "unknown";
}

/* Keys and sizes only: values are often Wi-Fi passwords. */
static int add_nvs_item(void *ctx, const struct sf_nvs_item *item)
{
    json_t *item_json = json_pack("{s:o, s:o, s:s}", "namespace", out_json_text(item->ns), "key",
                                  out_json_text(item->key), "type", nvs_type_name(item->type));
    if (item->type == SF_NVS_STR || item->type >= SF_NVS_BLOB_V1) {
        json_object_set_new(item_json, "size", json_integer(item->size_bytes));
    }
    return json_array_append_new(ctx, item_json) == 0 ? SF_OK : SF_ERR_NOMEM;
}

static json_t *nvs_partition_json(const struct dump *d, const struct sf_partition *p)
{
    json_t *items = json_array();
    unsigned damaged = 0;
    const char *problem = NULL;
    if (p->flags & 1) {
        problem = "encrypted";
    } else if (p->offset > d->file.len || p->size > d->file.len - p->offset) {
        problem = "beyond the end of the dump";
    } else {
        int32_t n = sf_nvs_walk(d->file.data + p->offset, p->size, add_nvs_item, items, &damaged);
        problem = n < 0 ? sf_err_str(n) : NULL;
    }
    return json_pack("{s:o, s:i, s:s?, s:o}", "label", out_json_text(p->label), "damaged",
                     (int)damaged, "problem", problem, "items", items);
}

static json_t *nvs_json(const struct dump *d)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < d->work.table.count; i++) {
        const struct sf_partition *p = &d->work.table.entry[i];
        if (p->type == SF_PARTITION_DATA && p->subtype == SF_PARTITION_DATA_NVS) {
            json_array_append_new(list, nvs_partition_json(d, p));
        }
    }
    return list;
}

static void print_nvs(const struct dump *d)
{
    static const struct out_column columns[] = {
        {"  NAMESPACE", "namespace", OUT_PLAIN},
        {"KEY", "key", OUT_PLAIN},
        {"TYPE", "type", OUT_PLAIN},
        {"BYTES", "size", OUT_PLAIN},
        {NULL, NULL, OUT_PLAIN},
    };
    json_t *list = nvs_json(d);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        const char *problem = json_string_value(json_object_get(p, "problem"));
        const json_t *items = json_object_get(p, "items");
        printf("NVS             %s: %zu keys%s%s", json_string_value(json_object_get(p, "label")),
               json_array_size(items), problem ? ", " : "", problem ? problem : "");
        json_int_t damaged = json_integer_value(json_object_get(p, "damaged"));
        if (damaged > 0) {
            printf(", %" JSON_INTEGER_FORMAT " damaged pages or entries skipped", damaged);
        }
        putchar('\n');
        if (json_array_size(items) > 0) {
            out_table(stdout, items, columns, 0);
        }
    }
    json_decref(list);
}

/* ---- info ---- */

static json_t *decision_json(const struct dump *d)
{
    json_t *writes = json_array();
    for (unsigned i = 0; i < d->decision.write_count; i++) {
        const struct sf_boot_write *w = &d->decision.write[i];
        json_array_append_new(writes, json_pack("{s:i, s:o}", "sector", (int)w->sector, "entry",
                                                out_json_hex(w->entry, SF_OTADATA_ENTRY_SIZE)));
    }
    int none = d->decision.slot == SF_BOOT_NONE;
    return json_pack("{s:s, s:o, s:o, s:I}", "slot", sf_boot_slot_str(d->decision.slot), "why",
                     json_string(none ? dump_none_reason(d).text : d->decision.why), "writes",
                     writes, "efuse_secure_version", (json_int_t)d->decision.efuse_secure_version);
}

static json_t *info_json(struct dump *d)
{
    int has_table = d->err == SF_OK;
    return json_pack("{s:o, s:I, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "file",
                     out_json_path(d->path), "size", (json_int_t)d->file.len, "chip",
                     sf_chip_name(d->loader.chip_id), "chip_revision", d->loader.chip_revision,
                     "partition_table", has_table ? table_json(d) : json_null(), "otadata",
                     has_table ? entries_json(d) : json_null(), "slots",
                     has_table ? slots_json(d) : json_array(), "nvs",
                     has_table ? nvs_json(d) : json_array(), "boot", decision_json(d));
}

static int tell_info(const struct cli_args *args, struct dump *d)
{
    int status = CLI_OK;
    if (args->json) {
        status = out_json(info_json(d));
    } else {
        printf("dump            %s, %s, %s revision %u\n", d->path, out_size(d->file.len).text,
               sf_chip_name(d->loader.chip_id), d->loader.chip_revision);
        if (d->err == SF_OK) {
            print_table(d);
            print_otadata(d);
            print_slots(d);
            print_nvs(d);
        }
        print_decision(d);
    }
    if (d->err != SF_OK && status == CLI_OK) {
        return cli_fail(CLI_REFUSED, "'%s': %s", d->path, dump_none_reason(d).text);
    }
    return status;
}

static int run_info(const struct cli_args *args)
{
    return with_dump(args, tell_info);
}

const struct cli_command cmd_flash[] = {
    {.name = "info",
     .operands = "DUMP",
     .summary = "show partitions, otadata, images and NVS keys of a dump, and what would boot",
     .details = "DUMP is a dump of the whole flash (esptool read-flash 0 ALL dump.bin) with its\n"
                "partition table at 0x8000. NVS values are not shown: they are often passwords.\n",
     .examples = "  surefoot flash info dump.bin\n"
                 "  surefoot flash info --chip esp32s3 --chip-rev 2 --json dump.bin\n",
     .options = info_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_info},
    {.name = "boot",
     .operands = "DUMP",
     .summary = "run ESP-IDF's boot decision on a dump",
     .details =
         "Prints the slot that boots, why, and what the bootloader writes meanwhile. With --json:\n"
         "{\"boot\": \"ota_0\", \"otadata\": <both entries afterwards, hex>, "
         "\"efuse_secure_version\": 0};\n"
         "without an otadata partition \"otadata\" is null; \"none\" comes with a \"reason\".\n",
     .examples = "  surefoot flash boot dump.bin\n"
                 "  surefoot flash boot --json --no-rollback -o after.bin dump.bin\n"
                 "  surefoot flash boot --chip esp32c3 --efuse-secure-version 2 dump.bin\n",
     .options = boot_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_boot},
    {.name = NULL},
};
