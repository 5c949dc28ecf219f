#include "ports/host/port.h"

#include <time.h>

/* The host's monotonic clock. */

uint64_t sf_host_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with a valid clock id (POSIX) */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
