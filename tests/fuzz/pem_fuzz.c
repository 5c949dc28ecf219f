/* Certificates and keys as files: an operator may put any file there, and a certificate of another
 * program's making. */
#include <assert.h>
#include <openssl/err.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cert.h"
#include "base/key_head.h"
#include "base/p256.h"
#include "formats/err.h"

static void read_cert(const char *path)
{
    static const char *const hosts[] = {"localhost"};
    const struct tls_identity id = {.hosts = hosts, .host_count = 1};
    struct cert_pair pair = {0};
    const int err = cert_read(path, &pair);
    if (err == SF_OK && pair.cert != NULL) {
        int64_t first = 0;
        int64_t last = 0;
        (void)cert_names(pair.cert, &id);
        if (cert_validity(pair.cert, &first, &last) == SF_OK) {
            assert(tls_not_after(path) == last);
        }
    }
    cert_release(&pair);
}

static void read_keys(const char *path)
{
    struct p256_key key = {0};
    struct p256_signer signer = {0};
    if (p256_key_load_private(&key, path) == SF_OK) {
        assert(p256_signer_init(&signer, &key) == SF_OK);
        p256_signer_release(&signer);
    }
    p256_key_release(&key);
    struct key_head head;
    if (key_head_read(path, &head) == SF_OK) {
        assert(strlen(head.token) <= KEY_TOKEN_MAX && key_role_name(head.role) != NULL);
    }
    (void)p256_file_is_encrypted(path);
    (void)p256_key_load_public(&key, path);
    p256_key_release(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    const int fd = memfd_create("pem", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    read_cert(path);
    read_keys(path);
    ERR_clear_error();
    (void)close(fd);
    return 0;
}
