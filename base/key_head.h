#ifndef KEY_HEAD_H
#define KEY_HEAD_H

#include <stddef.h>

#include "formats/cose.h"

/* The lines that stand above the PEM of a key file and say what the key is for (RFC 7468 lets text
 * stand there, and every reader of PEM skips it):
 *
 *     role        release
 *     kid         0123456789abcdef
 *     public key  <x || y, 128 hex digits>
 *     token       pkcs11:token=HSM;object=release     only for a key that lives in a token
 *     -----BEGIN PUBLIC KEY-----
 *
 * The role keeps a person from taking one key for another; nobody is kept from changing it. What a
 * key may do is said by the product and by the trust root. */

enum key_role {
    KEY_ROLE_ROOT,
    KEY_ROLE_RELEASE,
    KEY_ROLE_STATUS,
    KEY_ROLE_DELTA,
    KEY_ROLE_NONE, /* a key of another tool's making */
};

enum {
    KEY_TOKEN_MAX = 512,      /* a URI of RFC 7512 */
    KEY_HEAD_MAX = 1024,      /* all lines together */
    KEY_HEAD_READ_MAX = 4096, /* what is looked at of a file */
};

struct key_head {
    enum key_role role;
    int is_unknown; /* it names a role that this version does not know */
    char token[KEY_TOKEN_MAX + 1];
};

/* "root", "release", "status", "delta"; "none" for KEY_ROLE_NONE. Static. */
const char *key_role_name(enum key_role role);
/* RANGE for another word. */
int key_role_parse(const char *name, enum key_role *out) __attribute__((warn_unused_result));

/* The lines of a text that holds a PEM file, or its beginning. A line that is not there leaves
 * KEY_ROLE_NONE or ""; a role that stands there twice in different words counts as unknown. */
void key_head_decode(const char *text, size_t len, struct key_head *out);

/* The same of a file. NOTFOUND or IO with errno. */
int key_head_read(const char *path, struct key_head *out) __attribute__((warn_unused_result));

/* Writes the lines, NUL-terminated; `token` may be NULL. Returns their length, or NOSPC. */
int key_head_encode(enum key_role role, const struct sf_public_key *key, const char *token,
                    char out[KEY_HEAD_MAX]) __attribute__((warn_unused_result));

#endif
