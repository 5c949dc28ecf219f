/* The texts of --help, from the tables. */

#include "cli/help.h"

#include <ctype.h>
#include <string.h>

#include "cli/groups.h"

/* A summary stands in lists as it is, and alone as a sentence. */
static void put_sentence(FILE *to, const char *summary)
{
    fprintf(to, "%c%s.\n\n", toupper((unsigned char)summary[0]), summary + 1);
}

void help_top(FILE *to)
{
    fputs("Usage: surefoot COMMAND ...\n\n"
          "Over-the-air updates for ESP32 fleets: keys, images, flash dumps, manifests, releases\n"
          "and devices.\n",
          to);
    const char *section = "";
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        if (strcmp(g->section, section) != 0) {
            section = g->section;
            fprintf(to, "\n%s:\n", section);
        }
        fprintf(to, "  %-11s %s\n", g->name, g->summary);
    }
    fprintf(to,
            "  %-11s %s\n\n"
            "surefoot COMMAND --help and surefoot help COMMAND tell more. --version prints the "
            "version.\n\n"
            "Examples:\n"
            "  surefoot key new release.pem\n"
            "  surefoot image info build/lamp.bin\n"
            "  surefoot flash boot dump.bin --json\n\nExit status:\n%s",
            "help", "the same help as --help", cli_exit_help);
}

void help_group(FILE *to, const struct cli_group *group)
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
    fprintf(to, "\nExit status:\n%s", cli_exit_help);
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

void help_command(FILE *to, const struct cli_group *group, const struct cli_command *c)
{
    fprintf(to, "Usage: surefoot %s%s%s [OPTIONS]%s%s\n\n", group->name, c->name[0] ? " " : "",
            c->name, c->operands[0] ? " " : "", c->operands);
    put_sentence(to, c->summary);
    if (c->details) {
        fprintf(to, "%s\n", c->details);
    }
    fputs("Options:\n", to);
    const struct cli_option *o = NULL;
    for (unsigned i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        help_option(to, o);
    }
    fprintf(to, "\nExamples:\n%s\nExit status:\n%s", c->examples, cli_exit_help);
}
