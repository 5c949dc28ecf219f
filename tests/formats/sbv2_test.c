/* Signature sectors that espsecure wrote, read and verified through OpenSSL and PSA; and what
 * becomes of them when something is changed. */
#include "formats/sbv2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "ports/host/crypto_psa.h"
#include "ports/host/sbv2_psa.h"
#include "tests/support/sbv2_sign.h"
#include "tests/support/vectors.h"

enum { IMAGE_SIZE = 8192, SECTOR = SF_SBV2_SECTOR_SIZE, BLOCK = SF_SBV2_BLOCK_SIZE, SCHEMES = 4 };

static json_t *vectors;
static uint8_t flash[IMAGE_SIZE + SECTOR];
static uint8_t *const sector = flash + IMAGE_SIZE;
static uint8_t scratch[SECTOR];
static struct sf_crypto psa;
static struct sf_sbv2_verifier psa_verifier;
static struct sbv2_signer signers[SCHEMES];
static struct sf_sbv2_keys keys;
static struct sf_sbv2_trust trust;

static int setup(void **state)
{
    (void)state;
    vectors = vectors_load(SF_VECTORS "/sbv2.json");
    for (unsigned i = 0; i < IMAGE_SIZE; i++) {
        flash[i] = (uint8_t)(i * 31 + i / 256);
    }
    sbv2_psa_init(&psa_verifier);
    for (unsigned i = 0; i < SCHEMES; i++) {
        sbv2_signer_open(&signers[i], (enum sf_sbv2_scheme)i);
    }
    return crypto_psa_init(&psa);
}

static int teardown(void **state)
{
    (void)state;
    json_decref(vectors);
    for (unsigned i = 0; i < SCHEMES; i++) {
        sbv2_signer_close(&signers[i]);
    }
    return 0;
}

static int read_flash(void *ctx, uint32_t address, void *out, size_t len)
{
    (void)ctx;
    assert_true(address <= sizeof(flash) && len <= sizeof(flash) - address);
    memcpy(out, flash + address, len);
    return SF_OK;
}

static int check_image(struct sf_diag *diag)
{
    const struct sf_sbv2_image image = {.read = read_flash, .length = IMAGE_SIZE};
    return sf_sbv2_check(&image, &trust, scratch, diag);
}

static void trust_none(void)
{
    memset(&keys, 0, sizeof(keys));
    keys.digest_size = SF_SHA256_SIZE;
    keys.block_count = SF_SBV2_BLOCK_MAX;
    trust = (struct sf_sbv2_trust){crypto_openssl(), sbv2_openssl(), &keys};
}

static void trust_key(const uint8_t digest[SF_SHA256_SIZE])
{
    memcpy(keys.digest[keys.count++], digest, SF_SHA256_SIZE);
}

static const json_t *key_of(const json_t *entry, size_t block)
{
    const char *name = json_string_value(json_array_get(json_object_get(entry, "keys"), block));
    const json_t *key = json_object_get(json_object_get(vectors, "keys"), name);
    assert_non_null(key);
    return key;
}

static size_t lay_sector(const json_t *entry)
{
    size_t i;
    json_t *hex;
    const json_t *blocks = json_object_get(entry, "blocks");
    memset(sector, 0xff, SECTOR);
    json_array_foreach(blocks, i, hex)
    {
        json_t *one = json_pack("{s:O}", "block", hex);
        vectors_hex(one, "block", sector + i * BLOCK, BLOCK);
        json_decref(one);
    }
    return json_array_size(blocks);
}

static void check_with(const json_t *entry, size_t count, const struct sf_crypto *crypto,
                       const struct sf_sbv2_verifier *verifier)
{
    struct sf_diag diag = {0};
    for (size_t i = 0; i < count; i++) {
        uint8_t digest[SF_SHA256_SIZE];
        vectors_hex(key_of(entry, i), "digest", digest, sizeof(digest));
        trust_none();
        trust.crypto = crypto;
        trust.verifier = verifier;
        assert_int_equal(check_image(&diag), SF_ERR_BOOT_KEY);
        trust_key(digest);
        assert_int_equal(check_image(&diag), (int)i);
    }
}

static void takes_what_espsecure_signed(void **state)
{
    (void)state;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(vectors, "sectors"), i, entry)
    {
        const size_t count = lay_sector(entry);
        check_with(entry, count, crypto_openssl(), sbv2_openssl());
        check_with(entry, count, &psa, &psa_verifier);
    }
    assert_int_equal(i, 7);
}

static void names_a_key_as_espsecure_does(void **state)
{
    (void)state;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(vectors, "sectors"), i, entry)
    {
        const size_t count = lay_sector(entry);
        for (size_t k = 0; k < count; k++) {
            uint8_t expected[SF_SHA256_SIZE];
            uint8_t digest[SF_SHA256_SIZE];
            struct sf_sbv2_block block;
            const char *pem = vectors_text(key_of(entry, k), "pem");
            vectors_hex(key_of(entry, k), "digest", expected, sizeof(expected));
            assert_int_equal(sf_sbv2_block_decode(sector + k * BLOCK, &block, NULL), SF_OK);
            assert_int_equal(sf_sbv2_key_digest(&block, crypto_openssl(), digest), SF_OK);
            assert_memory_equal(digest, expected, sizeof(digest));
            assert_int_equal(sbv2_key_digest(pem, strlen(pem), digest), SF_OK);
            assert_memory_equal(digest, expected, sizeof(digest));
            const struct sf_sbv2_span span = sf_sbv2_key_span(sector + k * BLOCK);
            assert_ptr_equal(sector + k * BLOCK + span.offset, block.key);
            assert_int_equal(span.len, block.key_len);
        }
    }
}

static void sign(unsigned block, unsigned scheme)
{
    sbv2_sign_block(&signers[scheme], flash, IMAGE_SIZE, sector + (size_t)block * BLOCK);
}

static void takes_what_we_sign_by_each_scheme(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SCHEMES; i++) {
        memset(sector, 0xff, SECTOR);
        sign(0, i);
        trust_none();
        trust_key(signers[i].digest);
        assert_int_equal(check_image(NULL), 0);
        trust.verifier = &psa_verifier;
        trust.crypto = &psa;
        assert_int_equal(check_image(NULL), 0);
    }
}

static uint32_t next(uint32_t *random)
{
    *random = *random * UINT32_C(1664525) + UINT32_C(1013904223);
    return *random >> 8;
}

static void a_flipped_bit_of_the_image_is_found(void **state)
{
    (void)state;
    const uint32_t seed = 4711;
    uint32_t random = seed;
    for (unsigned i = 0; i < SCHEMES; i++) {
        memset(sector, 0xff, SECTOR);
        sign(0, i);
        trust_none();
        trust_key(signers[i].digest);
        for (unsigned k = 0; k < 8; k++) {
            const unsigned at = next(&random) % IMAGE_SIZE;
            const uint8_t bit = (uint8_t)(1U << (next(&random) % 8));
            flash[at] ^= bit;
            const int err = check_image(NULL);
            flash[at] ^= bit;
            if (err != SF_ERR_BOOT_SIGNATURE) {
                fail_msg("seed %u, scheme %u, byte %u: %d", seed, i, at, err);
            }
        }
    }
}

/* The crc finds it; and where the crc is made to fit, the key or the signature does. */
static void a_flipped_bit_of_the_block_is_found(void **state)
{
    (void)state;
    const uint32_t seed = 815;
    uint32_t random = seed;
    struct sf_sbv2_block block;
    for (unsigned i = 0; i < SCHEMES; i++) {
        memset(sector, 0xff, SECTOR);
        sign(0, i);
        assert_int_equal(sf_sbv2_block_decode(sector, &block, NULL), SF_OK);
        const size_t used =
            (size_t)(block.signature - sector) + (i == 0 ? (size_t)1 : 2) * block.number_len;
        trust_none();
        trust_key(signers[i].digest);
        for (unsigned k = 0; k < 48; k++) {
            const size_t at = next(&random) % used;
            sector[at] ^= 0x10;
            const int torn = check_image(NULL);
            sbv2_reseal(sector);
            const int sealed = check_image(NULL);
            sector[at] ^= 0x10;
            sbv2_reseal(sector);
            if (torn != SF_ERR_UNSIGNED || (sealed >= 0 && at != 2 && at != 3)) {
                fail_msg("seed %u, scheme %u, byte %zu: %d, %d", seed, i, at, torn, sealed);
            }
        }
        assert_int_equal(check_image(NULL), 0);
    }
}

static void says_which_byte_of_a_block_is_wrong(void **state)
{
    (void)state;
    static const struct {
        unsigned scheme;
        unsigned at;
        uint8_t value;
        int sealed;
        int err;
        unsigned offset;
    } cases[] = {
        {0, 0, 0xff, 0, SF_ERR_NOTFOUND, 0},     {0, 0, 0xe8, 0, SF_ERR_MAGIC, 0},
        {0, 50, 0x00, 0, SF_ERR_CHECKSUM, 1196}, {0, 1, 1, 1, SF_ERR_VERSION, 1},
        {2, 1, 4, 1, SF_ERR_VERSION, 1},         {2, 2, 2, 1, SF_ERR_ALGORITHM, 2},
        {2, 36, 9, 1, SF_ERR_ALGORITHM, 36},     {2, 36, 3, 1, SF_ERR_ALGORITHM, 36},
        {3, 52, 2, 1, SF_ERR_ALGORITHM, 52},     {1, 36, 0, 1, SF_ERR_ALGORITHM, 36},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sf_sbv2_block block;
        struct sf_diag diag = {0};
        memset(sector, 0xff, SECTOR);
        sign(0, cases[i].scheme);
        sector[cases[i].at] =
            (uint8_t)(cases[i].sealed || cases[i].at == 0 ? cases[i].value
                                                          : sector[cases[i].at] ^ 1);
        if (cases[i].sealed) {
            sbv2_reseal(sector);
        }
        const int err = sf_sbv2_block_decode(sector, &block, &diag);
        if (err != cases[i].err || diag.offset != cases[i].offset || diag.why == NULL) {
            fail_msg("case %u: %s at %zu", i, sf_err_name(err), diag.offset);
        }
        trust_none();
        trust_key(signers[cases[i].scheme].digest);
        assert_int_equal(check_image(&diag), SF_ERR_UNSIGNED);
        assert_int_equal(diag.offset, IMAGE_SIZE);
    }
}

/* What the ROM does: a block that is none is passed over, wherever it stands. */
static void any_block_of_a_key_that_counts_is_enough(void **state)
{
    (void)state;
    memset(sector, 0xff, SECTOR);
    sign(0, 2);
    sign(1, 0);
    sign(2, 3);
    trust_none();
    trust_key(signers[3].digest);
    assert_int_equal(check_image(NULL), 2);
    trust_key(signers[0].digest);
    assert_int_equal(check_image(NULL), 1);
    memset(sector, 0xff, BLOCK); /* the first one is gone */
    assert_int_equal(check_image(NULL), 1);
    sector[BLOCK] = 0; /* the second is none */
    assert_int_equal(check_image(NULL), 2);
    keys.block_count = 1; /* ESP32, C2: the first alone */
    assert_int_equal(check_image(NULL), SF_ERR_UNSIGNED);
    sign(0, 0);
    assert_int_equal(check_image(NULL), 0);
}

static void a_bad_signature_of_one_key_leaves_it_to_the_next(void **state)
{
    (void)state;
    memset(sector, 0xff, SECTOR);
    sign(0, 2);
    sector[4] ^= 1; /* another image's digest, and with it a signature that does not hold */
    sbv2_reseal(sector);
    trust_none();
    trust_key(signers[2].digest);
    assert_int_equal(check_image(NULL), SF_ERR_BOOT_SIGNATURE);
    flash[100] ^= 1;
    sign(1, 2); /* another image, and its signature holds */
    flash[100] ^= 1;
    assert_int_equal(check_image(NULL), SF_ERR_BOOT_SIGNATURE);
    sign(2, 2);
    assert_int_equal(check_image(NULL), 2);
}

static void the_c2_compares_sixteen_bytes(void **state)
{
    (void)state;
    memset(sector, 0xff, SECTOR);
    sign(0, 2);
    trust_none();
    trust_key(signers[2].digest);
    keys.digest[0][20] ^= 1;
    assert_int_equal(check_image(NULL), SF_ERR_BOOT_KEY);
    keys.digest_size = 16;
    assert_int_equal(check_image(NULL), 0);
    keys.digest[0][15] ^= 1;
    assert_int_equal(check_image(NULL), SF_ERR_BOOT_KEY);
}

static int verify_none(void *ctx, const struct sf_sbv2_block *block)
{
    (void)ctx;
    (void)block;
    return SF_ERR_UNSUPPORTED;
}

static void a_scheme_that_a_port_leaves_out_is_not_taken(void **state)
{
    (void)state;
    struct sf_sbv2_verifier without = *sbv2_openssl();
    without.sha384_start = NULL;
    memset(sector, 0xff, SECTOR);
    sign(0, SF_SBV2_ECDSA_P384);
    trust_none();
    trust_key(signers[SF_SBV2_ECDSA_P384].digest);
    trust.verifier = &without;
    assert_int_equal(check_image(NULL), SF_ERR_UNSUPPORTED);
    without.verify = verify_none;
    assert_int_equal(check_image(NULL), SF_ERR_UNSUPPORTED);
}

static int read_fails(void *ctx, uint32_t address, void *out, size_t len)
{
    const uint32_t *from = ctx;
    return address >= *from ? SF_ERR_IO : read_flash(NULL, address, out, len);
}

static void a_read_that_fails_is_no_signature(void **state)
{
    (void)state;
    uint32_t from = 4096;
    const struct sf_sbv2_image image = {.ctx = &from, .read = read_fails, .length = IMAGE_SIZE};
    trust_none();
    assert_int_equal(sf_sbv2_check(&image, &trust, scratch, NULL), SF_ERR_IO);
    const struct sf_sbv2_image odd = {.read = read_flash, .length = IMAGE_SIZE - 16};
    assert_int_equal(sf_sbv2_check(&odd, &trust, scratch, NULL), SF_ERR_UNSIGNED);
}

static void other_keys_have_no_digest(void **state)
{
    (void)state;
    static const char text[] = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    static const char ed25519[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                                  "-----END PUBLIC KEY-----\n";
    uint8_t digest[SF_SHA256_SIZE];
    assert_int_equal(sbv2_key_digest(text, sizeof(text) - 1, digest), SF_ERR_FORMAT);
    assert_int_equal(sbv2_key_digest("", 0, digest), SF_ERR_FORMAT);
    assert_int_equal(sbv2_key_digest(ed25519, sizeof(ed25519) - 1, digest), SF_ERR_ALGORITHM);
}

static void each_scheme_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(sf_sbv2_scheme_str(SF_SBV2_RSA_3072), "RSA-3072");
    assert_string_equal(sf_sbv2_scheme_str(SF_SBV2_ECDSA_P384), "ECDSA P-384");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_espsecure_signed),
        cmocka_unit_test(names_a_key_as_espsecure_does),
        cmocka_unit_test(takes_what_we_sign_by_each_scheme),
        cmocka_unit_test(a_flipped_bit_of_the_image_is_found),
        cmocka_unit_test(a_flipped_bit_of_the_block_is_found),
        cmocka_unit_test(says_which_byte_of_a_block_is_wrong),
        cmocka_unit_test(any_block_of_a_key_that_counts_is_enough),
        cmocka_unit_test(a_bad_signature_of_one_key_leaves_it_to_the_next),
        cmocka_unit_test(the_c2_compares_sixteen_bytes),
        cmocka_unit_test(a_scheme_that_a_port_leaves_out_is_not_taken),
        cmocka_unit_test(a_read_that_fails_is_no_signature),
        cmocka_unit_test(other_keys_have_no_digest),
        cmocka_unit_test(each_scheme_has_a_name),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
