#include "base/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cert.h"
#include "formats/err.h"

#define NOW INT64_C(1764000000) /* 2025-11-24 */
#define DAY INT64_C(86400)

static char dir[64];
static char error[TLS_ERROR_MAX];
static const char *const hosts[] = {"updates.example.org", "192.0.2.7", "2001:db8::1"};

static struct tls_identity identity(void)
{
    return (struct tls_identity){.dir = dir, .hosts = hosts, .host_count = 3};
}

static const char *file(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/tls-test-XXXXXX");
    error[0] = '\0';
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(file("ca.pem"));
    (void)unlink(file("ca.key"));
    (void)unlink(file("server.pem"));
    return rmdir(dir);
}

static int ensure(int64_t now)
{
    const struct tls_identity id = identity();
    return tls_identity_ensure(&id, now, error);
}

static X509 *read_cert(const char *name)
{
    struct cert_pair pair;
    assert_int_equal(cert_read(file(name), &pair), SF_OK);
    EVP_PKEY_free(pair.key);
    assert_non_null(pair.cert);
    return pair.cert;
}

static void the_first_start_makes_ca_and_leaf_with_safe_modes(void **state)
{
    (void)state;
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    struct stat st;
    assert_int_equal(stat(file("ca.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(file("server.pem"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(file("ca.pem"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(tls_not_after(file("ca.pem")), NOW + CERT_CA_DAYS * DAY);
    assert_int_equal(tls_not_after(file("server.pem")), NOW + 90 * DAY);
    assert_int_equal(ensure(NOW), TLS_KEPT);
}

static void the_leaf_names_every_host(void **state)
{
    (void)state;
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    X509 *leaf = read_cert("server.pem");
    assert_int_equal(X509_check_host(leaf, "updates.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(leaf, "other.example.org", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.7", 0), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "2001:db8::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.8", 0), 0);
    X509_free(leaf);
}

static int openssl_verify(int64_t at)
{
    char command[512];
    (void)snprintf(command, sizeof(command),
                   "openssl verify -x509_strict -purpose sslserver "
                   "-verify_hostname updates.example.org -attime %lld -CAfile %s/ca.pem "
                   "%s/server.pem >/dev/null 2>&1",
                   (long long)at, dir, dir);
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): our own */
}

/* openssl(1) is the oracle: our chain verifies for a server at that time, and not a year later. */
static void openssl_verifies_the_chain(void **state)
{
    (void)state;
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    assert_int_equal(openssl_verify(NOW), 0);
    assert_int_not_equal(openssl_verify(NOW + 365 * DAY), 0);
}

static void the_leaf_is_renewed_in_the_last_third_of_its_life(void **state)
{
    (void)state;
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    assert_int_equal(ensure(NOW + 59 * DAY), TLS_KEPT);
    assert_int_equal(ensure(NOW + 61 * DAY), TLS_RENEWED);
    assert_int_equal(tls_not_after(file("server.pem")), NOW + 151 * DAY);
    assert_int_equal(ensure(NOW + 400 * DAY), TLS_RENEWED);
}

static void other_hosts_or_another_order_renew_the_leaf(void **state)
{
    (void)state;
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    struct tls_identity id = identity();
    id.host_count = 2;
    assert_int_equal(tls_identity_ensure(&id, NOW, error), TLS_RENEWED);
    assert_int_equal(tls_identity_ensure(&id, NOW, error), TLS_KEPT);
    const char *const swapped[] = {"192.0.2.7", "updates.example.org"};
    id.hosts = swapped;
    assert_int_equal(tls_identity_ensure(&id, NOW, error), TLS_RENEWED);
}

static void a_broken_leaf_is_replaced_and_a_foreign_one_too(void **state)
{
    (void)state;
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    FILE *f = fopen(file("server.pem"), "w");
    assert_non_null(f);
    (void)fputs("not a certificate", f);
    (void)fclose(f);
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    assert_int_equal(unlink(file("ca.pem")), 0);
    assert_int_equal(unlink(file("ca.key")), 0);
    assert_int_equal(ensure(NOW), TLS_RENEWED); /* another CA */
    assert_int_equal(ensure(NOW), TLS_KEPT);
}

static void a_lost_ca_certificate_is_made_again_for_the_same_key(void **state)
{
    (void)state;
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    X509 *old = read_cert("ca.pem");
    assert_int_equal(unlink(file("ca.pem")), 0);
    assert_int_equal(ensure(NOW), TLS_KEPT); /* the leaf still fits */
    X509 *made = read_cert("ca.pem");
    X509 *leaf = read_cert("server.pem");
    assert_int_equal(X509_verify(leaf, X509_get0_pubkey(old)), 1);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(old), X509_get0_pubkey(made)), 1);
    X509_free(old);
    X509_free(made);
    X509_free(leaf);
}

static void a_lost_ca_key_is_an_error_that_says_what_to_do(void **state)
{
    (void)state;
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    assert_int_equal(unlink(file("ca.key")), 0);
    assert_int_equal(ensure(NOW), SF_ERR_NOTFOUND);
    assert_non_null(strstr(error, "ca.key' is missing"));
    assert_non_null(strstr(error, "restore"));
}

static void a_clock_at_1970_is_refused_before_a_ca_is_made(void **state)
{
    (void)state;
    assert_int_equal(ensure(12345), SF_ERR_STATE);
    assert_non_null(strstr(error, "clock is not set"));
    assert_int_not_equal(access(file("ca.key"), F_OK), 0);
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    assert_int_equal(ensure(12345), SF_ERR_STATE);
    assert_non_null(strstr(error, "not valid at the time"));
}

static void certificates_work_in_2106_and_later(void **state)
{
    (void)state;
    const int64_t far = INT64_C(4294967296) + 1000 * DAY; /* beyond 32 bits of seconds */
    assert_int_equal(ensure(far), TLS_RENEWED);
    assert_int_equal(tls_not_after(file("server.pem")), far + 90 * DAY);
    assert_int_equal(ensure(far), TLS_KEPT);
}

static void a_clock_that_goes_back_renews_the_leaf_within_the_ca(void **state)
{
    (void)state;
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    assert_int_equal(ensure(NOW + 80 * DAY), TLS_RENEWED);
    assert_int_equal(ensure(NOW + 10 * DAY), TLS_RENEWED);
    assert_int_equal(ensure(NOW - 100 * DAY), SF_ERR_STATE);
}

static void bad_host_names_are_refused_by_name(void **state)
{
    (void)state;
    const char *const bad[] = {"", "a b", "x,DNS:evil", "-a", "a..b", ".", "*.example.org"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct tls_identity id = {.dir = dir, .hosts = &bad[i], .host_count = 1};
        assert_int_equal(tls_identity_ensure(&id, NOW, error), SF_ERR_RANGE);
    }
    const struct tls_identity none = {.dir = dir, .hosts = bad, .host_count = 0};
    assert_int_equal(tls_identity_ensure(&none, NOW, error), SF_ERR_RANGE);
}

static void reload_swaps_the_leaf_and_keeps_the_old_one_on_errors(void **state)
{
    (void)state;
    struct tls_server *s = NULL;
    assert_int_equal(tls_server_open(&s, dir, error), SF_ERR_NOTFOUND);
    assert_int_equal(ensure(NOW), TLS_RENEWED);
    assert_int_equal(tls_server_open(&s, dir, error), SF_OK);
    SSL *first = tls_server_connection(s);
    assert_int_equal(ensure(NOW + 61 * DAY), TLS_RENEWED);
    assert_int_equal(tls_server_reload(s, error), SF_OK);
    SSL *second = tls_server_connection(s);
    assert_int_not_equal(X509_cmp(SSL_get_certificate(first), SSL_get_certificate(second)), 0);
    assert_int_equal(unlink(file("server.pem")), 0);
    assert_int_equal(tls_server_reload(s, error), SF_ERR_NOTFOUND);
    SSL *third = tls_server_connection(s);
    assert_int_equal(X509_cmp(SSL_get_certificate(second), SSL_get_certificate(third)), 0);
    SSL_free(first);
    SSL_free(second);
    SSL_free(third);
    tls_server_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_start_makes_ca_and_leaf_with_safe_modes),
        TEST(the_leaf_names_every_host),
        TEST(openssl_verifies_the_chain),
        TEST(the_leaf_is_renewed_in_the_last_third_of_its_life),
        TEST(other_hosts_or_another_order_renew_the_leaf),
        TEST(a_broken_leaf_is_replaced_and_a_foreign_one_too),
        TEST(a_lost_ca_certificate_is_made_again_for_the_same_key),
        TEST(a_lost_ca_key_is_an_error_that_says_what_to_do),
        TEST(a_clock_at_1970_is_refused_before_a_ca_is_made),
        TEST(certificates_work_in_2106_and_later),
        TEST(a_clock_that_goes_back_renews_the_leaf_within_the_ca),
        TEST(bad_host_names_are_refused_by_name),
        TEST(reload_swaps_the_leaf_and_keeps_the_old_one_on_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
