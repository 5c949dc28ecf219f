/* surefoot image verify-sbv2, and what image info and verify say of signed images. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "tests/cli/run.h"
#include "tests/support/esp_image.h"
#include "tests/support/sbv2_sign.h"
#include "tests/support/vectors.h"

enum { SIZE = 9008, ROOM = 24576, SIGNED = 16384, SECTOR = 12288 };

static uint8_t file[ROOM];
static struct sbv2_signer rsa;
static struct sbv2_signer p256;
static char rsa_pem[RUN_PATH_MAX];
static char p256_pem[RUN_PATH_MAX];

static int setup(void **state)
{
    const int err = run_setup(state);
    sbv2_signer_open(&rsa, SF_SBV2_RSA_3072);
    sbv2_signer_open(&p256, SF_SBV2_ECDSA_P256);
    snprintf(rsa_pem, sizeof rsa_pem, "%s", run_path("rsa.pem"));
    snprintf(p256_pem, sizeof p256_pem, "%s", run_path("p256.pem"));
    sbv2_signer_save(&rsa, rsa_pem);
    sbv2_signer_save(&p256, p256_pem);
    return err;
}

static int teardown(void **state)
{
    sbv2_signer_close(&rsa);
    sbv2_signer_close(&p256);
    return run_teardown(state);
}

static void build(const struct sbv2_signer *first, const struct sbv2_signer *second)
{
    const struct esp_image_spec spec = {.size = SIZE};
    const struct sbv2_signer *const signers[] = {first, second};
    assert_int_equal(esp_image_build(&spec, file, sizeof file), SIZE);
    assert_int_equal(sbv2_sign(file, SIZE, signers, second ? 2 : 1), SIGNED);
}

static const char *write_file(size_t len)
{
    const char *path = run_path("signed.bin");
    run_write(path, file, len);
    return path;
}

static const char *hex_of(const struct sbv2_signer *signer)
{
    static char hex[2 * SF_SHA256_SIZE + 1];
    hex_encode(signer->digest, SF_SHA256_SIZE, hex);
    return hex;
}

static void says_what_each_block_is(void **state)
{
    (void)state;
    build(&rsa, &p256);
    char text[256];
    struct run *r = run_surefoot("image", "verify-sbv2", write_file(SIGNED), NULL);
    run_expect(r, 0, "");
    snprintf(text, sizeof text, "signature 0     RSA-3072, key %s, signs this file\n",
             hex_of(&rsa));
    assert_non_null(strstr(r->out, text));
    snprintf(text, sizeof text, "signature 1     ECDSA P-256, key %s, signs this file\n",
             hex_of(&p256));
    assert_non_null(strstr(r->out, text));
    assert_null(strstr(r->out, "signature 2"));
    r = run_surefoot("image", "info", write_file(SIGNED), NULL);
    run_expect(r, 0, "");
    assert_non_null(strstr(r->out, text));
    run_expect(run_surefoot("image", "verify", write_file(SIGNED), NULL), 0, "");
}

static void json_has_the_blocks(void **state)
{
    (void)state;
    build(&rsa, &p256);
    file[SECTOR + SF_SBV2_BLOCK_SIZE + 200] ^= 1;
    json_t *all = run_json(
        run_surefoot("image", "verify-sbv2", "--json", "--key", rsa_pem, write_file(SIGNED), NULL));
    assert_int_equal(json_object_size(all), 5);
    assert_true(json_is_true(json_object_get(all, "ok")));
    assert_true(json_is_null(json_object_get(all, "reason")));
    assert_int_equal(json_integer_value(json_object_get(all, "block")), 0);
    json_t *blocks = json_object_get(all, "signature_blocks");
    assert_int_equal(json_array_size(blocks), 2);
    assert_string_equal(vectors_text(json_array_get(blocks, 0), "scheme"), "RSA-3072");
    assert_string_equal(vectors_text(json_array_get(blocks, 0), "key_digest"), hex_of(&rsa));
    const json_t *broken = json_array_get(blocks, 1);
    assert_true(json_is_false(json_object_get(broken, "ok")));
    assert_true(json_is_null(json_object_get(broken, "key_digest")));
    assert_non_null(strstr(vectors_text(broken, "reason"), "crc does not match"));
    json_t *info = run_json(run_surefoot("image", "info", "--json", write_file(SIGNED), NULL));
    assert_true(json_equal(json_object_get(info, "signature_blocks"), blocks));
    json_decref(info);
    json_decref(all);
}

static void a_given_key_or_digest_is_enough(void **state)
{
    (void)state;
    char half[SF_SHA256_SIZE + 1];
    snprintf(half, sizeof half, "%.*s", SF_SHA256_SIZE, hex_of(&rsa));
    build(&p256, &rsa);
    const char *path = write_file(SIGNED);
    run_expect(run_surefoot("image", "verify-sbv2", path, "--key", rsa_pem, NULL), 0, "");
    run_expect(run_surefoot("image", "verify-sbv2", path, "--digest", hex_of(&rsa), NULL), 0, "");
    run_expect(run_surefoot("image", "verify-sbv2", path, "--digest", half, NULL), 0, "");
    build(&rsa, NULL);
    path = write_file(SIGNED);
    run_expect(run_surefoot("image", "verify-sbv2", path, "--key", p256_pem, "--digest",
                            hex_of(&rsa), NULL),
               0, "");
    struct run *r = run_surefoot("image", "verify-sbv2", path, "--key", p256_pem, NULL);
    run_expect(r, 1, "no signature block that the chip looks at is of a given key");
    assert_non_null(strstr(r->out, hex_of(&rsa))); /* whose it is */
}

/* A block that does not hold is no matter where another one does. */
static void as_the_chip_does_it_passes_over_broken_blocks(void **state)
{
    (void)state;
    build(&p256, &rsa);
    file[SECTOR + 105] ^= 1;
    sbv2_reseal(file + SECTOR);
    const char *path = write_file(SIGNED);
    run_expect(run_surefoot("image", "verify-sbv2", path, "--key", rsa_pem, NULL), 0, "");
    run_expect(run_surefoot("image", "verify-sbv2", path, "--key", p256_pem, NULL), 1,
               "signature block 0: the Secure Boot signature does not verify (at byte 0x3065");
    run_expect(run_surefoot("image", "verify-sbv2", path, NULL), 1, "signature block 0: ");
}

static void the_esp32_looks_at_the_first_block_alone(void **state)
{
    (void)state;
    build(&p256, &rsa);
    file[12] = 0; /* chip id */
    esp_image_reseal(file, SIZE);
    sbv2_sign_block(&p256, file, SECTOR, file + SECTOR);
    sbv2_sign_block(&rsa, file, SECTOR, file + SECTOR + SF_SBV2_BLOCK_SIZE);
    const char *path = write_file(SIGNED);
    run_expect(run_surefoot("image", "verify-sbv2", path, "--key", rsa_pem, NULL), 1,
               "no signature block that the chip looks at");
    run_expect(run_surefoot("image", "verify-sbv2", path, "--key", p256_pem, NULL), 0,
               "note: the esp32 does not verify ECDSA P-256");
}

static void refuses_in_a_sentence(void **state)
{
    (void)state;
    build(&rsa, NULL);
    file[5000] ^= 1;
    run_expect(run_surefoot("image", "verify-sbv2", "--key", rsa_pem, write_file(SIGNED), NULL), 1,
               "the digest does not match (at byte 0x3004: the block signs other bytes");
    build(&rsa, NULL);
    run_expect(run_surefoot("image", "verify-sbv2", write_file(SIZE), NULL), 1,
               "the image carries no Secure Boot signature");
    memset(file + SECTOR, 0xff, 4096);
    run_expect(run_surefoot("image", "verify-sbv2", write_file(SIGNED), NULL), 1,
               "no signature block is in the last 4 KiB");
    build(&rsa, NULL);
    memmove(file + SIGNED, file + SECTOR, 4096);
    memset(file + SECTOR, 0xff, 4096); /* padded to more than the next 4 KiB */
    sbv2_sign_block(&rsa, file, SIGNED, file + SIGNED);
    run_expect(run_surefoot("image", "verify-sbv2", write_file(SIGNED + 4096), NULL), 1,
               "bytes are between the image's end (0x2330) and the signature sector");
    run_expect(run_surefoot("image", "verify-sbv2", write_file(0), NULL), 1, "no Secure Boot");
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    build(&rsa, NULL);
    const char *path = write_file(SIGNED);
    run_expect(run_surefoot("image", "verify-sbv2", path, "--key", path, NULL), 1,
               "is no key in PEM");
    run_expect(run_surefoot("image", "verify-sbv2", path, "--key", run_path("absent"), NULL), 4,
               "No such file");
    run_expect(run_surefoot("image", "verify-sbv2", path, "--digest", "abcd", NULL), 2,
               "--digest wants 64 hexadecimal digits");
    run_expect(run_surefoot("image", "verify-sbv2", NULL), 2, "FILE");
    const char *const argv[] = {"openssl", "genpkey",          "-algorithm", "ED25519",
                                "-out",    run_path("ed.pem"), NULL};
    assert_int_equal(run_program(argv)->status, 0);
    run_expect(run_surefoot("image", "verify-sbv2", path, "--key", run_path("ed.pem"), NULL), 1,
               "is no key for Secure Boot V2");
}

/* What the device would not measure as part of the image, the server must not take as such. */
static void a_damaged_sector_is_none_to_verify(void **state)
{
    (void)state;
    build(&rsa, NULL);
    file[SECTOR + 1000] ^= 1;
    run_expect(run_surefoot("image", "verify", write_file(SIGNED), NULL), 1,
               "the crc of the first signature block does not match");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_each_block_is),
        cmocka_unit_test(json_has_the_blocks),
        cmocka_unit_test(a_given_key_or_digest_is_enough),
        cmocka_unit_test(as_the_chip_does_it_passes_over_broken_blocks),
        cmocka_unit_test(the_esp32_looks_at_the_first_block_alone),
        cmocka_unit_test(refuses_in_a_sentence),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(a_damaged_sector_is_none_to_verify),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
