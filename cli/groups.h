#ifndef CLI_GROUPS_H
#define CLI_GROUPS_H

#include "cli/cli.h"

/* Every command there is. Help, man pages and shell completion are all made from these tables. */

extern const struct cli_group cli_groups[];

/* What exit statuses mean, one line each ("  0  done"). */
extern const char cli_exit_help[];

/* By name; NULL if there is none. */
const struct cli_group *cli_group_find(const char *name);
const struct cli_command *cli_command_find(const struct cli_group *group, const char *name);

/* Whether the group is one command (`surefoot login URL`). */
int cli_group_is_single(const struct cli_group *group);

/* What can stand where a value or an operand is asked for, by the word the help has for it. */
struct cli_choice {
    enum { CLI_CHOICE_NONE, CLI_CHOICE_FILE, CLI_CHOICE_FOLDER, CLI_CHOICE_WORDS } kind;
    const char *words; /* of CLI_CHOICE_WORDS, with spaces or commas between */
};
/* "FILE", "SCOPE", "bash|zsh|fish"; of operands the first counts. NULL: none. */
struct cli_choice cli_choice_of(const char *placeholder);

#endif
