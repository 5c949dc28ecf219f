#include "base/tls_files.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cert.h"
#include "formats/err.h"

static int fail(char error[TLS_ERROR_MAX], int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char error[TLS_ERROR_MAX], int err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(error, TLS_ERROR_MAX, fmt, args);
    va_end(args);
    return err;
}

static int cannot_read(const char *path, const char *what, int err, char error[TLS_ERROR_MAX])
{
    char text[64];
    const char *why = err == SF_ERR_IO         ? strerror_r(errno, text, sizeof(text))
                      : err == SF_ERR_NOTFOUND ? "there is no such file"
                      : err == SF_ERR_RANGE    ? "it is larger than 64 KiB"
                                               : "it holds none in PEM form";
    return fail(error, err, "cannot read the %s '%.120s': %s", what, path, why);
}

static int read_key(const char *path, struct cert_pair *pair, char error[TLS_ERROR_MAX])
{
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH)) != 0) {
        return fail(error, SF_ERR_STATE,
                    "every user can read the key '%.120s': chmod 600 it, and make a new key if "
                    "others use this machine",
                    path);
    }
    int err = cert_read(path, pair);
    if (err == SF_OK && pair->key == NULL) {
        err = SF_ERR_FORMAT;
    }
    if (err == SF_ERR_FORMAT) {
        return fail(error, err,
                    "cannot read the key '%.120s': it holds no private key in PEM form, or one "
                    "with a passphrase, which nobody is there to type",
                    path);
    }
    return err < 0 ? cannot_read(path, "key", err, error) : SF_OK;
}

static void day_of(int64_t unix_s, char out[16])
{
    const time_t t = (time_t)unix_s;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(out, 16, "%Y-%m-%d", &tm) == 0) {
        (void)snprintf(out, 16, "?");
    }
}

static int check_time(const char *path, const X509 *leaf, int64_t now, char error[TLS_ERROR_MAX])
{
    int64_t first = 0;
    int64_t last = 0;
    char day[16];
    if (cert_validity(leaf, &first, &last) < 0) {
        return fail(error, SF_ERR_FORMAT, "the certificate '%.120s' has no validity", path);
    }
    if (now > last) {
        day_of(last, day);
        return fail(error, SF_ERR_STATE,
                    "the certificate '%.120s' expired on %s: renew it (and look at the clock)",
                    path, day);
    }
    if (now < first) {
        day_of(first, day);
        return fail(error, SF_ERR_STATE,
                    "the certificate '%.120s' is not valid before %s: set the clock", path, day);
    }
    return SF_OK;
}

static int names(X509 *leaf, const char *host)
{
    const int found =
        X509_check_ip_asc(leaf, host, 0) == 1 ||
        X509_check_host(leaf, host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
    ERR_clear_error();
    return found;
}

int tls_files_check(const struct tls_files *files, const char *const hosts[], unsigned host_count,
                    int64_t now_unix_s, char error[TLS_ERROR_MAX])
{
    struct stack_st_X509 *chain = NULL;
    struct cert_pair pair = {0};
    X509 *leaf = NULL;
    int err = cert_chain_read(files->cert, &chain);
    if (err < 0) {
        err = cannot_read(files->cert, "certificate", err, error);
    } else {
        leaf = sk_X509_value(chain, 0);
        err = read_key(files->key, &pair, error);
    }
    if (err == SF_OK && X509_check_private_key(leaf, pair.key) != 1) {
        err = fail(error, SF_ERR_FORMAT,
                   "'%.90s' is not the key of the certificate '%.90s': give the two that were "
                   "made together",
                   files->key, files->cert);
    }
    if (err == SF_OK) {
        err = check_time(files->cert, leaf, now_unix_s, error);
    }
    for (unsigned i = 0; err == SF_OK && i < host_count; i++) {
        if (!names(leaf, hosts[i])) {
            err = fail(error, SF_ERR_STATE,
                       "the certificate '%.90s' is not for the host '%.90s': get one that names "
                       "it, or correct 'host'",
                       files->cert, hosts[i]);
        }
    }
    ERR_clear_error();
    sk_X509_pop_free(chain, X509_free);
    cert_release(&pair);
    return err;
}
