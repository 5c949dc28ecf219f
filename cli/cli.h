#ifndef CLI_CLI_H
#define CLI_CLI_H

/* What a command of `surefoot` is: a row of a table that its cmd_*.c exports. The help, the usage
 * line and the parsing of options all come from that row.
 *
 * 1. Data goes to stdout, everything else (errors, progress, notes) to stderr.
 * 2. With --json, stdout is one JSON value with stable keys, on one line.
 * 3. Secrets are read from files or stdin, never from arguments: `ps` shows those to everyone. */

/* Exit statuses, documented in every --help. */
enum cli_exit {
    CLI_OK = 0,
    CLI_REFUSED = 1,     /* a check failed, or the server refuses */
    CLI_USAGE = 2,       /* wrong command line */
    CLI_UNREACHABLE = 3, /* no connection to the server, or one that is not trusted */
    CLI_LOCAL = 4,       /* a local file could not be read or written */
};

enum {
    CLI_OPTION_MAX = 24, /* options of one command */
    CLI_REPEAT_MAX = 16, /* values of one repeated option */
};

struct cli_option {
    const char *name;  /* without its dashes; NULL ends the table */
    const char *value; /* what stands for the value in the help; NULL for a flag */
    const char *help;
    char letter; /* short form, or 0 */
    char repeat; /* 1: may be given up to CLI_REPEAT_MAX times */
};

/* Whether a command talks to the server: it then has --config too. */
enum cli_place { CLI_OFFLINE, CLI_ONLINE };

struct cli_args;

struct cli_command {
    const char *name;     /* "" for a group of one; NULL ends the table */
    const char *operands; /* for the usage line; "" for none */
    const char *summary;  /* one line, lower case, without a full stop */
    const char *details;  /* more lines for --help, or NULL */
    const char *examples; /* lines, each indented by two spaces */
    const struct cli_option *options;
    unsigned operand_min;
    unsigned operand_max;
    enum cli_place place;
    int (*run)(const struct cli_args *args); /* returns enum cli_exit */
};

struct cli_group {
    const char *name; /* NULL ends the table */
    const char *summary;
    const struct cli_command *commands;
    const char *section; /* its heading in `surefoot help`; neighbours share it */
};

/* A parsed command line; the strings are argv's. */
struct cli_args {
    const struct cli_command *command;
    const char *value[CLI_OPTION_MAX][CLI_REPEAT_MAX]; /* by the option's place in its table */
    unsigned count[CLI_OPTION_MAX];
    char **operand;
    unsigned operand_count;
    int json;
    int help;
    const char *config; /* --config, or NULL */
};

extern const struct cli_command cmd_key[];
extern const struct cli_command cmd_image[];
extern const struct cli_command cmd_flash[];
extern const struct cli_command cmd_manifest[];
extern const struct cli_command cmd_trust[];
extern const struct cli_command cmd_server[];
extern const struct cli_command cmd_login[];
extern const struct cli_command cmd_token[];
extern const struct cli_command cmd_product[];
extern const struct cli_command cmd_release[];
extern const struct cli_command cmd_device[];
extern const struct cli_command cmd_plain[];
extern const struct cli_command cmd_freeze[];
extern const struct cli_command cmd_unfreeze[];
extern const struct cli_command cmd_completion[];
extern const struct cli_command cmd_man[];

/* Parses what follows the command's name (argv[0] is that name). Returns CLI_OK or CLI_USAGE with a
 * sentence on stderr; with --help nothing else is checked. */
int cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_args *out)
    __attribute__((warn_unused_result));

/* The last value of option number `option`, or NULL if it was not given. */
const char *cli_value(const struct cli_args *args, unsigned option);
int cli_given(const struct cli_args *args, unsigned option);

/* A number, decimal or 0x..., of at most `max`, into *out, which keeps its value if the option was
 * not given. CLI_USAGE with a sentence if it is none. */
int cli_number(const struct cli_args *args, unsigned option, unsigned long max, unsigned long *out)
    __attribute__((warn_unused_result));

/* CLI_USAGE with a sentence that names the option if it was not given. */
int cli_require(const struct cli_args *args, unsigned option) __attribute__((warn_unused_result));

/* Option number `i` of a command, those that every command has behind its own; NULL: no more. */
const struct cli_option *cli_option_at(const struct cli_command *command, unsigned i);

/* Prints "surefoot: <sentence>" to stderr and returns `status`, for `return cli_fail(...)`. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a hint that is no failure. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
