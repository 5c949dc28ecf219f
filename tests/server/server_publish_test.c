/* Publishing: what devices would refuse, the server refuses first, with the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "server/protocols/text.h"
#include "tests/server/fleet_kit.h"

static struct kit kit;

static int setup(void **state)
{
    (void)state;
    kit_init(&kit);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_release(&kit);
    return 0;
}

static void expect_upload(const struct kit_image *image, long status, const char *code)
{
    char got[64];
    long was = kit_upload(&kit, image, got);
    if (was != status || strcmp(got, code) != 0) {
        fail_msg("upload: %ld %s, not %ld %s", was, got, status, code);
    }
}

static void refuses_uploads_that_are_no_image(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        const char *code;
    } cases[] = {{"zero", "not_an_image"},      {"badmagic_fixsha", "not_an_image"},
                 {"truncated", "not_an_image"}, {"badck_fixsha", "not_an_image"},
                 {"badsha", "not_an_image"},    {"seg17", "not_an_image"},
                 {"trailing", "trailing_bytes"}};
    struct kit_image good;
    const struct esp_image_spec spec = {.class_uuid = kit.class_uuid, .size = 2048};
    good.len = esp_image_build(&spec, good.bytes, sizeof(good.bytes));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static uint8_t slot[4 * KIT_IMAGE_SIZE];
        struct kit_image bad;
        long used = esp_image_lay(cases[i].kind, good.bytes, good.len, slot, sizeof(slot));
        assert_true(used >= 0 && used <= (long)sizeof(bad.bytes));
        bad.len = used == 0 ? 4096 : (size_t)used;
        memcpy(bad.bytes, slot, bad.len);
        kit_image_seal(&bad);
        expect_upload(&bad, 422, cases[i].code);
        struct reply r; /* nothing of it stays */
        char path[128];
        (void)snprintf(path, sizeof(path), "/artifacts/%s", bad.hex);
        call(&kit.daemon, &(struct call){.path = path}, &r);
        assert_int_equal(r.status, 404);
        reply_release(&r);
    }
}

static void refuses_an_image_of_an_unknown_chip(void **state)
{
    (void)state;
    struct kit_image image;
    kit_image(&kit, "0.0.5", &image);
    image.bytes[12] = 0x99; /* chip_id of the header */
    image.bytes[13] = 0x7f;
    esp_image_reseal(image.bytes, image.len);
    kit_image_seal(&image);
    expect_upload(&image, 422, "not_an_image");
}

static void refuses_an_upload_under_another_name(void **state)
{
    (void)state;
    struct kit_image image;
    kit_image(&kit, "0.0.2", &image);
    image.hex[0] = image.hex[0] == '0' ? '1' : '0';
    expect_upload(&image, 422, "other_digest");
    (void)snprintf(image.hex, sizeof(image.hex), "not-a-digest");
    expect_upload(&image, 400, "bad_digest");
}

static void serves_an_upload_as_it_was_whole_and_in_ranges(void **state)
{
    (void)state;
    struct kit_image image;
    kit_image(&kit, "0.0.3", &image);
    expect_upload(&image, 201, "");
    expect_upload(&image, 200, "");
    char path[128];
    char etag[128];
    (void)snprintf(path, sizeof(path), "/artifacts/%s", image.hex);
    (void)snprintf(etag, sizeof(etag), "\"%s\"", image.hex);
    struct reply r;
    call(&kit.daemon, &(struct call){.path = path}, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.len, image.len);
    assert_memory_equal(r.body, image.bytes, image.len);
    assert_non_null(strstr(r.header, etag));
    assert_non_null(strstr(r.header, "public, immutable, max-age=31536000"));
    assert_null(strcasestr(r.header, "transfer-encoding"));
    reply_release(&r);
    call(&kit.daemon, &(struct call){.path = path, .range = "100-199"}, &r);
    assert_int_equal(r.status, 206);
    assert_int_equal(r.len, 100);
    assert_memory_equal(r.body, image.bytes + 100, 100);
    reply_release(&r);
    call(&kit.daemon, &(struct call){.method = "HEAD", .path = path}, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.len, 0);
    reply_release(&r);
}

/* Runs curl(1) with `options` on the artifact: the HTTP status; the body goes to `body`. */
static long run_curl(const char *options, const char *hex, uint8_t *body, size_t size, size_t *len)
{
    char command[1024];
    char file[DAEMON_PATH + 16];
    char said[16] = "";
    (void)snprintf(file, sizeof(file), "%s/curl.out", kit.daemon.dir);
    (void)unlink(file);
    (void)snprintf(command, sizeof(command),
                   "curl -sS --max-time 20 --noproxy '*' --cacert %s -o %s -w '%%{http_code}' %s "
                   "https://localhost:%u/artifacts/%s",
                   kit.daemon.ca, file, options, kit.daemon.port, hex);
    FILE *curl = popen(command, "re"); /* NOLINT(cert-env33-c): a command of our own */
    assert_non_null(curl);
    assert_non_null(fgets(said, sizeof(said), curl));
    assert_int_equal(pclose(curl), 0);
    FILE *f = fopen(file, "re");
    *len = f == NULL ? 0 : fread(body, 1, size, f);
    if (f != NULL) {
        (void)fclose(f);
    }
    return strtol(said, NULL, 10);
}

/* curl, which nobody here wrote, asks for every kind of range, and checks the certificate. */
static void curl_gets_the_ranges_that_it_asks_for(void **state)
{
    (void)state;
    struct kit_image image;
    kit_image(&kit, "0.0.4", &image);
    expect_upload(&image, 201, "");
    char same[128];
    char match[128];
    (void)snprintf(same, sizeof(same), "-r 10-19 -H 'If-Range: \"%s\"'", image.hex);
    (void)snprintf(match, sizeof(match), "-H 'If-None-Match: \"%s\"'", image.hex);
    const struct {
        const char *options;
        long status;
        size_t offset;
        size_t len;
    } rows[] = {
        {"", 200, 0, image.len},
        {"-r 0-0", 206, 0, 1},
        {"-r 4096-", 206, 4096, image.len - 4096},
        {"-r -100", 206, image.len - 100, 100},
        {"-r -999999", 206, 0, image.len},
        {"-r 8000-999999", 206, 8000, image.len - 8000},
        {same, 206, 10, 10},
        {"-r 10-19 -H 'If-Range: \"other\"'", 200, 0, image.len},
        {"-r 10-19 -H 'If-Range: W/\"other\"'", 200, 0, image.len},
        {"-r 0-1,4-5", 200, 0, image.len},
        {"-r 999999-", 416, 0, 0},
        {match, 304, 0, 0},
        {"-I", 200, 0, 0},
        {"-C 4096", 206, 4096, image.len - 4096},
        {"--http1.0 -r 5-6", 206, 5, 2},
        {"--tlsv1.2 --tls-max 1.2 -r 5-6", 206, 5, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static uint8_t body[2 * KIT_IMAGE_SIZE];
        size_t len = 0;
        const long status = run_curl(rows[i].options, image.hex, body, sizeof(body), &len);
        const int head = strcmp(rows[i].options, "-I") == 0; /* the file has the headers */
        if (status != rows[i].status || (!head && len != rows[i].len) ||
            memcmp(body, image.bytes + rows[i].offset, rows[i].len) != 0) {
            fail_msg("curl %s: %ld and %zu bytes", rows[i].options, status, len);
        }
    }
}

static void expect_publish(struct sf_manifest *m, const char *version, long status,
                           const char *code)
{
    char got[64];
    long was = kit_publish(&kit, m, version, got);
    if (was != status || strcmp(got, code) != 0) {
        fail_msg("publish %s: %ld %s, not %ld %s", version, was, got, status, code);
    }
}

/* Uploads an image of `spec` and publishes it. */
static void expect_image(const struct esp_image_spec *spec, long status, const char *code)
{
    struct kit_image image;
    char got[64];
    image.len = esp_image_build(spec, image.bytes, sizeof(image.bytes));
    kit_image_seal(&image);
    assert_int_equal(kit_upload(&kit, &image, got), 201);
    struct sf_manifest m;
    kit_manifest(&kit, &image, spec->version, &m);
    expect_publish(&m, spec->version, status, code);
}

static void refuses_images_that_the_product_cannot_run(void **state)
{
    (void)state;
    static const uint8_t other_class[SF_UUID_SIZE] = {1, 2, 3};
    struct esp_image_spec spec = {.version = "1.0.0", .class_uuid = other_class, .seed = 1};
    expect_image(&spec, 422, "other_class");
    spec = (struct esp_image_spec){
        .version = "1.0.0", .class_uuid = kit.class_uuid, .without_record = 1, .seed = 2};
    expect_image(&spec, 422, "no_updater_record");

    struct kit_image image;
    char got[64];
    kit_image(&kit, "1.0.0", &image);
    image.bytes[12] = SF_CHIP_ESP32S3; /* chip_id of the header */
    esp_image_reseal(image.bytes, image.len);
    kit_image_seal(&image);
    assert_int_equal(kit_upload(&kit, &image, got), 201);
    struct sf_manifest m;
    kit_manifest(&kit, &image, "1.0.0", &m);
    expect_publish(&m, "1.0.0", 422, "other_chip");
}

static void refuses_an_image_larger_than_the_slot(void **state)
{
    (void)state;
    static uint8_t bytes[KIT_SLOT_SIZE + 4096];
    const struct esp_image_spec spec = {
        .version = "1.0.0", .class_uuid = kit.class_uuid, .size = sizeof(bytes), .seed = 3};
    size_t len = esp_image_build(&spec, bytes, sizeof(bytes));
    struct kit_image name; /* digest and name only: the bytes do not fit */
    assert_int_equal(sf_sha256(crypto_openssl(), bytes, len, name.digest), SF_OK);
    struct sf_manifest m;
    name.len = 0;
    kit_image_seal(&name);
    assert_int_equal(sf_sha256(crypto_openssl(), bytes, len, name.digest), SF_OK);
    for (size_t i = 0; i < SF_SHA256_SIZE; i++) {
        (void)snprintf(name.hex + 2 * i, 3, "%02x", name.digest[i]);
    }
    char path[128];
    struct reply r;
    (void)snprintf(path, sizeof(path), "/api/v1/artifacts/%s", name.hex);
    call(&kit.daemon,
         &(struct call){.method = "PUT",
                        .path = path,
                        .bearer = kit.daemon.admin,
                        .content_type = "application/octet-stream",
                        .body = bytes,
                        .body_len = len},
         &r);
    assert_int_equal(r.status, 201);
    reply_release(&r);
    name.len = len;
    kit_manifest(&kit, &name, "1.0.0", &m);
    expect_publish(&m, "1.0.0", 422, "too_large");
}

static void expect_no_manifest(const char *path, const char *code)
{
    long status = 0;
    json_t *answer = api(&kit.daemon, NULL, path, NULL, &status);
    assert_int_equal(status, 404);
    assert_string_equal(error_code(answer), code);
    json_decref(answer);
}

static void serves_the_manifest_that_was_published(void **state)
{
    (void)state;
    struct reply r;
    struct sf_manifest m;
    struct sf_public_key key;
    char version[64];
    struct call get = {.path = "/api/v1/products/lamp/releases/1.0.0/manifests/A"};
    call(&kit.daemon, &get, &r);
    assert_int_equal(r.status, 401);
    reply_release(&r);
    get.bearer = kit.daemon.admin;
    call(&kit.daemon, &get, &r);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.header, "application/suit-envelope+cose"));
    const struct sf_bytes envelope = {r.body, r.len};
    assert_int_equal(sf_public_key_init(&key, crypto_openssl(), kit.release_key.public_key.xy),
                     SF_OK);
    assert_int_equal(sf_manifest_open(envelope, &key, crypto_openssl(), &m, NULL), SF_OK);
    sf_manifest_version_text(&m, version);
    assert_string_equal(version, "1.0.0"); /* of the test before */
    assert_memory_equal(m.class_uuid, kit.class_uuid, SF_UUID_SIZE);
    reply_release(&r);
    expect_no_manifest("/api/v1/products/lamp/releases/1.0.0/manifests/Z", "no_such_hw_revision");
    expect_no_manifest("/api/v1/products/lamp/releases/0.0.8/manifests/A", "no_such_release");
    expect_no_manifest("/api/v1/products/lump/releases/1.0.0/manifests/A", "no_such_product");
}

static void refuses_manifests_that_do_not_fit(void **state)
{
    (void)state;
    struct kit_image image;
    char got[64];
    kit_image(&kit, "1.0.0", &image);
    assert_int_equal(kit_upload(&kit, &image, got), 201);
    struct sf_manifest good;
    kit_manifest(&kit, &image, "1.0.0", &good);

    struct sf_manifest m = good;
    m.class_uuid[0] ^= 1;
    expect_publish(&m, "1.0.0", 422, "other_class");
    m = good;
    m.image_size++;
    expect_publish(&m, "1.0.0", 422, "other_size");
    m = good;
    m.image_digest[0] ^= 1;
    expect_publish(&m, "1.0.0", 422, "no_such_artifact");
    m = good;
    m.seq++;
    expect_publish(&m, "1.0.0", 422, "bad_seq");
    m = good;
    m.seq += 2;
    expect_publish(&m, "1.0.0", 422, "bad_seq");
    m = good;
    expect_publish(&m, "1.0.1", 422, "other_version");
    m = good;
    expect_publish(&m, "1.0.0 beta", 400, "bad_field");

    struct p256_key other;
    struct p256_signer signer = kit.release_signer;
    assert_int_equal(p256_key_generate(&other), SF_OK);
    assert_int_equal(p256_signer_init(&kit.release_signer, &other), SF_OK);
    m = good;
    expect_publish(&m, "1.0.0", 422, "other_key");
    memcpy(kit.release_signer.public_key.kid, signer.public_key.kid, SF_KID_SIZE);
    m = good;
    expect_publish(&m, "1.0.0", 422, "bad_signature");
    p256_signer_release(&kit.release_signer);
    p256_key_release(&other);
    kit.release_signer = signer;

    m = good;
    expect_publish(&m, "1.0.0", 201, "");
    m = good;
    expect_publish(&m, "1.0.0", 422, "bad_seq"); /* the same once more */
    m = good;
    m.seq = kit_seq(&kit);
    expect_publish(&m, "1.0.0", 409, "exists");
    m = good;
    m.seq -= m.seq > 2 ? 2 : 0; /* reserved, but below what is published */
    expect_publish(&m, "1.0.1", 422, m.seq == good.seq ? "other_version" : "bad_seq");
}

static void refuses_a_lower_secure_version_than_before(void **state)
{
    (void)state;
    struct esp_image_spec spec = {
        .version = "2.0.0", .class_uuid = kit.class_uuid, .secure_version = 2, .seed = 20};
    expect_image(&spec, 201, "");
    spec = (struct esp_image_spec){
        .version = "2.1.0", .class_uuid = kit.class_uuid, .secure_version = 1, .seed = 21};
    expect_image(&spec, 422, "lower_secure_version");
    spec = (struct esp_image_spec){
        .version = "2.2.0", .class_uuid = kit.class_uuid, .secure_version = 2, .seed = 22};
    expect_image(&spec, 201, "");
}

/* Uploads the image and posts its release, with the fields of `more`; `code` as of kit_upload(). */
static long post_image(const struct esp_image_spec *spec, json_t *more, char code[64])
{
    struct kit_image image;
    image.len = esp_image_build(spec, image.bytes, sizeof(image.bytes));
    kit_image_seal(&image);
    assert_in_range(kit_upload(&kit, &image, code), 200, 201); /* 200: it was there */
    struct sf_manifest m;
    kit_manifest(&kit, &image, spec->version, &m);
    uint8_t envelope[SF_ENVELOPE_MAX];
    char coded[2 * SF_ENVELOPE_MAX];
    struct sf_signer signer = p256_signer_as_sf(&kit.release_signer);
    int32_t len = sf_manifest_sign(&m, &signer, crypto_openssl(), envelope, sizeof(envelope));
    assert_true(len > 0);
    text_base64(envelope, (size_t)len, coded);
    json_t *body = json_pack("{s:s, s:[{s:s, s:s}]}", "version", spec->version, "manifests",
                             "hw_revision", "A", "envelope", coded);
    assert_int_equal(json_object_update(body, more), 0);
    json_decref(more);
    long status = 0;
    json_t *answer = api(&kit.daemon, "POST", "/api/v1/products/lamp/releases", body, &status);
    (void)snprintf(code, 64, "%s", error_code(answer));
    json_decref(answer);
    return status;
}

static void refuses_to_permit_a_burn_of_nothing(void **state)
{
    (void)state;
    char code[64];
    const struct esp_image_spec spec = {
        .version = "1.9.0", .class_uuid = kit.class_uuid, .seed = 19};
    assert_int_equal(post_image(&spec, json_pack("{s:b}", "allow_burn", 1), code), 422);
    assert_string_equal(code, "nothing_to_burn");
    assert_int_equal(post_image(&spec, json_pack("{s:s}", "allow_burn", "yes"), code), 400);
    assert_string_equal(code, "bad_field");
}

static void takes_an_image_without_record_when_forced_by_name(void **state)
{
    (void)state;
    char code[64];
    const struct esp_image_spec spec = {.version = "3.0.0",
                                        .class_uuid = kit.class_uuid,
                                        .secure_version = 2,
                                        .without_record = 1,
                                        .seed = 30};
    assert_int_equal(post_image(&spec, json_pack("{s:[s]}", "force", "no-record"), code), 201);
}

static void shows_what_was_published(void **state)
{
    (void)state;
    long status = 0;
    json_t *r = api(&kit.daemon, "GET", "/api/v1/products/lamp/releases/2.0.0", NULL, &status);
    assert_int_equal(status, 200);
    assert_string_equal(json_string_value(json_object_get(r, "version")), "2.0.0");
    assert_string_equal(json_string_value(json_object_get(r, "created_by")), "admin");
    const json_t *m = json_array_get(json_object_get(r, "manifests"), 0);
    assert_string_equal(json_string_value(json_object_get(m, "hw_revision")), "A");
    assert_int_equal(json_integer_value(json_object_get(m, "size")), 8192);
    json_decref(r);
    r = api(&kit.daemon, "GET", "/api/v1/products/lamp/releases", NULL, &status);
    assert_int_equal(json_array_size(json_object_get(r, "items")), 4);
    json_decref(r);
    json_decref(api(&kit.daemon, "GET", "/api/v1/products/lamp/releases/9", NULL, &status));
    assert_int_equal(status, 404);
    json_decref(api(&kit.daemon, "PUT", "/api/v1/products/lamp/target",
                    json_pack("{s:s}", "version", "9"), &status));
    assert_int_equal(status, 404);
}

static void refuses_a_body_over_the_limit(void **state)
{
    (void)state;
    static char body[70000];
    memset(body, ' ', sizeof(body));
    struct reply r;
    call(&kit.daemon,
         &(struct call){.path = "/api/v1/products",
                        .bearer = kit.daemon.admin,
                        .content_type = "application/json",
                        .body = body,
                        .body_len = sizeof(body)},
         &r);
    assert_int_equal(r.status, 413);
    reply_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_uploads_that_are_no_image),
        cmocka_unit_test(refuses_an_image_of_an_unknown_chip),
        cmocka_unit_test(refuses_an_upload_under_another_name),
        cmocka_unit_test(serves_an_upload_as_it_was_whole_and_in_ranges),
        cmocka_unit_test(curl_gets_the_ranges_that_it_asks_for),
        cmocka_unit_test(refuses_images_that_the_product_cannot_run),
        cmocka_unit_test(refuses_an_image_larger_than_the_slot),
        cmocka_unit_test(refuses_manifests_that_do_not_fit),
        cmocka_unit_test(serves_the_manifest_that_was_published),
        cmocka_unit_test(refuses_to_permit_a_burn_of_nothing),
        cmocka_unit_test(refuses_a_lower_secure_version_than_before),
        cmocka_unit_test(takes_an_image_without_record_when_forced_by_name),
        cmocka_unit_test(shows_what_was_published),
        cmocka_unit_test(refuses_a_body_over_the_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
