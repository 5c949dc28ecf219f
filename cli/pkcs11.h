#ifndef CLI_PKCS11_H
#define CLI_PKCS11_H

#include "formats/cose.h"

/* P-256 keys that live in a PKCS#11 token (a smart card, an HSM, SoftHSM2) and never leave it,
 * named by a URI of RFC 7512:
 *
 *     pkcs11:token=Surefoot;object=release?module-path=/usr/lib/softhsm/libsofthsm2.so
 *
 * Without module-path the modules that p11-kit is configured for are asked. The PIN is a passphrase
 * (cli/passphrase.h), unless the URI has pin-source=file:...; pin-value is refused, for it would
 * stand in the command line. Each function returns enum cli_exit with a sentence. */

struct pkcs11_key;

/* 1 if a name of a key is such a URI rather than a file. */
int pkcs11_is_uri(const char *name);

struct pkcs11_request {
    const char *uri;
    const char *passphrase_file;            /* --passphrase-file, or NULL */
    const struct sf_public_key *public_key; /* that it must be; NULL: what the token says */
};

/* Finds the private key and logs in. pkcs11_close() the key, which is NULL after a failure. */
int pkcs11_open(const struct pkcs11_request *request, struct pkcs11_key **out)
    __attribute__((warn_unused_result));

/* Makes a key pair under the URI's `object`, which must be free. */
int pkcs11_generate(const struct pkcs11_request *request, struct pkcs11_key **out)
    __attribute__((warn_unused_result));

/* The public half alone, without the PIN. */
int pkcs11_read_public(const char *uri, struct sf_public_key *out)
    __attribute__((warn_unused_result));

void pkcs11_close(struct pkcs11_key *key);

const struct sf_public_key *pkcs11_public_key(const struct pkcs11_key *key);

/* Signs in the token, and verifies what comes out of it. */
struct sf_signer pkcs11_signer(struct pkcs11_key *key);

#endif
