/* surefoot plain: stable, token, tokens, revoke: the endpoint of devices with another updater. */

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/out.h"
#include "cli/secret_file.h"

enum { T_OUT, T_DAYS, T_DEVICE, TOKENS_MAX = 10000 };

static const struct cli_option token_options[] = {
    {"output", "FILE", "where the token goes, mode 0600 (PRODUCT.plain-token)", 'o', 0},
    {"days", "N", "how long it is good (3650)", 0, 0},
    {"device", "ID", "for this device only; its id stands in the inventory", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

static int run_stable(const struct cli_args *args)
{
    const char *version = args->operand[1];
    json_t *answer = NULL;
    json_t *body = json_pack("{s:o}", "version",
                             strcmp(version, "none") == 0 ? json_null() : json_string(version));
    const struct client_path path = client_path("products", args->operand[0], "stable", NULL);
    int status = client_once(args, "PUT", &path, body, &answer);
    json_decref(body);
    if (status == CLI_OK && args->json) {
        return out_json(answer);
    }
    json_decref(answer);
    if (status == CLI_OK) {
        printf("stable of %s: %s\n", args->operand[0], version);
    }
    return status;
}

static int run_token(const struct cli_args *args)
{
    static const struct secret secret = {
        "token",
        "plain_token_file",
        "plain token",
        "devices show it in the path or as the password of basic authentication",
        "surefoot plain token",
        ".plain-token"};
    const struct secret_request request = {
        .file = cli_value(args, T_OUT),
        .path = client_path("products", args->operand[0], "plain-tokens", NULL),
        .body = json_pack("{s:s*}", "device", cli_value(args, T_DEVICE))};
    unsigned long days = 0;
    json_t *answer = NULL;
    int status = cli_number(args, T_DAYS, 36500, &days);
    if (status == CLI_OK && cli_given(args, T_DAYS)) {
        json_object_set_new(request.body, "days", json_integer((json_int_t)days));
    }
    status = status == CLI_OK ? secret_file_make(args, &secret, &request, &answer) : status;
    json_decref(request.body);
    if (status == CLI_OK && args->json) {
        return out_json(answer);
    }
    json_decref(answer);
    return status;
}

static int run_tokens(const struct cli_args *args)
{
    static const struct out_column columns[] = {
        {"ID", "id", OUT_PLAIN},          {"DEVICE", "device", OUT_PLAIN},
        {"CREATED", "created", OUT_TIME}, {"EXPIRES", "expires", OUT_TIME},
        {NULL, NULL, OUT_PLAIN},
    };
    json_t *answer = NULL;
    const struct client_path path = client_path("products", args->operand[0], "plain-tokens", NULL);
    int status = client_list_once(args, &path, TOKENS_MAX, &answer);
    if (status == CLI_OK && args->json) {
        return out_json(answer);
    }
    if (status == CLI_OK) {
        out_table(stdout, json_object_get(answer, "items"), columns, out_now_s());
    }
    json_decref(answer);
    return status;
}

static int run_revoke(const struct cli_args *args)
{
    const struct client_path path =
        client_path("products", args->operand[0], "plain-tokens", args->operand[1]);
    int status = client_once(args, "DELETE", &path, NULL, NULL);
    if (status == CLI_OK && args->json) {
        return out_json(
            json_pack("{s:s, s:s}", "product", args->operand[0], "revoked", args->operand[1]));
    }
    if (status == CLI_OK) {
        printf("plain token %s of %s is over\n", args->operand[1], args->operand[0]);
    }
    return status;
}

const struct cli_command cmd_plain[] = {
    {.name = "stable",
     .operands = "PRODUCT VERSION",
     .summary = "say which release /ota/PRODUCT/ serves; none = nothing",
     .details =
         "For devices with esp_https_ota, Arduino's HTTPUpdate, ESPHome and the like. Who may ask "
         "is\n"
         "the product's plain access: surefoot product set PRODUCT --plain-access token|open.\n",
     .examples = "  surefoot plain stable fan 1.1.0\n",
     .operand_min = 2,
     .operand_max = 2,
     .place = CLI_ONLINE,
     .run = run_stable},
    {.name = "token",
     .operands = "PRODUCT",
     .summary = "make a token for the plain endpoint",
     .examples = "  surefoot plain token fan -o fan.plain-token\n"
                 "  surefoot plain token fan --device 24dcc3000001 -o one.plain-token\n",
     .options = token_options,
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_token},
    {.name = "tokens",
     .operands = "PRODUCT",
     .summary = "list the tokens of a product's plain endpoint",
     .examples = "  surefoot plain tokens fan\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_tokens},
    {.name = "revoke",
     .operands = "PRODUCT ID",
     .summary = "end a token of the plain endpoint, by its number",
     .examples = "  surefoot plain revoke fan 3\n",
     .operand_min = 2,
     .operand_max = 2,
     .place = CLI_ONLINE,
     .run = run_revoke},
    {.name = NULL},
};
