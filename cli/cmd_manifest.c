/* surefoot manifest: sign, verify, show. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/uuid.h"
#include "cli/cli.h"
#include "cli/file.h"
#include "cli/keys.h"
#include "cli/manifest_make.h"
#include "cli/out.h"
#include "cli/passphrase.h"

static const char product_hint[] =
    "--vendor, --product and --hw-revision belong together: they name one class of devices";

static json_t *manifest_json(const struct sf_manifest *m)
{
    char version[64];
    char vendor[UUID_TEXT_SIZE];
    char class_text[UUID_TEXT_SIZE];
    sf_manifest_version_text(m, version);
    uuid_text(m->vendor_uuid, vendor);
    uuid_text(m->class_uuid, class_text);
    return json_pack("{s:s, s:I, s:s, s:s, s:o, s:I, s:o, s:o}", "version", version, "seq",
                     (json_int_t)m->seq, "vendor_uuid", vendor, "class_uuid", class_text,
                     "image_sha256", out_json_hex(m->image_digest, SF_SHA256_SIZE), "image_size",
                     (json_int_t)m->image_size, "uri", out_json_text(m->uri), "manifest_digest",
                     out_json_hex(m->digest, SF_SHA256_SIZE));
}

static void print_manifest(const struct sf_manifest *m)
{
    static const struct out_column columns[] = {
        {"version", "version", OUT_PLAIN},
        {"seq", "seq", OUT_PLAIN},
        {"vendor", "vendor_uuid", OUT_PLAIN},
        {"class", "class_uuid", OUT_PLAIN},
        {"image SHA-256", "image_sha256", OUT_PLAIN},
        {"image bytes", "image_size", OUT_PLAIN},
        {"uri", "uri", OUT_PLAIN},
        {"manifest digest", "manifest_digest", OUT_PLAIN},
        {NULL, NULL, OUT_PLAIN},
    };
    json_t *row = manifest_json(m);
    out_record(stdout, row, columns, 0);
    json_decref(row);
}

/* The class of the three options at `first`: vendor, product, hardware revision. Sets *given if
 * they are there. */
static int read_class(const struct cli_args *args, unsigned first, struct sf_manifest *out,
                      int *given)
{
    unsigned count = 0;
    for (unsigned i = 0; i < 3; i++) {
        count += cli_given(args, first + i) != 0;
    }
    *given = count == 3;
    if (count != 0 && count != 3) {
        return cli_fail(CLI_USAGE, "%s", product_hint);
    }
    if (*given && (uuid_vendor(cli_value(args, first), out->vendor_uuid) != SF_OK ||
                   uuid_class(out->vendor_uuid, cli_value(args, first + 1),
                              cli_value(args, first + 2), out->class_uuid) != SF_OK)) {
        return cli_fail(CLI_LOCAL, "cannot compute the class: the cryptography library failed");
    }
    return CLI_OK;
}

/* ---- sign ---- */

enum { S_VENDOR, S_PRODUCT, S_HW, S_IMAGE, S_KEY, S_SEQ, S_URI, S_OUT, S_NO_RECORD, S_PASSPHRASE };

static const struct cli_option sign_options[] = {
    {"vendor", "DOMAIN", "the vendor's domain, e.g. example.com (required)", 0, 0},
    {"product", "NAME", "the product (required)", 0, 0},
    {"hw-revision", "NAME", "the hardware revision (required)", 0, 0},
    {"image", "FILE", "the app image (required)", 0, 0},
    {"key", "FILE", "the private release key, a file or a token's URI (required)", 0, 0},
    {"seq", "N", "the sequence number, greater than that of every release before (required)", 0, 0},
    {"uri", "PATH", "where devices find it (/artifacts/<sha256>)", 0, 0},
    {"output", "FILE", "where the envelope goes (required)", 'o', 0},
    {"allow-no-record", NULL, "sign although the image carries no updater record", 0, 0},
    PASSPHRASE_OPTION,
    {NULL, NULL, NULL, 0, 0},
};

static int tell_signed(const struct cli_args *args, const struct manifest_made *made)
{
    const char *path = cli_value(args, S_OUT);
    int status = file_write(path, made->envelope, made->len, 0644, FILE_REPLACE);
    if (status != CLI_OK) {
        return status;
    }
    if (args->json) {
        json_t *root = manifest_json(&made->manifest);
        json_object_set_new(root, "file", out_json_path(path));
        json_object_set_new(root, "size", json_integer((json_int_t)made->len));
        return out_json(root);
    }
    print_manifest(&made->manifest);
    return CLI_OK;
}

static int sign(const struct cli_args *args, const struct manifest_wish *wish)
{
    const struct key_request request = {cli_value(args, S_KEY), KEY_ROLE_RELEASE,
                                        cli_value(args, S_PASSPHRASE)};
    struct signing_key key;
    struct manifest_made made;
    int status = keys_open(&key, &request);
    if (status == CLI_OK) {
        const struct sf_signer signer = keys_signer(&key);
        status = manifest_make(wish, &signer, &made);
    }
    keys_close(&key);
    return status == CLI_OK ? tell_signed(args, &made) : status;
}

static int load_image(const char *path, struct inspect *out)
{
    struct file_bytes file;
    int status = file_read(path, FILE_IMAGE_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    int err = inspect_image(file.data, file.len, INSPECT_TRAILING_REFUSED, out);
    file_release(&file);
    return err == SF_OK ? CLI_OK
                        : cli_fail(CLI_REFUSED, "cannot sign for '%s': %s", path,
                                   out_reason(err, &out->diag).text);
}

static int run_sign(const struct cli_args *args)
{
    static const unsigned required[] = {S_VENDOR, S_PRODUCT, S_HW, S_IMAGE, S_KEY, S_SEQ, S_OUT};
    for (unsigned i = 0; i < sizeof required / sizeof required[0]; i++) {
        int status = cli_require(args, required[i]);
        if (status != CLI_OK) {
            return status;
        }
    }
    struct sf_manifest names;
    unsigned long seq = 0;
    int given = 0;
    int status = read_class(args, S_VENDOR, &names, &given);
    status = status == CLI_OK ? cli_number(args, S_SEQ, INT64_MAX, &seq) : status;
    if (status != CLI_OK) {
        return status;
    }
    if (seq == 0) {
        return cli_fail(CLI_USAGE, "--seq starts at 1: a fresh device has seen 0");
    }
    struct inspect image;
    struct manifest_wish wish = {.image_path = cli_value(args, S_IMAGE),
                                 .image = &image,
                                 .seq = seq,
                                 .uri = cli_value(args, S_URI),
                                 .record = cli_given(args, S_NO_RECORD) ? MANIFEST_RECORD_OPTIONAL
                                                                        : MANIFEST_RECORD_REQUIRED};
    memcpy(wish.vendor_uuid, names.vendor_uuid, SF_UUID_SIZE);
    memcpy(wish.class_uuid, names.class_uuid, SF_UUID_SIZE);
    status = load_image(wish.image_path, &image);
    return status == CLI_OK ? sign(args, &wish) : status;
}

/* ---- verify ---- */

enum { V_VENDOR, V_PRODUCT, V_HW, V_KEY, V_KEY_HEX, V_SIGNATURE_ONLY, V_IMAGE };

static const struct cli_option verify_options[] = {
    {"vendor", "DOMAIN", "with --product and --hw-revision: what it must be meant for", 0, 0},
    {"product", "NAME", "the product it must be meant for", 0, 0},
    {"hw-revision", "NAME", "the hardware revision it must be meant for", 0, 0},
    {"key", "FILE", "the release key, public or private (PEM)", 0, 0},
    {"key-hex", "XY", "the public release key as x || y, 128 hex digits", 0, 0},
    {"signature-only", NULL, "only digest, signature and coverage, for a foreign profile", 0, 0},
    {"image", "FILE", "the image it must describe", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

/* The result of a verification; `reason` empty if it passed. */
struct verdict {
    struct sf_manifest manifest;
    int has_manifest; /* decoded: not with --signature-only */
    uint8_t digest[SF_SHA256_SIZE];
    char reason[256];
};

static int load_key(const struct cli_args *args, struct p256_key *key)
{
    memset(key, 0, sizeof *key);
    if (cli_given(args, V_KEY) == cli_given(args, V_KEY_HEX)) {
        return cli_fail(CLI_USAGE, "wanted one of --key FILE and --key-hex XY; see --help");
    }
    return cli_given(args, V_KEY)
               ? keys_load_public(key, cli_value(args, V_KEY), KEY_ROLE_RELEASE, NULL)
               : keys_from_hex(key, cli_value(args, V_KEY_HEX));
}

static void verify_envelope(struct sf_bytes envelope, const struct p256_key *key,
                            int signature_only, struct verdict *v)
{
    struct sf_diag diag = {0};
    int err = SF_OK;
    if (signature_only) {
        const struct sf_verifier by = {
            .key = &key->public_key, .crypto = crypto_openssl(), .kid_check = SF_COSE_KID_IGNORED};
        struct sf_envelope opened;
        err = sf_envelope_verify(envelope, &by, &opened, &diag);
        if (err == SF_OK) {
            memcpy(v->digest, opened.digest, SF_SHA256_SIZE);
        }
    } else {
        err = sf_manifest_open(envelope, &key->public_key, crypto_openssl(), &v->manifest, &diag);
        v->has_manifest = err == SF_OK;
        if (err == SF_OK) {
            memcpy(v->digest, v->manifest.digest, SF_SHA256_SIZE);
        }
    }
    if (err != SF_OK) {
        snprintf(v->reason, sizeof v->reason, "%s", out_reason(err, &diag).text);
    }
}

static void check_class(const struct sf_manifest *wanted, struct verdict *v)
{
    if (memcmp(wanted->vendor_uuid, v->manifest.vendor_uuid, SF_UUID_SIZE) != 0) {
        snprintf(v->reason, sizeof v->reason, "meant for another vendor's devices");
    } else if (memcmp(wanted->class_uuid, v->manifest.class_uuid, SF_UUID_SIZE) != 0) {
        snprintf(v->reason, sizeof v->reason, "%s", sf_err_str(SF_ERR_CLASS));
    }
}

static int check_image(const char *path, struct verdict *v)
{
    struct file_bytes file;
    uint8_t digest[SF_SHA256_SIZE];
    int status = file_read(path, FILE_IMAGE_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    if (sf_sha256(crypto_openssl(), file.data, file.len, digest) != SF_OK) {
        status = cli_fail(CLI_LOCAL, "SHA-256 failed");
    } else if (file.len != v->manifest.image_size) {
        snprintf(v->reason, sizeof v->reason, "%s", sf_err_str(SF_ERR_IMAGE_SIZE));
    } else if (memcmp(digest, v->manifest.image_digest, SF_SHA256_SIZE) != 0) {
        snprintf(v->reason, sizeof v->reason, "it describes another image than '%.160s'", path);
    }
    file_release(&file);
    return status;
}

static int tell_verdict(const struct cli_args *args, const struct verdict *v)
{
    const char *path = args->operand[0];
    int refused = v->reason[0] != '\0';
    if (args->json) {
        int status = out_json(
            json_pack("{s:o, s:b, s:o, s:o, s:o}", "file", out_json_path(path), "ok", !refused,
                      "reason", refused ? json_string(v->reason) : json_null(), "manifest_digest",
                      refused ? json_null() : out_json_hex(v->digest, SF_SHA256_SIZE), "manifest",
                      !refused && v->has_manifest ? manifest_json(&v->manifest) : json_null()));
        if (status != CLI_OK) {
            return status;
        }
    }
    if (refused) {
        return cli_fail(CLI_REFUSED, "manifest '%s' is refused: %s", path, v->reason);
    }
    if (!args->json) {
        printf("%s: the signature verifies%s\n", path,
               v->has_manifest ? "" : "; nothing else was looked at");
        if (v->has_manifest) {
            print_manifest(&v->manifest);
        }
    }
    return CLI_OK;
}

static int run_verify(const struct cli_args *args)
{
    struct sf_manifest wanted;
    struct p256_key key = {0};
    struct file_bytes file = {0};
    struct verdict v = {0};
    int by_class = 0;
    int signature_only = cli_given(args, V_SIGNATURE_ONLY);
    int status = read_class(args, V_VENDOR, &wanted, &by_class);
    if (status == CLI_OK && signature_only && (by_class || cli_given(args, V_IMAGE))) {
        status = cli_fail(CLI_USAGE, "--signature-only looks at nothing else: drop --product, "
                                     "--image and their like");
    }
    status = status == CLI_OK ? load_key(args, &key) : status;
    status = status == CLI_OK ? file_read(args->operand[0], FILE_TEXT_MAX, &file) : status;
    if (status == CLI_OK) {
        verify_envelope((struct sf_bytes){file.data, file.len}, &key, signature_only, &v);
    }
    if (status == CLI_OK && !v.reason[0] && by_class) {
        check_class(&wanted, &v);
    }
    if (status == CLI_OK && !v.reason[0] && cli_given(args, V_IMAGE)) {
        status = check_image(cli_value(args, V_IMAGE), &v);
    }
    status = status == CLI_OK ? tell_verdict(args, &v) : status;
    file_release(&file);
    p256_key_release(&key);
    return status;
}

/* ---- show ---- */

/* The digest that is signed: over the manifest with its byte string header. */
static int digest_of(struct sf_bytes manifest, uint8_t out[SF_SHA256_SIZE])
{
    uint8_t wrapped[SF_ENVELOPE_MAX];
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, wrapped, sizeof wrapped);
    sf_cbor_write_bytes(&w, manifest.data, manifest.len);
    int32_t len = sf_cbor_write_end(&w);
    return len < 0 ? len : sf_sha256(crypto_openssl(), wrapped, (size_t)len, out);
}

static int run_show(const struct cli_args *args)
{
    const char *path = args->operand[0];
    struct file_bytes file;
    int status = file_read(path, FILE_TEXT_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    struct sf_bytes inside = {0};
    struct sf_manifest m = {0};
    struct sf_diag diag = {0};
    int err = sf_envelope_peek((struct sf_bytes){file.data, file.len}, &inside, &diag);
    err = err == SF_OK ? sf_manifest_decode(inside, &m, &diag) : err;
    err = err == SF_OK ? digest_of(inside, m.digest) : err;
    file_release(&file);
    if (err != SF_OK) {
        return cli_fail(CLI_REFUSED, "'%s' is no manifest of ours: %s", path,
                        out_reason(err, &diag).text);
    }
    if (args->json) {
        return out_json(manifest_json(&m));
    }
    print_manifest(&m);
    cli_note("surefoot: note: nothing was verified; `surefoot manifest verify` does");
    return CLI_OK;
}

const struct cli_command cmd_manifest[] = {
    {.name = "sign",
     .operands = "",
     .summary = "make and sign the manifest of an image",
     .details = "`surefoot release publish` does this by itself; sign is for keys that no server\n"
                "may come near.\n",
     .examples = "  surefoot manifest sign --image lamp.bin --key release.pem --vendor "
                 "example.com \\\n"
                 "      --product lamp --hw-revision A --seq 2 -o lamp.suit\n",
     .options = sign_options,
     .run = run_sign},
    {.name = "verify",
     .operands = "FILE",
     .summary = "check a manifest's signature and contents; exit 1 = refused",
     .examples = "  surefoot manifest verify --key release.pub.pem lamp.suit\n"
                 "  surefoot manifest verify --key release.pem --vendor example.com --product lamp "
                 "\\\n"
                 "      --hw-revision A --image lamp.bin lamp.suit\n"
                 "  surefoot manifest verify --key-hex 8496...a896 --signature-only other.suit\n",
     .options = verify_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_verify},
    {.name = "show",
     .operands = "FILE",
     .summary = "print what a manifest says, without verifying it",
     .examples = "  surefoot manifest show lamp.suit\n",
     .operand_min = 1,
     .operand_max = 1,
     .run = run_show},
    {.name = NULL},
};
