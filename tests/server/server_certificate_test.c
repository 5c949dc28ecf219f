/* surefootd with the certificate of another CA: at the start, when it is replaced, and when what
 * replaces it does not do. And SIGHUP, which the service manager is told about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "base/cert.h"
#include "base/clock.h"
#include "server/options.h"
#include "tests/server/daemon.h"

#define DAY INT64_C(86400)

static const char program[] = SF_BIN_DIR "/surefootd";
static const char *const both[] = {"localhost", "127.0.0.1"};
static const char *const other[] = {"other.example"};

struct world {
    struct daemon d;
    char cert[DAEMON_PATH + 32]; /* the leaf and its CA */
    char key[DAEMON_PATH + 32];
    char ca[DAEMON_PATH + 32];
    char log[DAEMON_PATH + 32];
    char conf[DAEMON_PATH + 32];
    int manager; /* the service manager's socket */
};

static void copy_cert(FILE *to, const char *from)
{
    FILE *file = fopen(from, "re");
    assert_non_null(file);
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    assert_non_null(cert);
    assert_int_equal(PEM_write_X509(to, cert), 1);
    X509_free(cert);
}

/* A new CA in w->ca, and a leaf of it, made at `made_at`, in w->cert and w->key. */
static void issue(struct world *w, const char *const hosts[], unsigned host_count, int64_t made_at)
{
    const struct tls_identity id = {.dir = w->d.dir, .hosts = hosts, .host_count = host_count};
    EVP_PKEY *ca_key = NULL;
    struct cert_pair ca;
    struct cert_pair leaf;
    assert_int_equal(cert_key_make(&ca_key), 0);
    assert_int_equal(cert_ca_make(ca_key, made_at, &ca), 0);
    assert_int_equal(cert_leaf_make(&ca, &id, made_at, &leaf), 0);
    assert_int_equal(cert_write(w->ca, &(struct cert_pair){.cert = ca.cert}), 0);
    assert_int_equal(cert_write(w->cert, &(struct cert_pair){.cert = leaf.cert}), 0);
    assert_int_equal(cert_write(w->key, &(struct cert_pair){.key = leaf.key}), 0);
    FILE *chain = fopen(w->cert, "ae");
    assert_non_null(chain);
    copy_cert(chain, w->ca);
    (void)fclose(chain);
    cert_release(&leaf);
    cert_release(&ca);
    EVP_PKEY_free(ca_key);
}

static void name(char out[DAEMON_PATH + 32], const struct world *w, const char *file)
{
    (void)snprintf(out, DAEMON_PATH + 32, "%s/%s", w->d.dir, file);
}

static void write_conf(const struct world *w, const char *text)
{
    FILE *file = fopen(w->conf, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void open_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    daemon_init(&w->d);
    name(w->cert, w, "fullchain.pem");
    name(w->key, w, "privkey.pem");
    name(w->ca, w, "other-ca.pem");
    name(w->log, w, "log");
    name(w->conf, w, "surefootd.conf");
    w->d.log = w->log;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/notify", w->d.dir);
    w->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(w->manager >= 0);
    assert_int_equal(bind(w->manager, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
}

static void close_world(struct world *w)
{
    (void)close(w->manager);
    (void)unsetenv("NOTIFY_SOCKET");
    daemon_release(&w->d);
}

/* Waits for the next thing the manager is told. */
static void expect_state(const struct world *w, const char *state)
{
    char got[64];
    const ssize_t len = recv(w->manager, got, sizeof(got) - 1, 0);
    assert_true(len > 0);
    got[len] = '\0';
    assert_string_equal(got, state);
}

static void start(struct world *w)
{
    w->d.extra[0] = "--tls-cert";
    w->d.extra[1] = w->cert;
    w->d.extra[2] = "--tls-key";
    w->d.extra[3] = w->key;
    daemon_start(&w->d);
    expect_state(w, "READY=1");
}

static void hang_up(const struct world *w)
{
    assert_int_equal(kill(w->d.pid, SIGHUP), 0);
    expect_state(w, "RELOADING=1");
    expect_state(w, "READY=1");
}

static void expect_log(const struct world *w, const char *said)
{
    static char text[65536];
    FILE *file = fopen(w->log, "re");
    assert_non_null(file);
    const size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    (void)fclose(file);
    if (strstr(text, said) == NULL) {
        fail_msg("no '%s' in\n%s", said, text);
    }
}

static int reaches(const struct world *w, const char *ca)
{
    struct reply r;
    call(&w->d, &(struct call){.path = "/healthz", .ca = ca}, &r);
    reply_release(&r);
    return r.curl == CURLE_OK && r.status == 200;
}

static void expect_metric(const struct world *w, const char *line)
{
    struct reply r;
    call(&w->d, &(struct call){.path = "/metrics", .bearer = w->d.admin, .ca = w->ca}, &r);
    assert_int_equal(r.status, 200);
    if (strstr((const char *)r.body, line) == NULL) {
        fail_msg("no '%s' in\n%s", line, (const char *)r.body);
    }
    reply_release(&r);
}

static void shows_the_certificate_of_another_ca(void **state)
{
    (void)state;
    struct world w;
    char line[64];
    open_world(&w);
    const int64_t made_at = clock_unix_s();
    issue(&w, both, 2, made_at);
    start(&w);
    assert_true(reaches(&w, w.ca));
    assert_int_not_equal(access(w.d.ca, F_OK), 0); /* no private CA is made */
    (void)snprintf(line, sizeof(line), "surefoot_certificate_ends_at_seconds %lld\n",
                   (long long)tls_not_after(w.cert));
    expect_metric(&w, line);
    assert_int_equal(daemon_stop(&w.d), 0);
    expect_state(&w, "STOPPING=1");
    close_world(&w);
}

static void warns_when_it_ends_soon(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    issue(&w, both, 2, clock_unix_s() - 80 * DAY);
    start(&w);
    expect_log(&w, "level=warn msg=\"the certificate expires soon\" days=");
    close_world(&w);
}

/* What can be wrong with the files, to be made in a world with good ones. */
static void expire(struct world *w)
{
    issue(w, both, 2, clock_unix_s() - 100 * DAY);
}

static void be_early(struct world *w)
{
    issue(w, both, 2, clock_unix_s() + 10 * DAY);
}

static void be_another(struct world *w)
{
    issue(w, other, 1, clock_unix_s());
}

static void mismatch(struct world *w)
{
    EVP_PKEY *key = NULL;
    assert_int_equal(cert_key_make(&key), 0);
    assert_int_equal(cert_write(w->key, &(struct cert_pair){.key = key}), 0);
    EVP_PKEY_free(key);
}

static void lose_key(struct world *w)
{
    assert_int_equal(unlink(w->key), 0);
}

static void show_key(struct world *w)
{
    assert_int_equal(chmod(w->key, 0644), 0);
}

static void spoil(struct world *w)
{
    FILE *file = fopen(w->cert, "we");
    assert_non_null(file);
    assert_true(fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", file) >= 0);
    (void)fclose(file);
}

static void lock_key(struct world *w)
{
    EVP_PKEY *key = NULL;
    assert_int_equal(cert_key_make(&key), 0);
    FILE *file = fopen(w->key, "we");
    assert_non_null(file);
    unsigned char word[] = "secret";
    assert_int_equal(PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), word, 6, NULL, NULL), 1);
    (void)fclose(file);
    EVP_PKEY_free(key);
}

static const struct wrong {
    void (*make)(struct world *w);
    int code;
    const char *said;
} wrongs[] = {
    {expire, EXIT_OTHER, "fullchain.pem' expired on 20"},
    {be_early, EXIT_OTHER, "fullchain.pem' is not valid before 20"},
    {be_another, EXIT_OTHER, "fullchain.pem' is not for the host 'localhost'"},
    {mismatch, EXIT_DATA, "privkey.pem' is not the key of the certificate"},
    {lose_key, EXIT_DATA, "privkey.pem': there is no such file"},
    {show_key, EXIT_OTHER, "privkey.pem': chmod 600 it"},
    {spoil, EXIT_DATA, "fullchain.pem': it holds none in PEM form"},
    {lock_key, EXIT_DATA, "with a passphrase, which nobody is there to type"},
};
enum { WRONGS = sizeof(wrongs) / sizeof(wrongs[0]) };

static void explains_at_the_start_what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < WRONGS; i++) {
        struct world w;
        char error[4096];
        open_world(&w);
        issue(&w, both, 2, clock_unix_s());
        wrongs[i].make(&w);
        const char *run[] = {program,      "--data", w.d.dir,     "--listen", "127.0.0.1:0",
                             "--tls-cert", w.cert,   "--tls-key", w.key,      NULL};
        const int code = daemon_run(run, error, sizeof(error));
        if (code != wrongs[i].code || strstr(error, wrongs[i].said) == NULL) {
            fail_msg("case %zu: exit %d: %s", i, code, error);
        }
        const char *check[] = {program, "--check-config", "--tls-cert", w.cert, "--tls-key", w.key,
                               NULL};
        assert_int_equal(daemon_run(check, error, sizeof(error)), EXIT_OTHER);
        assert_non_null(strstr(error, wrongs[i].said));
        close_world(&w);
    }
}

static void wants_certificate_and_key_together(void **state)
{
    (void)state;
    char error[1024];
    const char *args[] = {program, "--check-config", "--tls-key", "/x", NULL};
    assert_int_equal(daemon_run(args, error, sizeof(error)), EXIT_USAGE);
    assert_non_null(strstr(error, "tls-cert and tls-key belong together"));
}

static void takes_a_new_certificate_at_sighup_and_drops_no_connection(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    issue(&w, both, 2, clock_unix_s() - 30 * DAY);
    start(&w);
    CURL *kept = curl_easy_init();
    char url[64];
    long connects = -1;
    (void)snprintf(url, sizeof(url), "https://localhost:%u/healthz", w.d.port);
    (void)curl_easy_setopt(kept, CURLOPT_URL, url);
    (void)curl_easy_setopt(kept, CURLOPT_CAINFO, w.ca);
    (void)curl_easy_setopt(kept, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(kept, CURLOPT_NOBODY, 1L);
    assert_int_equal(curl_easy_perform(kept), CURLE_OK);

    issue(&w, both, 2, clock_unix_s()); /* and w.ca is another CA now */
    assert_false(reaches(&w, w.ca));
    hang_up(&w);
    assert_true(reaches(&w, w.ca));
    assert_int_equal(curl_easy_perform(kept), CURLE_OK);
    (void)curl_easy_getinfo(kept, CURLINFO_NUM_CONNECTS, &connects);
    assert_int_equal(connects, 0); /* the old connection went on */
    curl_easy_cleanup(kept);
    expect_log(&w, "msg=\"certificate renewed\"");
    close_world(&w);
}

static void keeps_the_old_certificate_when_the_new_one_does_not_do(void **state)
{
    (void)state;
    struct world w;
    char good_ca[DAEMON_PATH + 32];
    char metric[64];
    open_world(&w);
    issue(&w, both, 2, clock_unix_s());
    start(&w);
    name(good_ca, &w, "first-ca.pem");
    assert_int_equal(link(w.ca, good_ca), 0);
    for (size_t i = 0; i < WRONGS; i++) {
        issue(&w, both, 2, clock_unix_s());
        wrongs[i].make(&w);
        hang_up(&w);
        assert_true(reaches(&w, good_ca));
        expect_log(&w, wrongs[i].said);
    }
    expect_log(&w, "level=error msg=\"the certificate stays as it is\" why=");
    (void)snprintf(w.ca, sizeof(w.ca), "%s", good_ca);
    (void)snprintf(metric, sizeof(metric), "surefoot_certificate_failures_total %d\n", WRONGS);
    expect_metric(&w, metric);
    close_world(&w);
}

static void takes_new_settings_at_sighup_and_names_those_that_wait(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    issue(&w, both, 2, clock_unix_s());
    write_conf(&w, "keep-audit = 7\n");
    start(&w);
    write_conf(&w, "keep-audit = 8\nmax-connections = 77\nlog-level = debug\n");
    hang_up(&w);
    expect_log(&w, "level=warn msg=\"this setting changed and needs a restart\" "
                   "setting=\"max-connections\"");
    expect_log(&w, "msg=\"settings reloaded\"");
    assert_true(reaches(&w, w.ca));
    expect_log(&w, "level=debug"); /* the new level counts */

    write_conf(&w, "keep-audit = 8\nkeep-audt = 9\n");
    hang_up(&w);
    expect_log(&w, "level=error msg=\"the settings stay as they are\"");
    expect_log(&w, "surefootd.conf:2: 'keep-audt' is not a setting of surefootd; did you mean "
                   "'keep-audit'?");
    expect_metric(&w, "surefoot_reloads_total 2\n");
    expect_metric(&w, "surefoot_reload_failures_total 1\n");
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_the_certificate_of_another_ca),
        cmocka_unit_test(warns_when_it_ends_soon),
        cmocka_unit_test(explains_at_the_start_what_is_wrong),
        cmocka_unit_test(wants_certificate_and_key_together),
        cmocka_unit_test(takes_a_new_certificate_at_sighup_and_drops_no_connection),
        cmocka_unit_test(keeps_the_old_certificate_when_the_new_one_does_not_do),
        cmocka_unit_test(takes_new_settings_at_sighup_and_names_those_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
