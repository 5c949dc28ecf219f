/* The columns of every table, beside their structs. migrations/ has the same names; a test compares
 * them. Invariant: the first column of a table is its id. */
#include "server/store/backend.h"

#define SIZE_OF(s, f) ((unsigned)sizeof(((struct s *)0)->f))
#define AT(s, f)      ((unsigned)offsetof(struct s, f))

#define I64(s, f, name, flags)                      \
    {                                               \
        name, COL_I64, flags, AT(s, f), 8, NO_TABLE \
    }
#define REF(s, f, name, flags, target)            \
    {                                             \
        name, COL_I64, flags, AT(s, f), 8, target \
    }
#define U64(s, f, name, flags)                      \
    {                                               \
        name, COL_U64, flags, AT(s, f), 8, NO_TABLE \
    }
#define I32(s, f, name)                         \
    {                                           \
        name, COL_I32, 0, AT(s, f), 4, NO_TABLE \
    }
#define U32(s, f, name, flags)                      \
    {                                               \
        name, COL_U32, flags, AT(s, f), 4, NO_TABLE \
    }
#define TEXT(s, f, name, flags)                                  \
    {                                                            \
        name, COL_TEXT, flags, AT(s, f), SIZE_OF(s, f), NO_TABLE \
    }
#define BLOB(s, f, name, flags)                                  \
    {                                                            \
        name, COL_BLOB, flags, AT(s, f), SIZE_OF(s, f), NO_TABLE \
    }
#define VAR(s, f, name)                                     \
    {                                                       \
        name, COL_VAR, 0, AT(s, f), SIZE_OF(s, f), NO_TABLE \
    }

enum { NONE = 0, OPT = COL_OPTIONAL, KEY = COL_KEY };

static const struct column meta[] = {
    I64(meta_row, id, "id", NONE),
    TEXT(meta_row, key, "key", KEY),
    TEXT(meta_row, value, "value", NONE),
};

static const struct column api_token[] = {
    I64(api_token, id, "id", NONE),
    TEXT(api_token, name, "name", KEY),
    BLOB(api_token, digest, "digest", KEY),
    U32(api_token, roles, "roles", NONE),
    I64(api_token, created_at, "created_at", NONE),
    I64(api_token, expires_at, "expires_at", OPT),
    I64(api_token, revoked_at, "revoked_at", OPT),
};

static const struct column product[] = {
    I64(product, id, "id", NONE),
    TEXT(product, name, "name", KEY),
    U32(product, kind, "kind", NONE),
    U32(product, chip_id, "chip_id", NONE),
    BLOB(product, vendor_uuid, "vendor_uuid", NONE),
    U32(product, slot_size, "slot_size", NONE),
    U32(product, checkin_interval_s, "checkin_interval_s", NONE),
    BLOB(product, release_key, "release_key", OPT),
    U32(product, require_credential, "require_credential", NONE),
    REF(product, target_release, "target_release", OPT, T_RELEASE),
    I64(product, target_gen, "target_gen", NONE),
    I64(product, created_at, "created_at", NONE),
    I64(product, changed_at, "changed_at", NONE),
    U32(product, plain_access, "plain_access", NONE),
    REF(product, stable_release, "stable_release", OPT, T_RELEASE),
    TEXT(product, version_template, "version_template", NONE),
};

static const struct column hw_class[] = {
    I64(hw_class, id, "id", NONE),
    REF(hw_class, product_id, "product_id", KEY, T_PRODUCT),
    TEXT(hw_class, revision, "revision", KEY),
    BLOB(hw_class, uuid, "uuid", KEY),
    U64(hw_class, next_seq, "next_seq", NONE),
    U64(hw_class, last_seq, "last_seq", NONE),
    I64(hw_class, created_at, "created_at", NONE),
};

static const struct column enrol_token[] = {
    I64(enrol_token, id, "id", NONE),
    REF(enrol_token, product_id, "product_id", KEY, T_PRODUCT),
    BLOB(enrol_token, digest, "digest", KEY),
    I64(enrol_token, created_at, "created_at", NONE),
    I64(enrol_token, expires_at, "expires_at", OPT | KEY),
};

static const struct column release[] = {
    I64(release, id, "id", NONE),
    REF(release, product_id, "product_id", KEY, T_PRODUCT),
    TEXT(release, version, "version", KEY),
    U32(release, secure_version, "secure_version", KEY),
    U32(release, state, "state", NONE),
    TEXT(release, created_by, "created_by", NONE),
    I64(release, created_at, "created_at", NONE),
    TEXT(release, notes, "notes", NONE),
    U32(release, allow_burn, "allow_burn", NONE),
};

static const struct column artifact[] = {
    I64(artifact, id, "id", NONE),
    BLOB(artifact, digest, "digest", KEY),
    U64(artifact, size, "size", NONE),
    U32(artifact, chip_id, "chip_id", NONE),
    U32(artifact, secure_version, "secure_version", NONE),
    U32(artifact, has_record, "has_record", NONE),
    BLOB(artifact, class_uuid, "class_uuid", OPT),
    TEXT(artifact, version, "version", NONE),
    TEXT(artifact, project, "project", NONE),
    TEXT(artifact, created_by, "created_by", NONE),
    I64(artifact, created_at, "created_at", KEY),
    BLOB(artifact, md5, "md5", OPT),
    BLOB(artifact, app_sha256, "app_sha256", OPT),
};

static const struct column manifest[] = {
    I64(manifest_row, id, "id", NONE),
    REF(manifest_row, release_id, "release_id", KEY, T_RELEASE),
    REF(manifest_row, class_id, "class_id", KEY, T_CLASS),
    U64(manifest_row, seq, "seq", KEY),
    BLOB(manifest_row, image_digest, "image_digest", KEY),
    U32(manifest_row, image_size, "image_size", NONE),
    BLOB(manifest_row, digest, "digest", OPT),
    U32(manifest_row, forced, "forced", NONE),
    VAR(manifest_row, envelope, "envelope"),
};

static const struct column device[] = {
    I64(device, row, "id", NONE),
    TEXT(device, id, "device_id", KEY),
    REF(device, product_id, "product_id", KEY, T_PRODUCT),
    REF(device, class_id, "class_id", NONE, T_CLASS),
    BLOB(device, class_uuid, "class_uuid", NONE),
    U32(device, state, "state", KEY),
    U32(device, alarms, "alarms", NONE),
    BLOB(device, secret_digest, "secret_digest", NONE),
    BLOB(device, pending_digest, "pending_digest", OPT),
    I64(device, enrolled_at, "enrolled_at", NONE),
    I64(device, changed_at, "changed_at", NONE),
    I64(device, revoked_at, "revoked_at", OPT),
    U64(device, desired_seq, "desired_seq", NONE),
    U32(device, desired_action, "desired_action", NONE),
    I64(device, desired_release, "desired_release", OPT),
    I64(device, deployment_id, "deployment_id", OPT),
    REF(device, override_release, "override_release", OPT, T_RELEASE),
    I64(device, override_gen, "override_gen", NONE),
    I64(device, reported_at, "reported_at", OPT),
    BLOB(device, running_digest, "running_digest", OPT),
    U32(device, running_length, "running_length", NONE),
    TEXT(device, running_version, "running_version", KEY),
    U32(device, running_slot, "running_slot", NONE),
    U32(device, running_state, "running_state", NONE),
    BLOB(device, way_back_digest, "way_back_digest", OPT),
    U32(device, abilities, "abilities", NONE),
    U32(device, chip_id, "chip_id", NONE),
    U32(device, chip_revision, "chip_revision", NONE),
    TEXT(device, hw_revision, "hw_revision", NONE),
    U32(device, root_version, "root_version", NONE),
    U32(device, epoch, "epoch", NONE),
    U64(device, seq, "seq", NONE),
    U32(device, efuse_secure_version, "efuse_secure_version", NONE),
    U32(device, phase, "phase", NONE),
    U64(device, outcome_counter, "outcome_counter", NONE),
    U32(device, outcome_attempt, "outcome_attempt", NONE),
    I32(device, outcome_error, "outcome_error"),
    U32(device, outcome_reset_reason, "outcome_reset_reason", NONE),
    TEXT(device, outcome_text, "outcome_text", NONE),
    U32(device, kind, "kind", NONE),
    BLOB(device, running_md5, "running_md5", OPT),
};

static const struct column plain_token[] = {
    I64(plain_token, id, "id", NONE),
    REF(plain_token, product_id, "product_id", KEY, T_PRODUCT),
    TEXT(plain_token, device_id, "device_id", NONE),
    BLOB(plain_token, digest, "digest", KEY),
    I64(plain_token, created_at, "created_at", NONE),
    I64(plain_token, expires_at, "expires_at", OPT | KEY),
};

static const struct column seen[] = {
    I64(device_seen, device_row, "id", NONE),
    I64(device_seen, last_seen, "last_seen", NONE),
    U32(device_seen, boot_count, "boot_count", NONE),
    BLOB(device_seen, boot_id, "boot_id", NONE),
    BLOB(device_seen, previous_boot_id, "previous_boot_id", OPT),
    U32(device_seen, reset_reason, "reset_reason", NONE),
    U32(device_seen, uptime_s, "uptime_s", NONE),
    U32(device_seen, phase_bytes, "phase_bytes", NONE),
    U32(device_seen, next_checkin_s, "next_checkin_s", NONE),
    U32(device_seen, longest_sleep_s, "longest_sleep_s", NONE),
    U64(device_seen, last_counter, "last_counter", NONE),
};

static const struct column deployment[] = {
    I64(deployment, id, "id", NONE),
    REF(deployment, device_row, "device_row", KEY, T_DEVICE),
    REF(deployment, release_id, "release_id", KEY, T_RELEASE),
    I64(deployment, rollout_id, "rollout_id", OPT),
    I64(deployment, target_gen, "target_gen", NONE),
    U32(deployment, kind, "kind", NONE),
    U32(deployment, state, "state", KEY),
    U32(deployment, attempt, "attempt", NONE),
    I32(deployment, error, "error"),
    U64(deployment, counter, "counter", NONE),
    BLOB(deployment, image_digest, "image_digest", NONE),
    I64(deployment, created_at, "created_at", NONE),
    I64(deployment, changed_at, "changed_at", NONE),
    I64(deployment, offered_at, "offered_at", OPT),
    I64(deployment, deadline_at, "deadline_at", OPT | KEY),
    I64(deployment, not_before, "not_before", OPT),
};

static const struct column history[] = {
    I64(history_row, id, "id", NONE),
    REF(history_row, device_row, "device_row", NONE, T_DEVICE),
    I64(history_row, at, "at", NONE),
    U32(history_row, event.kind, "kind", NONE),
    I32(history_row, event.error, "error"),
    I64(history_row, event.release_id, "release_id", OPT),
    I64(history_row, event.deployment_id, "deployment_id", OPT),
    U64(history_row, event.counter, "counter", NONE),
    TEXT(history_row, event.text, "detail", NONE),
};

static const struct column audit[] = {
    I64(audit_row, id, "id", NONE),          I64(audit_row, at, "at", NONE),
    TEXT(audit_row, who, "who", NONE),       I64(audit_row, who_id, "who_id", OPT),
    TEXT(audit_row, action, "action", NONE), TEXT(audit_row, object, "object", NONE),
    TEXT(audit_row, detail, "detail", NONE),
};

static const struct column uptime[] = {
    I64(uptime_row, id, "id", NONE),
    I64(uptime_row, from_at, "from_at", NONE),
    I64(uptime_row, until_at, "until_at", NONE),
    U32(uptime_row, shed_s, "shed_s", NONE),
};

static const struct column trust_root[] = {
    I64(root_row, id, "id", NONE),
    I64(root_row, issued_at, "issued_at", NONE),
    I64(root_row, expires_at, "expires_at", NONE),
    U32(root_row, release_epoch, "release_epoch", NONE),
    I64(root_row, created_at, "created_at", NONE),
    TEXT(root_row, created_by, "created_by", NONE),
    VAR(root_row, file, "file"),
};

#define TABLE(name, columns, row)                                          \
    (name), (columns), (unsigned)(sizeof(columns) / sizeof((columns)[0])), \
        (unsigned)sizeof(struct row)

const struct table tables[T_COUNT] = {
    [T_META] = {TABLE("meta", meta, meta_row), {{1}}},
    [T_API_TOKEN] = {TABLE("api_token", api_token, api_token), {{1}, {2}}},
    [T_PRODUCT] = {TABLE("product", product, product), {{1}}},
    [T_CLASS] = {TABLE("hw_class", hw_class, hw_class), {{1, 2}, {3}}},
    [T_ENROL_TOKEN] = {TABLE("enrol_token", enrol_token, enrol_token), {{2}}},
    [T_RELEASE] = {TABLE("release", release, release), {{1, 2}}},
    [T_ARTIFACT] = {TABLE("artifact", artifact, artifact), {{1}}},
    [T_MANIFEST] = {TABLE("manifest", manifest, manifest_row), {{1, 2}, {2, 3}}},
    [T_DEVICE] = {TABLE("device", device, device), {{1}}},
    [T_SEEN] = {TABLE("device_seen", seen, device_seen), {{0}}},
    [T_DEPLOYMENT] = {TABLE("deployment", deployment, deployment), {{0}}},
    [T_HISTORY] = {TABLE("history", history, history_row), {{0}}},
    [T_AUDIT] = {TABLE("audit", audit, audit_row), {{0}}},
    [T_PLAIN_TOKEN] = {TABLE("plain_token", plain_token, plain_token), {{3}}},
    [T_ROOT] = {TABLE("trust_root", trust_root, root_row), {{0}}},
    [T_UPTIME] = {TABLE("uptime", uptime, uptime_row), {{0}}},
};
