/* Trust roots in files. */

#include "cli/trust_file.h"

#include <string.h>

#include "base/crypto_openssl.h"
#include "base/key_head.h"
#include "cli/cli.h"
#include "cli/file.h"
#include "cli/out.h"

/* The roles of key files have the numbers that the trust root has. */
_Static_assert((int)KEY_ROLE_ROOT == (int)SF_ROLE_ROOT &&
                   (int)KEY_ROLE_RELEASE == (int)SF_ROLE_RELEASE &&
                   (int)KEY_ROLE_STATUS == (int)SF_ROLE_STATUS &&
                   (int)KEY_ROLE_DELTA == (int)SF_ROLE_DELTA,
               "roles");

const char *trust_role_name(enum sf_role role)
{
    return key_role_name((enum key_role)role);
}

/* ---- reading, writing ---- */

/* A payload is a map, which begins with 0xa_ or 0xb_; a COSE_Sign with its tag. */
static int is_payload(const struct trust_file *f)
{
    return f->len > 0 && f->bytes[0] >> 5 == 5;
}

static int take(struct trust_file *f, struct sf_diag *diag)
{
    struct sf_cose_sign sign = {.payload = {f->bytes, f->len}};
    const int err =
        is_payload(f) ? SF_OK : sf_root_peek((struct sf_bytes){f->bytes, f->len}, &sign, diag);
    if (err < 0) {
        return err;
    }
    if (sign.payload.len > sizeof f->payload) {
        return SF_ERR_TOO_LARGE;
    }
    memcpy(f->payload, sign.payload.data, sign.payload.len);
    f->payload_len = sign.payload.len;
    f->count = is_payload(f) ? 0 : sf_root_signatures(&sign, f->signature);
    return sf_root_decode((struct sf_bytes){f->payload, f->payload_len}, crypto_openssl(), &f->root,
                          diag);
}

int trust_load(const char *path, struct trust_file *out)
{
    struct file_bytes file;
    struct sf_diag diag = {0};
    memset(out, 0, sizeof *out);
    out->path = path;
    int status = file_read(path, SF_ROOT_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    memcpy(out->bytes, file.data, file.len);
    out->len = file.len;
    file_release(&file);
    const int err = take(out, &diag);
    if (err < 0) {
        return cli_fail(CLI_REFUSED, "'%s' is no trust root: %s; `surefoot trust init` makes one",
                        path, out_reason(err, &diag).text);
    }
    return CLI_OK;
}

int trust_save(const char *path, struct sf_bytes payload, const struct sf_cose_signature *signature,
               unsigned count)
{
    uint8_t bytes[SF_ROOT_MAX];
    if (count == 0) {
        return file_write(path, payload.data, payload.len, 0644, FILE_REPLACE);
    }
    const int32_t len = sf_root_assemble(payload, signature, count, bytes, sizeof bytes);
    if (len < 0) {
        return cli_fail(CLI_REFUSED, "cannot write '%s': %u signatures: %s", path, count,
                        sf_err_str(len));
    }
    return file_write(path, bytes, (size_t)len, 0644, FILE_REPLACE);
}

/* ---- signatures ---- */

static int find_root_key(const struct sf_root *root, const uint8_t kid[SF_KID_SIZE],
                         struct sf_public_key *out)
{
    unsigned i = 0;
    while (sf_root_key(root, SF_ROLE_ROOT, i++, out) == SF_OK) {
        if (memcmp(out->kid, kid, SF_KID_SIZE) == 0) {
            return 1;
        }
    }
    return 0;
}

int trust_has_root_key(const struct sf_root *root, const struct sf_public_key *key)
{
    struct sf_public_key found;
    return find_root_key(root, key->kid, &found) &&
           memcmp(found.xy, key->xy, SF_P256_KEY_SIZE) == 0;
}

/* Verifies by writing the one signature as a root of its own, which the formats then judge. */
static int verify(const struct trust_file *f, const struct sf_cose_signature *signature,
                  const struct sf_public_key *key)
{
    uint8_t bytes[SF_ROOT_MAX];
    struct sf_cose_sign sign;
    struct sf_cose_sign1 entry;
    size_t cursor = 0;
    const int32_t len = sf_root_assemble((struct sf_bytes){f->payload, f->payload_len}, signature,
                                         1, bytes, sizeof bytes);
    if (len < 0) {
        return len;
    }
    const int err = sf_root_peek((struct sf_bytes){bytes, (size_t)len}, &sign, NULL);
    if (err < 0 || !sf_cose_sign_next(&sign, &cursor, &entry)) {
        return err < 0 ? err : SF_ERR_FORMAT;
    }
    return sf_cose_sign_verify(&sign, &entry, key, crypto_openssl());
}

int trust_signature_by(const struct trust_file *file, const struct trust_file *before,
                       const struct sf_cose_signature *signature)
{
    struct sf_public_key key;
    int by = 0;
    if (before && find_root_key(&before->root, signature->kid, &key)) {
        by |= TRUST_BEFORE;
    }
    if (find_root_key(&file->root, signature->kid, &key)) {
        by |= TRUST_OWN;
    } else if (before) {
        (void)find_root_key(&before->root, signature->kid, &key);
    }
    if (by == 0) {
        return 0;
    }
    const int err = verify(file, signature, &key);
    return err < 0 ? err : by;
}

static unsigned missing(unsigned have, const struct sf_root *root)
{
    const unsigned threshold = root->role[SF_ROLE_ROOT].threshold;
    return have < threshold ? threshold - have : 0;
}

struct trust_score trust_score(const struct trust_file *file, const struct trust_file *before)
{
    struct trust_score s = {.own = 0};
    for (unsigned i = 0; i < file->count; i++) {
        const int by = trust_signature_by(file, before, &file->signature[i]);
        s.wrong += by < 0;
        s.other += by == 0;
        s.own += by > 0 && (by & TRUST_OWN);
        s.before += by > 0 && (by & TRUST_BEFORE);
    }
    s.missing_own = missing(s.own, &file->root);
    s.missing_before = before ? missing(s.before, &before->root) : 0;
    s.is_complete = s.missing_own == 0 && s.missing_before == 0 && s.wrong == 0 && s.other == 0 &&
                    (before || file->root.version == 1);
    return s;
}

int trust_load_before(const struct trust_file *file, const char *path, struct trust_file *before)
{
    const uint32_t version = file->root.version;
    memset(before, 0, sizeof *before);
    if (!path) {
        return version == 1 ? CLI_OK
                            : cli_fail(CLI_USAGE,
                                       "'%s' is version %u: name version %u, which you trust "
                                       "already, with --trusted FILE",
                                       file->path, version, version - 1);
    }
    const int status = trust_load(path, before);
    if (status != CLI_OK) {
        return status;
    }
    const int err = sf_root_follows(&file->root, &before->root);
    if (err == SF_ERR_ROOT_VERSION) {
        return cli_fail(CLI_REFUSED,
                        "'%s' is version %u and does not follow '%s', which is "
                        "version %u",
                        file->path, version, path, before->root.version);
    }
    return err == SF_OK ? CLI_OK
                        : cli_fail(CLI_REFUSED, "'%s' does not follow '%s': %s", file->path, path,
                                   "another fleet, or an epoch that goes back");
}
