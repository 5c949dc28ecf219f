/* surefoot freeze and unfreeze: stop all offers everywhere, and go on. */

#include <stdio.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/out.h"

enum { F_REASON, F_SHOW };

static const struct cli_option freeze_options[] = {
    {"reason", "TEXT", "why, for those who look at it later", 0, 0},
    {"show", NULL, "say whether the fleet is frozen, and change nothing", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

static const struct out_column columns[] = {
    {"Frozen", "frozen", OUT_PLAIN}, {"Since", "since", OUT_TIME}, {"By", "who", OUT_PLAIN},
    {"Reason", "reason", OUT_PLAIN}, {NULL, NULL, OUT_PLAIN},
};

/* `body` NULL asks only; the reference is taken over. */
static int call_freeze(const struct cli_args *args, json_t *body)
{
    json_t *answer = NULL;
    const struct client_path path = client_path("freeze", NULL, NULL, NULL);
    int status = client_once(args, body != NULL ? "PUT" : "GET", &path, body, &answer);
    json_decref(body);
    if (status == CLI_OK && args->json) {
        return out_json(answer);
    }
    if (status == CLI_OK) {
        out_record(stdout, answer, columns, out_now_s());
    }
    json_decref(answer);
    return status;
}

static int run_freeze(const struct cli_args *args)
{
    if (cli_given(args, F_SHOW)) {
        return call_freeze(args, NULL);
    }
    return call_freeze(args,
                       json_pack("{s:b, s:s*}", "frozen", 1, "reason", cli_value(args, F_REASON)));
}

static int run_unfreeze(const struct cli_args *args)
{
    return call_freeze(args, json_pack("{s:b}", "frozen", 0));
}

const struct cli_command cmd_freeze[] = {
    {.name = "",
     .operands = "",
     .summary = "stop all offers everywhere at once",
     .details =
         "From the next check-in on no device is offered anything, and one that has not switched\n"
         "yet stops where it is; what is on trial finishes. Rollbacks of devices and reports go "
         "on.\n"
         "Holds over restarts until `surefoot unfreeze`; targets may be changed meanwhile, so that "
         "a\n"
         "bad release is gone when the fleet goes on.\n",
     .examples = "  surefoot freeze --reason \"1.2.0 drains batteries\"\n"
                 "  surefoot freeze --show\n",
     .options = freeze_options,
     .place = CLI_ONLINE,
     .run = run_freeze},
    {.name = NULL},
};

const struct cli_command cmd_unfreeze[] = {
    {.name = "",
     .operands = "",
     .summary = "let offers go on after a freeze",
     .details = "Devices that the freeze stopped are offered their target again; it cost them no "
                "attempt.\n",
     .examples = "  surefoot unfreeze\n",
     .place = CLI_ONLINE,
     .run = run_unfreeze},
    {.name = NULL},
};
