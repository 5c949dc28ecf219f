/* tlsload: TLS connections and HTTP requests against a server on this machine, and what the server
 * spent on them.
 *
 *   tlsload --port N --ca FILE --request FILE --count N --threads N
 *           [--per-connection N] [--resume] [--tls12] [--hold] --pid PID [--pid PID]
 *
 * The request file is sent as it is: once on each of `count` connections, or N times with
 * --per-connection. --resume makes one full handshake and resumes its session on every connection;
 * --hold keeps every connection open until the last one has been answered, and then looks at the
 * processes' memory. Prints one JSON line: requests answered, handshakes resumed, bytes of bodies,
 * wall seconds, CPU seconds (user and system, from /proc) and proportional memory of the given
 * processes. Load goes to 127.0.0.1 only; count and threads are bounded. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/client.h"
#include "bench/process.h"

enum { REQUEST_MAX = 4096, THREADS_MAX = 64, PIDS_MAX = 16, COUNT_MAX = 1000000, HOLD_MAX = 20000 };

struct load {
    struct client_target target;
    char request[REQUEST_MAX];
    long count;
    long per_connection;
    unsigned threads;
    int resume;
    int hold;
    int pid[PIDS_MAX];
    unsigned pid_count;
    SSL_SESSION *session;
    struct client *held; /* `count` of them with --hold */
    atomic_long started;
    atomic_long answered;
    atomic_long resumed;
    atomic_llong bytes;
};

static double cpu_seconds(const struct load *load)
{
    double sum = 0;
    for (unsigned i = 0; i < load->pid_count; i++) {
        sum += process_cpu_seconds(load->pid[i]);
    }
    return sum;
}

static long pss_kib(const struct load *load)
{
    long sum = 0;
    for (unsigned i = 0; i < load->pid_count; i++) {
        sum += process_pss_kib(load->pid[i]);
    }
    return sum;
}

static void use_connection(struct load *load, struct client *c)
{
    if (client_open(c, &load->target, load->session) != 0) {
        return;
    }
    atomic_fetch_add(&load->resumed, SSL_session_reused(c->ssl));
    for (long i = 0; i < load->per_connection; i++) {
        const int64_t len = client_ask(c, &load->target);
        if (len < 0) {
            return;
        }
        atomic_fetch_add(&load->answered, 1);
        atomic_fetch_add(&load->bytes, len);
    }
}

static void *worker(void *arg)
{
    struct load *load = arg;
    struct client own = {.fd = -1};
    long i = 0;
    while ((i = atomic_fetch_add(&load->started, 1)) < load->count) {
        struct client *c = load->hold ? &load->held[i] : &own;
        use_connection(load, c);
        if (!load->hold) {
            client_close(c);
        }
    }
    return NULL;
}

/* A ticket comes with the first answer in TLS 1.3, so one request is asked for it. */
static int take_session(struct load *load)
{
    static struct client c;
    int ok = client_open(&c, &load->target, NULL) == 0 && client_ask(&c, &load->target) >= 0;
    load->session = ok ? SSL_get1_session(c.ssl) : NULL;
    client_close(&c);
    return load->session != NULL && SSL_SESSION_is_resumable(load->session) ? 0 : -1;
}

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *what, const char *which)
{
    (void)fprintf(stderr, "tlsload: %s '%s': %s\n", what, which, strerrordesc_np(errno));
    return 2;
}

static int read_request(struct load *load, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return fail("cannot read the request", path);
    }
    load->target.request_len = fread(load->request, 1, sizeof(load->request), file);
    load->target.request = load->request;
    (void)fclose(file);
    return load->target.request_len > 0 ? 0 : fail("the request is empty:", path);
}

static int number(const char *text, long min, long max, long *out)
{
    char *end = NULL;
    *out = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || *out < min || *out > max) {
        (void)fprintf(stderr, "tlsload: '%s' is not a number from %ld to %ld\n", text, min, max);
        return -1;
    }
    return 0;
}

static const struct option known[] = {
    {"port", required_argument, NULL, 'p'},
    {"ca", required_argument, NULL, 'c'},
    {"request", required_argument, NULL, 'r'},
    {"count", required_argument, NULL, 'n'},
    {"threads", required_argument, NULL, 't'},
    {"per-connection", required_argument, NULL, 'k'},
    {"pid", required_argument, NULL, 'P'},
    {"resume", no_argument, NULL, 'R'},
    {"tls12", no_argument, NULL, '2'},
    {"hold", no_argument, NULL, 'H'},
    {NULL, 0, NULL, 0},
};

static int take_option(struct load *load, int option, const char *value)
{
    long n = 0;
    int err = 0;
    switch (option) {
    case 'p':
        err = number(value, 1, 65535, &n);
        load->target.address.sin_port = htons((uint16_t)n);
        return err;
    case 'c':
        return SSL_CTX_load_verify_file(load->target.tls, value) == 1 ? 0 : fail("bad CA", value);
    case 'r':
        return read_request(load, value);
    case 'n':
        return number(value, 1, COUNT_MAX, &load->count);
    case 'k':
        return number(value, 1, 1000, &load->per_connection);
    case 't':
        err = number(value, 1, THREADS_MAX, &n);
        load->threads = (unsigned)n;
        return err;
    case 'P':
        err = load->pid_count < PIDS_MAX ? number(value, 1, 1L << 22, &n) : -1;
        load->pid[load->pid_count++] = (int)n;
        return err;
    case 'R':
        load->resume = 1;
        return 0;
    case '2':
        return SSL_CTX_set_max_proto_version(load->target.tls, TLS1_2_VERSION) == 1 ? 0 : -1;
    case 'H':
        load->hold = 1;
        return 0;
    default:
        return -1;
    }
}

static int options(struct load *load, int argc, char **argv)
{
    int option = 0;
    int err = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread starts */
    while (err == 0 && (option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        err = take_option(load, option, optarg);
    }
    return err;
}

/* Room for what --hold keeps: descriptors and memory. */
static int prepare_hold(struct load *load)
{
    struct rlimit files = {0};
    if (!load->hold) {
        return 0;
    }
    (void)getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (load->count > HOLD_MAX || (rlim_t)load->count + 64 > files.rlim_cur) {
        (void)fprintf(stderr, "tlsload: %ld connections are too many to hold\n", load->count);
        return -1;
    }
    load->held = calloc((size_t)load->count, sizeof(load->held[0]));
    return load->held != NULL ? 0 : -1;
}

static int run_threads(struct load *load)
{
    pthread_t thread[THREADS_MAX];
    for (unsigned i = 0; i < load->threads; i++) {
        if (pthread_create(&thread[i], NULL, worker, load) != 0) {
            return fail("cannot start", "a thread");
        }
    }
    for (unsigned i = 0; i < load->threads; i++) {
        (void)pthread_join(thread[i], NULL);
    }
    return 0;
}

static void release_held(struct load *load)
{
    for (long i = 0; load->hold && i < load->count; i++) {
        client_close(&load->held[i]);
    }
    free(load->held);
}

int main(int argc, char **argv)
{
    static struct load load = {.count = 1, .threads = 1, .per_connection = 1};
    load.target.address.sin_family = AF_INET;
    load.target.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load.target.tls = SSL_CTX_new(TLS_client_method());
    if (load.target.tls == NULL || options(&load, argc, argv) != 0 || prepare_hold(&load) != 0) {
        return 2;
    }
    SSL_CTX_set_verify(load.target.tls, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(load.target.tls, SSL_SESS_CACHE_OFF);
    if (load.resume && take_session(&load) != 0) {
        (void)fprintf(stderr, "tlsload: the server gives no session that can be resumed\n");
        return 1;
    }
    const double cpu_before = cpu_seconds(&load);
    const long pss_before = pss_kib(&load);
    const double start = now_s();
    if (run_threads(&load) != 0) {
        return 2;
    }
    const double wall = now_s() - start;
    const double cpu = cpu_seconds(&load) - cpu_before;
    const long asked = load.count * load.per_connection;
    (void)printf("{\"answered\": %ld, \"asked\": %ld, \"resumed\": %ld, \"bytes\": %lld, "
                 "\"wall_s\": %.3f, \"server_cpu_s\": %.3f, \"server_pss_kib\": %ld, "
                 "\"server_pss_grown_kib\": %ld}\n",
                 atomic_load(&load.answered), asked, atomic_load(&load.resumed),
                 atomic_load(&load.bytes), wall, cpu, pss_kib(&load), pss_kib(&load) - pss_before);
    release_held(&load);
    SSL_SESSION_free(load.session);
    SSL_CTX_free(load.target.tls);
    return atomic_load(&load.answered) == asked ? 0 : 1;
}
