#include "base/tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cert.h"
#include "formats/err.h"

enum { SEND_FRAGMENT_MAX = 4096, TICKET_LIFE_S = 24 * 3600 };

static int fail(char error[TLS_ERROR_MAX], int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char error[TLS_ERROR_MAX], int err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(error, TLS_ERROR_MAX, fmt, args);
    va_end(args);
    return err;
}

static int path_of(char out[PATH_MAX], const char *dir, const char *name)
{
    const int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_MAX ? SF_OK : SF_ERR_RANGE;
}

/* The CA's key is written before its certificate. A key alone is an interrupted first start, or a
 * lost ca.pem: the same key gets a certificate of the same name, so old trust anchors stay good. */
static int ca_make(const char *dir, EVP_PKEY *old_key, int64_t now, struct cert_pair *ca,
                   char error[TLS_ERROR_MAX])
{
    if (now < TLS_CLOCK_MIN) {
        return fail(error, SF_ERR_STATE,
                    "cannot make a certificate: the system clock is not set (it says a time before "
                    "2024); set it and start again");
    }
    char path[PATH_MAX];
    EVP_PKEY *key = old_key;
    int err = path_of(path, dir, "ca.key");
    if (err == SF_OK && key == NULL) {
        err = cert_key_make(&key);
        if (err == SF_OK) {
            err = cert_write(path, &(struct cert_pair){.key = key});
        }
    }
    if (err == SF_OK) {
        err = cert_ca_make(key, now, ca);
    }
    if (err == SF_OK) {
        err = path_of(path, dir, "ca.pem");
    }
    if (err == SF_OK) {
        err = cert_write(path, &(struct cert_pair){.cert = ca->cert});
    }
    if (old_key == NULL) {
        EVP_PKEY_free(key);
    }
    return err < 0 ? fail(error, err, "cannot make the CA in '%s': %s", dir, sf_err_str(err)) : 0;
}

static int ca_check(const char *dir, const struct cert_pair *ca, int64_t now,
                    char error[TLS_ERROR_MAX])
{
    int64_t first;
    int64_t last;
    if (X509_check_private_key(ca->cert, ca->key) != 1 ||
        cert_validity(ca->cert, &first, &last) < 0) {
        ERR_clear_error();
        return fail(error, SF_ERR_FORMAT,
                    "'%s/ca.key' is not the key of '%s/ca.pem'; restore both from one backup", dir,
                    dir);
    }
    if (now < first || now > last) {
        return fail(error, SF_ERR_STATE,
                    "the CA '%s/ca.pem' is not valid at the time the system clock says; set the "
                    "clock",
                    dir);
    }
    return SF_OK;
}

/* NOTFOUND leaves the half empty. */
static int read_half(const char *dir, const char *name, struct cert_pair *half,
                     char error[TLS_ERROR_MAX])
{
    char path[PATH_MAX];
    int err = path_of(path, dir, name);
    if (err == SF_OK) {
        err = cert_read(path, half);
    }
    if (err < 0 && err != SF_ERR_NOTFOUND) {
        return fail(error, err, "cannot read '%s/%s': %s; restore it from a backup", dir, name,
                    sf_err_str(err));
    }
    return SF_OK;
}

static int ca_load(const char *dir, int64_t now, struct cert_pair *ca, char error[TLS_ERROR_MAX])
{
    struct cert_pair key = {0};
    struct cert_pair cert = {0};
    int err = read_half(dir, "ca.key", &key, error);
    if (err == SF_OK) {
        err = read_half(dir, "ca.pem", &cert, error);
    }
    if (err == SF_OK && cert.cert == NULL) {
        err = ca_make(dir, key.key, now, ca, error);
    } else if (err == SF_OK && key.key == NULL) {
        err = fail(error, SF_ERR_NOTFOUND,
                   "'%s/ca.key' is missing beside ca.pem; restore it from a backup", dir);
    } else if (err == SF_OK) {
        *ca = (struct cert_pair){.cert = cert.cert, .key = key.key};
        cert.cert = NULL;
        key.key = NULL;
        err = ca_check(dir, ca, now, error);
    }
    cert_release(&key);
    cert_release(&cert);
    return err;
}

/* 1 if the leaf in `path` does for `id` at `now`. A file that can't be read does not. */
static int leaf_good(const char *path, const struct cert_pair *ca, const struct tls_identity *id,
                     int64_t now)
{
    struct cert_pair leaf;
    int64_t first;
    int64_t last;
    int good = cert_read(path, &leaf) == SF_OK && leaf.cert != NULL && leaf.key != NULL &&
               X509_check_private_key(leaf.cert, leaf.key) == 1 &&
               X509_verify(leaf.cert, ca->key) == 1 && cert_names(leaf.cert, id) &&
               cert_validity(leaf.cert, &first, &last) == SF_OK;
    if (good) {
        good = now >= first && last - now >= (last - first) / 3;
    }
    cert_release(&leaf);
    ERR_clear_error();
    return good;
}

static int check_hosts(const struct tls_identity *id, char error[TLS_ERROR_MAX])
{
    if (id->host_count < 1 || id->host_count > TLS_HOST_MAX) {
        return fail(error, SF_ERR_RANGE, "the server needs 1 to %d host names, not %u",
                    TLS_HOST_MAX, id->host_count);
    }
    for (unsigned i = 0; i < id->host_count; i++) {
        if (!cert_host_valid(id->hosts[i])) {
            return fail(error, SF_ERR_RANGE,
                        "'%.100s' is neither a host name nor an IP address; give --host a name "
                        "that devices use for this server",
                        id->hosts[i]);
        }
    }
    return SF_OK;
}

int tls_identity_ensure(const struct tls_identity *id, int64_t now_unix_s,
                        char error[TLS_ERROR_MAX])
{
    char path[PATH_MAX];
    int err = check_hosts(id, error);
    if (err < 0) {
        return err;
    }
    if (path_of(path, id->dir, "server.pem") < 0) {
        return fail(error, SF_ERR_RANGE, "the path of the data folder is too long");
    }
    struct cert_pair ca = {0};
    struct cert_pair leaf = {0};
    err = ca_load(id->dir, now_unix_s, &ca, error);
    if (err == SF_OK && !leaf_good(path, &ca, id, now_unix_s)) {
        err = cert_leaf_make(&ca, id, now_unix_s, &leaf);
        if (err == SF_OK) {
            err = cert_write(path, &leaf);
        }
        err = err < 0 ? fail(error, err, "cannot make '%s': %s", path, sf_err_str(err))
                      : (int)TLS_RENEWED;
    }
    cert_release(&leaf);
    cert_release(&ca);
    return err;
}

int64_t tls_not_after(const char *pem_path)
{
    struct cert_pair pair;
    int64_t first;
    int64_t last = 0;
    int err = cert_read(pem_path, &pair);
    if (err == SF_OK) {
        err = pair.cert != NULL ? cert_validity(pair.cert, &first, &last) : SF_ERR_FORMAT;
    }
    cert_release(&pair);
    return err < 0 ? err : last;
}

struct tls_server {
    char cert[PATH_MAX];
    char key[PATH_MAX];
    pthread_mutex_t lock; /* guards the pointer; connections hold references of their own */
    SSL_CTX *ctx;
};

/* Only http/1.1 is spoken; a client that offers ALPN without it gets none, and fails or copes. */
/* tidy: long, OpenSSL decides on the parameters */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Session tickets are stateless and their keys live in the SSL_CTX. AES-128 first: with SHA-256 it
 * makes the cheaper key schedule, and ESP32s have hardware for it. */
static int configure(SSL_CTX *ctx)
{
    static const unsigned char session_context[] = "surefootd";
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE |
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_send_fragment(ctx, SEND_FRAGMENT_MAX) == 1 &&
           SSL_CTX_set_num_tickets(ctx, 1) == 1 &&
           SSL_CTX_set1_groups_list(ctx, "P-256:X25519") == 1 &&
           SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                                         "TLS_AES_256_GCM_SHA384") == 1 &&
           SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:"
                                        "ECDHE-ECDSA-CHACHA20-POLY1305:"
                                        "ECDHE-ECDSA-AES256-GCM-SHA384:"
                                        /* for other CAs' certificates with an RSA key */
                                        "ECDHE-RSA-AES128-GCM-SHA256:"
                                        "ECDHE-RSA-CHACHA20-POLY1305:"
                                        "ECDHE-RSA-AES256-GCM-SHA384") == 1 &&
           SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1) == 1;
}

static int use_files(SSL_CTX *ctx, const struct tls_server *s)
{
    struct stack_st_X509 *chain = NULL;
    struct cert_pair key = {0};
    int err = cert_chain_read(s->cert, &chain);
    if (err == SF_OK) {
        err = cert_read(s->key, &key);
    }
    X509 *leaf = err == SF_OK ? sk_X509_shift(chain) : NULL;
    if (err == SF_OK &&
        (key.key == NULL || SSL_CTX_use_certificate(ctx, leaf) != 1 ||
         SSL_CTX_use_PrivateKey(ctx, key.key) != 1 || SSL_CTX_set1_chain(ctx, chain) != 1)) {
        err = SF_ERR_FORMAT;
    }
    X509_free(leaf);
    sk_X509_pop_free(chain, X509_free);
    cert_release(&key);
    return err;
}

static int make_context(const struct tls_server *s, SSL_CTX **out, char error[TLS_ERROR_MAX])
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int err = ctx != NULL && configure(ctx) ? use_files(ctx, s) : SF_ERR_CRYPTO;
    ERR_clear_error();
    if (err < 0) {
        SSL_CTX_free(ctx);
        return fail(error, err, "cannot use the certificate '%.120s': %s", s->cert,
                    sf_err_str(err));
    }
    *out = ctx;
    return SF_OK;
}

int tls_server_open(struct tls_server **out, const char *dir, char error[TLS_ERROR_MAX])
{
    char path[PATH_MAX];
    if (path_of(path, dir, "server.pem") < 0) {
        return fail(error, SF_ERR_RANGE, "the path of the data folder is too long");
    }
    return tls_server_open_files(out, &(struct tls_files){.cert = path, .key = path}, error);
}

int tls_server_open_files(struct tls_server **out, const struct tls_files *files,
                          char error[TLS_ERROR_MAX])
{
    struct tls_server *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return fail(error, SF_ERR_NOMEM, "out of memory");
    }
    int err = SF_OK;
    if (snprintf(s->cert, sizeof(s->cert), "%s", files->cert) >= PATH_MAX ||
        snprintf(s->key, sizeof(s->key), "%s", files->key) >= PATH_MAX) {
        err = fail(error, SF_ERR_RANGE, "the path of the certificate is too long");
    } else {
        err = make_context(s, &s->ctx, error);
    }
    if (err == SF_OK && pthread_mutex_init(&s->lock, NULL) != 0) {
        SSL_CTX_free(s->ctx);
        err = fail(error, SF_ERR_NOMEM, "out of memory");
    }
    if (err < 0) {
        free(s);
        return err;
    }
    *out = s;
    return SF_OK;
}

int tls_server_reload(struct tls_server *s, char error[TLS_ERROR_MAX])
{
    SSL_CTX *ctx = NULL;
    const int err = make_context(s, &ctx, error);
    if (err < 0) {
        return err;
    }
    (void)pthread_mutex_lock(&s->lock);
    SSL_CTX *old = s->ctx;
    s->ctx = ctx;
    (void)pthread_mutex_unlock(&s->lock);
    SSL_CTX_free(old);
    return SF_OK;
}

void tls_server_close(struct tls_server *s)
{
    if (s != NULL) {
        SSL_CTX_free(s->ctx);
        (void)pthread_mutex_destroy(&s->lock);
        free(s);
    }
}

struct ssl_st *tls_server_connection(struct tls_server *s)
{
    (void)pthread_mutex_lock(&s->lock);
    SSL_CTX *ctx = s->ctx;
    (void)SSL_CTX_up_ref(ctx);
    (void)pthread_mutex_unlock(&s->lock);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (ssl == NULL) {
        ERR_clear_error();
    }
    return ssl;
}
