#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

/* One TLS connection to 127.0.0.1 that sends the same HTTP request again and again, and reads the
 * answers by their Content-Length. As cheap as it can be: the load must not cost more than what is
 * measured. */

struct client_target {
    SSL_CTX *tls;
    struct sockaddr_in address;
    const char *request;
    size_t request_len;
};

struct client {
    int fd;
    SSL *ssl;
    size_t have; /* bytes of `in` not used yet */
    uint8_t in[32768];
};

/* Connects and shakes hands, resuming `session` unless it is NULL. 0 or -1. Close in any case. */
int client_open(struct client *c, const struct client_target *t, SSL_SESSION *session);

/* One request and its answer: the length of the body, or -1 unless the status is 200 or 206. */
int64_t client_ask(struct client *c, const struct client_target *t);

void client_close(struct client *c);

#endif
