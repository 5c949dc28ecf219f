#ifndef PROTOCOLS_DOCUMENT_H
#define PROTOCOLS_DOCUMENT_H

#include <stdio.h>

/* Writes docs/api.md: 0; or -1 if `out` could not be written, or, with a sentence on stderr, if the
 * table is none that protocols_check() lets through. */
int protocols_document(FILE *out);

#endif
