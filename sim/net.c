#include "sim/net.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ports/host/port.h"

/* libcurl's multi interface, driven by epoll.
 *
 * 1. A sink is called from net_run() only, and its end from outside of libcurl's callbacks: so it
 *    may start or cancel any transfer.
 * 2. After net_cancel() or end, libcurl holds no pointer to a transfer. */

enum { URL_MAX = 512, HEADER_LINE_MAX = 512, EVENTS_A_WAIT = 256 };

/* ---- libcurl's callbacks ---- */

static int64_t header_number(CURL *easy, const char *name)
{
    struct curl_header *h = NULL;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK) {
        return -1;
    }
    char *end = NULL;
    errno = 0;
    long long value = strtoll(h->value, &end, 10);
    return errno != 0 || end == h->value || *end != '\0' || value < 0 ? -1 : value;
}

/* `bytes 4096-8191/10000`; a total of `*` stays -1. */
static void parse_content_range(const char *text, struct sf_response_head *head)
{
    if (strncmp(text, "bytes ", 6) != 0) {
        return;
    }
    char *end = NULL;
    errno = 0;
    long long start = strtoll(text + 6, &end, 10);
    const char *slash = strchr(text, '/');
    if (errno != 0 || *end != '-' || start < 0 || !slash) {
        return;
    }
    head->range_start = start;
    long long total = strtoll(slash + 1, &end, 10);
    head->range_total = errno == 0 && end != slash + 1 && *end == '\0' && total >= 0 ? total : -1;
}

static int tell_head(struct net_transfer *t, long status)
{
    struct sf_response_head head = {
        .status = (int)status, .content_len = -1, .range_start = -1, .range_total = -1, .etag = ""};
    struct curl_header *h = NULL;
    curl_off_t len = -1;
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
    head.content_len = len;
    if (curl_easy_header(t->easy, "Content-Range", 0, CURLH_HEADER, -1, &h) == CURLHE_OK) {
        parse_content_range(h->value, &head);
    }
    if (curl_easy_header(t->easy, "ETag", 0, CURLH_HEADER, -1, &h) == CURLHE_OK &&
        strlen(h->value) <= NET_ETAG_MAX) {
        head.etag = h->value;
    }
    int64_t retry = header_number(t->easy, "Retry-After");
    head.retry_after_s = retry < 0 ? 0 : retry > UINT32_MAX ? UINT32_MAX : (uint32_t)retry;
    t->head_told = 1;
    return t->sink->head(t->ctx, &head);
}

/* libcurl fixes the signatures: */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *t = arg;
    size_t len = size * count;
    t->header_bytes += len;
    if (t->header_bytes > NET_HEADER_MAX) {
        t->err = SF_ERR_TOO_LARGE;
        return 0;
    }
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    int is_last = len <= 2 && (data[0] == '\r' || data[0] == '\n');
    if (!is_last || t->head_told || status < 200) {
        return len;
    }
    int err = tell_head(t, status);
    if (err < 0) {
        t->err = err;
        return 0;
    }
    return len;
}

/* NOLINTNEXTLINE(readability-non-const-parameter) */
static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *t = arg;
    size_t len = size * count;
    const uint8_t *from = (const uint8_t *)data;
    for (size_t left = len; left > 0;) {
        int32_t taken = t->sink->body(t->ctx, from, left);
        if (taken <= 0) {
            t->err = taken < 0 ? taken : SF_ERR_INTERNAL;
            return 0;
        }
        from += taken;
        left -= (size_t)taken;
    }
    return len;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct net *n = arg;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        /* fails if the socket is closed already: then it is gone from the set, too */
        epoll_ctl(n->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                   (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (epoll_ctl(n->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
        return -1;
    }
    curl_multi_assign(n->multi, fd, n);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct net *n = arg;
    (void)multi;
    n->timer_at_ms = timeout_ms < 0 ? -1 : (int64_t)sf_host_now_ms() + timeout_ms;
    return 0;
}

/* ---- lifecycle ---- */

int net_open(struct net *n, const struct net_options *options)
{
    *n = (struct net){.options = *options, .epoll_fd = -1, .timer_at_ms = -1};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return SF_ERR_NET_MEMORY;
    }
    n->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (n->epoll_fd < 0) {
        curl_global_cleanup();
        return SF_ERR_IO;
    }
    n->multi = curl_multi_init();
    if (!n->multi) {
        close(n->epoll_fd);
        curl_global_cleanup();
        return SF_ERR_NET_MEMORY;
    }
    curl_multi_setopt(n->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(n->multi, CURLMOPT_SOCKETDATA, n);
    curl_multi_setopt(n->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(n->multi, CURLMOPT_TIMERDATA, n);
    return SF_OK;
}

void net_close(struct net *n)
{
    if (n->multi) {
        curl_multi_cleanup(n->multi);
        close(n->epoll_fd);
        curl_global_cleanup();
    }
    *n = (struct net){.epoll_fd = -1};
}

/* ---- a request ---- */

static void release_transfer(struct net *n, struct net_transfer *t)
{
    if (t->easy) {
        curl_multi_remove_handle(n->multi, t->easy);
        curl_easy_cleanup(t->easy);
        n->running--;
    }
    curl_slist_free_all(t->headers);
    *t = (struct net_transfer){0};
}

static int add_header(struct net_transfer *t, const char *name, const char *value)
{
    char line[HEADER_LINE_MAX];
    int len = snprintf(line, sizeof(line), "%s: %s", name, value);
    if (len < 0 || len >= (int)sizeof(line)) {
        return SF_ERR_RANGE;
    }
    struct curl_slist *list = curl_slist_append(t->headers, line);
    if (!list) {
        return SF_ERR_NET_MEMORY;
    }
    t->headers = list;
    return SF_OK;
}

static int add_headers(struct net_transfer *t, const struct sf_request *request)
{
    int err = SF_OK;
    if (request->method == SF_METHOD_POST) {
        err = add_header(t, "Content-Type", "application/cbor");
    }
    if (err == SF_OK && request->authorization) {
        err = add_header(t, "Authorization", request->authorization);
    }
    if (err == SF_OK && request->if_none_match) {
        err = add_header(t, "If-None-Match", request->if_none_match);
    }
    if (err == SF_OK && request->range_offset > 0) {
        char range[32];
        snprintf(range, sizeof(range), "bytes=%u-", request->range_offset);
        err = add_header(t, "Range", range);
        if (err == SF_OK && request->etag && request->etag[0]) {
            err = add_header(t, "If-Range", request->etag);
        }
    }
    return err;
}

static void set_options(const struct net *n, struct net_transfer *t)
{
    CURL *easy = t->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "surefoot-sim");
    /* A device's connection is its own, and a new one after each reboot: so a fleet here puts the
     * load of new TLS connections on the server that a fleet out there does. */
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (n->options.cacert) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, n->options.cacert);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
}

static int set_request(const struct net *n, struct net_transfer *t,
                       const struct sf_request *request)
{
    char url[URL_MAX];
    size_t base = strlen(n->options.server);
    base -= base > 0 && n->options.server[base - 1] == '/';
    int len = snprintf(url, sizeof(url), "%.*s%s", (int)base, n->options.server, request->path);
    if (len < 0 || len >= (int)sizeof(url)) {
        return SF_ERR_RANGE;
    }
    int err = add_headers(t, request);
    if (err < 0) {
        return err;
    }
    set_options(n, t);
    if (request->method == SF_METHOD_POST) {
        curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE, (long)request->body_len);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, request->body);
    }
    return curl_easy_setopt(t->easy, CURLOPT_URL, url) == CURLE_OK ? SF_OK : SF_ERR_NET_MEMORY;
}

int net_start(struct net *n, struct net_transfer *t, const struct sf_request *request,
              const struct net_sink *sink, void *ctx)
{
    if (t->easy) {
        return SF_ERR_STATE;
    }
    if (request->origin != 0) {
        return SF_ERR_UNSUPPORTED;
    }
    *t = (struct net_transfer){.easy = curl_easy_init(), .sink = sink, .ctx = ctx};
    if (!t->easy) {
        return SF_ERR_NET_MEMORY;
    }
    n->running++;
    int err = set_request(n, t, request);
    if (err == SF_OK && curl_multi_add_handle(n->multi, t->easy) != CURLM_OK) {
        err = SF_ERR_NET_MEMORY;
    }
    if (err < 0) {
        release_transfer(n, t);
    }
    return err;
}

void net_cancel(struct net *n, struct net_transfer *t)
{
    if (t->easy) {
        release_transfer(n, t);
    }
}

/* ---- the end of a request ---- */

static int refused_certificate(CURL *easy)
{
    long result = X509_V_OK;
    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
    return result == X509_V_ERR_CERT_HAS_EXPIRED || result == X509_V_ERR_CERT_NOT_YET_VALID
               ? SF_ERR_TLS_TIME
               : SF_ERR_TLS_CERT;
}

static int error_of(CURL *easy, CURLcode code)
{
    static const struct {
        CURLcode code;
        int err;
    } map[] = {
        {CURLE_OK, SF_OK},
        {CURLE_COULDNT_RESOLVE_HOST, SF_ERR_DNS},
        {CURLE_COULDNT_RESOLVE_PROXY, SF_ERR_DNS},
        {CURLE_COULDNT_CONNECT, SF_ERR_CONNECT},
        {CURLE_OPERATION_TIMEDOUT, SF_ERR_CONNECT}, /* only libcurl's own limit for connecting */
        {CURLE_SSL_CONNECT_ERROR, SF_ERR_TLS},
        {CURLE_SSL_CIPHER, SF_ERR_TLS},
        {CURLE_SSL_ENGINE_INITFAILED, SF_ERR_TLS},
        {CURLE_SSL_CACERT_BADFILE, SF_ERR_TLS_CERT},
        {CURLE_SSL_ISSUER_ERROR, SF_ERR_TLS_CERT},
        {CURLE_OUT_OF_MEMORY, SF_ERR_NET_MEMORY},
        {CURLE_GOT_NOTHING, SF_ERR_CLOSED},
        {CURLE_RECV_ERROR, SF_ERR_CLOSED},
        {CURLE_SEND_ERROR, SF_ERR_CLOSED},
        {CURLE_PARTIAL_FILE, SF_ERR_CLOSED},
        {CURLE_WEIRD_SERVER_REPLY, SF_ERR_FORMAT},
        {CURLE_UNSUPPORTED_PROTOCOL, SF_ERR_FORMAT}, /* HTTP/0.9 */
        {CURLE_BAD_CONTENT_ENCODING, SF_ERR_FORMAT},
    };
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        return refused_certificate(easy);
    }
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].code == code) {
            return map[i].err;
        }
    }
    return SF_ERR_IO;
}

static void end_transfer(struct net *n, CURL *easy, CURLcode code)
{
    struct net_transfer *t = NULL;
    curl_off_t received = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    n->received_bytes += (uint64_t)received;
    int err = t->err < 0 ? t->err : error_of(easy, code);
    const struct net_sink *sink = t->sink;
    void *ctx = t->ctx;
    release_transfer(n, t);
    sink->end(ctx, err);
}

static void end_finished(struct net *n)
{
    int left = 0;
    CURLMsg *message = curl_multi_info_read(n->multi, &left);
    while (message) {
        if (message->msg == CURLMSG_DONE) {
            end_transfer(n, message->easy_handle, message->data.result);
        }
        message = curl_multi_info_read(n->multi, &left);
    }
}

int net_run(struct net *n, int timeout_ms)
{
    struct epoll_event event[EVENTS_A_WAIT];
    int running = 0;
    if (n->timer_at_ms >= 0) {
        int64_t left = n->timer_at_ms - (int64_t)sf_host_now_ms();
        left = left < 0 ? 0 : left;
        timeout_ms = left < timeout_ms ? (int)left : timeout_ms;
    }
    int count = epoll_wait(n->epoll_fd, event, EVENTS_A_WAIT, timeout_ms);
    if (count < 0 && errno != EINTR) {
        return SF_ERR_IO;
    }
    for (int i = 0; i < count; i++) {
        uint32_t e = event[i].events;
        int what = (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(n->multi, event[i].data.fd, what, &running);
    }
    if (n->timer_at_ms >= 0 && n->timer_at_ms <= (int64_t)sf_host_now_ms()) {
        n->timer_at_ms = -1;
        curl_multi_socket_action(n->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    end_finished(n);
    return SF_OK;
}
