#ifndef RANGE_H
#define RANGE_H

#include <stdint.h>

/* Conditional and range requests (RFC 9110 sections 13 and 14), as far as immutable files need. */

enum range_result {
    RANGE_WHOLE,         /* no range, or one that is to be ignored: answer 200 */
    RANGE_PART,          /* answer 206 with [offset, offset + len) */
    RANGE_UNSATISFIABLE, /* answer 416 */
};

/* `value` is the Range header or NULL. Several ranges, another unit and bad syntax are ignored, as
 * section 14.2 allows; a range that starts at or behind `total` can't be satisfied. */
enum range_result range_parse(const char *value, uint64_t total, uint64_t *offset, uint64_t *len);

/* 1 if an If-Range with this value lets the range count: the same strong ETag. A date never does,
 * as we send no Last-Modified. NULL (no such header) lets it count. */
int range_if_range(const char *value, const char *etag);

/* 1 if If-None-Match names this ETag (weak comparison) or is "*": answer 304. */
int range_none_match(const char *value, const char *etag);

#endif
