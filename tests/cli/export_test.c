/* surefoot release export against the real surefootd: what is in the folder, what is refused, and
 * that nothing in it ever points at what is not there. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/p256.h"
#include "base/uuid.h"
#include "formats/manifest.h"
#include "formats/md5.h"
#include "tests/cli/https.h"
#include "tests/cli/served.h"
#include "tests/cli/shop.h"
#include "tests/support/vectors.h"

static struct shop shop;
static struct sf_public_key release_key;
static const char *dir;

static int setup(void **state)
{
    struct p256_key key;
    if (run_setup(state) != 0) {
        return -1;
    }
    shop_open(&shop);
    shop_publish(&shop, "1.0.0", 1, NULL);
    shop_publish(&shop, "1.1.0", 2, NULL);
    dir = run_path("public");
    assert_int_equal(p256_key_load_private(&key, shop.key), SF_OK);
    assert_int_equal(sf_public_key_init(&release_key, crypto_openssl(), key.public_key.xy), SF_OK);
    p256_key_release(&key);
    return 0;
}

static int teardown(void **state)
{
    const int failed = served_stop();
    return run_teardown(state) | failed;
}

static int fresh(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-rf", dir, run_path("outside"), NULL};
    return run_program(argv)->status;
}

/* A path in the folder. */
static const char *in(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "public/%s%s", folder, name);
    return run_path(path);
}

static const char *manifest_of(const uint8_t class_uuid[SF_UUID_SIZE])
{
    char name[UUID_TEXT_SIZE + 8];
    uuid_text(class_uuid, name);
    memcpy(name + UUID_TEXT_SIZE - 1, ".suit", 6);
    return in("manifests/", name);
}

static int is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The version that a class' manifest names, after the manifest has verified and its image has been
 * found and hashed. */
static const char *verified_version(const uint8_t class_uuid[SF_UUID_SIZE])
{
    static char version[64];
    struct sf_manifest m;
    uint8_t digest[SF_SHA256_SIZE];
    size_t len = 0;
    uint8_t *envelope = run_read(manifest_of(class_uuid), &len);
    const struct sf_bytes bytes = {envelope, len};
    assert_int_equal(sf_manifest_open(bytes, &release_key, crypto_openssl(), &m, NULL), SF_OK);
    free(envelope);
    assert_memory_equal(m.class_uuid, class_uuid, SF_UUID_SIZE);
    uint8_t *image = run_read(in("", m.uri + 1), &len);
    assert_int_equal(len, m.image_size);
    assert_int_equal(sf_sha256(crypto_openssl(), image, len, digest), SF_OK);
    free(image);
    assert_memory_equal(digest, m.image_digest, SF_SHA256_SIZE);
    sf_manifest_version_text(&m, version);
    return version;
}

/* The plain documents of a folder agree with its firmware.bin. */
static void check_plain(const char *folder, const char *version)
{
    uint8_t md5[SF_MD5_SIZE];
    char text[2 * SF_MD5_SIZE + 1];
    char path[256];
    size_t len = 0;
    snprintf(path, sizeof path, "public/%s/firmware.bin", folder);
    uint8_t *image = run_read(run_path(path), &len);
    sf_md5(image, len, md5);
    free(image);
    hex_encode(md5, sizeof md5, text);
    snprintf(path, sizeof path, "public/%s/version.json", folder);
    json_t *v = shop_json(run_path(path));
    assert_string_equal(vectors_text(v, "version"), version);
    assert_string_equal(vectors_text(v, "md5"), text);
    assert_int_equal(json_integer_value(json_object_get(v, "size")), len);
    assert_true(is_there(in("artifacts/", vectors_text(v, "sha256"))));
    json_decref(v);
    snprintf(path, sizeof path, "public/%s/firmware.bin.md5", folder);
    uint8_t *file = run_read(run_path(path), &len);
    assert_int_equal(len, 2 * SF_MD5_SIZE);
    assert_memory_equal(file, text, len);
    free(file);
    snprintf(path, sizeof path, "public/%s/manifest.json", folder);
    json_t *m = shop_json(run_path(path));
    const json_t *build = json_array_get(json_object_get(m, "builds"), 0);
    assert_string_equal(vectors_text(build, "chipFamily"), "ESP32-C3");
    assert_string_equal(vectors_text(json_object_get(build, "ota"), "md5"), text);
    json_decref(m);
}

/* ---- what is in it ---- */

static void the_latest_release_is_there_whole(void **state)
{
    (void)state;
    struct run *r = shop_export(dir, "--json", NULL, NULL);
    run_expect(r, 0, "ota/lamp/version.json");
    json_t *told = run_json(r);
    assert_string_equal(vectors_text(told, "version"), "1.1.0");
    assert_int_equal(json_array_size(json_object_get(told, "files")), 6);
    json_decref(told);
    assert_string_equal(verified_version(shop.class_a), "1.1.0");
    assert_false(is_there(manifest_of(shop.class_b)));
    check_plain("ota/lamp", "1.1.0");
}

static void urls_are_whole_where_the_base_is_told(void **state)
{
    (void)state;
    run_expect(shop_export(dir, "--base-url", "https://fw.example.com/lamps/", NULL), 0, "lamp");
    json_t *v = shop_json(run_path("public/ota/lamp/version.json"));
    const char *url = vectors_text(v, "url");
    assert_memory_equal(url, "https://fw.example.com/lamps/artifacts/", 39);
    assert_int_equal(strlen(url), 39 + 2 * SF_SHA256_SIZE);
    assert_string_equal(vectors_text(v, "host"), "fw.example.com");
    assert_int_equal(json_integer_value(json_object_get(v, "port")), 443);
    assert_string_equal(vectors_text(v, "bin"), "/lamps/ota/lamp/firmware.bin");
    json_decref(v);
}

static void an_unchanged_export_writes_nothing(void **state)
{
    (void)state;
    struct stat before;
    struct stat after;
    run_expect(shop_export(dir, NULL, NULL, NULL), 0, ", written");
    assert_int_equal(stat(manifest_of(shop.class_a), &before), 0);
    struct run *r = shop_export(dir, NULL, NULL, NULL);
    run_expect(r, 0, ", unchanged");
    assert_null(strstr(r->err, ", written"));
    assert_int_equal(stat(manifest_of(shop.class_a), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void a_later_export_updates_and_keeps_the_images_before(void **state)
{
    (void)state;
    run_expect(shop_export(dir, "--version", "1.0.0", NULL), 0, "written");
    assert_string_equal(verified_version(shop.class_a), "1.0.0");
    json_t *v = shop_json(run_path("public/ota/lamp/version.json"));
    const char *old = in("artifacts/", vectors_text(v, "sha256"));
    json_decref(v);
    run_expect(shop_export(dir, NULL, NULL, NULL), 0, "written");
    assert_string_equal(verified_version(shop.class_a), "1.1.0");
    assert_true(is_there(old)); /* a device may be in the middle of it */
    run_expect(shop_export(dir, "--prune", NULL, NULL), 0, "removed, nothing names it");
    assert_false(is_there(old));
    assert_string_equal(verified_version(shop.class_a), "1.1.0");
}

static void going_back_is_pointed_out(void **state)
{
    (void)state;
    run_expect(shop_export(dir, NULL, NULL, NULL), 0, "written");
    run_expect(shop_export(dir, "--version", "1.0.0", NULL), 0,
               "the folder had 1.1.0, which is newer");
}

static void several_images_have_a_folder_each(void **state)
{
    (void)state;
    const struct esp_image_spec a = {
        .size = SHOP_IMAGE_SIZE, .seed = 3, .class_uuid = shop.class_a, .version = "1.2.0"};
    const struct esp_image_spec b = {
        .size = SHOP_IMAGE_SIZE, .seed = 4, .class_uuid = shop.class_b, .version = "1.2.0"};
    run_expect(shop_export(dir, "--version", "1.1.0", NULL), 0, "written");
    run_expect(run_surefoot("release", "publish", shop_image("a.bin", &a), shop_image("b.bin", &b),
                            "-p", "lamp", "-k", shop.key, NULL),
               0, NULL);
    run_expect(shop_export(dir, NULL, NULL, NULL), 0, "ota/lamp: 4 files removed");
    assert_string_equal(verified_version(shop.class_a), "1.2.0");
    assert_string_equal(verified_version(shop.class_b), "1.2.0");
    check_plain("ota/lamp/A", "1.2.0");
    check_plain("ota/lamp/B", "1.2.0");
    assert_false(is_there(run_path("public/ota/lamp/version.json")));
    json_t *v = shop_json(run_path("public/ota/lamp/B/version.json"));
    assert_memory_equal(vectors_text(v, "url"), "../../../artifacts/", 19);
    json_decref(v);
    /* for the tests after this one 1.1.0 is named */
}

static void a_plain_product_has_no_manifests(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {.size = SHOP_IMAGE_SIZE, .without_record = 1, .seed = 9};
    run_expect(run_surefoot("product", "create", "fan", "--kind", "plain", "--chip", "esp32c3",
                            "--vendor", "example.com", "--slot-size", "65536", "--enrol-token",
                            run_path("fan.token"), NULL),
               0, "fan.token");
    run_expect(run_surefoot("release", "export", dir, "-p", "fan", NULL), 1,
               "nothing is published");
    run_expect(run_surefoot("release", "publish", shop_image("p.bin", &spec), "-p", "fan", NULL), 0,
               NULL);
    run_expect(run_surefoot("release", "export", dir, "-p", "fan", NULL), 0, "written");
    check_plain("ota/fan", "1.0.0");
    assert_false(is_there(run_path("public/manifests")));
    /* and another product in the same folder leaves it alone */
    run_expect(shop_export(dir, "--version", "1.1.0", "--prune"), 0, "written");
    check_plain("ota/fan", "1.0.0");
    assert_string_equal(verified_version(shop.class_a), "1.1.0");
}

/* ---- pruning ---- */

static void only_what_nothing_names_is_pruned(void **state)
{
    (void)state;
    run_expect(shop_export(dir, "--version", "1.1.0", NULL), 0, "written");
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    const char *unnamed = in("artifacts/", zeros);
    run_write(unnamed, "x", 1);
    run_write(run_path("public/artifacts/.half.new"), "x", 1);
    run_write(run_path("public/artifacts/README"), "x", 1);
    struct run *r = shop_export(dir, "--version", "1.1.0", "--prune");
    run_expect(r, 0, "removed");
    assert_false(is_there(unnamed));
    assert_false(is_there(run_path("public/artifacts/.half.new")));
    assert_true(is_there(run_path("public/artifacts/README"))); /* not ours */
    assert_string_equal(verified_version(shop.class_a), "1.1.0");
}

static void nothing_is_pruned_where_something_cannot_be_read(void **state)
{
    (void)state;
    run_expect(shop_export(dir, "--version", "1.0.0", NULL), 0, "written");
    run_write(run_path("public/manifests/other.suit"), "x", 1);
    run_expect(shop_export(dir, "--version", "1.1.0", "--prune"), 1, "nothing was removed");
    assert_int_equal(unlink(run_path("public/manifests/other.suit")), 0);
    assert_int_equal(mkdir(run_path("public/ota/other"), 0755), 0);
    assert_int_equal(symlink("/etc/hostname", run_path("public/ota/other/version.json")), 0);
    run_expect(shop_export(dir, "--version", "1.1.0", "--prune"), 4, "cannot read '");
    assert_int_equal(unlink(run_path("public/ota/other/version.json")), 0);
    run_expect(shop_export(dir, "--version", "1.1.0", "--prune"), 0, "removed");
}

static void a_products_template_forms_its_version_json(void **state)
{
    (void)state;
    const char *template = run_path("template.json");
    static const char text[] =
        "{\"v\": \"{version}\", \"p\": \"{port}\", \"at\": \"{host}{path}\", "
        "\"get\": \"{url}\"}";
    run_write(template, text, sizeof text - 1);
    run_expect(run_surefoot("product", "set", "lamp", "--version-template", template, NULL), 0,
               NULL);
    run_expect(shop_export(dir, "--version", "1.0.0", NULL), 0, "written");
    run_expect(run_surefoot("release", "export", dir, "-p", "lamp", "--version", "1.1.0", "--prune",
                            "--base-url", "https://fw.example.com:8444/x/", NULL),
               0, "removed");
    json_t *v = shop_json(run_path("public/ota/lamp/version.json"));
    assert_string_equal(vectors_text(v, "v"), "1.1.0");
    assert_int_equal(json_integer_value(json_object_get(v, "p")), 8444);
    assert_string_equal(vectors_text(v, "at"), "fw.example.com/x/ota/lamp/firmware.bin");
    const char *url = vectors_text(v, "get");
    assert_memory_equal(url, "https://fw.example.com:8444/x/artifacts/", 40);
    assert_true(is_there(in("artifacts/", url + 40))); /* found in it, whatever its form */
    json_decref(v);
}

/* ---- refusals ---- */

static void wrong_command_lines_are_told(void **state)
{
    (void)state;
    run_expect(run_surefoot("release", "export", dir, NULL), 2, "--product NAME is missing");
    run_expect(run_surefoot("release", "export", NULL), 2, "something is missing: wanted DIR");
    run_expect(run_surefoot("release", "export", dir, "-p", "../x", NULL), 2, "no product's name");
    run_expect(run_surefoot("release", "export", dir, "-p", "fridge", NULL), 1, "fridge");
    run_expect(shop_export(dir, "--version", "9.9.9", NULL), 1, "9.9.9");
    run_expect(shop_export(dir, "--base-url", "fw.example.com", NULL), 2, "is no URL");
    assert_false(is_there(dir)); /* nothing is made for a mistake */
    run_write(run_path("public"), "x", 1);
    run_expect(shop_export(dir, "--version", "1.1.0", NULL), 4, "cannot open the folder");
}

static void another_key_than_ones_own_is_refused_before_a_byte_is_written(void **state)
{
    (void)state;
    const char *other = run_path("other.pem");
    if (!is_there(other)) {
        run_expect(run_surefoot("key", "new", "--no-passphrase", other, NULL), 0, "0600");
    }
    run_expect(run_surefoot("release", "export", dir, "-p", "lamp", "--version", "1.1.0",
                            "--release-key", other, NULL),
               1, "signed with an unknown key");
    assert_false(is_there(run_path("public/artifacts")));
    run_expect(run_surefoot("release", "export", dir, "-p", "lamp", "--version", "1.1.0",
                            "--release-key", shop.key, NULL),
               0, "written");
}

/* The server's copy of an artifact; `hex` is changed in it, and changed back. */
static const char *artifact_on_server(const char *hex)
{
    static char path[512];
    const char *const argv[] = {"find", run_path("data"), "-name", hex, "-type", "f", NULL};
    const char *found = run_program(argv)->out;
    snprintf(path, sizeof path, "%.*s", (int)strcspn(found, "\n"), found);
    assert_true(path[0] == '/');
    return path;
}

static void flip_byte(const char *path, off_t at)
{
    uint8_t byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void an_image_that_was_tampered_with_is_refused_or_mended(void **state)
{
    (void)state;
    run_expect(shop_export(dir, "--version", "1.1.0", NULL), 0, "written");
    json_t *v = shop_json(run_path("public/ota/lamp/version.json"));
    const char *hex = vectors_text(v, "sha256");
    const char *here = in("artifacts/", hex);
    flip_byte(here, 5000);
    run_expect(shop_export(dir, "--version", "1.1.0", NULL), 0, "written"); /* from the server */
    assert_string_equal(verified_version(shop.class_a), "1.1.0");
    assert_int_equal(unlink(here), 0);
    const char *there = artifact_on_server(hex);
    flip_byte(there, 5000);
    run_expect(shop_export(dir, "--version", "1.1.0", NULL), 1,
               "another image than its digest says");
    flip_byte(there, 5000);
    assert_false(is_there(here));
    run_expect(shop_export(dir, "--version", "1.1.0", NULL), 0, "written");
    assert_string_equal(verified_version(shop.class_a), "1.1.0");
    json_decref(v);
}

static void links_out_of_the_folder_are_not_followed(void **state)
{
    (void)state;
    static const char *const folders[] = {"artifacts", "manifests", "ota"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)fresh(NULL);
        assert_int_equal(mkdir(dir, 0755), 0);
        assert_int_equal(mkdir(run_path("outside"), 0755), 0);
        assert_int_equal(symlink(run_path("outside"), in("", folders[i])), 0);
        run_expect(shop_export(dir, "--version", "1.1.0", NULL), 4, "it is not followed");
        assert_int_equal(rmdir(run_path("outside")), 0); /* still empty */
        assert_false(is_there(run_path("public/ota/lamp/version.json")));
    }
}

/* What a server that is not to be trusted answers. */
static void answers_that_cannot_be_used_are_refused(void **state)
{
    (void)state;
#define RELEASE(version, hw, sha)                                           \
    "{\"version\": \"" version                                              \
    "\", \"state\": \"published\", \"manifests\": [{\"hw_revision\": \"" hw \
    "\", \"sha256\": \"" sha                                                \
    "\", \"size\": 9, \"class_uuid\": \"5a110000-0000-0000-0000-000000000000\"}]}"
    static const char plain[] = "{\"kind\": \"plain\"}";
    static const struct {
        const char *release;
        const char *said;
        int status;
    } cases[] = {
        {RELEASE("1.0.0\\u001b[2J", "A", "00"), "no version that can be printed", 3},
        {RELEASE("1.0.0", "../../etc", "00"), "does not do as the name of a folder", 1},
        {RELEASE("1.0.0", "A", "../../../x"), "lacks digest, size or class", 1},
        {"{\"version\": \"1.0.0\", \"state\": \"published\"}", "has no images", 3},
        {"{\"version\": \"1.0.0\", \"state\": \"withdrawn\"}", "it is withdrawn", 1},
    };
    const char *tls = run_path("tls");
    const char *config = run_path("hostile.json");
    https_make_identity(tls, time(NULL));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct https host;
        const struct https_answer script[] = {{200, NULL, plain}, {200, NULL, cases[i].release}};
        https_start(&host, tls, script, 2);
        run_expect(run_surefoot("login", host.url, "--ca", run_path("tls/ca.pem"), "--token-file",
                                run_path("data/admin-token"), "--no-check", "--config", config,
                                NULL),
                   0, NULL);
        run_expect(run_surefoot("release", "export", dir, "-p", "lamp", "--version", "1.0.0",
                                "--config", config, NULL),
                   cases[i].status, cases[i].said);
        https_stop(&host);
        assert_false(is_there(run_path("public/artifacts")));
    }
}

/* ---- in between ---- */

/* With no more than `kib` KiB a file, as on a disk that is full: which of the files that is depends
 * on its size. */
static struct run *export_on_a_full_disk(const char *kib, const char *version)
{
    char script[512];
    snprintf(script, sizeof script,
             "trap '' XFSZ; ulimit -f %s; exec " SF_BIN_DIR
             "/surefoot release export '%s' -p lamp --version %s",
             kib, dir, version);
    const char *const argv[] = {"bash", "-c", script, NULL};
    return run_program(argv);
}

static void on_a_full_disk_the_release_before_stays(void **state)
{
    (void)state;
    run_expect(shop_export(dir, "--version", "1.0.0", NULL), 0, "written");
    run_expect(export_on_a_full_disk("8", "1.1.0"), 4, "File too large");
    assert_string_equal(verified_version(shop.class_a), "1.0.0");
    check_plain("ota/lamp", "1.0.0");
    const char *const argv[] = {"find", dir, "-name", ".*.new", NULL};
    assert_string_equal(run_program(argv)->out, "");
    run_expect(shop_export(dir, "--version", "1.1.0", NULL), 0, "written");
    assert_string_equal(verified_version(shop.class_a), "1.1.0");
}

/* Whatever is named is there: of the manifest by its digest, of version.json by its own. */
static void check_consistent(void)
{
    if (is_there(manifest_of(shop.class_a))) {
        (void)verified_version(shop.class_a);
    }
    if (is_there(run_path("public/ota/lamp/version.json"))) {
        json_t *v = shop_json(run_path("public/ota/lamp/version.json"));
        assert_true(is_there(in("artifacts/", vectors_text(v, "sha256"))));
        json_decref(v);
    }
}

static void a_killed_export_leaves_nothing_that_points_nowhere(void **state)
{
    (void)state;
    const unsigned rounds = run_full() ? 200 : 20;
    for (unsigned i = 0; i < rounds; i++) {
        char script[512];
        snprintf(script, sizeof script,
                 SF_BIN_DIR "/surefoot release export '%s' -p lamp --version %s --prune & "
                            "sleep 0.%03u; kill -9 $!; wait $! 2>/dev/null; true",
                 dir, i % 2 ? "1.0.0" : "1.1.0", 20 + i * 37 % 180);
        const char *const argv[] = {"bash", "-c", script, NULL};
        assert_int_equal(run_program(argv)->status, 0);
        check_consistent();
    }
    run_expect(shop_export(dir, "--version", "1.1.0", "--prune"), 0, "");
    assert_string_equal(verified_version(shop.class_a), "1.1.0");
}

static void the_stable_release_goes_before_the_latest(void **state)
{
    (void)state;
    run_expect(run_surefoot("plain", "stable", "lamp", "1.0.0", NULL), 0, NULL);
    run_expect(shop_export(dir, NULL, NULL, NULL), 0, "written");
    assert_string_equal(verified_version(shop.class_a), "1.0.0");
    run_expect(run_surefoot("plain", "stable", "lamp", "none", NULL), 0, NULL);
    run_expect(shop_export(dir, NULL, NULL, NULL), 0, "written");
    assert_string_equal(verified_version(shop.class_a), "1.2.0");
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_latest_release_is_there_whole),
        TEST(urls_are_whole_where_the_base_is_told),
        TEST(an_unchanged_export_writes_nothing),
        TEST(a_later_export_updates_and_keeps_the_images_before),
        TEST(going_back_is_pointed_out),
        TEST(several_images_have_a_folder_each),
        TEST(a_plain_product_has_no_manifests),
        TEST(only_what_nothing_names_is_pruned),
        TEST(nothing_is_pruned_where_something_cannot_be_read),
        TEST(wrong_command_lines_are_told),
        TEST(another_key_than_ones_own_is_refused_before_a_byte_is_written),
        TEST(an_image_that_was_tampered_with_is_refused_or_mended),
        TEST(answers_that_cannot_be_used_are_refused),
        TEST(links_out_of_the_folder_are_not_followed),
        TEST(on_a_full_disk_the_release_before_stays),
        TEST(a_killed_export_leaves_nothing_that_points_nowhere),
        TEST(the_stable_release_goes_before_the_latest),
        TEST(a_products_template_forms_its_version_json), /* changes the product: last */
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
