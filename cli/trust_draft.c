/* surefoot trust init, rotate, revoke.
 *
 * 1. A root that was made from another one says all that the other one says, but for what was asked
 *    for, the version and the times.
 * 2. Nothing is written that sf_root_decode() would not take. */

#include "cli/trust_draft.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cert.h"
#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/uuid.h"
#include "cli/file.h"
#include "cli/keys.h"
#include "cli/out.h"
#include "cli/trust_file.h"
#include "cli/trust_text.h"
#include "formats/envelope.h"

enum { DAY_S = 86400, DAYS_DEFAULT = 730, DAYS_MAX = 36500 };

/* The options of init and rotate; a role's keys and its threshold stand at the role's number. */
enum {
    T_ROOT,
    T_RELEASE,
    T_STATUS,
    T_DELTA,
    T_ROOT_THRESHOLD,
    T_RELEASE_THRESHOLD,
    T_DAYS,
    T_OFFLINE,
    T_ANCHOR,
    T_OUT,
    T_FLEET,           /* init */
    T_STOLEN = 10,     /* rotate */
    T_REVOKE_DAYS = 0, /* revoke */
    T_REVOKE_MANIFEST,
    T_REVOKE_MINIMUM,
    T_REVOKE_OUT,
};

#define OUT_OPTION                                                                \
    {                                                                             \
        "output", "FILE", "where the unsigned trust root goes (required)", 'o', 0 \
    }
#define DAYS_OPTION                                          \
    {                                                        \
        "days", "N", "when it expires, from now (730)", 0, 0 \
    }
#define LATER_OPTIONS                                                                          \
    DAYS_OPTION,                                                                               \
        {"allow-offline", "yes|no", "whether release keys alone may say what runs", 0, 0},     \
        {"anchor", "FILE", "a CA's certificate that devices may trust for TLS; repeat", 0, 1}, \
        OUT_OPTION

const struct cli_option trust_init_options[] = {
    {"root", "FILE", "public key of a root key holder; repeat (required)", 0, 1},
    {"release", "FILE", "public release key; repeat (required)", 0, 1},
    {"status", "FILE", "public status key, status-key.pub.pem of the server (required)", 0, 1},
    {"delta", "FILE", "public key for patches; repeat", 0, 1},
    {"root-threshold", "N", "how many root keys must sign (more than half)", 0, 0},
    {"release-threshold", "N", "how many release keys must sign, 1 or 2 (1)", 0, 0},
    LATER_OPTIONS,
    {"fleet", "HEX", "the fleet's id, 32 hex digits (random)", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

const struct cli_option trust_rotate_options[] = {
    {"root", "FILE|KID", "all root keys from now on; repeat", 0, 1},
    {"release", "FILE|KID", "all release keys from now on; repeat", 0, 1},
    {"status", "FILE|KID", "all status keys from now on; repeat", 0, 1},
    {"delta", "FILE|KID", "all keys for patches from now on; repeat", 0, 1},
    {"root-threshold", "N", "how many root keys must sign (as before)", 0, 0},
    {"release-threshold", "N", "how many release keys must sign (as before)", 0, 0},
    LATER_OPTIONS,
    {"stolen", "ROLE", "begin a new epoch: what was signed by its old keys is void; repeat", 0, 1},
    {NULL, NULL, NULL, 0, 0},
};

const struct cli_option trust_revoke_options[] = {
    DAYS_OPTION,
    {"manifest", "FILE|HEX", "a manifest never to be installed, or its digest; repeat", 0, 1},
    {"minimum", "CLASS=SEQ", "the least seq that may be installed of a class; repeat", 0, 1},
    OUT_OPTION,
    {NULL, NULL, NULL, 0, 0},
};

/* What is being made, and from what. */
struct making {
    const struct cli_args *args;
    const struct trust_file *before; /* NULL for init */
    struct sf_root_draft draft;
};

/* ---- keys ---- */

static void remove_keys(struct sf_root_draft *d, enum sf_role role)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < d->key_count; i++) {
        if (d->key[i].role != role) {
            d->key[kept++] = d->key[i];
        }
    }
    d->key_count = kept;
}

/* A key of the root before by its kid, of any role: a kid is shown, and needs no file. */
static int by_kid(const struct making *m, const char *text, struct sf_public_key *out)
{
    uint8_t kid[SF_KID_SIZE];
    if (!m->before || hex_decode(text, kid, sizeof kid) != SF_OK) {
        return 0;
    }
    for (unsigned role = 0; role < SF_ROLE_COUNT; role++) {
        for (unsigned i = 0; sf_root_key(&m->before->root, (enum sf_role)role, i, out) == SF_OK;
             i++) {
            if (memcmp(out->kid, kid, sizeof kid) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

static int add_key(struct making *m, enum sf_role role, const char *name)
{
    struct sf_root_draft *d = &m->draft;
    struct p256_key key = {0};
    struct sf_public_key found;
    int status = CLI_OK;
    if (by_kid(m, name, &found)) {
        key.public_key = found;
    } else {
        status = keys_load_public(&key, name, (enum key_role)role, NULL);
    }
    if (status == CLI_OK && d->key_count == SF_ROOT_KEY_MAX) {
        status = cli_fail(CLI_REFUSED, "a trust root has room for %d keys", SF_ROOT_KEY_MAX);
    }
    for (unsigned i = 0; status == CLI_OK && i < d->key_count; i++) {
        if (memcmp(d->key[i].key.xy, key.public_key.xy, SF_P256_KEY_SIZE) == 0) {
            status = cli_fail(CLI_REFUSED,
                              "'%s' is the key of %s already: no key serves twice, so "
                              "that one theft is one loss",
                              name, trust_role_name(d->key[i].role));
        }
    }
    if (status == CLI_OK) {
        d->key[d->key_count++] = (struct sf_root_draft_key){key.public_key, role};
    }
    p256_key_release(&key);
    return status;
}

static unsigned count_keys(const struct sf_root_draft *d, enum sf_role role)
{
    unsigned n = 0;
    for (unsigned i = 0; i < d->key_count; i++) {
        n += d->key[i].role == role;
    }
    return n;
}

/* The keys that were named of all roles; those of the others stay. */
static int take_keys(struct making *m)
{
    const struct cli_args *args = m->args;
    for (unsigned role = 0; role < SF_ROLE_COUNT; role++) {
        if (cli_given(args, T_ROOT + role)) {
            remove_keys(&m->draft, (enum sf_role)role);
        }
    }
    for (unsigned role = 0; role < SF_ROLE_COUNT; role++) {
        for (unsigned i = 0; i < args->count[T_ROOT + role]; i++) {
            const int status = add_key(m, (enum sf_role)role, args->value[T_ROOT + role][i]);
            if (status != CLI_OK) {
                return status;
            }
        }
    }
    return CLI_OK;
}

static int take_threshold(struct making *m, enum sf_role role, unsigned option)
{
    const unsigned count = count_keys(&m->draft, role);
    unsigned long n = m->draft.threshold[role];
    const int status = cli_number(m->args, option, SF_ROOT_KEY_MAX, &n);
    if (status != CLI_OK) {
        return status;
    }
    if (n == 0 || n > count || (role == SF_ROLE_RELEASE && n > SF_ROOT_RELEASE_THRESHOLD_MAX)) {
        return cli_fail(CLI_REFUSED,
                        "the %s role has %u key%s, and %lu must sign: that does not "
                        "work; see --%s-threshold",
                        trust_role_name(role), count, count == 1 ? "" : "s", n,
                        trust_role_name(role));
    }
    m->draft.threshold[role] = (uint8_t)n;
    return CLI_OK;
}

/* ---- the rest ---- */

static int take_days(struct making *m, unsigned option)
{
    unsigned long days = DAYS_DEFAULT;
    const int status = cli_number(m->args, option, DAYS_MAX, &days);
    if (status != CLI_OK || days == 0) {
        return status != CLI_OK ? status : cli_fail(CLI_USAGE, "--days wants at least 1");
    }
    m->draft.issued_at = out_now_s();
    m->draft.expires = m->draft.issued_at + (int64_t)days * DAY_S;
    return CLI_OK;
}

static int take_offline(struct making *m)
{
    const char *text = cli_value(m->args, T_OFFLINE);
    if (!text) {
        return CLI_OK;
    }
    if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0) {
        return cli_fail(CLI_USAGE, "--allow-offline wants yes or no, not '%s'", text);
    }
    m->draft.policy &= ~(uint32_t)SF_ROOT_ALLOW_OFFLINE;
    m->draft.policy |= text[0] == 'y' ? (uint32_t)SF_ROOT_ALLOW_OFFLINE : 0;
    return CLI_OK;
}

static int spki_digest(const char *path, uint8_t out[SF_SHA256_SIZE])
{
    struct cert_pair pair = {0};
    uint8_t *der = NULL;
    const int err = cert_read(path, &pair);
    const int len =
        err == SF_OK && pair.cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(pair.cert), &der) : -1;
    const int ok = len > 0 && sf_sha256(crypto_openssl(), der, (size_t)len, out) == SF_OK;
    OPENSSL_free(der);
    cert_release(&pair);
    return ok ? CLI_OK : cli_fail(CLI_REFUSED, "'%s' holds no certificate in PEM", path);
}

static int take_anchors(struct making *m)
{
    const unsigned count = m->args->count[T_ANCHOR];
    if (count > SF_ROOT_ANCHOR_MAX) {
        return cli_fail(CLI_REFUSED, "a trust root has room for %d anchors", SF_ROOT_ANCHOR_MAX);
    }
    m->draft.anchor_count = count > 0 ? count : m->draft.anchor_count;
    for (unsigned i = 0; i < count; i++) {
        const int status = spki_digest(m->args->value[T_ANCHOR][i], m->draft.anchor[i]);
        if (status != CLI_OK) {
            return status;
        }
    }
    return CLI_OK;
}

/* Encodes, writes, and says what is to be done next. */
static int finish(struct making *m, unsigned out_option)
{
    const char *path = cli_value(m->args, out_option);
    uint8_t payload[SF_ROOT_PAYLOAD_MAX];
    struct sf_diag diag = {0};
    struct trust_file made;
    const int32_t len = sf_root_encode(&m->draft, crypto_openssl(), &diag, payload, sizeof payload);
    if (len < 0) {
        return cli_fail(CLI_REFUSED, "this makes no trust root: %s", out_reason(len, &diag).text);
    }
    int status = trust_save(path, (struct sf_bytes){payload, (size_t)len}, NULL, 0);
    status = status == CLI_OK ? trust_load(path, &made) : status;
    if (status != CLI_OK) {
        return status;
    }
    cli_note("%s: not signed yet; let root key holders `surefoot trust sign` it", path);
    if (m->args->json) {
        return out_json(trust_json(&made, m->before));
    }
    trust_print(&made, m->before);
    return CLI_OK;
}

/* ---- init ---- */

static int take_fleet(struct making *m)
{
    const char *hex = cli_value(m->args, T_FLEET);
    uint8_t *id = m->draft.fleet_id;
    if (!hex) {
        return crypto_openssl()->random(NULL, id, SF_FLEET_ID_SIZE) == SF_OK
                   ? CLI_OK
                   : cli_fail(CLI_LOCAL, "the cryptography library failed");
    }
    return hex_decode(hex, id, SF_FLEET_ID_SIZE) == SF_OK
               ? CLI_OK
               : cli_fail(CLI_USAGE, "--fleet wants 32 hex digits");
}

int trust_init_run(const struct cli_args *args)
{
    static const unsigned required[] = {T_ROOT, T_RELEASE, T_STATUS, T_OUT};
    struct making m = {.args = args, .draft = {.version = 1}};
    struct sf_root_draft *d = &m.draft;
    int status = CLI_OK;
    for (unsigned i = 0; status == CLI_OK && i < sizeof required / sizeof required[0]; i++) {
        status = cli_require(args, required[i]);
    }
    status = status == CLI_OK ? take_keys(&m) : status;
    for (unsigned role = 0; role < SF_ROLE_COUNT; role++) {
        d->threshold[role] = count_keys(d, (enum sf_role)role) > 0;
    }
    d->threshold[SF_ROLE_ROOT] = (uint8_t)(count_keys(d, SF_ROLE_ROOT) / 2 + 1);
    status = status == CLI_OK ? take_threshold(&m, SF_ROLE_ROOT, T_ROOT_THRESHOLD) : status;
    status = status == CLI_OK ? take_threshold(&m, SF_ROLE_RELEASE, T_RELEASE_THRESHOLD) : status;
    status = status == CLI_OK ? take_days(&m, T_DAYS) : status;
    status = status == CLI_OK ? take_offline(&m) : status;
    status = status == CLI_OK ? take_anchors(&m) : status;
    status = status == CLI_OK ? take_fleet(&m) : status;
    return status == CLI_OK ? finish(&m, T_OUT) : status;
}

/* ---- rotate, revoke ---- */

/* The draft of the version after `before`. */
static int start_next(struct making *m, struct trust_file *before)
{
    const int status = trust_load(m->args->operand[0], before);
    if (status != CLI_OK) {
        return status;
    }
    if (trust_score(before, NULL).missing_own > 0) {
        return cli_fail(CLI_REFUSED,
                        "'%s' is not signed by enough of its own root keys, so no "
                        "device has it: finish it first, or make it anew",
                        before->path);
    }
    m->before = before;
    sf_root_draft_from(&before->root, &m->draft);
    m->draft.version++;
    return CLI_OK;
}

static int take_stolen(struct making *m)
{
    for (unsigned i = 0; i < m->args->count[T_STOLEN]; i++) {
        const char *name = m->args->value[T_STOLEN][i];
        enum key_role role = KEY_ROLE_NONE;
        if (key_role_parse(name, &role) != SF_OK) {
            return cli_fail(CLI_USAGE,
                            "--stolen: '%s' is no role; there are root, release, status "
                            "and delta",
                            name);
        }
        if (!cli_given(m->args, T_ROOT + (unsigned)role)) {
            return cli_fail(CLI_USAGE, "--stolen %s goes with --%s: name the keys that replace it",
                            name, name);
        }
        m->draft.epoch[role]++;
    }
    return CLI_OK;
}

int trust_rotate_run(const struct cli_args *args)
{
    struct making m = {.args = args};
    struct trust_file before;
    struct sf_root_draft *d = &m.draft;
    int status = cli_require(args, T_OUT);
    status = status == CLI_OK ? start_next(&m, &before) : status;
    status = status == CLI_OK ? take_keys(&m) : status;
    if (count_keys(d, SF_ROLE_DELTA) > 0 && d->threshold[SF_ROLE_DELTA] == 0) {
        d->threshold[SF_ROLE_DELTA] = 1;
    }
    status = status == CLI_OK ? take_threshold(&m, SF_ROLE_ROOT, T_ROOT_THRESHOLD) : status;
    status = status == CLI_OK ? take_threshold(&m, SF_ROLE_RELEASE, T_RELEASE_THRESHOLD) : status;
    status = status == CLI_OK ? take_days(&m, T_DAYS) : status;
    status = status == CLI_OK ? take_offline(&m) : status;
    status = status == CLI_OK ? take_anchors(&m) : status;
    status = status == CLI_OK ? take_stolen(&m) : status;
    return status == CLI_OK ? finish(&m, T_OUT) : status;
}

/* The manifest digest of an envelope in a file, or 64 hex digits. */
static int manifest_digest(const char *name, uint8_t out[SF_SHA256_SIZE])
{
    struct file_bytes file;
    struct sf_bytes manifest = {0};
    struct sf_diag diag = {0};
    uint8_t wrapped[SF_ENVELOPE_MAX];
    struct sf_cbor_writer w;
    if (hex_decode(name, out, SF_SHA256_SIZE) == SF_OK) {
        return CLI_OK;
    }
    const int status = file_read(name, FILE_TEXT_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    int err = sf_envelope_peek((struct sf_bytes){file.data, file.len}, &manifest, &diag);
    sf_cbor_write_init(&w, wrapped, sizeof wrapped);
    sf_cbor_write_bytes(&w, manifest.data, manifest.len);
    const int32_t len = sf_cbor_write_end(&w);
    err = err == SF_OK && len < 0 ? len : err;
    err = err == SF_OK ? sf_sha256(crypto_openssl(), wrapped, (size_t)len, out) : err;
    file_release(&file);
    return err == SF_OK ? CLI_OK
                        : cli_fail(CLI_REFUSED,
                                   "'%s' is neither a manifest nor a digest of 64 hex "
                                   "digits: %s",
                                   name, out_reason(err, &diag).text);
}

static int add_revoked(struct making *m, const char *name)
{
    struct sf_root_draft *d = &m->draft;
    uint8_t digest[SF_SHA256_SIZE];
    const int status = manifest_digest(name, digest);
    if (status != CLI_OK) {
        return status;
    }
    for (unsigned i = 0; i < d->revoked_count; i++) {
        if (memcmp(d->revoked[i], digest, sizeof digest) == 0) {
            return CLI_OK;
        }
    }
    if (d->revoked_count == SF_ROOT_REVOKED_MAX) {
        return cli_fail(CLI_REFUSED,
                        "a trust root has room for %d revoked manifests; --minimum "
                        "revokes all below a seq at once",
                        SF_ROOT_REVOKED_MAX);
    }
    memcpy(d->revoked[d->revoked_count++], digest, sizeof digest);
    return CLI_OK;
}

static int parse_minimum(const char *text, struct sf_root_minimum *out)
{
    char class_text[UUID_TEXT_SIZE];
    char *end = NULL;
    const char *equals = strchr(text, '=');
    const size_t len = equals ? (size_t)(equals - text) : 0;
    if (len == UUID_TEXT_SIZE - 1) {
        memcpy(class_text, text, len);
        class_text[len] = '\0';
        out->seq = equals[1] >= '0' && equals[1] <= '9' ? strtoull(equals + 1, &end, 10) : 0;
    }
    if (!end || *end != '\0' || out->seq == 0 || out->seq > INT64_MAX ||
        uuid_parse(class_text, out->class_uuid) != SF_OK) {
        return cli_fail(CLI_USAGE,
                        "--minimum wants CLASS=SEQ, not '%s'; `surefoot product show` "
                        "tells a product's classes",
                        text);
    }
    return CLI_OK;
}

static int add_minimum(struct making *m, const char *text)
{
    struct sf_root_draft *d = &m->draft;
    struct sf_root_minimum one = {.seq = 0};
    unsigned i = 0;
    const int status = parse_minimum(text, &one);
    if (status != CLI_OK) {
        return status;
    }
    while (i < d->minimum_count &&
           memcmp(d->minimum[i].class_uuid, one.class_uuid, SF_UUID_SIZE) != 0) {
        i++;
    }
    if (i == SF_ROOT_MINIMUM_MAX) {
        return cli_fail(CLI_REFUSED, "a trust root has room for the minimum seq of %d classes",
                        SF_ROOT_MINIMUM_MAX);
    }
    if (i < d->minimum_count && d->minimum[i].seq > one.seq) {
        return cli_fail(CLI_REFUSED,
                        "the minimum seq of that class is %llu already, and is never "
                        "lowered",
                        (unsigned long long)d->minimum[i].seq);
    }
    d->minimum[i] = one;
    d->minimum_count += i == d->minimum_count;
    return CLI_OK;
}

int trust_revoke_run(const struct cli_args *args)
{
    struct making m = {.args = args};
    struct trust_file before;
    int status = cli_require(args, T_REVOKE_OUT);
    if (status == CLI_OK && !cli_given(args, T_REVOKE_MANIFEST) &&
        !cli_given(args, T_REVOKE_MINIMUM)) {
        status = cli_fail(CLI_USAGE, "nothing to revoke: name --manifest or --minimum; see --help");
    }
    status = status == CLI_OK ? start_next(&m, &before) : status;
    for (unsigned i = 0; status == CLI_OK && i < args->count[T_REVOKE_MANIFEST]; i++) {
        status = add_revoked(&m, args->value[T_REVOKE_MANIFEST][i]);
    }
    for (unsigned i = 0; status == CLI_OK && i < args->count[T_REVOKE_MINIMUM]; i++) {
        status = add_minimum(&m, args->value[T_REVOKE_MINIMUM][i]);
    }
    status = status == CLI_OK ? take_days(&m, T_REVOKE_DAYS) : status;
    return status == CLI_OK ? finish(&m, T_REVOKE_OUT) : status;
}
