/* P-256 keys and signers over OpenSSL 3.
 *
 * Invariants
 *  1. A struct p256_key that loaded holds a P-256 key whose public point OpenSSL has checked.
 *  2. A private key reaches the disk only in a file of mode 0600, and its name appears only once
 *     the whole file is synced. */
#include "base/p256.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto_openssl.h"
#include "base/disk.h"
#include "base/hex.h"
#include "formats/err.h"

static const char group_name[] = "prime256v1";

/* A key is 300 bytes; more than this is another file, perhaps an endless one. */
enum { PEM_FILE_MAX = 64 * 1024 };

/* ---- signatures ---- */

int p256_signature_from_der(const uint8_t *der, size_t len,
                            uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    const uint8_t *p = der;
    uint8_t again[P256_DER_MAX];
    ECDSA_SIG *sig = len <= sizeof(again) ? d2i_ECDSA_SIG(NULL, &p, (long)len) : NULL;
    int err = SF_ERR_FORMAT;
    if (sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, 32) == 32 &&
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + 32, 32) == 32) {
        /* OpenSSL reads BER, too: lengths longer than they need be */
        uint8_t *out = again;
        const int len_again = i2d_ECDSA_SIG(sig, &out);
        err = len_again == (int)len && memcmp(again, der, len) == 0 ? SF_OK : SF_ERR_FORMAT;
    }
    ECDSA_SIG_free(sig);
    ERR_clear_error();
    return err;
}

int p256_signature_to_der(const uint8_t signature[SF_P256_SIGNATURE_SIZE],
                          uint8_t der[P256_DER_MAX])
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, 32, NULL);
    BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return SF_ERR_CRYPTO;
    }
    uint8_t *out = der; /* 2 + 2 * (2 + 33) bytes at most */
    const int len = i2d_ECDSA_SIG(sig, &out);
    ECDSA_SIG_free(sig);
    return len > 0 ? len : SF_ERR_CRYPTO;
}

/* ---- keys ---- */

EVP_PKEY *p256_point_to_pkey(const uint8_t xy[SF_P256_KEY_SIZE])
{
    uint8_t point[1 + SF_P256_KEY_SIZE] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(point + 1, xy, SF_P256_KEY_SIZE);
    char group[sizeof(group_name)];
    memcpy(group, group_name, sizeof(group));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return pkey;
}

static int get_xy(const EVP_PKEY *pkey, uint8_t xy[SF_P256_KEY_SIZE])
{
    char group[64] = "";
    size_t len = 0;
    BIGNUM *x = NULL;
    BIGNUM *y = NULL;
    const int ok = EVP_PKEY_is_a(pkey, "EC") == 1 &&
                   EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) == 1 &&
                   strcmp(group, group_name) == 0 &&
                   EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
                   EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
                   BN_bn2binpad(x, xy, 32) == 32 && BN_bn2binpad(y, xy + 32, 32) == 32;
    BN_free(x);
    BN_free(y);
    ERR_clear_error();
    return ok ? SF_OK : SF_ERR_FORMAT;
}

/* Takes over `pkey`, which may be NULL: then nothing was found in the input. */
static int adopt(struct p256_key *key, EVP_PKEY *pkey, int has_private)
{
    uint8_t xy[SF_P256_KEY_SIZE];
    *key = (struct p256_key){.pkey = pkey, .has_private = has_private};
    if (pkey == NULL) {
        ERR_clear_error();
        return SF_ERR_FORMAT;
    }
    const int err = get_xy(pkey, xy);
    return err < 0 ? err : sf_public_key_init(&key->public_key, crypto_openssl(), xy);
}

int p256_key_generate(struct p256_key *key)
{
    EVP_PKEY *pkey = EVP_EC_gen(group_name);
    const int err = adopt(key, pkey, 1);
    return pkey == NULL ? SF_ERR_CRYPTO : err;
}

void p256_key_release(struct p256_key *key)
{
    EVP_PKEY_free(key->pkey);
    *key = (struct p256_key){0};
}

/* The password to try on an encrypted file: none, and no question at the terminal. */
static char no_password[] = "";

/* A whole file, in memory that is wiped. NULL with *err: errno says why for IO. */
static BIO *read_file(const char *path, int *err)
{
    char part[4096];
    size_t have = 0;
    ssize_t n = 0;
    BIO *out = BIO_new(BIO_s_secmem());
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    *err = fd >= 0 && out != NULL ? SF_OK : SF_ERR_IO;
    while (*err == SF_OK && (n = read(fd, part, sizeof(part))) > 0) {
        have += (size_t)n;
        if (have > PEM_FILE_MAX) {
            *err = SF_ERR_FORMAT;
        } else if (BIO_write(out, part, (int)n) != n) {
            *err = SF_ERR_IO;
        }
    }
    *err = n < 0 ? SF_ERR_IO : *err;
    const int why = errno;
    OPENSSL_cleanse(part, sizeof(part));
    if (fd >= 0) {
        close(fd);
    }
    if (*err != SF_OK) {
        *err = *err == SF_ERR_IO && why == ENOENT ? SF_ERR_NOTFOUND : *err;
        BIO_free(out);
        out = NULL;
    }
    errno = why;
    return out;
}

int p256_key_load_private(struct p256_key *key, const char *path)
{
    int err = SF_OK;
    *key = (struct p256_key){0};
    BIO *in = read_file(path, &err);
    if (in == NULL) {
        return err;
    }
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(in, NULL, NULL, no_password);
    BIO_free(in);
    return adopt(key, pkey, 1);
}

int p256_key_load_public(struct p256_key *key, const char *path)
{
    int err = SF_OK;
    *key = (struct p256_key){0};
    BIO *in = read_file(path, &err);
    if (in == NULL) {
        return err;
    }
    EVP_PKEY *pkey = PEM_read_bio_PUBKEY(in, NULL, NULL, no_password);
    BIO_free(in);
    if (pkey != NULL) {
        return adopt(key, pkey, 0);
    }
    err = p256_key_load_private(key, path);
    key->has_private = 0;
    return err;
}

int p256_key_from_hex(struct p256_key *key, const char *hex)
{
    uint8_t xy[SF_P256_KEY_SIZE];
    *key = (struct p256_key){0};
    if (hex_decode(hex, xy, sizeof(xy)) < 0) {
        return SF_ERR_RANGE;
    }
    return adopt(key, p256_point_to_pkey(xy), 0);
}

/* ---- files ---- */

/* Makes the entry of `path` in its folder durable. */
static int sync_folder_of(const char *path)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash != NULL) {
        const size_t len = slash == path ? 1 : (size_t)(slash - path);
        memcpy(folder, path, len);
        folder[len] = '\0';
    }
    return disk_sync_folder(folder);
}

/* Writes under another name, then links: link() fails where the name is taken. */
static int write_new(const char *path, const void *data, size_t len)
{
    char temporary[PATH_MAX];
    const int n = snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        return SF_ERR_RANGE;
    }
    int err = disk_write_atomic(temporary, 0600, data, len);
    if (err < 0) {
        return err;
    }
    if (link(temporary, path) != 0) {
        err = errno == EEXIST ? SF_ERR_EXISTS : disk_error(errno);
    }
    (void)unlink(temporary);
    return err < 0 ? err : sync_folder_of(path);
}

int p256_key_save_private(const struct p256_key *key, const char *path)
{
    if (key->pkey == NULL || !key->has_private) {
        return SF_ERR_FORMAT;
    }
    BIO *out = BIO_new(BIO_s_secmem());
    int err = SF_ERR_CRYPTO;
    if (out != NULL && PEM_write_bio_PKCS8PrivateKey(out, key->pkey, NULL, NULL, 0, NULL, NULL)) {
        char *pem = NULL;
        const long len = BIO_get_mem_data(out, &pem);
        err = write_new(path, pem, (size_t)len);
    }
    BIO_free(out);
    ERR_clear_error();
    return err;
}

int p256_key_save_public(const struct p256_key *key, const char *path)
{
    BIO *out = BIO_new(BIO_s_mem());
    int err = SF_ERR_CRYPTO;
    if (out != NULL && key->pkey != NULL && PEM_write_bio_PUBKEY(out, key->pkey)) {
        char *pem = NULL;
        const long len = BIO_get_mem_data(out, &pem);
        err = disk_write_atomic(path, 0644, pem, (size_t)len);
    }
    BIO_free(out);
    ERR_clear_error();
    return err;
}

/* ---- signers ---- */

int p256_signer_init(struct p256_signer *signer, const struct p256_key *key)
{
    *signer = (struct p256_signer){.public_key = key->public_key};
    if (key->pkey == NULL || !key->has_private) {
        return SF_ERR_FORMAT;
    }
    signer->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (signer->ctx == NULL || EVP_PKEY_sign_init(signer->ctx) != 1) {
        p256_signer_release(signer);
        return SF_ERR_CRYPTO;
    }
    return SF_OK;
}

int p256_signer_clone(struct p256_signer *signer, const struct p256_signer *from)
{
    *signer = (struct p256_signer){.public_key = from->public_key};
    signer->ctx = EVP_PKEY_CTX_dup(from->ctx);
    return signer->ctx != NULL ? SF_OK : SF_ERR_CRYPTO;
}

void p256_signer_release(struct p256_signer *signer)
{
    EVP_PKEY_CTX_free(signer->ctx);
    signer->ctx = NULL;
}

static int sign(void *ctx, const uint8_t digest[SF_SHA256_SIZE],
                uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    const struct p256_signer *signer = ctx;
    uint8_t der[P256_DER_MAX];
    size_t len = sizeof(der);
    if (EVP_PKEY_sign(signer->ctx, der, &len, digest, SF_SHA256_SIZE) != 1) {
        ERR_clear_error();
        return SF_ERR_CRYPTO;
    }
    return p256_signature_from_der(der, len, signature);
}

struct sf_signer p256_signer_as_sf(struct p256_signer *signer)
{
    struct sf_signer out = {.ctx = signer, .sign = sign};
    memcpy(out.kid, signer->public_key.kid, SF_KID_SIZE);
    return out;
}
