/* surefoot: the command line. This file finds the command in the tables and writes the help. */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#ifndef SUREFOOT_VERSION
#define SUREFOOT_VERSION "0.0.0"
#endif

static const struct cli_group groups[] = {
    {"key", "make and show signing keys", cmd_key},
    {"image", "look at, check and make app images", cmd_image},
    {"flash", "look at flash dumps and say what would boot", cmd_flash},
    {"manifest", "sign, check and show manifests", cmd_manifest},
    {"login", "say which server to talk to, and as whom", cmd_login},
    {"token", "make, list and revoke API tokens", cmd_token},
    {"product", "create products and set what their devices should run", cmd_product},
    {"release", "publish and list releases", cmd_release},
    {"device", "list, follow and steer devices", cmd_device},
    {"freeze", "stop all offers everywhere at once", cmd_freeze},
    {"unfreeze", "let offers go on after a freeze", cmd_unfreeze},
    {NULL, NULL, NULL},
};

static const char exit_help[] = "Exit status:\n"
                                "  0  done\n"
                                "  1  refused, or a check failed\n"
                                "  2  wrong command line\n"
                                "  3  the server cannot be reached or is not trusted\n"
                                "  4  a local file cannot be read or written\n";

static int is_single(const struct cli_group *group)
{
    return group->commands[0].name[0] == '\0';
}

/* A summary stands in lists as it is, and alone as a sentence. */
static void put_sentence(FILE *to, const char *summary)
{
    fprintf(to, "%c%s.\n\n", toupper((unsigned char)summary[0]), summary + 1);
}

static void help_top(FILE *to)
{
    fputs("Usage: surefoot COMMAND ...\n\n"
          "Over-the-air updates for ESP32 fleets: keys, images, flash dumps, manifests, releases\n"
          "and devices.\n\nCommands:\n",
          to);
    for (const struct cli_group *g = groups; g->name; g++) {
        fprintf(to, "  %-10s %s\n", g->name, g->summary);
    }
    fprintf(to,
            "  %-10s %s\n\n"
            "surefoot COMMAND --help and surefoot help COMMAND tell more. --version prints the "
            "version.\n\n"
            "Examples:\n"
            "  surefoot key new release.pem\n"
            "  surefoot image info build/lamp.bin\n"
            "  surefoot flash boot dump.bin --json\n\n%s",
            "help", "the same help as --help", exit_help);
}

static void help_group(FILE *to, const struct cli_group *group)
{
    fprintf(to, "Usage: surefoot %s COMMAND ...\n\n", group->name);
    put_sentence(to, group->summary);
    fputs("Commands:\n", to);
    for (const struct cli_command *c = group->commands; c->name; c++) {
        fprintf(to, "  %-12s %s\n", c->name, c->summary);
    }
    fprintf(to, "\nsurefoot %s COMMAND --help tells more.\n\nExamples:\n", group->name);
    for (const struct cli_command *c = group->commands; c->name; c++) {
        fputs(c->examples, to);
    }
    fprintf(to, "\n%s", exit_help);
}

static void help_option(FILE *to, const struct cli_option *o)
{
    char left[64];
    char letter[8] = "    ";
    if (o->letter) {
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
             o->value ? o->value : "");
    fprintf(to, "  %-32s %s\n", left, o->help);
}

static void help_command(FILE *to, const struct cli_group *group, const struct cli_command *c)
{
    static const struct cli_option common[] = {
        {"json", NULL, "print one JSON value for programs", 0, 0},
        {"help", NULL, "print this help", 'h', 0},
    };
    static const struct cli_option config = {"config", "FILE",
                                             "the file that `surefoot login` wrote", 0, 0};
    fprintf(to, "Usage: surefoot %s%s%s [OPTIONS]%s%s\n\n", group->name, c->name[0] ? " " : "",
            c->name, c->operands[0] ? " " : "", c->operands);
    put_sentence(to, c->summary);
    if (c->details) {
        fprintf(to, "%s\n", c->details);
    }
    fputs("Options:\n", to);
    for (const struct cli_option *o = c->options; o && o->name; o++) {
        help_option(to, o);
    }
    if (c->place == CLI_ONLINE) {
        help_option(to, &config);
    }
    help_option(to, &common[0]);
    help_option(to, &common[1]);
    fprintf(to, "\nExamples:\n%s\n%s", c->examples, exit_help);
}

static const struct cli_group *find_group(const char *name)
{
    for (const struct cli_group *g = groups; g->name; g++) {
        if (strcmp(g->name, name) == 0) {
            return g;
        }
    }
    return NULL;
}

static const struct cli_command *find_command(const struct cli_group *group, const char *name)
{
    for (const struct cli_command *c = group->commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

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
    if (is_single(group)) {
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
    const struct cli_command *command = find_command(group, argv[1]);
    if (!command) {
        return cli_fail(CLI_USAGE, "there is no command '%s %s'; see surefoot %s --help",
                        group->name, argv[1], group->name);
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
    const struct cli_group *group = find_group(argv[1]);
    if (!group) {
        return cli_fail(CLI_USAGE, "there is no command '%s'; see surefoot help", argv[1]);
    }
    if (is_single(group)) {
        help_command(stdout, group, &group->commands[0]);
        return CLI_OK;
    }
    if (argc < 3) {
        help_group(stdout, group);
        return CLI_OK;
    }
    const struct cli_command *command = find_command(group, argv[2]);
    if (!command) {
        return cli_fail(CLI_USAGE, "there is no command '%s %s'; see surefoot help %s", argv[1],
                        argv[2], argv[1]);
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
    const struct cli_group *group = find_group(argv[1]);
    if (!group) {
        return cli_fail(CLI_USAGE, "there is no command '%s'; see surefoot help", argv[1]);
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
