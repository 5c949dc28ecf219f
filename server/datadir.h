#ifndef DATADIR_H
#define DATADIR_H

#include <stddef.h>

/* The data folder: made on the first start, locked while a surefootd runs.
 *
 *   lock               held with flock(2) by the running process
 *   surefoot.db        the database
 *   artifacts/         images by SHA-256, and uploads on their way
 *   ca.pem ca.key      private CA; ca.pem is for devices and curl
 *   server.pem         the server's certificate and key
 *   status-key.pem status-key.pub.pem
 *   admin-token        the first admin token, 0600
 *   restoring          while `surefoot server restore` fills the folder: nobody opens it */
#define DATADIR_RESTORING "restoring"

struct datadir {
    const char *path;
    int lock_fd;
};

/* Makes what is missing and takes the lock. 0, or -1 with a sentence. */
int datadir_open(struct datadir *d, const char *path, char *error, size_t error_size)
    __attribute__((warn_unused_result));
void datadir_close(struct datadir *d);

/* "<folder>/<name>" in `out`; -1 if it does not fit. */
int datadir_path(const struct datadir *d, const char *name, char *out, size_t size)
    __attribute__((warn_unused_result));

int datadir_has(const struct datadir *d, const char *name);

#endif
