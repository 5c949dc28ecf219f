/* tlsload: new TLS connections, one HTTP request on each, against a server on this machine, and the
 * CPU time that the server spent on them.
 *
 *   tlsload --port N --ca FILE --request FILE --count N --threads N --pid PID [--pid PID]
 *
 * The request file is sent as it is, one per connection, and must make the server close. Prints one
 * JSON line: requests answered with 200, wall seconds, and the CPU seconds (user and system, from
 * /proc) of the given processes. Load goes to 127.0.0.1 only; count and threads are bounded. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

enum { REQUEST_MAX = 4096, THREADS_MAX = 64, PIDS_MAX = 16, COUNT_MAX = 1000000 };

struct load {
    SSL_CTX *tls;
    struct sockaddr_in address;
    char request[REQUEST_MAX];
    size_t request_len;
    long count;
    unsigned threads;
    int pid[PIDS_MAX];
    unsigned pid_count;
    atomic_long started;
    atomic_long answered;
};

static double process_cpu_seconds(int pid)
{
    char path[64];
    char text[1024] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    char *field = strrchr(text, ')'); /* the name may contain spaces; utime is field 14 */
    for (int i = 2; i < 14 && field != NULL; i++) {
        field = strchr(field + 1, ' ');
    }
    if (field == NULL) {
        return 0;
    }
    char *end = NULL;
    const unsigned long long user = strtoull(field + 1, &end, 10);
    const unsigned long long kernel = strtoull(end, NULL, 10);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static double cpu_seconds(const struct load *load)
{
    double sum = 0;
    for (unsigned i = 0; i < load->pid_count; i++) {
        sum += process_cpu_seconds(load->pid[i]);
    }
    return sum;
}

static int answer_is_200(SSL *ssl)
{
    char answer[4096];
    size_t have = 0;
    int n = 0;
    while (have < sizeof(answer) &&
           (n = SSL_read(ssl, answer + have, (int)(sizeof(answer) - have))) > 0) {
        have += (size_t)n;
    }
    return have > 12 && memcmp(answer + 8, " 200", 4) == 0;
}

static int one_request(const struct load *load)
{
    int ok = 0;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *ssl = SSL_new(load->tls);
    if (fd >= 0 && ssl != NULL && SSL_set_fd(ssl, fd) == 1 &&
        connect(fd, (const struct sockaddr *)&load->address, sizeof(load->address)) == 0 &&
        SSL_set_tlsext_host_name(ssl, "localhost") == 1 && SSL_set1_host(ssl, "localhost") == 1 &&
        SSL_connect(ssl) == 1 &&
        SSL_write(ssl, load->request, (int)load->request_len) == (int)load->request_len) {
        ok = answer_is_200(ssl);
        (void)SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

static void *worker(void *arg)
{
    struct load *load = arg;
    while (atomic_fetch_add(&load->started, 1) < load->count) {
        if (one_request(load)) {
            atomic_fetch_add(&load->answered, 1);
        }
    }
    return NULL;
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
    load->request_len = fread(load->request, 1, sizeof(load->request), file);
    (void)fclose(file);
    return load->request_len > 0 ? 0 : fail("the request is empty:", path);
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

static int options(struct load *load, int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"ca", required_argument, NULL, 'c'},
        {"request", required_argument, NULL, 'r'},
        {"count", required_argument, NULL, 'n'},
        {"threads", required_argument, NULL, 't'},
        {"pid", required_argument, NULL, 'P'},
        {NULL, 0, NULL, 0},
    };
    long n = 0;
    int option = 0;
    int err = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread starts */
    while (err == 0 && (option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'p':
            err = number(optarg, 1, 65535, &n);
            load->address.sin_port = htons((uint16_t)n);
            break;
        case 'c':
            err = SSL_CTX_load_verify_file(load->tls, optarg) == 1 ? 0 : fail("bad CA", optarg);
            break;
        case 'r':
            err = read_request(load, optarg);
            break;
        case 'n':
            err = number(optarg, 1, COUNT_MAX, &load->count);
            break;
        case 't':
            err = number(optarg, 1, THREADS_MAX, &n);
            load->threads = (unsigned)n;
            break;
        case 'P':
            err = load->pid_count < PIDS_MAX ? number(optarg, 1, 1L << 22, &n) : -1;
            load->pid[load->pid_count++] = (int)n;
            break;
        default:
            err = -1;
        }
    }
    return err;
}

int main(int argc, char **argv)
{
    static struct load load = {.count = 1, .threads = 1};
    load.address.sin_family = AF_INET;
    load.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load.tls = SSL_CTX_new(TLS_client_method());
    if (load.tls == NULL || options(&load, argc, argv) != 0) {
        return 2;
    }
    SSL_CTX_set_verify(load.tls, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(load.tls, SSL_SESS_CACHE_OFF);

    const double cpu_before = cpu_seconds(&load);
    const double start = now_s();
    pthread_t thread[THREADS_MAX];
    for (unsigned i = 0; i < load.threads; i++) {
        if (pthread_create(&thread[i], NULL, worker, &load) != 0) {
            return fail("cannot start", "a thread");
        }
    }
    for (unsigned i = 0; i < load.threads; i++) {
        (void)pthread_join(thread[i], NULL);
    }
    const double wall = now_s() - start;
    const double cpu = cpu_seconds(&load) - cpu_before;
    (void)printf("{\"answered\": %ld, \"asked\": %ld, \"wall_s\": %.3f, \"server_cpu_s\": %.3f}\n",
                 atomic_load(&load.answered), load.count, wall, cpu);
    SSL_CTX_free(load.tls);
    return atomic_load(&load.answered) == load.count ? 0 : 1;
}
