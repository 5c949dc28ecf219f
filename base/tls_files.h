#ifndef TLS_FILES_H
#define TLS_FILES_H

#include <stdint.h>

#include "base/tls.h"

/* Whether the files of another CA's certificate can be served, before they are: both can be read,
 * the key is no other user's to read (mode), belongs to the certificate and needs no passphrase;
 * the certificate is valid at `now` and names every host. SF_OK, or an error with a sentence that
 * names the file: SF_ERR_NOTFOUND, SF_ERR_IO, SF_ERR_FORMAT, SF_ERR_STATE (not valid now, or for
 * other names). */
int tls_files_check(const struct tls_files *files, const char *const hosts[], unsigned host_count,
                    int64_t now_unix_s, char error[TLS_ERROR_MAX])
    __attribute__((warn_unused_result));

#endif
