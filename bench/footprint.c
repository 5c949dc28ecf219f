/* What a firmware links in: everything reachable from the engine's public functions, and the memory
 * it needs. Linked by bench/footprint, never run. */
#include "surefoot/surefoot.h"

struct sf_engine footprint_engine;
union sf_sector_buffer footprint_buffer;

void *const footprint_api[] = {
    (void *)sf_boot_early,           (void *)sf_engine_init,
    (void *)sf_engine_next,          (void *)sf_engine_work,
    (void *)sf_engine_response_head, (void *)sf_engine_response_body,
    (void *)sf_engine_request_check, (void *)sf_engine_response_end,
    (void *)sf_engine_poke,          (void *)sf_engine_may_sleep,
    (void *)sf_engine_view,
};
