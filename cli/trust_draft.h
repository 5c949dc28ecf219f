#ifndef CLI_TRUST_DRAFT_H
#define CLI_TRUST_DRAFT_H

#include "cli/cli.h"

/* surefoot trust init, rotate and revoke: the next trust root, not signed yet. */

extern const struct cli_option trust_init_options[];
extern const struct cli_option trust_rotate_options[];
extern const struct cli_option trust_revoke_options[];

int trust_init_run(const struct cli_args *args) __attribute__((warn_unused_result));
int trust_rotate_run(const struct cli_args *args) __attribute__((warn_unused_result));
int trust_revoke_run(const struct cli_args *args) __attribute__((warn_unused_result));

#endif
