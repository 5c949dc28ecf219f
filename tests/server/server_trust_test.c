/* Trust roots on the server: uploaded, served one by one, told to devices, and what may be
 * published under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "tests/server/fleet_kit.h"
#include "tests/support/root_kit.h"

enum { K0 = 1 << 0, K1 = 1 << 1, K2 = 1 << 2 };

static struct kit kit;
static struct root_kit keys;
static struct sf_root_draft draft; /* of the newest root on the server */

static int setup(void **state)
{
    (void)state;
    kit_init(&kit);
    root_kit_init(&keys);
    root_kit_draft(&keys, &draft);
    root_kit_remove(&keys, &draft, ROOT_KIT_STATUS);
    draft.key[draft.key_count++] =
        (struct sf_root_draft_key){.key = kit.status_key, .role = SF_ROLE_STATUS};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_release(&kit);
    root_kit_release(&keys);
    return 0;
}

/* The status of an upload; the error's code goes to `code`. */
static long upload_bytes(struct sf_bytes file, const char *bearer, char code[64])
{
    struct reply r;
    call(&kit.daemon,
         &(struct call){.path = "/api/v1/trust/roots",
                        .bearer = bearer,
                        .content_type = "application/cose",
                        .body = file.data,
                        .body_len = file.len},
         &r);
    assert_int_equal(r.curl, 0);
    json_t *answer = json_loadb((const char *)r.body, r.len, 0, NULL);
    (void)snprintf(code, 64, "%s", error_code(answer));
    json_decref(answer);
    const long status = r.status;
    reply_release(&r);
    return status;
}

static void upload(const struct sf_root_draft *d, unsigned signers, long status, const char *code)
{
    char found[64];
    uint8_t file[SF_ROOT_MAX];
    const struct sf_bytes in = root_kit_sign(&keys, d, signers, file);
    const long got = upload_bytes(in, kit.daemon.admin, found);
    assert_string_equal(found, code);
    assert_int_equal(got, status);
}

static long get_root(const char *version, struct reply *out)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/device/v1/root/%s", version);
    call(&kit.daemon, &(struct call){.path = path}, out);
    assert_int_equal(out->curl, 0);
    return out->status;
}

static void assert_served(const char *version, struct sf_bytes file)
{
    struct reply r;
    assert_int_equal(get_root(version, &r), 200);
    assert_int_equal(r.len, file.len);
    assert_memory_equal(r.body, file.data, file.len);
    assert_non_null(strstr(r.header, "application/cose"));
    reply_release(&r);
}

static void there_is_none_at_first(void **state)
{
    (void)state;
    static const char *const none[] = {"1",  "0",          "01",          "x",
                                       "-1", "4294967296", "99999999999", "1x"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        struct reply r;
        assert_int_equal(get_root(none[i], &r), 404);
        reply_release(&r);
    }
}

static void only_an_admin_uploads(void **state)
{
    (void)state;
    char code[64];
    uint8_t file[SF_ROOT_MAX];
    long status = 0;
    const struct sf_bytes in = root_kit_sign(&keys, &draft, K0 | K1, file);
    assert_int_equal(upload_bytes(in, NULL, code), 401);
    json_t *made = api(&kit.daemon, "POST", "/api/v1/tokens",
                       json_pack("{s:s, s:s}", "name", "op", "scope", "operator"), &status);
    assert_int_equal(upload_bytes(in, json_string_value(json_object_get(made, "token")), code),
                     403);
    json_decref(made);
}

static void a_root_that_no_device_would_take_is_refused(void **state)
{
    (void)state;
    char code[64];
    static uint8_t big[SF_ROOT_MAX + 1];
    struct sf_root_draft d = draft;
    upload(&d, K0, 422, "too_few_signatures");
    upload(&d, K0 | K1 | 1U << ROOT_KIT_RELEASE, 422, "other_key");
    assert_int_equal(
        upload_bytes((struct sf_bytes){(const uint8_t *)"root", 4}, kit.daemon.admin, code), 422);
    assert_string_equal(code, "bad_root");
    assert_int_equal(upload_bytes((struct sf_bytes){big, sizeof(big)}, kit.daemon.admin, code),
                     413);
    root_kit_draft(&keys, &d); /* its status key is another one than the server's */
    upload(&d, K0 | K1, 409, "other_status_key");
}

static void the_first_is_taken_and_served_as_it_is(void **state)
{
    (void)state;
    uint8_t file[SF_ROOT_MAX];
    char code[64];
    const struct sf_bytes in = root_kit_sign(&keys, &draft, K0 | K1, file);
    assert_int_equal(upload_bytes(in, kit.daemon.admin, code), 201);
    assert_served("1", in);
    assert_int_equal(upload_bytes(in, kit.daemon.admin, code), 201); /* the answer was lost */
    struct sf_root_draft other = draft;
    other.expires++;
    upload(&other, K0 | K1, 409, "other_version");
    assert_served("1", in);
}

static void then_one_after_the_other(void **state)
{
    (void)state;
    draft.version = 3;
    upload(&draft, K0 | K1, 409, "other_version");
    draft.version = 2;
    draft.fleet_id[3] ^= 1;
    upload(&draft, K0 | K1, 422, "other_fleet");
    draft.fleet_id[3] ^= 1;
    upload(&draft, K2, 422, "too_few_signatures");
    draft.epoch[SF_ROLE_RELEASE] = 4;
    upload(&draft, K1 | K2, 201, "");
    long status = 0;
    json_t *list = api(&kit.daemon, "GET", "/api/v1/trust/roots", NULL, &status);
    assert_int_equal(status, 200);
    const json_t *items = json_object_get(list, "items");
    assert_int_equal(json_array_size(items), 2);
    const json_t *second = json_array_get(items, 1);
    assert_int_equal(json_integer_value(json_object_get(second, "version")), 2);
    assert_int_equal(json_integer_value(json_object_get(second, "release_epoch")), 4);
    assert_string_equal(json_string_value(json_object_get(second, "uploaded_by")), "admin");
    json_decref(list);
}

static void assert_told(struct kit_device *dev, uint32_t has, uint32_t told)
{
    dev->report.root_version = has;
    assert_int_equal(kit_checkin(&kit, dev), 200);
    assert_int_equal(dev->status.root_version, told);
}

static void devices_are_told_the_newest_unless_they_have_bare_keys(void **state)
{
    (void)state;
    static struct kit_image image;
    static struct kit_device dev;
    kit_image(&kit, "1.0.0", &image);
    kit_device(&kit, "rooted-1", &image, "1.0.0", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    assert_told(&dev, 0, 0);
    assert_told(&dev, 1, 2);
    assert_told(&dev, 2, 2);
    assert_int_equal(daemon_stop(&kit.daemon), 0);
    daemon_start(&kit.daemon);
    assert_told(&dev, 2, 2); /* a restart knows it, too */
}

/* Publishes what the kit's keys with these numbers have signed. */
static long publish(const struct sf_manifest *m, const char *version, const unsigned *signer,
                    char code[64])
{
    uint8_t one[SF_ENVELOPE_MAX];
    uint8_t two[SF_ENVELOPE_MAX];
    struct sf_manifest copy = *m;
    int32_t len =
        sf_manifest_sign(&copy, &keys.signer[signer[0]], crypto_openssl(), one, sizeof(one));
    assert_true(len > 0);
    memcpy(two, one, (size_t)len);
    if (signer[1] != 0) {
        len = sf_envelope_cosign((struct sf_bytes){one, (size_t)len}, &keys.signer[signer[1]],
                                 crypto_openssl(), two, sizeof(two));
        assert_true(len > 0);
    }
    return kit_publish_envelope(&kit, (struct sf_bytes){two, (size_t)len}, version, code);
}

static void releases_are_signed_as_the_root_asks(void **state)
{
    (void)state;
    static struct kit_image image;
    static struct kit_device dev;
    struct sf_manifest m;
    char code[64];
    draft.version = 3;
    root_kit_add(&keys, &draft, SF_ROLE_RELEASE, ROOT_KIT_RELEASE + 1);
    draft.threshold[SF_ROLE_RELEASE] = 2;
    upload(&draft, K0 | K1, 201, "");
    kit_image(&kit, "2.0.0", &image);
    assert_int_equal(kit_upload(&kit, &image, code), 201);
    kit_manifest(&kit, &image, "2.0.0", &m);
    static const unsigned one[2] = {ROOT_KIT_RELEASE};
    static const unsigned stranger[2] = {ROOT_KIT_RELEASE, 10};
    static const unsigned both[2] = {ROOT_KIT_RELEASE, ROOT_KIT_RELEASE + 1};
    assert_int_equal(publish(&m, "2.0.0", one, code), 422);
    assert_string_equal(code, "too_few_signatures");
    assert_int_equal(publish(&m, "2.0.0", stranger, code), 422);
    assert_string_equal(code, "other_key");
    assert_int_equal(publish(&m, "2.0.0", both, code), 201);

    kit_target(&kit, "2.0.0");
    kit_image(&kit, "1.0.0", &image);
    kit_device(&kit, "rooted-2", &image, "1.0.0", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    assert_told(&dev, 3, 3);
    assert_int_equal(dev.status.has_target, 1);
    assert_int_equal(dev.status.target.epoch, 4);
    struct sf_public_key key[2] = {keys.key[both[0]].public_key, keys.key[both[1]].public_key};
    const struct sf_verifier by = {
        .key = key, .crypto = crypto_openssl(), .key_count = 2, .threshold = 2};
    assert_int_equal(sf_manifest_open_by(dev.parts.manifest, &by, &m, NULL), SF_OK);
}

static void who_did_it_is_in_the_audit_log(void **state)
{
    (void)state;
    long status = 0;
    json_t *list = api(&kit.daemon, "GET", "/api/v1/audit", NULL, &status);
    char *dump = json_dumps(list, 0);
    assert_non_null(strstr(dump, "root.upload"));
    free(dump);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_none_at_first),
        cmocka_unit_test(only_an_admin_uploads),
        cmocka_unit_test(a_root_that_no_device_would_take_is_refused),
        cmocka_unit_test(the_first_is_taken_and_served_as_it_is),
        cmocka_unit_test(then_one_after_the_other),
        cmocka_unit_test(devices_are_told_the_newest_unless_they_have_bare_keys),
        cmocka_unit_test(releases_are_signed_as_the_root_asks),
        cmocka_unit_test(who_did_it_is_in_the_audit_log),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
