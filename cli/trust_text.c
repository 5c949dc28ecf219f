/* What a trust root says. */

#include "cli/trust_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/uuid.h"
#include "cli/out.h"

enum { ROW_BYTES = 12 }; /* of the array in C */

/* ---- JSON ---- */

static int has_key(const struct sf_root *root, enum sf_role role, const struct sf_public_key *key)
{
    struct sf_public_key k;
    for (unsigned i = 0; sf_root_key(root, role, i, &k) == SF_OK; i++) {
        if (memcmp(k.xy, key->xy, SF_P256_KEY_SIZE) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The kids of a role's keys; those that `except` has too are left out. */
static json_t *kids(const struct sf_root *root, enum sf_role role, const struct sf_root *except)
{
    json_t *list = json_array();
    struct sf_public_key key;
    for (unsigned i = 0; sf_root_key(root, role, i, &key) == SF_OK; i++) {
        if (!except || !has_key(except, role, &key)) {
            json_array_append_new(list, out_json_hex(key.kid, SF_KID_SIZE));
        }
    }
    return list;
}

static json_t *role_json(const struct trust_file *f, const struct trust_file *before,
                         enum sf_role role)
{
    const struct sf_root_role *r = &f->root.role[role];
    json_t *out = json_pack("{s:i, s:I, s:o}", "threshold", r->threshold, "epoch",
                            (json_int_t)r->epoch, "keys", kids(&f->root, role, NULL));
    if (before) {
        json_object_set_new(out, "added", kids(&f->root, role, &before->root));
        json_object_set_new(out, "removed", kids(&before->root, role, &f->root));
    }
    return out;
}

static json_t *signatures_json(const struct trust_file *f, const struct trust_file *before)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < f->count; i++) {
        const int by = trust_signature_by(f, before, &f->signature[i]);
        json_array_append_new(list, json_pack("{s:o, s:b, s:b, s:b}", "kid",
                                              out_json_hex(f->signature[i].kid, SF_KID_SIZE),
                                              "valid", by > 0, "own", by > 0 && (by & TRUST_OWN),
                                              "before", by > 0 && (by & TRUST_BEFORE)));
    }
    return list;
}

static json_t *revoked_json(const struct sf_root *root)
{
    json_t *list = json_array();
    const uint8_t *digest = NULL;
    for (unsigned i = 0; (digest = sf_root_revoked(root, i)) != NULL; i++) {
        json_array_append_new(list, out_json_hex(digest, SF_SHA256_SIZE));
    }
    return list;
}

static json_t *anchors_json(const struct sf_root *root)
{
    json_t *list = json_array();
    const uint8_t *digest = NULL;
    for (unsigned i = 0; (digest = sf_root_anchor(root, i)) != NULL; i++) {
        json_array_append_new(list, out_json_hex(digest, SF_SHA256_SIZE));
    }
    return list;
}

static json_t *minimums_json(const struct sf_root *root)
{
    json_t *map = json_object();
    struct sf_root_minimum m;
    char text[UUID_TEXT_SIZE];
    for (unsigned i = 0; sf_root_minimum(root, i, &m) == SF_OK; i++) {
        uuid_text(m.class_uuid, text);
        json_object_set_new(map, text, json_integer((json_int_t)m.seq));
    }
    return map;
}

json_t *trust_json(const struct trust_file *f, const struct trust_file *before)
{
    const struct sf_root *r = &f->root;
    const struct trust_score s = trust_score(f, before);
    const int is_known = before || r->version == 1;
    json_t *roles = json_object();
    for (unsigned i = 0; i < SF_ROLE_COUNT; i++) {
        if (r->role[i].count > 0) {
            json_object_set_new(roles, trust_role_name((enum sf_role)i),
                                role_json(f, before, (enum sf_role)i));
        }
    }
    json_t *out = json_pack(
        "{s:o, s:I, s:o, s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:o, s:i}", "file",
        out_json_path(f->path), "version", (json_int_t)r->version, "fleet",
        out_json_hex(r->fleet_id, SF_FLEET_ID_SIZE), "issued", (json_int_t)r->issued_at, "expires",
        (json_int_t)r->expires, "allow_offline", (r->policy & SF_ROOT_ALLOW_OFFLINE) != 0, "roles",
        roles, "revoked", revoked_json(r), "minimum_seq", minimums_json(r), "anchors",
        anchors_json(r), "signatures", signatures_json(f, before), "missing", (int)s.missing_own);
    json_object_set_new(out, "missing_before",
                        is_known ? json_integer((json_int_t)s.missing_before) : json_null());
    json_object_set_new(out, "complete", is_known ? json_boolean(s.is_complete) : json_null());
    return out;
}

/* ---- words ---- */

void trust_state(const struct trust_file *f, const struct trust_file *before,
                 char out[TRUST_STATE_MAX])
{
    const struct trust_score s = trust_score(f, before);
    const uint32_t version = f->root.version;
    char more[128] = "";
    if (s.wrong > 0 || s.other > 0) {
        snprintf(out, TRUST_STATE_MAX, "no device takes it: %u of its signatures %s",
                 s.wrong > 0 ? s.wrong : s.other,
                 s.wrong > 0 ? "do not verify"
                 : before || version == 1
                     ? "are by keys that are no root keys"
                     : "are by keys that are no root keys of this version, and "
                       "of the one before nothing was given");
        return;
    }
    if (s.missing_before > 0) {
        snprintf(more, sizeof more, "%s%u by root keys of version %u",
                 s.missing_own > 0 ? ", and " : "", s.missing_before, version - 1);
    }
    if (s.missing_own == 0 && s.missing_before == 0) {
        snprintf(out, TRUST_STATE_MAX, "%s",
                 s.is_complete ? "complete"
                               : "enough by its own root keys; --trusted tells about those before");
    } else if (s.missing_own > 0) {
        snprintf(out, TRUST_STATE_MAX, "wanted still: %u by its own root keys%s", s.missing_own,
                 more);
    } else {
        snprintf(out, TRUST_STATE_MAX, "wanted still: %s", more);
    }
}

static void print_kids(const char *title, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        printf("%s%s", i == 0 ? title : ", ", json_string_value(json_array_get(list, i)));
    }
}

static void print_role(const struct trust_file *f, const struct trust_file *before,
                       enum sf_role role)
{
    const struct sf_root_role *r = &f->root.role[role];
    json_t *j = role_json(f, before, role);
    printf("%-18s %u of %u: ", trust_role_name(role), r->threshold, r->count);
    print_kids("", json_object_get(j, "keys"));
    if (r->epoch > 0) {
        printf("; epoch %" PRIu32, r->epoch);
    }
    print_kids("; new: ", json_object_get(j, "added"));
    print_kids("; gone: ", json_object_get(j, "removed"));
    if (before && before->root.role[role].threshold != r->threshold) {
        printf("; threshold was %u", before->root.role[role].threshold);
    }
    if (before && before->root.role[role].epoch != r->epoch) {
        printf("; epoch was %" PRIu32, before->root.role[role].epoch);
    }
    printf("\n");
    json_decref(j);
}

static void print_each(const char *title, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        printf("%-18s %s\n", title, json_string_value(json_array_get(list, i)));
    }
}

static void print_minimums(const struct sf_root *root)
{
    struct sf_root_minimum m;
    char text[UUID_TEXT_SIZE];
    for (unsigned i = 0; sf_root_minimum(root, i, &m) == SF_OK; i++) {
        uuid_text(m.class_uuid, text);
        printf("%-18s seq %" PRIu64 " of class %s\n", "at least", m.seq, text);
    }
}

static void print_signatures(const struct trust_file *f, const struct trust_file *before)
{
    char kid[2 * SF_KID_SIZE + 1];
    for (unsigned i = 0; i < f->count; i++) {
        const int by = trust_signature_by(f, before, &f->signature[i]);
        hex_encode(f->signature[i].kid, SF_KID_SIZE, kid);
        printf("%-18s %s%s\n", "signed by", kid,
               by < 0    ? ", but it does NOT verify"
               : by == 0 ? ", of which nothing is known here"
                         : "");
    }
}

void trust_print(const struct trust_file *f, const struct trust_file *before)
{
    static const struct out_column columns[] = {
        {"version", "version", OUT_PLAIN}, {"fleet", "fleet", OUT_PLAIN},
        {"issued", "issued", OUT_TIME},    {"expires", "expires", OUT_TIME},
        {"offline", "offline", OUT_PLAIN}, {NULL, NULL, OUT_PLAIN},
    };
    char state[TRUST_STATE_MAX];
    json_t *j = trust_json(f, before);
    json_object_set_new(j, "offline",
                        json_string(json_is_true(json_object_get(j, "allow_offline"))
                                        ? "allowed: without the server the release keys decide"
                                        : "not allowed"));
    out_record(stdout, j, columns, out_now_s());
    for (unsigned i = 0; i < SF_ROLE_COUNT; i++) {
        if (f->root.role[i].count > 0) {
            print_role(f, before, (enum sf_role)i);
        }
    }
    print_each("revoked", json_object_get(j, "revoked"));
    print_each("anchor", json_object_get(j, "anchors"));
    print_minimums(&f->root);
    print_signatures(f, before);
    trust_state(f, before, state);
    printf("%-18s %s\n", "signatures", state);
    json_decref(j);
}

void trust_print_c(const struct trust_file *f)
{
    char fleet[2 * SF_FLEET_ID_SIZE + 1];
    hex_encode(f->root.fleet_id, SF_FLEET_ID_SIZE, fleet);
    printf("/* Trust root %" PRIu32 " of fleet %s: `file` and `len` of struct sf_trust_root. */\n"
           "#include <stdint.h>\n\n"
           "static const uint8_t surefoot_trust_root[%zu] = {",
           f->root.version, fleet, f->len);
    for (size_t i = 0; i < f->len; i++) {
        printf("%s0x%02x,", i % ROW_BYTES == 0 ? "\n    " : " ", f->bytes[i]);
    }
    printf("\n};\n");
}
