-- What schema 2 added, in use.
UPDATE product SET plain_access = 2, stable_release = 1, version_template = '{"v":"%s"}' WHERE id = 2;
UPDATE artifact SET md5 = CAST('md5md5md5md5md5m' AS BLOB),
    app_sha256 = CAST('appapappapappapappapappapappappp' AS BLOB) WHERE id = 5;
UPDATE device SET kind = 2, running_md5 = CAST('MD5md5md5md5md5m' AS BLOB) WHERE id = 11;
INSERT INTO plain_token VALUES
    (1, 2, '', CAST('plainplainplainplainplainplainpl' AS BLOB), 1700000050, NULL),
    (2, 2, 'plug-7', CAST('PLAINplainplainplainplainplainpl' AS BLOB), 1700000051, 1800000000);
