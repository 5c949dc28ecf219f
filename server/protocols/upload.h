#ifndef PROTOCOLS_UPLOAD_H
#define PROTOCOLS_UPLOAD_H

#include "server/fleet/release.h"
#include "server/protocols/refusal.h"

/* What an uploaded file is: parsed by the same code as the device uses. Whether it may be published
 * is decided by server/fleet/release.h. */

/* Opens an uploaded file for reading: a descriptor, or -1 with the refusal. */
int upload_open(const char *path, struct refusal *why) __attribute__((warn_unused_result));

/* Parses the file `fd` from its beginning to its end and fills head and length; name and digest are
 * the caller's. 0, or -1 with the refusal: not an image, truncated, checksum, hash, trailing bytes.
 */
int upload_inspect(int fd, const struct sf_crypto *crypto, struct release_image *out,
                   struct refusal *why) __attribute__((warn_unused_result));

/* Verifies an envelope with the product's release key, or the trust root's, and decodes it: 0, or
 * -1 with the refusal. */
int upload_open_manifest(struct sf_bytes envelope, const struct sf_verifier *by,
                         struct sf_manifest *out, struct refusal *why)
    __attribute__((warn_unused_result));

/* "other_chip" for SF_ERR_CHIP and so on: the API's code of a check that failed; static. */
const char *upload_code(int err);

#endif
