/* surefoot completion: scripts for shells. */

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/completion.h"

static int run_completion(const struct cli_args *args)
{
    static const struct {
        const char *shell;
        void (*print)(FILE *to);
    } shells[] = {{"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
    for (unsigned i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(args->operand[0], shells[i].shell) == 0) {
            shells[i].print(stdout);
            return CLI_OK;
        }
    }
    return cli_fail(CLI_USAGE, "there is no completion for '%s'; there is bash, zsh and fish",
                    args->operand[0]);
}

const struct cli_command cmd_completion[] = {
    {.name = "",
     .operands = "bash|zsh|fish",
     .summary = "print a script that makes Tab complete commands, options and files",
     .details = "For this user; packages have it installed already:\n"
                "  bash  ~/.local/share/bash-completion/completions/surefoot\n"
                "  zsh   _surefoot, in a folder of $fpath\n"
                "  fish  ~/.config/fish/completions/surefoot.fish\n",
     .examples = "  source <(surefoot completion bash)\n"
                 "  surefoot completion fish > ~/.config/fish/completions/surefoot.fish\n",
     .operand_min = 1,
     .operand_max = 1,
     .run = run_completion},
    {.name = NULL},
};
