#ifndef TLS_H
#define TLS_H

#include <stdint.h>

/* The server's private CA, its leaf certificate, and the TLS context of the listener. ECDSA P-256
 * throughout. In the folder `dir`:
 *
 *     ca.pem      the CA, 20 years; what devices and the CLI trust    0644
 *     ca.key      its key                                             0600
 *     server.pem  the leaf, 90 days, then its key (one file, so that  0600
 *                 a crash can't leave a pair that does not match)
 *
 * Errors: < 0 (formats/err.h) with one sentence for a person in `error`. */

enum { TLS_ERROR_MAX = 256, TLS_HOST_MAX = 16 };

/* 2024-01-01: a clock before it is not set, and a CA made with it would be expired at once. */
#define TLS_CLOCK_MIN INT64_C(1704067200)

struct tls_identity {
    const char *dir;
    const char *const *hosts; /* DNS names and IP addresses for the SAN, the first is the CN */
    unsigned host_count;      /* 1 to TLS_HOST_MAX */
};

/* A certificate of another CA, as ACME clients write it: fullchain.pem, privkey.pem. */
struct tls_files {
    const char *cert; /* the leaf, then the certificates between it and the root */
    const char *key;  /* may be the same file */
};

enum tls_change { TLS_KEPT = 0, TLS_RENEWED = 1 };

/* Makes what is missing. The leaf is renewed when less than a third of its life is left, when it
 * is not valid at `now`, does not fit the CA, or its hosts differ. TLS_KEPT, TLS_RENEWED, or an
 * error: SF_ERR_STATE (clock not set, CA not valid at `now`), SF_ERR_IO, SF_ERR_FORMAT,
 * SF_ERR_RANGE (a host that is neither a name nor an address), SF_ERR_CRYPTO. */
int tls_identity_ensure(const struct tls_identity *id, int64_t now_unix_s,
                        char error[TLS_ERROR_MAX]) __attribute__((warn_unused_result));

/* End of the validity of the first certificate in a PEM file, Unix seconds, or < 0. */
int64_t tls_not_after(const char *pem_path) __attribute__((warn_unused_result));

struct ssl_st;
struct tls_server;

/* Reads server.pem. From any thread: reload swaps certificate and session-ticket keys for new
 * connections and leaves running ones alone; on an error the old ones stay. Call it after
 * TLS_RENEWED, and daily so that ticket keys do not live for months. */
int tls_server_open(struct tls_server **out, const char *dir, char error[TLS_ERROR_MAX])
    __attribute__((warn_unused_result));
/* The same with the files of another CA (tls_files.h), whatever their key is. */
int tls_server_open_files(struct tls_server **out, const struct tls_files *files,
                          char error[TLS_ERROR_MAX]) __attribute__((warn_unused_result));
int tls_server_reload(struct tls_server *s, char error[TLS_ERROR_MAX])
    __attribute__((warn_unused_result));
void tls_server_close(struct tls_server *s);

/* A new connection's SSL object (SSL_free() it), or NULL without memory. From any thread. */
struct ssl_st *tls_server_connection(struct tls_server *s);

#endif
