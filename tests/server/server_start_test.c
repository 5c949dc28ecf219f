/* Starting surefootd when something is in the way: one sentence, and the documented exit code. And
 * clients that should not trust it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/options.h"
#include "tests/server/daemon.h"

static const char program[] = SF_BIN_DIR "/surefootd";

/* Runs to its end and compares the exit code and a part of what it said. */
static void expect_end(const char *const args[], int code, const char *said)
{
    char error[4096];
    int got = daemon_run(args, error, sizeof(error));
    if (got != code || strstr(error, said) == NULL) {
        fail_msg("exit %d, not %d: %s", got, code, error);
    }
    const char *sentence = strstr(error, "surefootd: ");
    assert_non_null(sentence);
    assert_null(strstr(sentence + 1, "surefootd: ")); /* one, not a cascade */
}

static void explains_bad_usage(void **state)
{
    (void)state;
    expect_end((const char *const[]){program, "--lisen", "x", NULL}, EXIT_USAGE, "--lisen");
    expect_end((const char *const[]){program, "--listen", "8443", NULL}, EXIT_USAGE, "ADDR:PORT");
}

static void explains_a_bad_configuration(void **state)
{
    (void)state;
    struct daemon d;
    daemon_init(&d);
    char path[DAEMON_PATH + 32];
    (void)snprintf(path, sizeof(path), "%s/surefootd.conf", d.dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("# mine\nlisen = 127.0.0.1:0\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    expect_end((const char *const[]){program, "--data", d.dir, NULL}, EXIT_USAGE,
               "surefootd.conf:2: 'lisen' is not a setting of surefootd; did you mean 'listen'?");
    expect_end((const char *const[]){program, "--check-config", "--config", path, NULL}, EXIT_USAGE,
               "surefootd.conf:2:");
    daemon_release(&d);
}

/* A new key in its place would sign statuses that every device refuses. */
static void makes_no_status_key_in_place_of_a_lost_one(void **state)
{
    (void)state;
    struct daemon d;
    char path[DAEMON_PATH + 32];
    daemon_init(&d);
    daemon_start(&d);
    assert_int_equal(daemon_stop(&d), EXIT_STOPPED);
    (void)snprintf(path, sizeof(path), "%s/status-key.pem", d.dir);
    assert_int_equal(unlink(path), 0);
    expect_end((const char *const[]){program, "--data", d.dir, "--listen", "127.0.0.1:0", NULL},
               EXIT_DATA, "status-key.pem is gone from the data folder");
    assert_int_not_equal(access(path, F_OK), 0);
    (void)snprintf(path, sizeof(path), "%s/status-key.pub.pem", d.dir);
    assert_int_equal(unlink(path), 0);
    daemon_start(&d);
    assert_int_equal(access(path, F_OK), 0);
    daemon_release(&d);
}

static void explains_a_port_in_use(void **state)
{
    (void)state;
    struct daemon d;
    daemon_init(&d);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    char where[32];
    (void)snprintf(where, sizeof(where), "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    expect_end((const char *const[]){program, "--data", d.dir, "--listen", where, NULL},
               EXIT_LISTEN, where);
    (void)close(fd);
    expect_end((const char *const[]){program, "--data", d.dir, "--listen", "192.0.2.1:0", NULL},
               EXIT_LISTEN, "192.0.2.1");
    daemon_release(&d);
}

static void explains_a_data_folder_in_use(void **state)
{
    (void)state;
    struct daemon d;
    daemon_init(&d);
    daemon_start(&d);
    expect_end((const char *const[]){program, "--data", d.dir, "--listen", "127.0.0.1:0", NULL},
               EXIT_DATA, "in use by another surefootd");
    long status = 0;
    json_decref(api(&d, "GET", "/api/v1/whoami", NULL, &status)); /* the first goes on */
    assert_int_equal(status, 200);
    daemon_release(&d);
}

static void explains_a_data_folder_that_cannot_be_used(void **state)
{
    (void)state;
    struct daemon d;
    daemon_init(&d);
    char path[DAEMON_PATH + 32];
    (void)snprintf(path, sizeof(path), "%s/file", d.dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fclose(file);
    expect_end((const char *const[]){program, "--data", path, NULL}, EXIT_DATA, path);
    (void)snprintf(path, sizeof(path), "%s/missing/sub", d.dir);
    expect_end((const char *const[]){program, "--data", path, NULL}, EXIT_DATA, path);
    expect_end((const char *const[]){program, "--data", "/proc/surefoot", NULL}, EXIT_DATA,
               "/proc/surefoot");
    daemon_release(&d);
}

static sqlite3 *open_database(const struct daemon *d)
{
    char path[DAEMON_PATH + 32];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/surefoot.db", d->dir);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    return db;
}

static void made(struct daemon *d)
{
    daemon_init(d);
    daemon_start(d);
    assert_int_equal(daemon_stop(d), 0);
}

static void explains_a_database_of_a_newer_version(void **state)
{
    (void)state;
    struct daemon d;
    made(&d);
    sqlite3 *db = open_database(&d);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO schema_version VALUES (9999, 0)", 0, 0, 0),
                     SQLITE_OK);
    (void)sqlite3_close(db);
    expect_end((const char *const[]){program, "--data", d.dir, "--listen", "127.0.0.1:0", NULL},
               EXIT_DATABASE, "9999");
    daemon_release(&d);
}

static void explains_a_database_that_is_locked(void **state)
{
    (void)state;
    struct daemon d;
    made(&d);
    sqlite3 *db = open_database(&d);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; "
                                  "UPDATE meta SET value = value",
                                  0, 0, 0),
                     SQLITE_OK);
    expect_end((const char *const[]){program, "--data", d.dir, "--listen", "127.0.0.1:0", NULL},
               EXIT_DATABASE, "surefoot.db");
    (void)sqlite3_close(db);
    daemon_start(&d); /* and needs no repair */
    assert_int_equal(daemon_stop(&d), 0);
    daemon_release(&d);
}

static void explains_a_damaged_database(void **state)
{
    (void)state;
    struct daemon d;
    made(&d);
    char path[DAEMON_PATH + 32];
    (void)snprintf(path, sizeof(path), "%s/surefoot.db", d.dir);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char noise[8192];
    memset(noise, 0x5a, sizeof(noise));
    assert_int_equal(pwrite(fd, noise, sizeof(noise), 0), sizeof(noise));
    (void)close(fd);
    expect_end((const char *const[]){program, "--data", d.dir, "--listen", "127.0.0.1:0", NULL},
               EXIT_DATABASE, "surefoot.db");
    daemon_release(&d);
}

/* As another user when the tests run as root, whom no permission stops. */
static void explains_a_database_that_is_read_only(void **state)
{
    (void)state;
    struct daemon d;
    made(&d);
    char path[DAEMON_PATH + 32];
    const char *args[10] = {program, "--data", d.dir, "--listen", "127.0.0.1:0", NULL};
    (void)snprintf(path, sizeof(path), "%s/surefoot.db", d.dir);
    assert_int_equal(chmod(path, 0444), 0);
    if (geteuid() == 0) {
        const char *const as_nobody[] = {"/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
                                         "--clear-groups"};
        memmove(args + 4, args, 6 * sizeof(args[0]));
        memcpy(args, as_nobody, sizeof(as_nobody));
        char command[2 * DAEMON_PATH + 128];
        (void)snprintf(command, sizeof(command), "chown -R 65534 %s && chown root %s", d.dir, path);
        assert_int_equal(system(command), 0); // NOLINT(cert-env33-c,concurrency-mt-unsafe)
    }
    char error[4096];
    int code = daemon_run(args, error, sizeof(error));
    if (code == 127 || code == 126 || strstr(error, "setpriv: failed to execute") != NULL) {
        daemon_release(&d);
        skip(); /* another user cannot reach the build folder */
    }
    if (code != EXIT_DATABASE || strstr(error, "surefoot.db") == NULL) {
        fail_msg("exit %d: %s", code, error);
    }
    daemon_release(&d);
}

/* ---- clients ---- */

static EVP_PKEY *read_key(const struct daemon *d)
{
    char path[DAEMON_PATH + 16];
    (void)snprintf(path, sizeof(path), "%s/ca.key", d->dir);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    (void)fclose(file);
    assert_non_null(key);
    return key;
}

/* The server's own CA, but valid until yesterday. */
static void write_expired_ca(const struct daemon *d, const char *to)
{
    FILE *file = fopen(d->ca, "re");
    assert_non_null(file);
    X509 *ca = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    assert_non_null(ca);
    EVP_PKEY *key = read_key(d);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(ca), -10L * 86400));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(ca), -86400L));
    assert_true(X509_sign(ca, key, EVP_sha256()) > 0);
    file = fopen(to, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, ca), 1);
    (void)fclose(file);
    X509_free(ca);
    EVP_PKEY_free(key);
}

static void is_trusted_by_no_client_without_its_ca(void **state)
{
    (void)state;
    struct daemon d;
    struct daemon foreign;
    made(&foreign);
    daemon_init(&d);
    daemon_start(&d);
    char expired[DAEMON_PATH + 32];
    (void)snprintf(expired, sizeof(expired), "%s/expired.pem", d.dir);
    write_expired_ca(&d, expired);
    const struct {
        const char *ca;
        int curl;
    } cases[] = {
        {d.ca, CURLE_OK},
        {foreign.ca, CURLE_PEER_FAILED_VERIFICATION},
        {expired, CURLE_PEER_FAILED_VERIFICATION},
        {"/nonexistent/ca.pem", CURLE_SSL_CACERT_BADFILE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reply r;
        call(&d, &(struct call){.path = "/healthz", .ca = cases[i].ca}, &r);
        assert_int_equal(r.curl, cases[i].curl);
        reply_release(&r);
    }
    daemon_release(&d);
    daemon_release(&foreign);
}

static void keeps_its_ca_and_renews_the_leaf_for_other_hosts(void **state)
{
    (void)state;
    struct daemon d;
    made(&d);
    struct stat ca_before;
    struct stat ca_after;
    struct stat leaf_before;
    struct stat leaf_after;
    char leaf[DAEMON_PATH + 16];
    (void)snprintf(leaf, sizeof(leaf), "%s/server.pem", d.dir);
    assert_int_equal(stat(d.ca, &ca_before), 0);
    assert_int_equal(stat(leaf, &leaf_before), 0);
    daemon_start(&d);
    assert_int_equal(daemon_stop(&d), 0);
    assert_int_equal(stat(leaf, &leaf_after), 0);
    assert_int_equal(leaf_before.st_ino, leaf_after.st_ino); /* same hosts: kept */
    char error[4096];
    const char *args[] = {program,       "--data", d.dir,           "--listen",
                          "192.0.2.1:0", "--host", "other.example", NULL};
    assert_int_equal(daemon_run(args, error, sizeof(error)), EXIT_LISTEN);
    assert_int_equal(stat(leaf, &leaf_after), 0);
    assert_int_equal(stat(d.ca, &ca_after), 0);
    assert_int_not_equal(leaf_before.st_ino, leaf_after.st_ino);
    assert_int_equal(ca_before.st_ino, ca_after.st_ino);
    daemon_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(explains_bad_usage),
        cmocka_unit_test(explains_a_bad_configuration),
        cmocka_unit_test(makes_no_status_key_in_place_of_a_lost_one),
        cmocka_unit_test(explains_a_port_in_use),
        cmocka_unit_test(explains_a_data_folder_in_use),
        cmocka_unit_test(explains_a_data_folder_that_cannot_be_used),
        cmocka_unit_test(explains_a_database_of_a_newer_version),
        cmocka_unit_test(explains_a_database_that_is_locked),
        cmocka_unit_test(explains_a_damaged_database),
        cmocka_unit_test(explains_a_database_that_is_read_only),
        cmocka_unit_test(is_trusted_by_no_client_without_its_ca),
        cmocka_unit_test(keeps_its_ca_and_renews_the_leaf_for_other_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
