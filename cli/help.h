#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "cli/cli.h"

/* The texts of --help, from the tables. */

void help_top(FILE *to);
void help_group(FILE *to, const struct cli_group *group);
void help_command(FILE *to, const struct cli_group *group, const struct cli_command *command);

#endif
