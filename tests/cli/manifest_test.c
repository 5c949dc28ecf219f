/* surefoot manifest: sign, verify, show; openssl checks the signature too. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/uuid.h"
#include "formats/manifest.h"
#include "tests/cli/run.h"
#include "tests/support/esp_image.h"
#include "tests/support/vectors.h"

enum { SIZE = 8192 };

static const char draft_key[] = "8496811aae0baaabd26157189eecda26beaa8bf11b6f3fe6e2b5659c85dbc0ad"
                                "3b1f2a4b6c098131c0a36dacd1d78bd381dcdfb09c052db33991db7338b4a896";
static const char *image_path;
static const char *key_path;
static const char *envelope_path;

static void write_image(const struct esp_image_spec *spec)
{
    static uint8_t image[SIZE];
    run_write(image_path, image, esp_image_build(spec, image, sizeof image));
}

/* A key and an image for example.com's product lamp, hardware revision A. */
static int setup(void **state)
{
    uint8_t vendor[UUID_SIZE];
    uint8_t class_uuid[UUID_SIZE];
    if (run_setup(state) != 0 || uuid_vendor("example.com", vendor) != SF_OK ||
        uuid_class(vendor, "lamp", "A", class_uuid) != SF_OK) {
        return -1;
    }
    image_path = run_path("app.bin");
    key_path = run_path("release.pem");
    envelope_path = run_path("app.suit");
    const struct esp_image_spec spec = {
        .size = SIZE, .version = "1.2.0-rc.1", .class_uuid = class_uuid};
    write_image(&spec);
    return run_surefoot("key", "new", "--no-passphrase", key_path, NULL)->status;
}

static struct run *sign_as(const char *product, const char *seq)
{
    return run_surefoot("manifest", "sign", "--vendor", "example.com", "--product", product,
                        "--hw-revision", "A", "--image", image_path, "--key", key_path, "--seq",
                        seq, "-o", envelope_path, NULL);
}

static uint8_t *sign_and_read(size_t *len)
{
    run_expect(sign_as("lamp", "2"), 0, NULL);
    return run_read(envelope_path, len);
}

static void a_signed_manifest_verifies_and_says_what_was_signed(void **state)
{
    (void)state;
    run_expect(sign_as("lamp", "2"), 0, NULL);
    struct run *r = run_surefoot("manifest", "verify", "--json", "--key", key_path, "--vendor",
                                 "example.com", "--product", "lamp", "--hw-revision", "A",
                                 "--image", image_path, envelope_path, NULL);
    run_expect(r, 0, NULL);
    json_t *answer = run_json(r);
    const json_t *m = json_object_get(answer, "manifest");
    assert_true(json_is_true(json_object_get(answer, "ok")));
    assert_string_equal(vectors_text(m, "version"), "1.2.0-rc.1");
    assert_int_equal(json_integer_value(json_object_get(m, "seq")), 2);
    assert_int_equal(json_integer_value(json_object_get(m, "image_size")), SIZE);
    char uri[96];
    snprintf(uri, sizeof uri, "/artifacts/%s", vectors_text(m, "image_sha256"));
    assert_string_equal(vectors_text(m, "uri"), uri);
    /* python3 -c 'import uuid; v = uuid.uuid5(uuid.NAMESPACE_DNS, "example.com"); print(v,
     * uuid.uuid5(v, "lamp:A"))' */
    assert_string_equal(vectors_text(m, "vendor_uuid"), "cfbff0d1-9375-5685-968c-48ce8b15ae17");
    assert_string_equal(vectors_text(m, "class_uuid"), "b0c269c7-8862-500c-bced-2bc1742e42f0");
    json_decref(answer);
}

static void show_prints_the_same_without_a_key(void **state)
{
    (void)state;
    run_expect(sign_as("lamp", "4"), 0, NULL);
    json_t *verified = run_json(
        run_surefoot("manifest", "verify", "--json", "--key", key_path, envelope_path, NULL));
    json_t *shown = run_json(run_surefoot("manifest", "show", "--json", envelope_path, NULL));
    assert_true(json_equal(json_object_get(verified, "manifest"), shown));
    json_decref(verified);
    json_decref(shown);
    struct run *r = run_surefoot("manifest", "show", envelope_path, NULL);
    run_expect(r, 0, "nothing was verified");
    assert_non_null(strstr(r->out, "version            1.2.0-rc.1\n"));
}

static void the_public_key_verifies_as_pem_and_as_hex(void **state)
{
    (void)state;
    const char *public_path = run_path("release.pub.pem");
    run_expect(sign_as("lamp", "2"), 0, NULL);
    const char *const argv[] = {"openssl", "pkey", "-in",       key_path,
                                "-pubout", "-out", public_path, NULL};
    run_expect(run_program(argv), 0, NULL);
    run_expect(run_surefoot("manifest", "verify", "--key", public_path, envelope_path, NULL), 0,
               NULL);
    json_t *key = run_json(run_surefoot("key", "show", "--json", key_path, NULL));
    run_expect(run_surefoot("manifest", "verify", "--key-hex", vectors_text(key, "public_key"),
                            envelope_path, NULL),
               0, NULL);
    run_expect(run_surefoot("manifest", "verify", "--signature-only", "--key-hex",
                            vectors_text(key, "public_key"), envelope_path, NULL),
               0, NULL);
    json_decref(key);
}

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *envelope = sign_and_read(&len);
    const char *path = run_path("flipped.suit");
    for (size_t i = 0; i < len; i += run_full() ? 1 : 3) {
        envelope[i] ^= (uint8_t)(1U << i % 8);
        run_write(path, envelope, len);
        struct run *r = run_surefoot("manifest", "verify", "--key", key_path, path, NULL);
        run_expect(r, 1, "is refused: ");
        assert_string_equal(r->out, "");
        envelope[i] ^= (uint8_t)(1U << i % 8);
    }
    run_write(path, envelope, len - 1);
    run_expect(run_surefoot("manifest", "verify", "--key", key_path, path, NULL), 1, "is refused");
    free(envelope);
}

static void another_key_is_refused(void **state)
{
    (void)state;
    const char *other = run_path("other.pem");
    run_expect(sign_as("lamp", "2"), 0, NULL);
    run_expect(run_surefoot("key", "new", "--no-passphrase", "--force", other, NULL), 0, "0600");
    struct run *r =
        run_surefoot("manifest", "verify", "--json", "--key", other, envelope_path, NULL);
    run_expect(r, 1, "signed with an unknown key");
    json_t *answer = run_json(r);
    assert_true(json_is_false(json_object_get(answer, "ok")));
    assert_true(json_is_null(json_object_get(answer, "manifest")));
    assert_non_null(strstr(vectors_text(answer, "reason"), "unknown key"));
    json_decref(answer);
    run_expect(
        run_surefoot("manifest", "verify", "--signature-only", "--key", other, envelope_path, NULL),
        1, "the signature does not verify");
}

static void another_product_vendor_or_image_is_refused(void **state)
{
    (void)state;
    const char *other_image = run_path("other.bin");
    run_expect(sign_as("lamp", "2"), 0, NULL);
    run_expect(run_surefoot("manifest", "verify", "--key", key_path, "--vendor", "example.com",
                            "--product", "fridge", "--hw-revision", "A", envelope_path, NULL),
               1, "meant for another product or hardware revision");
    run_expect(run_surefoot("manifest", "verify", "--key", key_path, "--vendor", "example.com",
                            "--product", "lamp", "--hw-revision", "B", envelope_path, NULL),
               1, "meant for another product or hardware revision");
    run_expect(run_surefoot("manifest", "verify", "--key", key_path, "--vendor", "example.org",
                            "--product", "lamp", "--hw-revision", "A", envelope_path, NULL),
               1, "meant for another vendor");
    size_t len = 0;
    uint8_t *bytes = run_read(image_path, &len);
    bytes[len - 1] ^= 1;
    run_write(other_image, bytes, len);
    run_expect(run_surefoot("manifest", "verify", "--key", key_path, "--image", other_image,
                            envelope_path, NULL),
               1, "it describes another image");
    run_write(other_image, bytes, len - 1);
    run_expect(run_surefoot("manifest", "verify", "--key", key_path, "--image", other_image,
                            envelope_path, NULL),
               1, "the image's length is not the signed one");
    free(bytes);
}

static void an_image_of_another_class_is_not_signed(void **state)
{
    (void)state;
    run_expect(sign_as("fridge", "2"), 1, "another product or hardware revision");
}

static void an_image_that_must_not_be_published_is_not_signed(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *before = run_read(image_path, &len);
    const struct esp_image_spec plain = {.size = SIZE, .without_record = 1};
    write_image(&plain);
    run_expect(sign_as("lamp", "2"), 1, "carries no updater record");
    run_expect(run_surefoot("manifest", "sign", "--vendor", "example.com", "--product", "lamp",
                            "--hw-revision", "A", "--image", image_path, "--key", key_path, "--seq",
                            "2", "--allow-no-record", "-o", envelope_path, NULL),
               0, NULL);
    const struct esp_image_spec odd = {.size = SIZE, .version = "nightly"};
    write_image(&odd);
    run_expect(sign_as("lamp", "2"), 1, "its version 'nightly' is none of the form 1.2.0");
    run_write(image_path, before, len - 1);
    run_expect(sign_as("lamp", "2"), 1, "input ends too early");
    run_write(image_path, before, len);
    free(before);
}

static void wrong_command_lines_are_usage(void **state)
{
    (void)state;
    run_expect(sign_as("lamp", "2"), 0, NULL);
    run_expect(run_surefoot("manifest", "verify", envelope_path, NULL), 2,
               "wanted one of --key FILE and --key-hex XY");
    run_expect(run_surefoot("manifest", "verify", "--key", key_path, "--key-hex", draft_key,
                            envelope_path, NULL),
               2, "wanted one of");
    run_expect(run_surefoot("manifest", "verify", "--key-hex", "1234", envelope_path, NULL), 2,
               "is no public key");
    run_expect(run_surefoot("manifest", "verify", "--key", key_path, "--product", "lamp",
                            envelope_path, NULL),
               2, "belong together");
    run_expect(run_surefoot("manifest", "verify", "--key", key_path, run_path("none"), NULL), 4,
               "cannot read");
    run_expect(sign_as("lamp", "0"), 2, "--seq starts at 1");
    run_expect(run_surefoot("manifest", "sign", "--image", image_path, NULL), 2,
               "--vendor DOMAIN is missing");
}

/* Sig_structure ["Signature1", protected, h'', SUIT_Digest] rebuilt by hand, for openssl. The
 * envelope begins d86b a2 02 58xx: bstr[bstr digest (36), bstr Sign1]. */
static void openssl_verifies_the_signature(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *e = sign_and_read(&len);
    static const uint8_t digest_head[] = {0x82, 0x2f, 0x58, 0x20};
    static const uint8_t sign1_head[] = {0xd2, 0x84};
    static const uint8_t context[] = {0x84, 0x6a, 'S', 'i', 'g', 'n', 'a', 't', 'u', 'r', 'e', '1'};
    static const uint8_t between[] = {0x40, 0x58, 0x24}; /* h'', then 36 bytes */
    uint8_t message[256];
    size_t n = 0;
    const uint8_t *digest = memmem(e, len, digest_head, sizeof digest_head);
    const uint8_t *sign1 = memmem(e, len, sign1_head, sizeof sign1_head);
    assert_true(digest && sign1);
    const uint8_t *protected_header = sign1 + 2; /* a bstr: 4x or 58 xx */
    assert_int_equal(protected_header[0] & 0xe0, 0x40);
    size_t protected_len = 1 + (size_t)(protected_header[0] & 0x1f);
    const uint8_t *rest = protected_header + protected_len;
    assert_memory_equal(rest, "\xa0\xf6\x58\x40", 4); /* {}, nil, 64 bytes */
    memcpy(message + n, context, sizeof context);
    n += sizeof context;
    memcpy(message + n, protected_header, protected_len);
    n += protected_len;
    memcpy(message + n, between, sizeof between);
    n += sizeof between;
    memcpy(message + n, digest, 36);
    n += 36;
    run_write(run_path("message"), message, n);
    /* r || s to DER, each with a leading zero so that none is negative; openssl takes minimal
     * integers only, so zeros at the front go. */
    uint8_t der[80] = {0x30, 0};
    size_t d = 2;
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *number = rest + 4 + (size_t)i * 32;
        size_t skip_zeros = 0;
        while (skip_zeros < 31 && number[skip_zeros] == 0) {
            skip_zeros++;
        }
        const int negative = number[skip_zeros] >> 7;
        der[d++] = 0x02;
        der[d++] = (uint8_t)(32 - skip_zeros + (size_t)negative);
        if (negative) {
            der[d++] = 0;
        }
        memcpy(der + d, number + skip_zeros, 32 - skip_zeros);
        d += 32 - skip_zeros;
    }
    der[1] = (uint8_t)(d - 2);
    run_write(run_path("signature"), der, d);
    const char *const argv[] = {"openssl",
                                "dgst",
                                "-sha256",
                                "-prverify",
                                key_path,
                                "-signature",
                                run_path("signature"),
                                run_path("message"),
                                NULL};
    struct run *r = run_program(argv);
    assert_int_equal(r->status, 0);
    assert_non_null(strstr(r->out, "Verified OK"));
    message[n - 1] ^= 1;
    run_write(run_path("message"), message, n);
    assert_int_not_equal(run_program(argv)->status, 0);
    free(e);
}

/* The examples of the SUIT draft and a minimal envelope of our profile with a foreign kid. */
static void foreign_envelopes_verify_by_signature_alone(void **state)
{
    (void)state;
    static const char folder[] = SF_SHARED_VECTORS "/suit";
    char path[RUN_PATH_MAX];
    if (access(folder, R_OK) != 0) {
        skip();
    }
    for (unsigned i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/draft_ex%u.suit", folder, i);
        struct run *r = run_surefoot("manifest", "verify", "--signature-only", "--key-hex",
                                     draft_key, path, NULL);
        run_expect(r, 0, NULL);
        assert_non_null(strstr(r->out, "nothing else was looked at"));
        run_expect(run_surefoot("manifest", "verify", "--key-hex", draft_key, path, NULL), 1,
                   "is refused");
    }
    snprintf(path, sizeof path, "%s/profile_min_esp256_kid.suit", folder);
    run_expect(
        run_surefoot("manifest", "verify", "--signature-only", "--key-hex", draft_key, path, NULL),
        0, NULL);
    run_expect(run_surefoot("manifest", "verify", "--key-hex", draft_key, path, NULL), 1,
               "signed with an unknown key");
    struct run *r = run_surefoot("manifest", "show", path, NULL);
    run_expect(r, 0, "nothing was verified");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_manifest_verifies_and_says_what_was_signed),
        cmocka_unit_test(show_prints_the_same_without_a_key),
        cmocka_unit_test(the_public_key_verifies_as_pem_and_as_hex),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(another_product_vendor_or_image_is_refused),
        cmocka_unit_test(an_image_of_another_class_is_not_signed),
        cmocka_unit_test(an_image_that_must_not_be_published_is_not_signed),
        cmocka_unit_test(wrong_command_lines_are_usage),
        cmocka_unit_test(openssl_verifies_the_signature),
        cmocka_unit_test(foreign_envelopes_verify_by_signature_alone),
    };
    return cmocka_run_group_tests(tests, setup, run_teardown);
}
