#ifndef TESTS_CLI_SHOP_H
#define TESTS_CLI_SHOP_H

#include "tests/cli/run.h"
#include "tests/support/esp_image.h"

/* A real surefootd with a product `lamp` (esp32c3, hardware revisions A and B) that `surefoot` is
 * logged in to, and its release key. */

enum { SHOP_IMAGE_SIZE = 20480, SHOP_SLOT_SIZE = 65536, SHOP_ID_SIZE = 80 };

struct shop {
    const char *key;           /* path */
    const char *device_option; /* one more word for surefoot-sim; NULL = none */
    uint8_t class_a[SF_UUID_SIZE];
    uint8_t class_b[SF_UUID_SIZE];
};

/* Within run_setup()'s folder. */
void shop_open(struct shop *s); /* served_stop() ends it */

/* Makes an image of lamp and publishes it; `class_uuid` class_a, class_b. Its path. */
const char *shop_image(const char *name, const struct esp_image_spec *spec);
void shop_publish(struct shop *s, const char *version, uint32_t seed,
                  const struct sf_behaviour *behaviour);

/* Lets `count` virtual devices, kept in the folder `state`, come to rest; they came with
 * lamp-1.0.0.bin. stdout has a JSON line each. Fails the test if they do not. */
struct run *shop_run_devices(const struct shop *s, const char *state, const char *count,
                             const char *speed);

/* The same with one device, fast; it runs `version` then. */
void shop_run_device(const struct shop *s, const char *state, const char *version,
                     char id[SHOP_ID_SIZE]);

/* `surefoot release export DIR -p lamp` with up to three more words, NULL = none. */
struct run *shop_export(const char *dir, const char *word1, const char *word2, const char *word3);

/* The JSON of a file in the test's folder; fails the test if it is none. */
json_t *shop_json(const char *path);

#endif
