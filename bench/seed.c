/* bench-seed: fills a database with devices that have all checked in, as fast as SQLite takes them.
 *
 *   bench-seed DATA-DIR COUNT
 *
 * DATA-DIR must exist and must not be in use. Adds a product "seed" with one hardware revision. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/store/store.h"

enum { BATCH = 5000, COUNT_MAX = 10000000 };

struct seed {
    struct product product;
    struct hw_class class;
    long next;
    long count;
};

static int add_product(struct store_tx *tx, void *arg)
{
    struct seed *s = arg;
    s->product = (struct product){.kind = PRODUCT_SUREFOOT, .chip_id = 5, .slot_size = 0x1f0000};
    (void)snprintf(s->product.name, sizeof(s->product.name), "seed");
    memset(s->product.vendor_uuid, 1, SF_UUID_SIZE);
    int err = store_product_add(tx, &s->product);
    if (err < 0) {
        return err;
    }
    s->class = (struct hw_class){.product_id = s->product.id, .revision = "A"};
    memset(s->class.uuid, 2, SF_UUID_SIZE);
    return store_class_add(tx, &s->class);
}

static void make_device(const struct seed *s, long number, struct device *d)
{
    *d = (struct device){.product_id = s->product.id,
                         .class_id = s->class.id,
                         .state = DEVICE_ENROLLED,
                         .enrolled_at = 1700000000,
                         .changed_at = 1700000000,
                         .desired_seq = 1,
                         .reported_at = 1700000000,
                         .running_length = 1300000};
    memcpy(d->class_uuid, s->class.uuid, SF_UUID_SIZE);
    (void)snprintf(d->id, sizeof(d->id), "%012lx", number + 1);
    (void)snprintf(d->running_version, sizeof(d->running_version), "1.%ld.0", number % 3);
    (void)snprintf(d->hw_revision, sizeof(d->hw_revision), "A");
    memset(d->secret_digest, 3, DIGEST_SIZE);
    memset(d->running_digest, 4 + (int)(number % 3), DIGEST_SIZE);
    for (size_t i = 0; i < sizeof(number); i++) {
        d->secret_digest[i] = (uint8_t)(number >> (8 * i));
    }
}

static int add_batch(struct store_tx *tx, void *arg)
{
    struct seed *s = arg;
    int err = SF_OK;
    for (int i = 0; err == SF_OK && i < BATCH && s->next < s->count; i++) {
        struct device device;
        make_device(s, s->next++, &device);
        const struct event event = {.kind = EVENT_ENROLLED};
        err = store_device_add(tx, &device, &event, device.enrolled_at);
    }
    return err;
}

static int run(struct store *store, struct seed *s)
{
    int err = store_run(store, add_product, s);
    while (err == SF_OK && s->next < s->count) {
        err = store_run(store, add_batch, s);
    }
    return err;
}

int main(int argc, char **argv)
{
    static struct seed s;
    s.count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (s.count < 1 || s.count > COUNT_MAX) {
        (void)fputs("usage: bench-seed DATA-DIR COUNT (1 to 10000000)\n", stderr);
        return 2;
    }
    char why[STORE_WHY_SIZE];
    int err = SF_OK;
    struct store *store = store_open(argv[1], &(struct store_options){0}, &err, why);
    if (store == NULL) {
        (void)fprintf(stderr, "bench-seed: %s\n", why);
        return 1;
    }
    err = run(store, &s);
    store_close(store);
    if (err < 0) {
        (void)fprintf(stderr, "bench-seed: %s\n", sf_err_str(err));
    }
    return err < 0;
}
