#ifndef ASSERT_H
#define ASSERT_H

/* A failed assertion stops the chip: the port resets from there. Its return address says where; a
 * chip has no room for the words. */

void sf_assert_failed(void) __attribute__((noreturn));

#define assert(e) ((e) ? (void)0 : sf_assert_failed())
#define static_assert _Static_assert

#endif
