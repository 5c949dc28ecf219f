-- What schema 4 added, in use.
UPDATE release SET allow_burn = 1 WHERE id = 1;
