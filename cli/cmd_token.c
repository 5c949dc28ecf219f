/* surefoot token: new, list, revoke. */

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/out.h"
#include "cli/secret_file.h"
#include "cli/token_state.h"

enum { N_SCOPE, N_DAYS, N_OUT };

enum { LIST_MAX = 10000, DAYS_MAX = 3650 };

static const struct cli_option new_options[] = {
    {"scope", "SCOPE", "viewer, publisher, operator, approver or admin (required)", 's', 0},
    {"days", "N", "how long it is valid (90)", 0, 0},
    {"output", "FILE", "where the token goes, mode 0600 (NAME.token); - is stdout", 'o', 0},
    {NULL, NULL, NULL, 0, 0},
};

static int make_body(const struct cli_args *args, json_t **body)
{
    unsigned long days = 0;
    int status = cli_require(args, N_SCOPE);
    status = status == CLI_OK ? cli_number(args, N_DAYS, DAYS_MAX, &days) : status;
    if (status != CLI_OK) {
        return status;
    }
    *body = json_pack("{s:s, s:s}", "name", args->operand[0], "scope", cli_value(args, N_SCOPE));
    if (*body && cli_given(args, N_DAYS)) {
        json_object_set_new(*body, "days", json_integer((json_int_t)days));
    }
    return *body ? CLI_OK : cli_fail(CLI_USAGE, "the name or the scope is not UTF-8");
}

static void print_token(const json_t *token)
{
    static const struct out_column columns[] = {
        {"token", "name", OUT_PLAIN},
        {"scope", "scope", OUT_PLAIN},
        {"expires", "expires", OUT_TIME},
        {NULL, NULL, OUT_PLAIN},
    };
    out_record(stdout, token, columns, 0);
}

static int run_new(const struct cli_args *args)
{
    static const struct secret secret = {
        "token",
        "token_file",
        "API token",
        "whoever has it can act with it: `surefoot login URL --token-file FILE`, or CI's secrets",
        "surefoot token new ANOTHER-NAME",
        ".token"};
    const char *file = cli_value(args, N_OUT);
    struct secret_request request = {.file = file, .path = client_path("tokens", NULL, NULL, NULL)};
    json_t *answer = NULL;
    int status = make_body(args, &request.body);
    status = status == CLI_OK ? secret_file_make(args, &secret, &request, &answer) : status;
    json_decref(request.body);
    if (status == CLI_OK && args->json) {
        return out_json(answer);
    }
    if (status == CLI_OK && !(file && strcmp(file, "-") == 0)) {
        print_token(answer);
    }
    json_decref(answer);
    return status;
}

/* Adds each token's state to it, and says which of them end soon. */
static void judge(json_t *tokens, int64_t now_s)
{
    for (size_t i = 0; i < json_array_size(tokens); i++) {
        json_t *token = json_array_get(tokens, i);
        const struct token_state state = token_state(token, now_s);
        json_object_set_new(token, "state", json_string(state.text));
        const char *name = json_string_value(json_object_get(token, "name"));
        char clean[80];
        if (state.ends_soon && name) {
            cli_note("surefoot: note: token '%s' %s; make another with `surefoot token new`",
                     out_clean(name, clean, sizeof clean), state.text);
        }
    }
}

static int run_list(const struct cli_args *args)
{
    static const struct out_column columns[] = {
        {"TOKEN", "name", OUT_PLAIN},     {"SCOPE", "scope", OUT_PLAIN},
        {"STATE", "state", OUT_PLAIN},    {"EXPIRES", "expires", OUT_TIME},
        {"CREATED", "created", OUT_TIME}, {NULL, NULL, OUT_PLAIN},
    };
    json_t *answer = NULL;
    const struct client_path path = client_path("tokens", NULL, NULL, NULL);
    int status = client_list_once(args, &path, LIST_MAX, &answer);
    if (status != CLI_OK) {
        return status;
    }
    json_t *items = json_object_get(answer, "items");
    judge(items, out_now_s());
    if (args->json) {
        return out_json(answer);
    }
    out_table(stdout, items, columns, 0);
    json_decref(answer);
    return CLI_OK;
}

static int run_revoke(const struct cli_args *args)
{
    const char *name = args->operand[0];
    const struct client_path path = client_path("tokens", name, NULL, NULL);
    int status = client_once(args, "DELETE", &path, NULL, NULL);
    if (status != CLI_OK) {
        return status;
    }
    if (args->json) {
        return out_json(json_pack("{s:o, s:b}", "name", out_json_text(name), "revoked", 1));
    }
    printf("%s: revoked, at once and for good\n", name);
    return CLI_OK;
}

const struct cli_command cmd_token[] = {
    {.name = "new",
     .operands = "NAME",
     .summary = "make an API token for a person or a machine",
     .details = "What each scope may do:\n"
                "  viewer     look at everything but tokens and the audit log\n"
                "  publisher  the same, and publish releases (for CI)\n"
                "  operator   the same as viewer, and set targets, steer devices, freeze\n"
                "  approver   the same as viewer, and approve\n"
                "  admin      everything, products and tokens too\n"
                "The server shows a token once and keeps only its SHA-256. A name is used once.\n",
     .examples = "  surefoot token new ci --scope publisher --days 180\n"
                 "  surefoot token new ana --scope operator -o - | ssh ana@example.com 'cat >t'\n",
     .options = new_options,
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_new},
    {.name = "list",
     .operands = "",
     .summary = "list the API tokens, and which of them end soon",
     .examples = "  surefoot token list\n",
     .place = CLI_ONLINE,
     .run = run_list},
    {.name = "revoke",
     .operands = "NAME",
     .summary = "refuse an API token from now on",
     .examples = "  surefoot token revoke ci\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_revoke},
    {.name = NULL},
};
