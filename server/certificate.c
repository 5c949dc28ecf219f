#include "server/certificate.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/tls_files.h"
#include "formats/err.h"

#define DAY_S         INT64_C(86400)
#define TICKET_KEYS_S INT64_C(21600)

static struct certificate_mark mark_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return (struct certificate_mark){.inode = 0};
    }
    return (struct certificate_mark){.changed = st.st_mtim, .inode = st.st_ino, .size = st.st_size};
}

static int same(const struct certificate_mark *a, const struct certificate_mark *b)
{
    return a->inode == b->inode && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Notes what the files are now: 1 if they changed since last time. */
static int changed(struct certificate *c)
{
    const struct certificate_mark mark[2] = {mark_of(c->files.cert), mark_of(c->files.key)};
    const int differs = !same(&mark[0], &c->mark[0]) || !same(&mark[1], &c->mark[1]);
    memcpy(c->mark, mark, sizeof(mark));
    return differs;
}

/* TLS_KEPT, TLS_RENEWED (to be loaded), or an error. */
static int ensure(struct certificate *c, int64_t now, char error[TLS_ERROR_MAX])
{
    if (c->files.cert == NULL) {
        return tls_identity_ensure(&c->identity, now, error);
    }
    const int differs = changed(c);
    const int err =
        tls_files_check(&c->files, c->identity.hosts, c->identity.host_count, now, error);
    return err < 0 ? err : differs ? (int)TLS_RENEWED : (int)TLS_KEPT;
}

static void note_end(struct certificate *c)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/server.pem", c->identity.dir);
    const int64_t end = tls_not_after(c->files.cert != NULL ? c->files.cert : path);
    if (end > 0) {
        atomic_store(&c->live->certificate_ends_at, end);
    }
}

/* Once a day. What is shown ends; what lies in the files may be newer and refused. */
static void warn_of_end(struct certificate *c, int64_t now)
{
    const int64_t left = atomic_load(&c->live->certificate_ends_at) - now;
    const int64_t since = now - c->warned_at;
    if (left > CERTIFICATE_WARN_DAYS * DAY_S || (since >= 0 && since < DAY_S)) {
        return;
    }
    c->warned_at = now;
    log_warn(left < 0 ? "the certificate has expired" : "the certificate expires soon",
             LOG_INT("days", left / DAY_S),
             LOG_TEXT("file", c->files.cert != NULL ? c->files.cert : "server.pem"));
}

int certificate_open(struct certificate *c, int64_t now_unix_s, char error[TLS_ERROR_MAX])
{
    (void)pthread_mutex_init(&c->lock, NULL);
    int err = ensure(c, now_unix_s, error);
    if (err >= 0) {
        err = c->files.cert != NULL ? tls_server_open_files(&c->tls, &c->files, error)
                                    : tls_server_open(&c->tls, c->identity.dir, error);
    }
    if (err < 0) {
        return err;
    }
    c->loaded_at = now_unix_s;
    note_end(c);
    warn_of_end(c, now_unix_s);
    return SF_OK;
}

void certificate_close(struct certificate *c)
{
    if (c->tls != NULL) {
        tls_server_close(c->tls);
        c->tls = NULL;
    }
}

static int refresh(struct certificate *c, int64_t now, enum certificate_wish wish,
                   char error[TLS_ERROR_MAX])
{
    const int change = ensure(c, now, error);
    if (change < 0) {
        return change;
    }
    const int64_t age = now - c->loaded_at;
    if (change == TLS_KEPT && wish != CERTIFICATE_ANYWAY && age >= 0 && age < TICKET_KEYS_S) {
        return SF_OK;
    }
    const int err = tls_server_reload(c->tls, error);
    if (err < 0) {
        return err;
    }
    c->loaded_at = now;
    note_end(c);
    if (change == TLS_RENEWED) {
        log_info("certificate renewed", LOG_INT("ends_at", c->live->certificate_ends_at));
    }
    return SF_OK;
}

void certificate_refresh(struct certificate *c, int64_t now_unix_s, enum certificate_wish wish)
{
    char error[TLS_ERROR_MAX];
    (void)pthread_mutex_lock(&c->lock);
    if (refresh(c, now_unix_s, wish, error) < 0) {
        (void)atomic_fetch_add(&c->live->certificate_failures, 1);
        log_error("the certificate stays as it is", LOG_TEXT("why", error));
    }
    warn_of_end(c, now_unix_s);
    (void)pthread_mutex_unlock(&c->lock);
}
