/* surefoot trust: three root key holders, each with a folder's worth of files of their own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "formats/root.h"
#include "tests/cli/run.h"
#include "tests/cli/served.h"

enum { KEYS = 7 };
static const char *const key_name[KEYS][2] = {
    {"alice", "root"},      {"bob", "root"},      {"carol", "root"},    {"dave", "root"},
    {"release", "release"}, {"spare", "release"}, {"status", "status"},
};

static const char *pem(const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "%s.pem", name);
    return run_path(file);
}

static const char *pub(const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "%s.pub.pem", name);
    return run_path(file);
}

static void make_key(const char *name, const char *role)
{
    struct run *r = run_surefoot("key", "new", "--no-passphrase", "--role", role, pem(name), NULL);
    run_expect(r, 0, "NOT encrypted");
    run_write(pub(name), r->out, strlen(r->out));
}

static const char *kid(const char *name)
{
    static char text[17];
    json_t *shown = run_json(run_surefoot("key", "show", "--json", pub(name), NULL));
    snprintf(text, sizeof text, "%s", json_string_value(json_object_get(shown, "kid")));
    json_decref(shown);
    return text;
}

/* Version 1: alice, bob and carol, of whom two sign. */
static void init(const char *file, const char *status_key)
{
    run_expect(run_surefoot("trust", "init", "--root", pub("alice"), "--root", pub("bob"), "--root",
                            pub("carol"), "--release", pub("release"), "--status", status_key, "-o",
                            run_path(file), NULL),
               0, "not signed yet");
}

static void copy(const char *from, const char *to)
{
    size_t len = 0;
    uint8_t *data = run_read(run_path(from), &len);
    run_write(run_path(to), data, len);
    free(data);
}

/* `trusted` may be NULL. */
static struct run *sign(const char *file, const char *name, const char *trusted)
{
    return run_surefoot("trust", "sign", run_path(file), "--key", pem(name),
                        trusted ? "--trusted" : NULL, trusted ? run_path(trusted) : NULL, NULL);
}

static void verify(const char *first, const char *second, int status, const char *said)
{
    run_expect(
        run_surefoot("trust", "verify", run_path(first), second ? run_path(second) : NULL, NULL),
        status, said);
}

static int setup(void **state)
{
    if (run_setup(state) != 0) {
        return -1;
    }
    for (unsigned i = 0; i < KEYS; i++) {
        make_key(key_name[i][0], key_name[i][1]);
    }
    init("draft.root", pub("status"));
    copy("draft.root", "1.root");
    run_expect(sign("1.root", "alice", NULL), 0, NULL);
    run_expect(sign("1.root", "bob", NULL), 0, NULL);
    return 0;
}

/* ---- signing apart, together ---- */

static void two_machines_sign_copies_that_are_merged(void **state)
{
    (void)state;
    copy("draft.root", "a.root");
    copy("draft.root", "b.root");
    run_expect(sign("a.root", "carol", NULL), 0, NULL);
    verify("a.root", NULL, 1, "fewer valid signatures than the role's threshold");
    run_expect(sign("b.root", "alice", NULL), 0, NULL);
    json_t *merged = run_json(run_surefoot("trust", "merge", "--json", run_path("a.root"),
                                           run_path("b.root"), "-o", run_path("ab.root"), NULL));
    assert_true(json_is_true(json_object_get(merged, "complete")));
    assert_int_equal(json_array_size(json_object_get(merged, "signatures")), 2);
    json_decref(merged);
    verify("ab.root", NULL, 0, NULL);
    /* in any order, and with one of them twice, it is the same file */
    run_expect(run_surefoot("trust", "merge", run_path("b.root"), run_path("a.root"),
                            run_path("b.root"), "-o", run_path("ba.root"), NULL),
               0, NULL);
    size_t len[2];
    uint8_t *file[2] = {run_read(run_path("ab.root"), &len[0]),
                        run_read(run_path("ba.root"), &len[1])};
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(file[0], file[1], len[0]);
    /* and it is what the formats take */
    struct sf_root root;
    assert_int_equal(
        sf_root_open_first((struct sf_bytes){file[0], len[0]}, crypto_openssl(), &root, NULL),
        SF_OK);
    assert_int_equal(root.role[SF_ROLE_ROOT].threshold, 2);
    free(file[0]);
    free(file[1]);
}

static void signing_twice_counts_once(void **state)
{
    (void)state;
    copy("draft.root", "twice.root");
    run_expect(sign("twice.root", "alice", NULL), 0, NULL);
    struct run *r = sign("twice.root", "alice", NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "wanted still: 1 by its own root keys"));
    verify("twice.root", NULL, 1, "fewer valid signatures");
}

static void one_changed_byte_is_refused(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *file = run_read(run_path("1.root"), &len);
    assert_true(len > 500);
    for (size_t at = 0; at < len; at += 37) {
        file[at] ^= 1;
        run_write(run_path("bad.root"), file, len);
        assert_int_equal(run_surefoot("trust", "verify", run_path("bad.root"), NULL)->status, 1);
        file[at] ^= 1;
    }
    file[len - 1] ^= 1; /* in the last signature */
    run_write(run_path("bad.root"), file, len);
    run_expect(run_surefoot("trust", "merge", run_path("1.root"), run_path("bad.root"), "-o",
                            run_path("x.root"), NULL),
               1, "bad.root' has a signature that does not verify");
    free(file);
}

static void an_encrypted_root_key_signs(void **state)
{
    (void)state;
    run_write(run_path("pass"), "correct horse\n", 14);
    struct run *r = run_surefoot("key", "new", "--role", "root", "--passphrase-file",
                                 run_path("pass"), pem("erin"), NULL);
    run_expect(r, 0, "encrypted");
    run_expect(run_surefoot("trust", "init", "--root", pem("erin"), "--release", pub("release"),
                            "--status", pub("status"), "-o", run_path("e.root"), NULL),
               0, "not signed yet");
    run_expect(run_surefoot("trust", "sign", run_path("e.root"), "--key", pem("erin"),
                            "--passphrase-file", run_path("pass"), NULL),
               0, NULL);
    verify("e.root", NULL, 0, NULL);
}

/* ---- the next root ---- */

static void a_lost_root_key_is_replaced_by_the_other_two(void **state)
{
    (void)state;
    char stays[2][17];
    snprintf(stays[0], sizeof stays[0], "%s", kid("bob"));
    snprintf(stays[1], sizeof stays[1], "%s", kid("carol"));
    run_expect(run_surefoot("trust", "rotate", run_path("1.root"), "--root", stays[0], "--root",
                            stays[1], "--root", pub("dave"), "-o", run_path("2.root"), NULL),
               0, "not signed yet");
    run_expect(sign("2.root", "dave", "1.root"), 0, NULL);
    verify("1.root", "2.root", 1, "fewer valid signatures"); /* by a new key alone */
    run_expect(sign("2.root", "carol", "1.root"), 0, NULL);
    verify("1.root", "2.root", 1, "fewer valid signatures"); /* two new ones, one old */
    run_expect(sign("2.root", "bob", "1.root"), 0, NULL);
    verify("1.root", "2.root", 0, NULL);
    run_expect(sign("2.root", "alice", "1.root"), 0, NULL); /* found again, of the old root */
    verify("1.root", "2.root", 0, NULL);
    run_expect(run_surefoot("trust", "rotate", run_path("2.root"), "-o", run_path("3.root"), NULL),
               0, "not signed yet");
    run_expect(sign("3.root", "alice", "2.root"), 1, "is no root key of");
    run_expect(sign("3.root", "dave", "2.root"), 0, NULL);
    run_expect(sign("3.root", "bob", "2.root"), 0, NULL);
    run_expect(sign("3.root", "carol", "2.root"), 0, NULL);
    run_expect(run_surefoot("trust", "verify", run_path("1.root"), run_path("2.root"),
                            run_path("3.root"), NULL),
               0, NULL);
    verify("1.root", "3.root", 1, "not the trust root right after the trusted one");
}

static void a_stolen_release_key_begins_an_epoch(void **state)
{
    (void)state;
    run_expect(run_surefoot("trust", "rotate", run_path("1.root"), "--stolen", "release", "-o",
                            run_path("s.root"), NULL),
               2, "--stolen release goes with --release");
    struct run *r =
        run_surefoot("trust", "rotate", "--json", run_path("1.root"), "--release", pub("spare"),
                     "--stolen", "release", "-o", run_path("s.root"), NULL);
    json_t *made = run_json(r);
    const json_t *release = json_object_get(json_object_get(made, "roles"), "release");
    assert_int_equal(json_integer_value(json_object_get(release, "epoch")), 1);
    assert_int_equal(json_array_size(json_object_get(release, "added")), 1);
    assert_int_equal(json_array_size(json_object_get(release, "removed")), 1);
    assert_int_equal(json_integer_value(json_object_get(made, "version")), 2);
    assert_int_equal(json_integer_value(json_object_get(made, "missing_before")), 2);
    json_decref(made);
    /* two may sign releases from now on, and both must */
    run_expect(run_surefoot("trust", "rotate", run_path("1.root"), "--release", pub("spare"),
                            "--release", pub("release"), "--release-threshold", "2", "-o",
                            run_path("two.root"), NULL),
               0, "not signed yet");
}

static void revoked_manifests_are_kept_and_added_to(void **state)
{
    (void)state;
    static const char digest[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    static const char class_uuid[] = "7f1c4a52-6a0e-5a53-8c5e-2f3d0c1b9a77";
    char minimum[64];
    snprintf(minimum, sizeof minimum, "%s=20", class_uuid);
    run_expect(run_surefoot("trust", "revoke", run_path("1.root"), "--manifest", digest,
                            "--minimum", minimum, "-o", run_path("r2.root"), NULL),
               0, "not signed yet");
    run_expect(sign("r2.root", "alice", "1.root"), 0, NULL);
    run_expect(sign("r2.root", "carol", "1.root"), 0, NULL);
    verify("1.root", "r2.root", 0, NULL);
    json_t *next = run_json(run_surefoot("trust", "rotate", "--json", run_path("r2.root"), "-o",
                                         run_path("r3.root"), NULL));
    assert_string_equal(json_string_value(json_array_get(json_object_get(next, "revoked"), 0)),
                        digest);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(next, "minimum_seq"), class_uuid)), 20);
    json_decref(next);
    snprintf(minimum, sizeof minimum, "%s=19", class_uuid);
    run_expect(run_surefoot("trust", "revoke", run_path("r2.root"), "--minimum", minimum, "-o",
                            run_path("r3.root"), NULL),
               1, "is 20 already, and is never lowered");
}

/* ---- showing ---- */

static void the_c_header_has_the_file_s_bytes(void **state)
{
    (void)state;
    size_t len = 0;
    size_t n = 0;
    uint8_t *file = run_read(run_path("1.root"), &len);
    struct run *r = run_surefoot("trust", "show", "--c-header", run_path("1.root"), NULL);
    run_expect(r, 0, NULL);
    char size[64];
    snprintf(size, sizeof size, "surefoot_trust_root[%zu] = {", len);
    const char *at = strstr(r->out, size);
    assert_non_null(at);
    while ((at = strstr(at, "0x")) != NULL && n < len) {
        assert_int_equal(strtoul(at, NULL, 16), file[n++]);
        at += 2;
    }
    assert_int_equal(n, len);
    assert_null(at);
    free(file);
    run_expect(run_surefoot("trust", "show", "--c-header", run_path("draft.root"), NULL), 1,
               "is not signed by enough of its own root keys");
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    static const char digest[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    run_expect(sign("1.root", "release", NULL), 1, "is a release key, and a root key belongs here");
    run_expect(sign("1.root", "dave", NULL), 1, "is no root key of");
    run_expect(sign("none.root", "alice", NULL), 4, "none.root': No such file");
    run_expect(run_surefoot("trust", "show", pem("alice"), NULL), 1, "is no trust root");
    run_expect(run_surefoot("trust", "init", "--root", pub("alice"), "--release", pub("release"),
                            "-o", run_path("x.root"), NULL),
               2, "--status FILE is missing");
    run_expect(run_surefoot("trust", "init", "--root", pub("alice"), "--release", pub("status"),
                            "--status", pub("status"), "-o", run_path("x.root"), NULL),
               1, "is a status key, and a release key belongs here");
    run_expect(run_surefoot("trust", "init", "--root", pub("alice"), "--root", pub("alice"),
                            "--release", pub("release"), "--status", pub("status"), "-o",
                            run_path("x.root"), NULL),
               1, "is the key of root already");
    run_expect(run_surefoot("trust", "rotate", run_path("1.root"), "--root-threshold", "4", "-o",
                            run_path("x.root"), NULL),
               1, "the root role has 3 keys, and 4 must sign");
    run_expect(run_surefoot("trust", "rotate", run_path("1.root"), "--days", "0", "-o",
                            run_path("x.root"), NULL),
               2, "--days wants at least 1");
    run_expect(
        run_surefoot("trust", "rotate", run_path("draft.root"), "-o", run_path("x.root"), NULL), 1,
        "is not signed by enough of its own root keys");
    run_expect(run_surefoot("trust", "revoke", run_path("1.root"), "-o", run_path("x.root"), NULL),
               2, "nothing to revoke");
    run_expect(run_surefoot("trust", "revoke", run_path("1.root"), "--manifest", pem("alice"), "-o",
                            run_path("x.root"), NULL),
               1, "is neither a manifest nor a digest");
    run_expect(run_surefoot("trust", "revoke", run_path("1.root"), "--minimum", "lamp=3", "-o",
                            run_path("x.root"), NULL),
               2, "--minimum wants CLASS=SEQ");
    run_expect(run_surefoot("trust", "revoke", run_path("1.root"), "--manifest", digest, "-o",
                            run_path("w2.root"), NULL),
               0, "not signed yet");
    run_expect(sign("w2.root", "alice", NULL), 2, "name version 1, which you trust already");
    run_expect(sign("w2.root", "alice", "w2.root"), 1, "is version 2 and does not follow");
    run_expect(run_surefoot("trust", "merge", run_path("1.root"), run_path("draft.root"), "-o",
                            run_path("x.root"), NULL),
               0, NULL);
    init("other.root", pub("status"));
    run_expect(run_surefoot("trust", "merge", run_path("1.root"), run_path("other.root"), "-o",
                            run_path("x.root"), NULL),
               1, "are different trust roots");
}

/* ---- the server ---- */

static void a_complete_root_is_uploaded(void **state)
{
    (void)state;
    assert_int_equal(served_start(), 0);
    assert_int_equal(served_login(run_path("data/admin-token"), NULL), 0);
    init("p1.root", run_path("data/status-key.pub.pem"));
    run_expect(sign("p1.root", "alice", NULL), 0, NULL);
    run_expect(run_surefoot("trust", "upload", run_path("p1.root"), NULL), 1,
               "cannot be uploaded yet; wanted still: 1 by its own root keys");
    run_expect(sign("p1.root", "carol", NULL), 0, NULL);
    run_expect(run_surefoot("trust", "upload", run_path("1.root"), NULL), 1,
               "does not list this server's status key");
    run_expect(run_surefoot("trust", "upload", run_path("p1.root"), NULL), 0, NULL);
    run_expect(run_surefoot("trust", "upload", run_path("p1.root"), NULL), 0, NULL);
    /* anyone fetches it as it was signed */
    char url[256];
    snprintf(url, sizeof url, "%s/device/v1/root/1", served_url());
    const char *const curl[] = {"curl",      "-sS",
                                "--noproxy", "*",
                                "--cacert",  run_path("data/ca.pem"),
                                "-o",        run_path("got.root"),
                                url,         NULL};
    run_expect(run_program(curl), 0, NULL);
    const char *const cmp[] = {"cmp", run_path("got.root"), run_path("p1.root"), NULL};
    run_expect(run_program(cmp), 0, NULL);
    run_expect(run_surefoot("trust", "rotate", run_path("p1.root"), "--release", pub("spare"), "-o",
                            run_path("p2.root"), NULL),
               0, "not signed yet");
    run_expect(sign("p2.root", "alice", "p1.root"), 0, NULL);
    run_expect(sign("p2.root", "bob", "p1.root"), 0, NULL);
    json_t *answer = run_json(run_surefoot("trust", "upload", "--json", run_path("p2.root"), NULL));
    assert_int_equal(json_integer_value(json_object_get(answer, "version")), 2);
    json_decref(answer);
    assert_int_equal(served_stop(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_machines_sign_copies_that_are_merged),
        cmocka_unit_test(signing_twice_counts_once),
        cmocka_unit_test(one_changed_byte_is_refused),
        cmocka_unit_test(an_encrypted_root_key_signs),
        cmocka_unit_test(a_lost_root_key_is_replaced_by_the_other_two),
        cmocka_unit_test(a_stolen_release_key_begins_an_epoch),
        cmocka_unit_test(revoked_manifests_are_kept_and_added_to),
        cmocka_unit_test(the_c_header_has_the_file_s_bytes),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(a_complete_root_is_uploaded),
    };
    return cmocka_run_group_tests(tests, setup, run_teardown);
}
