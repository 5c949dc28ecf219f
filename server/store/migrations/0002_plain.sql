-- Schema 2: plain devices, which update over HTTPS without our library. docs/plain.md.

ALTER TABLE product ADD COLUMN plain_access INTEGER NOT NULL DEFAULT 0; -- enum plain_access
ALTER TABLE product ADD COLUMN stable_release INTEGER REFERENCES release (id);
ALTER TABLE product ADD COLUMN version_template TEXT NOT NULL DEFAULT '';
UPDATE product SET plain_access = 1 WHERE kind = 2; -- by token

-- What plain clients compare; NULL until an artifact of schema 1 is first asked for.
ALTER TABLE artifact ADD COLUMN md5 BLOB CHECK (length(md5) = 16);
ALTER TABLE artifact ADD COLUMN app_sha256 BLOB CHECK (length(app_sha256) = 32);

ALTER TABLE device ADD COLUMN kind INTEGER NOT NULL DEFAULT 1; -- enum device_kind
ALTER TABLE device ADD COLUMN running_md5 BLOB CHECK (length(running_md5) = 16);

CREATE TABLE plain_token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id INTEGER NOT NULL REFERENCES product (id),
    device_id TEXT NOT NULL, -- '' = for any device
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE INDEX plain_token_product ON plain_token (product_id);
CREATE INDEX plain_token_expires ON plain_token (expires_at) WHERE expires_at IS NOT NULL;
