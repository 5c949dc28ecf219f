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
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
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

/* What the blocks of a PEM file hold. */
struct blocks {
    const char *passphrase; /* NULL: encrypted ones stay closed */
    EVP_PKEY *private_key;
    EVP_PKEY *public_key;
    int is_encrypted;
    int is_wrong; /* the passphrase */
};

static void blocks_release(struct blocks *b)
{
    EVP_PKEY_free(b->private_key);
    EVP_PKEY_free(b->public_key);
}

static EVP_PKEY *decrypt(const uint8_t *der, long len, struct blocks *b)
{
    const uint8_t *p = der;
    X509_SIG *locked = d2i_X509_SIG(NULL, &p, len);
    PKCS8_PRIV_KEY_INFO *open = NULL;
    EVP_PKEY *pkey = NULL;
    b->is_encrypted |= locked != NULL;
    if (locked != NULL && b->passphrase != NULL) {
        open = PKCS8_decrypt(locked, b->passphrase, (int)strlen(b->passphrase));
        b->is_wrong |= open == NULL;
    }
    if (open != NULL) {
        pkey = EVP_PKCS82PKEY(open);
    }
    PKCS8_PRIV_KEY_INFO_free(open);
    X509_SIG_free(locked);
    return pkey;
}

/* Keeps the first private and the first public key. */
static void take_block(const char *name, const uint8_t *der, long len, struct blocks *b)
{
    const uint8_t *p = der;
    EVP_PKEY **out = strcmp(name, PEM_STRING_PUBLIC) == 0 ? &b->public_key : &b->private_key;
    if (*out != NULL) {
        return;
    }
    if (out == &b->public_key) {
        *out = d2i_PUBKEY(NULL, &p, len);
    } else if (strcmp(name, PEM_STRING_PKCS8) == 0) {
        *out = decrypt(der, len, b);
    } else if (strcmp(name, PEM_STRING_PKCS8INF) == 0 ||
               strcmp(name, PEM_STRING_ECPRIVATEKEY) == 0) {
        *out = d2i_AutoPrivateKey(NULL, &p, len);
    }
}

static int read_blocks(const char *path, struct blocks *b)
{
    char *name = NULL;
    char *header = NULL;
    uint8_t *der = NULL;
    long len = 0;
    int err = SF_OK;
    BIO *in = read_file(path, &err);
    if (in == NULL) {
        return err;
    }
    while (PEM_read_bio(in, &name, &header, &der, &len) == 1) {
        if (header[0] == '\0') { /* else it is encrypted as before PKCS#8: nothing we open */
            take_block(name, der, len, b);
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)len);
    }
    BIO_free(in);
    ERR_clear_error();
    return SF_OK;
}

static int load_private(struct p256_key *key, const char *path, const char *passphrase)
{
    struct blocks b = {.passphrase = passphrase};
    *key = (struct p256_key){0};
    int err = read_blocks(path, &b);
    if (err == SF_OK && b.is_wrong) {
        err = SF_ERR_SIGNATURE;
    } else if (err == SF_OK && b.private_key != NULL && b.public_key != NULL &&
               EVP_PKEY_eq(b.private_key, b.public_key) != 1) {
        err = SF_ERR_CORRUPT;
    } else if (err == SF_OK) {
        err = adopt(key, b.private_key, 1);
        b.private_key = NULL;
    }
    blocks_release(&b);
    ERR_clear_error();
    return err;
}

int p256_key_load_private(struct p256_key *key, const char *path)
{
    return load_private(key, path, NULL);
}

int p256_key_load_encrypted(struct p256_key *key, const char *path, const char *passphrase)
{
    return load_private(key, path, passphrase);
}

int p256_file_is_encrypted(const char *path)
{
    struct blocks b = {0};
    const int err = read_blocks(path, &b);
    const int is = err == SF_OK && b.is_encrypted && b.private_key == NULL;
    blocks_release(&b);
    return is;
}

int p256_key_load_public(struct p256_key *key, const char *path)
{
    struct blocks b = {0};
    *key = (struct p256_key){0};
    int err = read_blocks(path, &b);
    if (err == SF_OK) {
        EVP_PKEY **from = b.public_key != NULL ? &b.public_key : &b.private_key;
        err = adopt(key, *from, 0);
        *from = NULL;
    }
    blocks_release(&b);
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

/* OpenSSL opens no more than 32 MiB of scrypt's memory unless it is told to, so that all readers of
 * PKCS#8 can open our files: 16 MiB, and five passes, as strong as 128 MiB once (OWASP). */
enum { SCRYPT_N = 16384, SCRYPT_R = 8, SCRYPT_P = 5 };

static int write_encrypted(BIO *out, EVP_PKEY *pkey, const char *passphrase)
{
    PKCS8_PRIV_KEY_INFO *open = EVP_PKEY2PKCS8(pkey);
    X509_ALGOR *how =
        PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL, SCRYPT_N, SCRYPT_R, SCRYPT_P);
    X509_SIG *locked = NULL;
    if (open != NULL && how != NULL) {
        locked = PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), open, how);
    }
    if (locked == NULL) {
        X509_ALGOR_free(how); /* else the file's structure has it */
    }
    const int ok = locked != NULL && PEM_write_bio_PKCS8(out, locked) == 1;
    X509_SIG_free(locked);
    PKCS8_PRIV_KEY_INFO_free(open);
    return ok;
}

int p256_key_to_text(const struct p256_key *key, enum key_role role, const char *passphrase,
                     struct p256_text *out)
{
    char head[KEY_HEAD_MAX];
    const int head_len = key_head_encode(role, &key->public_key, NULL, head);
    *out = (struct p256_text){0};
    if (key->pkey == NULL || !key->has_private || head_len < 0) {
        return SF_ERR_FORMAT;
    }
    BIO *to = BIO_new(BIO_s_secmem());
    char *text = NULL;
    int ok = to != NULL && BIO_write(to, head, head_len) == head_len &&
             (passphrase != NULL
                  ? write_encrypted(to, key->pkey, passphrase)
                  : PEM_write_bio_PKCS8PrivateKey(to, key->pkey, NULL, NULL, 0, NULL, NULL)) &&
             PEM_write_bio_PUBKEY(to, key->pkey);
    const long len = ok ? BIO_get_mem_data(to, &text) : 0;
    out->text = len > 0 ? OPENSSL_memdup(text, (size_t)len) : NULL;
    out->len = out->text != NULL ? (size_t)len : 0;
    BIO_free(to);
    ERR_clear_error();
    return out->text != NULL ? SF_OK : SF_ERR_CRYPTO;
}

void p256_text_free(struct p256_text *text)
{
    OPENSSL_clear_free(text->text, text->len);
    *text = (struct p256_text){0};
}

int p256_key_save_private(const struct p256_key *key, enum key_role role, const char *path)
{
    struct p256_text text;
    int err = p256_key_to_text(key, role, NULL, &text);
    if (err == SF_OK) {
        err = write_new(path, text.text, text.len);
    }
    p256_text_free(&text);
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
