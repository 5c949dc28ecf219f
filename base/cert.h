#ifndef CERT_H
#define CERT_H

#include <openssl/types.h>
#include <stdint.h>

#include "base/tls.h"

/* The X.509 part of base/tls.h: making and reading the CA and the leaf. ECDSA P-256, SHA-256.
 * Errors: SF_ERR_NOTFOUND, SF_ERR_IO, SF_ERR_FORMAT (not a certificate with its key),
 * SF_ERR_CRYPTO, SF_ERR_NOSPC. */

enum {
    CERT_DAY_S = 86400,
    CERT_CA_DAYS = 20 * 365,
    CERT_LEAF_DAYS = 90,
    CERT_CHAIN_MAX = 10,
};

struct cert_pair {
    X509 *cert;
    EVP_PKEY *key;
};

void cert_release(struct cert_pair *pair);

int cert_key_make(EVP_PKEY **key) __attribute__((warn_unused_result));

/* A self-signed CA for `key` (which it takes a reference of). */
int cert_ca_make(EVP_PKEY *key, int64_t now_unix_s, struct cert_pair *out)
    __attribute__((warn_unused_result));

/* A leaf with a new key, for the hosts of `id`; never outlives the CA. */
int cert_leaf_make(const struct cert_pair *ca, const struct tls_identity *id, int64_t now_unix_s,
                   struct cert_pair *out) __attribute__((warn_unused_result));

/* Certificate and key as PEM; each may be NULL in the pair, or absent in the file. */
int cert_read(const char *path, struct cert_pair *out) __attribute__((warn_unused_result));
/* All certificates of a PEM file in their order, at least one, at most CERT_CHAIN_MAX;
 * sk_X509_pop_free(out, X509_free) frees them. */
struct stack_st_X509;
int cert_chain_read(const char *path, struct stack_st_X509 **out)
    __attribute__((warn_unused_result));
int cert_write(const char *path, const struct cert_pair *pair) __attribute__((warn_unused_result));

/* First and last second of the validity, Unix time. */
int cert_validity(const X509 *cert, int64_t *first, int64_t *last)
    __attribute__((warn_unused_result));

/* 1 if the SAN is exactly these hosts in this order. */
int cert_names(const X509 *cert, const struct tls_identity *id);

/* 1 if a DNS name (letters, digits, hyphens, dots) or an IP address. */
int cert_host_valid(const char *host);

#endif
