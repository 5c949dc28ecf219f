#include "tests/server/store_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <ftw.h>

char *kit_folder(void)
{
    char name[] = "/tmp/surefoot-store-XXXXXX";
    assert_non_null(mkdtemp(name));
    char *copy = strdup(name);
    assert_non_null(copy);
    return copy;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void kit_remove(char *folder)
{
    assert_int_equal(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(folder);
}

static int64_t kit_now(void *ctx)
{
    (void)ctx;
    return 1700000000;
}

struct store *kit_open(const char *folder)
{
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    struct store_options options = {
        .backend = folder != NULL ? STORE_SQLITE : STORE_MEMORY, .readers = 2, .now = kit_now};
    struct store *s = store_open(folder, &options, &err, why);
    if (s == NULL) {
        fail_msg("%s (%d)", why, err);
    }
    return s;
}

static int fill_releases(struct store_tx *tx, struct kit_fleet *fleet)
{
    for (int i = 0; i < KIT_RELEASES; i++) {
        struct artifact artifact = {.size = 1000, .created_at = 1};
        struct release release = {.product_id = fleet->product, .state = RELEASE_PUBLISHED};
        struct manifest_row manifest = {.class_id = fleet->class_id, .image_size = 1000};
        uint64_t seq = 0;
        (void)snprintf(release.version, sizeof release.version, "%d.0.0", i + 1);
        memset(artifact.digest, i + 1, DIGEST_SIZE);
        memset(manifest.image_digest, i + 1, DIGEST_SIZE);
        memset(manifest.digest, 0x80 + i, DIGEST_SIZE);
        manifest.envelope_len = 3;
        memcpy(manifest.envelope, "abc", 3);
        int err = store_artifact_add(tx, &artifact);
        err = err == SF_OK ? store_release_add(tx, &release) : err;
        err = err == SF_OK ? store_seq_reserve(tx, fleet->class_id, &seq) : err;
        manifest.release_id = release.id;
        manifest.seq = seq;
        err = err == SF_OK ? store_manifest_add(tx, &manifest) : err;
        if (err < 0) {
            return err;
        }
        fleet->release[i] = release.id;
    }
    return SF_OK;
}

static int fill(struct store_tx *tx, void *arg)
{
    struct kit_fleet *fleet = arg;
    struct product product = {.name = "lamp", .kind = PRODUCT_SUREFOOT, .chip_id = SF_CHIP_ESP32C3};
    struct hw_class class = {.revision = "a"};
    memset(class.uuid, 0xc1, sizeof class.uuid);
    int err = store_product_add(tx, &product);
    class.product_id = product.id;
    err = err == SF_OK ? store_class_add(tx, &class) : err;
    fleet->product = product.id;
    fleet->class_id = class.id;
    return err == SF_OK ? fill_releases(tx, fleet) : err;
}

void kit_fill(struct store *s, struct kit_fleet *fleet)
{
    assert_int_equal(store_run(s, fill, fleet), SF_OK);
}

struct device kit_device(const struct kit_fleet *fleet, const char *id)
{
    struct device d = {.product_id = fleet->product,
                       .class_id = fleet->class_id,
                       .state = DEVICE_ENROLLED,
                       .desired_seq = 1,
                       .enrolled_at = 1};
    (void)snprintf(d.id, sizeof d.id, "%s", id);
    memset(d.class_uuid, 0xc1, sizeof d.class_uuid);
    memset(d.secret_digest, 0x5e, sizeof d.secret_digest);
    return d;
}

static int add_device(struct store_tx *tx, void *arg)
{
    struct device *d = arg;
    struct event event = {.kind = EVENT_ENROLLED};
    return store_device_add(tx, d, &event, 1);
}

int64_t kit_add_device(struct store *s, const struct kit_fleet *fleet, const char *id)
{
    struct device d = kit_device(fleet, id);
    assert_int_equal(store_run(s, add_device, &d), SF_OK);
    return d.row;
}

int kit_checkin(struct store_tx *tx, const char *id, int runs, int error, int64_t now)
{
    struct device_view v;
    struct checkin_decision d;
    struct sf_checkin report = {.boot_count = 1, .running_state = 2};
    int err = store_device_view(store_tx_reader(tx), id, &v);
    if (err < 0) {
        return err;
    }
    memset(report.class_uuid, 0xc1, sizeof report.class_uuid);
    memset(report.running_digest, runs, DIGEST_SIZE);
    (void)snprintf(report.running_version, sizeof report.running_version, "%d.0.0", runs);
    report.last_counter = v.device.desired_seq;
    if (error != SF_OK) {
        report.outcome =
            (struct sf_outcome){.counter = v.device.desired_seq, .attempt = 1, .error = error};
    }
    struct checkin_input in = {.device = &v.device,
                               .seen = &v.seen,
                               .current = v.has_current ? &v.current : NULL,
                               .previous = v.has_previous ? &v.previous : NULL,
                               .target = v.has_target ? &v.target : NULL,
                               .report = &report,
                               .policy = {300, DEPLOYMENT_TIMEOUT_S, 0}};
    checkin_decide(&in, now, &d);
    return d.changed ? store_checkin_apply(tx, &d, now) : SF_OK;
}

struct target_order {
    int64_t product;
    int64_t release;
};

static int set_target(struct store_tx *tx, void *arg)
{
    const struct target_order *o = arg;
    return store_product_target(tx, o->product, o->release, 5);
}

void kit_target(struct store *s, int64_t product, int64_t release)
{
    struct target_order order = {product, release};
    assert_int_equal(store_run(s, set_target, &order), SF_OK);
}
