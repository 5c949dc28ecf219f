#include "sim/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ports/host/port.h"

/* A fleet: each device has a time at which it is due; one loop runs those that are, hands their
 * requests to the network, and waits.
 *
 * 1. A device is run only from fleet_run(), never from within another's or the network's call.
 * 2. A transfer belongs to the request whose serial it carries; one that does not is cancelled
 *    before anything else happens to its device. */

enum { PATH_SIZE = 512, TURN_MS = 20, WAIT_MAX_MS = 1000 };

/* ---- one device's clock ---- */

static uint64_t device_now(struct fleet_device *d)
{
    uint64_t now = sf_host_now_ms();
    uint64_t pace = d->in_request ? 1 : d->fleet->options.speed;
    d->clock_ms += (now - d->clock_at_ms) * pace;
    d->clock_at_ms = now;
    return d->clock_ms;
}

/* When, by the host's clock, the device's clock will show `until_ms`. */
static uint64_t host_time_of(const struct fleet_device *d, uint64_t until_ms)
{
    if (until_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t pace = d->in_request ? 1 : d->fleet->options.speed;
    uint64_t wait = until_ms > d->clock_ms ? until_ms - d->clock_ms : 0;
    return d->clock_at_ms + (wait + pace - 1) / pace;
}

static void make_due(struct fleet_device *d)
{
    d->fleet->wake_ms[d - d->fleet->device] = 0;
}

/* ---- what the network tells ---- */

static int on_head(void *ctx, const struct sf_response_head *head)
{
    struct fleet_device *d = ctx;
    d->requests_answered++;
    d->downloads += d->transfer_is_image && (head->status == 200 || head->status == 206);
    make_due(d);
    return vesp32_response_head(&d->esp, head, device_now(d));
}

static int32_t on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct fleet_device *d = ctx;
    int32_t taken = vesp32_response_body(&d->esp, data, len, device_now(d));
    d->download_bytes += taken > 0 && d->transfer_is_image ? (uint64_t)taken : 0;
    make_due(d);
    return taken;
}

static void on_end(void *ctx, int err)
{
    struct fleet_device *d = ctx;
    if (err < 0) {
        d->requests_failed++;
        d->last_net_error = err;
    }
    make_due(d);
    uint64_t now = device_now(d);
    d->in_request = 0;
    vesp32_response_end(&d->esp, err, now);
}

static const struct net_sink sink = {.head = on_head, .body = on_body, .end = on_end};

/* ---- running one device ---- */

static void note_outcome(struct fleet_device *d)
{
    if (d->esp.power != VESP32_RUNNING) {
        return;
    }
    struct sf_engine_view view = sf_engine_view(&d->esp.engine);
    if (view.outcome.counter == 0 || (view.outcome.counter == d->outcome.counter &&
                                      view.outcome.attempt == d->outcome.attempt)) {
        return;
    }
    d->outcome = view.outcome;
    memcpy(d->outcome_version, d->esp.version, sizeof(d->outcome_version));
}

static void start_request(struct fleet_device *d, const struct vesp32_want *want)
{
    static const char manifests[] = "/manifests/"; /* of a static tree */
    d->in_request = 1;
    d->transfer_serial = want->serial;
    d->transfer_is_image = want->request->method == SF_METHOD_GET &&
                           strncmp(want->request->path, manifests, sizeof(manifests) - 1) != 0;
    int err = net_start(&d->fleet->net, &d->transfer, want->request, &sink, d);
    if (err < 0) {
        on_end(d, err);
    }
}

static void run_device(struct fleet_device *d)
{
    struct fleet *f = d->fleet;
    uint64_t *wake = &f->wake_ms[d - f->device];
    struct vesp32_want want = vesp32_run(&d->esp, device_now(d));
    note_outcome(d);
    if (d->transfer.easy && d->transfer_serial != want.serial) {
        d->in_request = 0;
        net_cancel(&f->net, &d->transfer);
    }
    *wake = host_time_of(d, want.until_ms);
    if (want.kind != VESP32_REQUEST || d->transfer.easy) {
        return;
    }
    if (f->net.running >= f->options.max_requests) {
        *wake = d->clock_at_ms + TURN_MS;
        return;
    }
    start_request(d, &want);
    uint64_t deadline = host_time_of(d, want.until_ms);
    *wake = d->transfer.easy ? deadline : *wake;
}

static void switch_on(struct fleet_device *d, uint64_t now)
{
    d->clock_at_ms = now;
    vesp32_power_on(&d->esp, d->clock_ms);
}

int fleet_run(struct fleet *f, uint64_t until_ms)
{
    uint64_t now = sf_host_now_ms();
    uint64_t next = until_ms;
    for (unsigned i = 0; i < f->options.count; i++) {
        struct fleet_device *d = &f->device[i];
        if (f->wake_ms[i] <= now) {
            if (d->clock_at_ms == 0) {
                switch_on(d, now);
            }
            run_device(d);
        }
        next = f->wake_ms[i] < next ? f->wake_ms[i] : next;
    }
    now = sf_host_now_ms();
    uint64_t wait = next > now ? next - now : 0;
    return net_run(&f->net, (int)(wait < WAIT_MAX_MS ? wait : WAIT_MAX_MS));
}

/* ---- lifecycle ---- */

static int copy_base(const struct fleet *f, struct sf_host_flash *flash)
{
    for (uint32_t at = 0; at < f->options.flash_size;) {
        ssize_t got = pread(f->options.base_fd, flash->cells + at, f->options.flash_size - at, at);
        if (got <= 0) {
            return SF_ERR_IO;
        }
        at += (uint32_t)got;
    }
    return SF_OK;
}

/* A new flash file gets its name once it is whole, so that a killed first run leaves no half
 * device behind. */
static int create_flash_file(const struct fleet *f, const char *path)
{
    char part[PATH_SIZE + 8];
    struct sf_host_flash flash;
    snprintf(part, sizeof(part), "%s.part", path);
    if (unlink(part) != 0 && errno != ENOENT) {
        return SF_ERR_IO;
    }
    int err = sf_host_flash_open_file(&flash, part, f->options.flash_size);
    if (err < 0) {
        return err;
    }
    err = copy_base(f, &flash);
    sf_host_flash_release(&flash);
    if (err == SF_OK && rename(part, path) != 0) {
        err = SF_ERR_IO;
    }
    return err;
}

/* A flash file stays what it was made as: only a plain one has a table that can be read. */
static int check_encryption(const struct fleet *f, const struct sf_host_flash *flash)
{
    const uint8_t *table = flash->cells + SF_PARTITION_TABLE_OFFSET;
    const int is_plain = (table[0] | table[1] << 8) == SF_PARTITION_MAGIC;
    return is_plain == (f->options.device.flash_key == NULL) ? SF_OK : SF_ERR_EXISTS;
}

static int open_flash(const struct fleet *f, struct fleet_device *d)
{
    const struct fleet_options *o = &f->options;
    char path[PATH_SIZE];
    if (!o->state_dir) {
        return sf_host_flash_open_memory(&d->flash, o->flash_size, o->base_fd);
    }
    int len = snprintf(path, sizeof(path), "%s/%s.bin", o->state_dir, d->id);
    if (len < 0 || len >= (int)sizeof(path)) {
        return SF_ERR_RANGE;
    }
    if (access(path, F_OK) != 0) {
        int err = create_flash_file(f, path);
        if (err < 0) {
            return err;
        }
    }
    const int err = sf_host_flash_open_file(&d->flash, path, o->flash_size);
    return err < 0 ? err : check_encryption(f, &d->flash);
}

/* ---- eFuses: a number in a file, which only grows ---- */

static int efuse_path(const struct fleet_device *d, char path[PATH_SIZE])
{
    const int len = snprintf(path, PATH_SIZE, "%s/%s.efuse", d->fleet->options.state_dir, d->id);
    return len < 0 || len >= PATH_SIZE ? SF_ERR_RANGE : SF_OK;
}

/* Whole or not at all, as eFuse bits. */
// NOLINTNEXTLINE(readability-non-const-parameter): the type of vesp32_options.burn
static int keep_efuse(void *ctx, uint32_t from, uint32_t *to)
{
    const struct fleet_device *d = ctx;
    char path[PATH_SIZE];
    char part[PATH_SIZE + 8];
    (void)from;
    int err = efuse_path(d, path);
    if (err < 0) {
        return err;
    }
    snprintf(part, sizeof(part), "%s.part", path);
    FILE *file = fopen(part, "we");
    int ok = file && fprintf(file, "%u\n", *to) > 0;
    ok &= file && fclose(file) == 0;
    return ok && rename(part, path) == 0 ? SF_OK : SF_ERR_IO;
}

static int load_efuse(const struct fleet_device *d, uint32_t *out)
{
    char path[PATH_SIZE];
    int err = efuse_path(d, path);
    FILE *file = err < 0 ? NULL : fopen(path, "re");
    if (!file) {
        return err < 0 || errno == ENOENT ? err : SF_ERR_IO;
    }
    char text[16] = "";
    char *end = text;
    if (fgets(text, sizeof(text), file)) {
        *out = (uint32_t)strtoul(text, &end, 10);
    }
    fclose(file);
    return end > text && *end == '\n' ? SF_OK : SF_ERR_FORMAT;
}

static int open_device(struct fleet *f, unsigned i)
{
    struct fleet_device *d = &f->device[i];
    struct vesp32_options options = f->options.device;
    snprintf(d->id, sizeof(d->id), "02%06x%04x", f->options.seed & 0xffffffu, i & 0xffffu);
    d->fleet = f;
    int err = open_flash(f, d);
    if (err < 0) {
        return err;
    }
    if (options.anti_rollback && f->options.state_dir) {
        err = load_efuse(d, &options.efuse_secure_version);
        options.burn = keep_efuse;
        options.burn_ctx = d;
    }
    if (err < 0) {
        return err;
    }
    options.firmware.device_id = d->id;
    options.work = f->work;
    vesp32_init(&d->esp, &d->flash, &options);
    f->wake_ms[i] = f->start_ms + (uint64_t)f->options.ramp_ms * i / f->options.count;
    return SF_OK;
}

int fleet_open(struct fleet *f, const struct fleet_options *options, int *failed_device)
{
    *f = (struct fleet){.options = *options, .start_ms = sf_host_now_ms()};
    *failed_device = -1;
    int err = net_open(&f->net, &options->net);
    if (err < 0) {
        return err;
    }
    f->device = calloc(options->count, sizeof(*f->device));
    f->wake_ms = calloc(options->count, sizeof(*f->wake_ms));
    f->work = calloc(1, sizeof(*f->work));
    err = f->device && f->wake_ms && f->work ? SF_OK : SF_ERR_NOMEM;
    for (unsigned i = 0; i < options->count && err == SF_OK; i++) {
        err = open_device(f, i);
        *failed_device = err < 0 ? (int)i : -1;
    }
    if (err < 0) {
        int saved = errno;
        fleet_close(f);
        errno = saved;
    }
    return err;
}

void fleet_close(struct fleet *f)
{
    for (unsigned i = 0; f->device && i < f->options.count; i++) {
        net_cancel(&f->net, &f->device[i].transfer);
        sf_host_flash_release(&f->device[i].flash);
    }
    net_close(&f->net);
    free(f->device);
    free(f->wake_ms);
    free(f->work);
    *f = (struct fleet){0};
}

static void count_device(const struct fleet_device *d, struct fleet_counts *c)
{
    c->bytes += d->download_bytes;
    c->boots += d->esp.boots;
    if (d->requests_answered == 0) {
        c->silent++;
        c->last_net_error = d->last_net_error < 0 ? d->last_net_error : c->last_net_error;
    }
    if (d->esp.power == VESP32_BOOT_FAILS) {
        c->boot_fails++;
    } else if (d->esp.power != VESP32_RUNNING) {
        c->booting++;
    } else if (vesp32_at_rest(&d->esp)) {
        c->at_rest++;
    } else {
        struct sf_engine_view view = sf_engine_view(&d->esp.engine);
        c->phase[view.phase]++;
    }
}

struct fleet_counts fleet_count(const struct fleet *f)
{
    struct fleet_counts counts = {0};
    for (unsigned i = 0; i < f->options.count; i++) {
        count_device(&f->device[i], &counts);
    }
    return counts;
}
