/* surefoot image verify-sbv2: would a chip with these keys boot the file? */

#include "cli/verify_sbv2.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/sbv2_openssl.h"
#include "cli/file.h"
#include "cli/inspect.h"
#include "cli/out.h"
#include "cli/signature.h"

enum { O_KEY, O_DIGEST };

const struct cli_option verify_sbv2_options[] = {
    {"key", "FILE", "a key that counts, in PEM (public, or private); may be repeated", 0, 1},
    {"digest", "HEX", "a key that counts, as the eFuse has it: 64 digits, or 32 on the C2", 0, 1},
    {NULL, NULL, NULL, 0, 0},
};

/* A key that counts. */
struct wanted {
    uint8_t digest[SF_SHA256_SIZE];
    size_t size;
};

struct verdict {
    char reason[256]; /* "" = good */
    int block;        /* the one that made it good; -1 = each by its own key */
};

static int read_key(const char *path, struct wanted *out)
{
    struct file_bytes file;
    int status = file_read(path, FILE_TEXT_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    int err = sbv2_key_digest(file.data, file.len, out->digest);
    out->size = sizeof out->digest;
    OPENSSL_cleanse(file.data, file.len);
    file_release(&file);
    switch (err) {
    case SF_OK:
        return CLI_OK;
    case SF_ERR_FORMAT:
        return cli_fail(CLI_REFUSED,
                        "'%s' is no key in PEM, or an encrypted one: give the public "
                        "key, e.g. of `espsecure extract-public-key`",
                        path);
    case SF_ERR_ALGORITHM:
        return cli_fail(CLI_REFUSED,
                        "'%s' is no key for Secure Boot V2, which has RSA-3072, P-192, "
                        "P-256 and P-384",
                        path);
    default:
        return cli_fail(CLI_LOCAL, "cannot read the key '%s': %s", path, sf_err_str(err));
    }
}

static int read_digest(const char *hex, struct wanted *out)
{
    out->size = strlen(hex) / 2;
    if ((out->size != SF_SHA256_SIZE && out->size != SF_SBV2_KEY_DIGEST_MIN) ||
        hex_decode(hex, out->digest, out->size) != SF_OK) {
        return cli_fail(CLI_USAGE, "--digest wants 64 hexadecimal digits (32 on the C2), not '%s'",
                        hex);
    }
    return CLI_OK;
}

static int read_wanted(const struct cli_args *args, struct wanted *out, unsigned *count)
{
    int status = CLI_OK;
    for (unsigned i = 0; i < args->count[O_KEY] && status == CLI_OK; i++) {
        status = read_key(args->value[O_KEY][i], &out[(*count)++]);
    }
    for (unsigned i = 0; i < args->count[O_DIGEST] && status == CLI_OK; i++) {
        status = read_digest(args->value[O_DIGEST][i], &out[(*count)++]);
    }
    return status;
}

static void refuse(struct verdict *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void refuse(struct verdict *v, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(v->reason, sizeof v->reason, format, ap);
    va_end(ap);
}

/* No keys given: whatever is there has to be sound. */
static void judge_alone(const struct signature *s, struct verdict *v)
{
    for (unsigned i = 0; i < SF_SBV2_BLOCK_MAX; i++) {
        const struct signature_block *b = &s->block[i];
        if (b->err != SF_OK && b->err != SF_ERR_NOTFOUND) {
            refuse(v, "signature block %u: %s", i, out_reason(b->err, &b->diag).text);
            return;
        }
    }
}

static int is_wanted(const struct signature_block *b, const struct wanted *wanted, unsigned count)
{
    for (unsigned i = 0; b->has_key && i < count; i++) {
        if (memcmp(b->key_digest, wanted[i].digest, wanted[i].size) == 0) {
            return 1;
        }
    }
    return 0;
}

/* As the ROM: one block of a key that counts is enough, whatever the others are. */
static void judge_with(const struct signature *s, unsigned blocks, const struct wanted *wanted,
                       unsigned count, struct verdict *v)
{
    refuse(v, "no signature block that the chip looks at is of a given key");
    for (unsigned i = 0; i < blocks; i++) {
        const struct signature_block *b = &s->block[i];
        if (!is_wanted(b, wanted, count)) {
            continue;
        }
        if (b->err == SF_OK) {
            *v = (struct verdict){.block = (int)i};
            return;
        }
        refuse(v, "signature block %u: %s", i, out_reason(b->err, &b->diag).text);
    }
}

/* espsecure signs for any chip; the chip does not verify everything. */
static void note_scheme(const struct signature *s, int block, const struct inspect *in)
{
    enum sf_sbv2_scheme scheme = (enum sf_sbv2_scheme)s->block[block].scheme;
    uint16_t chip_id = in->head.header.chip_id;
    if (in->head_known && !signature_scheme_fits(chip_id, scheme)) {
        cli_note("surefoot: note: the %s does not verify %s: sign with a key of a scheme that it "
                 "has",
                 inspect_chip(chip_id).text, sf_sbv2_scheme_str(scheme));
    }
}

static void judge(const struct file_bytes *file, const struct wanted *wanted, unsigned count,
                  struct signature *s, struct verdict *v)
{
    struct inspect in;
    struct sf_diag diag = {0};
    *v = (struct verdict){.block = -1};
    (void)inspect_image(file->data, file->len, INSPECT_TRAILING_ALLOWED, &in); /* may be no app */
    int err = signature_read(file->data, file->len, s, &diag);
    if (err != SF_OK) {
        refuse(v, "%s", out_reason(err, &diag).text);
    } else if (!signature_is_in_place(&in.image, file->len)) {
        refuse(v,
               "bytes are between the image's end (0x%x) and the signature sector: the "
               "bootloader looks for it on the next 4 KiB boundary",
               (unsigned)in.image.length);
    } else if (count == 0) {
        judge_alone(s, v);
    } else {
        unsigned blocks =
            in.head_known ? signature_block_count(in.head.header.chip_id) : SF_SBV2_BLOCK_MAX;
        judge_with(s, blocks, wanted, count, v);
        if (v->block >= 0) {
            note_scheme(s, v->block, &in);
        }
    }
}

static int tell(const struct cli_args *args, const struct signature *s, const struct verdict *v)
{
    const char *path = args->operand[0];
    int is_good = v->reason[0] == '\0';
    if (args->json) {
        json_t *block = v->block >= 0 ? json_integer(v->block) : json_null();
        int status = out_json(json_pack("{s:o, s:b, s:s?, s:o, s:o}", "file", out_json_path(path),
                                        "ok", is_good, "reason", is_good ? NULL : v->reason,
                                        "block", block, "signature_blocks", signature_json(s)));
        if (status != CLI_OK) {
            return status;
        }
    } else {
        signature_print(s);
    }
    if (!is_good) {
        return cli_fail(CLI_REFUSED, "'%s' is refused: %s", path, v->reason);
    }
    if (!args->json) {
        printf("verdict         %s\n",
               v->block >= 0 ? "signed with a given key"
                             : "signed; whether with the right keys, --key and --digest tell");
    }
    return CLI_OK;
}

int verify_sbv2_run(const struct cli_args *args)
{
    struct wanted wanted[2 * CLI_REPEAT_MAX];
    unsigned count = 0;
    struct file_bytes file;
    int status = read_wanted(args, wanted, &count);
    if (status == CLI_OK) {
        status = file_read(args->operand[0], FILE_IMAGE_MAX, &file);
    }
    if (status != CLI_OK) {
        return status;
    }
    struct signature s;
    struct verdict v;
    judge(&file, wanted, count, &s, &v);
    file_release(&file);
    return tell(args, &s, &v);
}
