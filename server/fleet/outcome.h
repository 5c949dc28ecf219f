#ifndef FLEET_OUTCOME_H
#define FLEET_OUTCOME_H

#include <stddef.h>
#include <stdint.h>

#include "formats/checkin.h"

/* What a device says of the end of an update, in a person's words:
 *
 *     rolled back: the new image crashed during its trial (panic)
 *
 * The sentence contains sf_err_str() of the error, so that it can be searched for. */

enum { OUTCOME_WORDS_MAX = 191 };

/* 1 if a trial ended: the new image ran, or was to run, and does not run any more. Only a trial's
 * outcome has a reset reason: that tells a server that was busy in it from one that was busy when
 * the image was to be fetched. */
int outcome_is_rollback(const struct sf_outcome *outcome);

/* One sentence without a full stop, cut at `size`. */
void outcome_words(const struct sf_outcome *outcome, char *out, size_t size);

#endif
