/* Command lines by declarative tables, on getopt_long. */

#include "cli/cli.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"

enum { CODE_JSON = 1000, CODE_HELP, CODE_CONFIG, CODE_FIRST }; /* above every letter */

/* getopt's own tables for one command. */
struct tables {
    struct option longs[CLI_OPTION_MAX + 4]; /* the command's, --json, --help, --config, the end */
    char shorts[2 * CLI_OPTION_MAX + 8];     /* a letter and a colon each, "+:h", "o:" */
};

int cli_fail(int status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("surefoot: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    return status;
}

void cli_note(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
}

static void make_tables(const struct cli_command *command, struct tables *out)
{
    memset(out, 0, sizeof *out);
    unsigned n = 0;
    size_t s = 0;
    out->shorts[s++] = ':';
    out->shorts[s++] = 'h';
    for (const struct cli_option *o = command->options; o && o->name; o++) {
        assert(n < CLI_OPTION_MAX);
        out->longs[n] = (struct option){o->name, o->value ? required_argument : no_argument, NULL,
                                        CODE_FIRST + (int)n};
        if (o->letter) {
            out->shorts[s++] = o->letter;
            if (o->value) {
                out->shorts[s++] = ':';
            }
        }
        n++;
    }
    out->longs[n++] = (struct option){"json", no_argument, NULL, CODE_JSON};
    out->longs[n++] = (struct option){"help", no_argument, NULL, CODE_HELP};
    if (command->place == CLI_ONLINE) {
        out->longs[n++] = (struct option){"config", required_argument, NULL, CODE_CONFIG};
    }
}

static int option_by_letter(const struct cli_command *command, int letter)
{
    for (int i = 0; command->options && command->options[i].name; i++) {
        if (command->options[i].letter == letter) {
            return i;
        }
    }
    return -1;
}

static int keep_value(const struct cli_command *command, unsigned option, struct cli_args *out)
{
    const struct cli_option *o = &command->options[option];
    unsigned *count = &out->count[option];
    if (*count > 0 && !o->repeat) {
        return cli_fail(CLI_USAGE, "--%s is given twice", o->name);
    }
    if (*count == CLI_REPEAT_MAX) {
        return cli_fail(CLI_USAGE, "--%s is given more than %d times", o->name, CLI_REPEAT_MAX);
    }
    out->value[option][(*count)++] = optarg ? optarg : "";
    return CLI_OK;
}

/* The options that every command has, behind its own. */
static const struct cli_option common[] = {
    {"json", NULL, "print one JSON value for programs", 0, 0},
    {"help", NULL, "print this help", 'h', 0},
    {"config", "FILE", "the file that `surefoot login` wrote", 0, 0},
};

const struct cli_option *cli_option_at(const struct cli_command *command, unsigned i)
{
    const unsigned count = sizeof common / sizeof common[0] - (command->place == CLI_OFFLINE);
    const struct cli_option *own = command->options;
    for (; own && own->name; own++) {
        if (i-- == 0) {
            return own;
        }
    }
    return i < count ? &common[i] : NULL;
}

/* getopt_long leaves a long option in its place, and of a short one the letter in `optopt`. */
static int tell_unknown(const struct cli_command *command, const char *word)
{
    char wanted[NEAREST_WORD_MAX + 1];
    if (strncmp(word, "--", 2) != 0) {
        return cli_fail(CLI_USAGE, "unknown option '-%c' in '%s'; see --help", optopt, word);
    }
    snprintf(wanted, sizeof wanted, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    struct nearest n = nearest_to(wanted);
    const struct cli_option *o = NULL;
    for (unsigned i = 0; (o = cli_option_at(command, i)) != NULL; i++) {
        nearest_offer(&n, o->name);
    }
    if (n.word && n.distance == 0) {
        return cli_fail(CLI_USAGE, "option '--%s' takes no value", n.word);
    }
    return n.word ? cli_fail(CLI_USAGE, "unknown option '%s'; did you mean '--%s'?", word, n.word)
                  : cli_fail(CLI_USAGE, "unknown option '%s'; see --help", word);
}

static int take(int code, char **argv, struct cli_args *out)
{
    int option = code >= CODE_FIRST ? code - CODE_FIRST : option_by_letter(out->command, code);
    switch (code) {
    case CODE_JSON:
        out->json = 1;
        return CLI_OK;
    case 'h':
    case CODE_HELP:
        out->help = 1;
        return CLI_OK;
    case CODE_CONFIG:
        out->config = optarg;
        return CLI_OK;
    case ':':
        return cli_fail(CLI_USAGE, "option '%s' wants a value; see --help", argv[optind - 1]);
    default:
        if (option < 0) {
            return tell_unknown(out->command, argv[optind - 1]);
        }
        return keep_value(out->command, (unsigned)option, out);
    }
}

int cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_args *out)
{
    struct tables tables;
    make_tables(command, &tables);
    memset(out, 0, sizeof *out);
    out->command = command;
    optind = 0; /* glibc: start afresh */
    for (;;) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread parses one command line */
        int code = getopt_long(argc, argv, tables.shorts, tables.longs, NULL);
        if (code < 0) {
            break;
        }
        int status = take(code, argv, out);
        if (status != CLI_OK || out->help) {
            return status;
        }
    }
    out->operand = argv + optind;
    out->operand_count = (unsigned)(argc - optind);
    if (out->operand_count < command->operand_min) {
        return cli_fail(CLI_USAGE, "something is missing: wanted %s; see --help",
                        command->operands);
    }
    if (out->operand_count > command->operand_max) {
        return cli_fail(CLI_USAGE, "'%s' is one too many; see --help",
                        out->operand[command->operand_max]);
    }
    return CLI_OK;
}

const char *cli_value(const struct cli_args *args, unsigned option)
{
    unsigned count = args->count[option];
    return count ? args->value[option][count - 1] : NULL;
}

int cli_given(const struct cli_args *args, unsigned option)
{
    return args->count[option] > 0;
}

int cli_number(const struct cli_args *args, unsigned option, unsigned long max, unsigned long *out)
{
    const char *text = cli_value(args, option);
    if (!text) {
        return CLI_OK;
    }
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 0);
    int is_number = *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
    if (!is_number || value > max) {
        return cli_fail(CLI_USAGE, "--%s wants a number from 0 to %lu, not '%s'",
                        args->command->options[option].name, max, text);
    }
    *out = value;
    return CLI_OK;
}

int cli_require(const struct cli_args *args, unsigned option)
{
    if (cli_given(args, option)) {
        return CLI_OK;
    }
    const struct cli_option *o = &args->command->options[option];
    return cli_fail(CLI_USAGE, "--%s %s is missing; see --help", o->name, o->value);
}
