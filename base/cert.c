#include "base/cert.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/disk.h"
#include "formats/err.h"

enum { FILE_MAX = 64 * 1024, COMMON_NAME_MAX = 64, DNS_NAME_MAX = 253, SERIAL_BYTES = 16 };

void cert_release(struct cert_pair *pair)
{
    X509_free(pair->cert);
    EVP_PKEY_free(pair->key);
    *pair = (struct cert_pair){0};
}

int cert_key_make(EVP_PKEY **key)
{
    *key = EVP_EC_gen("P-256");
    ERR_clear_error();
    return *key != NULL ? SF_OK : SF_ERR_CRYPTO;
}

/* The bytes of an IP address, 4 or 16, or 0 when it is none. */
static int address_bytes(const char *host, unsigned char out[16])
{
    if (inet_pton(AF_INET, host, out) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, host, out) == 1 ? 16 : 0;
}

int cert_host_valid(const char *host)
{
    unsigned char bytes[16];
    if (address_bytes(host, bytes) > 0) {
        return 1;
    }
    const size_t len = strlen(host);
    const char *const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    return len > 0 && len <= DNS_NAME_MAX && strspn(host, allowed) == len && host[0] != '.' &&
           host[0] != '-' && strstr(host, "..") == NULL;
}

static int set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        return 0;
    }
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and of full length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    const int ok =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static int set_validity(X509 *cert, int64_t first, int64_t last)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)first) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)last) != NULL;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    const int ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static X509 *blank(EVP_PKEY *key, const char *common_name, int64_t first, int64_t last)
{
    X509 *cert = X509_new();
    if (cert == NULL) {
        return NULL;
    }
    X509_NAME *name = X509_get_subject_name(cert);
    if (X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) ||
        !set_validity(cert, first, last) || X509_set_pubkey(cert, key) != 1 ||
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                   -1, -1, 0) != 1) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* One day back: clients' clocks are not exact. */
static int64_t first_second(int64_t now)
{
    return now - CERT_DAY_S;
}

int cert_ca_make(EVP_PKEY *key, int64_t now_unix_s, struct cert_pair *out)
{
    *out = (struct cert_pair){0};
    X509 *cert = blank(key, "Surefoot private CA", first_second(now_unix_s),
                       now_unix_s + (int64_t)CERT_CA_DAYS * CERT_DAY_S);
    if (cert == NULL || X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
        !add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(cert, cert, NID_subject_key_identifier, "hash") ||
        X509_sign(cert, key, EVP_sha256()) <= 0 || EVP_PKEY_up_ref(key) != 1) {
        X509_free(cert);
        ERR_clear_error();
        return SF_ERR_CRYPTO;
    }
    *out = (struct cert_pair){.cert = cert, .key = key};
    return SF_OK;
}

static GENERAL_NAME *general_name(const char *host)
{
    unsigned char bytes[16];
    const int address_len = address_bytes(host, bytes);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value =
        address_len > 0 ? ASN1_OCTET_STRING_new() : (ASN1_STRING *)ASN1_IA5STRING_new();
    const int set = name == NULL || value == NULL ? 0
                    : address_len > 0             ? ASN1_STRING_set(value, bytes, address_len)
                                                  : ASN1_STRING_set(value, host, -1);
    if (!set) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, address_len > 0 ? GEN_IPADD : GEN_DNS, value);
    return name;
}

static int add_names(X509 *cert, const struct tls_identity *id)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int ok = names != NULL;
    for (unsigned i = 0; ok && i < id->host_count; i++) {
        GENERAL_NAME *name = general_name(id->hosts[i]);
        ok = name != NULL && sk_GENERAL_NAME_push(names, name) > 0;
        if (!ok) {
            GENERAL_NAME_free(name);
        }
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

static X509 *leaf(const struct cert_pair *ca, const struct tls_identity *id, EVP_PKEY *key,
                  int64_t now)
{
    int64_t ca_first;
    int64_t ca_last;
    if (cert_validity(ca->cert, &ca_first, &ca_last) < 0) {
        return NULL;
    }
    int64_t first = first_second(now);
    int64_t last = now + (int64_t)CERT_LEAF_DAYS * CERT_DAY_S;
    first = first < ca_first ? ca_first : first;
    last = last > ca_last ? ca_last : last;
    const char *name = strlen(id->hosts[0]) <= COMMON_NAME_MAX ? id->hosts[0] : "surefootd";
    X509 *cert = blank(key, name, first, last);
    if (cert == NULL || X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) != 1 ||
        !add_extension(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(cert, ca->cert, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(cert, ca->cert, NID_ext_key_usage, "serverAuth") ||
        !add_extension(cert, ca->cert, NID_authority_key_identifier, "keyid:always") ||
        !add_names(cert, id) || X509_sign(cert, ca->key, EVP_sha256()) <= 0) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

int cert_leaf_make(const struct cert_pair *ca, const struct tls_identity *id, int64_t now_unix_s,
                   struct cert_pair *out)
{
    *out = (struct cert_pair){0};
    if (cert_key_make(&out->key) < 0) {
        return SF_ERR_CRYPTO;
    }
    out->cert = leaf(ca, id, out->key, now_unix_s);
    ERR_clear_error();
    if (out->cert == NULL) {
        cert_release(out);
        return SF_ERR_CRYPTO;
    }
    return SF_OK;
}

/* A key with a passphrase is one that can't be used: nobody is there to be asked. */
/* tidy: long, OpenSSL decides on the parameters */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL decides on the type */
static int no_passphrase(char *buffer, int size, int writing, void *ctx)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

/* Calls `take` with the file's text in a BIO. */
static int read_pem(const char *path, int (*take)(BIO *bio, void *out), void *out)
{
    struct arena arena;
    arena_init(&arena, FILE_MAX + 64);
    char *text;
    size_t len;
    int err = disk_read(&arena, path, FILE_MAX, &text, &len);
    if (err < 0) {
        arena_release(&arena);
        return err;
    }
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    err = bio != NULL ? take(bio, out) : SF_ERR_NOMEM;
    BIO_free(bio);
    ERR_clear_error();
    OPENSSL_cleanse(text, len);
    arena_release(&arena);
    return err;
}

static int take_pair(BIO *bio, void *out)
{
    struct cert_pair *pair = out;
    pair->cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    (void)BIO_reset(bio);
    pair->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    return pair->cert != NULL || pair->key != NULL ? SF_OK : SF_ERR_FORMAT;
}

int cert_read(const char *path, struct cert_pair *out)
{
    *out = (struct cert_pair){0};
    return read_pem(path, take_pair, out);
}

static int take_chain(BIO *bio, void *out)
{
    STACK_OF(X509) *chain = out;
    X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    while (cert != NULL && sk_X509_num(chain) < CERT_CHAIN_MAX && sk_X509_push(chain, cert) > 0) {
        cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    }
    X509_free(cert);
    return cert == NULL && sk_X509_num(chain) > 0 ? SF_OK : SF_ERR_FORMAT;
}

int cert_chain_read(const char *path, struct stack_st_X509 **out)
{
    *out = sk_X509_new_null();
    const int err = *out != NULL ? read_pem(path, take_chain, *out) : SF_ERR_NOMEM;
    if (err < 0) {
        sk_X509_pop_free(*out, X509_free);
        *out = NULL;
    }
    return err;
}

int cert_write(const char *path, const struct cert_pair *pair)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    int ok = bio != NULL;
    if (ok && pair->cert != NULL) {
        ok = PEM_write_bio_X509(bio, pair->cert) == 1;
    }
    if (ok && pair->key != NULL) {
        ok = PEM_write_bio_PKCS8PrivateKey(bio, pair->key, NULL, NULL, 0, NULL, NULL) == 1;
    }
    int err = SF_ERR_CRYPTO;
    if (ok) {
        char *text;
        const long len = BIO_get_mem_data(bio, &text);
        const mode_t mode = pair->key != NULL ? 0600 : 0644;
        err = disk_write_atomic(path, mode, text, (size_t)len);
    }
    BIO_free(bio);
    ERR_clear_error();
    return err;
}

int cert_validity(const X509 *cert, int64_t *first, int64_t *last)
{
    struct tm from;
    struct tm to;
    if (ASN1_TIME_to_tm(X509_get0_notBefore(cert), &from) != 1 ||
        ASN1_TIME_to_tm(X509_get0_notAfter(cert), &to) != 1) {
        ERR_clear_error();
        return SF_ERR_FORMAT;
    }
    *first = (int64_t)timegm(&from);
    *last = (int64_t)timegm(&to);
    return SF_OK;
}

static int name_is(const GENERAL_NAME *name, const char *host)
{
    unsigned char bytes[16];
    const int address_len = address_bytes(host, bytes);
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    const void *want = address_len > 0 ? (const void *)bytes : host;
    const size_t len = address_len > 0 ? (size_t)address_len : strlen(host);
    return type == (address_len > 0 ? GEN_IPADD : GEN_DNS) &&
           (size_t)ASN1_STRING_length(value) == len &&
           memcmp(ASN1_STRING_get0_data(value), want, len) == 0;
}

int cert_names(const X509 *cert, const struct tls_identity *id)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int same = names != NULL && sk_GENERAL_NAME_num(names) == (int)id->host_count;
    for (unsigned i = 0; same && i < id->host_count; i++) {
        same = name_is(sk_GENERAL_NAME_value(names, (int)i), id->hosts[i]);
    }
    GENERAL_NAMES_free(names);
    return same;
}
