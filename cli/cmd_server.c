/* surefoot server: how it is, over the network; and backups of surefootd's data folder, on the
 * server's machine and by its owner. Those do not go over the network: a backup holds the status
 * key and the CA's key, and no API token should be able to fetch those. */

#include <stdio.h>

#include "base/progress.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/out.h"
#include "server/backup/backup.h"

enum { B_DATA, B_BASE };
enum { R_DATA };

static const char default_data[] = "./surefoot-data";

static const struct cli_option backup_options[] = {
    {"data", "DIR", "surefootd's data folder (default ./surefoot-data)", 0, 0},
    {"base", "DIR", "an earlier backup: images that are in it are linked, not copied", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

static const struct cli_option restore_options[] = {
    {"data", "DIR", "where to; empty, or not there yet (required)", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

/* ---- shared ---- */

/* What a progress line is labelled with, and where it stands. */
struct line {
    const char *label;
    struct progress progress;
};

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct line *line = ctx;
    progress_bytes(&line->progress, line->label, done, total);
}

static struct backup_watch watch_on(struct line *line)
{
    progress_begin(&line->progress, PROGRESS_IF_TERMINAL);
    return (struct backup_watch){show_progress, line};
}

static int fail(int err, const char *why)
{
    const int refused = err == SF_ERR_STATE || err == SF_ERR_CORRUPT || err == SF_ERR_EXISTS ||
                        err == SF_ERR_BUSY || err == SF_ERR_VERSION;
    return cli_fail(refused ? CLI_REFUSED : CLI_LOCAL, "%s", why);
}

static json_t *summary_json(const char *folder, const struct backup_summary *s)
{
    return json_pack("{s:o, s:I, s:s, s:I, s:I, s:I, s:I}", "folder", out_json_path(folder),
                     "made_at", (json_int_t)s->made_at, "version", s->version, "schema",
                     (json_int_t)s->schema, "files", (json_int_t)s->files, "bytes",
                     (json_int_t)s->bytes, "shared_files", (json_int_t)s->shared_files);
}

/* ---- backup ---- */

static int run_backup(const struct cli_args *args)
{
    struct line line = {.label = "backing up"};
    char why[BACKUP_WHY_SIZE] = "";
    struct backup_summary summary;
    const char *data = cli_value(args, B_DATA);
    const struct backup_request r = {
        .data = data ? data : default_data,
        .dest = args->operand[0],
        .base = cli_value(args, B_BASE),
        .version = SUREFOOT_VERSION,
        .now = out_now_s(),
        .watch = watch_on(&line),
    };
    int err = backup_make(&r, &summary, why);
    progress_end(&line.progress);
    if (err != SF_OK) {
        return fail(err, why);
    }
    if (args->json) {
        return out_json(summary_json(r.dest, &summary));
    }
    printf("%s: %llu files, %s, %llu of them shared; keep it as secret as the data folder\n",
           r.dest, (unsigned long long)summary.files, out_size(summary.bytes).text,
           (unsigned long long)summary.shared_files);
    return CLI_OK;
}

/* ---- check ---- */

struct findings {
    int json;
    json_t *list;
    struct progress *progress;
};

static void take_finding(void *ctx, enum backup_grade grade, const char *sentence)
{
    struct findings *f = ctx;
    const char *name = grade == BACKUP_PROBLEM ? "problem" : "note";
    char clean[BACKUP_WHY_SIZE];
    (void)out_clean(sentence, clean, sizeof clean);
    if (f->json) {
        json_array_append_new(f->list, json_pack("{s:s, s:s}", "grade", name, "text", clean));
    } else {
        progress_clear(f->progress);
        printf("%s: %s\n", name, clean);
    }
}

static int run_check(const struct cli_args *args)
{
    struct line line = {.label = "checking"};
    char why[BACKUP_WHY_SIZE] = "";
    struct backup_report report;
    struct findings findings = {
        .json = args->json, .list = json_array(), .progress = &line.progress};
    const struct backup_check c = {
        .dir = args->operand_count > 0 ? args->operand[0] : default_data,
        .now = out_now_s(),
        .found = take_finding,
        .ctx = &findings,
        .watch = watch_on(&line),
    };
    int err = backup_check(&c, &report, why);
    progress_end(&line.progress);
    if (err != SF_OK) {
        json_decref(findings.list);
        return fail(err, why);
    }
    const int status = report.problems > 0 ? CLI_REFUSED : CLI_OK;
    if (args->json) {
        int printed = out_json(
            json_pack("{s:o, s:s, s:b, s:I, s:I, s:o}", "folder", out_json_path(c.dir), "kind",
                      report.is_backup ? "backup" : "data", "ok", report.problems == 0, "images",
                      (json_int_t)report.artifacts, "manifests", (json_int_t)report.manifests,
                      "findings", findings.list));
        return printed != CLI_OK ? printed : status;
    }
    json_decref(findings.list);
    printf("%s: %s, %llu images and %llu manifests looked at, %u problem%s\n", c.dir,
           report.is_backup ? "a backup" : "a data folder", (unsigned long long)report.artifacts,
           (unsigned long long)report.manifests, report.problems, report.problems == 1 ? "" : "s");
    return status;
}

/* ---- restore ---- */

static int run_restore(const struct cli_args *args)
{
    struct line line = {.label = "restoring"};
    char why[BACKUP_WHY_SIZE] = "";
    struct backup_summary summary;
    if (cli_require(args, R_DATA) != CLI_OK) {
        return CLI_USAGE;
    }
    const struct backup_restore r = {
        .backup = args->operand[0],
        .data = cli_value(args, R_DATA),
        .now = out_now_s(),
        .watch = watch_on(&line),
    };
    int err = backup_restore(&r, &summary, why);
    progress_end(&line.progress);
    if (err != SF_OK) {
        return fail(err, why);
    }
    if (args->json) {
        return out_json(summary_json(r.data, &summary));
    }
    printf(
        "%s: restored, and frozen: no device is offered anything yet.\n"
        "Start surefootd on it, revoke the tokens that you had revoked since the backup, publish "
        "and target\n"
        "what came since, then `surefoot unfreeze`.\n",
        r.data);
    return CLI_OK;
}

/* ---- status ---- */

static const struct out_column status_columns[] = {
    {"Version", "version", OUT_PLAIN},
    {"Started", "started", OUT_AGE},
    {"Frozen", "frozen", OUT_PLAIN},
    {"Certificate until", "certificate_expires", OUT_TIME},
    {"Images", "space.artifact_bytes", OUT_BYTES},
    {"Quota", "space.quota_bytes", OUT_BYTES},
    {"Database", "space.database_bytes", OUT_BYTES},
    {"Free on the disk", "space.free_bytes", OUT_BYTES},
    {"Reserved of that", "space.reserve_bytes", OUT_BYTES},
    {"Check-in, seconds", "checkin_interval_s", OUT_PLAIN},
    {"History, days", "keep_days.history", OUT_PLAIN},
    {"Audit log, days", "keep_days.audit", OUT_PLAIN},
    {"Deployments, days", "keep_days.deployments", OUT_PLAIN},
    {"Revoked devices, days", "keep_days.revoked_devices", OUT_PLAIN},
    {"Uptime, days", "keep_days.uptime", OUT_PLAIN},
    {"Unused uploads, days", "keep_days.uploads", OUT_PLAIN},
    {NULL, NULL, OUT_PLAIN},
};

static int run_status(const struct cli_args *args)
{
    json_t *answer = NULL;
    const struct client_path path = client_path("server", NULL, NULL, NULL);
    int status = client_once(args, "GET", &path, NULL, &answer);
    if (status == CLI_OK && args->json) {
        return out_json(answer);
    }
    if (status == CLI_OK) {
        out_record(stdout, answer, status_columns, out_now_s());
    }
    json_decref(answer);
    return status;
}

const struct cli_command cmd_server[] = {
    {.name = "backup",
     .operands = "DEST",
     .summary = "back up surefootd's data folder while it runs",
     .details =
         "On the server's machine, as the user that surefootd runs as. DEST is a new folder: the\n"
         "database as it is at the start, every image it names, keys, certificates and settings,\n"
         "and backup.json with the SHA-256 of each. It gets its name when all of it is on the "
         "disk,\n"
         "so there is no half backup. On the same disk, or with --base, images are linked and "
         "cost\n"
         "no space. A backup holds the server's keys: keep it as secret as the data folder.\n",
     .examples = "  surefoot server backup /backup/surefoot-$(date +%F) --data /var/lib/surefoot\n"
                 "  surefoot server backup /backup/mon --base /backup/sun\n",
     .options = backup_options,
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_OFFLINE,
     .run = run_backup},
    {.name = "check",
     .operands = "[DIR]",
     .summary = "look for damage in a backup or a data folder",
     .details =
         "Reads the whole database, every image and manifest, keys, certificates and modes, also\n"
         "while surefootd runs. Says each problem and what to do; exit status 1 if there is any.\n"
         "DIR is ./surefoot-data unless given.\n",
     .examples = "  surefoot server check /backup/mon\n"
                 "  surefoot server check /var/lib/surefoot --json\n",
     .operand_min = 0,
     .operand_max = 1,
     .place = CLI_OFFLINE,
     .run = run_check},
    {.name = "restore",
     .operands = "BACKUP",
     .summary = "make a data folder from a backup",
     .details =
         "Checks the backup first and writes only into an empty folder. The restored fleet is "
         "frozen:\n"
         "devices report and finish what they are at, none is told to go back to what the backup\n"
         "knows. Publish and target what came since, then `surefoot unfreeze`. Devices that "
         "enrolled\n"
         "since enrol again by themselves; tokens revoked since are good again until you revoke "
         "them.\n",
     .examples = "  surefoot server restore /backup/mon --data /var/lib/surefoot\n",
     .options = restore_options,
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_OFFLINE,
     .run = run_restore},
    {.name = "status",
     .operands = "",
     .summary = "say how the server is: version, space, certificate, retention",
     .details = "Over the network, with any token. Days of retention: 0 is for ever.\n",
     .examples = "  surefoot server status\n"
                 "  surefoot server status --json\n",
     .operand_min = 0,
     .operand_max = 0,
     .place = CLI_ONLINE,
     .run = run_status},
    {.name = NULL},
};
