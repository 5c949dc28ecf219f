#include "sim/report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Tables, JSON lines and progress of a fleet. Everything shown is read from the devices' flash and
 * engines at this moment. */

enum { STATE_SIZE = 32 };

static void slot_state(const struct sf_otadata_entry *entry, char out[STATE_SIZE])
{
    if (entry->ota_seq == SF_OTA_SEQ_EMPTY) {
        snprintf(out, STATE_SIZE, "empty");
    } else {
        snprintf(out, STATE_SIZE, "%u %s", entry->ota_seq, sf_ota_state_str(entry->ota_state));
    }
}

/* A device that is not where it should be: what it was doing. */
static void unfinished(const struct fleet_device *d, char out[REPORT_OUTCOME_SIZE])
{
    if (d->esp.power == VESP32_BOOT_FAILS) {
        snprintf(out, REPORT_OUTCOME_SIZE, "does not boot: %s", sf_err_str(d->esp.boot_error));
        return;
    }
    if (d->esp.power != VESP32_RUNNING) {
        snprintf(out, REPORT_OUTCOME_SIZE, "in reset");
        return;
    }
    struct sf_engine_view view = sf_engine_view(&d->esp.engine);
    int err = view.last_error < 0 ? view.last_error : d->last_net_error;
    if (err == SF_ERR_UNAUTHORIZED && d->requests_answered == 0) { /* no request was made */
        snprintf(out, REPORT_OUTCOME_SIZE, "not enrolled, and no --enrol-token-file was given");
        return;
    }
    const char *what = d->requests_answered == 0     ? "never reached the server"
                       : view.checkins_answered == 0 ? "no check-in answered since its last boot"
                       : view.phase == SF_PHASE_IDLE ? "not at rest"
                                                     : sf_phase_str(view.phase);
    snprintf(out, REPORT_OUTCOME_SIZE, "%s%s%s", what, err < 0 ? ": " : "",
             err < 0 ? sf_err_str(err) : "");
}

static int is_rollback(int err)
{
    return err <= SF_ERR_CRASHED && err >= SF_ERR_FELL_BACK && err != SF_ERR_ROLLBACK_FAILED;
}

void report_outcome(const struct fleet_device *d, char out[REPORT_OUTCOME_SIZE])
{
    const struct sf_outcome *o = &d->outcome;
    if (!vesp32_at_rest(&d->esp)) {
        unfinished(d, out);
    } else if (o->counter == 0) {
        snprintf(out, REPORT_OUTCOME_SIZE, "no update");
    } else if (o->error == SF_OK) {
        snprintf(out, REPORT_OUTCOME_SIZE, "confirmed %s", d->outcome_version);
    } else if (is_rollback(o->error)) {
        snprintf(out, REPORT_OUTCOME_SIZE, "rolled back to %s: %s", d->esp.version,
                 sf_err_str(o->error));
    } else {
        snprintf(out, REPORT_OUTCOME_SIZE, "stayed on %s: %s", d->esp.version,
                 sf_err_str(o->error));
    }
}

static void print_row(const struct fleet_device *d, FILE *out)
{
    struct sf_otadata_entry entry[2];
    char state[2][STATE_SIZE];
    char outcome[REPORT_OUTCOME_SIZE];
    vesp32_otadata(&d->esp, entry);
    slot_state(&entry[0], state[0]);
    slot_state(&entry[1], state[1]);
    report_outcome(d, outcome);
    fprintf(out, "%-13s %-8s %-12s %-18s %-18s %5u %9u %10llu %5u  %s\n", d->id,
            sf_boot_slot_str(d->esp.power == VESP32_BOOT_FAILS ? SF_BOOT_NONE
                                                               : d->esp.config.running_slot),
            d->esp.version, state[0], state[1], d->esp.boots, d->downloads,
            (unsigned long long)d->download_bytes,
            sf_host_flash_wear(&d->flash, 0, d->flash.size_bytes), outcome);
}

/* ---- how many ended how ---- */

struct group {
    char outcome[REPORT_OUTCOME_SIZE];
    unsigned count;
};

static int by_text(const void *a, const void *b)
{
    const struct group *x = a;
    const struct group *y = b;
    return strcmp(x->outcome, y->outcome);
}

/* Sorted groups, the count of each in its first element; NULL without memory. */
static struct group *make_groups(const struct fleet *f)
{
    unsigned count = f->options.count;
    struct group *groups = count > 0 ? calloc(count, sizeof(*groups)) : NULL;
    if (!groups) {
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        report_outcome(&f->device[i], groups[i].outcome);
    }
    qsort(groups, count, sizeof(*groups), by_text);
    for (unsigned i = 0, first = 0; i < count; i++) {
        first = by_text(&groups[first], &groups[i]) == 0 ? first : i;
        groups[first].count++;
    }
    return groups;
}

static void print_groups(const struct fleet *f, FILE *out)
{
    struct group *groups = make_groups(f);
    for (unsigned i = 0; groups && i < f->options.count; i++) {
        if (groups[i].count > 0) {
            fprintf(out, "%6u  %s\n", groups[i].count, groups[i].outcome);
        }
    }
    free(groups);
}

void report_table(const struct fleet *f, unsigned rows, FILE *out)
{
    unsigned shown = f->options.count < rows ? f->options.count : rows;
    if (shown > 0) {
        fprintf(out, "%-13s %-8s %-12s %-18s %-18s %5s %9s %10s %5s  %s\n", "DEVICE", "SLOT",
                "VERSION", "OTADATA 0", "OTADATA 1", "BOOTS", "DOWNLOADS", "BYTES", "WEAR",
                "OUTCOME");
    }
    for (unsigned i = 0; i < shown; i++) {
        print_row(&f->device[i], out);
    }
    if (shown < f->options.count) {
        fprintf(out, "... and %u more (--rows N shows more, --json shows all)\n",
                f->options.count - shown);
    }
    print_groups(f, out);
}

/* ---- JSON ---- */

static json_t *otadata_json(const struct sf_otadata_entry *entry)
{
    if (entry->ota_seq == SF_OTA_SEQ_EMPTY) {
        return json_null();
    }
    return json_pack("{s:I, s:s}", "ota_seq", (json_int_t)entry->ota_seq, "ota_state",
                     sf_ota_state_str(entry->ota_state));
}

static json_t *device_json(const struct fleet_device *d)
{
    struct sf_otadata_entry entry[2];
    char outcome[REPORT_OUTCOME_SIZE];
    vesp32_otadata(&d->esp, entry);
    report_outcome(d, outcome);
    int boots = d->esp.power != VESP32_BOOT_FAILS;
    return json_pack(
        "{s:s, s:s, s:s, s:[o, o], s:b, s:s, s:s?, s:i, s:i, s:I, s:i}", "id", d->id, "slot",
        sf_boot_slot_str(boots ? d->esp.config.running_slot : SF_BOOT_NONE), "version",
        d->esp.version, "otadata", otadata_json(&entry[0]), otadata_json(&entry[1]), "at_rest",
        vesp32_at_rest(&d->esp), "outcome", outcome, "error",
        d->outcome.counter > 0 && d->outcome.error < 0 ? sf_err_name(d->outcome.error) : NULL,
        "boots", (int)d->esp.boots, "downloads", (int)d->downloads, "bytes",
        (json_int_t)d->download_bytes, "wear",
        (int)sf_host_flash_wear(&d->flash, 0, d->flash.size_bytes));
}

static int print_json(json_t *value, FILE *out)
{
    if (!value) {
        return SF_ERR_NOMEM;
    }
    int bad = json_dumpf(value, out, JSON_COMPACT) != 0 || fputc('\n', out) == EOF;
    json_decref(value);
    return bad ? SF_ERR_IO : SF_OK;
}

int report_json(const struct fleet *f, uint64_t elapsed_ms, FILE *out)
{
    struct fleet_counts counts = fleet_count(f);
    int err = SF_OK;
    for (unsigned i = 0; i < f->options.count && err == SF_OK; i++) {
        err = print_json(device_json(&f->device[i]), out);
    }
    if (err < 0) {
        return err;
    }
    return print_json(json_pack("{s:{s:i, s:i, s:I, s:I, s:I}}", "summary", "devices",
                                (int)f->options.count, "at_rest", (int)counts.at_rest, "bytes",
                                (json_int_t)counts.bytes, "boots", (json_int_t)counts.boots,
                                "elapsed_ms", (json_int_t)elapsed_ms),
                      out);
}

/* ---- progress ---- */

void report_progress(const struct fleet *f, uint64_t elapsed_ms, FILE *out)
{
    struct fleet_counts c = fleet_count(f);
    fprintf(out, "%llu s: %u devices: %u at rest", (unsigned long long)(elapsed_ms / 1000),
            f->options.count, c.at_rest);
    for (unsigned phase = 0; phase <= SF_PHASE_CONFIRMED; phase++) {
        if (c.phase[phase] > 0) {
            fprintf(out, ", %u %s", c.phase[phase], sf_phase_str(phase));
        }
    }
    if (c.booting > 0) {
        fprintf(out, ", %u booting", c.booting);
    }
    if (c.boot_fails > 0) {
        fprintf(out, ", %u unable to boot", c.boot_fails);
    }
    fprintf(out, "; %.1f MB downloaded", (double)c.bytes / 1e6);
}
