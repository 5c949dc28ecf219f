#ifndef ASSERT_H
#define ASSERT_H

/* A failed assertion stops the chip: the port resets from there. */

void __assert_fail(const char *expression, const char *file, unsigned line, const char *function)
    __attribute__((noreturn));

#define assert(e) ((e) ? (void)0 : __assert_fail(#e, "", __LINE__, ""))
#define static_assert _Static_assert

#endif
