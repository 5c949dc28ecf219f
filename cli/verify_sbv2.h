#ifndef CLI_VERIFY_SBV2_H
#define CLI_VERIFY_SBV2_H

#include "cli/cli.h"

/* `surefoot image verify-sbv2`, for the table of cmd_image.c. */
extern const struct cli_option verify_sbv2_options[];
int verify_sbv2_run(const struct cli_args *args);

#endif
