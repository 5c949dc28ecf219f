#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* The only functions that read a clock. Whatever decides takes the time as a parameter. */

/* Seconds since 1970-01-01T00:00:00Z; may jump when somebody sets the clock. */
int64_t clock_unix_s(void);

/* Milliseconds since some moment before the start; never goes back. */
int64_t clock_mono_ms(void);

#endif
