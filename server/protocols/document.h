#ifndef PROTOCOLS_DOCUMENT_H
#define PROTOCOLS_DOCUMENT_H

#include <stdio.h>

/* Writes docs/api.md: 0, or -1 if `out` could not be written. */
int protocols_document(FILE *out);

#endif
