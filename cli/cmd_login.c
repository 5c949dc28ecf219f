/* surefoot login. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/file.h"
#include "cli/out.h"
#include "cli/token_state.h"

enum { L_CA, L_TOKEN_FILE, L_NO_CHECK };

static const struct cli_option options[] = {
    {"ca", "FILE", "the CA that signs the server's certificate (PEM), if it is a private one", 0,
     0},
    {"token-file", "FILE", "the file with the API token (else it is asked for on stdin)", 0, 0},
    {"no-check", NULL, "store it without asking the server", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

static int keep_token(const char *text, size_t len, struct config *config)
{
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' ')) {
        len--;
    }
    if (len == 0 || len >= sizeof config->token) {
        return cli_fail(CLI_REFUSED, "that is no API token: it is %s", len ? "too long" : "empty");
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return cli_fail(CLI_REFUSED, "that is no API token: it has spaces or other characters "
                                         "than letters, digits and signs");
        }
    }
    memcpy(config->token, text, len);
    config->token[len] = '\0';
    return CLI_OK;
}

/* Reads one line without echo. */
static int ask_token(struct config *config)
{
    char line[CONFIG_TOKEN_MAX + 8];
    struct termios before;
    int is_terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (is_terminal) {
        struct termios silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        fputs("API token: ", stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    char *got = fgets(line, sizeof line, stdin);
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    int status =
        got ? keep_token(line, strlen(line), config) : cli_fail(CLI_LOCAL, "no API token on stdin");
    explicit_bzero(line, sizeof line);
    return status;
}

static int read_token(const struct cli_args *args, struct config *config)
{
    const char *path = cli_value(args, L_TOKEN_FILE);
    if (!path) {
        return ask_token(config);
    }
    struct file_bytes file;
    int status = file_read(path, FILE_TEXT_MAX, &file);
    if (status == CLI_OK) {
        status = keep_token((const char *)file.data, file.len, config);
    }
    file_release(&file);
    return status;
}

static int read_ca(const struct cli_args *args, struct config *config)
{
    const char *path = cli_value(args, L_CA);
    struct file_bytes file;
    if (!path) {
        return CLI_OK;
    }
    int status = file_read(path, FILE_TEXT_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    if (!strstr((const char *)file.data, "-----BEGIN CERTIFICATE-----")) {
        status = cli_fail(CLI_REFUSED, "'%s' holds no certificate in PEM", path);
    } else {
        config->ca_pem = strdup((const char *)file.data);
        status = config->ca_pem ? CLI_OK : cli_fail(CLI_LOCAL, "out of memory");
    }
    file_release(&file);
    return status;
}

static int ask_server(const struct config *config, json_t **answer)
{
    struct client client = {0};
    const struct client_path path = client_path("whoami", NULL, NULL, NULL);
    int status = client_open_with(&client, config);
    status = status == CLI_OK ? client_call(&client, "GET", &path, NULL, answer) : status;
    client_close(&client);
    return status;
}

static int tell(const struct cli_args *args, const struct config *config, json_t *who)
{
    const struct token_state state = token_state(who, out_now_s());
    if (state.ends_soon) {
        cli_note("surefoot: note: this token %s; make another with `surefoot token new`",
                 state.text);
    }
    if (args->json) {
        return out_json(json_pack("{s:s, s:O?}", "server", config->server, "whoami", who));
    }
    if (!who) {
        printf("stored; %s was not asked\n", config->server);
        return CLI_OK;
    }
    char name[64];
    char scope[64];
    const char *n = json_string_value(json_object_get(who, "name"));
    const char *s = json_string_value(json_object_get(who, "scope"));
    printf("logged in to %s as %s (%s)\n", config->server,
           out_clean(n ? n : "?", name, sizeof name), out_clean(s ? s : "?", scope, sizeof scope));
    return CLI_OK;
}

static int run_login(const struct cli_args *args)
{
    struct config config = {0};
    json_t *who = NULL;
    int status = config_set_server(&config, args->operand[0]);
    status = status == CLI_OK ? read_ca(args, &config) : status;
    status = status == CLI_OK ? read_token(args, &config) : status;
    if (status == CLI_OK && !cli_given(args, L_NO_CHECK)) {
        status = ask_server(&config, &who);
    }
    status = status == CLI_OK ? config_save(&config, args->config) : status;
    status = status == CLI_OK ? tell(args, &config, who) : status;
    json_decref(who);
    config_release(&config);
    return status;
}

const struct cli_command cmd_login[] = {
    {.name = "",
     .operands = "URL",
     .summary = "remember a server, its CA and an API token",
     .details = "Asks the server who the token belongs to, then stores all three, mode 0600, in\n"
                "$XDG_CONFIG_HOME/surefoot/config.json or the file of --config. The token is read\n"
                "from a file or from stdin, never from the command line, which others can see.\n",
     .examples = "  surefoot login https://ota.example.com:8443 --ca ca.pem --token-file token\n"
                 "  surefoot login https://ota.example.com --config ci.json < token\n",
     .options = options,
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_login},
    {.name = NULL},
};
