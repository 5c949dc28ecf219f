/* The helpers every caller of struct sf_crypto needs. */
#include "formats/crypto.h"

#include <string.h>

int sf_sha256(const struct sf_crypto *crypto, const void *data, size_t len,
              uint8_t digest[SF_SHA256_SIZE])
{
    struct sf_sha256 hash;
    int err = crypto->sha256_start(crypto->ctx, &hash);
    if (err < 0) {
        return err;
    }
    err = crypto->sha256_feed(crypto->ctx, &hash, data, len);
    const int end = crypto->sha256_end(crypto->ctx, &hash, err < 0 ? NULL : digest);
    return err < 0 ? err : end;
}

int sf_equal_constant_time(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    unsigned differ = 0;
    for (size_t i = 0; i < len; i++) {
        differ |= (unsigned)(x[i] ^ y[i]);
    }
    return differ == 0;
}

int sf_digest_equal(const uint8_t a[SF_SHA256_SIZE], const uint8_t b[SF_SHA256_SIZE])
{
    return memcmp(a, b, SF_SHA256_SIZE) == 0;
}

void sf_digest_copy(uint8_t to[SF_SHA256_SIZE], const uint8_t from[SF_SHA256_SIZE])
{
    memcpy(to, from, SF_SHA256_SIZE);
}
