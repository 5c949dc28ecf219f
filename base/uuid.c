/* Name-based UUIDs (RFC 9562). */
#include "base/uuid.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/hex.h"
#include "formats/err.h"

/* RFC 9562 section 6.6: the DNS namespace, 6ba7b810-9dad-11d1-80b4-00c04fd430c8. */
static const uint8_t dns_namespace[UUID_SIZE] = {
    0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
};

enum { SHA1_SIZE = 20 };

/* The name comes in up to three pieces, so that nobody has to join them first. */
static int uuid_make(const uint8_t space[UUID_SIZE], const char *const piece[], size_t count,
                     uint8_t out[UUID_SIZE])
{
    uint8_t digest[SHA1_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int ok = md != NULL && EVP_DigestInit_ex2(md, EVP_sha1(), NULL) == 1 &&
             EVP_DigestUpdate(md, space, UUID_SIZE) == 1;
    for (size_t i = 0; i < count && ok; i++) {
        ok = EVP_DigestUpdate(md, piece[i], strlen(piece[i])) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    if (!ok) {
        return SF_ERR_CRYPTO;
    }
    digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x50); /* version 5 */
    digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80); /* variant of RFC 9562 */
    memcpy(out, digest, UUID_SIZE);
    return SF_OK;
}

int uuid_v5(const uint8_t space[UUID_SIZE], const char *name, uint8_t out[UUID_SIZE])
{
    return uuid_make(space, &name, 1, out);
}

int uuid_vendor(const char *domain, uint8_t out[UUID_SIZE])
{
    return uuid_v5(dns_namespace, domain, out);
}

int uuid_class(const uint8_t vendor[UUID_SIZE], const char *product, const char *hw_revision,
               uint8_t out[UUID_SIZE])
{
    const char *const piece[] = {product, ":", hw_revision};
    return uuid_make(vendor, piece, 3, out);
}

/* Where the hyphens stand: before these bytes. */
static int hyphen_before(size_t i)
{
    return i == 4 || i == 6 || i == 8 || i == 10;
}

void uuid_text(const uint8_t uuid[UUID_SIZE], char out[UUID_TEXT_SIZE])
{
    char hex[2 * UUID_SIZE + 1];
    char *p = out;
    hex_encode(uuid, UUID_SIZE, hex);
    for (size_t i = 0; i < UUID_SIZE; i++) {
        if (hyphen_before(i)) {
            *p++ = '-';
        }
        memcpy(p, hex + 2 * i, 2);
        p += 2;
    }
    *p = '\0';
}

int uuid_parse(const char *text, uint8_t out[UUID_SIZE])
{
    char hex[2 * UUID_SIZE + 1] = "";
    const char *p = text;
    if (strlen(text) != UUID_TEXT_SIZE - 1) {
        return SF_ERR_FORMAT;
    }
    for (size_t i = 0; i < UUID_SIZE; i++) {
        if (hyphen_before(i) && *p++ != '-') {
            return SF_ERR_FORMAT;
        }
        memcpy(hex + 2 * i, p, 2);
        p += 2;
    }
    return hex_decode(hex, out, UUID_SIZE);
}
