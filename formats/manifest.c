/* The manifest in our closed profile of SUIT (draft-ietf-suit-manifest-37): one component, one
 * install sequence, nothing optional. docs/formats.md shows every byte.
 *
 * Invariants
 *  1. Decode accepts exactly what encode writes: an unknown command, parameter or member makes the
 *     manifest invalid.
 *  2. sf_manifest_open() enters the decoder only with bytes whose signature has verified. */
#include "formats/manifest.h"

#include <string.h>

enum { /* members of the manifest */
       MANIFEST_VERSION = 1,
       MANIFEST_SEQ = 2,
       MANIFEST_COMMON = 3,
       MANIFEST_CURRENT_VERSION = 6,
       MANIFEST_VALIDATE = 7,
       MANIFEST_INSTALL = 20,
       COMMON_COMPONENTS = 2,
       COMMON_SHARED = 4,
};

enum { /* conditions and directives */
       CONDITION_VENDOR = 1,
       CONDITION_CLASS = 2,
       CONDITION_IMAGE_MATCH = 3,
       DIRECTIVE_OVERRIDE = 20,
       DIRECTIVE_FETCH = 21,
       REPORT_ALL = 15, /* reporting policy: record and system information, always */
       REPORT_FETCH = 2,
};

enum { /* parameters */
       PARAMETER_VENDOR = 1,
       PARAMETER_CLASS = 2,
       PARAMETER_DIGEST = 3,
       PARAMETER_SIZE = 14,
       PARAMETER_URI = 21,
};

enum { DIGEST_SHA256 = -16, SUIT_VERSION = 1 };

/* The envelope around it: d8 6b a2 02 58 7d <125> 03 <manifest bstr>. */
enum {
    ENVELOPE_TAG = 107,
    MEMBER_AUTHENTICATION = 2,
    MEMBER_MANIFEST = 3,
    DIGEST_BYTES = 36,
    WRAPPER_BYTES = 1 + (2 + DIGEST_BYTES) + (2 + SF_COSE_SIGN1_OVERHEAD),
    MANIFEST_AT = 2 + 1 + 1 + 2 + WRAPPER_BYTES + 1,
};

/* SemVer pre-releases that the manifest's version can carry (suit-update-management). */
static const struct {
    const char *name;
    int32_t part;
} pre_release[] = {{"rc", -1}, {"beta", -2}, {"alpha", -3}};

enum { PRE_RELEASE_COUNT = sizeof(pre_release) / sizeof(pre_release[0]) };

static int uri_fits(const char *uri)
{
    if (uri[0] != '/' || uri[1] == '/') {
        return 0; /* an absolute uri would name another server */
    }
    size_t len = 0;
    while (len < SF_MANIFEST_URI_MAX && uri[len] > ' ' && uri[len] < 0x7f) {
        len++;
    }
    return uri[len] == '\0';
}

static int version_fits(const struct sf_manifest *m)
{
    const int32_t *v = m->version;
    if (m->version_count != 3 && m->version_count != 5) {
        return 0;
    }
    if (v[0] < 0 || v[1] < 0 || v[2] < 0) {
        return 0;
    }
    return m->version_count == 3 || (v[3] <= -1 && v[3] >= -3 && v[4] >= 0);
}

/* ---- encode ---- */

typedef void write_fn(struct sf_cbor_writer *w, const struct sf_manifest *m);

/* What `fn` writes, inside a byte string: counted first, so that no second buffer is needed. */
static void write_wrapped(struct sf_cbor_writer *w, const struct sf_manifest *m, write_fn *fn)
{
    struct sf_cbor_writer count;
    sf_cbor_write_init(&count, NULL, 0);
    fn(&count, m);
    sf_cbor_write_bytes_header(w, count.len);
    fn(w, m);
}

static void write_command(struct sf_cbor_writer *w, int64_t command, int64_t policy)
{
    sf_cbor_write_int(w, command);
    sf_cbor_write_int(w, policy);
}

static void write_digest(struct sf_cbor_writer *w, const uint8_t digest[SF_SHA256_SIZE])
{
    sf_cbor_write_array(w, 2);
    sf_cbor_write_int(w, DIGEST_SHA256);
    sf_cbor_write_bytes(w, digest, SF_SHA256_SIZE);
}

static void write_image_digest(struct sf_cbor_writer *w, const struct sf_manifest *m)
{
    write_digest(w, m->image_digest);
}

static void write_shared(struct sf_cbor_writer *w, const struct sf_manifest *m)
{
    sf_cbor_write_array(w, 6);
    sf_cbor_write_int(w, DIRECTIVE_OVERRIDE);
    sf_cbor_write_map(w, 4);
    sf_cbor_write_int(w, PARAMETER_VENDOR);
    sf_cbor_write_bytes(w, m->vendor_uuid, SF_UUID_SIZE);
    sf_cbor_write_int(w, PARAMETER_CLASS);
    sf_cbor_write_bytes(w, m->class_uuid, SF_UUID_SIZE);
    sf_cbor_write_int(w, PARAMETER_DIGEST);
    write_wrapped(w, m, write_image_digest);
    sf_cbor_write_int(w, PARAMETER_SIZE);
    sf_cbor_write_uint(w, m->image_size);
    write_command(w, CONDITION_VENDOR, REPORT_ALL);
    write_command(w, CONDITION_CLASS, REPORT_ALL);
}

static void write_common(struct sf_cbor_writer *w, const struct sf_manifest *m)
{
    static const uint8_t component = 0;
    sf_cbor_write_map(w, 2);
    sf_cbor_write_int(w, COMMON_COMPONENTS);
    sf_cbor_write_array(w, 1);
    sf_cbor_write_array(w, 1);
    sf_cbor_write_bytes(w, &component, 1);
    sf_cbor_write_int(w, COMMON_SHARED);
    write_wrapped(w, m, write_shared);
}

static void write_version(struct sf_cbor_writer *w, const struct sf_manifest *m)
{
    sf_cbor_write_array(w, m->version_count);
    for (unsigned i = 0; i < m->version_count; i++) {
        sf_cbor_write_int(w, m->version[i]);
    }
}

static void write_validate(struct sf_cbor_writer *w, const struct sf_manifest *m)
{
    (void)m;
    sf_cbor_write_array(w, 2);
    write_command(w, CONDITION_IMAGE_MATCH, REPORT_ALL);
}

static void write_install(struct sf_cbor_writer *w, const struct sf_manifest *m)
{
    sf_cbor_write_array(w, 6);
    sf_cbor_write_int(w, DIRECTIVE_OVERRIDE);
    sf_cbor_write_map(w, 1);
    sf_cbor_write_int(w, PARAMETER_URI);
    sf_cbor_write_text(w, m->uri);
    write_command(w, DIRECTIVE_FETCH, REPORT_FETCH);
    write_command(w, CONDITION_IMAGE_MATCH, REPORT_ALL);
}

static void write_manifest(struct sf_cbor_writer *w, const struct sf_manifest *m)
{
    sf_cbor_write_map(w, 6);
    sf_cbor_write_int(w, MANIFEST_VERSION);
    sf_cbor_write_int(w, SUIT_VERSION);
    sf_cbor_write_int(w, MANIFEST_SEQ);
    sf_cbor_write_uint(w, m->seq);
    sf_cbor_write_int(w, MANIFEST_COMMON);
    write_wrapped(w, m, write_common);
    sf_cbor_write_int(w, MANIFEST_CURRENT_VERSION);
    write_wrapped(w, m, write_version);
    sf_cbor_write_int(w, MANIFEST_VALIDATE);
    write_wrapped(w, m, write_validate);
    sf_cbor_write_int(w, MANIFEST_INSTALL);
    write_wrapped(w, m, write_install);
}

/* The MANIFEST_AT bytes before the manifest. */
static int write_front(uint8_t out[MANIFEST_AT], const uint8_t digest[SF_SHA256_SIZE],
                       const struct sf_signer *signer, const struct sf_crypto *crypto)
{
    uint8_t digest_bytes[DIGEST_BYTES];
    struct sf_cbor_writer d;
    sf_cbor_write_init(&d, digest_bytes, sizeof(digest_bytes));
    write_digest(&d, digest);

    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, MANIFEST_AT);
    sf_cbor_write_tag(&w, ENVELOPE_TAG);
    sf_cbor_write_map(&w, 2);
    sf_cbor_write_int(&w, MEMBER_AUTHENTICATION);
    sf_cbor_write_bytes_header(&w, WRAPPER_BYTES);
    sf_cbor_write_array(&w, 2);
    sf_cbor_write_bytes(&w, digest_bytes, sizeof(digest_bytes));
    sf_cbor_write_bytes_header(&w, SF_COSE_SIGN1_OVERHEAD);
    const int err = sf_cose_sign1_write(&w, (struct sf_bytes){digest_bytes, sizeof(digest_bytes)},
                                        SF_COSE_DETACHED, signer, crypto);
    if (err < 0) {
        return err;
    }
    sf_cbor_write_int(&w, MEMBER_MANIFEST);
    if (w.err == SF_OK && w.len != MANIFEST_AT) {
        return SF_ERR_INTERNAL;
    }
    return w.err;
}

int32_t sf_manifest_sign(struct sf_manifest *m, const struct sf_signer *signer,
                         const struct sf_crypto *crypto, uint8_t *out, size_t size)
{
    if (!uri_fits(m->uri) || !version_fits(m)) {
        return SF_ERR_PROFILE;
    }
    if (size < MANIFEST_AT) {
        return SF_ERR_NOSPC;
    }
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out + MANIFEST_AT, size - MANIFEST_AT);
    write_wrapped(&w, m, write_manifest);
    const int32_t len = sf_cbor_write_end(&w);
    if (len < 0) {
        return len;
    }
    int err = sf_sha256(crypto, out + MANIFEST_AT, (size_t)len, m->digest);
    if (err == SF_OK) {
        err = write_front(out, m->digest, signer, crypto);
    }
    return err < 0 ? err : MANIFEST_AT + len;
}

/* ---- decode ---- */

/* Reads an integer that our profile fixes. */
static void expect(struct sf_cbor_reader *r, int64_t value, const char *why)
{
    if (sf_cbor_read_int(r) != value) {
        sf_cbor_fail(r, SF_ERR_PROFILE, why);
    }
}

static void expect_command(struct sf_cbor_reader *r, int64_t command, int64_t policy)
{
    expect(r, command, "command is not the one that our profile has here");
    expect(r, policy, "reporting policy is not our profile's");
}

static void expect_count(struct sf_cbor_reader *r, uint64_t actual, uint64_t count)
{
    if (actual != count) {
        sf_cbor_fail(r, SF_ERR_PROFILE, "more or fewer elements than our profile has here");
    }
}

typedef void read_fn(struct sf_cbor_reader *r, struct sf_manifest *m);

/* Lets `fn` read what is inside a byte string; an error is taken over, with its offset in the
 * whole. */
static void read_wrapped(struct sf_cbor_reader *r, struct sf_manifest *m, read_fn *fn)
{
    const struct sf_bytes content = sf_cbor_read_bytes(r);
    if (r->err != SF_OK) {
        return;
    }
    struct sf_cbor_reader inner;
    sf_cbor_read_init(&inner, content.data, content.len);
    fn(&inner, m);
    struct sf_diag diag = {0};
    const int err = sf_cbor_read_end(&inner, &diag);
    if (err < 0) {
        r->err = sf_fail(&r->diag, err, r->pos - content.len + diag.offset, diag.why);
    }
}

static void read_image_digest(struct sf_cbor_reader *r, struct sf_manifest *m)
{
    expect_count(r, sf_cbor_read_array(r), 2);
    expect(r, DIGEST_SHA256, "digest is not SHA-256");
    sf_cbor_read_fixed(r, m->image_digest, SF_SHA256_SIZE);
}

static void read_shared(struct sf_cbor_reader *r, struct sf_manifest *m)
{
    expect_count(r, sf_cbor_read_array(r), 6);
    expect(r, DIRECTIVE_OVERRIDE, "shared sequence does not begin with its parameters");
    expect_count(r, sf_cbor_read_map(r), 4);
    expect(r, PARAMETER_VENDOR, "parameter is not the vendor");
    sf_cbor_read_fixed(r, m->vendor_uuid, SF_UUID_SIZE);
    expect(r, PARAMETER_CLASS, "parameter is not the class");
    sf_cbor_read_fixed(r, m->class_uuid, SF_UUID_SIZE);
    expect(r, PARAMETER_DIGEST, "parameter is not the image digest");
    read_wrapped(r, m, read_image_digest);
    expect(r, PARAMETER_SIZE, "parameter is not the image size");
    m->image_size = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
    expect_command(r, CONDITION_VENDOR, REPORT_ALL);
    expect_command(r, CONDITION_CLASS, REPORT_ALL);
}

static void read_common(struct sf_cbor_reader *r, struct sf_manifest *m)
{
    uint8_t component = 1;
    expect_count(r, sf_cbor_read_map(r), 2);
    expect(r, COMMON_COMPONENTS, "no components");
    expect_count(r, sf_cbor_read_array(r), 1);
    expect_count(r, sf_cbor_read_array(r), 1);
    sf_cbor_read_fixed(r, &component, 1);
    if (component != 0) {
        sf_cbor_fail(r, SF_ERR_PROFILE, "component is not h'00'");
    }
    expect(r, COMMON_SHARED, "no shared sequence");
    read_wrapped(r, m, read_shared);
}

static void read_version(struct sf_cbor_reader *r, struct sf_manifest *m)
{
    const uint64_t count = sf_cbor_read_array(r);
    if (count != 3 && count != SF_MANIFEST_VERSION_PARTS) {
        sf_cbor_fail(r, SF_ERR_PROFILE, "version has neither three nor five parts");
        return;
    }
    m->version_count = (unsigned)count;
    for (unsigned i = 0; i < m->version_count; i++) {
        const int64_t part = sf_cbor_read_int(r);
        if (part < -3 || part > INT32_MAX) {
            sf_cbor_fail(r, SF_ERR_PROFILE, "part of the version out of range");
        }
        m->version[i] = r->err == SF_OK ? (int32_t)part : 0;
    }
    if (r->err == SF_OK && !version_fits(m)) {
        sf_cbor_fail(r, SF_ERR_PROFILE, "not a version that our profile knows");
    }
}

static void read_validate(struct sf_cbor_reader *r, struct sf_manifest *m)
{
    (void)m;
    expect_count(r, sf_cbor_read_array(r), 2);
    expect_command(r, CONDITION_IMAGE_MATCH, REPORT_ALL);
}

static void read_install(struct sf_cbor_reader *r, struct sf_manifest *m)
{
    expect_count(r, sf_cbor_read_array(r), 6);
    expect(r, DIRECTIVE_OVERRIDE, "install sequence does not begin with its parameters");
    expect_count(r, sf_cbor_read_map(r), 1);
    expect(r, PARAMETER_URI, "parameter is not the uri");
    sf_cbor_read_str(r, m->uri, sizeof(m->uri));
    if (r->err == SF_OK && !uri_fits(m->uri)) {
        sf_cbor_fail(r, SF_ERR_PROFILE, "uri is not a path on the same server");
    }
    expect_command(r, DIRECTIVE_FETCH, REPORT_FETCH);
    expect_command(r, CONDITION_IMAGE_MATCH, REPORT_ALL);
}

/* Everything but the digest starts from zero. */
static void manifest_clear(struct sf_manifest *m)
{
    uint8_t digest[SF_SHA256_SIZE];
    memcpy(digest, m->digest, sizeof(digest));
    memset(m, 0, sizeof(*m));
    memcpy(m->digest, digest, sizeof(digest));
}

int sf_manifest_decode(struct sf_bytes manifest, struct sf_manifest *out, struct sf_diag *diag)
{
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, manifest.data, manifest.len);
    manifest_clear(out);
    expect_count(&r, sf_cbor_read_map(&r), 6);
    expect(&r, MANIFEST_VERSION, "no manifest version");
    expect(&r, SUIT_VERSION, "manifest version is not 1");
    expect(&r, MANIFEST_SEQ, "no sequence number");
    out->seq = sf_cbor_read_uint(&r);
    expect(&r, MANIFEST_COMMON, "no common section");
    read_wrapped(&r, out, read_common);
    expect(&r, MANIFEST_CURRENT_VERSION, "no version");
    read_wrapped(&r, out, read_version);
    expect(&r, MANIFEST_VALIDATE, "no validate section");
    read_wrapped(&r, out, read_validate);
    expect(&r, MANIFEST_INSTALL, "no install section");
    read_wrapped(&r, out, read_install);
    return sf_cbor_read_end(&r, diag);
}

int sf_manifest_open(struct sf_bytes envelope, const struct sf_public_key *key,
                     const struct sf_crypto *crypto, struct sf_manifest *out, struct sf_diag *diag)
{
    const struct sf_verifier by = {.key = key, .crypto = crypto};
    return sf_manifest_open_by(envelope, &by, out, diag);
}

int sf_manifest_open_by(struct sf_bytes envelope, const struct sf_verifier *by,
                        struct sf_manifest *out, struct sf_diag *diag)
{
    if (envelope.len > SF_ENVELOPE_MAX) {
        return sf_fail(diag, SF_ERR_TOO_LARGE, SF_ENVELOPE_MAX, "envelope is over 1024 bytes");
    }
    struct sf_envelope verified;
    int err = sf_envelope_verify(envelope, by, &verified, diag);
    if (err < 0) {
        return err;
    }
    if (verified.severed_count > 0) {
        return sf_fail(diag, SF_ERR_PROFILE, 0, "envelope has members besides the manifest");
    }
    struct sf_diag inner = {0};
    err = sf_manifest_decode(verified.manifest, out, &inner);
    if (err < 0) {
        const size_t base = (size_t)(verified.manifest.data - envelope.data);
        return sf_fail(diag, err, base + inner.offset, inner.why);
    }
    sf_digest_copy(out->digest, verified.digest);
    return SF_OK;
}

/* ---- version text ---- */

/* A SemVer number: digits without a leading zero. Returns what follows it, or NULL. */
static const char *parse_number(const char *p, int32_t *out)
{
    int64_t value = 0;
    const char *start = p;
    while (*p >= '0' && *p <= '9' && value <= INT32_MAX) {
        value = value * 10 + (*p++ - '0');
    }
    const int leading_zero = start[0] == '0' && p - start > 1;
    if (p == start || leading_zero || value > INT32_MAX) {
        return NULL;
    }
    *out = (int32_t)value;
    return p;
}

/* "rc.1" behind the hyphen. Returns what follows it, or NULL. */
static const char *parse_pre_release(const char *p, int32_t out[2])
{
    for (unsigned i = 0; i < PRE_RELEASE_COUNT; i++) {
        const size_t len = strlen(pre_release[i].name);
        if (strncmp(p, pre_release[i].name, len) == 0 && p[len] == '.') {
            out[0] = pre_release[i].part;
            return parse_number(p + len + 1, &out[1]);
        }
    }
    return NULL;
}

int sf_manifest_version_parse(const char *text, struct sf_manifest *out)
{
    int32_t v[SF_MANIFEST_VERSION_PARTS] = {0};
    unsigned count = 3;
    const char *p = text;
    for (unsigned i = 0; i < 3 && p != NULL; i++) {
        p = i > 0 && *p++ != '.' ? NULL : parse_number(p, &v[i]);
    }
    if (p != NULL && *p == '-') {
        count = SF_MANIFEST_VERSION_PARTS;
        p = parse_pre_release(p + 1, &v[3]);
    }
    if (p == NULL || *p != '\0') {
        return SF_ERR_PROFILE;
    }
    memcpy(out->version, v, sizeof(v));
    out->version_count = count;
    return SF_OK;
}

static size_t put_text(char *out, size_t at, const char *text)
{
    while (*text != '\0') {
        out[at++] = *text++;
    }
    return at;
}

static size_t put_number(char *out, size_t at, int32_t value)
{
    char digits[10];
    size_t n = 0;
    uint32_t left = value > 0 ? (uint32_t)value : 0;
    do {
        digits[n++] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    while (n > 0) {
        out[at++] = digits[--n];
    }
    return at;
}

void sf_manifest_version_text(const struct sf_manifest *m, char out[64])
{
    size_t at = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (i > 0) {
            out[at++] = '.';
        }
        at = put_number(out, at, m->version[i]);
    }
    for (unsigned i = 0; i < PRE_RELEASE_COUNT && m->version_count == 5; i++) {
        if (pre_release[i].part == m->version[3]) {
            out[at++] = '-';
            at = put_text(out, at, pre_release[i].name);
            out[at++] = '.';
            at = put_number(out, at, m->version[4]);
        }
    }
    out[at] = '\0';
}
