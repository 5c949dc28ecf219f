-- Schema 1. docs/database.md says what each table is for. Times are Unix seconds, digests are
-- SHA-256, uuids are 16 bytes, numbers of states and events are those of server/fleet/*.h. AUTOINCREMENT
-- where rows can go away: a number is never given out twice.

CREATE TABLE meta (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE api_token (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    roles INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE TABLE product (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    chip_id INTEGER NOT NULL,
    vendor_uuid BLOB NOT NULL CHECK (length(vendor_uuid) = 16),
    slot_size INTEGER NOT NULL,
    checkin_interval_s INTEGER NOT NULL,
    release_key BLOB CHECK (length(release_key) = 64),
    require_credential INTEGER NOT NULL,
    target_release INTEGER REFERENCES release (id),
    target_gen INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE hw_class (
    id INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES product (id),
    revision TEXT NOT NULL,
    uuid BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    next_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (product_id, revision)
) STRICT;

CREATE TABLE enrol_token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id INTEGER NOT NULL REFERENCES product (id),
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE INDEX enrol_token_product ON enrol_token (product_id);
CREATE INDEX enrol_token_expires ON enrol_token (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE release (
    id INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES product (id),
    version TEXT NOT NULL,
    secure_version INTEGER NOT NULL,
    state INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    notes TEXT NOT NULL,
    UNIQUE (product_id, version)
) STRICT;
CREATE INDEX release_product ON release (product_id);
CREATE INDEX release_secure_version ON release (product_id, secure_version);

CREATE TABLE artifact (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    size INTEGER NOT NULL,
    chip_id INTEGER NOT NULL,
    secure_version INTEGER NOT NULL,
    has_record INTEGER NOT NULL,
    class_uuid BLOB CHECK (length(class_uuid) = 16),
    version TEXT NOT NULL,
    project TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX artifact_created ON artifact (created_at);

CREATE TABLE manifest (
    id INTEGER PRIMARY KEY,
    release_id INTEGER NOT NULL REFERENCES release (id),
    class_id INTEGER NOT NULL REFERENCES hw_class (id),
    seq INTEGER NOT NULL,
    image_digest BLOB NOT NULL REFERENCES artifact (digest),
    image_size INTEGER NOT NULL,
    digest BLOB CHECK (length(digest) = 32),
    forced INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    UNIQUE (release_id, class_id),
    UNIQUE (class_id, seq)
) STRICT;
CREATE INDEX manifest_image ON manifest (image_digest);

CREATE TABLE device (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id TEXT NOT NULL UNIQUE,
    product_id INTEGER NOT NULL REFERENCES product (id),
    class_id INTEGER NOT NULL REFERENCES hw_class (id),
    class_uuid BLOB NOT NULL CHECK (length(class_uuid) = 16),
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),
    alarms INTEGER NOT NULL,
    secret_digest BLOB NOT NULL CHECK (length(secret_digest) = 32),
    pending_digest BLOB CHECK (length(pending_digest) = 32),
    enrolled_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    revoked_at INTEGER,
    desired_seq INTEGER NOT NULL,
    desired_action INTEGER NOT NULL,
    desired_release INTEGER,
    deployment_id INTEGER, -- the latest; deployment points back, so no foreign key
    override_release INTEGER REFERENCES release (id),
    override_gen INTEGER NOT NULL,
    reported_at INTEGER,
    running_digest BLOB CHECK (length(running_digest) = 32),
    running_length INTEGER NOT NULL,
    running_version TEXT NOT NULL,
    running_slot INTEGER NOT NULL,
    running_state INTEGER NOT NULL,
    way_back_digest BLOB CHECK (length(way_back_digest) = 32),
    abilities INTEGER NOT NULL,
    chip_id INTEGER NOT NULL,
    chip_revision INTEGER NOT NULL,
    hw_revision TEXT NOT NULL,
    root_version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    efuse_secure_version INTEGER NOT NULL,
    phase INTEGER NOT NULL,
    outcome_counter INTEGER NOT NULL,
    outcome_attempt INTEGER NOT NULL,
    outcome_error INTEGER NOT NULL,
    outcome_reset_reason INTEGER NOT NULL,
    outcome_text TEXT NOT NULL
) STRICT;
CREATE INDEX device_product ON device (product_id, device_id);
CREATE INDEX device_product_state ON device (product_id, state, device_id);
CREATE INDEX device_product_version ON device (product_id, running_version, device_id);
CREATE INDEX device_state ON device (state, device_id);

-- What every poll changes: batched, not promised. id is the device's.
CREATE TABLE device_seen (
    id INTEGER PRIMARY KEY,
    last_seen INTEGER NOT NULL,
    boot_count INTEGER NOT NULL,
    boot_id BLOB NOT NULL CHECK (length(boot_id) = 8),
    previous_boot_id BLOB CHECK (length(previous_boot_id) = 8),
    reset_reason INTEGER NOT NULL,
    uptime_s INTEGER NOT NULL,
    phase_bytes INTEGER NOT NULL,
    next_checkin_s INTEGER NOT NULL,
    longest_sleep_s INTEGER NOT NULL,
    last_counter INTEGER NOT NULL
) STRICT;

CREATE TABLE deployment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_row INTEGER NOT NULL REFERENCES device (id),
    release_id INTEGER NOT NULL REFERENCES release (id),
    rollout_id INTEGER,
    target_gen INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 11),
    attempt INTEGER NOT NULL,
    error INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    image_digest BLOB NOT NULL CHECK (length(image_digest) = 32),
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    offered_at INTEGER,
    deadline_at INTEGER,
    not_before INTEGER
) STRICT;
-- State 1 to 5 is active: at most one of a device.
CREATE UNIQUE INDEX deployment_active ON deployment (device_row) WHERE state <= 5;
CREATE INDEX deployment_due ON deployment (deadline_at) WHERE state <= 5;
CREATE INDEX deployment_device ON deployment (device_row, release_id);

-- Append-only.
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_row INTEGER NOT NULL REFERENCES device (id),
    at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    error INTEGER NOT NULL,
    release_id INTEGER,
    deployment_id INTEGER,
    counter INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX history_device ON history (device_row);

-- Append-only.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    who_id INTEGER,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_who ON audit (who);

CREATE TABLE uptime (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    from_at INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    shed_s INTEGER NOT NULL
) STRICT;

-- How many devices (kind 1) and deployments (kind 2) are in each state, so that nobody counts a
-- million rows to draw a graph.
CREATE TABLE tally (
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (kind, state)
) STRICT, WITHOUT ROWID;
INSERT INTO tally (kind, state, count)
    VALUES (1, 1, 0), (1, 2, 0), (1, 3, 0), (2, 1, 0), (2, 2, 0), (2, 3, 0), (2, 4, 0), (2, 5, 0),
           (2, 6, 0), (2, 7, 0), (2, 8, 0), (2, 9, 0), (2, 10, 0), (2, 11, 0);

CREATE TRIGGER device_tally_insert AFTER INSERT ON device BEGIN
    UPDATE tally SET count = count + 1 WHERE kind = 1 AND state = new.state;
END;
CREATE TRIGGER device_tally_delete AFTER DELETE ON device BEGIN
    UPDATE tally SET count = count - 1 WHERE kind = 1 AND state = old.state;
END;
CREATE TRIGGER device_tally_update AFTER UPDATE OF state ON device
    WHEN old.state <> new.state BEGIN
    UPDATE tally SET count = count - 1 WHERE kind = 1 AND state = old.state;
    UPDATE tally SET count = count + 1 WHERE kind = 1 AND state = new.state;
END;
CREATE TRIGGER deployment_tally_insert AFTER INSERT ON deployment BEGIN
    UPDATE tally SET count = count + 1 WHERE kind = 2 AND state = new.state;
END;
CREATE TRIGGER deployment_tally_delete AFTER DELETE ON deployment BEGIN
    UPDATE tally SET count = count - 1 WHERE kind = 2 AND state = old.state;
END;
CREATE TRIGGER deployment_tally_update AFTER UPDATE OF state ON deployment
    WHEN old.state <> new.state BEGIN
    UPDATE tally SET count = count - 1 WHERE kind = 2 AND state = old.state;
    UPDATE tally SET count = count + 1 WHERE kind = 2 AND state = new.state;
END;
