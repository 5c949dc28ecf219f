-- Schema 3: trust roots, as devices fetch them one by one. docs/formats.md.

CREATE TABLE trust_root (
    id INTEGER PRIMARY KEY, -- its version
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    release_epoch INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    file BLOB NOT NULL CHECK (length(file) <= 2048) -- as signed
) STRICT;
