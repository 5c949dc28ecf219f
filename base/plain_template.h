#ifndef PLAIN_TEMPLATE_H
#define PLAIN_TEMPLATE_H

#include "base/plain.h"

/* version.json as a product wants it: JSON in whose strings {name} stands for a fact of the
 * release: product, hw_revision, version, notes, project, chip, sha256, md5, url, host, path, port,
 * size, secure_version, file. A string that is nothing but {port}, {size} or {secure_version}
 * becomes a number. */

/* Whether a text may be a template: 0, or -1 with a sentence in `why`. */
int plain_template_check(const char *template, char *why, size_t why_size)
    __attribute__((warn_unused_result));

/* The document; NULL without memory, or if the template is no JSON. */
json_t *plain_template_fill(const char *template, const struct plain_release *r);

#endif
