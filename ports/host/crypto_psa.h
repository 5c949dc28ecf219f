#ifndef CRYPTO_PSA_H
#define CRYPTO_PSA_H

#include <psa/crypto.h>

#include "formats/crypto.h"

/* struct sf_crypto over the PSA Crypto API of Mbed TLS, the library that ESP-IDF has too.
 *
 * Threads: Mbed TLS guards its key store only from 3.6 on, so with Debian's 2.28 one thread at a
 * time may use what this fills. Returns SF_OK or SF_ERR_CRYPTO. */
int crypto_psa_init(struct sf_crypto *out) __attribute__((warn_unused_result));

/* For more over PSA: the operation that a running hash is, whatever its algorithm, and the error of
 * a verification. */
psa_hash_operation_t *crypto_psa_operation(struct sf_sha256 *hash);
int crypto_psa_verdict(psa_status_t status) __attribute__((warn_unused_result));

#endif
