#include "tests/cli/shop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/uuid.h"
#include "tests/cli/served.h"
#include "tests/support/vectors.h"

void shop_open(struct shop *s)
{
    uint8_t vendor[UUID_SIZE];
    assert_int_equal(served_start(), 0);
    assert_int_equal(uuid_vendor("example.com", vendor), SF_OK);
    assert_int_equal(uuid_class(vendor, "lamp", "A", s->class_a), SF_OK);
    assert_int_equal(uuid_class(vendor, "lamp", "B", s->class_b), SF_OK);
    s->key = run_path("release.pem");
    assert_int_equal(served_login(run_path("data/admin-token"), NULL), 0);
    assert_int_equal(served_make_lamp(), 0);
}

const char *shop_image(const char *name, const struct esp_image_spec *spec)
{
    static uint8_t image[SHOP_SLOT_SIZE];
    const char *path = run_path(name);
    run_write(path, image, esp_image_build(spec, image, sizeof image));
    return path;
}

void shop_publish(struct shop *s, const char *version, uint32_t seed,
                  const struct sf_behaviour *behaviour)
{
    char name[64];
    const struct esp_image_spec spec = {.size = SHOP_IMAGE_SIZE,
                                        .seed = seed,
                                        .class_uuid = s->class_a,
                                        .version = version,
                                        .behaviour = behaviour};
    snprintf(name, sizeof name, "lamp-%s.bin", version);
    run_expect(run_surefoot("release", "publish", shop_image(name, &spec), "-p", "lamp", "-k",
                            s->key, NULL),
               0, NULL);
}

struct run *shop_run_devices(const struct shop *s, const char *state, const char *count,
                             const char *speed)
{
    char status_key[RUN_PATH_MAX];
    snprintf(status_key, sizeof status_key, "%s", run_path("data/status-key.pub.pem"));
    static const char program[] = SF_BIN_DIR "/surefoot-sim";
    const char *const argv[] = {program,
                                "run",
                                "--server",
                                served_url(),
                                "--cacert",
                                run_path("data/ca.pem"),
                                "--firmware",
                                run_path("lamp-1.0.0.bin"),
                                "--release-key",
                                s->key,
                                "--status-key",
                                status_key,
                                "--enrol-token-file",
                                run_path("lamp.token"),
                                "--hw-revision",
                                "A",
                                "--devices",
                                count,
                                "--state",
                                run_path(state),
                                "--speed",
                                speed,
                                "--timeout",
                                "100",
                                "--json",
                                s->device_option,
                                NULL};
    struct run *r = run_program(argv);
    if (r->status != 0) {
        fail_msg("exit status %d: %s%s", r->status, r->out, r->err);
    }
    return r;
}

void shop_run_device(const struct shop *s, const char *state, const char *version,
                     char id[SHOP_ID_SIZE])
{
    struct run *r = shop_run_devices(s, state, "1", "600");
    char row[1024];
    snprintf(row, sizeof row, "%.*s", (int)strcspn(r->out, "\n"), r->out);
    json_t *device = json_loads(row, 0, NULL);
    assert_string_equal(vectors_text(device, "version"), version);
    snprintf(id, SHOP_ID_SIZE, "%s", vectors_text(device, "id"));
    json_decref(device);
}

struct run *shop_export(const char *dir, const char *word1, const char *word2, const char *word3)
{
    return run_surefoot("release", "export", dir, "-p", "lamp", word1, word2, word3, NULL);
}

json_t *shop_json(const char *path)
{
    size_t len = 0;
    uint8_t *text = run_read(path, &len);
    json_t *root = json_loadb((const char *)text, len, 0, NULL);
    free(text);
    assert_non_null(root);
    return root;
}
