#ifndef POWERCUT_COST_H
#define POWERCUT_COST_H

#include "sim/powercut/kit.h"

/* Prints what the update of each scenario (or only one) costs the flash, on slots of 1920 KiB, and
 * the least that any update of that image can cost. Errors: those of sweep_cost(); IO. */
int cost_report(const struct scenario *only, int is_json) __attribute__((warn_unused_result));

#endif
