#ifndef SHA256_CRYPTO_H
#define SHA256_CRYPTO_H

#include "formats/crypto.h"

/* struct sf_crypto with the SHA-256 functions alone (OpenSSL's), for tests of formats that need no
 * more. */
const struct sf_crypto *sha256_crypto(void);

#endif
