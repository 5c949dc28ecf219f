#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include <stdio.h>

/* Completion scripts for three shells, from the tables: commands, options, and what can be their
 * values. Names that only the server knows are not completed: Tab must not wait for a network. */

void completion_bash(FILE *to);
void completion_zsh(FILE *to);
void completion_fish(FILE *to);

#endif
