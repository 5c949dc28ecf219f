/* Completion scripts for bash, zsh and fish. */

#include "cli/completion.h"

#include <string.h>

#include "cli/groups.h"

/* ---- shared ---- */

/* The tables' texts inside single quotes of any of the three shells, with a backslash before each
 * character of `special`. */
static void put_quoted(FILE *to, const char *text, const char *special)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\'') {
            fputs("'\\''", to);
            continue;
        }
        if (strchr(special, *c)) {
            fputc('\\', to);
        }
        fputc(*c, to);
    }
}

static void put_words(FILE *to, const char *words)
{
    for (const char *c = words; *c; c++) {
        if (*c != ',') {
            fputc(*c, to);
        }
    }
}

/* "release publish", or "login" alone. */
static void put_place(FILE *to, const struct cli_group *g, const struct cli_command *c)
{
    fprintf(to, "%s%s%s", g->name, c->name[0] ? " " : "", c->name);
}

static void put_group_names(FILE *to, const char *between)
{
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        fprintf(to, "%s%s", g == cli_groups ? "" : between, g->name);
    }
}

static void put_command_names(FILE *to, const struct cli_group *g)
{
    for (const struct cli_command *c = g->commands; c->name; c++) {
        fprintf(to, "%s%s", c == g->commands ? "" : " ", c->name);
    }
}

typedef void each_command(FILE *to, const struct cli_group *g, const struct cli_command *c);

static void for_each(FILE *to, each_command *put)
{
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        for (const struct cli_command *c = g->commands; c->name; c++) {
            put(to, g, c);
        }
    }
}

/* ---- bash ---- */

static void bash_choice(FILE *to, struct cli_choice choice)
{
    switch (choice.kind) {
    case CLI_CHOICE_FILE:
        fputs(" kind=file", to);
        break;
    case CLI_CHOICE_FOLDER:
        fputs(" kind=folder", to);
        break;
    case CLI_CHOICE_WORDS:
        fputs(" words+=' ", to);
        put_words(to, choice.words);
        fputs("'", to);
        break;
    case CLI_CHOICE_NONE:
        break;
    }
}

/* The values of a command's options. */
static void bash_values(FILE *to, const struct cli_group *g, const struct cli_command *c)
{
    const struct cli_option *o = NULL;
    for (unsigned i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        if (!o->value) {
            continue;
        }
        fputs("    '", to);
        put_place(to, g, c);
        fprintf(to, " --%s'", o->name);
        if (o->letter) {
            fputs(" | '", to);
            put_place(to, g, c);
            fprintf(to, " -%c'", o->letter);
        }
        fputs(") is_value=1", to);
        bash_choice(to, cli_choice_of(o->value));
        fputs(" ;;\n", to);
    }
}

/* A command's options and operands. */
static void bash_command(FILE *to, const struct cli_group *g, const struct cli_command *c)
{
    const struct cli_option *o = NULL;
    fputs("    '", to);
    put_place(to, g, c);
    fputs("') words='", to);
    for (unsigned i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        fprintf(to, "%s--%s", i ? " " : "", o->name);
    }
    fputc('\'', to);
    bash_choice(to, cli_choice_of(c->operands));
    fputs(" ;;\n", to);
}

void completion_bash(FILE *to)
{
    fputs("# bash completion for surefoot, made by `surefoot completion bash`\n"
          "_surefoot() {\n"
          "    local cur prev at='' words='' kind='' is_value=''\n"
          "    cur=${COMP_WORDS[COMP_CWORD]}\n"
          "    prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    COMPREPLY=()\n"
          "    # --option=value comes as three words\n"
          "    if [[ $prev == '=' ]]; then\n"
          "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "    elif [[ $cur == '=' ]]; then\n"
          "        cur=''\n"
          "    fi\n"
          "    if ((COMP_CWORD > 1)); then\n"
          "        at=${COMP_WORDS[1]}\n"
          "    fi\n"
          "    case $at in\n"
          "    help",
          to);
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        if (!cli_group_is_single(g)) {
            fprintf(to, " | %s", g->name);
        }
    }
    fputs(")\n"
          "        if ((COMP_CWORD > 2)); then\n"
          "            at+=\" ${COMP_WORDS[2]}\"\n"
          "        fi ;;\n"
          "    esac\n"
          "    case \"$at $prev\" in\n",
          to);
    for_each(to, bash_values);
    fputs("    esac\n"
          "    [[ -n $is_value ]] || case $at in\n"
          "    '') words='",
          to);
    put_group_names(to, " ");
    fputs(" help --version --help' ;;\n    'help') words='", to);
    put_group_names(to, " ");
    fputs("' ;;\n", to);
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        if (!cli_group_is_single(g)) {
            fprintf(to, "    '%s' | 'help %s') words='", g->name, g->name);
            put_command_names(to, g);
            fputs("' ;;\n", to);
        }
    }
    for_each(to, bash_command);
    fputs("    esac\n"
          "    if [[ $kind == file && $cur != -* ]]; then\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
          "    elif [[ $kind == folder && $cur != -* ]]; then\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
          "    else\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
          "    fi\n"
          "}\n"
          "complete -F _surefoot surefoot\n",
          to);
}

/* ---- zsh ---- */

static void zsh_described(FILE *to, const char *name, const char *summary)
{
    fprintf(to, " '%s:", name);
    put_quoted(to, summary, ":\\");
    fputc('\'', to);
}

/* ":FILE:_files": what comes behind an option or as an operand. */
static void zsh_choice(FILE *to, const char *placeholder)
{
    const struct cli_choice choice = cli_choice_of(placeholder);
    fputc(':', to);
    put_quoted(to, placeholder, ":\\");
    switch (choice.kind) {
    case CLI_CHOICE_FILE:
        fputs(":_files", to);
        break;
    case CLI_CHOICE_FOLDER:
        fputs(":_files -/", to);
        break;
    case CLI_CHOICE_WORDS:
        fputs(":(", to);
        put_words(to, choice.words);
        fputc(')', to);
        break;
    case CLI_CHOICE_NONE:
        fputs(": ", to);
        break;
    }
}

static void zsh_option(FILE *to, const struct cli_option *o, const char *spelling)
{
    fprintf(to, " \\\n            '%s%s[", o->repeat ? "*" : "", spelling);
    put_quoted(to, o->help, "[]\\:");
    fputc(']', to);
    if (o->value) {
        zsh_choice(to, o->value);
    }
    fputc('\'', to);
}

static void zsh_command(FILE *to, const struct cli_group *g, const struct cli_command *c)
{
    const struct cli_option *o = NULL;
    fputs("    '", to);
    put_place(to, g, c);
    fputs("')\n        _arguments -s", to);
    for (unsigned i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        char spelling[48];
        snprintf(spelling, sizeof spelling, "--%s%s", o->name, o->value ? "=" : "");
        zsh_option(to, o, spelling);
        if (o->letter) {
            snprintf(spelling, sizeof spelling, "-%c", o->letter);
            zsh_option(to, o, spelling);
        }
    }
    if (c->operands[0]) {
        fputs(" \\\n            '*", to);
        zsh_choice(to, c->operands);
        fputc('\'', to);
    }
    fputs(" ;;\n", to);
}

static void zsh_group(FILE *to, const struct cli_group *g)
{
    fprintf(to, "    %s)\n        names=(", g->name);
    for (const struct cli_command *c = g->commands; c->name; c++) {
        fputs("\n           ", to);
        zsh_described(to, c->name, c->summary);
    }
    fputs(") ;;\n", to);
}

void completion_zsh(FILE *to)
{
    fputs("#compdef surefoot\n"
          "# zsh completion for surefoot, made by `surefoot completion zsh`\n"
          "_surefoot() {\n"
          "    local -a names\n"
          "    local at\n"
          "    if (( CURRENT == 2 )); then\n"
          "        names=(",
          to);
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        fputs("\n           ", to);
        zsh_described(to, g->name, g->summary);
    }
    fputs("\n            'help:the same help as --help')\n"
          "        _describe -t commands 'surefoot command' names\n"
          "        return\n"
          "    fi\n"
          "    shift words\n"
          "    (( CURRENT-- ))\n"
          "    if [[ $words[1] == help ]] && (( CURRENT == 2 )); then\n"
          "        names=(",
          to);
    put_group_names(to, " ");
    fputs(")\n"
          "        _describe -t commands 'surefoot command' names\n"
          "        return\n"
          "    fi\n"
          "    case $words[1] in\n",
          to);
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        if (!cli_group_is_single(g)) {
            zsh_group(to, g);
        }
    }
    fputs("    esac\n"
          "    at=$words[1]\n"
          "    if (( $#names )); then\n"
          "        if (( CURRENT == 2 )); then\n"
          "            _describe -t commands \"surefoot $at command\" names\n"
          "            return\n"
          "        fi\n"
          "        at+=\" $words[2]\"\n"
          "        shift words\n"
          "        (( CURRENT-- ))\n"
          "    fi\n"
          "    case $at in\n",
          to);
    for_each(to, zsh_command);
    fputs("    esac\n"
          "}\n"
          "if [[ $funcstack[1] == _surefoot ]]; then\n"
          "    _surefoot \"$@\"\n"
          "else\n"
          "    compdef _surefoot surefoot\n"
          "fi\n",
          to);
}

/* ---- fish ---- */

static void fish_described(FILE *to, const char *name, const char *summary)
{
    fprintf(to, " -a %s -d '", name);
    put_quoted(to, summary, "");
    fputs("'\n", to);
}

static void fish_choice(FILE *to, struct cli_choice choice)
{
    switch (choice.kind) {
    case CLI_CHOICE_FILE:
        fputs(" -rF", to);
        break;
    case CLI_CHOICE_FOLDER:
        fputs(" -xa '(__fish_complete_directories)'", to);
        break;
    case CLI_CHOICE_WORDS:
        fputs(" -xa '", to);
        put_words(to, choice.words);
        fputs("'", to);
        break;
    case CLI_CHOICE_NONE:
        fputs(" -x", to);
        break;
    }
}

static void fish_command(FILE *to, const struct cli_group *g, const struct cli_command *c)
{
    const struct cli_option *o = NULL;
    const struct cli_choice operands = cli_choice_of(c->operands);
    for (unsigned i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        fputs("complete -c surefoot -n '__surefoot_in ", to);
        put_place(to, g, c);
        fprintf(to, "' -l %s", o->name);
        if (o->letter) {
            fprintf(to, " -s %c", o->letter);
        }
        if (o->value) {
            fish_choice(to, cli_choice_of(o->value));
        }
        fputs(" -d '", to);
        put_quoted(to, o->help, "");
        fputs("'\n", to);
    }
    if (operands.kind != CLI_CHOICE_NONE) {
        fputs("complete -c surefoot -n '__surefoot_in ", to);
        put_place(to, g, c);
        fputs("'", to);
        fish_choice(to, operands);
        fputs("\n", to);
    }
}

void completion_fish(FILE *to)
{
    fputs("# fish completion for surefoot, made by `surefoot completion fish`\n"
          "function __surefoot_at # whether the words before the cursor are exactly these\n"
          "    set -l words (commandline -opc)\n"
          "    test \"$words[2..]\" = \"$argv\"\n"
          "end\n"
          "function __surefoot_in # whether they begin with these\n"
          "    set -l words (commandline -opc)\n"
          "    set -l last (math (count $argv) + 1)\n"
          "    test (count $words) -ge $last; and test \"$words[2..$last]\" = \"$argv\"\n"
          "end\n"
          "complete -c surefoot -f\n"
          "complete -c surefoot -n __surefoot_at -l version -d 'print the version'\n"
          "complete -c surefoot -n __surefoot_at -a help -d 'the same help as --help'\n",
          to);
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        fputs("complete -c surefoot -n '__surefoot_at; or __surefoot_at help'", to);
        fish_described(to, g->name, g->summary);
        for (const struct cli_command *c = g->commands; c->name && c->name[0]; c++) {
            fprintf(to, "complete -c surefoot -n '__surefoot_at %s; or __surefoot_at help %s'",
                    g->name, g->name);
            fish_described(to, c->name, c->summary);
        }
    }
    for_each(to, fish_command);
}
