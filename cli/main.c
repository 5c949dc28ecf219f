/* surefoot: the command line. This file finds the command in the tables and runs it. */

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/cli.h"
#include "cli/groups.h"
#include "cli/help.h"

#ifndef SUREFOOT_VERSION
#define SUREFOOT_VERSION "0.0.0"
#endif

/* ---- what was meant ---- */

static int tell_no_command(const struct cli_group *group, const char *name)
{
    struct nearest n = nearest_to(name);
    for (const struct cli_command *c = group->commands; c->name; c++) {
        nearest_offer(&n, c->name);
    }
    if (n.word) {
        return cli_fail(CLI_USAGE, "there is no command '%s %s'; did you mean 'surefoot %s %s'?",
                        group->name, name, group->name, n.word);
    }
    return cli_fail(CLI_USAGE, "there is no command '%s %s'; see surefoot %s --help", group->name,
                    name, group->name);
}

/* `surefoot publish` for `surefoot release publish`: the first group that has such a command. */
static const struct cli_group *group_with(const char *command)
{
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        if (cli_command_find(g, command)) {
            return g;
        }
    }
    return NULL;
}

static int tell_no_group(const char *name)
{
    struct nearest n = nearest_to(name);
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        nearest_offer(&n, g->name);
    }
    const struct cli_group *other = group_with(name);
    if (name[0] == '-') {
        return cli_fail(CLI_USAGE,
                        "'%s' comes before the command; options come behind it, as in "
                        "surefoot device list %s; see surefoot help",
                        name, name);
    }
    if (other) {
        return cli_fail(CLI_USAGE, "there is no command '%s'; did you mean 'surefoot %s %s'?", name,
                        other->name, name);
    }
    if (n.word) {
        return cli_fail(CLI_USAGE, "there is no command '%s'; did you mean 'surefoot %s'?", name,
                        n.word);
    }
    return cli_fail(CLI_USAGE, "there is no command '%s'; see surefoot help", name);
}

/* ---- running ---- */

static int is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static int run_command(const struct cli_group *group, const struct cli_command *command, int argc,
                       char **argv)
{
    struct cli_args args;
    int status = cli_parse(command, argc, argv, &args);
    if (status != CLI_OK) {
        return status;
    }
    if (args.help) {
        help_command(stdout, group, command);
        return CLI_OK;
    }
    return command->run(&args);
}

static int run_group(const struct cli_group *group, int argc, char **argv)
{
    if (cli_group_is_single(group)) {
        return run_command(group, &group->commands[0], argc, argv);
    }
    if (argc < 2) {
        help_group(stderr, group);
        return CLI_USAGE;
    }
    if (is_help(argv[1])) {
        help_group(stdout, group);
        return CLI_OK;
    }
    const struct cli_command *command = cli_command_find(group, argv[1]);
    if (!command) {
        return tell_no_command(group, argv[1]);
    }
    return run_command(group, command, argc - 1, argv + 1);
}

/* `surefoot help [GROUP [COMMAND]]`. */
static int run_help(int argc, char **argv)
{
    if (argc < 2) {
        help_top(stdout);
        return CLI_OK;
    }
    const struct cli_group *group = cli_group_find(argv[1]);
    if (!group) {
        return tell_no_group(argv[1]);
    }
    if (cli_group_is_single(group)) {
        help_command(stdout, group, &group->commands[0]);
        return CLI_OK;
    }
    if (argc < 3) {
        help_group(stdout, group);
        return CLI_OK;
    }
    const struct cli_command *command = cli_command_find(group, argv[2]);
    if (!command) {
        return tell_no_command(group, argv[2]);
    }
    help_command(stdout, group, command);
    return CLI_OK;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        help_top(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("surefoot " SUREFOOT_VERSION);
        return CLI_OK;
    }
    if (is_help(argv[1])) {
        return run_help(argc - 1, argv + 1);
    }
    const struct cli_group *group = cli_group_find(argv[1]);
    if (!group) {
        return tell_no_group(argv[1]);
    }
    return run_group(group, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int status = dispatch(argc, argv);
    /* A full disk behind a redirected stdout must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == CLI_OK) {
        return cli_fail(CLI_LOCAL, "cannot write to stdout");
    }
    return status;
}
