/* P-256 keys in files, signers, and the openssl command line as judge. */
#include "base/p256.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "formats/err.h"
#include "formats/status.h"

static char folder[] = "/tmp/surefoot-p256-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const file[] = {"key.pem", "public.pem", "der.sig",   "tbs",
                                       "ec.pem",  "other.pem",  "text.pem",  "locked.pem",
                                       "rsa.pem", "params.pem", "plain.pem", "mixed.pem"};
    for (size_t i = 0; i < sizeof(file) / sizeof(file[0]); i++) {
        (void)unlink(file[i]);
    }
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

/* Exit status of `openssl <arguments>`, its output thrown away. */
static int openssl(const char *arguments)
{
    char shell[] = "sh";
    char option[] = "-c";
    char command[256];
    char *const argv[] = {shell, option, command, NULL};
    pid_t pid;
    int status = -1;
    (void)snprintf(command, sizeof(command), "openssl %s >/dev/null 2>&1", arguments);
    assert_int_equal(posix_spawnp(&pid, shell, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void generate(struct p256_key *key)
{
    assert_int_equal(p256_key_generate(key), SF_OK);
    assert_true(key->has_private);
}

static void a_key_survives_its_files(void **state)
{
    (void)state;
    struct p256_key key;
    struct p256_key loaded;
    struct stat st;
    generate(&key);
    assert_int_equal(p256_key_save_private(&key, KEY_ROLE_RELEASE, "key.pem"), SF_OK);
    assert_int_equal(stat("key.pem", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(p256_key_load_private(&loaded, "key.pem"), SF_OK);
    assert_memory_equal(&loaded.public_key, &key.public_key, sizeof(key.public_key));
    p256_key_release(&loaded);

    assert_int_equal(p256_key_save_public(&key, "public.pem"), SF_OK);
    assert_int_equal(p256_key_load_public(&loaded, "public.pem"), SF_OK);
    assert_false(loaded.has_private);
    assert_memory_equal(&loaded.public_key, &key.public_key, sizeof(key.public_key));
    struct p256_signer signer;
    assert_int_equal(p256_signer_init(&signer, &loaded), SF_ERR_FORMAT);
    assert_int_equal(p256_key_save_private(&loaded, KEY_ROLE_RELEASE, "other.pem"), SF_ERR_FORMAT);
    p256_key_release(&loaded);

    assert_int_equal(p256_key_load_public(&loaded, "key.pem"), SF_OK);
    assert_false(loaded.has_private);
    assert_memory_equal(&loaded.public_key, &key.public_key, sizeof(key.public_key));
    p256_key_release(&loaded);
    assert_int_equal(p256_key_load_private(&loaded, "public.pem"), SF_ERR_FORMAT);
    p256_key_release(&loaded);
    p256_key_release(&key);
}

static void a_private_key_is_never_overwritten(void **state)
{
    (void)state;
    struct p256_key key;
    struct p256_key loaded;
    generate(&key);
    assert_int_equal(p256_key_load_private(&loaded, "key.pem"), SF_OK);
    assert_int_equal(p256_key_save_private(&key, KEY_ROLE_RELEASE, "key.pem"), SF_ERR_EXISTS);
    struct p256_key again;
    assert_int_equal(p256_key_load_private(&again, "key.pem"), SF_OK);
    assert_memory_equal(&again.public_key, &loaded.public_key, sizeof(again.public_key));
    p256_key_release(&again);
    p256_key_release(&loaded);
    p256_key_release(&key);
}

static void keys_of_openssl_load(void **state)
{
    (void)state;
    struct p256_key key;
    assert_int_equal(
        openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.pem"), 0);
    assert_int_equal(p256_key_load_private(&key, "other.pem"), SF_OK);
    p256_key_release(&key);
    assert_int_equal(openssl("ecparam -genkey -name prime256v1 -noout -out ec.pem"), 0);
    assert_int_equal(p256_key_load_private(&key, "ec.pem"), SF_OK);
    p256_key_release(&key);
}

static void other_keys_and_files_are_refused(void **state)
{
    (void)state;
    assert_int_equal(openssl("genpkey -algorithm RSA -out rsa.pem"), 0);
    assert_int_equal(
        openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out params.pem"), 0);
    assert_int_equal(openssl("pkey -in other.pem -aes256 -passout pass:x -out locked.pem"), 0);
    write_file("text.pem", "no key at all\n", 14);
    struct p256_key key;
    static const char *const path[] = {"rsa.pem", "params.pem", "locked.pem", "text.pem"};
    for (size_t i = 0; i < sizeof(path) / sizeof(path[0]); i++) {
        assert_int_equal(p256_key_load_private(&key, path[i]), SF_ERR_FORMAT);
        p256_key_release(&key);
        assert_int_equal(p256_key_load_public(&key, path[i]), SF_ERR_FORMAT);
        p256_key_release(&key);
    }
    assert_int_equal(p256_key_load_private(&key, "/dev/zero"), SF_ERR_FORMAT); /* it ends */
    assert_int_equal(p256_key_load_public(&key, "/dev/zero"), SF_ERR_FORMAT);
    assert_int_equal(p256_key_load_public(&key, "."), SF_ERR_IO);
    assert_int_equal(errno, EISDIR);
    assert_int_equal(p256_key_load_private(&key, "absent.pem"), SF_ERR_NOTFOUND);
    assert_int_equal(p256_key_load_public(&key, "absent.pem"), SF_ERR_NOTFOUND);
    generate(&key);
    assert_true(p256_key_save_private(&key, KEY_ROLE_RELEASE, "absent/key.pem") < 0);
    p256_key_release(&key);
}

static void save_text(const char *path, const struct p256_key *key, enum key_role role,
                      const char *passphrase)
{
    struct p256_text text;
    assert_int_equal(p256_key_to_text(key, role, passphrase, &text), SF_OK);
    write_file(path, text.text, text.len);
    p256_text_free(&text);
    assert_null(text.text);
}

static void an_encrypted_key_opens_with_its_passphrase_alone(void **state)
{
    (void)state;
    struct p256_key key;
    struct p256_key loaded;
    struct key_head head;
    generate(&key);
    save_text("locked.pem", &key, KEY_ROLE_ROOT, "correct horse battery");
    assert_int_equal(p256_file_is_encrypted("locked.pem"), 1);
    assert_int_equal(p256_key_load_private(&loaded, "locked.pem"), SF_ERR_FORMAT);
    assert_int_equal(p256_key_load_encrypted(&loaded, "locked.pem", "correct horse"),
                     SF_ERR_SIGNATURE);
    assert_int_equal(p256_key_load_encrypted(&loaded, "locked.pem", ""), SF_ERR_SIGNATURE);
    assert_null(loaded.pkey);
    assert_int_equal(p256_key_load_encrypted(&loaded, "locked.pem", "correct horse battery"),
                     SF_OK);
    assert_true(loaded.has_private);
    assert_memory_equal(&loaded.public_key, &key.public_key, sizeof(key.public_key));
    p256_key_release(&loaded);
    /* the public half and the role stand beside it, in the clear */
    assert_int_equal(p256_key_load_public(&loaded, "locked.pem"), SF_OK);
    assert_memory_equal(&loaded.public_key, &key.public_key, sizeof(key.public_key));
    p256_key_release(&loaded);
    assert_int_equal(key_head_read("locked.pem", &head), SF_OK);
    assert_int_equal(head.role, KEY_ROLE_ROOT);
    p256_key_release(&key);
}

static void openssl_opens_what_we_encrypt_and_we_what_it_does(void **state)
{
    (void)state;
    struct p256_key key;
    struct p256_key loaded;
    generate(&key);
    save_text("locked.pem", &key, KEY_ROLE_RELEASE, "x y z");
    assert_int_equal(openssl("pkey -in locked.pem -passin 'pass:x y' -out plain.pem"), 1);
    assert_int_equal(openssl("pkey -in locked.pem -passin 'pass:x y z' -out plain.pem"), 0);
    assert_int_equal(p256_file_is_encrypted("plain.pem"), 0);
    assert_int_equal(p256_key_load_private(&loaded, "plain.pem"), SF_OK);
    assert_memory_equal(&loaded.public_key, &key.public_key, sizeof(key.public_key));
    p256_key_release(&loaded);
    static const char *const how[] = {"-scrypt", "-v2 aes-256-cbc -iter 100000"};
    for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
        char command[160];
        (void)snprintf(command, sizeof(command),
                       "pkcs8 -topk8 -in plain.pem %s -passout pass:other -out locked.pem", how[i]);
        assert_int_equal(openssl(command), 0);
        assert_int_equal(p256_key_load_encrypted(&loaded, "locked.pem", "other"), SF_OK);
        assert_memory_equal(&loaded.public_key, &key.public_key, sizeof(key.public_key));
        p256_key_release(&loaded);
    }
    p256_key_release(&key);
}

static void halves_of_two_keys_are_refused(void **state)
{
    (void)state;
    struct p256_key key[2];
    struct p256_text text[2];
    struct p256_key loaded;
    for (size_t i = 0; i < 2; i++) {
        generate(&key[i]);
        assert_int_equal(p256_key_to_text(&key[i], KEY_ROLE_RELEASE, NULL, &text[i]), SF_OK);
    }
    char *public_half = strstr(text[0].text, "-----BEGIN PUBLIC KEY");
    const char *other = strstr(text[1].text, "-----BEGIN PUBLIC KEY");
    assert_true(public_half != NULL && other != NULL);
    FILE *f = fopen("mixed.pem", "wb");
    assert_non_null(f);
    assert_true(fwrite(text[0].text, 1, (size_t)(public_half - text[0].text), f) > 0);
    assert_true(fwrite(other, 1, text[1].len - (size_t)(other - text[1].text), f) > 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(p256_key_load_private(&loaded, "mixed.pem"), SF_ERR_CORRUPT);
    for (size_t i = 0; i < 2; i++) {
        p256_key_release(&key[i]);
        p256_text_free(&text[i]);
    }
}

static void keys_in_hex_load(void **state)
{
    (void)state;
    static const char hex[] = "8496811aae0baaabd26157189eecda26beaa8bf11b6f3fe6e2b5659c85dbc0ad"
                              "3b1f2a4b6c098131c0a36dacd1d78bd381dcdfb09c052db33991db7338b4a896";
    char changed[sizeof(hex)];
    struct p256_key key;
    assert_int_equal(p256_key_from_hex(&key, hex), SF_OK);
    assert_int_equal(key.public_key.xy[0], 0x84);
    assert_int_equal(key.public_key.kid[0], 0xca);
    p256_key_release(&key);
    memcpy(changed, hex, sizeof(hex));
    changed[127] = '7'; /* not on the curve */
    assert_int_equal(p256_key_from_hex(&key, changed), SF_ERR_FORMAT);
    p256_key_release(&key);
    changed[127] = 'g';
    assert_int_equal(p256_key_from_hex(&key, changed), SF_ERR_RANGE);
    changed[127] = '\0';
    assert_int_equal(p256_key_from_hex(&key, changed), SF_ERR_RANGE);
}

/* Random signatures cover leading zeros and high bits of r and s; the row has both extremes. */
static void signatures_go_to_der_and_back(void **state)
{
    (void)state;
    uint8_t signature[SF_P256_SIGNATURE_SIZE] = {0};
    uint8_t der[P256_DER_MAX];
    uint8_t back[SF_P256_SIGNATURE_SIZE];
    signature[31] = 1;
    memset(signature + 32, 0xff, 32);
    int len = p256_signature_to_der(signature, der);
    assert_int_equal(len, 2 + 3 + 35);
    assert_int_equal(p256_signature_from_der(der, (size_t)len, back), SF_OK);
    assert_memory_equal(back, signature, sizeof(back));
    assert_int_equal(p256_signature_from_der(der, (size_t)len - 1, back), SF_ERR_FORMAT);
    memset(signature, 0xff, sizeof(signature));
    len = p256_signature_to_der(signature, der);
    assert_int_equal(len, P256_DER_MAX);
    /* 33 bytes of r cannot be a P-256 signature */
    static const uint8_t long_r[] = {
        0x30, 0x26, 0x02, 0x21, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0,
        0,    0,    0,    0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x01, 0x01};
    assert_int_equal(p256_signature_from_der(long_r, sizeof(long_r), back), SF_ERR_FORMAT);
    assert_int_equal(p256_signature_from_der(long_r, 0, back), SF_ERR_FORMAT);
}

/* ["Signature1", protected, h'', payload], written out by hand. */
static size_t sig_structure(const struct sf_cose_sign1 *s, uint8_t *out)
{
    static const uint8_t head[] = "\x84\x6aSignature1\x4d";
    size_t n = sizeof(head) - 1;
    assert_int_equal(s->protected_header.len, 13);
    assert_in_range(s->payload.len, 24, 255);
    memcpy(out, head, n);
    memcpy(out + n, s->protected_header.data, 13);
    n += 13;
    out[n++] = 0x40;
    out[n++] = 0x58;
    out[n++] = (uint8_t)s->payload.len;
    memcpy(out + n, s->payload.data, s->payload.len);
    return n + s->payload.len;
}

static void openssl_verifies_what_we_sign(void **state)
{
    (void)state;
    struct p256_key key;
    struct p256_signer signer;
    struct sf_cose_sign1 sign1;
    const struct sf_status status = {.counter = 5, .time = 1800000000, .expires = 1800003600};
    uint8_t out[SF_STATUS_MAX];
    uint8_t tbs[SF_STATUS_MAX];
    uint8_t der[P256_DER_MAX];
    generate(&key);
    assert_int_equal(p256_key_save_public(&key, "public.pem"), SF_OK);
    assert_int_equal(p256_signer_init(&signer, &key), SF_OK);
    const struct sf_signer as_sf = p256_signer_as_sf(&signer);
    const int32_t len = sf_status_sign(&status, &as_sf, crypto_openssl(), out, sizeof(out));
    assert_true(len > 0);
    assert_int_equal(sf_cose_sign1_decode((struct sf_bytes){out, (size_t)len}, &sign1, NULL),
                     SF_OK);
    const int der_len = p256_signature_to_der(sign1.signature.data, der);
    assert_true(der_len > 0);
    const size_t tbs_len = sig_structure(&sign1, tbs);
    write_file("der.sig", der, (size_t)der_len);
    write_file("tbs", tbs, tbs_len);
    assert_int_equal(openssl("dgst -sha256 -verify public.pem -signature der.sig tbs"), 0);
    tbs[tbs_len - 1] ^= 1;
    write_file("tbs", tbs, tbs_len);
    assert_int_equal(openssl("dgst -sha256 -verify public.pem -signature der.sig tbs"), 1);
    p256_signer_release(&signer);
    p256_key_release(&key);
}

static void openssl_signs_what_we_verify(void **state)
{
    (void)state;
    struct p256_key key;
    uint8_t der[256];
    uint8_t digest[SF_SHA256_SIZE];
    uint8_t signature[SF_P256_SIGNATURE_SIZE];
    const struct sf_crypto *crypto = crypto_openssl();
    assert_int_equal(p256_key_load_private(&key, "key.pem"), SF_OK);
    write_file("tbs", "abc", 3);
    assert_int_equal(openssl("dgst -sha256 -sign key.pem -out der.sig tbs"), 0);
    FILE *f = fopen("der.sig", "rb");
    assert_non_null(f);
    const size_t len = fread(der, 1, sizeof(der), f);
    (void)fclose(f);
    assert_int_equal(p256_signature_from_der(der, len, signature), SF_OK);
    assert_int_equal(sf_sha256(crypto, "abc", 3, digest), SF_OK);
    assert_int_equal(crypto->verify_p256(crypto->ctx, key.public_key.xy, digest, signature), SF_OK);
    p256_key_release(&key);
}

struct worker {
    struct p256_signer signer;
    int failures;
};

static void *sign_many(void *arg)
{
    struct worker *w = arg;
    const struct sf_crypto *crypto = crypto_openssl();
    const struct sf_signer signer = p256_signer_as_sf(&w->signer);
    for (unsigned i = 0; i < 200; i++) {
        uint8_t digest[SF_SHA256_SIZE] = {(uint8_t)i};
        uint8_t signature[SF_P256_SIGNATURE_SIZE];
        w->failures += signer.sign(signer.ctx, digest, signature) < 0;
        w->failures +=
            crypto->verify_p256(crypto->ctx, w->signer.public_key.xy, digest, signature) < 0;
    }
    return NULL;
}

static void clones_sign_in_their_own_threads(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    struct p256_key key;
    struct p256_signer first;
    struct worker worker[THREADS] = {0};
    pthread_t thread[THREADS];
    generate(&key);
    assert_int_equal(p256_signer_init(&first, &key), SF_OK);
    p256_key_release(&key); /* the signer lives on */
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(p256_signer_clone(&worker[i].signer, &first), SF_OK);
    }
    p256_signer_release(&first);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, sign_many, &worker[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(worker[i].failures, 0);
        p256_signer_release(&worker[i].signer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_survives_its_files),
        cmocka_unit_test(a_private_key_is_never_overwritten),
        cmocka_unit_test(keys_of_openssl_load),
        cmocka_unit_test(other_keys_and_files_are_refused),
        cmocka_unit_test(an_encrypted_key_opens_with_its_passphrase_alone),
        cmocka_unit_test(openssl_opens_what_we_encrypt_and_we_what_it_does),
        cmocka_unit_test(halves_of_two_keys_are_refused),
        cmocka_unit_test(keys_in_hex_load),
        cmocka_unit_test(signatures_go_to_der_and_back),
        cmocka_unit_test(openssl_verifies_what_we_sign),
        cmocka_unit_test(openssl_signs_what_we_verify),
        cmocka_unit_test(clones_sign_in_their_own_threads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
