#ifndef CERTIFICATE_H
#define CERTIFICATE_H

#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/tls.h"
#include "server/protocols/live.h"

/* The certificate that the server shows: the private CA's, which it renews itself, or the files of
 * another CA, which somebody else renews. From any thread once it is open.
 *
 *  1. What can't be served (tls_files_check) never replaces what is: the old one stays, the log
 *     says why, and live->certificate_failures counts.
 *  2. Connections that run keep the certificate they began with. */

enum { CERTIFICATE_WARN_DAYS = 21 };

struct certificate_mark { /* of a file: whether it is still the one that was loaded */
    struct timespec changed;
    ino_t inode;
    off_t size;
};

struct certificate {
    struct tls_identity identity;
    struct tls_files files; /* cert NULL: the private CA's */
    struct live *live;      /* when it ends, for the metrics */
    struct tls_server *tls;
    pthread_mutex_t lock; /* of what follows */
    int64_t loaded_at;    /* Unix seconds */
    int64_t warned_at;
    struct certificate_mark mark[2];
};

/* `identity`, `files` and `live` are filled in. < 0 and a sentence: SF_ERR_STATE, when the
 * certificate or the clock does not do, or another error of tls_identity_ensure() and
 * tls_files_check(). Close it in any case. */
int certificate_open(struct certificate *c, int64_t now_unix_s, char error[TLS_ERROR_MAX])
    __attribute__((warn_unused_result));
void certificate_close(struct certificate *c);

enum certificate_wish { CERTIFICATE_IF_CHANGED, CERTIFICATE_ANYWAY };

/* Renews the private CA's certificate when its time has come, takes files that changed, and new
 * keys for session tickets every few hours: ticket keys should not live long. A
 * failure is logged. */
void certificate_refresh(struct certificate *c, int64_t now_unix_s, enum certificate_wish wish);

#endif
