/* A small fleet over real HTTP: update, rollback, reports, and a second run on kept flash. The
 * server is one thread of this process. */
#include "sim/fleet.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ports/host/crypto_psa.h"
#include "ports/host/port.h"
#include "sim/flash_image.h"
#include "sim/report.h"
#include "tests/sim/lab.h"

enum { DEVICES = 5, PATIENCE_MS = 60000, TEXT_SIZE = 16384 };

/* ---- the server's HTTP ---- */

struct http {
    struct lab_server lab;
    pthread_mutex_t lock; /* of lab */
    pthread_t thread;
    int listen_fd;
    char url[64];
};

struct message {
    char bytes[8192];
    size_t len;
    char path[128];
    char authorization[256];
    struct sf_request request;
};

static void copy_header(const struct message *m, const char *name, char *out, size_t size)
{
    const char *at = strstr(m->bytes, name);
    out[0] = '\0';
    if (at) {
        at += strlen(name);
        snprintf(out, size, "%.*s", (int)strcspn(at, "\r\n"), at);
    }
}

/* 1 once the request is whole. */
static int parse(struct message *m)
{
    char number[32];
    m->bytes[m->len] = '\0';
    const char *end = strstr(m->bytes, "\r\n\r\n");
    if (!end) {
        return 0;
    }
    copy_header(m, "Content-Length: ", number, sizeof(number));
    size_t body_len = strtoul(number, NULL, 10);
    size_t head_len = (size_t)(end - m->bytes) + 4;
    if (m->len < head_len + body_len) {
        return 0;
    }
    const char *path = strchr(m->bytes, ' ');
    assert_non_null(path);
    snprintf(m->path, sizeof(m->path), "%.*s", (int)strcspn(path + 1, " "), path + 1);
    copy_header(m, "Authorization: ", m->authorization, sizeof(m->authorization));
    copy_header(m, "Range: bytes=", number, sizeof(number));
    m->request = (struct sf_request){.method = m->bytes[0] == 'P' ? SF_METHOD_POST : SF_METHOD_GET,
                                     .path = m->path,
                                     .authorization = m->authorization[0] ? m->authorization : NULL,
                                     .body = (const uint8_t *)m->bytes + head_len,
                                     .body_len = body_len,
                                     .range_offset = (uint32_t)strtoul(number, NULL, 10)};
    return 1;
}

static void send_answer(int fd, const struct lab_answer *a)
{
    char head[512];
    int used =
        snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nConnection: close\r\n", a->head.status);
    if (a->head.status != 204) {
        used += snprintf(head + used, sizeof(head) - (size_t)used, "Content-Length: %zu\r\n",
                         a->body_len);
    }
    if (a->head.etag[0]) {
        used += snprintf(head + used, sizeof(head) - (size_t)used, "ETag: %s\r\n", a->head.etag);
    }
    if (a->head.range_start >= 0) {
        used += snprintf(head + used, sizeof(head) - (size_t)used,
                         "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)a->head.range_start,
                         (long long)a->head.range_total - 1, (long long)a->head.range_total);
    }
    used += snprintf(head + used, sizeof(head) - (size_t)used, "\r\n");
    (void)!send(fd, head, (size_t)used, MSG_NOSIGNAL);
    (void)!send(fd, a->body, a->body_len, MSG_NOSIGNAL);
}

static void serve_one(struct http *h, int fd)
{
    static struct message m; /* one thread */
    static struct lab_answer a;
    m.len = 0;
    int whole = 0;
    while (!whole && m.len < sizeof(m.bytes) - 1) {
        ssize_t got = recv(fd, m.bytes + m.len, sizeof(m.bytes) - 1 - m.len, 0);
        if (got <= 0) {
            break;
        }
        m.len += (size_t)got;
        whole = parse(&m);
    }
    if (whole) {
        pthread_mutex_lock(&h->lock);
        lab_server_answer(&h->lab, &m.request, time(NULL), &a);
        pthread_mutex_unlock(&h->lock);
        send_answer(fd, &a);
    }
    shutdown(fd, SHUT_WR);
    while (recv(fd, m.bytes, sizeof(m.bytes), 0) > 0) {
    }
    close(fd);
}

static void *http_main(void *arg)
{
    struct http *h = arg;
    for (;;) {
        int fd = accept(h->listen_fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        serve_one(h, fd);
    }
}

static void http_start(struct http *h)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    pthread_mutex_init(&h->lock, NULL);
    h->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(h->listen_fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(h->listen_fd, 64), 0);
    assert_int_equal(getsockname(h->listen_fd, (struct sockaddr *)&address, &len), 0);
    snprintf(h->url, sizeof(h->url), "http://127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&h->thread, NULL, http_main, h), 0);
}

/* ---- the fleet ---- */

struct bench {
    struct http http;
    struct lab_release first;
    struct lab_release second;
    struct lab_release third;
    struct sf_crypto crypto;
    int base_fd;
    char state_dir[64];
    struct fleet fleet;
};

static int make_bench(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    uint8_t *flash = malloc(FLASH_IMAGE_SIZE);
    struct sf_behaviour crash = {.kind = SF_BEHAVIOUR_CRASH_AFTER, .parameter = 5};
    assert_true(b && flash);
    lab_server_open(&b->http.lab);
    lab_release(&b->http.lab, &b->first, "1.0.0", NULL, 2);
    lab_release(&b->http.lab, &b->second, "1.1.0", NULL, 4);
    lab_release(&b->http.lab, &b->third, "1.2.0", &crash, 6);
    http_start(&b->http);
    assert_int_equal(crypto_psa_init(&b->crypto), SF_OK);
    assert_int_equal(flash_image_build(b->first.image, b->first.image_len, flash, NULL), SF_OK);
    b->base_fd = memfd_create("base", MFD_CLOEXEC);
    assert_int_equal(write(b->base_fd, flash, FLASH_IMAGE_SIZE), FLASH_IMAGE_SIZE);
    free(flash);
    snprintf(b->state_dir, sizeof(b->state_dir), "/tmp/sf_fleet_test_XXXXXX");
    assert_non_null(mkdtemp(b->state_dir));
    *state = b;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int release_bench(void **state)
{
    struct bench *b = *state;
    shutdown(b->http.listen_fd, SHUT_RDWR);
    pthread_join(b->http.thread, NULL);
    close(b->http.listen_fd);
    pthread_mutex_destroy(&b->http.lock);
    lab_server_close(&b->http.lab);
    close(b->base_fd);
    (void)nftw(b->state_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(b);
    return 0;
}

static void publish(struct bench *b, const struct lab_release *release, uint64_t counter)
{
    pthread_mutex_lock(&b->http.lock);
    b->http.lab.target = release;
    b->http.lab.action = SF_STATUS_INSTALL;
    b->http.lab.counter = counter;
    pthread_mutex_unlock(&b->http.lock);
}

static void open_fleet(struct bench *b, int keep)
{
    int failed = 0;
    struct fleet_options options = {.net = {.server = b->http.url},
                                    .device = {.firmware = {.hw_revision = "A",
                                                            .enrol_token = "token",
                                                            .chip_id = SF_CHIP_ESP32C3,
                                                            .chip_revision = 3},
                                               .crypto = &b->crypto,
                                               .rollback = 1},
                                    .base_fd = b->base_fd,
                                    .flash_size = FLASH_IMAGE_SIZE,
                                    .state_dir = keep ? b->state_dir : NULL,
                                    .count = DEVICES,
                                    .seed = 0xabcdef,
                                    .speed = 100,
                                    .max_requests = 3};
    struct sf_config *firmware = &options.device.firmware;
    memcpy(firmware->release_key, b->http.lab.release_key.public_key.xy, SF_P256_KEY_SIZE);
    memcpy(firmware->status_key, b->http.lab.status_key.public_key.xy, SF_P256_KEY_SIZE);
    assert_int_equal(fleet_open(&b->fleet, &options, &failed), SF_OK);
}

static void run_to_rest(struct bench *b)
{
    uint64_t give_up = sf_host_now_ms() + PATIENCE_MS;
    while (fleet_count(&b->fleet).at_rest < DEVICES) {
        assert_true(sf_host_now_ms() < give_up);
        assert_int_equal(fleet_run(&b->fleet, sf_host_now_ms() + 100), SF_OK);
    }
}

static void assert_outcomes(const struct bench *b, const char *wanted)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        char outcome[REPORT_OUTCOME_SIZE];
        report_outcome(&b->fleet.device[i], outcome);
        assert_string_equal(outcome, wanted);
    }
}

static void a_fleet_updates_and_each_device_downloads_once(void **state)
{
    struct bench *b = *state;
    publish(b, &b->second, 2);
    open_fleet(b, 0);
    run_to_rest(b);
    assert_outcomes(b, "confirmed 1.1.0");
    struct fleet_counts counts = fleet_count(&b->fleet);
    assert_int_equal(counts.bytes, DEVICES * b->second.image_len);
    assert_int_equal(counts.boots, DEVICES * 2);
    assert_int_equal(counts.silent, 0);
    assert_int_equal(b->http.lab.enrolments, DEVICES);
    assert_string_equal(b->fleet.device[3].id, "02abcdef0003");
    fleet_close(&b->fleet);
}

static void a_second_run_goes_on_with_the_kept_flash(void **state)
{
    struct bench *b = *state;
    publish(b, &b->second, 2);
    open_fleet(b, 1);
    run_to_rest(b);
    fleet_close(&b->fleet);

    publish(b, &b->third, 3);
    open_fleet(b, 1);
    run_to_rest(b);
    assert_outcomes(b, "rolled back to 1.1.0: the new image crashed during its trial");
    assert_int_equal(b->http.lab.enrolments, DEVICES); /* the credentials were kept */
    fleet_close(&b->fleet);

    unsigned downloads = b->http.lab.downloads;
    open_fleet(b, 1);
    run_to_rest(b);
    assert_outcomes(b, "no update"); /* refused: it failed here before */
    assert_int_equal(b->http.lab.downloads, downloads);
    fleet_close(&b->fleet);
}

static void reports_tell_every_device_in_text_and_json(void **state)
{
    struct bench *b = *state;
    char *text = NULL;
    size_t len = 0;
    publish(b, &b->second, 2);
    open_fleet(b, 0);
    run_to_rest(b);

    FILE *out = open_memstream(&text, &len);
    report_table(&b->fleet, 2, out);
    report_progress(&b->fleet, 61000, out);
    fclose(out);
    assert_non_null(strstr(text, "02abcdef0001  ota_1    1.1.0"));
    assert_null(strstr(text, "02abcdef0002"));
    assert_non_null(strstr(text, "and 3 more"));
    assert_non_null(strstr(text, "     5  confirmed 1.1.0\n"));
    assert_non_null(strstr(text, "61 s: 5 devices: 5 at rest"));
    free(text);

    out = open_memstream(&text, &len);
    assert_int_equal(report_json(&b->fleet, 1234, out), SF_OK);
    fclose(out);
    json_error_t error;
    char *end = strchr(text, '\n');
    json_t *device = json_loadb(text, (size_t)(end - text), 0, &error);
    assert_string_equal(json_string_value(json_object_get(device, "outcome")), "confirmed 1.1.0");
    assert_true(json_is_null(json_object_get(device, "error")));
    assert_int_equal(json_integer_value(json_object_get(device, "boots")), 2);
    json_t *entry = json_array_get(json_object_get(device, "otadata"), 1);
    assert_string_equal(json_string_value(json_object_get(entry, "ota_state")), "VALID");
    json_decref(device);
    assert_non_null(strstr(text, "{\"summary\":{\"devices\":5,\"at_rest\":5,"));
    free(text);
    fleet_close(&b->fleet);
}

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, make_bench, release_bench)

int main(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_fleet_updates_and_each_device_downloads_once),
        BENCH_TEST(a_second_run_goes_on_with_the_kept_flash),
        BENCH_TEST(reports_tell_every_device_in_text_and_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
