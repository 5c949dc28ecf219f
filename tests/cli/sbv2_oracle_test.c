/* Signed images before espsecure, of build/venv: we verify what it signed, it verifies what is
 * signed likewise, and what was tampered with both refuse. Without it the program counts as
 * skipped. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/cli/run.h"
#include "tests/support/esp_image.h"
#include "tests/support/sbv2_sign.h"
#include "tests/support/vectors.h"

enum { SKIPPED = 77, SIZE = 9008, ROOM = 24576, SIGNED = 16384, SECTOR = 12288, ARGS = 16 };

static const char *const schemes[] = {"rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"};
static uint8_t file[ROOM];

/* Runs espsecure with these arguments, up to a NULL, and returns its exit status. */
static int espsecure(const char *first, ...) __attribute__((sentinel));

static int espsecure(const char *first, ...)
{
    const char *argv[ARGS] = {run_espsecure(), first};
    va_list ap;
    va_start(ap, first);
    for (unsigned i = 2; i < ARGS - 1 && argv[i - 1]; i++) {
        argv[i] = va_arg(ap, const char *);
    }
    va_end(ap);
    return run_program(argv)->status;
}

/* The private key number `number` of a scheme, made when it is first wanted. */
static const char *key_of(const char *scheme, unsigned number)
{
    char name[32];
    snprintf(name, sizeof name, "%s_%u.pem", scheme, number);
    const char *path = run_path(name);
    if (access(path, R_OK) != 0) {
        assert_int_equal(
            espsecure("generate-signing-key", "--version", "2", "--scheme", scheme, path, NULL), 0);
    }
    return path;
}

static const char *write_image(void)
{
    const struct esp_image_spec spec = {.size = SIZE};
    const char *path = run_path("app.bin");
    assert_int_equal(esp_image_build(&spec, file, sizeof file), SIZE);
    run_write(path, file, SIZE);
    return path;
}

static const char *sign(const char *key, const char *second)
{
    const char *out = run_path("signed.bin");
    int status = second ? espsecure("sign-data", "--version", "2", "--keyfile", key, second,
                                    "--output", out, write_image(), NULL)
                        : espsecure("sign-data", "--version", "2", "--keyfile", key, "--output",
                                    out, write_image(), NULL);
    assert_int_equal(status, 0);
    return out;
}

/* 0, or 1 if it refuses for one of the reasons that are a verdict. */
static int theirs(const char *key, const char *path)
{
    const char *const argv[] = {
        run_espsecure(), "verify-signature", "--version", "2", "--keyfile", key, path, NULL};
    struct run *r = run_program(argv);
    if (r->status == 0) {
        return 0;
    }
    int is_verdict = strstr(r->out, "could not be verified") != NULL ||
                     strstr(r->err, "could not be verified") != NULL ||
                     strstr(r->out, "does not match") != NULL ||
                     strstr(r->err, "does not match") != NULL;
    return is_verdict ? 1 : -1;
}

static int ours(const char *key, const char *path)
{
    return run_surefoot("image", "verify-sbv2", "--key", key, path, NULL)->status;
}

static void expect_both(const char *key, const char *path, int status, const char *what)
{
    int a = theirs(key, path);
    int b = ours(key, path);
    if (a != b || b != status) {
        fail_msg("%s: espsecure says %d, surefoot %d", what, a, b);
    }
}

static void we_verify_what_it_signed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        const char *key = key_of(schemes[i], 1);
        const char *path = sign(key, NULL);
        expect_both(key, path, 0, schemes[i]);
        if (i != 3) { /* of another curve than P-384 it does not refuse: it fails */
            expect_both(key_of(i == 0 ? "rsa3072" : "ecdsa256", 2), path, 1, "another key");
        }
        /* the eFuse's digest of the key, as it says */
        const char *digest_path = run_path("digest.bin");
        assert_int_equal(
            espsecure("digest-sbv2-public-key", "--keyfile", key, "--output", digest_path, NULL),
            0);
        size_t len = 0;
        uint8_t *digest = run_read(digest_path, &len);
        uint8_t said[SF_SHA256_SIZE];
        json_t *all = run_json(run_surefoot("image", "verify-sbv2", "--json", path, NULL));
        vectors_hex(json_array_get(json_object_get(all, "signature_blocks"), 0), "key_digest", said,
                    sizeof said);
        assert_int_equal(len, sizeof said);
        assert_memory_equal(said, digest, sizeof said);
        json_decref(all);
        free(digest);
    }
}

static void we_verify_several_blocks(void **state)
{
    (void)state;
    const char *a = key_of("rsa3072", 1);
    const char *b = key_of("rsa3072", 2);
    const char *c = key_of("ecdsa256", 1);
    const char *d = key_of("ecdsa256", 2);
    const char *path = sign(a, b);
    expect_both(a, path, 0, "the first RSA block");
    expect_both(b, path, 0, "the second RSA block");
    path = sign(c, d);
    expect_both(c, path, 0, "the first P-256 block");
    expect_both(d, path, 0, "the second P-256 block");
    /* one more, later; it cannot verify a sector with both kinds, but tell whose blocks they are */
    path = sign(c, d);
    const char *more = run_path("more.bin");
    assert_int_equal(espsecure("sign-data", "--version", "2", "--append-signatures", "--keyfile", a,
                               "--output", more, path, NULL),
                     0);
    assert_int_equal(ours(a, more), 0);
    assert_int_equal(ours(d, more), 0);
    assert_int_equal(ours(b, more), 1);
    const char *const argv[] = {run_espsecure(), "signature-info-v2", more, NULL};
    struct run *r = run_program(argv);
    assert_int_equal(r->status, 0);
    assert_non_null(strstr(r->out, "Public key digest for block 2"));
}

/* Changed bytes: where, and whether the block's crc is made to fit again. */
static void both_refuse_what_was_tampered_with(void **state)
{
    (void)state;
    static const struct {
        const char *scheme;
        unsigned at; /* in the file */
        int sealed;
    } cases[] = {
        {"rsa3072", 5000, 0},          {"rsa3072", SECTOR - 1, 0},    {"rsa3072", SECTOR, 0},
        {"rsa3072", SECTOR + 10, 1},   {"rsa3072", SECTOR + 100, 0},  {"rsa3072", SECTOR + 900, 1},
        {"rsa3072", SECTOR + 1196, 0}, {"ecdsa256", 5000, 0},         {"ecdsa256", SECTOR + 10, 1},
        {"ecdsa256", SECTOR + 40, 0},  {"ecdsa256", SECTOR + 110, 1}, {"ecdsa384", 1, 0},
        {"ecdsa384", SECTOR + 51, 1},  {"ecdsa384", SECTOR + 150, 1}, {"ecdsa192", SECTOR + 148, 1},
    };
    static uint8_t changed[SIGNED];
    const char *key = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char what[64];
        if (i == 0 || strcmp(cases[i].scheme, cases[i - 1].scheme) != 0) {
            free(bytes);
            key = key_of(cases[i].scheme, 1);
            bytes = run_read(sign(key, NULL), &len);
            assert_int_equal(len, SIGNED);
        }
        memcpy(changed, bytes, SIGNED);
        changed[cases[i].at] ^= 1;
        if (cases[i].sealed) {
            sbv2_reseal(changed + SECTOR);
        }
        run_write(run_path("tampered.bin"), changed, SIGNED);
        snprintf(what, sizeof what, "%s, byte %u", cases[i].scheme, cases[i].at);
        expect_both(key, run_path("tampered.bin"), 1, what);
    }
    free(bytes);
}

/* What nobody reads may be anything. And where we are stricter: espsecure takes the key from the
 * file it is given and does not look at the block's own, which is what the ROM goes by. */
static void it_reads_what_we_read_but_for_the_blocks_key(void **state)
{
    (void)state;
    const char *key = key_of("rsa3072", 1);
    size_t len = 0;
    uint8_t *bytes = run_read(sign(key, NULL), &len);
    const char *path = run_path("changed.bin");
    bytes[SECTOR + 1210] = 1; /* behind the crc */
    bytes[SECTOR + 4000] = 1; /* behind the blocks */
    run_write(path, bytes, len);
    expect_both(key, path, 0, "bytes that nobody reads");
    bytes[SECTOR + 430] ^= 1; /* R^2 mod n */
    sbv2_reseal(bytes + SECTOR);
    run_write(path, bytes, len);
    free(bytes);
    assert_int_equal(theirs(key, path), 0);
    assert_int_equal(ours(key, path), 1);
}

static void it_verifies_what_is_signed_as_it_signs(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        const struct esp_image_spec spec = {.size = SIZE};
        struct sbv2_signer signer;
        const struct sbv2_signer *const signers[] = {&signer};
        const char *key = run_path("ours.pem");
        const char *path = run_path("ours.bin");
        sbv2_signer_open(&signer, (enum sf_sbv2_scheme)i);
        sbv2_signer_save(&signer, key);
        assert_int_equal(esp_image_build(&spec, file, sizeof file), SIZE);
        run_write(path, file, sbv2_sign(file, SIZE, signers, 1));
        expect_both(key, path, 0, schemes[i]);
        sbv2_signer_close(&signer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(we_verify_what_it_signed),
        cmocka_unit_test(we_verify_several_blocks),
        cmocka_unit_test(both_refuse_what_was_tampered_with),
        cmocka_unit_test(it_reads_what_we_read_but_for_the_blocks_key),
        cmocka_unit_test(it_verifies_what_is_signed_as_it_signs),
    };
    if (!run_espsecure()) {
        puts("skipped: there is no espsecure in build/venv; script/bootstrap test installs it");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
