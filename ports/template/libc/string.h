#ifndef STRING_H
#define STRING_H

/* The part of <string.h> that formats/ and device/ use, for toolchains without a C library
 * (Debian's gcc-riscv64-unknown-elf). A port with a libc uses its own. */

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
void *memset(void *dst, int value, size_t len);
int memcmp(const void *a, const void *b, size_t len);
void *memchr(const void *data, int value, size_t len);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t len);
size_t strnlen(const char *text, size_t len);
char *strchr(const char *text, int c);

#endif
