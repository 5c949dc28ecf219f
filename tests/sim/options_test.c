/* The simulator's command line: what it takes, and that each refusal is one helpful sentence. */
#include "sim/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/sbv2_sign.h"

/* The generator of P-256: a point of the curve. */
#define KEY_HEX                                                        \
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" \
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"

static int parse(const char *const *argv, struct options *out, char *error)
{
    static char words[32][256]; /* `out` points to them */
    char *copy[32] = {NULL};
    int argc = 0;
    while (argv[argc]) {
        snprintf(words[argc], sizeof(words[argc]), "%s", argv[argc]);
        copy[argc] = words[argc];
        argc++;
    }
    return options_parse(argc, copy, out, error);
}

#define PARSE(out, error, ...) \
    parse((const char *const[]){"surefoot-sim", __VA_ARGS__, NULL}, out, error)

#define GOOD_RUN                                                                           \
    "run", "--server", "https://localhost:8443", "--firmware", "app.bin", "--release-key", \
        KEY_HEX, "--status-key", (char[])                                                  \
    {                                                                                      \
        KEY_HEX                                                                            \
    }

static void a_run_has_defaults_for_all_but_server_firmware_and_keys(void **state)
{
    (void)state;
    struct options o;
    char error[OPTIONS_ERROR_SIZE];
    assert_int_equal(PARSE(&o, error, GOOD_RUN), SF_OK);
    assert_int_equal(o.command, OPTIONS_RUN);
    assert_int_equal(o.devices, 1);
    assert_int_equal(o.speed, 1);
    assert_int_equal(o.until, UNTIL_CONVERGED);
    assert_int_equal(o.release_key[0], 0x6b);
    assert_int_equal(o.status_key[63], 0xf5);
    assert_string_equal(o.enrol_token, "");
}

static void every_kind_of_value_is_taken(void **state)
{
    (void)state;
    struct options o;
    char error[OPTIONS_ERROR_SIZE];
    assert_int_equal(
        PARSE(&o, error, GOOD_RUN, "--devices=1000", "--until", "20", "--json", "--ramp", "3"),
        SF_OK);
    assert_int_equal(o.devices, 1000);
    assert_int_equal(o.until, UNTIL_SECONDS);
    assert_int_equal(o.until_s, 20);
    assert_int_equal(o.json, 1);
    assert_int_equal(o.ramp_ms, 3000);
    assert_int_equal(o.flash_encryption, 0);
    assert_int_equal(PARSE(&o, error, GOOD_RUN, "--anti-rollback"), SF_OK);
    assert_int_equal(o.anti_rollback, 1);
    assert_int_equal(PARSE(&o, error, GOOD_RUN, "--anti-rollback", "--no-rollback"), SF_ERR_RANGE);
    assert_non_null(strstr(error, "give one of --no-rollback and --anti-rollback"));
    assert_int_equal(PARSE(&o, error, GOOD_RUN, "--flash-encryption"), SF_OK);
    assert_int_equal(o.flash_encryption, 1);
    assert_int_equal(PARSE(&o, error, GOOD_RUN, "--until", "forever"), SF_OK);
    assert_int_equal(o.until, UNTIL_FOREVER);
}

static void a_static_tree_needs_no_status_key(void **state)
{
    (void)state;
    struct options o;
    char error[OPTIONS_ERROR_SIZE];
    assert_int_equal(PARSE(&o, error, "run", "--static", "https://fw.example.com/lamps",
                           "--firmware", "app.bin", "--release-key", KEY_HEX),
                     SF_OK);
    assert_string_equal(o.static_tree, "https://fw.example.com/lamps");
    assert_null(o.server);
}

static void the_token_is_the_first_line_of_its_file(void **state)
{
    (void)state;
    struct options o;
    char error[OPTIONS_ERROR_SIZE];
    char path[] = "/tmp/sf_options_test_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(PARSE(&o, error, GOOD_RUN, "--enrol-token-file", path), SF_ERR_FORMAT);
    assert_non_null(strstr(error, "no token"));
    assert_int_equal(write(fd, "sfe_abc\nrest\n", 13), 13);
    assert_int_equal(PARSE(&o, error, GOOD_RUN, "--enrol-token-file", path), SF_OK);
    assert_string_equal(o.enrol_token, "sfe_abc");
    close(fd);
    unlink(path);
}

static void a_secure_boot_key_is_known_by_its_digest(void **state)
{
    (void)state;
    struct options o;
    char error[OPTIONS_ERROR_SIZE];
    char path[] = "/tmp/sf_options_test_XXXXXX";
    struct sbv2_signer signer;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(PARSE(&o, error, GOOD_RUN), SF_OK);
    assert_int_equal(o.secure_boot, 0);
    assert_int_equal(PARSE(&o, error, GOOD_RUN, "--secure-boot-key", path), SF_ERR_FORMAT);
    assert_non_null(strstr(error, "is no key in PEM"));
    sbv2_signer_open(&signer, SF_SBV2_ECDSA_P256);
    sbv2_signer_save(&signer, path);
    assert_int_equal(PARSE(&o, error, GOOD_RUN, "--secure-boot-key", path), SF_OK);
    assert_int_equal(o.secure_boot, 1);
    assert_memory_equal(o.secure_boot_digest, signer.digest, SF_SHA256_SIZE);
    sbv2_signer_close(&signer);
    close(fd);
    unlink(path);
    assert_int_equal(PARSE(&o, error, GOOD_RUN, "--secure-boot-key", path), SF_ERR_IO);
}

static void assert_refused(int err, const char *error, const char *part)
{
    assert_true(err < 0);
    if (!strstr(error, part)) {
        fail_msg("'%s' does not say '%s'", error, part);
    }
    assert_null(strchr(error, '\n'));
}

static void bad_input_is_refused_in_one_sentence(void **state)
{
    (void)state;
    struct options o;
    char e[OPTIONS_ERROR_SIZE];
    assert_refused(PARSE(&o, e, "fly"), e, "unknown command 'fly'");
    assert_refused(PARSE(&o, e, "run"), e, "--server URL is missing");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--static", "https://a"), e,
                   "one of --server and --static");
    assert_refused(PARSE(&o, e, "run", "--static", "fw.example.com"), e, "'fw.example.com'");
    assert_refused(PARSE(&o, e, "run", "--static", "https://a", "--status-key", KEY_HEX), e,
                   "needs no --status-key");
    assert_refused(PARSE(&o, e, "run", "--static", "https://a", "--enrol-token-file", "x"), e,
                   "needs no --enrol-token-file");
    assert_refused(PARSE(&o, e, "run", "--server", "localhost"), e, "https://");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--flash", "x"), e, "either");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--devices", "0"), e, "1 to 65535");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--devices", "ten"), e, "'ten'");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--speed"), e, "--speed");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--sped"), e, "--sped");
    assert_refused(PARSE(&o, e, GOOD_RUN, "more"), e, "unexpected argument 'more'");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--until", "soon"), e, "converged");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--status-key", "/nonexistent"), e, "/nonexistent");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--status-key", "/"), e, "Is a directory");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--cacert", "/nonexistent"), e, "No such file");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--cacert", "/dev/null"), e, "no certificate");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--cacert", "/"), e, "no certificate");
    assert_refused(PARSE(&o, e, GOOD_RUN, "--hw-revision", "a text that is too long"), e,
                   "15 characters");
    assert_refused(PARSE(&o, e, "make-flash", "--firmware", "a"), e, "--output");
}

static void help_and_no_arguments_ask_for_help(void **state)
{
    (void)state;
    struct options o;
    char error[OPTIONS_ERROR_SIZE];
    assert_int_equal(parse((const char *const[]){"surefoot-sim", NULL}, &o, error), SF_OK);
    assert_int_equal(o.command, OPTIONS_HELP);
    assert_int_equal(PARSE(&o, error, "run", "--help"), SF_OK);
    assert_int_equal(o.command, OPTIONS_HELP);
    assert_int_equal(PARSE(&o, error, "--version"), SF_OK);
    assert_int_equal(o.command, OPTIONS_VERSION);
    assert_non_null(strstr(options_help(), "examples"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_has_defaults_for_all_but_server_firmware_and_keys),
        cmocka_unit_test(every_kind_of_value_is_taken),
        cmocka_unit_test(a_static_tree_needs_no_status_key),
        cmocka_unit_test(the_token_is_the_first_line_of_its_file),
        cmocka_unit_test(a_secure_boot_key_is_known_by_its_digest),
        cmocka_unit_test(bad_input_is_refused_in_one_sentence),
        cmocka_unit_test(help_and_no_arguments_ask_for_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
