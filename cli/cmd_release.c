/* surefoot release: publish and export (release_publish.c, release_export.c), list, show,
 * target. */

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/out.h"
#include "cli/release_export.h"
#include "cli/release_publish.h"

enum { LIST_MAX = 100000 };

/* ---- list, show ---- */

static int run_list(const struct cli_args *args)
{
    static const struct out_column columns[] = {
        {"VERSION", "version", OUT_PLAIN}, {"PUBLISHED", "created", OUT_AGE},
        {"BY", "created_by", OUT_PLAIN},   {"STATE", "state", OUT_PLAIN},
        {"NOTES", "notes", OUT_PLAIN},     {NULL, NULL, OUT_PLAIN},
    };
    json_t *answer = NULL;
    const struct client_path path = client_path("products", args->operand[0], "releases", NULL);
    int status = client_list_once(args, &path, LIST_MAX, &answer);
    if (status != CLI_OK) {
        return status;
    }
    if (args->json) {
        return out_json(answer);
    }
    out_table(stdout, json_object_get(answer, "items"), columns, out_now_s());
    json_decref(answer);
    return CLI_OK;
}

static int run_show(const struct cli_args *args)
{
    json_t *answer = NULL;
    const struct client_path path =
        client_path("products", args->operand[0], "releases", args->operand[1]);
    int status = client_once(args, "GET", &path, NULL, &answer);
    return status == CLI_OK ? release_tell(args, answer) : status;
}

/* The same as `product target`, where people look for it. */
static int run_target(const struct cli_args *args)
{
    const char *version = args->operand[1];
    json_t *answer = NULL;
    json_t *body = json_pack("{s:o}", "version",
                             strcmp(version, "none") == 0 ? json_null() : json_string(version));
    const struct client_path path = client_path("products", args->operand[0], "target", NULL);
    int status = client_once(args, "PUT", &path, body, &answer);
    json_decref(body);
    if (status != CLI_OK) {
        return status;
    }
    if (args->json) {
        return out_json(answer);
    }
    const char *target = json_string_value(json_object_get(answer, "target"));
    char clean[64];
    printf("%s: devices should run %s\n", args->operand[0],
           target ? out_clean(target, clean, sizeof clean) : "what they run now");
    json_decref(answer);
    return CLI_OK;
}

const struct cli_command cmd_release[] = {
    {.name = "publish",
     .operands = "IMAGE...",
     .summary = "sign and upload a release: one image for each hardware revision",
     .details = "The image is judged here first, for the same reasons as on the server. The\n"
                "manifest is signed here: the release key does not leave this machine. The same\n"
                "images under the same version again are fine and change nothing.\n",
     .examples = "  surefoot release publish build/lamp.bin --product lamp --key release.pem\n"
                 "  surefoot release publish a.bin b.bin -p lamp -k release.pem --target\n",
     .options = release_publish_options,
     .operand_min = 1,
     .operand_max = RELEASE_IMAGES_MAX,
     .place = CLI_ONLINE,
     .run = release_publish_run},
    {.name = "export",
     .operands = "DIR",
     .summary = "write a release into a folder that any web host can serve",
     .details =
         "Signed manifests and images for devices that update from a static tree, version.json\n"
         "and its kin for plain ones (docs/static.md). Everything is verified before it is\n"
         "written. The folder may be served meanwhile, and may hold other products; what is\n"
         "in it already is updated.\n",
     .examples = "  surefoot release export ./public --product lamp\n"
                 "  surefoot release export ./public -p lamp --version 1.1.0 --prune \\\n"
                 "      --base-url https://fw.example.com\n",
     .options = release_export_options,
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = release_export_run},
    {.name = "list",
     .operands = "PRODUCT",
     .summary = "list the releases of a product",
     .examples = "  surefoot release list lamp\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_list},
    {.name = "show",
     .operands = "PRODUCT VERSION",
     .summary = "show a release and its images",
     .examples = "  surefoot release show lamp 1.1.0\n",
     .operand_min = 2,
     .operand_max = 2,
     .place = CLI_ONLINE,
     .run = run_show},
    {.name = "target",
     .operands = "PRODUCT VERSION",
     .summary = "let the product's devices run a release; none = leave them alone",
     .examples = "  surefoot release target lamp 1.1.0\n",
     .operand_min = 2,
     .operand_max = 2,
     .place = CLI_ONLINE,
     .run = run_target},
    {.name = NULL},
};
