#ifndef SBV2_PSA_H
#define SBV2_PSA_H

#include "formats/sbv2.h"

/* Secure Boot V2's signatures over the PSA Crypto API, all four schemes, and SHA-384. For use with
 * a struct sf_crypto of crypto_psa_init(), which comes first. Threads: as that. */
void sbv2_psa_init(struct sf_sbv2_verifier *out);

#endif
