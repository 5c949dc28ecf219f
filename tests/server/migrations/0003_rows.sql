-- What schema 3 added, in use.
INSERT INTO trust_root VALUES
    (1, 1700000000, 1800000000, 0, 1700000060, 'admin', CAST('the first root' AS BLOB)),
    (2, 1700000100, 1900000000, 3, 1700000160, 'admin', CAST('the second root' AS BLOB));
