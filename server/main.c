/* surefootd: puts the parts together, runs them, takes them down in the reverse order. The only
 * file that knows all the others. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/crypto_openssl.h"
#include "base/disk.h"
#include "base/log.h"
#include "base/p256.h"
#include "base/tls_files.h"
#include "server/certificate.h"
#include "server/datadir.h"
#include "server/http/http.h"
#include "server/notify.h"
#include "server/options.h"
#include "server/protocols/document.h"
#include "server/protocols/protocols.h"
#include "server/scheduler.h"

enum {
    FILES_WANTED = 20064, /* two each for http's 10000 connections, and some besides */
    ERROR_SIZE = 512,
    LISTEN_SIZE = OPTIONS_ADDRESS_MAX + 16,
};

struct server {
    const struct options *options;
    int argc; /* where the settings are from, to read them again */
    const char *const *argv;
    const char *const *environment;
    unsigned drain_s;
    struct datadir data;
    struct store *store;
    struct artifacts *artifacts;
    struct certificate certificate;
    struct p256_signer signer[OPTIONS_LOOPS_MAX];
    struct sf_signer sf_signer[OPTIONS_LOOPS_MAX];
    unsigned signer_count;
    struct stats stats;
    struct protocols protocols;
    struct http_server *http;
    struct scheduler *scheduler;
    char listen[LISTEN_SIZE];
    char database[PATH_MAX];
    char error[ERROR_SIZE]; /* a sentence, when a step fails */
};

static int fail(struct server *s, enum exit_code code, const char *fmt, const char *what)
    __attribute__((format(printf, 3, 0)));
static int fail(struct server *s, enum exit_code code, const char *fmt, const char *what)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(s->error, sizeof(s->error), fmt, what);
#pragma GCC diagnostic pop
    return (int)code;
}

/* Each step: EXIT_STOPPED to go on, or the exit code, with `error`. */

static int open_data(struct server *s)
{
    if (datadir_open(&s->data, s->options->data, s->error, sizeof(s->error)) != 0) {
        return EXIT_DATA;
    }
    return EXIT_STOPPED;
}

static int open_store(struct server *s)
{
    const struct store_options options = {.backend = STORE_SQLITE,
                                          .readers = s->options->loops + 1};
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    s->store = store_open(s->data.path, &options, &err, why);
    return s->store == NULL ? fail(s, EXIT_DATABASE, "%s", why) : EXIT_STOPPED;
}

static int open_tls(struct server *s)
{
    s->certificate = (struct certificate){
        .identity = {.dir = s->data.path,
                     .hosts = s->options->host,
                     .host_count = s->options->host_count},
        .files = {.cert = s->options->tls_cert, .key = s->options->tls_key},
        .live = &s->protocols.live,
    };
    char error[TLS_ERROR_MAX];
    const int err = certificate_open(&s->certificate, clock_unix_s(), error);
    if (err < 0) {
        return fail(s, err == SF_ERR_STATE ? EXIT_OTHER : EXIT_DATA, "%s", error);
    }
    return EXIT_STOPPED;
}

/* Loads the status key, making it on the first start. */
static int load_status_key(struct server *s, struct p256_key *key)
{
    char path[PATH_MAX];
    if (datadir_path(&s->data, "status-key.pem", path, sizeof(path)) != 0) {
        return SF_ERR_RANGE;
    }
    int err = p256_key_load_private(key, path);
    if (err == SF_ERR_NOTFOUND) {
        p256_key_release(key);
        err = p256_key_generate(key);
        if (err == SF_OK) {
            err = p256_key_save_private(key, KEY_ROLE_STATUS, path);
        }
    }
    if (err != SF_OK || datadir_has(&s->data, "status-key.pub.pem")) {
        return err;
    }
    if (datadir_path(&s->data, "status-key.pub.pem", path, sizeof(path)) != 0) {
        return SF_ERR_RANGE;
    }
    return p256_key_save_public(key, path);
}

/* Devices trust one status key: another in its place would be refused by each of them, unseen. */
static int check_status_key(struct server *s)
{
    if (datadir_has(&s->data, "status-key.pem") || !datadir_has(&s->data, "status-key.pub.pem")) {
        return EXIT_STOPPED;
    }
    return fail(s, EXIT_DATA,
                "status-key.pem is gone from the data folder '%s', and devices trust no other key:"
                " restore it from a backup; if there is none, remove status-key.pub.pem too, and"
                " the next start makes a key that no device trusts yet",
                s->options->data);
}

static int open_signers(struct server *s)
{
    struct p256_key key = {0};
    if (check_status_key(s) != EXIT_STOPPED) {
        return EXIT_DATA;
    }
    int err = load_status_key(s, &key);
    for (unsigned i = 0; i < s->options->loops && err == SF_OK; i++) {
        err = p256_signer_init(&s->signer[i], &key);
        if (err == SF_OK) {
            s->sf_signer[i] = p256_signer_as_sf(&s->signer[i]);
            s->signer_count++;
        }
    }
    s->protocols.status_key = key.public_key;
    p256_key_release(&key);
    if (err != SF_OK) {
        return fail(s, EXIT_DATA,
                    "the status key status-key.pem in the data folder cannot be used:"
                    " %s",
                    sf_err_str(err));
    }
    return EXIT_STOPPED;
}

static int open_artifacts(struct server *s)
{
    char path[PATH_MAX];
    if (datadir_path(&s->data, "artifacts", path, sizeof(path)) != 0) {
        return fail(s, EXIT_DATA, "the name of the data folder '%s' is too long", s->data.path);
    }
    char error[ARTIFACTS_ERROR_MAX];
    if (artifacts_open(&s->artifacts, path, error) < 0) {
        return fail(s, EXIT_DATA, "%s", error);
    }
    return EXIT_STOPPED;
}

/* What SIGHUP may change. */
static void set_live(struct protocols *p, const struct options *o)
{
    struct live *live = &p->live;
#define X(name, help) atomic_store(&live->keep_##name##_days, o->keep_##name##_days);
    KEEP_MAP(X)
#undef X
    atomic_store(&live->checkin_interval_s, o->checkin_interval_s);
    atomic_store(&p->room.quota_bytes, o->quota_bytes);
    atomic_store(&p->room.reserve_bytes, o->reserve_bytes);
    log_set_level((enum log_level)o->log_level);
    log_set_format((enum log_format)o->log_format);
}

static void fill_protocols(struct server *s)
{
    struct protocols *p = &s->protocols;
    p->store = s->store;
    p->artifacts = s->artifacts;
    p->crypto = crypto_openssl();
    p->signer = s->sf_signer;
    p->loop_count = s->options->loops;
    p->stats = &s->stats;
    p->version = SUREFOOT_VERSION;
    p->now = clock_unix_s;
    p->started_at = clock_unix_s();
    p->database = datadir_path(&s->data, "surefoot.db", s->database, sizeof(s->database)) == 0
                      ? s->database
                      : NULL;
    p->room.artifacts = s->artifacts;
    set_live(p, s->options);
    limits_init(&p->limits, &(struct protocols_limits){0});
    stats_init(&s->stats);
}

/* Nobody should wonder for long why no device updates. */
static void tell_freeze(struct server *s)
{
    struct freeze freeze;
    if (store_freeze_get(store_reader(s->store, 0), &freeze) == SF_OK && freeze.since != 0) {
        log_warn("the fleet is frozen: no device is offered anything until it is unfrozen",
                 LOG_TEXT("who", freeze.who), LOG_INT("since", freeze.since),
                 LOG_TEXT("reason", freeze.reason));
    }
}

/* The token is on disk before the database knows it: see protocols.h. */
static int first_token(struct server *s)
{
    int needs = protocols_needs_admin(&s->protocols);
    if (needs < 0) {
        return fail(s, EXIT_DATABASE,
                    "the database cannot be read: %s; look at the data folder with `surefoot "
                    "server check`, and restore a backup if it is damaged",
                    sf_err_str(needs));
    }
    if (needs == 0) {
        return EXIT_STOPPED;
    }
    char text[PROTOCOLS_TOKEN_SIZE + 1];
    char path[PATH_MAX];
    struct api_token token;
    int err = protocols_make_token(&s->protocols, text, &token);
    if (err == SF_OK) {
        err = datadir_path(&s->data, "admin-token", path, sizeof(path)) == 0 ? SF_OK : SF_ERR_RANGE;
    }
    if (err == SF_OK) {
        size_t len = strlen(text);
        text[len] = '\n';
        err = disk_write_atomic(path, 0600, text, len + 1);
    }
    if (err == SF_OK) {
        err = protocols_add_token(&s->protocols, &token);
    }
    OPENSSL_cleanse(text, sizeof(text));
    if (err != SF_OK) {
        return fail(s, EXIT_DATA, "the first admin token cannot be made: %s", sf_err_str(err));
    }
    (void)printf("admin token made: %s (keep it secret)\n", path);
    return EXIT_STOPPED;
}

/* Devices that have the newest trust root believe only the status keys that it lists. */
static int open_root(struct server *s)
{
    int lists_status_key = 0;
    const int err =
        protocols_load_root(&s->protocols, store_reader(s->store, 0), &lists_status_key);
    if (err != SF_OK) {
        return fail(s, EXIT_DATA, "the newest trust root in the database cannot be read: %s",
                    sf_err_str(err));
    }
    if (!lists_status_key) {
        log_warn("the newest trust root does not list this server's status key, so devices that "
                 "have it believe nothing that it says: upload one that does");
    }
    return EXIT_STOPPED;
}

static int open_http(struct server *s)
{
    const struct options *o = s->options;
    const char *shape = strchr(o->address, ':') == NULL ? "%s:%u" : "[%s]:%u";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(s->listen, sizeof(s->listen), shape, o->address, (unsigned)o->port);
#pragma GCC diagnostic pop
    struct http_config config = {
        .listen = s->listen,
        .tls = s->certificate.tls,
        .hosts = o->host,
        .host_count = o->host_count,
        .spool_dir = artifacts_tmp_dir(s->artifacts),
        .spool_refuse = protocols_refuse_upload,
        .routes = protocols_routes(&config.route_count),
        .ctx = &s->protocols,
        .authorise = protocols_authorise,
        .stats = &s->stats,
        .loops = o->loops,
        .limits = {.connections = o->connections,
                   .address_connections = o->address_connections,
                   .address_handshakes = o->address_handshakes,
                   .address_per_s = o->address_per_s,
                   .address_burst = o->address_burst},
    };
    char error[HTTP_ERROR_MAX];
    if (protocols_check(config.routes, config.route_count, error, sizeof(error)) != NULL) {
        return fail(s, EXIT_OTHER, "%s", error);
    }
    if (http_open(&s->http, &config, error) < 0) {
        return fail(s, EXIT_LISTEN, "%s", error);
    }
    http_set_access_log(s->http, o->access_log != 0);
    if (http_start(s->http, error) < 0) {
        return fail(s, EXIT_LISTEN, "%s", error);
    }
    return EXIT_STOPPED;
}

static int start_scheduler(struct server *s)
{
    const struct scheduler_config config = {
        .store = s->store,
        .reader = store_reader(s->store, s->options->loops),
        .artifacts = s->artifacts,
        .certificate = &s->certificate,
        .stats = &s->stats,
        .live = &s->protocols.live,
    };
    s->scheduler = scheduler_start(&config);
    return s->scheduler == NULL ? fail(s, EXIT_OTHER, "%s", "no memory for the scheduler thread")
                                : EXIT_STOPPED;
}

static int start(struct server *s)
{
    static int (*const steps[])(struct server *) = {
        open_data, open_store, open_tls, open_signers, open_artifacts,
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int code = steps[i](s);
        if (code != EXIT_STOPPED) {
            return code;
        }
    }
    fill_protocols(s);
    tell_freeze(s);
    int code = open_root(s);
    if (code == EXIT_STOPPED) {
        code = first_token(s);
    }
    if (code == EXIT_STOPPED) {
        code = open_http(s);
    }
    return code == EXIT_STOPPED ? start_scheduler(s) : code;
}

static void stop(struct server *s)
{
    atomic_store(&s->protocols.draining, 1);
    if (s->http != NULL && http_drain(s->http, s->drain_s * 1000) != 0) {
        /* Their handlers may use anything at any moment, so nothing can be taken down under them.
         * Nothing has to be: what was acknowledged is on the disk. */
        log_warn("requests were still running when the time to stop had come");
        _Exit(EXIT_STOPPED);
    }
    scheduler_stop(s->scheduler);
    store_close(s->store); /* after it no job can answer any more */
    if (s->http != NULL) {
        http_close(s->http);
    }
    certificate_close(&s->certificate);
    if (s->artifacts != NULL) {
        artifacts_close(s->artifacts);
    }
    for (unsigned i = 0; i < s->signer_count; i++) {
        p256_signer_release(&s->signer[i]);
    }
    datadir_close(&s->data);
}

/* Says where everything is; programs that start surefootd read the last line. */
static void print_banner(const struct server *s)
{
    const struct options *o = s->options;
    const char *shape = strchr(o->address, ':') == NULL ? "" : "[";
    (void)printf("surefootd %s\n", SUREFOOT_VERSION);
    if (o->tls_cert != NULL) {
        (void)printf("certificate: %s\n", o->tls_cert);
    } else {
        (void)printf("CA for devices and curl: %s/ca.pem\n", o->data);
    }
    (void)printf("status key for firmware: %s/status-key.pub.pem\n", o->data);
    (void)printf("listening on https://%s%s%s:%u\n", shape, o->address, shape[0] ? "]" : "",
                 http_port(s->http));
    (void)fflush(stdout);
}

/* The same sources as at the start, read again. What is refused changes nothing. */
static void reload_settings(struct server *s)
{
    struct options *next = malloc(sizeof(*next));
    if (next == NULL) {
        log_error("no memory to read the settings");
        return;
    }
    if (options_load(next, s->argc, s->argv, s->environment) != 0) {
        (void)atomic_fetch_add(&s->protocols.live.reload_failures, 1);
        log_error("the settings stay as they are", LOG_TEXT("why", next->error));
        free(next);
        return;
    }
    unsigned index = 0;
    const char *name = options_needs_restart(s->options, next, &index);
    for (; name != NULL; name = options_needs_restart(s->options, next, &index)) {
        log_warn("this setting changed and needs a restart", LOG_TEXT("setting", name));
    }
    set_live(&s->protocols, next);
    http_set_access_log(s->http, next->access_log != 0);
    s->drain_s = next->drain_s;
    log_info("settings reloaded", LOG_TEXT("file", next->config));
    free(next);
}

static void reload(struct server *s)
{
    notify_manager("RELOADING=1");
    (void)atomic_fetch_add(&s->protocols.live.reloads, 1);
    reload_settings(s);
    certificate_refresh(&s->certificate, clock_unix_s(), CERTIFICATE_ANYWAY);
    notify_manager("READY=1");
}

/* Until SIGTERM or SIGINT. */
static void serve(struct server *s, const sigset_t *waited)
{
    notify_manager("READY=1");
    int number = 0;
    while (sigwait(waited, &number) == 0 && number == SIGHUP) {
        reload(s);
    }
    log_info("stopping", LOG_INT("signal", number));
    notify_manager("STOPPING=1");
}

/* SIGTERM, SIGINT and SIGHUP are waited for, not handled: every thread inherits the mask. */
static int block_signals(sigset_t *waited)
{
    (void)sigemptyset(waited);
    (void)sigaddset(waited, SIGTERM);
    (void)sigaddset(waited, SIGINT);
    (void)sigaddset(waited, SIGHUP);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    return pthread_sigmask(SIG_BLOCK, waited, NULL);
}

/* The soft limit of many systems, 1024, would be 480 connections: a few idle clients. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= FILES_WANTED) {
        return;
    }
    files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static int run(const struct options *options, int argc, const char *const argv[])
{
    sigset_t waited;
    if (block_signals(&waited) != 0) {
        return EXIT_OTHER;
    }
    (void)umask(077);
    raise_file_limit();
    struct server *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return EXIT_OTHER;
    }
    s->options = options;
    s->drain_s = options->drain_s;
    s->argc = argc;
    s->argv = argv;
    s->environment = (const char *const *)environ;
    s->data.lock_fd = -1;
    int code = start(s);
    if (code == EXIT_STOPPED) {
        print_banner(s);
        serve(s, &waited);
    } else {
        (void)fprintf(stderr, "surefootd: %s\n", s->error);
    }
    stop(s);
    free(s);
    return code;
}

static int check_config(const struct options *o)
{
    const struct tls_files files = {.cert = o->tls_cert, .key = o->tls_key};
    char error[TLS_ERROR_MAX];
    if (files.cert != NULL &&
        tls_files_check(&files, o->host, o->host_count, clock_unix_s(), error) < 0) {
        (void)fprintf(stderr, "surefootd: %s\n", error);
        return EXIT_OTHER;
    }
    (void)printf("the configuration is good%s%s\n", o->config != NULL ? ": " : "",
                 o->config != NULL ? o->config : "");
    return EXIT_STOPPED;
}

int main(int argc, char *argv[])
{
    static struct options options; /* too large for a stack that may be small */
    if (options_load(&options, argc, (const char *const *)argv, (const char *const *)environ) !=
        0) {
        (void)fprintf(stderr, "surefootd: %s\n", options.error);
        return EXIT_USAGE;
    }
    switch (options.mode) {
    case MODE_HELP:
        options_print_help(stdout);
        return EXIT_STOPPED;
    case MODE_VERSION:
        (void)printf("surefootd %s\n", SUREFOOT_VERSION);
        return EXIT_STOPPED;
    case MODE_PRINT_ROUTES:
        return protocols_document(stdout) == 0 ? EXIT_STOPPED : EXIT_OTHER;
    case MODE_PRINT_SETTINGS:
        options_print_settings(stdout);
        return EXIT_STOPPED;
    case MODE_PRINT_CONFIG:
        options_print_config(&options, stdout);
        return EXIT_STOPPED;
    case MODE_CHECK_CONFIG:
        return check_config(&options);
    case MODE_RUN:
        break;
    }
    return run(&options, argc, (const char *const *)argv);
}
