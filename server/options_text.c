/* The settings as people read them, all from the table of options.c. */
#include <ctype.h>
#include <string.h>

#include "server/options.h"

enum { HELP_COLUMN = 26 };

static const char head[] =
    "surefootd: the update server for ESP32 fleets\n"
    "\n"
    "usage: surefootd [--config FILE] [--SETTING VALUE]...\n"
    "       surefootd --check-config | --print-config | --version | --help\n"
    "\n"
    "options:\n"
    "  --config FILE           settings as 'key = value' lines (default surefootd.conf in the\n"
    "                          data folder, if it is there)\n"
    "  --check-config          check all settings and what they name, and exit\n"
    "  --print-config          print all settings and where each comes from, and exit\n"
    "  --print-settings        print the settings as Markdown (docs/settings.md) and exit\n"
    "  --print-routes          print the HTTP routes as Markdown (docs/api.md) and exit\n"
    "  --version               print the version and exit\n"
    "  --help                  print this and exit\n"
    "\n"
    "settings:\n";

static const char tail[] =
    "\n"
    "Each setting may also stand in the file (listen = 0.0.0.0:8443) and in the environment\n"
    "(SUREFOOTD_LISTEN=0.0.0.0:8443). A flag counts before the environment, that before the\n"
    "file, that before the default.\n"
    "\n"
    "examples:\n"
    "  surefootd\n"
    "  surefootd --data /var/lib/surefoot --listen 0.0.0.0:8443 --host updates.example.com\n"
    "  surefootd --config /etc/surefoot/surefootd.conf --check-config\n"
    "\n"
    "The first start makes a private CA (DIR/ca.pem, for devices and curl), a server certificate,\n"
    "the status key (DIR/status-key.pub.pem, for firmware) and an admin token\n"
    "(DIR/admin-token, readable by its owner only). SIGTERM and SIGINT finish what is in flight\n"
    "and stop; SIGHUP reads settings and certificate again; kill -9 loses nothing that was\n"
    "acknowledged.\n"
    "\n"
    "exit status: 0 stopped, 1 other failure, 2 usage, 3 data folder, 4 database, 5 address\n";

/* The help text, its lines after the first indented to the column. */
static void put_lines(FILE *to, const char *text)
{
    for (;;) {
        const size_t len = strcspn(text, "\n");
        (void)fprintf(to, "%.*s", (int)len, text);
        if (text[len] == '\0') {
            return;
        }
        (void)fprintf(to, "\n%*s", HELP_COLUMN, "");
        text += len + 1;
    }
}

static void put_help(FILE *to, const struct setting *s)
{
    const int used = fprintf(to, "  --%s %s", s->name, s->value);
    if (used + 2 > HELP_COLUMN) {
        (void)fprintf(to, "  ");
    } else {
        (void)fprintf(to, "%*s", HELP_COLUMN - used, "");
    }
    put_lines(to, s->help);
    (void)fprintf(to, "\n%*s(default: %s)\n", HELP_COLUMN, "",
                  s->fallback != NULL ? s->fallback : s->absent);
}

void options_print_help(FILE *to)
{
    (void)fputs(head, to);
    for (unsigned i = 0; options_setting(i) != NULL; i++) {
        put_help(to, options_setting(i));
    }
    (void)fputs(tail, to);
}

static void put_value(const struct options *o, unsigned index, FILE *to)
{
    const struct setting *s = options_setting(index);
    if (!s->many) {
        (void)fputs(o->origin[index].text, to);
        return;
    }
    for (unsigned i = 0; i < o->host_count; i++) {
        (void)fprintf(to, "%s%s", i > 0 ? ", " : "", o->host[i]);
    }
}

static void put_variable(const char *name, FILE *to)
{
    (void)fputs("SUREFOOTD_", to);
    for (; *name != '\0'; name++) {
        (void)fputc(*name == '-' ? '_' : toupper((unsigned char)*name), to);
    }
}

static void put_origin(const struct options *o, unsigned index, FILE *to)
{
    const struct option_origin *origin = &o->origin[index];
    switch (origin->source) {
    case FROM_DEFAULT:
        (void)fputs("default", to);
        break;
    case FROM_FILE:
        (void)fprintf(to, "%s:%u", o->config, origin->line);
        break;
    case FROM_ENVIRONMENT:
        put_variable(options_setting(index)->name, to);
        break;
    case FROM_FLAG:
        (void)fprintf(to, "--%s", options_setting(index)->name);
        break;
    }
}

void options_print_config(const struct options *o, FILE *to)
{
    for (unsigned i = 0; options_setting(i) != NULL; i++) {
        const struct setting *s = options_setting(i);
        if (o->origin[i].text == NULL) {
            (void)fprintf(to, "# %s: not set (%s)\n", s->name, s->absent);
            continue;
        }
        (void)fprintf(to, "%s = ", s->name);
        put_value(o, i, to);
        (void)fputs("  # ", to);
        put_origin(o, i, to);
        (void)fputc('\n', to);
    }
}

/* A newline would end the table's row. */
static void put_cell(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        (void)fputc(*text == '\n' ? ' ' : *text, to);
    }
}

void options_print_settings(FILE *to)
{
    (void)fputs(
        "# Settings of surefootd\n"
        "\n"
        "Generated by `surefootd --print-settings`; a test compares. Each may be given as a flag\n"
        "(`--tls-cert FILE`), in the environment (`SUREFOOTD_TLS_CERT=FILE`) and in the\n"
        "configuration file (`tls-cert = FILE`); the first of these counts. The file is that of\n"
        "`--config`, or `surefootd.conf` in the data folder; at most 64 KiB of `key = value` "
        "lines,\n"
        "`#` begins a comment, values stand without quotes. What is unknown or wrong is refused "
        "with\n"
        "its place. `surefootd --check-config` checks without starting, `--print-config` shows "
        "what\n"
        "counts and where it comes from. SIGHUP (`systemctl reload surefootd`) takes new values "
        "of\n"
        "those marked so; for the others it says which need a restart.\n"
        "\n"
        "| setting | value | default | SIGHUP | |\n"
        "|---|---|---|---|---|\n",
        to);
    for (unsigned i = 0; options_setting(i) != NULL; i++) {
        const struct setting *s = options_setting(i);
        if (s->fallback != NULL) {
            (void)fprintf(to, "| `%s` | %s | `%s` | ", s->name, s->value, s->fallback);
        } else {
            (void)fprintf(to, "| `%s` | %s | %s | ", s->name, s->value, s->absent);
        }
        (void)fputs(s->reloads ? "yes | " : "restart | ", to);
        put_cell(to, s->help);
        (void)fputs(" |\n", to);
    }
}
