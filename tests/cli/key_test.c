/* surefoot key. */

#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/uuid.h"
#include "formats/err.h"
#include "tests/cli/run.h"
#include "tests/support/esp_image.h"

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
    run_expect(run_surefoot("key", "new", "--no-passphrase", path, NULL), 0,
               "private release key, mode 0600, NOT encrypted");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void openssl_reads_the_key_and_agrees_on_the_public_part(void **state)
{
    (void)state;
    const char *path = run_path("b.pem");
    struct run *r = run_surefoot("key", "new", "--no-passphrase", "--json", path, NULL);
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
    run_expect(run_surefoot("key", "new", "--no-passphrase", path, NULL), 0, "0600");
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
    run_expect(run_surefoot("key", "new", "--no-passphrase", path, NULL), 0, "0600");
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
    run_expect(run_surefoot("key", "new", "--no-passphrase", path, NULL), 0, "0600");
    uint8_t *before = run_read(path, &len);
    run_expect(run_surefoot("key", "new", "--no-passphrase", path, NULL), 4, "is there already");
    uint8_t *after = run_read(path, &len);
    assert_memory_equal(before, after, len);
    free(after);
    run_expect(run_surefoot("key", "new", "--no-passphrase", "--force", path, NULL), 0, "0600");
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

/* ---- encrypted ---- */

static void sign_text(const char *key, const char *passphrase_file, int status, const char *said)
{
    static const char *const args[] = {"--vendor",      "example.com", "--product", "lamp",
                                       "--hw-revision", "A",           "--seq",     "2"};
    run_expect(run_surefoot("manifest", "sign", "--image", run_path("app.bin"), "--key", key,
                            args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7],
                            "-o", run_path("out.suit"),
                            passphrase_file ? "--passphrase-file" : NULL, passphrase_file, NULL),
               status, said);
}

static void verify_by(const char *key)
{
    run_expect(run_surefoot("manifest", "verify", "--key", key, run_path("out.suit"), NULL), 0,
               NULL);
}

static void an_encrypted_key_signs_with_its_passphrase(void **state)
{
    (void)state;
    const char *key = run_path("locked.pem");
    const char *pass = run_path("pass");
    const char *wrong = run_path("wrong");
    run_write(pass, "correct horse battery\r\nnot this\n", 33);
    run_write(wrong, "correct horse\n", 14);
    run_expect(run_surefoot("key", "new", "--passphrase-file", pass, key, NULL), 0, "encrypted");
    size_t len = 0;
    uint8_t *text = run_read(key, &len);
    assert_non_null(memmem(text, len, "ENCRYPTED PRIVATE KEY", 21));
    assert_null(memmem(text, len, "BEGIN PRIVATE KEY", 17));
    free(text);
    sign_text(key, pass, 0, NULL);
    verify_by(key);
    sign_text(key, wrong, 1, "this is not the passphrase of");
    sign_text(key, run_path("none"), 4, "cannot read the passphrase from");
    run_write(wrong, "\n", 1);
    sign_text(key, wrong, 1, "this is not the passphrase of");
    run_write(wrong, "", 0);
    sign_text(key, wrong, 4, "its first line is empty or no text");
    /* NOLINTBEGIN(concurrency-mt-unsafe): one thread */
    setenv("SUREFOOT_PASSPHRASE_FILE", pass, 1);
    sign_text(key, NULL, 0, NULL);
    unsetenv("SUREFOOT_PASSPHRASE_FILE");
    /* NOLINTEND(concurrency-mt-unsafe) */
    json_t *shown = run_json(run_surefoot("key", "show", "--json", key, NULL));
    assert_true(json_is_true(json_object_get(shown, "encrypted")));
    assert_string_equal(text_of(shown, "role"), "release");
    json_decref(shown);
}

static void a_short_passphrase_is_refused(void **state)
{
    (void)state;
    const char *pass = run_path("short");
    run_write(pass, "1234567\n", 8);
    run_expect(run_surefoot("key", "new", "--passphrase-file", pass, run_path("s.pem"), NULL), 1,
               "shorter than 8 characters");
    assert_int_not_equal(access(run_path("s.pem"), F_OK), 0);
    run_expect(run_surefoot("key", "new", "--passphrase-file", pass, "--no-passphrase",
                            run_path("s.pem"), NULL),
               2, "--no-passphrase goes with neither");
}

static void without_a_terminal_the_ways_are_told(void **state)
{
    (void)state;
    static const char program[] = SF_BIN_DIR "/surefoot";
    const char *const argv[] = {"setsid", program, "key", "new", run_path("t.pem"), NULL};
    struct run *r = run_program(argv);
    run_expect(r, 2, "there is no terminal to ask for the passphrase");
    run_expect(r, 2, "--passphrase-file or SUREFOOT_PASSPHRASE_FILE; --no-passphrase");
}

/* What a terminal of its own shows while `key new FILE` runs and these lines are typed; the exit
 * status. A line goes out only after ": " has asked for it, as a person would have it. */
static int at_terminal(const char *file, const char *const *lines, char *shown, size_t size)
{
    int tty = -1;
    int status = -1;
    size_t len = 0;
    ssize_t n = 0;
    const pid_t pid = forkpty(&tty, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(SF_BIN_DIR "/surefoot", "surefoot", "key", "new", file, (char *)NULL);
        _exit(127);
    }
    while (len + 1 < size && (n = read(tty, shown + len, size - 1 - len)) > 0) {
        len += (size_t)n;
        shown[len] = '\0';
        if (*lines && len >= 2 && strcmp(shown + len - 2, ": ") == 0) {
            assert_int_equal(write(tty, *lines, strlen(*lines)), strlen(*lines));
            lines++;
        }
    }
    shown[len] = '\0';
    close(tty);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_terminal_asks_twice_and_does_not_echo(void **state)
{
    (void)state;
    char shown[8192];
    const char *file = run_path("typed.pem");
    const char *const differ[] = {"first of two\n", "second of two\n", NULL};
    assert_int_equal(at_terminal(file, differ, shown, sizeof shown), 1);
    assert_non_null(strstr(shown, "the two differ; nothing was made"));
    assert_int_not_equal(access(file, F_OK), 0);
    const char *const same[] = {"the same twice\n", "the same twice\n", NULL};
    assert_int_equal(at_terminal(file, same, shown, sizeof shown), 0);
    assert_non_null(strstr(shown, "new passphrase of the key: "));
    assert_null(strstr(shown, "the same twice"));
    run_write(run_path("typed"), "the same twice", 14);
    sign_text(file, run_path("typed"), 0, NULL);
}

/* ---- roles ---- */

static void a_key_of_another_role_is_refused(void **state)
{
    (void)state;
    const char *key = run_path("status.pem");
    run_expect(run_surefoot("key", "new", "--no-passphrase", "--role", "status", key, NULL), 0,
               "private status key");
    sign_text(key, NULL, 1, "is a status key, and a release key belongs here");
    run_expect(run_surefoot("manifest", "verify", "--key", key, run_path("out.suit"), NULL), 1,
               "is a status key, and a release key belongs here");
    run_expect(run_surefoot("key", "show", "--role", "root", key, NULL), 1,
               "is a status key, and a root key belongs here");
    run_expect(run_surefoot("key", "new", "--role", "boss", run_path("x.pem"), NULL), 2,
               "'boss' is no role");
    run_write(run_path("odd.pem"), "role emperor\n", 13);
    run_expect(run_surefoot("key", "show", run_path("odd.pem"), NULL), 1,
               "a role that this version does not know");
}

static void what_show_prints_is_a_key_file(void **state)
{
    (void)state;
    const char *key = run_path("role.pem");
    const char *copy = run_path("role.pub.pem");
    struct run *r = run_surefoot("key", "new", "--no-passphrase", "--role", "root", key, NULL);
    run_write(copy, r->out, strlen(r->out));
    r = run_surefoot("key", "show", copy, NULL);
    size_t len = 0;
    uint8_t *text = run_read(copy, &len);
    assert_int_equal(strlen(r->out), len);
    assert_memory_equal(r->out, text, len);
    assert_memory_equal(text, "role        root\n", 17);
    free(text);
}

/* ---- tokens ---- */

#define MODULE      "/usr/lib/softhsm/libsofthsm2.so"
#define URI(object) "pkcs11:token=Surefoot;object=" object "?module-path=" MODULE

/* A SoftHSM2 token in the test's folder. 0: there is no SoftHSM2 here. */
static int make_token(void)
{
    char conf[RUN_PATH_MAX + 64];
    const char *const folder[] = {"mkdir", "-p", run_path("tokens"), NULL};
    const char *const argv[] = {"softhsm2-util", "--init-token", "--free", "--label", "Surefoot",
                                "--so-pin",      "87654321",     "--pin",  "4321",    NULL};
    if (access(MODULE, R_OK) != 0) {
        print_message("SoftHSM2 is not here: nothing was done with tokens\n");
        return 0;
    }
    assert_int_equal(run_program(folder)->status, 0);
    const int n = snprintf(conf, sizeof conf, "directories.tokendir = %s\nlog.level = ERROR\n",
                           run_path("tokens"));
    run_write(run_path("softhsm2.conf"), conf, (size_t)n);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    setenv("SOFTHSM2_CONF", run_path("softhsm2.conf"), 1);
    assert_int_equal(run_program(argv)->status, 0);
    run_write(run_path("pin"), "4321\n", 5);
    run_write(run_path("bad-pin"), "9999\n", 5);
    return 1;
}

static void a_key_in_a_token_signs(void **state)
{
    (void)state;
    const char *key = run_path("token.pem");
    const char *pin = run_path("pin");
    if (!make_token()) {
        skip();
    }
    run_expect(
        run_surefoot("key", "new", "--passphrase-file", pin, "--token", URI("release"), key, NULL),
        0, "is in the token, where it stays");
    sign_text(key, pin, 0, NULL);
    verify_by(key);
    sign_text(URI("release"), pin, 0, NULL);
    verify_by(URI("release"));
    char with_source[512];
    snprintf(with_source, sizeof with_source, "%s&pin-source=file:%s", URI("release"), pin);
    sign_text(with_source, NULL, 0, NULL);
    json_t *shown = run_json(run_surefoot("key", "show", "--json", key, NULL));
    assert_string_equal(text_of(shown, "token"), URI("release"));
    assert_string_equal(text_of(shown, "role"), "release");
    assert_true(json_is_false(json_object_get(shown, "private")));
    json_decref(shown);
    run_expect(run_surefoot("key", "new", "--passphrase-file", pin, "--token", URI("release"),
                            run_path("again.pem"), NULL),
               1, "has a key of that name already");
}

static void what_is_wrong_with_a_token_is_told(void **state)
{
    (void)state;
    const char *pin = run_path("pin");
    if (access(pin, F_OK) != 0) {
        skip();
    }
    sign_text(run_path("token.pem"), run_path("bad-pin"), 1,
              "this is not the PIN of token 'Surefoot'");
    sign_text("pkcs11:token=Lost;object=release?module-path=" MODULE, pin, 4,
              "no PKCS#11 token fits the URI: is it plugged in");
    sign_text(URI("other"), pin, 1, "has no private key that fits the URI");
    sign_text("pkcs11:token=Surefoot;object=release?module-path=/nowhere.so", pin, 4,
              "cannot load the PKCS#11 module '/nowhere.so'");
    sign_text("pkcs11:token=Surefoot?module-path=" MODULE, pin, 2, "the URI names no key");
    sign_text("pkcs11:nonsense", pin, 2, "this is no usable PKCS#11 URI");
    sign_text(URI("release") "&pin-value=4321", pin, 2, "the URI carries the PIN");
    assert_null(
        strstr(run_surefoot("key", "show", URI("release") "&pin-value=4321", NULL)->err, "4321"));
    run_expect(run_surefoot("key", "new", "--token", "nonsense", run_path("n.pem"), NULL), 2,
               "--token wants a URI");
    /* the token is another one than the file was made with */
    const char *const argv[] = {"sed", "-i", "s/object=release/object=twin/", run_path("token.pem"),
                                NULL};
    run_expect(run_surefoot("key", "new", "--passphrase-file", pin, "--token", URI("twin"),
                            run_path("twin.pem"), NULL),
               0, "in the token");
    assert_int_equal(run_program(argv)->status, 0);
    sign_text(run_path("token.pem"), pin, 1, "is another one than the key file says");
}

static int setup(void **state)
{
    static uint8_t image[8192];
    uint8_t vendor[SF_UUID_SIZE];
    uint8_t class_uuid[SF_UUID_SIZE];
    if (uuid_vendor("example.com", vendor) != SF_OK ||
        uuid_class(vendor, "lamp", "A", class_uuid) != SF_OK || run_setup(state) != 0) {
        return -1;
    }
    const struct esp_image_spec spec = {.size = sizeof image, .class_uuid = class_uuid};
    run_write(run_path("app.bin"), image, esp_image_build(&spec, image, sizeof image));
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    return unsetenv("SUREFOOT_PASSPHRASE_FILE");
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
        cmocka_unit_test(an_encrypted_key_signs_with_its_passphrase),
        cmocka_unit_test(a_short_passphrase_is_refused),
        cmocka_unit_test(without_a_terminal_the_ways_are_told),
        cmocka_unit_test(a_terminal_asks_twice_and_does_not_echo),
        cmocka_unit_test(a_key_of_another_role_is_refused),
        cmocka_unit_test(what_show_prints_is_a_key_file),
        cmocka_unit_test(a_key_in_a_token_signs),
        cmocka_unit_test(what_is_wrong_with_a_token_is_told),
    };
    return cmocka_run_group_tests(tests, setup, run_teardown);
}
