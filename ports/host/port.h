#ifndef SF_HOST_PORT_H
#define SF_HOST_PORT_H

#include <stdint.h>

/* What a host program that runs the engine needs besides flash, store and crypto. */

/* Monotonic time in ms, from any start; what sf_engine_*() take as now_ms. */
uint64_t sf_host_now_ms(void);

#endif
