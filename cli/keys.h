#ifndef CLI_KEYS_H
#define CLI_KEYS_H

#include "base/key_head.h"
#include "base/p256.h"
#include "cli/pkcs11.h"

/* Keys by name: a file (PEM, under the lines of base/key_head.h), or the URI of one in a PKCS#11
 * token. A file may say that its key is in a token, too. Each function returns enum cli_exit with a
 * sentence. */

/* What is asked for. */
struct key_request {
    const char *name;            /* FILE or pkcs11:... */
    enum key_role role;          /* that it must have, if it says one; KEY_ROLE_NONE = any */
    const char *passphrase_file; /* --passphrase-file, or NULL */
};

/* A key that signs, wherever it lives. */
struct signing_key {
    struct sf_public_key public_key;
    struct p256_signer signer;
    struct pkcs11_key *token; /* or NULL: `signer` signs */
};

/* Opens a private key, with its passphrase or PIN. keys_close() in every case. */
int keys_open(struct signing_key *out, const struct key_request *request)
    __attribute__((warn_unused_result));
void keys_close(struct signing_key *key);

/* As formats/ knows it; valid while `key` is. */
struct sf_signer keys_signer(struct signing_key *key);

/* The public half of a private or public key, without a passphrase. `head` may be NULL. CLI_LOCAL
 * if the file cannot be read, CLI_REFUSED if it is no P-256 key. Release the key in every case; its
 * has_private tells whether the file holds the private half too. */
int keys_load_public(struct p256_key *key, const char *name, enum key_role role,
                     struct key_head *head) __attribute__((warn_unused_result));

/* x || y as 128 hex digits. CLI_USAGE if it is none. */
int keys_from_hex(struct p256_key *key, const char *hex) __attribute__((warn_unused_result));

/* Whether keys_save() could write there: asked before a passphrase is. */
int keys_check_place(const char *path, int force) __attribute__((warn_unused_result));

/* A text in a new file; with `force` also in place of one. */
int keys_save(const char *path, const char *text, size_t len, unsigned mode, int force)
    __attribute__((warn_unused_result));

/* The lines of base/key_head.h and the public key as PEM. p256_text_free() it in every case. */
int keys_public_text(const struct p256_key *key, const struct key_head *head, struct p256_text *out)
    __attribute__((warn_unused_result));

#endif
