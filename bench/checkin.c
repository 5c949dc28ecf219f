/* bench-checkin: writes the HTTP requests of one virtual device, to be sent by tlsload or curl.
 *
 *   bench-checkin ID CLASS-UUID ENROL-TOKEN-FILE OUT-DIR
 *
 * OUT-DIR/enrol and OUT-DIR/checkin are whole HTTP/1.1 requests with `Connection: close`,
 * OUT-DIR/checkin-keep is one without. */
#include <stdio.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/uuid.h"
#include "formats/checkin.h"
#include "formats/otadata.h"

static const char secret[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static const char close_after[] = "Connection: close\r\n";

struct request {
    const char *name; /* of the file */
    const char *route;
    const char *headers;
    const char *connection;
};

static int write_request(const char *folder, const struct request *r, struct sf_bytes body)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, r->name);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    (void)fprintf(file,
                  "POST /device/v1/%s HTTP/1.1\r\nHost: localhost\r\n%s"
                  "Content-Type: application/cbor\r\n%sContent-Length: %zu\r\n\r\n",
                  r->route, r->connection, r->headers, body.len);
    (void)fwrite(body.data, 1, body.len, file);
    return fclose(file) == 0 ? 0 : 1;
}

static int write_enrol(char **argv, const uint8_t class_uuid[SF_UUID_SIZE])
{
    struct sf_enrol enrol = {0};
    (void)snprintf(enrol.id, sizeof(enrol.id), "%s", argv[1]);
    memcpy(enrol.class_uuid, class_uuid, SF_UUID_SIZE);
    FILE *file = fopen(argv[3], "r");
    if (file == NULL || fgets(enrol.token, sizeof(enrol.token), file) == NULL) {
        perror(argv[3]);
        return 1;
    }
    (void)fclose(file);
    enrol.token[strcspn(enrol.token, "\r\n")] = '\0';
    uint8_t body[SF_ENROL_REQUEST_MAX];
    if (sf_sha256(crypto_openssl(), secret, SF_SECRET_HEX_SIZE, enrol.secret_digest) != SF_OK) {
        return 1;
    }
    const int32_t len = sf_enrol_encode(&enrol, body, sizeof(body));
    const struct request r = {"enrol", "enrol", "", close_after};
    return len < 0 ? 1 : write_request(argv[4], &r, (struct sf_bytes){body, (size_t)len});
}

static int write_checkin(char **argv, const uint8_t class_uuid[SF_UUID_SIZE])
{
    struct sf_checkin c = {.protocol_version = SF_PROTOCOL_VERSION,
                           .boot_count = 1,
                           .reset_reason = SF_RESET_POWER_ON,
                           .uptime_s = 60,
                           .running_length = 131072,
                           .running_version = "1.0.0",
                           .running_state = SF_OTA_UNDEFINED,
                           .abilities = SF_ABILITY_RUNS_BOOT_SLOT,
                           .chip_id = SF_CHIP_ESP32C3,
                           .chip_revision = 3,
                           .hw_revision = "A"};
    memcpy(c.class_uuid, class_uuid, SF_UUID_SIZE);
    memset(c.nonce, 0x5a, sizeof(c.nonce));
    uint8_t body[SF_CHECKIN_REQUEST_MAX];
    const int32_t len = sf_checkin_encode(&c, body, sizeof(body));
    char headers[256];
    (void)snprintf(headers, sizeof(headers), "Authorization: Bearer %s.%s\r\n", argv[1], secret);
    const struct request once = {"checkin", "checkin", headers, close_after};
    const struct request keep = {"checkin-keep", "checkin", headers, ""};
    const struct sf_bytes bytes = {body, (size_t)(len < 0 ? 0 : len)};
    return len < 0 || write_request(argv[4], &once, bytes) != 0 ||
           write_request(argv[4], &keep, bytes) != 0;
}

int main(int argc, char **argv)
{
    uint8_t class_uuid[SF_UUID_SIZE];
    if (argc != 5 || uuid_parse(argv[2], class_uuid) != SF_OK) {
        (void)fputs("usage: bench-checkin ID CLASS-UUID ENROL-TOKEN-FILE OUT-DIR\n", stderr);
        return 2;
    }
    return write_enrol(argv, class_uuid) != 0 || write_checkin(argv, class_uuid) != 0;
}
