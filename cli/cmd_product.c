/* surefoot product: create, list, show, set, enrol-token, target. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/esp8266.h"
#include "cli/chips.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/file.h"
#include "cli/keys.h"
#include "cli/out.h"
#include "cli/secret_file.h"
#include "formats/image.h"
#include "formats/partition.h"

enum { LIST_MAX = 10000 };

/* What `create` and `set` share comes first in both tables. */
enum {
    P_HW,
    P_SLOT_SIZE,
    P_TABLE,
    P_KEY,
    P_INTERVAL,
    P_ACCESS,
    P_TEMPLATE,
    P_COMMON,
    C_CHIP = P_COMMON,
    C_VENDOR,
    C_KIND,
    C_TOKEN,
};

/* clang-format off */
#define COMMON_ROWS                                                                                \
    {"hw-revision", "NAME", "a hardware revision; may be repeated (1)", 0, 1},                     \
    {"slot-size", "BYTES", "the smallest app slot, e.g. 0x180000", 0, 0},                          \
    {"partition-table", "FILE", "take it from a partition table (partition-table.bin)", 0, 0},     \
    {"release-key", "FILE", "the key that signs releases, public or private (PEM)", 0, 0},         \
    {"interval", "SECONDS", "how often devices check in (3600)", 0, 0},                            \
    {"plain-access", "WHO", "who may use /ota/NAME/: none, token or open", 0, 0},                  \
    {"version-template", "FILE", "JSON for version.json; none = ours", 0, 0}
/* clang-format on */

static const struct cli_option create_options[] = {
    COMMON_ROWS,
    {"chip", "CHIP", "the chip, e.g. esp32c3 (required)", 0, 0},
    {"vendor", "DOMAIN", "your domain, e.g. example.com (required)", 0, 0},
    {"kind", "KIND", "surefoot, or plain: devices with another updater (surefoot)", 0, 0},
    {"enrol-token", "FILE", "where the enrolment token goes, mode 0600 (NAME.enrol-token)", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

static const struct cli_option set_options[] = {
    COMMON_ROWS,
    {NULL, NULL, NULL, 0, 0},
};

/* The size of the smallest ota slot of a table in the form that is flashed. */
static int slot_size_of_table(const char *path, unsigned long *size)
{
    struct file_bytes file;
    struct sf_partition_table table;
    struct sf_diag diag = {0};
    int status = file_read(path, FILE_TEXT_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    int err = sf_partition_table_decode(file.data, file.len, FILE_FLASH_MAX, &table, &diag);
    file_release(&file);
    err = err == SF_OK ? sf_partition_table_check(&table, &diag) : err;
    if (err != SF_OK) {
        return cli_fail(CLI_REFUSED, "'%s' is no sound partition table: %s", path,
                        out_reason(err, &diag).text);
    }
    unsigned count = sf_partition_ota_count(&table);
    if (count < 2) {
        return cli_fail(CLI_REFUSED,
                        "'%s' has %u ota slots: an update over the air needs two, ota_0 and ota_1",
                        path, count);
    }
    *size = FILE_FLASH_MAX;
    for (unsigned i = 0; i < count; i++) {
        const struct sf_partition *p =
            sf_partition_find(&table, SF_PARTITION_APP, (uint8_t)(SF_PARTITION_APP_OTA_0 + i));
        if (p && p->size < *size) {
            *size = p->size;
        }
    }
    return CLI_OK;
}

static int add_slot_size(const struct cli_args *args, json_t *body)
{
    unsigned long size = 0;
    if (cli_given(args, P_SLOT_SIZE) && cli_given(args, P_TABLE)) {
        return cli_fail(CLI_USAGE, "give one of --slot-size and --partition-table");
    }
    int status = cli_given(args, P_TABLE) ? slot_size_of_table(cli_value(args, P_TABLE), &size)
                                          : cli_number(args, P_SLOT_SIZE, FILE_FLASH_MAX, &size);
    if (status == CLI_OK && size > 0) {
        json_object_set_new(body, "slot_size", json_integer((json_int_t)size));
    }
    return status;
}

static int add_key(const struct cli_args *args, json_t *body)
{
    const char *path = cli_value(args, P_KEY);
    struct p256_key key;
    if (!path) {
        return CLI_OK;
    }
    int status = keys_load_public(&key, path, KEY_ROLE_RELEASE, NULL);
    if (status == CLI_OK) {
        json_object_set_new(body, "release_key", out_json_hex(key.public_key.xy, SF_P256_KEY_SIZE));
    }
    p256_key_release(&key);
    return status;
}

/* The template goes as it is: the server says what is wrong with it. */
static int add_plain(const struct cli_args *args, json_t *body)
{
    const char *access = cli_value(args, P_ACCESS);
    const char *path = cli_value(args, P_TEMPLATE);
    struct file_bytes file;
    if (access) {
        json_object_set_new(body, "plain_access", json_string(access));
    }
    if (!path) {
        return CLI_OK;
    }
    if (strcmp(path, "none") == 0) {
        json_object_set_new(body, "version_template", json_null());
        return CLI_OK;
    }
    int status = file_read(path, FILE_TEXT_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    json_error_t error;
    json_t *parsed = json_loadb((const char *)file.data, file.len, JSON_REJECT_DUPLICATES, &error);
    file_release(&file);
    if (!parsed) {
        return cli_fail(CLI_REFUSED, "'%s' is no JSON: %s (line %d)", path, error.text, error.line);
    }
    char *compact = json_dumps(parsed, JSON_COMPACT);
    json_decref(parsed);
    json_object_set_new(body, "version_template", json_string(compact ? compact : ""));
    free(compact);
    return CLI_OK;
}

/* The fields of the common options. */
static int add_common(const struct cli_args *args, json_t *body)
{
    unsigned long interval = 0;
    int status = add_slot_size(args, body);
    status = status == CLI_OK ? add_key(args, body) : status;
    status = status == CLI_OK ? add_plain(args, body) : status;
    status = status == CLI_OK ? cli_number(args, P_INTERVAL, UINT32_MAX, &interval) : status;
    if (status != CLI_OK) {
        return status;
    }
    if (cli_given(args, P_INTERVAL)) {
        json_object_set_new(body, "checkin_interval_s", json_integer((json_int_t)interval));
    }
    if (cli_given(args, P_HW)) {
        json_t *list = json_array();
        for (unsigned i = 0; i < args->count[P_HW]; i++) {
            json_array_append_new(list, json_string(args->value[P_HW][i]));
        }
        json_object_set_new(body, "hw_revisions", list);
    }
    return CLI_OK;
}

static void print_product(const json_t *p)
{
    static const struct out_column columns[] = {
        {"product", "name", OUT_PLAIN},
        {"kind", "kind", OUT_PLAIN},
        {"chip", "chip", OUT_PLAIN},
        {"slot size", "slot_size", OUT_PLAIN},
        {"target", "target", OUT_PLAIN},
        {"vendor", "vendor_uuid", OUT_PLAIN},
        {"plain access", "plain_access", OUT_PLAIN},
        {"stable", "stable", OUT_PLAIN},
        {NULL, NULL, OUT_PLAIN},
    };
    static const struct out_column class_columns[] = {
        {"HARDWARE REVISION", "name", OUT_PLAIN},
        {"CLASS", "class_uuid", OUT_PLAIN},
        {NULL, NULL, OUT_PLAIN},
    };
    out_record(stdout, p, columns, 0);
    const json_int_t interval_s = json_integer_value(json_object_get(p, "checkin_interval_s"));
    if (interval_s > 0) {
        printf("%-18s %" JSON_INTEGER_FORMAT " s\n", "check-in every", interval_s);
    } else {
        printf("%-18s %s\n", "check-in every", "3600 s (default)");
    }
    const char *key = json_string_value(json_object_get(p, "release_key"));
    const char *kind = json_string_value(json_object_get(p, "kind"));
    const int is_plain = kind && strcmp(kind, "plain") == 0;
    printf("%-18s %s\n", "release key",
           key        ? key
           : is_plain ? "none: a plain product's images are not signed by us"
                      : "none: nothing can be published yet");
    out_table(stdout, json_object_get(p, "hw_revisions"), class_columns, 0);
}

/* Prints the product of an answer and drops it. */
static int tell_product(const struct cli_args *args, json_t *product)
{
    if (args->json) {
        return out_json(product);
    }
    print_product(product);
    json_decref(product);
    return CLI_OK;
}

/* What an enrolment token is, for the file that it goes to. */
static struct secret enrol_secret(const char *field)
{
    return (struct secret){field,
                           "enrol_token_file",
                           "enrolment token",
                           "it goes into the product's firmware or its provisioning",
                           "surefoot product enrol-token",
                           ".enrol-token"};
}

/* ---- commands ---- */

static int make_create_body(const struct cli_args *args, json_t *body)
{
    const char *chip = cli_value(args, C_CHIP);
    int status = cli_require(args, C_CHIP);
    status = status == CLI_OK ? cli_require(args, C_VENDOR) : status;
    if (status == CLI_OK && chip_any_from_name(chip) < 0) {
        status =
            cli_fail(CLI_USAGE, "unknown chip '%s'; there are %s, and esp8266 for plain products",
                     chip, chip_names());
    }
    if (status == CLI_OK && !cli_given(args, P_SLOT_SIZE) && !cli_given(args, P_TABLE)) {
        status = cli_fail(CLI_USAGE, "--slot-size or --partition-table is missing: an image that "
                                     "does not fit must be refused before it is sent out");
    }
    if (status != CLI_OK) {
        return status;
    }
    const char *kind = cli_value(args, C_KIND);
    json_object_set_new(body, "name", json_string(args->operand[0]));
    json_object_set_new(body, "kind", json_string(kind ? kind : "surefoot"));
    json_object_set_new(body, "chip", json_string(chip));
    json_object_set_new(body, "vendor_domain", json_string(cli_value(args, C_VENDOR)));
    return add_common(args, body);
}

static int run_create(const struct cli_args *args)
{
    const struct secret secret = enrol_secret("enrol_token");
    const struct secret_request request = {.file = cli_value(args, C_TOKEN),
                                           .path = client_path("products", NULL, NULL, NULL),
                                           .body = json_object()};
    json_t *answer = NULL;
    int status = make_create_body(args, request.body);
    status = status == CLI_OK ? secret_file_make(args, &secret, &request, &answer) : status;
    json_decref(request.body);
    return status == CLI_OK ? tell_product(args, answer) : status;
}

static int run_list(const struct cli_args *args)
{
    static const struct out_column columns[] = {
        {"PRODUCT", "name", OUT_PLAIN},
        {"KIND", "kind", OUT_PLAIN},
        {"CHIP", "chip", OUT_PLAIN},
        {"TARGET", "target", OUT_PLAIN},
        {"SLOT SIZE", "slot_size", OUT_PLAIN},
        {"CREATED", "created", OUT_AGE},
        {NULL, NULL, OUT_PLAIN},
    };
    json_t *answer = NULL;
    const struct client_path path = client_path("products", NULL, NULL, NULL);
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
    const struct client_path path = client_path("products", args->operand[0], NULL, NULL);
    int status = client_once(args, "GET", &path, NULL, &answer);
    return status == CLI_OK ? tell_product(args, answer) : status;
}

static int run_set(const struct cli_args *args)
{
    json_t *body = json_object();
    json_t *answer = NULL;
    int status = add_common(args, body);
    if (status == CLI_OK && json_object_size(body) == 0) {
        status = cli_fail(CLI_USAGE, "nothing to set: name at least one option; see --help");
    }
    if (status == CLI_OK) {
        const struct client_path path = client_path("products", args->operand[0], NULL, NULL);
        status = client_once(args, "PATCH", &path, body, &answer);
    }
    json_decref(body);
    return status == CLI_OK ? tell_product(args, answer) : status;
}

enum { T_OUT, T_DAYS, T_REPLACE };

static const struct cli_option token_options[] = {
    {"output", "FILE", "where the token goes, mode 0600 (NAME.enrol-token)", 'o', 0},
    {"days", "N", "how long it can enrol devices", 0, 0},
    {"replace", NULL, "the older ones end now", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

static int run_enrol_token(const struct cli_args *args)
{
    unsigned long days = 0;
    const struct secret secret = enrol_secret("token");
    const struct secret_request request = {
        .file = cli_value(args, T_OUT),
        .path = client_path("products", args->operand[0], "enrol-tokens", NULL),
        .body = json_pack("{s:b}", "replace", cli_given(args, T_REPLACE))};
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

static int run_target(const struct cli_args *args)
{
    const char *version = args->operand[1];
    json_t *answer = NULL;
    json_t *body = json_pack("{s:o}", "version",
                             strcmp(version, "none") == 0 ? json_null() : json_string(version));
    const struct client_path path = client_path("products", args->operand[0], "target", NULL);
    int status = client_once(args, "PUT", &path, body, &answer);
    json_decref(body);
    return status == CLI_OK ? tell_product(args, answer) : status;
}

const struct cli_command cmd_product[] = {
    {.name = "create",
     .operands = "NAME",
     .summary = "create a product and its first enrolment token",
     .examples = "  surefoot product create lamp --chip esp32c3 --vendor example.com \\\n"
                 "      --partition-table build/partition_table/partition-table.bin \\\n"
                 "      --hw-revision A --release-key release.pem\n",
     .options = create_options,
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_create},
    {.name = "list",
     .operands = "",
     .summary = "list the products",
     .examples = "  surefoot product list\n",
     .place = CLI_ONLINE,
     .run = run_list},
    {.name = "show",
     .operands = "NAME",
     .summary = "show a product and the class uuids of its hardware revisions",
     .examples = "  surefoot product show lamp\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_show},
    {.name = "set",
     .operands = "NAME",
     .summary = "change a product; hardware revisions are added",
     .examples = "  surefoot product set lamp --hw-revision B --interval 900\n",
     .options = set_options,
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_set},
    {.name = "enrol-token",
     .operands = "NAME",
     .summary = "make another enrolment token for a product",
     .examples = "  surefoot product enrol-token lamp --days 30 --replace -o lamp-2.enrol-token\n",
     .options = token_options,
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_enrol_token},
    {.name = "target",
     .operands = "NAME VERSION",
     .summary = "say which release the product's devices should run; none = leave them alone",
     .details = "This is how a release goes out: each device takes it at its next check-in.\n",
     .examples = "  surefoot product target lamp 1.1.0\n",
     .operand_min = 2,
     .operand_max = 2,
     .place = CLI_ONLINE,
     .run = run_target},
    {.name = NULL},
};
