/* The tables of all commands, and finding things in them. */

#include "cli/groups.h"

#include <string.h>

#include "cli/chips.h"

static const char files[] = "Keys, images and flash dumps on this machine";
static const char server[] = "The server, and who may use it";
static const char fleet[] = "Releases and devices";
static const char shell[] = "Your shell";

const struct cli_group cli_groups[] = {
    {"key", "make and show signing keys", cmd_key, files},
    {"image", "look at, check and make app images", cmd_image, files},
    {"flash", "look at flash dumps and say what would boot", cmd_flash, files},
    {"manifest", "sign, check and show manifests", cmd_manifest, files},
    {"trust", "say who may sign what: make, sign and check trust roots", cmd_trust, files},
    {"server", "look at surefootd; back up, check and restore its data", cmd_server, server},
    {"login", "say which server to talk to, and as whom", cmd_login, server},
    {"token", "make, list and revoke API tokens", cmd_token, server},
    {"product", "create products and set what their devices should run", cmd_product, fleet},
    {"release", "publish and list releases", cmd_release, fleet},
    {"device", "list, follow and steer devices", cmd_device, fleet},
    {"plain", "serve devices that have another updater", cmd_plain, fleet},
    {"freeze", "stop all offers everywhere at once", cmd_freeze, fleet},
    {"unfreeze", "let offers go on after a freeze", cmd_unfreeze, fleet},
    {"completion", "make Tab complete commands in bash, zsh and fish", cmd_completion, shell},
    {"man", "write the manual pages", cmd_man, shell},
    {NULL, NULL, NULL, NULL},
};

const char cli_exit_help[] = "  0  done\n"
                             "  1  refused, or a check failed\n"
                             "  2  wrong command line\n"
                             "  3  the server cannot be reached or is not trusted\n"
                             "  4  a local file cannot be read or written\n";

const struct cli_group *cli_group_find(const char *name)
{
    for (const struct cli_group *g = cli_groups; g->name; g++) {
        if (strcmp(g->name, name) == 0) {
            return g;
        }
    }
    return NULL;
}

const struct cli_command *cli_command_find(const struct cli_group *group, const char *name)
{
    for (const struct cli_command *c = group->commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

int cli_group_is_single(const struct cli_group *group)
{
    return group->commands[0].name[0] == '\0';
}

struct cli_choice cli_choice_of(const char *placeholder)
{
    static const struct {
        const char *placeholder;
        struct cli_choice choice;
    } known[] = {
        {"FILE", {CLI_CHOICE_FILE, NULL}},
        {"IMAGE", {CLI_CHOICE_FILE, NULL}},
        {"DUMP", {CLI_CHOICE_FILE, NULL}},
        {"ELF", {CLI_CHOICE_FILE, NULL}},
        {"AFTER", {CLI_CHOICE_FILE, NULL}},
        {"FILE|KID", {CLI_CHOICE_FILE, NULL}},
        {"FILE|HEX", {CLI_CHOICE_FILE, NULL}},
        {"yes|no", {CLI_CHOICE_WORDS, "yes no"}},
        {"DIR", {CLI_CHOICE_FOLDER, NULL}},
        {"DEST", {CLI_CHOICE_FOLDER, NULL}},
        {"BACKUP", {CLI_CHOICE_FOLDER, NULL}},
        {"MODE", {CLI_CHOICE_WORDS, "qio qout dio dout"}},
        {"KIND", {CLI_CHOICE_WORDS, "surefoot plain"}},
        {"STATE", {CLI_CHOICE_WORDS, "enrolled quarantined revoked"}},
        {"ROLE", {CLI_CHOICE_WORDS, "root release status delta"}},
        {"SCOPE", {CLI_CHOICE_WORDS, "viewer publisher operator approver admin"}},
        {"bash|zsh|fish", {CLI_CHOICE_WORDS, "bash zsh fish"}},
    };
    const char *text = placeholder ? placeholder : "";
    text += text[0] == '[';
    const size_t len = strcspn(text, " ].");
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].placeholder) == len && memcmp(known[i].placeholder, text, len) == 0) {
            return known[i].choice;
        }
    }
    if (strcmp(text, "CHIP") == 0) {
        return (struct cli_choice){CLI_CHOICE_WORDS, chip_names()};
    }
    return (struct cli_choice){CLI_CHOICE_NONE, NULL};
}
