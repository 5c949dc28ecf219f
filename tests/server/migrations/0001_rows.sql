-- A row or two of every table of schema 1, as a fleet leaves them. Digests are 32 letters.
INSERT INTO meta VALUES (1, 'target_gen', '7'), (2, 'freeze', '');
INSERT INTO api_token VALUES
    (1, 'admin', CAST('adminadminadminadminadminadminad' AS BLOB), 16, 1700000000, 1731536000, NULL),
    (2, 'ci', CAST('cicicicicicicicicicicicicicicici' AS BLOB), 2, 1700000001, NULL, 1700000002);
INSERT INTO product VALUES
    (1, 'lamp', 1, 5, CAST('vendorvendorvend' AS BLOB), 65536, 600,
     CAST('keykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeyk' AS BLOB), 1, NULL, 3,
     1700000010, 1700000011),
    (2, 'plug', 2, 0, CAST('vendorvendorvend' AS BLOB), 131072, 3600, NULL, 0, NULL, 0, 1700000012,
     1700000013);
INSERT INTO hw_class VALUES
    (1, 1, 'A', CAST('classclassclassA' AS BLOB), 8, 4, 1700000014),
    (2, 2, '1', CAST('classclassclassB' AS BLOB), 2, 0, 1700000015);
INSERT INTO enrol_token VALUES
    (3, 1, CAST('enrolenrolenrolenrolenrolenrolen' AS BLOB), 1700000016, NULL),
    (4, 1, CAST('ENROLENROLENROLENROLENROLENROLEN' AS BLOB), 1700000017, 1800000000);
INSERT INTO release VALUES
    (1, 1, '1.0.0', 0, 1, 'ci', 1700000018, 'first'),
    (2, 1, '1.1.0', 1, 2, 'ci', 1700000019, '');
INSERT INTO artifact VALUES
    (5, CAST('imageimageimageimageimageimageim' AS BLOB), 4096, 5, 0, 1,
     CAST('classclassclassA' AS BLOB), '1.0.0', 'lamp', 'ci', 1700000020),
    (6, CAST('IMAGEIMAGEIMAGEIMAGEIMAGEIMAGEIM' AS BLOB), 8192, 5, 1, 0, NULL, '1.1.0', 'lamp', 'ci',
     1700000021);
INSERT INTO manifest VALUES
    (1, 1, 1, 2, CAST('imageimageimageimageimageimageim' AS BLOB), 4096,
     CAST('manifestmanifestmanifestmanifest' AS BLOB), 0, CAST('envelope' AS BLOB)),
    (2, 2, 1, 4, CAST('IMAGEIMAGEIMAGEIMAGEIMAGEIMAGEIM' AS BLOB), 8192, NULL, 1, zeroblob(0));
UPDATE product SET target_release = 1 WHERE id = 1;
INSERT INTO device VALUES
    (9, 'a4cf12000001', 1, 1, CAST('classclassclassA' AS BLOB), 1, 2,
     CAST('secretsecretsecretsecretsecretse' AS BLOB), NULL, 1700000022, 1700000023, NULL, 4, 1, 1, 12,
     2, 5, 1700000024, CAST('imageimageimageimageimageimageim' AS BLOB), 4096, '1.0.0', 0, 2,
     CAST('IMAGEIMAGEIMAGEIMAGEIMAGEIMAGEIM' AS BLOB), 7, 5, 3, 'A', 0, 0, 2, 0, 0, 4, 1, -72, 1,
     'voltage'),
    (10, 'a4cf12000002', 1, 1, CAST('classclassclassA' AS BLOB), 2, 0,
     CAST('secretsecretsecretsecretsecretsF' AS BLOB), CAST('otherotherotherotherotherotherot' AS BLOB),
     1700000025, 1700000026, NULL, 0, 0, NULL, NULL, NULL, 0, NULL, NULL, 0, '', 0, 0, NULL, 0, 0, 0, '',
     0, 0, 0, 0, 0, 0, 0, 0, 0, ''),
    (11, 'a4cf12000003', 1, 1, CAST('classclassclassA' AS BLOB), 3, 0,
     CAST('secretsecretsecretsecretsecretsG' AS BLOB), NULL, 1700000027, 1700000028, 1700000029, 0, 0,
     NULL, NULL, NULL, 0, NULL, NULL, 0, '', 0, 0, NULL, 0, 0, 0, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, '');
INSERT INTO device_seen VALUES
    (9, 1700000030, 17, CAST('bootboot' AS BLOB), CAST('BOOTBOOT' AS BLOB), 1, 3600, 2048, 600, 0, 4);
INSERT INTO deployment VALUES
    (11, 9, 2, NULL, 2, 1, 7, 1, -72, 3, CAST('IMAGEIMAGEIMAGEIMAGEIMAGEIMAGEIM' AS BLOB), 1700000031,
     1700000032, 1700000033, 1700600000, NULL),
    (12, 9, 1, NULL, 3, 1, 3, 2, 0, 4, CAST('imageimageimageimageimageimageim' AS BLOB), 1700000034,
     1700000035, 1700000036, 1700600001, 1700000037);
INSERT INTO history VALUES
    (20, 9, 1700000038, 1, 0, NULL, NULL, 0, 'enrolled'), (21, 9, 1700000039, 5, -72, 2, 11, 3, 'voltage');
INSERT INTO audit VALUES
    (30, 1700000040, 'admin', 1, 'product.create', 'lamp', '{}'),
    (31, 1700000041, 'restore', NULL, 'server.restore', '', '');
INSERT INTO uptime VALUES (40, 1700000000, 1700000042, 3);
