#ifndef SBV2_OPENSSL_H
#define SBV2_OPENSSL_H

#include <openssl/types.h>

#include "formats/sbv2.h"

enum { SBV2_KEY_MAX = 776 };

/* Secure Boot V2's signatures over OpenSSL 3: all four schemes. Static and without state, so any
 * number of threads may use it at once. */
const struct sf_sbv2_verifier *sbv2_openssl(void);

/* A public key as a signature block has it. */
struct sbv2_key {
    uint8_t scheme; /* enum sf_sbv2_scheme */
    uint16_t len;
    uint8_t bytes[SBV2_KEY_MAX];
};

/* ALGORITHM if the key is not RSA-3072, P-192, P-256 or P-384; CRYPTO. */
int sbv2_key_encode(const EVP_PKEY *pkey, struct sbv2_key *out) __attribute__((warn_unused_result));

/* The digest by which an eFuse names the key in a PEM file (public, or private and not encrypted).
 * FORMAT if there is no such key; else as sbv2_key_encode(). */
int sbv2_key_digest(const void *pem, size_t len, uint8_t digest[SF_SHA256_SIZE])
    __attribute__((warn_unused_result));

#endif
