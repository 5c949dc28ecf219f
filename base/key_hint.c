/* Why a file holds no P-256 key. */

#include "base/key_hint.h"

#include <stdio.h>
#include <string.h>

enum {
    TEXT_MAX = 16384
}; /* a key has a few hundred bytes, a chain of certificates some thousand */

static const char *judge(const char *text, size_t len, enum key_wanted wanted)
{
    static const struct {
        const char *mark;
        const char *hint;
    } marks[] = {
        {"-----BEGIN PRIVATE KEY", "its key is of another kind than P-256"},
        {"-----BEGIN EC PRIVATE KEY", "its key is on another curve than P-256, or damaged"},
        {"-----BEGIN RSA PRIVATE KEY", "its key is an RSA key"},
        {"-----BEGIN OPENSSH PRIVATE KEY", "its key is one for SSH"},
        {"-----BEGIN CERTIFICATE", "it holds a certificate"},
    };
    if (len == 0) {
        return "it is empty";
    }
    if (strstr(text, "ENCRYPTED")) {
        return wanted == KEY_PRIVATE
                   ? "it is encrypted in a way that does not open here; `openssl pkcs8 -topk8 -in "
                     "FILE -out NEW` makes one that does"
                   : "it is encrypted, and its public half does not stand beside it; `openssl pkey "
                     "-in FILE -pubout -out NEW` writes that";
    }
    for (unsigned i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (strstr(text, marks[i].mark)) {
            return marks[i].hint;
        }
    }
    if (strstr(text, "-----BEGIN PUBLIC KEY")) {
        return wanted == KEY_PRIVATE ? "it holds only the public half"
                                     : "its key is of another kind than P-256";
    }
    return "it is no PEM file";
}

const char *key_hint(const char *path, enum key_wanted wanted)
{
    char text[TEXT_MAX + 1];
    FILE *file = fopen(path, "re");
    if (!file) {
        return "it cannot be read";
    }
    const size_t len = fread(text, 1, TEXT_MAX, file);
    fclose(file);
    text[len] = '\0';
    const char *hint = judge(text, len, wanted);
    explicit_bzero(text, sizeof text);
    return hint;
}
