/* surefoot image: info, verify, verify-sbv2, from-elf. */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/uuid.h"
#include "cli/appimage.h"
#include "cli/cli.h"
#include "cli/file.h"
#include "cli/inspect.h"
#include "cli/out.h"
#include "cli/signature.h"
#include "cli/verify_sbv2.h"

/* ---- info ---- */

static json_t *segments_json(const struct sf_image_parser *image)
{
    const struct chip *chip = chip_find(image->head.header.chip_id);
    json_t *list = json_array();
    for (unsigned i = 0; image->complete && i < image->head.header.segment_count; i++) {
        const struct sf_image_segment *s = &image->segment[i];
        const char *kind = "ram";
        if (s->load_addr < 0x10000000) {
            kind = "padding";
        } else if (chip && chip_is_flash(chip, s->load_addr)) {
            kind = "flash";
        }
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:I, s:s}", "load_addr",
                                        (json_int_t)s->load_addr, "size", (json_int_t)s->data_len,
                                        "offset", (json_int_t)s->data_offset, "kind", kind));
    }
    return list;
}

static json_t *header_json(const struct sf_image_header *h)
{
    const struct chip *chip = chip_find(h->chip_id);
    return json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:i, s:i, s:b}", "chip",
                     inspect_chip(h->chip_id).text, "chip_id", h->chip_id, "entry_addr",
                     (json_int_t)h->entry_addr, "flash_mode", chip_mode_name(h->spi_mode),
                     "flash_size", chip_size_name(h->spi_size), "flash_freq",
                     chip_freq_name(chip, h->spi_speed), "min_chip_rev", h->min_chip_rev_full,
                     "max_chip_rev", h->max_chip_rev_full, "hash_appended", h->hash_appended);
}

static json_t *info_json(const char *path, size_t size, const struct inspect *in,
                         const struct signature *signature)
{
    int known = in->head_known;
    const struct sf_image_head *head = &in->head;
    json_t *root = json_pack(
        "{s:o, s:b, s:o, s:I, s:o}", "file", out_json_path(path), "ok", in->err == SF_OK, "reason",
        in->err == SF_OK ? json_null() : json_string(out_reason(in->err, &in->diag).text), "size",
        (json_int_t)size, "sha256", out_json_hex(in->digest, sizeof in->digest));
    json_object_set_new(root, "length", json_integer(in->length));
    json_object_set_new(root, "header", known ? header_json(&head->header) : json_null());
    json_object_set_new(root, "segments", segments_json(&in->image));
    json_object_set_new(root, "app_desc", inspect_desc_json(head));
    json_object_set_new(root, "updater_record", inspect_record_json(head));
    json_object_set_new(root, "appended_sha256",
                        in->image.complete && head->header.hash_appended
                            ? out_json_hex(in->image.appended, sizeof in->image.appended)
                            : json_null());
    json_object_set_new(root, "signature_blocks", signature_json(signature));
    return root;
}

static void print_desc(const struct sf_image_head *head)
{
    char text[64];
    const struct sf_app_desc *d = &head->desc;
    if (!head->has_desc) {
        puts("app_desc        none");
        return;
    }
    printf("project         %s\n", out_clean(d->project_name, text, sizeof text));
    printf("version         %s\n", out_clean(d->version, text, sizeof text));
    printf("secure_version  %" PRIu32 "\n", d->secure_version);
    printf("built           %s", out_clean(d->date, text, sizeof text));
    printf(" %s", out_clean(d->time, text, sizeof text));
    printf(", ESP-IDF %s\n", out_clean(d->idf_ver, text, sizeof text));
    char hex[2 * SF_SHA256_SIZE + 1];
    hex_encode(d->app_elf_sha256, sizeof d->app_elf_sha256, hex);
    printf("ELF SHA-256     %s\n", hex);
}

static void print_record(const struct sf_image_head *head)
{
    char text[UUID_TEXT_SIZE];
    if (!head->has_record) {
        printf("updater record  %s\n",
               head->record_err == SF_ERR_NO_RECORD ? "none" : sf_err_str(head->record_err));
        return;
    }
    const struct sf_updater_record *r = &head->record;
    uuid_text(r->class_uuid, text);
    printf("updater record  class %s, protocol %u, library %u.%u.%u\n", text, r->protocol_version,
           r->library_version >> 16, r->library_version >> 8 & 0xff, r->library_version & 0xff);
}

static void print_head(const struct inspect *in)
{
    const struct sf_image_header *h = &in->head.header;
    const struct chip *chip = chip_find(h->chip_id);
    printf("chip            %s, ", inspect_chip(h->chip_id).text);
    if (h->max_chip_rev_full == UINT16_MAX) {
        printf("any revision from %u\n", h->min_chip_rev_full);
    } else {
        printf("revisions %u to %u\n", h->min_chip_rev_full, h->max_chip_rev_full);
    }
    printf("flash           %s, %s, %s\n", chip_mode_name(h->spi_mode), chip_size_name(h->spi_size),
           chip_freq_name(chip, h->spi_speed));
    printf("entry           0x%08" PRIx32 "\n", h->entry_addr);
    print_desc(&in->head);
    print_record(&in->head);
}

static void print_info(const char *path, size_t size, const struct inspect *in,
                       const struct signature *signature)
{
    char hex[2 * SF_SHA256_SIZE + 1];
    hex_encode(in->digest, sizeof in->digest, hex);
    printf("file            %s, %s\n", path, out_size(size).text);
    printf("SHA-256         %s\n", hex);
    if (in->head_known) {
        print_head(in);
    }
    json_t *segments = segments_json(&in->image);
    for (size_t i = 0; i < json_array_size(segments); i++) {
        const json_t *s = json_array_get(segments, i);
        printf("segment %-2zu      0x%08" PRIx64 ", %7" PRId64 " bytes at 0x%06" PRIx64 ", %s\n", i,
               (uint64_t)json_integer_value(json_object_get(s, "load_addr")),
               (int64_t)json_integer_value(json_object_get(s, "size")),
               (uint64_t)json_integer_value(json_object_get(s, "offset")),
               json_string_value(json_object_get(s, "kind")));
    }
    json_decref(segments);
    signature_print(signature);
    if (in->err == SF_OK) {
        printf("verdict         sound%s\n",
               in->head.header.hash_appended ? "" : ", but without an appended SHA-256");
    }
}

/* Of an image with a sector where it belongs; else no block is there. */
static void read_signature(const struct file_bytes *file, const struct inspect *in,
                           struct signature *out)
{
    struct sf_diag diag = {0};
    if (!in->image.complete || !signature_is_in_place(&in->image, file->len) ||
        signature_read(file->data, file->len, out, &diag) != SF_OK) {
        signature_none(out);
    }
}

static int run_info(const struct cli_args *args)
{
    const char *path = args->operand[0];
    struct file_bytes file;
    int status = file_read(path, FILE_IMAGE_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    struct inspect in;
    int err = inspect_image(file.data, file.len, INSPECT_TRAILING_ALLOWED, &in);
    struct signature signature;
    read_signature(&file, &in, &signature);
    if (args->json) {
        status = out_json(info_json(path, file.len, &in, &signature));
    } else {
        print_info(path, file.len, &in, &signature);
    }
    file_release(&file);
    if (err != SF_OK && status == CLI_OK) {
        return cli_fail(CLI_REFUSED, "'%s' would not boot: %s", path,
                        out_reason(err, &in.diag).text);
    }
    return status;
}

/* ---- verify ---- */

enum { V_CHIP, V_CHIP_REV, V_CLASS, V_SLOT_SIZE, V_RECORD, V_TRAILING };

static const struct cli_option verify_options[] = {
    {"chip", "CHIP", "the chip it must be for, e.g. esp32c3", 0, 0},
    {"chip-rev", "N", "the chip revision it must run on, major * 100 + minor", 0, 0},
    {"class", "UUID", "the class (product and hardware revision) of its updater record", 0, 0},
    {"slot-size", "BYTES", "the size it must fit, e.g. 0x100000", 0, 0},
    {"require-record", NULL, "refuse an image without an updater record", 0, 0},
    {"allow-trailing", NULL, "accept bytes after the image, as the bootloader does", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

struct wishes {
    int chip_id; /* -1: any */
    unsigned long chip_rev;
    unsigned long slot_size;
    int has_class;
    uint8_t class_uuid[SF_UUID_SIZE];
};

static int read_wishes(const struct cli_args *args, struct wishes *w)
{
    *w = (struct wishes){.chip_id = -1, .slot_size = FILE_IMAGE_MAX};
    const char *chip = cli_value(args, V_CHIP);
    if (chip) {
        w->chip_id = sf_chip_from_name(chip);
        if (w->chip_id < 0) {
            return cli_fail(CLI_USAGE, "unknown chip '%s'; there are %s", chip, chip_names());
        }
    }
    const char *class_text = cli_value(args, V_CLASS);
    w->has_class = class_text != NULL;
    if (class_text && uuid_parse(class_text, w->class_uuid) != SF_OK) {
        return cli_fail(CLI_USAGE, "--class wants a uuid, not '%s'", class_text);
    }
    int status = cli_number(args, V_CHIP_REV, UINT16_MAX, &w->chip_rev);
    return status != CLI_OK ? status : cli_number(args, V_SLOT_SIZE, FILE_FLASH_MAX, &w->slot_size);
}

static int revision_fits(const struct sf_image_header *h, unsigned long rev)
{
    int has_max = h->max_chip_rev_full != 0 && h->max_chip_rev_full != UINT16_MAX;
    return rev >= h->min_chip_rev_full && (!has_max || rev <= h->max_chip_rev_full);
}

static struct out_reason reason_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static struct out_reason reason_of(const char *format, ...)
{
    struct out_reason r;
    va_list ap;
    va_start(ap, format);
    vsnprintf(r.text, sizeof r.text, format, ap);
    va_end(ap);
    return r;
}

/* What a sound image may still lack for its place; "" if nothing. */
static struct out_reason check_wishes(const struct cli_args *args, const struct wishes *w,
                                      const struct inspect *in, size_t size)
{
    const struct sf_image_head *head = &in->head;
    const struct sf_image_header *h = &head->header;
    if (w->chip_id >= 0 && w->chip_id != h->chip_id) {
        return reason_of("%s: %s, not %s", sf_err_str(SF_ERR_CHIP), inspect_chip(h->chip_id).text,
                         inspect_chip((uint16_t)w->chip_id).text);
    }
    if (cli_given(args, V_CHIP_REV) && !revision_fits(h, w->chip_rev)) {
        return reason_of("%s: %u to %u", sf_err_str(SF_ERR_CHIP_REVISION), h->min_chip_rev_full,
                         h->max_chip_rev_full);
    }
    if (size > w->slot_size) {
        return reason_of("%s: it has %zu bytes, the slot %lu", sf_err_str(SF_ERR_NOSPC), size,
                         w->slot_size);
    }
    if ((cli_given(args, V_RECORD) || w->has_class) && !head->has_record) {
        return reason_of(
            "%s", sf_err_str(head->record_err == SF_OK ? SF_ERR_NO_RECORD : head->record_err));
    }
    if (w->has_class && memcmp(w->class_uuid, head->record.class_uuid, SF_UUID_SIZE) != 0) {
        char text[UUID_TEXT_SIZE];
        uuid_text(head->record.class_uuid, text);
        return reason_of("%s: %s", sf_err_str(SF_ERR_CLASS), text);
    }
    return (struct out_reason){""};
}

static int tell_verdict(const struct cli_args *args, const char *path, const struct inspect *in,
                        const char *reason)
{
    if (args->json) {
        int status = out_json(json_pack("{s:o, s:b, s:s?, s:o}", "file", out_json_path(path), "ok",
                                        !reason, "reason", reason, "sha256",
                                        out_json_hex(in->digest, sizeof in->digest)));
        if (status != CLI_OK) {
            return status;
        }
    }
    if (reason) {
        return cli_fail(CLI_REFUSED, "'%s' is refused: %s", path, reason);
    }
    if (!args->json) {
        char text[64];
        printf("%s: sound image for %s, version %s, %u bytes\n", path,
               inspect_chip(in->head.header.chip_id).text,
               in->head.has_desc ? out_clean(in->head.desc.version, text, sizeof text) : "unknown",
               in->length);
    }
    return CLI_OK;
}

static int run_verify(const struct cli_args *args)
{
    struct wishes w;
    struct file_bytes file;
    int status = read_wishes(args, &w);
    if (status != CLI_OK) {
        return status;
    }
    const char *path = args->operand[0];
    status = file_read(path, FILE_IMAGE_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    struct inspect in;
    enum inspect_trailing trailing =
        cli_given(args, V_TRAILING) ? INSPECT_TRAILING_ALLOWED : INSPECT_TRAILING_REFUSED;
    int err = inspect_image(file.data, file.len, trailing, &in);
    struct out_reason broken = out_reason(err, &in.diag);
    struct out_reason reason = err != SF_OK ? broken : check_wishes(args, &w, &in, file.len);
    status = tell_verdict(args, path, &in, reason.text[0] ? reason.text : NULL);
    file_release(&file);
    return status;
}

/* ---- from-elf ---- */

enum { E_OUT, E_CHIP, E_MODE, E_SIZE, E_FREQ, E_MIN, E_MAX };

static const struct cli_option elf_options[] = {
    {"output", "FILE", "where the image goes (required)", 'o', 0},
    {"chip", "CHIP", "the chip, e.g. esp32c3 (required)", 0, 0},
    {"flash-mode", "MODE", "qio, qout, dio or dout (dio)", 0, 0},
    {"flash-size", "SIZE", "1MB, 2MB, 4MB, ... 128MB (4MB)", 0, 0},
    {"flash-freq", "FREQ", "e.g. 80m, 40m; 48m on the H2 (the chip's fastest)", 0, 0},
    {"min-rev", "N", "least chip revision, major * 100 + minor (0)", 0, 0},
    {"max-rev", "N", "greatest chip revision (65535: any)", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

/* The code of one flash option, or CLI_USAGE with a sentence. */
static int flash_code(const struct cli_args *args, unsigned option, const char *by_default,
                      const struct chip *chip, uint8_t *out)
{
    const char *name = cli_given(args, option) ? cli_value(args, option) : by_default;
    int code = -1;
    switch (option) {
    case E_MODE:
        code = chip_mode_code(name);
        break;
    case E_SIZE:
        code = chip_size_code(name);
        break;
    default:
        code = chip_freq_code(chip, name);
        break;
    }
    if (code < 0) {
        return cli_fail(CLI_USAGE, "--%s '%s' is not possible on the %s; see --help",
                        elf_options[option].name, name, sf_chip_name(chip->id));
    }
    *out = (uint8_t)code;
    return CLI_OK;
}

static int read_elf_options(const struct cli_args *args, struct appimage_options *o)
{
    unsigned long min = 0;
    unsigned long max = UINT16_MAX;
    int status = cli_require(args, E_OUT);
    status = status == CLI_OK ? cli_require(args, E_CHIP) : status;
    if (status != CLI_OK) {
        return status;
    }
    o->chip = chip_find(sf_chip_from_name(cli_value(args, E_CHIP)));
    if (!o->chip) {
        return cli_fail(CLI_USAGE, "unknown chip '%s'; there are %s", cli_value(args, E_CHIP),
                        chip_names());
    }
    status = flash_code(args, E_MODE, "dio", o->chip, &o->spi_mode);
    status = status == CLI_OK ? flash_code(args, E_SIZE, "4MB", o->chip, &o->spi_size) : status;
    status = status == CLI_OK
                 ? flash_code(args, E_FREQ, o->chip->freq[0].name, o->chip, &o->spi_freq)
                 : status;
    status = status == CLI_OK ? cli_number(args, E_MIN, UINT16_MAX, &min) : status;
    status = status == CLI_OK ? cli_number(args, E_MAX, UINT16_MAX, &max) : status;
    o->min_chip_rev_full = (uint16_t)min;
    o->max_chip_rev_full = (uint16_t)max;
    if (status == CLI_OK && min > max) {
        return cli_fail(CLI_USAGE, "--min-rev %lu is above --max-rev %lu", min, max);
    }
    return status;
}

static int tell_image(const struct cli_args *args, const char *path, const struct appimage *image)
{
    uint8_t digest[SF_SHA256_SIZE];
    if (sf_sha256(crypto_openssl(), image->data, image->len, digest) != SF_OK) {
        return cli_fail(CLI_LOCAL, "SHA-256 failed");
    }
    if (!image->has_desc) {
        cli_note(
            "surefoot: note: the ELF has no app_desc at the start of its constants: this image "
            "has no version and cannot be published");
    } else if (!image->has_record) {
        cli_note("surefoot: note: the image carries no updater record (surefoot/record.h): only "
                 "products of kind plain take it");
    }
    if (args->json) {
        return out_json(json_pack("{s:o, s:I, s:o, s:i, s:b, s:b}", "file", out_json_path(path),
                                  "size", (json_int_t)image->len, "sha256",
                                  out_json_hex(digest, sizeof digest), "segments",
                                  (int)image->segment_count, "app_desc", image->has_desc,
                                  "updater_record", image->has_record));
    }
    printf("%s: %zu bytes, %u segments\n", path, image->len, image->segment_count);
    return CLI_OK;
}

/* The image that was made must pass the parser that will judge it everywhere else. */
static int check_and_write(const struct cli_args *args, const struct appimage *image)
{
    const char *path = cli_value(args, E_OUT);
    struct inspect in;
    if (inspect_image(image->data, image->len, INSPECT_TRAILING_REFUSED, &in) != SF_OK) {
        return cli_fail(CLI_REFUSED, "cannot make an image from '%s': the result is not sound: %s",
                        args->operand[0], out_reason(in.err, &in.diag).text);
    }
    int status = file_write(path, image->data, image->len, 0644, FILE_REPLACE);
    return status == CLI_OK ? tell_image(args, path, image) : status;
}

static int convert(const struct cli_args *args, const struct file_bytes *file,
                   struct appimage_options *o)
{
    const struct sf_crypto *crypto = crypto_openssl();
    struct elf_file elf;
    struct sf_diag diag = {0};
    int err = elf_file_decode(file->data, file->len, &elf, &diag);
    if (err != SF_OK) {
        return cli_fail(CLI_REFUSED, "cannot make an image from '%s': %s (at byte 0x%zx)",
                        args->operand[0], diag.why, diag.offset);
    }
    if (sf_sha256(crypto, file->data, file->len, o->elf_sha256) != SF_OK) {
        return cli_fail(CLI_LOCAL, "SHA-256 failed");
    }
    struct appimage image;
    err = appimage_build(&elf, o, crypto, &image);
    int status = err == SF_OK ? check_and_write(args, &image)
                              : cli_fail(CLI_REFUSED, "cannot make an image from '%s': %s",
                                         args->operand[0], image.why);
    appimage_release(&image);
    return status;
}

static int run_from_elf(const struct cli_args *args)
{
    struct appimage_options o = {0};
    struct file_bytes file;
    int status = read_elf_options(args, &o);
    if (status != CLI_OK) {
        return status;
    }
    status = file_read(args->operand[0], FILE_ELF_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    status = convert(args, &file, &o);
    file_release(&file);
    return status;
}

const struct cli_command cmd_image[] = {
    {.name = "info",
     .operands = "IMAGE",
     .summary = "show header, segments, version and updater record of an app image",
     .examples = "  surefoot image info build/lamp.bin\n"
                 "  surefoot image info --json build/lamp.bin\n",
     .operand_min = 1,
     .operand_max = 1,
     .run = run_info},
    {.name = "verify",
     .operands = "IMAGE",
     .summary = "check an app image as bootloader and server do; exit 1 = refused",
     .examples = "  surefoot image verify build/lamp.bin\n"
                 "  surefoot image verify --chip esp32c3 --slot-size 0x100000 build/lamp.bin\n",
     .options = verify_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_verify},
    {.name = "verify-sbv2",
     .operands = "FILE",
     .summary = "check an image's Secure Boot V2 signatures; exit 1 = refused",
     .details =
         "With keys: whether a chip with these keys in its eFuse, not revoked, would boot it;\n"
         "one signature block of them is enough (ESP32 and C2 look at the first block only).\n"
         "Without: whether each block signs this file with the key that it carries.\n",
     .examples = "  surefoot image verify-sbv2 lamp-signed.bin\n"
                 "  surefoot image verify-sbv2 --key secure-boot.pub.pem lamp-signed.bin\n",
     .options = verify_sbv2_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = verify_sbv2_run},
    {.name = "from-elf",
     .operands = "ELF",
     .summary = "make an app image from a linked ELF file",
     .details = "Loadable segments become image segments; those in mapped flash are put where the\n"
                "bootloader can map them. The segment that begins with app_desc comes first; the\n"
                "ELF's SHA-256 is written into it, and the crc into an updater record behind it.\n",
     .examples = "  surefoot image from-elf --chip esp32c3 -o lamp.bin build/lamp.elf\n"
                 "  surefoot image from-elf --chip esp32s3 --flash-size 8MB -o a.bin a.elf\n",
     .options = elf_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_from_elf},
    {.name = NULL},
};
