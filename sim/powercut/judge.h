#ifndef POWERCUT_JUDGE_H
#define POWERCUT_JUDGE_H

#include "sim/powercut/world.h"

/* The invariants (docs/unbrickable.md has them in words). Each function looks at a world at one
 * kind of moment and notes the first that does not hold in life.violation. */

void judge_boot(struct world *w);     /* an application has just been started */
void judge_checkin(struct world *w);  /* server.last has just arrived */
void judge_settled(struct world *w);  /* at rest at the end of a phase */
void judge_restless(struct world *w); /* a phase has lasted as long as any may */
void judge_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whether the device may loop for ever in an image that is not confirmed: the two cases that are
 * outside the promise. */
int judge_is_outside(const struct world *w);

/* Which release a slot holds, byte for byte. */
enum kit_image judge_image_in(const struct world *w, int slot);

#endif
