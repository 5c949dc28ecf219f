# One list for every build: CMake here, the ESP-IDF component, the Arduino package.
set(SF_FORMATS_SOURCES
    formats/err.c
    formats/bytes.c
    formats/crc32.c
    formats/md5.c
    formats/otadata.c
    formats/boot.c
    formats/partition.c
    formats/image.c
    formats/sbv2.c
    formats/behaviour.c
    formats/verdict.c
    formats/bootloader.c
    formats/esp_ota.c
    formats/nvs.c)
list(APPEND SF_FORMATS_SOURCES
    formats/crypto.c
    formats/cbor.c
    formats/cose.c
    formats/cose_sign.c
    formats/root.c
    formats/root_make.c
    formats/envelope.c
    formats/manifest.c
    formats/status.c
    formats/checkin.c)
