#ifndef CRYPTO_OPENSSL_H
#define CRYPTO_OPENSSL_H

#include "formats/crypto.h"

/* struct sf_crypto over OpenSSL 3, for the server and the command line. Static and without state,
 * so any number of threads may use it at once (each with its own struct sf_sha256). */
const struct sf_crypto *crypto_openssl(void);

#endif
