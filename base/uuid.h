#ifndef UUID_H
#define UUID_H

#include <stddef.h>
#include <stdint.h>

/* Name-based UUIDs (RFC 9562 section 5.5, version 5: SHA-1) and their text. They fail with
 * SF_ERR_CRYPTO only. */

enum { UUID_SIZE = 16, UUID_TEXT_SIZE = 37 /* with the NUL */ };

int uuid_v5(const uint8_t space[UUID_SIZE], const char *name, uint8_t out[UUID_SIZE])
    __attribute__((warn_unused_result));

/* UUIDv5 of the vendor's domain in the DNS namespace. */
int uuid_vendor(const char *domain, uint8_t out[UUID_SIZE]) __attribute__((warn_unused_result));

/* UUIDv5 of "<product>:<hardware revision>" in the vendor's namespace. */
int uuid_class(const uint8_t vendor[UUID_SIZE], const char *product, const char *hw_revision,
               uint8_t out[UUID_SIZE]) __attribute__((warn_unused_result));

/* Lower case with hyphens. */
void uuid_text(const uint8_t uuid[UUID_SIZE], char out[UUID_TEXT_SIZE]);

/* 8-4-4-4-12 hex digits of either case; else SF_ERR_FORMAT. */
int uuid_parse(const char *text, uint8_t out[UUID_SIZE]) __attribute__((warn_unused_result));

#endif
