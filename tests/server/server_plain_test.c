/* Plain devices against the real surefootd: the requests of the real libraries, byte for byte as
 * they send them (by their sources: esp_http_client.c, HTTPUpdate.cpp, ESP8266httpUpdate.cpp,
 * ESPHome's http_request), over TLS. */
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "formats/md5.h"
#include "tests/server/fleet_kit.h"
#include "tests/server/raw.h"

static struct kit kit;
static struct kit_image v1;
static struct kit_image v2;
static char md5_v1[33];
static char md5_v2[33];
static char app_sha_v2[65];
static char token[96];
static char device_token[96];

static void expect_body(const struct kit_image *image, size_t from, size_t len)
{
    size_t have = 0;
    const char *bytes = raw_body(&have);
    assert_int_equal(have, len);
    assert_memory_equal(bytes, image->bytes + from, len);
}

/* ---- the requests ---- */

/* HTTPUpdate of arduino-esp32: HTTP/1.0 by useHTTP10(true), headers in the order of addHeader(). */
static const char *http_update_esp32(const char *path, const char *mac, const char *md5,
                                     const char *version)
{
    static char text[2048];
    (void)snprintf(text, sizeof(text),
                   "GET %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: ESP32-http-Update\r\n"
                   "Connection: close\r\nCache-Control: no-cache\r\nx-ESP32-STA-MAC: %s\r\n"
                   "x-ESP32-AP-MAC: 24:DC:C3:00:00:02\r\nx-ESP32-free-space: 1310720\r\n"
                   "x-ESP32-sketch-size: 8192\r\nx-ESP32-sketch-md5: %s\r\n"
                   "x-ESP32-chip-size: 4194304\r\nx-ESP32-sdk-version: v5.1.4\r\n"
                   "x-ESP32-mode: sketch\r\n%s%s%s\r\n",
                   path, mac, md5, version != NULL ? "x-ESP32-version: " : "",
                   version != NULL ? version : "", version != NULL ? "\r\n" : "");
    return text;
}

/* ESP8266httpUpdate: the same, without its chip's letters. */
static const char *http_update_esp8266(const char *path, const char *md5)
{
    static char text[2048];
    (void)snprintf(text, sizeof(text),
                   "GET %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: ESP8266-http-Update\r\n"
                   "Connection: close\r\nx-ESP8266-Chip-ID: 1234567\r\n"
                   "x-ESP8266-STA-MAC: 5C:CF:7F:00:00:01\r\nx-ESP8266-AP-MAC: 5E:CF:7F:00:00:01\r\n"
                   "x-ESP8266-free-space: 2818048\r\nx-ESP8266-sketch-size: 8192\r\n"
                   "x-ESP8266-sketch-md5: %s\r\nx-ESP8266-chip-size: 4194304\r\n"
                   "x-ESP8266-sdk-version: 2.2.2-dev\r\nx-ESP8266-mode: sketch\r\n\r\n",
                   path, md5);
    return text;
}

/* esp_http_client: esp_https_ota adds nothing of its own. */
static const char *esp_http_client(const char *method, const char *path, const char *more)
{
    static char text[2048];
    (void)snprintf(text, sizeof(text),
                   "%s %s HTTP/1.1\r\nUser-Agent: ESP32 HTTP Client/1.0\r\nHost: localhost\r\n%s"
                   "Connection: close\r\nContent-Length: 0\r\n\r\n",
                   method, path, more);
    return text;
}

static const char *get(const char *path, const char *more)
{
    static char text[2048];
    (void)snprintf(text, sizeof(text),
                   "GET %s HTTP/1.1\r\nHost: updates.example.com:8443\r\n%s"
                   "Connection: close\r\n\r\n",
                   path, more);
    return text;
}

static const char *with_token(const char *file)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "/ota/fan/t/%s/%s", token, file);
    return path;
}

/* ---- the product ---- */

static void put_ok(const char *method, const char *path, json_t *json, long expected)
{
    long status = 0;
    json_t *reply = api(&kit.daemon, method, path, json, &status);
    assert_int_equal(status, expected);
    json_decref(reply);
}

static void make_token(const char *device, char *out, size_t size)
{
    long status = 0;
    json_t *reply = api(&kit.daemon, "POST", "/api/v1/products/fan/plain-tokens",
                        json_pack("{s:s*}", "device", device), &status);
    assert_int_equal(status, 201);
    (void)snprintf(out, size, "%s", json_string_value(json_object_get(reply, "token")));
    json_decref(reply);
}

static void publish(const char *version, const struct kit_image *image)
{
    char code[64];
    assert_int_equal(kit_upload(&kit, image, code), 201);
    put_ok("POST", "/api/v1/products/fan/releases",
           json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "version", version, "notes", "Quieter at night",
                     "manifests", "hw_revision", "1", "artifact", image->hex),
           201);
}

static void stable(const char *version)
{
    put_ok("PUT", "/api/v1/products/fan/stable", json_pack("{s:s?}", "version", version), 200);
}

static void md5_hex(const struct kit_image *image, char out[33])
{
    uint8_t digest[SF_MD5_SIZE];
    sf_md5(image->bytes, image->len, digest);
    hex_encode(digest, sizeof(digest), out);
}

static int setup(void **state)
{
    (void)state;
    kit_init(&kit);
    kit_image(&kit, "1.0.0", &v1);
    kit_image(&kit, "1.1.0", &v2);
    md5_hex(&v1, md5_v1);
    md5_hex(&v2, md5_v2);
    hex_encode(v2.bytes + v2.len - 32, 32, app_sha_v2); /* the appended hash */
    put_ok("POST", "/api/v1/products",
           json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", "fan", "kind", "plain", "chip", "esp32c3",
                     "vendor_domain", "example.com", "slot_size", KIT_SLOT_SIZE),
           201);
    publish("1.0.0", &v1);
    publish("1.1.0", &v2);
    stable("1.1.0");
    make_token(NULL, token, sizeof(token));
    make_token("fan-in-the-attic", device_token, sizeof(device_token));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_release(&kit);
    return 0;
}

/* ---- HTTPUpdate ---- */

static void an_arduino_gets_the_image_with_its_md5_and_no_more_when_it_runs_it(void **state)
{
    (void)state;
    const char *mac = "24:DC:C3:00:00:01";
    const char *path = with_token("firmware.bin");
    assert_int_equal(raw_send(&kit.daemon, http_update_esp32(path, mac, md5_v1, NULL)), 200);
    assert_memory_equal(raw_answer(), "HTTP/1.1 200", 12);
    assert_string_equal(raw_header("x-MD5"), md5_v2);
    assert_string_equal(raw_header("Content-Length"), "8192");
    assert_string_equal(raw_header("Transfer-Encoding"), "");
    expect_body(&v2, 0, v2.len);
    assert_int_equal(raw_send(&kit.daemon, http_update_esp32(path, mac, md5_v2, NULL)), 304);
    assert_int_equal(raw_send(&kit.daemon, http_update_esp32(path, mac, md5_v1, "1.1.0")), 304);
    assert_int_equal(raw_send(&kit.daemon, http_update_esp32(path, mac, md5_v1, "1.0.0")), 200);
}

/* Cores whose sketch MD5 is missing tell the image's appended SHA-256. */
static void an_old_arduino_core_is_up_to_date_by_the_appended_hash(void **state)
{
    (void)state;
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "GET %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: ESP32-http-Update\r\n"
                   "x-ESP32-STA-MAC: 24:DC:C3:00:00:03\r\nx-ESP32-sketch-sha256: %s\r\n"
                   "x-ESP32-mode: sketch\r\n\r\n",
                   with_token("firmware.bin"), app_sha_v2);
    assert_int_equal(raw_send(&kit.daemon, text), 304);
}

static void an_esp8266_is_served_alike(void **state)
{
    (void)state;
    const char *path = with_token("firmware.bin");
    assert_int_equal(raw_send(&kit.daemon, http_update_esp8266(path, md5_v1)), 200);
    assert_string_equal(raw_header("x-MD5"), md5_v2);
    assert_int_equal(raw_send(&kit.daemon, http_update_esp8266(path, md5_v2)), 304);
}

static void a_file_system_image_is_not_there(void **state)
{
    (void)state;
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "GET %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: ESP32-http-Update\r\n"
                   "x-ESP32-STA-MAC: 24:DC:C3:00:00:01\r\nx-ESP32-mode: spiffs\r\n\r\n",
                   with_token("firmware.bin"));
    assert_int_equal(raw_send(&kit.daemon, text), 404);
}

/* ---- esp_https_ota ---- */

/* It keeps the address it was sent to, so a stable release that moves cannot mix two images. */
static void esp_https_ota_is_sent_on_to_bytes_that_never_change(void **state)
{
    (void)state;
    char path[128];
    char range[64];
    (void)snprintf(path, sizeof(path), "/artifacts/%s", v2.hex);
    assert_int_equal(raw_send(&kit.daemon, esp_http_client("GET", with_token("firmware.bin"), "")),
                     302);
    assert_string_equal(raw_header("Location"), path);
    size_t len = 0;
    (void)raw_body(&len);
    assert_true(len >= 289); /* up to ESP-IDF 4.2 it reads so many of them */
    assert_int_equal(raw_send(&kit.daemon, esp_http_client("HEAD", with_token("firmware.bin"), "")),
                     302);
    stable("1.0.0");
    assert_int_equal(raw_send(&kit.daemon, esp_http_client("HEAD", path, "")), 200);
    assert_string_equal(raw_header("Content-Length"), "8192");
    assert_int_equal(raw_send(&kit.daemon, esp_http_client("GET", path, "Range: bytes=0-0\r\n")),
                     206);
    assert_string_equal(raw_header("Content-Range"), "bytes 0-0/8192");
    for (size_t from = 0; from < v2.len; from += 4096) {
        (void)snprintf(range, sizeof(range), "Range: bytes=%zu-%zu\r\n", from, from + 4095);
        assert_int_equal(raw_send(&kit.daemon, esp_http_client("GET", path, range)), 206);
        expect_body(&v2, from, 4096);
    }
    assert_int_equal(raw_send(&kit.daemon, esp_http_client("GET", path, "Range: bytes=1000-\r\n")),
                     206);
    expect_body(&v2, 1000, v2.len - 1000);
    assert_int_equal(raw_send(&kit.daemon, esp_http_client("GET", path, "Range: bytes=8192-\r\n")),
                     416);
    stable("1.1.0");
}

static void other_clients_get_ranges_bound_to_the_etag(void **state)
{
    (void)state;
    char more[256];
    assert_int_equal(raw_send(&kit.daemon, get(with_token("firmware.bin"), "")), 200);
    char etag[128];
    (void)snprintf(etag, sizeof(etag), "%s", raw_header("ETag"));
    (void)snprintf(more, sizeof(more), "If-None-Match: %s\r\n", etag);
    assert_int_equal(raw_send(&kit.daemon, get(with_token("firmware.bin"), more)), 304);
    (void)snprintf(more, sizeof(more), "Range: bytes=100-199\r\nIf-Range: %s\r\n", etag);
    assert_int_equal(raw_send(&kit.daemon, get(with_token("firmware.bin"), more)), 206);
    expect_body(&v2, 100, 100);
    stable("1.0.0");
    assert_int_equal(raw_send(&kit.daemon, get(with_token("firmware.bin"), more)),
                     200); /* the whole new one */
    expect_body(&v1, 0, v1.len);
    stable("1.1.0");
}

/* ---- documents ---- */

static json_t *document(const char *file)
{
    size_t len = 0;
    assert_int_equal(raw_send(&kit.daemon, get(with_token(file), "")), 200);
    const char *text = raw_body(&len);
    json_t *root = json_loadb(text, len, 0, NULL);
    assert_non_null(root);
    return root;
}

static const char *text_of(const json_t *root, const char *key)
{
    const char *value = json_string_value(json_object_get(root, key));
    return value != NULL ? value : "";
}

static void version_json_says_all_that_hand_made_clients_ask_for(void **state)
{
    (void)state;
    char url[256];
    json_t *root = document("version.json");
    (void)snprintf(url, sizeof(url), "https://updates.example.com:8443%s",
                   with_token("firmware.bin"));
    assert_string_equal(text_of(root, "version"), "1.1.0");
    assert_string_equal(text_of(root, "url"), url);
    assert_string_equal(text_of(root, "host"), "updates.example.com");
    assert_int_equal(json_integer_value(json_object_get(root, "port")), 8443);
    assert_string_equal(text_of(root, "bin"), with_token("firmware.bin"));
    assert_string_equal(text_of(root, "sha256"), v2.hex);
    assert_string_equal(text_of(root, "md5"), md5_v2);
    assert_int_equal(json_integer_value(json_object_get(root, "size")), 8192);
    assert_string_equal(text_of(root, "notes"), "Quieter at night");
    json_decref(root);
}

static void version_json_takes_the_shape_of_the_products_template(void **state)
{
    (void)state;
    long status = 0;
    put_ok(
        "PATCH", "/api/v1/products/fan",
        json_pack("{s:s}", "version_template",
                  "{\"fw\": {\"v\": \"v{version}\", \"bytes\": \"{size}\"}, \"x\": [\"{file}\"]}"),
        200);
    json_t *root = document("version.json");
    const json_t *fw = json_object_get(root, "fw");
    assert_string_equal(text_of(fw, "v"), "v1.1.0");
    assert_int_equal(json_integer_value(json_object_get(fw, "bytes")), 8192);
    json_decref(root);
    static const char *const bad[] = {"{\"v\": \"{verison}\"}", "{not json",
                                      "{\"a\": 1, \"a\": 2}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *reply = api(&kit.daemon, "PATCH", "/api/v1/products/fan",
                            json_pack("{s:s}", "version_template", bad[i]), &status);
        assert_int_equal(status, 400);
        assert_string_equal(error_code(reply), "bad_template");
        json_decref(reply);
    }
    put_ok("PATCH", "/api/v1/products/fan", json_pack("{s:n}", "version_template"), 200);
}

/* ESPHome asks md5_url first and takes 32 characters; its `update` reads the browser's manifest. */
static void esphome_and_the_browser_read_one_manifest(void **state)
{
    (void)state;
    size_t len = 0;
    assert_int_equal(
        raw_send(&kit.daemon, get(with_token("firmware.bin.md5"), "User-Agent: ESPHome\r\n")), 200);
    const char *sum = raw_body(&len);
    assert_int_equal(len, 32);
    assert_memory_equal(sum, md5_v2, 32);
    json_t *root = document("manifest.json");
    assert_string_equal(raw_header("Access-Control-Allow-Origin"), "*");
    assert_string_equal(text_of(root, "version"), "1.1.0");
    const json_t *build = json_array_get(json_object_get(root, "builds"), 0);
    assert_string_equal(text_of(build, "chipFamily"), "ESP32-C3");
    const json_t *ota = json_object_get(build, "ota");
    assert_string_equal(text_of(ota, "path"), "firmware.bin");
    assert_string_equal(text_of(ota, "md5"), md5_v2);
    const json_t *part = json_array_get(json_object_get(build, "parts"), 0);
    assert_int_equal(json_integer_value(json_object_get(part, "offset")), 0x10000);
    json_decref(root);
}

/* ---- who may ask ---- */

static void the_endpoint_opens_to_a_token_in_each_of_its_places(void **state)
{
    (void)state;
    char more[512];
    char basic[256];
    char encoded[400];
    assert_int_equal(raw_send(&kit.daemon, get("/ota/fan/version.json", "")), 401);
    assert_memory_equal(raw_header("WWW-Authenticate"), "Basic ", 6);
    assert_int_equal(raw_send(&kit.daemon, get("/ota/fan/t/0000/version.json", "")), 401);
    (void)snprintf(more, sizeof(more), "Authorization: Bearer %s\r\n", token);
    assert_int_equal(raw_send(&kit.daemon, get("/ota/fan/version.json", more)), 200);
    int n = snprintf(basic, sizeof(basic), "someone:%s", token);
    n = EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)basic, n);
    assert_true(n > 0);
    (void)snprintf(more, sizeof(more), "Authorization: Basic %s\r\n", encoded);
    assert_int_equal(raw_send(&kit.daemon, get("/ota/fan/version.json", more)), 200);
    assert_int_equal(
        raw_send(&kit.daemon, get("/ota/fan/version.json", "Authorization: Basic !!!\r\n")), 401);
    /* an administrator's token opens nothing here, and this one nothing there */
    (void)snprintf(more, sizeof(more), "Authorization: Bearer %s\r\n", kit.daemon.admin);
    assert_int_equal(raw_send(&kit.daemon, get("/ota/fan/version.json", more)), 401);
    (void)snprintf(more, sizeof(more), "Authorization: Bearer %s\r\n", token);
    assert_int_equal(raw_send(&kit.daemon, get("/api/v1/products", more)), 401);
}

static void a_revoked_token_a_closed_and_an_open_product(void **state)
{
    (void)state;
    long status = 0;
    char other[96];
    char path[160];
    make_token(NULL, other, sizeof(other));
    json_t *list = api(&kit.daemon, "GET", "/api/v1/products/fan/plain-tokens", NULL, &status);
    const json_t *items = json_object_get(list, "items");
    const json_t *last = json_array_get(items, json_array_size(items) - 1);
    (void)snprintf(path, sizeof(path), "/api/v1/products/fan/plain-tokens/%lld",
                   (long long)json_integer_value(json_object_get(last, "id")));
    json_decref(list);
    put_ok("DELETE", path, NULL, 204);
    (void)snprintf(path, sizeof(path), "/ota/fan/t/%s/version.json", other);
    assert_int_equal(raw_send(&kit.daemon, get(path, "")), 401);
    /* the native product is closed unless somebody opens it, and looks as if it were not there */
    assert_int_equal(raw_send(&kit.daemon, get("/ota/lamp/version.json", "")), 404);
    assert_int_equal(raw_send(&kit.daemon, get("/ota/nothing/version.json", "")), 404);
    put_ok("PATCH", "/api/v1/products/fan", json_pack("{s:s}", "plain_access", "open"), 200);
    assert_int_equal(raw_send(&kit.daemon, get("/ota/fan/version.json", "")), 200);
    put_ok("PATCH", "/api/v1/products/fan", json_pack("{s:s}", "plain_access", "none"), 200);
    assert_int_equal(raw_send(&kit.daemon, get(with_token("version.json"), "")), 404);
    put_ok("PATCH", "/api/v1/products/fan", json_pack("{s:s}", "plain_access", "token"), 200);
}

/* ---- the inventory ---- */

static json_t *shown(const char *id)
{
    char path[128];
    long status = 0;
    (void)snprintf(path, sizeof(path), "/api/v1/devices/%s", id);
    json_t *device = api(&kit.daemon, "GET", path, NULL, &status);
    assert_int_equal(status, 200);
    return device;
}

static void events_of(const char *id, char *out, size_t size)
{
    char path[128];
    long status = 0;
    size_t index;
    const json_t *row;
    out[0] = '\0';
    (void)snprintf(path, sizeof(path), "/api/v1/devices/%s/history", id);
    json_t *list = api(&kit.daemon, "GET", path, NULL, &status);
    json_array_foreach(json_object_get(list, "items"), index, row)
    {
        const size_t len = strlen(out);
        (void)snprintf(out + len, size - len, "%s%s", len == 0 ? "" : " ",
                       json_string_value(json_object_get(row, "event")));
    }
    json_decref(list);
}

/* What a request tells is written behind its answer, in order: a change by the administrator that
 * is answered later has been written later. */
static void let_it_be_written(void)
{
    put_ok("PUT", "/api/v1/freeze", json_pack("{s:b}", "frozen", 0), 200);
}

static void a_plain_device_has_its_place_in_the_inventory(void **state)
{
    (void)state;
    char events[256];
    const char *mac = "24:DC:C3:00:00:AA";
    const char *path = with_token("firmware.bin");
    assert_int_equal(raw_send(&kit.daemon, http_update_esp32(path, mac, md5_v1, "1.0.0")), 200);
    assert_int_equal(raw_send(&kit.daemon, http_update_esp32(path, mac, md5_v1, "1.0.0")), 200);
    assert_int_equal(raw_send(&kit.daemon, http_update_esp32(path, mac, md5_v2, "1.1.0")), 304);
    let_it_be_written();
    json_t *device = shown("24dcc30000aa");
    assert_string_equal(text_of(device, "kind"), "plain");
    assert_string_equal(text_of(device, "product"), "fan");
    assert_string_equal(text_of(device, "version"), "1.1.0");
    assert_true(json_is_integer(json_object_get(device, "last_seen")));
    json_decref(device);
    events_of("24dcc30000aa", events, sizeof(events));
    assert_string_equal(events, "first_report offered running confirmed");
    /* by the token that is its own */
    (void)snprintf(events, sizeof(events), "/ota/fan/t/%s/firmware.bin", device_token);
    assert_int_equal(raw_send(&kit.daemon, get(events, "")), 200);
    let_it_be_written();
    json_decref(shown("fan-in-the-attic"));
}

static void a_plain_client_cannot_touch_a_native_device(void **state)
{
    (void)state;
    struct kit_device dev;
    char before[256];
    char after[256];
    put_ok("PATCH", "/api/v1/products/lamp", json_pack("{s:s}", "plain_access", "open"), 200);
    kit_device(&kit, "24dcc30000bb", &v1, "1.0.0", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    events_of("24dcc30000bb", before, sizeof(before));
    (void)raw_send(&kit.daemon, http_update_esp32("/ota/lamp/firmware.bin", "24:DC:C3:00:00:BB",
                                                  md5_v2, "9.9.9"));
    (void)raw_send(&kit.daemon, http_update_esp32(with_token("firmware.bin"), "24:DC:C3:00:00:BB",
                                                  md5_v1, "9.9.9"));
    let_it_be_written();
    events_of("24dcc30000bb", after, sizeof(after));
    assert_string_equal(before, after);
    json_t *device = shown("24dcc30000bb");
    assert_string_equal(text_of(device, "kind"), "surefoot");
    assert_string_equal(text_of(device, "version"), "1.0.0");
    json_decref(device);
    put_ok("PATCH", "/api/v1/products/lamp", json_pack("{s:s}", "plain_access", "none"), 200);
}

static void a_revoked_device_gets_nothing(void **state)
{
    (void)state;
    const char *mac = "24:DC:C3:00:00:CC";
    assert_int_equal(
        raw_send(&kit.daemon, http_update_esp32(with_token("firmware.bin"), mac, md5_v1, NULL)),
        200);
    let_it_be_written();
    put_ok("POST", "/api/v1/devices/24dcc30000cc/revoke", NULL, 200);
    assert_int_equal(
        raw_send(&kit.daemon, http_update_esp32(with_token("firmware.bin"), mac, md5_v1, NULL)),
        403);
}

static void a_frozen_fleet_and_a_product_without_stable_release(void **state)
{
    (void)state;
    const char *mac = "24:DC:C3:00:00:DD";
    put_ok("PUT", "/api/v1/freeze", json_pack("{s:b}", "frozen", 1), 200);
    assert_int_equal(
        raw_send(&kit.daemon, http_update_esp32(with_token("firmware.bin"), mac, md5_v1, NULL)),
        304);
    assert_int_equal(raw_send(&kit.daemon, get(with_token("firmware.bin"), "")), 503);
    assert_string_equal(raw_header("Retry-After"), "300");
    assert_int_equal(raw_send(&kit.daemon, get(with_token("version.json"), "")), 503);
    put_ok("PUT", "/api/v1/freeze", json_pack("{s:b}", "frozen", 0), 200);
    stable(NULL);
    assert_int_equal(
        raw_send(&kit.daemon, http_update_esp32(with_token("firmware.bin"), mac, md5_v1, NULL)),
        304);
    assert_int_equal(raw_send(&kit.daemon, get(with_token("firmware.bin"), "")), 404);
    stable("1.1.0");
}

/* Made up MACs: all are served, few are written down. */
static void one_address_cannot_fill_the_inventory(void **state)
{
    (void)state;
    char mac[18];
    long status = 0;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(mac, sizeof(mac), "02:00:00:00:01:%02X", i);
        assert_int_equal(
            raw_send(&kit.daemon, http_update_esp32(with_token("firmware.bin"), mac, md5_v2, NULL)),
            304);
    }
    let_it_be_written();
    json_t *list = api(&kit.daemon, "GET", "/api/v1/devices?q=0200000001&limit=500", NULL, &status);
    assert_in_range(json_array_size(json_object_get(list, "items")), 1, 80);
    json_decref(list);
    struct reply r;
    call(&kit.daemon, &(struct call){.path = "/metrics", .bearer = kit.daemon.admin}, &r);
    assert_non_null(strstr((const char *)r.body, "surefoot_plain_unrecorded_total "));
    assert_null(strstr((const char *)r.body, "surefoot_plain_unrecorded_total 0\n"));
    assert_null(strstr((const char *)r.body, token));
    reply_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arduino_gets_the_image_with_its_md5_and_no_more_when_it_runs_it),
        cmocka_unit_test(an_old_arduino_core_is_up_to_date_by_the_appended_hash),
        cmocka_unit_test(an_esp8266_is_served_alike),
        cmocka_unit_test(a_file_system_image_is_not_there),
        cmocka_unit_test(esp_https_ota_is_sent_on_to_bytes_that_never_change),
        cmocka_unit_test(other_clients_get_ranges_bound_to_the_etag),
        cmocka_unit_test(version_json_says_all_that_hand_made_clients_ask_for),
        cmocka_unit_test(version_json_takes_the_shape_of_the_products_template),
        cmocka_unit_test(esphome_and_the_browser_read_one_manifest),
        cmocka_unit_test(the_endpoint_opens_to_a_token_in_each_of_its_places),
        cmocka_unit_test(a_revoked_token_a_closed_and_an_open_product),
        cmocka_unit_test(a_plain_device_has_its_place_in_the_inventory),
        cmocka_unit_test(a_plain_client_cannot_touch_a_native_device),
        cmocka_unit_test(a_revoked_device_gets_nothing),
        cmocka_unit_test(a_frozen_fleet_and_a_product_without_stable_release),
        cmocka_unit_test(one_address_cannot_fill_the_inventory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
