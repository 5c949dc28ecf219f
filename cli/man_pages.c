/* The man pages of `surefoot`, from the tables. */

#include "cli/man_pages.h"

#include <ctype.h>
#include <string.h>

#include "base/manual.h"
#include "cli/groups.h"

static void put_text(FILE *to, const char *text)
{
    manual_text(to, text, strlen(text));
}

static void put_bold(FILE *to, const char *text)
{
    manual_bold(to, text, strlen(text));
}

/* A summary as a sentence. */
static void put_sentence(FILE *to, const char *summary)
{
    const char first = (char)toupper((unsigned char)summary[0]);
    manual_text(to, &first, 1);
    put_text(to, summary + 1);
    fputs(".\n", to);
}

static void put_exit_status(FILE *to)
{
    manual_section(to, "Exit status");
    manual_verbatim(to, cli_exit_help);
}

/* "surefoot release publish [OPTIONS] IMAGE..." */
static void put_usage(FILE *to, const struct cli_group *g, const struct cli_command *c)
{
    char name[80];
    snprintf(name, sizeof name, "surefoot %s%s%s", g->name, c->name[0] ? " " : "", c->name);
    put_bold(to, name);
    fputs(" [OPTIONS]", to);
    if (c->operands[0]) {
        fputc(' ', to);
        put_text(to, c->operands);
    }
    fputc('\n', to);
}

static void put_option(FILE *to, const struct cli_option *o)
{
    char name[64];
    fputs(".TP\n", to);
    if (o->letter) {
        snprintf(name, sizeof name, "-%c", o->letter);
        put_bold(to, name);
        fputs(", ", to);
    }
    snprintf(name, sizeof name, "--%s", o->name);
    put_bold(to, name);
    if (o->value) {
        fputc(' ', to);
        put_text(to, o->value);
    }
    fputc('\n', to);
    put_text(to, o->help);
    fputs(o->repeat ? "; may be repeated\n" : "\n", to);
}

static void put_command(FILE *to, const struct cli_command *c)
{
    const struct cli_option *o = NULL;
    put_sentence(to, c->summary);
    if (c->details) {
        fputs(".PP\n", to);
        manual_prose(to, c->details);
    }
    for (unsigned i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        put_option(to, o);
    }
}

void man_page_group(FILE *to, const struct cli_group *group, const char *version)
{
    char name[64];
    snprintf(name, sizeof name, "surefoot-%s", group->name);
    const struct manual manual = {name, 1, group->summary, version};
    manual_begin(to, &manual);
    manual_section(to, "Synopsis");
    for (const struct cli_command *c = group->commands; c->name; c++) {
        fputs(c == group->commands ? "" : ".br\n", to);
        put_usage(to, group, c);
    }
    manual_section(to, "Description");
    for (const struct cli_command *c = group->commands; c->name; c++) {
        if (c->name[0]) {
            manual_subsection(to, c->name);
        }
        put_command(to, c);
    }
    manual_section(to, "Examples");
    for (const struct cli_command *c = group->commands; c->name; c++) {
        manual_verbatim(to, c->examples);
    }
    put_exit_status(to);
    fputs(".SH SEE ALSO\n.BR surefoot (1)\n", to);
}

void man_page_top(FILE *to, const char *version)
{
    const struct manual manual = {"surefoot", 1, "over-the-air updates for ESP32 fleets", version};
    manual_begin(to, &manual);
    manual_section(to, "Synopsis");
    put_bold(to, "surefoot");
    fputs(" COMMAND ...\n", to);
    manual_section(to, "Description");
    put_text(to, "Keys, images, flash dumps, manifests, releases and devices. Data goes to stdout, "
                 "errors and notes to stderr; --json prints one JSON value for programs.");
    fputc('\n', to);
    const char *section = "";
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        if (strcmp(g->section, section) != 0) {
            section = g->section;
            manual_subsection(to, section);
        }
        fputs(".TP\n", to);
        fprintf(to, ".BR surefoot\\-%s (1)\n", g->name);
        put_text(to, g->summary);
        fputc('\n', to);
    }
    manual_section(to, "Files");
    fputs(".TP\n", to);
    put_text(to, "$XDG_CONFIG_HOME/surefoot/config.json, or ~/.config/surefoot/config.json");
    fputc('\n', to);
    put_text(to, "what `surefoot login` stored: server, CA and API token; mode 0600");
    fputc('\n', to);
    put_exit_status(to);
    fputs(".SH SEE ALSO\n.BR surefootd (8),\n.BR surefoot\\-sim (1)\n", to);
}
