#ifndef CRYPTO_OPENSSL_H
#define CRYPTO_OPENSSL_H

#include <openssl/types.h>

#include "formats/crypto.h"

/* struct sf_crypto over OpenSSL 3, for the server and the command line. Static and without state,
 * so any number of threads may use it at once (each with its own struct sf_sha256). */
const struct sf_crypto *crypto_openssl(void);

/* Makes `hash` hold `md`, a started hash of any kind: sha256_feed and _end above then serve it, and
 * `digest` has room for its size. */
void crypto_openssl_put_hash(struct sf_sha256 *hash, EVP_MD_CTX *md);

#endif
