/* surefoot device: list, show, history, watch, target, approve, reject, revoke, clear-alarms. */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/out.h"

enum {
    F_PRODUCT,
    F_STATE,
    F_VERSION,
    F_PREFIX,
    F_LIMIT,
    F_COMMON,
    W_INTERVAL = F_COMMON,
    W_UNTIL,
    W_TIMEOUT
};

enum { LIST_DEFAULT = 1000, LIST_MAX = 1000000, HISTORY_MAX = 10000 };

/* clang-format off */
#define FILTER_ROWS                                                                               \
    {"product", "NAME", "only this product's devices", 0, 0},                                     \
    {"state", "STATE", "enrolled, quarantined or revoked", 0, 0},                                 \
    {"version", "VERSION", "only devices that run it", 0, 0},                                     \
    {"prefix", "TEXT", "only ids that begin with it", 0, 0},                                      \
    {"limit", "N", "at most so many (1000)", 0, 0}
/* clang-format on */

static const struct cli_option list_options[] = {
    FILTER_ROWS,
    {NULL, NULL, NULL, 0, 0},
};

static const struct cli_option watch_options[] = {
    FILTER_ROWS,
    {"interval", "SECONDS", "how often to look (2)", 0, 0},
    {"until", "VERSION", "end with status 0 when every device runs it", 0, 0},
    {"timeout", "SECONDS", "end with status 1 after so long", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

static const struct out_column columns[] = {
    {"DEVICE", "id", OUT_PLAIN},         {"PRODUCT", "product", OUT_PLAIN},
    {"HW", "hw_revision", OUT_PLAIN},    {"STATE", "state", OUT_PLAIN},
    {"VERSION", "version", OUT_PLAIN},   {"TARGET", "target", OUT_PLAIN},
    {"PHASE", "phase", OUT_PLAIN},       {"OUTCOME", "outcome.error", OUT_PLAIN},
    {"LAST SEEN", "last_seen", OUT_AGE}, {NULL, NULL, OUT_PLAIN},
};

/* ---- list ---- */

static int fetch_list(const struct cli_args *args, struct client *client, json_t **answer)
{
    unsigned long limit = LIST_DEFAULT;
    int status = cli_number(args, F_LIMIT, LIST_MAX, &limit);
    if (status != CLI_OK) {
        return status;
    }
    struct client_path path = client_path("devices", NULL, NULL, NULL);
    client_query(&path, "product", cli_value(args, F_PRODUCT));
    client_query(&path, "state", cli_value(args, F_STATE));
    client_query(&path, "version", cli_value(args, F_VERSION));
    client_query(&path, "q", cli_value(args, F_PREFIX));
    return client_list(client, &path, limit ? limit : 1, answer);
}

static int run_list(const struct cli_args *args)
{
    struct client client = {0};
    json_t *answer = NULL;
    int status = client_open(&client, args->config);
    status = status == CLI_OK ? fetch_list(args, &client, &answer) : status;
    client_close(&client);
    if (status != CLI_OK) {
        return status;
    }
    if (args->json) {
        return out_json(answer);
    }
    const json_t *items = json_object_get(answer, "items");
    out_table(stdout, items, columns, out_now_s());
    if (!json_is_null(json_object_get(answer, "next"))) {
        cli_note("surefoot: note: there are more than these %zu; see --limit",
                 json_array_size(items));
    }
    json_decref(answer);
    return CLI_OK;
}

/* ---- show and its kin: one device in, one device out ---- */

static int call_device(const struct cli_args *args, const char *method, const char *verb,
                       const json_t *body)
{
    static const struct out_column rows[] = {
        {"device", "id", OUT_PLAIN},
        {"product", "product", OUT_PLAIN},
        {"hardware", "hw_revision", OUT_PLAIN},
        {"state", "state", OUT_PLAIN},
        {"version", "version", OUT_PLAIN},
        {"image SHA-256", "digest", OUT_PLAIN},
        {"slot", "slot", OUT_PLAIN},
        {"phase", "phase", OUT_PLAIN},
        {"target", "target", OUT_PLAIN},
        {"own target", "override", OUT_PLAIN},
        {"outcome", "outcome.error", OUT_PLAIN},
        {"which means", "outcome.words", OUT_PLAIN},
        {"deployment", "deployment.state", OUT_PLAIN},
        {"alarms", "alarms", OUT_PLAIN},
        {"reset reason", "reset_reason", OUT_PLAIN},
        {"boots", "boot_count", OUT_PLAIN},
        {"last seen", "last_seen", OUT_AGE},
        {"enrolled", "created", OUT_AGE},
        {NULL, NULL, OUT_PLAIN},
    };
    json_t *answer = NULL;
    const struct client_path path = client_path("devices", args->operand[0], verb, NULL);
    int status = client_once(args, method, &path, body, &answer);
    if (status != CLI_OK) {
        return status;
    }
    if (args->json) {
        return out_json(answer);
    }
    out_record(stdout, answer, rows, out_now_s());
    json_decref(answer);
    return CLI_OK;
}

static int run_show(const struct cli_args *args)
{
    return call_device(args, "GET", NULL, NULL);
}

/* approve, reject, revoke, clear-alarms: the command's name is the server's verb. */
static int run_verb(const struct cli_args *args)
{
    json_t *body = json_object();
    int status = call_device(args, "POST", args->command->name, body);
    json_decref(body);
    return status;
}

static int run_target(const struct cli_args *args)
{
    const char *version = args->operand[1];
    json_t *body = json_pack("{s:o}", "version",
                             strcmp(version, "none") == 0 ? json_null() : json_string(version));
    int status = call_device(args, "PUT", "target", body);
    json_decref(body);
    return status;
}

/* ---- history ---- */

/* What an event was, beside its columns: the text that came with it, and the error's meaning unless
 * that text says it. */
static json_t *event_detail(const json_t *event)
{
    const char *text = json_string_value(json_object_get(event, "text"));
    const char *meaning = json_string_value(json_object_get(event, "meaning"));
    const char *release = json_string_value(json_object_get(event, "release"));
    const int has_text = text && text[0] && (!release || strcmp(text, release) != 0);
    const int says_both = meaning && has_text && strstr(text, meaning);
    if (meaning && has_text && !says_both) {
        return json_sprintf("%s: %s", meaning, text);
    }
    return has_text ? json_string(text) : meaning ? json_string(meaning) : json_null();
}

static void print_history(const json_t *events)
{
    static const struct out_column rows[] = {
        {"TIME", "time", OUT_TIME},        {"EVENT", "event", OUT_PLAIN},
        {"RELEASE", "release", OUT_PLAIN}, {"ERROR", "error", OUT_PLAIN},
        {"DETAIL", "detail", OUT_PLAIN},   {NULL, NULL, OUT_PLAIN},
    };
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *event = json_array_get(events, i);
        json_object_set_new(event, "detail", event_detail(event));
    }
    out_table(stdout, events, rows, 0);
}

static int run_history(const struct cli_args *args)
{
    json_t *answer = NULL;
    const struct client_path path = client_path("devices", args->operand[0], "history", NULL);
    int status = client_list_once(args, &path, HISTORY_MAX, &answer);
    if (status != CLI_OK) {
        return status;
    }
    if (args->json) {
        return out_json(answer);
    }
    print_history(json_object_get(answer, "items"));
    json_decref(answer);
    return CLI_OK;
}

/* ---- watch ---- */

struct watch {
    const struct cli_args *args;
    struct client client;
    json_t *seen; /* id to the line that was printed last */
    const char *until;
    struct progress progress;
};

/* What makes a line of its own when it changes; last-seen would at every look. */
static void describe(const json_t *device, char *out, size_t size)
{
    static const struct {
        const char *title;
        const char *key;
        const char *inside;
    } shown[] = {{"state", "state", NULL},
                 {"version", "version", NULL},
                 {"target", "target", NULL},
                 {"phase", "phase", NULL},
                 {"outcome", "outcome", "error"}};
    size_t have = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < sizeof shown / sizeof shown[0] && have < size; i++) {
        char clean[64];
        const json_t *field = json_object_get(device, shown[i].key);
        const char *value =
            json_string_value(shown[i].inside ? json_object_get(field, shown[i].inside) : field);
        int n = snprintf(out + have, size - have, "%s%s %s", i ? ", " : "", shown[i].title,
                         value ? out_clean(value, clean, sizeof clean) : "-");
        have += n > 0 ? (size_t)n : 0;
    }
}

static int print_change(struct watch *w, json_t *device)
{
    char line[400];
    char clean[80];
    const char *id = json_string_value(json_object_get(device, "id"));
    if (!id) {
        return CLI_OK;
    }
    describe(device, line, sizeof line);
    const char *before = json_string_value(json_object_get(w->seen, id));
    if (before && strcmp(before, line) == 0) {
        return CLI_OK;
    }
    json_object_set_new(w->seen, id, json_string(line));
    progress_clear(&w->progress);
    if (w->args->json) {
        return out_json(json_incref(device));
    }
    printf("%s: %s\n", out_clean(id, clean, sizeof clean), line);
    return CLI_OK;
}

/* One look. Sets *done when every device runs the version waited for. */
static int look(struct watch *w, int *done)
{
    json_t *answer = NULL;
    int status = fetch_list(w->args, &w->client, &answer);
    const json_t *items = json_object_get(answer, "items");
    size_t there = 0;
    for (size_t i = 0; status == CLI_OK && i < json_array_size(items); i++) {
        json_t *device = json_array_get(items, i);
        const char *version = json_string_value(json_object_get(device, "version"));
        there += w->until && version && strcmp(version, w->until) == 0;
        status = print_change(w, device);
    }
    *done = w->until && there > 0 && there == json_array_size(items);
    const size_t count = json_array_size(items);
    json_decref(answer);
    fflush(stdout);
    if (status == CLI_OK && w->until && !*done) {
        char line[PROGRESS_LINE_SIZE];
        snprintf(line, sizeof line, "%zu of %zu devices run %.30s", there, count, w->until);
        progress_text(&w->progress, line);
    }
    return status;
}

static int64_t monotonic_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

static int watch_loop(struct watch *w, unsigned long interval_s, unsigned long timeout_s)
{
    const int64_t start_s = monotonic_s();
    for (;;) {
        int done = 0;
        int status = look(w, &done);
        if (status != CLI_OK || done) {
            progress_clear(&w->progress);
            return status;
        }
        if (timeout_s > 0 && monotonic_s() - start_s >= (int64_t)timeout_s) {
            progress_clear(&w->progress);
            return cli_fail(CLI_REFUSED, "after %lu s not every device runs %s", timeout_s,
                            w->until ? w->until : "the version");
        }
        struct timespec wait = {(time_t)interval_s, 0};
        nanosleep(&wait, NULL);
    }
}

static int run_watch(const struct cli_args *args)
{
    unsigned long interval_s = 2;
    unsigned long timeout_s = 0;
    struct watch w = {.args = args, .until = cli_value(args, W_UNTIL)};
    int status = cli_number(args, W_INTERVAL, 86400, &interval_s);
    status = status == CLI_OK ? cli_number(args, W_TIMEOUT, 86400 * 365UL, &timeout_s) : status;
    if (status != CLI_OK) {
        return status;
    }
    w.seen = json_object();
    progress_begin(&w.progress, PROGRESS_IF_TERMINAL);
    status = client_open(&w.client, args->config);
    status = status == CLI_OK ? watch_loop(&w, interval_s ? interval_s : 1, timeout_s) : status;
    client_close(&w.client);
    json_decref(w.seen);
    return status;
}

const struct cli_command cmd_device[] = {
    {.name = "list",
     .operands = "",
     .summary = "list devices, what they run and what they should run",
     .examples = "  surefoot device list --product lamp --state enrolled\n"
                 "  surefoot device list --version 1.0.0 --json\n",
     .options = list_options,
     .place = CLI_ONLINE,
     .run = run_list},
    {.name = "show",
     .operands = "ID",
     .summary = "show one device",
     .examples = "  surefoot device show 7cdfa1b2c3d4\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_show},
    {.name = "history",
     .operands = "ID",
     .summary = "everything that happened to a device, oldest first",
     .examples = "  surefoot device history 7cdfa1b2c3d4\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_history},
    {.name = "watch",
     .operands = "",
     .summary = "print devices as they change, until Ctrl-C",
     .examples = "  surefoot device watch --product lamp\n"
                 "  surefoot device watch --product lamp --until 1.1.0 --timeout 600\n",
     .options = watch_options,
     .place = CLI_ONLINE,
     .run = run_watch},
    {.name = "target",
     .operands = "ID VERSION",
     .summary = "let one device run another release than its product; none = as its product",
     .examples = "  surefoot device target 7cdfa1b2c3d4 1.1.0\n",
     .operand_min = 2,
     .operand_max = 2,
     .place = CLI_ONLINE,
     .run = run_target},
    {.name = "approve",
     .operands = "ID",
     .summary = "accept a device that waits in quarantine with a new secret",
     .examples = "  surefoot device approve 7cdfa1b2c3d4\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_verb},
    {.name = "reject",
     .operands = "ID",
     .summary = "turn the new secret of a quarantined device down; the old one stays",
     .examples = "  surefoot device reject 7cdfa1b2c3d4\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_verb},
    {.name = "revoke",
     .operands = "ID",
     .summary = "refuse a device from now on",
     .examples = "  surefoot device revoke 7cdfa1b2c3d4\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_verb},
    {.name = "clear-alarms",
     .operands = "ID",
     .summary = "take note of a device's alarms (clone, counter, class)",
     .examples = "  surefoot device clear-alarms 7cdfa1b2c3d4\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_verb},
    {.name = NULL},
};
