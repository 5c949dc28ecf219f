#ifndef CLI_TRUST_TEXT_H
#define CLI_TRUST_TEXT_H

#include "cli/trust_file.h"

/* What a trust root says, for people and programs. `before` may be NULL; with it, what is new and
 * what is gone is marked. */

json_t *trust_json(const struct trust_file *file, const struct trust_file *before);

/* Several lines to stdout. */
void trust_print(const struct trust_file *file, const struct trust_file *before);

/* "complete", or what is missing; static buffer of the caller. */
enum { TRUST_STATE_MAX = 256 };
void trust_state(const struct trust_file *file, const struct trust_file *before,
                 char out[TRUST_STATE_MAX]);

/* The file as an array in C, for struct sf_trust_root of surefoot/surefoot.h. */
void trust_print_c(const struct trust_file *file);

#endif
