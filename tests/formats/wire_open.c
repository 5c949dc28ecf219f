/* Opens what other implementations signed, for sign_oracle.py and sign_oracle.mjs. One line in, one
 * line out: the name of the error, or OK.
 *
 *     status XY HEX          a status under the key x || y
 *     manifest XY HEX        an envelope of our profile
 *     root HEX HEX ...       a trust root, and its successors one after the other
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "formats/manifest.h"
#include "formats/root.h"
#include "formats/status.h"

enum { LINE_SIZE = 64 * 1024, ROOTS_MAX = 8 };

struct bytes {
    uint8_t data[SF_ROOT_MAX + 1];
    size_t len;
};

/* The next word of the line as bytes. */
static int next_hex(char **rest, struct bytes *out)
{
    const char *word = strtok_r(NULL, " \n", rest);
    out->len = word != NULL ? strlen(word) / 2 : 0;
    return word != NULL && out->len <= sizeof(out->data) &&
           hex_decode(word, out->data, out->len) == SF_OK;
}

static int open_keyed(const char *kind, char **rest)
{
    struct bytes xy;
    struct bytes in;
    struct sf_public_key key;
    struct sf_status status;
    struct sf_manifest manifest;
    if (!next_hex(rest, &xy) || xy.len != SF_P256_KEY_SIZE || !next_hex(rest, &in)) {
        return SF_ERR_INTERNAL;
    }
    const struct sf_bytes bytes = {in.data, in.len};
    const int err = sf_public_key_init(&key, crypto_openssl(), xy.data);
    if (err < 0) {
        return err;
    }
    return strcmp(kind, "status") == 0
               ? sf_status_open(bytes, &key, crypto_openssl(), &status, NULL)
               : sf_manifest_open(bytes, &key, crypto_openssl(), &manifest, NULL);
}

static int open_roots(char **rest)
{
    static struct bytes file[ROOTS_MAX];
    struct sf_root trusted;
    struct sf_root next;
    int err = SF_ERR_INTERNAL;
    for (unsigned i = 0; i < ROOTS_MAX && next_hex(rest, &file[i]); i++) {
        const struct sf_bytes in = {file[i].data, file[i].len};
        err = i == 0 ? sf_root_open_first(in, crypto_openssl(), &next, NULL)
                     : sf_root_open_next(in, &trusted, crypto_openssl(), &next, NULL);
        if (err < 0) {
            break;
        }
        trusted = next;
    }
    return err;
}

int main(void)
{
    static char line[LINE_SIZE];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *rest = NULL;
        const char *kind = strtok_r(line, " \n", &rest);
        const int err = kind == NULL                    ? SF_ERR_INTERNAL
                        : strcmp(kind, "root") == 0     ? open_roots(&rest)
                        : strcmp(kind, "status") == 0   ? open_keyed(kind, &rest)
                        : strcmp(kind, "manifest") == 0 ? open_keyed(kind, &rest)
                                                        : SF_ERR_INTERNAL;
        (void)puts(sf_err_name(err));
    }
    return 0;
}
