#ifndef P256_H
#define P256_H

#include <openssl/types.h>

#include "base/key_head.h"
#include "formats/cose.h"

/* P-256 keys in PEM files, and signing with them, over OpenSSL 3. Errors are numbers of
 * formats/err.h: NOTFOUND and IO for files (when loading, errno says why), FORMAT for what is not a
 * P-256 key, CRYPTO. */

enum { P256_DER_MAX = 72 };

struct p256_key {
    EVP_PKEY *pkey; /* counted; NULL after release */
    struct sf_public_key public_key;
    int has_private;
};

/* Each fills `key`; release it afterwards, also after an error. */
int p256_key_generate(struct p256_key *key) __attribute__((warn_unused_result));

/* A private key in PEM: PKCS#8, or the older `EC PRIVATE KEY`; not encrypted. CORRUPT if the file
 * holds a `PUBLIC KEY` too, and that of another key. */
int p256_key_load_private(struct p256_key *key, const char *path)
    __attribute__((warn_unused_result));

/* The same for a file that may be encrypted (PKCS#8 `ENCRYPTED PRIVATE KEY`, any of OpenSSL's
 * ciphers). SIGNATURE: it is, and this is not its passphrase. */
int p256_key_load_encrypted(struct p256_key *key, const char *path, const char *passphrase)
    __attribute__((warn_unused_result));

/* 1 if the file's private key is encrypted and so wants a passphrase; 0 for anything else. */
int p256_file_is_encrypted(const char *path);

/* A public key: a PEM file (`PUBLIC KEY`; the file of a private key that is not encrypted does
 * too). */
int p256_key_load_public(struct p256_key *key, const char *path)
    __attribute__((warn_unused_result));

/* A public key as 128 hex digits, x || y. RANGE for another length or digit, FORMAT for what is not
 * a point of the curve. */
int p256_key_from_hex(struct p256_key *key, const char *hex) __attribute__((warn_unused_result));

/* x || y as an OpenSSL key; NULL if that is no point of the curve. The caller frees it. */
EVP_PKEY *p256_point_to_pkey(const uint8_t xy[SF_P256_KEY_SIZE]);

void p256_key_release(struct p256_key *key);

/* PKCS#8 PEM under the lines of base/key_head.h, mode 0600, written to a temporary file beside
 * `path`, synced, then linked to its name: a private key is never overwritten (EXISTS) and never
 * half there. */
int p256_key_save_private(const struct p256_key *key, enum key_role role, const char *path)
    __attribute__((warn_unused_result));

/* The text of such a file with the public half behind the private one, so that it can be read
 * without the passphrase; encrypted with scrypt and AES-256 unless `passphrase` is NULL. FORMAT
 * without a private part. Call p256_text_free() in every case. */
struct p256_text {
    char *text;
    size_t len;
};
int p256_key_to_text(const struct p256_key *key, enum key_role role, const char *passphrase,
                     struct p256_text *out) __attribute__((warn_unused_result));
void p256_text_free(struct p256_text *text);

/* `PUBLIC KEY` PEM, mode 0644, replacing what was there. */
int p256_key_save_public(const struct p256_key *key, const char *path)
    __attribute__((warn_unused_result));

/* Signs with one key. Its OpenSSL context is prepared once and reused, which saves an eighth of
 * each signature; so: one signer, one thread. p256_signer_clone() makes another for another thread.
 */
struct p256_signer {
    EVP_PKEY_CTX *ctx;
    struct sf_public_key public_key;
};

/* FORMAT if `key` has no private part. The signer does not need `key` afterwards. */
int p256_signer_init(struct p256_signer *signer, const struct p256_key *key)
    __attribute__((warn_unused_result));
int p256_signer_clone(struct p256_signer *signer, const struct p256_signer *from)
    __attribute__((warn_unused_result));
void p256_signer_release(struct p256_signer *signer);

/* The signer as formats/ knows it; valid while `signer` is. */
struct sf_signer p256_signer_as_sf(struct p256_signer *signer);

/* An ECDSA signature as DER (what openssl and PKCS#11 tools write) and as r || s (COSE). */
int p256_signature_from_der(const uint8_t *der, size_t len,
                            uint8_t signature[SF_P256_SIGNATURE_SIZE])
    __attribute__((warn_unused_result));
/* Returns the length, at most P256_DER_MAX, or an error. */
int p256_signature_to_der(const uint8_t signature[SF_P256_SIGNATURE_SIZE],
                          uint8_t der[P256_DER_MAX]) __attribute__((warn_unused_result));

#endif
