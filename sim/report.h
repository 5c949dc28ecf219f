#ifndef REPORT_H
#define REPORT_H

#include <stdio.h>

#include "sim/fleet.h"

/* What surefoot-sim tells people and programs about its devices. */

enum { REPORT_OUTCOME_SIZE = 160 };

/* How it ended for this device, in words: "confirmed 1.1.0", "rolled back to 1.0.0: the new image
 * crashed during its trial". */
void report_outcome(const struct fleet_device *d, char out[REPORT_OUTCOME_SIZE]);

/* A table with one line a device, of at most `rows` devices, then how many ended how. */
void report_table(const struct fleet *f, unsigned rows, FILE *out);

/* One JSON object a line for each device, then {"summary": ...}. Errors: NOMEM, IO. */
int report_json(const struct fleet *f, uint64_t elapsed_ms, FILE *out)
    __attribute__((warn_unused_result));

/* One line on where the fleet stands, without a newline. */
void report_progress(const struct fleet *f, uint64_t elapsed_ms, FILE *out);

#endif
