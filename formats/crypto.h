#ifndef SF_CRYPTO_H
#define SF_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

/* The cryptography that formats/ and device/ need, as a struct of functions. Ports fill it:
 * ports/host/crypto_psa.c (Mbed TLS through PSA), base/crypto_openssl.c for the server and the
 * command line. Every function returns SF_OK or an error < 0 of formats/err.h. */

enum { SF_SHA256_SIZE = 32, SF_P256_KEY_SIZE = 64, SF_P256_SIGNATURE_SIZE = 64 };

/* Room for a running SHA-256 of any library; the contents belong to the port. Start each one with
 * sha256_start and end each one with sha256_end: a port may hold memory in between. */
struct sf_sha256 {
    uint64_t opaque[32];
};

struct sf_crypto {
    void *ctx; /* handed to each function */
    int (*sha256_start)(void *ctx, struct sf_sha256 *hash);
    int (*sha256_feed)(void *ctx, struct sf_sha256 *hash, const void *data, size_t len);
    /* `digest` NULL abandons the computation and frees what it held. The hash must not be fed
     * afterwards, whatever is returned. */
    int (*sha256_end)(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SHA256_SIZE]);
    /* ECDSA over P-256 (FIPS 186-4). `key` is x || y, `signature` is r || s, big-endian.
     * SF_ERR_SIGNATURE if it does not verify or the key is not a point of the curve. */
    int (*verify_p256)(void *ctx, const uint8_t key[SF_P256_KEY_SIZE],
                       const uint8_t digest[SF_SHA256_SIZE],
                       const uint8_t signature[SF_P256_SIGNATURE_SIZE]);
    int (*random)(void *ctx, uint8_t *out, size_t len);
};

/* SHA-256 of one piece of memory. Returns SF_OK or what the port returned. */
int sf_sha256(const struct sf_crypto *crypto, const void *data, size_t len,
              uint8_t digest[SF_SHA256_SIZE]) __attribute__((warn_unused_result));

/* Of digests that are no secret. 1 if equal, else 0. */
int sf_digest_equal(const uint8_t a[SF_SHA256_SIZE], const uint8_t b[SF_SHA256_SIZE]);
void sf_digest_copy(uint8_t to[SF_SHA256_SIZE], const uint8_t from[SF_SHA256_SIZE]);

/* Compares in time that depends on `len` only. Returns 1 if equal, else 0. */
int sf_equal_constant_time(const void *a, const void *b, size_t len);

#endif
