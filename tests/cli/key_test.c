/* surefoot key. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/cli/run.h"

static const char *text_of(const json_t *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));
    assert_non_null(text);
    return text;
}

static void a_new_key_is_private_and_0600(void **state)
{
    (void)state;
    struct stat st;
    const char *path = run_path("a.pem");
    run_expect(run_surefoot("key", "new", path, NULL), 0, "private key, mode 0600");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void openssl_reads_the_key_and_agrees_on_the_public_part(void **state)
{
    (void)state;
    const char *path = run_path("b.pem");
    struct run *r = run_surefoot("key", "new", "--json", path, NULL);
    json_t *made = run_json(r);
    assert_int_equal(strlen(text_of(made, "kid")), 16);
    const char *const argv[] = {"openssl", "pkey", "-in", path, "-noout", "-text", NULL};
    r = run_program(argv);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "prime256v1"));
    /* "pub:" is followed by 04:x:y in lines of 15 bytes. */
    const char *pub = strstr(r->out, "pub:");
    const char *end = strstr(r->out, "ASN1 OID");
    assert_true(pub && end);
    char hex[256];
    size_t n = 0;
    for (const char *p = pub + 4; p < end && n + 1 < sizeof hex; p++) {
        if (strchr("0123456789abcdef", *p)) {
            hex[n++] = *p;
        }
    }
    hex[n] = '\0';
    assert_memory_equal(hex, "04", 2);
    assert_string_equal(hex + 2, text_of(made, "public_key"));
    json_decref(made);
}

static void show_tells_the_same_of_private_and_public_file(void **state)
{
    (void)state;
    const char *path = run_path("c.pem");
    run_expect(run_surefoot("key", "new", path, NULL), 0, "0600");
    const char *const argv[] = {
        "openssl", "pkey", "-in", path, "-pubout", "-out", run_path("c.pub.pem"), NULL};
    run_expect(run_program(argv), 0, NULL);
    json_t *private_json = run_json(run_surefoot("key", "show", "--json", path, NULL));
    json_t *public_json =
        run_json(run_surefoot("key", "show", "--json", run_path("c.pub.pem"), NULL));
    assert_string_equal(text_of(private_json, "kid"), text_of(public_json, "kid"));
    assert_string_equal(text_of(private_json, "public_key"), text_of(public_json, "public_key"));
    assert_true(json_is_true(json_object_get(private_json, "private")));
    assert_true(json_is_false(json_object_get(public_json, "private")));
    json_decref(private_json);
    json_decref(public_json);
}

static void show_prints_a_pem_without_the_private_part(void **state)
{
    (void)state;
    const char *path = run_path("d.pem");
    run_expect(run_surefoot("key", "new", path, NULL), 0, "0600");
    struct run *r = run_surefoot("key", "show", path, NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "-----BEGIN PUBLIC KEY-----"));
    assert_null(strstr(r->out, "PRIVATE"));
}

static void a_key_is_overwritten_only_with_force(void **state)
{
    (void)state;
    size_t len = 0;
    const char *path = run_path("e.pem");
    run_expect(run_surefoot("key", "new", path, NULL), 0, "0600");
    uint8_t *before = run_read(path, &len);
    run_expect(run_surefoot("key", "new", path, NULL), 4, "is there already");
    uint8_t *after = run_read(path, &len);
    assert_memory_equal(before, after, len);
    free(after);
    run_expect(run_surefoot("key", "new", "--force", path, NULL), 0, "0600");
    after = run_read(path, &len);
    assert_memory_not_equal(before, after, len);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    free(before);
    free(after);
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    const char *path = run_path("f.pem");
    run_write(path, "hello\n", 6);
    run_expect(run_surefoot("key", "show", path, NULL), 1, "holds no P-256 key");
    run_expect(run_surefoot("key", "show", run_path("none.pem"), NULL), 4, "no such file");
    run_expect(run_surefoot("key", "show", run_path("."), NULL), 4, "Is a directory");
    run_expect(run_surefoot("key", "show", "/dev/zero", NULL), 1, "holds no P-256 key");
    run_expect(run_surefoot("key", "new", run_path("no/folder.pem"), NULL), 4, "cannot write");
    const char *const argv[] = {"openssl", "genpkey",  "-algorithm",
                                "EC",      "-pkeyopt", "ec_paramgen_curve:secp384r1",
                                "-out",    path,       NULL};
    assert_int_equal(run_program(argv)->status, 0);
    run_expect(run_surefoot("key", "show", path, NULL), 1, "holds no P-256 key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_key_is_private_and_0600),
        cmocka_unit_test(openssl_reads_the_key_and_agrees_on_the_public_part),
        cmocka_unit_test(show_tells_the_same_of_private_and_public_file),
        cmocka_unit_test(show_prints_a_pem_without_the_private_part),
        cmocka_unit_test(a_key_is_overwritten_only_with_force),
        cmocka_unit_test(what_is_no_key_is_refused),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
