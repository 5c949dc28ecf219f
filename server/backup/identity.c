#include "server/backup/identity.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/cert.h"
#include "base/p256.h"
#include "formats/err.h"
#include "server/backup/files.h"

void backup_tell(const struct backup_check *c, struct backup_report *report,
                 enum backup_grade grade, const char *fmt, ...)
{
    char sentence[BACKUP_WHY_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(sentence, sizeof(sentence), fmt, args);
    va_end(args);
    report->problems += grade == BACKUP_PROBLEM;
    report->notes += grade == BACKUP_NOTE;
    c->found(c->ctx, grade, sentence);
}

/* 1 if it was read. What is missing altogether is told by the list of files. */
static int read_pair(const struct backup_check *c, struct backup_report *report, const char *name,
                     struct cert_pair *out)
{
    char path[PATH_MAX];
    *out = (struct cert_pair){0};
    int err = files_path(path, c->dir, name);
    err = err == SF_OK ? cert_read(path, out) : err;
    if (err == SF_OK || err == SF_ERR_NOTFOUND) {
        return err == SF_OK;
    }
    backup_tell(c, report, BACKUP_PROBLEM, "'%s' cannot be used: %s; restore it from a backup",
                name, sf_err_str(err));
    return 0;
}

static void check_validity(const struct backup_check *c, struct backup_report *report,
                           const char *name, const X509 *cert, enum backup_grade grade)
{
    int64_t first = 0;
    int64_t last = 0;
    if (cert_validity(cert, &first, &last) != SF_OK) {
        backup_tell(c, report, BACKUP_PROBLEM, "'%s' has no readable validity", name);
    } else if (c->now < first || c->now > last) {
        backup_tell(c, report, grade, "'%s' %s%s", name,
                    c->now < first ? "is not valid yet: look at this machine's clock"
                                   : "has expired",
                    c->now > last && grade == BACKUP_NOTE ? "; the next start makes another" : "");
    }
}

static void check_ca(const struct backup_check *c, struct backup_report *report, X509 **ca_out)
{
    struct cert_pair ca;
    struct cert_pair key;
    const int has_ca = read_pair(c, report, "ca.pem", &ca);
    const int has_key = read_pair(c, report, "ca.key", &key);
    if (has_ca && ca.cert == NULL) {
        backup_tell(c, report, BACKUP_PROBLEM, "'ca.pem' holds no certificate");
    } else if (has_ca) {
        check_validity(c, report, "ca.pem", ca.cert, BACKUP_PROBLEM);
    }
    if (has_ca && has_key && ca.cert != NULL &&
        (key.key == NULL || X509_check_private_key(ca.cert, key.key) != 1)) {
        backup_tell(c, report, BACKUP_PROBLEM,
                    "'ca.key' is not the key of 'ca.pem': devices would trust no certificate it "
                    "makes; restore both from one backup");
    }
    *ca_out = ca.cert;
    ca.cert = NULL;
    cert_release(&ca);
    cert_release(&key);
}

static void check_leaf(const struct backup_check *c, struct backup_report *report, X509 *ca)
{
    struct cert_pair leaf;
    if (read_pair(c, report, "server.pem", &leaf)) {
        EVP_PKEY *issuer = ca != NULL ? X509_get0_pubkey(ca) : NULL;
        if (leaf.cert == NULL || leaf.key == NULL ||
            X509_check_private_key(leaf.cert, leaf.key) != 1) {
            backup_tell(c, report, BACKUP_PROBLEM,
                        "'server.pem' is not a certificate with its key: remove it, the next start "
                        "makes another");
        } else if (issuer != NULL && X509_verify(leaf.cert, issuer) != 1) {
            backup_tell(c, report, BACKUP_NOTE,
                        "'server.pem' is not signed by 'ca.pem'; the next start makes another");
        } else {
            check_validity(c, report, "server.pem", leaf.cert, BACKUP_NOTE);
        }
    }
    cert_release(&leaf);
}

static void check_status_key(const struct backup_check *c, struct backup_report *report)
{
    char path[PATH_MAX];
    struct p256_key key = {0};
    struct p256_key published = {0};
    int err = files_path(path, c->dir, "status-key.pem");
    err = err == SF_OK ? p256_key_load_private(&key, path) : err;
    if (err != SF_OK && err != SF_ERR_NOTFOUND) {
        backup_tell(c, report, BACKUP_PROBLEM,
                    "'status-key.pem' cannot be used: %s; devices trust no other key, restore it "
                    "from a backup",
                    sf_err_str(err));
    }
    if (err == SF_OK && files_path(path, c->dir, "status-key.pub.pem") == SF_OK) {
        err = p256_key_load_public(&published, path);
        if (err != SF_ERR_NOTFOUND &&
            (err != SF_OK ||
             memcmp(published.public_key.xy, key.public_key.xy, sizeof(key.public_key.xy)) != 0)) {
            backup_tell(c, report, BACKUP_PROBLEM,
                        "'status-key.pub.pem' is not the public part of 'status-key.pem': remove "
                        "it, the next start writes it again");
        }
    }
    p256_key_release(&key);
    p256_key_release(&published);
}

void identity_check(const struct backup_check *c, struct backup_report *report)
{
    X509 *ca = NULL;
    check_ca(c, report, &ca);
    check_leaf(c, report, ca);
    check_status_key(c, report);
    X509_free(ca);
    ERR_clear_error();
}
