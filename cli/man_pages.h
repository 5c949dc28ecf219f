#ifndef CLI_MAN_PAGES_H
#define CLI_MAN_PAGES_H

#include <stdio.h>

#include "cli/cli.h"

/* The man pages of `surefoot`, from the tables. */

/* surefoot(1): what there is. */
void man_page_top(FILE *to, const char *version);
/* surefoot-<group>(1): its commands, their options and examples. */
void man_page_group(FILE *to, const struct cli_group *group, const char *version);

#endif
