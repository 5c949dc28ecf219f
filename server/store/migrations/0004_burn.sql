-- Schema 4: whether a release permits devices to burn its secure_version into their eFuses. Nobody
-- was asked so far, so no release does.

ALTER TABLE release ADD COLUMN allow_burn INTEGER NOT NULL DEFAULT 0;
