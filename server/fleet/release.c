/* What may be published, and the order of versions. */
#include "server/fleet/release.h"

#include "base/esp8266.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *product_kind_str(uint32_t kind)
{
    switch (kind) {
    case PRODUCT_SUREFOOT:
        return "surefoot";
    case PRODUCT_PLAIN:
        return "plain";
    default:
        return "unknown";
    }
}

static const char *chip_str(uint32_t chip_id)
{
    const char *name = chip_any_name(chip_id);
    return name != NULL ? name : "an unknown chip";
}

/* 32 hex characters with their NUL. */
static const char *uuid_hex(const uint8_t uuid[SF_UUID_SIZE], char out[33])
{
    for (unsigned i = 0; i < SF_UUID_SIZE; i++) {
        (void)snprintf(out + (size_t)2 * i, 3, "%02x", uuid[i]);
    }
    return out;
}

static int check_record(const struct release_context *c, const struct release_image *image,
                        char *why)
{
    char theirs[33];
    char ours[33];
    if (c->kind == PRODUCT_PLAIN) {
        return SF_OK;
    }
    if (!image->head.has_record) {
        if ((c->force & RELEASE_FORCE_NO_RECORD) != 0) {
            return SF_OK;
        }
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "cannot publish '%s': it carries no updater record, so a device that runs "
                       "it might never update again; link libsurefoot, or insist with force "
                       "'no-record'",
                       image->name);
        return SF_ERR_NO_RECORD;
    }
    if (memcmp(image->head.record.class_uuid, c->class_uuid, SF_UUID_SIZE) != 0) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "cannot publish '%s': its updater record is of class %s, product '%s' "
                       "hardware revision '%s' is %s",
                       image->name, uuid_hex(image->head.record.class_uuid, theirs), c->product,
                       c->hw_revision, uuid_hex(c->class_uuid, ours));
        return SF_ERR_CLASS;
    }
    return SF_OK;
}

int release_check_image(const struct release_context *c, const struct release_image *image,
                        char why[RELEASE_WHY_SIZE])
{
    if (image->head.header.chip_id != c->chip_id) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "cannot publish '%s': image is for %s, product '%s' is %s", image->name,
                       chip_str(image->head.header.chip_id), c->product, chip_str(c->chip_id));
        return SF_ERR_CHIP;
    }
    if (c->smallest_slot != 0 && image->length > c->smallest_slot) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "cannot publish '%s': it has %" PRIu32 " bytes, the smallest app slot of "
                       "product '%s' has %" PRIu32,
                       image->name, image->length, c->product, c->smallest_slot);
        return SF_ERR_NOSPC;
    }
    int err = check_record(c, image, why);
    if (err < 0) {
        return err;
    }
    uint32_t secure_version = image->head.has_desc ? image->head.desc.secure_version : 0;
    if (secure_version < c->latest_secure_version) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "cannot publish '%s': its secure_version is %" PRIu32 ", product '%s' had "
                       "a release with %" PRIu32 "; devices that burnt it would refuse this one",
                       image->name, secure_version, c->product, c->latest_secure_version);
        return SF_ERR_SECURE_VERSION;
    }
    return SF_OK;
}

static int check_seq(const struct release_context *c, uint64_t seq, char *why)
{
    if ((seq & 1) != 0) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "the manifest's sequence number %" PRIu64 " is odd; odd numbers are kept "
                       "for return manifests, reserve one from the server",
                       seq);
        return SF_ERR_RANGE;
    }
    if (seq <= c->last_seq) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "the manifest's sequence number %" PRIu64 " is not above %" PRIu64
                       ", the last one published for hardware revision '%s'; reserve a new one "
                       "and sign again",
                       seq, c->last_seq, c->hw_revision);
        return SF_ERR_SEQ_OLD;
    }
    if (seq >= c->reserved_seq) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "the manifest's sequence number %" PRIu64 " was never reserved for "
                       "hardware revision '%s'; reserve one from the server and sign again",
                       seq, c->hw_revision);
        return SF_ERR_SEQ_JUMP;
    }
    return SF_OK;
}

static int check_manifest_image(const struct release_image *image, const struct sf_manifest *m,
                                char *why)
{
    char uri[sizeof "/artifacts/" + 2 * (size_t)SF_SHA256_SIZE] = "/artifacts/";
    if (memcmp(m->image_digest, image->digest, SF_SHA256_SIZE) != 0) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "the manifest names another image than '%s': the SHA-256 differs",
                       image->name);
        return SF_ERR_DIGEST;
    }
    if (m->image_size != image->length) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "the manifest says %" PRIu32 " bytes, '%s' has %" PRIu32, m->image_size,
                       image->name, image->length);
        return SF_ERR_IMAGE_SIZE;
    }
    for (size_t i = 0, at = strlen(uri); i < SF_SHA256_SIZE; i++, at += 2) {
        (void)snprintf(uri + at, 3, "%02x", image->digest[i]);
    }
    if (strcmp(m->uri, uri) != 0) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "the manifest's uri is not /artifacts/<sha256 of '%s'>: sign it with "
                       "`surefoot manifest sign`",
                       image->name);
        return SF_ERR_PROFILE;
    }
    return SF_OK;
}

int release_check_manifest(const struct release_context *c, const struct release_image *image,
                           const struct sf_manifest *m, const char *version,
                           char why[RELEASE_WHY_SIZE])
{
    char text[64];
    if (memcmp(m->vendor_uuid, c->vendor_uuid, SF_UUID_SIZE) != 0) {
        (void)snprintf(why, RELEASE_WHY_SIZE, "the manifest is of another vendor than product '%s'",
                       c->product);
        return SF_ERR_CLASS;
    }
    if (memcmp(m->class_uuid, c->class_uuid, SF_UUID_SIZE) != 0) {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "the manifest is not for product '%s' hardware revision '%s'", c->product,
                       c->hw_revision);
        return SF_ERR_CLASS;
    }
    int err = check_manifest_image(image, m, why);
    if (err == SF_OK) {
        err = check_seq(c, m->seq, why);
    }
    if (err < 0) {
        return err;
    }
    sf_manifest_version_text(m, text);
    if (version_compare(text, version) != VERSION_EQUAL) {
        (void)snprintf(why, RELEASE_WHY_SIZE, "the manifest says version %s, the release is '%s'",
                       text, version);
        return SF_ERR_VERSION;
    }
    return SF_OK;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 0-9A-Za-z and '-': what a SemVer identifier consists of. */
static int is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

int release_check_version(const char *version, char why[RELEASE_WHY_SIZE])
{
    size_t len = 0;
    while (len <= VERSION_MAX_LEN && version[len] != '\0' &&
           (is_word(version[len]) || version[len] == '.' || version[len] == '+' ||
            version[len] == '_')) {
        len++;
    }
    if (len == 0 || len > VERSION_MAX_LEN || version[len] != '\0') {
        (void)snprintf(why, RELEASE_WHY_SIZE,
                       "a version has 1 to %d characters of A-Z a-z 0-9 . _ + -, for example 1.2.0",
                       VERSION_MAX_LEN);
        return SF_ERR_FORMAT;
    }
    return SF_OK;
}

/* ---- SemVer 2.0.0 ---- */

/* A number without leading zeros; its digits compare as text of a length. */
struct part {
    const char *text;
    size_t len;
    int numeric;
};

static struct part next_part(const char **p)
{
    struct part part = {*p, 0, 1};
    while (is_word(part.text[part.len])) {
        part.numeric &= is_digit(part.text[part.len]);
        part.len++;
    }
    *p += part.len;
    return part;
}

static int part_valid(const struct part *part)
{
    return part->len > 0 && !(part->numeric && part->len > 1 && part->text[0] == '0');
}

/* Moves past identifiers separated by dots. 0 = one of them is malformed. */
static int dotted(const char **p, int check_numbers)
{
    for (;;) {
        struct part part = next_part(p);
        if (part.len == 0 || (check_numbers && !part_valid(&part))) {
            return 0;
        }
        if (**p != '.') {
            return 1;
        }
        (*p)++;
    }
}

/* major.minor.patch[-prerelease][+build]; `prerelease` is "" or what follows the '-'. */
static int semver(const char *text, const char **prerelease)
{
    const char *p = text;
    for (int i = 0; i < 3; i++) {
        struct part part = {p, 0, 1};
        while (is_digit(p[part.len])) {
            part.len++;
        }
        p += part.len;
        if (!part_valid(&part) || (i < 2 && *p++ != '.')) {
            return 0;
        }
    }
    *prerelease = "";
    if (*p == '-') {
        p++;
        *prerelease = p;
        if (!dotted(&p, 1)) {
            return 0;
        }
    }
    if (*p == '+') {
        p++;
        if (!dotted(&p, 0)) {
            return 0;
        }
    }
    return *p == '\0';
}

static int compare_part(const struct part *a, const struct part *b)
{
    if (a->numeric != b->numeric) {
        return a->numeric ? -1 : 1; /* numbers come before words */
    }
    if (a->numeric && a->len != b->len) {
        return a->len < b->len ? -1 : 1;
    }
    int order = strncmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    if (order != 0) {
        return order;
    }
    return a->len == b->len ? 0 : (a->len < b->len ? -1 : 1);
}

/* Identifiers up to the end of a dotted list; the shorter list comes first. */
static int compare_dotted(const char *a, const char *b)
{
    for (;;) {
        struct part x = next_part(&a);
        struct part y = next_part(&b);
        int order = compare_part(&x, &y);
        if (order != 0) {
            return order;
        }
        if (*a != '.' || *b != '.') {
            return (*a == '.') - (*b == '.');
        }
        a++;
        b++;
    }
}

static int compare_core(const char *a, const char *b)
{
    for (int i = 0; i < 3; i++) {
        struct part x = {a, strspn(a, "0123456789"), 1};
        struct part y = {b, strspn(b, "0123456789"), 1};
        int order = compare_part(&x, &y);
        if (order != 0) {
            return order;
        }
        a += x.len + (i < 2);
        b += y.len + (i < 2);
    }
    return 0;
}

enum version_order version_compare(const char *a, const char *b)
{
    const char *pre_a = "";
    const char *pre_b = "";
    if (!semver(a, &pre_a) || !semver(b, &pre_b)) {
        return strcmp(a, b) == 0 ? VERSION_EQUAL : VERSION_UNRELATED;
    }
    int order = compare_core(a, b);
    if (order == 0 && (*pre_a == '\0' || *pre_b == '\0')) {
        order = (*pre_a == '\0') - (*pre_b == '\0'); /* a pre-release comes before its release */
    } else if (order == 0) {
        order = compare_dotted(pre_a, pre_b);
    }
    return order < 0 ? VERSION_LESS : (order > 0 ? VERSION_MORE : VERSION_EQUAL);
}
