#ifndef SF_MD5_H
#define SF_MD5_H

#include <stddef.h>
#include <stdint.h>

/* MD5 (RFC 1321), for the checksum entry of partition tables only. It protects against nothing but
 * accidents. */

enum { SF_MD5_SIZE = 16 };

void sf_md5(const void *data, size_t len, uint8_t digest[SF_MD5_SIZE]);

#endif
