/* What goes wrong at people's desks: does the sentence say what is wrong, where, and what to do?
 * Each row is a command line; "@name" is a file of the folder. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/cli/https.h"
#include "tests/cli/run.h"
#include "tests/support/esp_image.h"

enum { WORDS_MAX = 12, IMAGE_SIZE = 8192 };

struct row {
    const char *words[WORDS_MAX];
    int status;
    const char *said[3]; /* each stands on stderr */
};

static void shell(const char *script)
{
    const char *const argv[] = {"sh", "-ec", script, run_path("."), NULL};
    struct run *r = run_program(argv);
    if (r->status != 0) {
        fail_msg("%s: %s", script, r->err);
    }
}

static int setup(void **state)
{
    static uint8_t image[IMAGE_SIZE];
    if (run_setup(state) != 0) {
        return -1;
    }
    signal(SIGPIPE, SIG_IGN);
    const struct esp_image_spec spec = {.size = IMAGE_SIZE};
    run_write(run_path("app.bin"), image, esp_image_build(&spec, image, sizeof image));
    run_write(run_path("cut.bin"), image, 1000);
    image[0] = 0xff;
    run_write(run_path("flash.bin"), image, sizeof image);
    run_write(run_path("app.elf"), "\177ELF\1\1\1", 7);
    run_write(run_path("empty"), "", 0);
    run_write(run_path("text"), "hello\n", 6);
    shell("cd \"$0\"; mkdir folder;"
          "openssl ecparam -name prime256v1 -genkey -noout -out good.pem;"
          "openssl ec -in good.pem -aes256 -passout pass:x -out encrypted.pem;"
          "openssl pkcs8 -topk8 -in good.pem -passout pass:x -out encrypted8.pem;"
          "openssl ec -in good.pem -pubout -out public.pem;"
          "openssl ecparam -name secp384r1 -genkey -noout -out p384.pem;"
          "openssl genpkey -algorithm ed25519 -out ed25519.pem;"
          "openssl pkey -in ed25519.pem -pubout -out ed25519-public.pem;"
          "openssl req -x509 -key good.pem -subj /CN=x -out certificate.pem;"
          "cp good.pem open.pem; chmod 644 open.pem");
    return 0;
}

static void expect_row(const struct row *row)
{
    const char *w[WORDS_MAX];
    unsigned n = 0;
    for (; n < WORDS_MAX && row->words[n]; n++) {
        w[n] = row->words[n][0] == '@' ? run_path(row->words[n] + 1) : row->words[n];
    }
    const char *argv[WORDS_MAX + 2] = {SF_BIN_DIR "/surefoot"};
    memcpy(argv + 1, w, n * sizeof w[0]);
    struct run *r = run_program(argv);
    for (unsigned i = 0; i < 3 && row->said[i]; i++) {
        run_expect(r, row->status, row->said[i]);
    }
}

#define SIGN(key)                                                                        \
    {                                                                                    \
        "manifest", "sign", "--vendor=example.com", "--product=lamp", "--hw-revision=A", \
            "--image", "@app.bin", "--key", key, "--seq=1", "--output=/dev/null"         \
    }

static void a_key_file_that_holds_none_is_told_by_what_it_is(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{"key", "show", "@none.pem"}, 4, {"none.pem': there is no such file"}},
        {{"key", "show", "@folder"}, 4, {"folder': Is a directory"}},
        {{"key", "show", "@empty"}, 1, {"it is empty", "`surefoot key new` makes one"}},
        {{"key", "show", "@text"}, 1, {"it is no PEM file"}},
        {{"key", "show", "@app.bin"}, 1, {"it is no PEM file"}},
        {{"key", "show", "@encrypted.pem"}, 1, {"it is encrypted", "`openssl pkey -in"}},
        {{"key", "show", "@encrypted8.pem"}, 1, {"it is encrypted", "`openssl pkey -in"}},
        {{"key", "show", "@p384.pem"}, 1, {"another curve than P-256"}},
        {{"key", "show", "@ed25519.pem"}, 1, {"another kind than P-256"}},
        {{"key", "show", "@ed25519-public.pem"}, 1, {"another kind than P-256"}},
        {{"key", "show", "@certificate.pem"}, 1, {"it holds a certificate"}},
        {SIGN("@public.pem"), 1, {"holds no private P-256 key", "it holds only the public half"}},
        {SIGN("@encrypted.pem"), 1, {"it is encrypted", "`openssl pkcs8 -topk8"}},
        {SIGN("@none.pem"), 4, {"there is no such file"}},
        {SIGN("@open.pem"), 1, {"others can read the private key", "chmod 600"}},
        {{"key", "new", "@no/key.pem"}, 4, {"no/key.pem': its folder is not there"}},
        {{"key", "new", "@good.pem"}, 4, {"is there already", "--force would, and lose the key"}},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_row(&rows[i]);
    }
}

static void what_is_given_in_an_image_s_place_is_told(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{"image", "info", "@none.bin"}, 4, {"none.bin': No such file or directory"}},
        {{"image", "info", "@folder"}, 4, {"folder': Is a directory"}},
        {{"image", "verify", "@empty"}, 1, {"empty' is refused", "the file is empty"}},
        {{"image", "verify", "@app.elf"}, 1, {"this is an ELF file", "`surefoot image from-elf`"}},
        {{"image", "verify", "@good.pem"}, 1, {"this is a PEM file"}},
        {{"image", "verify", "@flash.bin"}, 1, {"give the app's own .bin, not a whole flash"}},
        {{"image", "verify", "@cut.bin"}, 1, {"the image ends too early"}},
        {{"image", "info", "@empty"}, 1, {"empty' would not boot", "the file is empty"}},
        {{"image", "verify", "@app.bin", "--chip", "esp32s3"},
         1,
         {"the image is for another chip: esp32c3, not esp32s3"}},
        {{"image", "verify", "@app.bin", "--slot-size", "4096"},
         1,
         {"it has 8192 bytes, the slot 4096"}},
        {{"image", "verify", "@app.bin", "--class", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
         1,
         {"another product or hardware revision: 5a110000-"}},
        {{"image", "verify", "@app.bin", "--chip", "esp23"},
         2,
         {"unknown chip 'esp23'; there are"}},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_row(&rows[i]);
    }
}

static void a_server_that_is_not_there_or_not_one_is_told(void **state)
{
    (void)state;
    struct https s;
    char url[64];
    run_write(run_path("token"), "sft_secret\n", 11);
    https_make_identity(run_path("identity"), (int64_t)time(NULL));
    https_start(&s, run_path("identity"), NULL, 0);
    snprintf(url, sizeof url, "https://127.0.0.1%s", strrchr(s.url, ':'));
    const struct row other_name = {
        {"login", url, "--ca", "@identity/ca.pem", "--token-file", "@token"},
        3,
        {"is not trusted: its certificate is for other names", "--host"}};
    expect_row(&other_name);
    https_stop(&s);
    const struct row gone = {{"login", s.url, "--ca", "@identity/ca.pem", "--token-file", "@token"},
                             3,
                             {"nothing answers there", "is surefootd running"}};
    expect_row(&gone);
    const struct row unknown = {{"login", "https://updates.invalid", "--token-file", "@token"},
                                3,
                                {"its name is not known"}};
    expect_row(&unknown);
    const struct row nobody = {{"product", "list"}, 4, {"no server is known", "`surefoot login`"}};
    expect_row(&nobody);
}

/* The sentence of `surefoot-sim` with this key or option. */
static void expect_sim(const char *option, const char *value, const char *said)
{
    static const char program[] = SF_BIN_DIR "/surefoot-sim";
    const char *const argv[] = {program,
                                "run",
                                "--server",
                                "https://localhost:1",
                                "--firmware",
                                run_path("app.bin"),
                                "--status-key",
                                run_path("public.pem"),
                                option,
                                value,
                                NULL};
    run_expect(run_program(argv), 2, said);
}

static void the_simulator_says_what_was_meant(void **state)
{
    (void)state;
    expect_sim("--release-key", run_path("none.pem"), "there is no such file");
    expect_sim("--release-key", run_path("empty"), "it is empty");
    expect_sim("--release-key", run_path("encrypted.pem"), "it is encrypted");
    expect_sim("--release-key", run_path("certificate.pem"), "it holds a certificate");
    expect_sim("--devcies", "5", "unknown option '--devcies'; did you mean '--devices'?");
    expect_sim("--frobnicate", "5", "unknown option '--frobnicate'; see surefoot-sim --help");
    expect_sim("--devices", "0", "--devices takes a number from 1 to 65535, not '0'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_file_that_holds_none_is_told_by_what_it_is),
        cmocka_unit_test(what_is_given_in_an_image_s_place_is_told),
        cmocka_unit_test(a_server_that_is_not_there_or_not_one_is_told),
        cmocka_unit_test(the_simulator_says_what_was_meant),
    };
    return cmocka_run_group_tests(tests, setup, run_teardown);
}
