/* HTTPS requests with libcurl.
 *
 * 1. A request that may have reached the server is repeated only if repeating it does no harm (GET,
 *    PUT, DELETE, PATCH to the same values), or if the server said that it did nothing (429, 503).
 * 2. The token is a header of this connection only; it is never printed. */

#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/x509_vfy.h>

#include "base/progress.h"
#include "cli/client_hint.h"
#include "cli/out.h"

enum {
    CONNECT_TIMEOUT_S = 10,
    STALL_TIMEOUT_S = 60, /* less than one byte a second for so long: given up */
    RETRY_FIRST_MS = 500, /* doubled each time */
    RETRY_AFTER_MAX_S = 10,
    HTTP_OK = 200,
    HTTP_NO_CONTENT = 204,
};

struct transfer {
    char *answer;
    size_t answer_len;
    int too_large;
    const struct client_upload *upload;
    size_t sent;
    const char *label; /* of what is sent or fetched; NULL: without progress */
    struct progress progress;
    char request_id[64]; /* the server's, to find the request in its log; or "" */
    char error[CURL_ERROR_SIZE];
};

/* ---- opening ---- */

static int is_loopback(const char *server)
{
    static const char *const names[] = {"https://localhost", "https://127.", "https://[::1]"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(server, names[i], strlen(names[i])) == 0) {
            return 1;
        }
    }
    return 0;
}

int client_open_with(struct client *client, const struct config *config)
{
    client->curl = NULL;
    client->config = *config;
    if (config->ca_pem && !(client->config.ca_pem = strdup(config->ca_pem))) {
        return cli_fail(CLI_LOCAL, "out of memory");
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || !(client->curl = curl_easy_init())) {
        return cli_fail(CLI_LOCAL, "libcurl does not start");
    }
    return CLI_OK;
}

int client_open(struct client *client, const char *config)
{
    struct config loaded;
    memset(client, 0, sizeof *client);
    int status = config_load(&loaded, config);
    if (status == CLI_OK) {
        status = client_open_with(client, &loaded);
    }
    config_release(&loaded);
    return status;
}

void client_close(struct client *client)
{
    curl_easy_cleanup(client->curl);
    config_release(&client->config);
    client->curl = NULL;
}

/* ---- paths ---- */

static void path_add(struct client_path *p, const char *text)
{
    size_t have = strlen(p->text);
    int n = snprintf(p->text + have, sizeof p->text - have, "%s", text);
    p->too_long |= n < 0 || (size_t)n >= sizeof p->text - have;
}

static void path_add_escaped(struct client_path *p, const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    if (escaped) {
        path_add(p, escaped);
    }
    p->too_long |= !escaped;
    curl_free(escaped);
}

void client_path_add(struct client_path *path, const char *part)
{
    path_add(path, "/");
    path_add_escaped(path, part);
}

struct client_path client_path(const char *part1, const char *part2, const char *part3,
                               const char *part4)
{
    const char *const parts[] = {part1, part2, part3, part4};
    struct client_path p = {.text = "/api/v1"};
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0] && parts[i]; i++) {
        client_path_add(&p, parts[i]);
    }
    return p;
}

void client_query(struct client_path *path, const char *name, const char *value)
{
    if (value) {
        path_add(path, strchr(path->text, '?') ? "&" : "?");
        path_add(path, name);
        path_add(path, "=");
        path_add_escaped(path, value);
    }
}

/* ---- callbacks ---- */

static size_t on_answer(char *data, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * count;
    if (len > CLIENT_ANSWER_MAX - t->answer_len) {
        t->too_large = 1;
        return 0;
    }
    char *more = realloc(t->answer, t->answer_len + len + 1);
    if (!more) {
        return 0;
    }
    memcpy(more + t->answer_len, data, len);
    t->answer = more;
    t->answer_len += len;
    t->answer[t->answer_len] = '\0';
    return len;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    static const char name[] = "x-request-id:";
    struct transfer *t = ctx;
    char text[sizeof t->request_id];
    size_t len = size * count; /* the line has no NUL behind it */
    size_t at = sizeof name - 1;
    if (len > at && strncasecmp(line, name, at) == 0) {
        size_t n = len - at < sizeof text - 1 ? len - at : sizeof text - 1;
        memcpy(text, line + at, n);
        text[n] = '\0';
        text[strcspn(text, "\r\n")] = '\0';
        out_clean(text + strspn(text, " "), t->request_id, sizeof t->request_id);
    }
    return len;
}

static size_t on_send(char *out, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t room = size * count;
    size_t left = t->upload->len - t->sent;
    size_t n = left < room ? left : room;
    memcpy(out, t->upload->data + t->sent, n);
    t->sent += n;
    return n;
}

static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct transfer *t = ctx;
    const curl_off_t total = t->upload ? up_total : down_total;
    const curl_off_t now = t->upload ? up : down;
    if (total > 0) {
        progress_bytes(&t->progress, t->label, (uint64_t)now, (uint64_t)total);
    }
    return 0;
}

/* ---- sentences ---- */

static int tell_untrusted(const struct client *c, long verify, const char *detail)
{
    const char *server = c->config.server;
    switch (verify) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return cli_fail(
            CLI_UNREACHABLE,
            "the server %s is not trusted: its certificate or its CA has expired; renew "
            "it there, or look at this machine's clock",
            server);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return cli_fail(CLI_UNREACHABLE,
                        "the server %s is not trusted: its certificate is not valid yet; look at "
                        "this machine's clock",
                        server);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return cli_fail(
            CLI_UNREACHABLE,
            c->config.ca_pem
                ? "the server %s is not trusted: its certificate is from another CA "
                  "than the one given at `surefoot login --ca`"
                : "the server %s is not trusted: its certificate is from a CA that this "
                  "machine does not know; give it with `surefoot login --ca FILE`",
            server);
    case X509_V_OK: /* the chain is good, or was not looked at yet: the name is not */
    case X509_V_ERR_UNSPECIFIED:
        return cli_fail(CLI_UNREACHABLE,
                        "the server %s is not trusted: its certificate is for other names; use one "
                        "of them, or start surefootd with this one as --host too (%s)",
                        server, detail);
    default:
        return cli_fail(CLI_UNREACHABLE, "the server %s is not trusted: %s", server, detail);
    }
}

static int tell_curl(const struct client *c, CURLcode code, const struct transfer *t)
{
    const char *server = c->config.server;
    const char *detail = t->error[0] ? t->error : curl_easy_strerror(code);
    long verify = 0;
    if (t->too_large) {
        return cli_fail(CLI_UNREACHABLE, "the answer of %s is longer than %d MiB", server,
                        CLIENT_ANSWER_MAX >> 20);
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        curl_easy_getinfo(c->curl, CURLINFO_SSL_VERIFYRESULT, &verify);
        return tell_untrusted(c, verify, detail);
    }
    if (code == CURLE_SSL_CACERT_BADFILE) {
        return cli_fail(CLI_UNREACHABLE,
                        "the CA of %s in the configuration cannot be read; "
                        "`surefoot login --ca FILE` sets it anew",
                        server);
    }
    if (code == CURLE_COULDNT_RESOLVE_HOST) {
        return cli_fail(CLI_UNREACHABLE, "cannot reach %s: its name is not known", server);
    }
    if (code == CURLE_COULDNT_CONNECT) {
        return cli_fail(CLI_UNREACHABLE,
                        "cannot reach %s: nothing answers there; is surefootd running, and is the "
                        "port right? (%s)",
                        server, detail);
    }
    if (code == CURLE_SSL_CONNECT_ERROR) {
        return cli_fail(CLI_UNREACHABLE, "cannot reach %s: what answers there speaks no TLS (%s)",
                        server, detail);
    }
    return cli_fail(CLI_UNREACHABLE, "cannot reach %s: %s", server, detail);
}

/* A server's sentence may be of any language, but must not move the terminal's cursor. */
static void clean_sentence(const char *text, char *out, size_t size)
{
    snprintf(out, size, "%s", text);
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
}

/* An answer that is no success: the server's own sentence, what may help, and where to find the
 * request in the server's log. */
static int tell_status(struct client *c, long http, const struct transfer *t)
{
    json_t *root = json_loadb(t->answer ? t->answer : "", t->answer_len, 0, NULL);
    const json_t *error = json_object_get(root, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *id = t->request_id;
    const int status = http >= 500 ? CLI_UNREACHABLE : CLI_REFUSED;
    char said[1024];
    struct client_hint hint = {0};
    if (message) {
        clean_sentence(message, said, sizeof said);
        hint = code ? client_hint(c, code, message) : hint;
    } else {
        snprintf(said, sizeof said, "the server %s answers HTTP %ld", c->config.server, http);
    }
    json_decref(root);
    return cli_fail(status, "%s%s%s%s%s", said, hint.text, id[0] ? " (request " : "", id,
                    id[0] ? ")" : "");
}

/* ---- requests ---- */

struct request {
    const char *method;
    const struct client_path *path;
    const char *body; /* JSON text, or NULL */
    const struct client_upload *upload;
    const struct client_download *download;
};

static struct curl_slist *make_headers(const struct client *c, const struct request *r)
{
    char line[CONFIG_TOKEN_MAX + 32];
    struct curl_slist *list =
        curl_slist_append(NULL, r->download ? "Accept: */*" : "Accept: application/json");
    snprintf(line, sizeof line, "Authorization: Bearer %s", c->config.token);
    list = curl_slist_append(list, line);
    list = curl_slist_append(list, "Expect:");
    const char *type = r->upload ? r->upload->content_type : "application/json";
    explicit_bzero(line, sizeof line);
    snprintf(line, sizeof line, "Content-Type: %s", type ? type : "application/octet-stream");
    list = curl_slist_append(list, line);
    return list;
}

static void set_tls(struct client *c)
{
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (c->config.ca_pem) {
        struct curl_blob blob = {c->config.ca_pem, strlen(c->config.ca_pem), CURL_BLOB_COPY};
        curl_easy_setopt(c->curl, CURLOPT_CAINFO_BLOB, &blob);
        curl_easy_setopt(c->curl, CURLOPT_CAPATH, NULL);
    }
    if (is_loopback(c->config.server)) {
        curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
    }
}

static CURLcode set_request(struct client *c, const struct request *r, struct transfer *t)
{
    char url[CONFIG_URL_MAX + CLIENT_PATH_MAX];
    curl_easy_reset(c->curl);
    set_tls(c);
    snprintf(url, sizeof url, "%s%s", c->config.server, r->path->text);
    CURLcode code = curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "surefoot");
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_TIMEOUT_S);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, t);
    if (r->upload) {
        curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(c->curl, CURLOPT_READDATA, t);
        curl_easy_setopt(c->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->upload->len);
    } else if (r->body) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, r->body);
    }
    if (t->label) {
        curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, t);
        curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
    }
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, r->method);
    return code;
}

static int never_arrived(CURLcode code)
{
    return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT;
}

static int may_repeat(const struct request *r, CURLcode code, long http)
{
    int harmless = strcmp(r->method, "POST") != 0;
    if (code != CURLE_OK) {
        int broken = code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
                     code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE;
        return never_arrived(code) || (harmless && broken);
    }
    return http == 429 || http == 503 || (harmless && (http == 502 || http == 504));
}

static void wait_before_retry(const struct client *c, unsigned tries)
{
    curl_off_t after_s = 0;
    long wait_ms = (long)RETRY_FIRST_MS << tries;
    curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &after_s);
    if (after_s > 0) {
        wait_ms = 1000L * (long)(after_s < RETRY_AFTER_MAX_S ? after_s : RETRY_AFTER_MAX_S);
    }
    struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
}

/* One try. Sets *http, 0 without an answer. */
static CURLcode perform(struct client *c, const struct request *r, struct transfer *t, long *http)
{
    *http = 0;
    free(t->answer);
    const char *label = r->upload ? r->upload->label : r->download ? r->download->label : NULL;
    *t = (struct transfer){.upload = r->upload, .label = label};
    progress_begin(&t->progress, c->is_quiet ? PROGRESS_NEVER : PROGRESS_IF_TERMINAL);
    struct curl_slist *headers = make_headers(c, r);
    CURLcode code = set_request(c, r, t);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    if (code == CURLE_OK) {
        code = curl_easy_perform(c->curl);
    }
    if (code == CURLE_OK) {
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, http);
    }
    progress_end(&t->progress);
    curl_slist_free_all(headers);
    return code;
}

static int take_answer(const struct client *c, long http, const struct transfer *t, json_t **out)
{
    json_t *root = NULL;
    if (http != HTTP_NO_CONTENT) {
        root = json_loadb(t->answer ? t->answer : "", t->answer_len, JSON_REJECT_DUPLICATES, NULL);
        if (!root) {
            return cli_fail(CLI_UNREACHABLE,
                            "the answer of %s is not JSON: is this a Surefoot server?",
                            c->config.server);
        }
    }
    if (out) {
        *out = root;
    } else {
        json_decref(root);
    }
    return CLI_OK;
}

/* Asks, and again where that may help: CLI_OK if `t` has a good answer. Free t->answer always. */
static int ask(struct client *c, const struct request *r, struct transfer *t, long *http)
{
    if (r->path->too_long) {
        return cli_fail(CLI_USAGE, "a name on the command line is too long");
    }
    CURLcode code = perform(c, r, t, http);
    for (unsigned tries = 1; tries < CLIENT_TRIES && may_repeat(r, code, *http); tries++) {
        wait_before_retry(c, tries - 1);
        code = perform(c, r, t, http);
    }
    if (code != CURLE_OK) {
        return tell_curl(c, code, t);
    }
    return *http < 200 || *http > 299 ? tell_status(c, *http, t) : CLI_OK;
}

static int run_request(struct client *c, const struct request *r, json_t **answer)
{
    struct transfer t = {0};
    long http = 0;
    if (answer) {
        *answer = NULL;
    }
    int status = ask(c, r, &t, &http);
    status = status == CLI_OK ? take_answer(c, http, &t, answer) : status;
    free(t.answer);
    return status;
}

int client_call(struct client *client, const char *method, const struct client_path *path,
                const json_t *body, json_t **answer)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (body && !text) {
        return cli_fail(CLI_USAGE, "something on the command line is not UTF-8");
    }
    const struct request r = {.method = method, .path = path, .body = text};
    int status = run_request(client, &r, answer);
    free(text);
    return status;
}

json_t *client_look(struct client *client, const struct client_path *path)
{
    const struct request r = {.method = "GET", .path = path};
    struct transfer t = {0};
    long http = 0;
    json_t *root = NULL;
    if (!path->too_long && perform(client, &r, &t, &http) == CURLE_OK && http == HTTP_OK) {
        root = json_loadb(t.answer ? t.answer : "", t.answer_len, JSON_REJECT_DUPLICATES, NULL);
    }
    free(t.answer);
    return root;
}

int client_put(struct client *client, const struct client_path *path,
               const struct client_upload *upload, json_t **answer)
{
    const struct request r = {.method = "PUT", .path = path, .upload = upload};
    return run_request(client, &r, answer);
}

int client_post(struct client *client, const struct client_path *path,
                const struct client_upload *upload, json_t **answer)
{
    const struct request r = {.method = "POST", .path = path, .upload = upload};
    return run_request(client, &r, answer);
}

int client_get(struct client *client, const struct client_path *path,
               const struct client_download *download, struct file_bytes *out)
{
    const struct request r = {.method = "GET", .path = path, .download = download};
    struct transfer t = {0};
    long http = 0;
    int status = ask(client, &r, &t, &http);
    if (status == CLI_OK && t.answer_len > download->max) {
        status = cli_fail(CLI_UNREACHABLE, "the server's %s has more than %zu bytes",
                          download->label, download->max);
    }
    *out = (struct file_bytes){(uint8_t *)t.answer, t.answer_len};
    return status;
}

/* ---- lists ---- */

static int add_page(json_t *items, json_t *page, char next[64])
{
    const json_t *found = json_object_get(page, "items");
    const json_t *after = json_object_get(page, "next");
    next[0] = '\0';
    if (!json_is_array(found) || json_array_extend(items, json_object_get(page, "items")) != 0) {
        return cli_fail(CLI_UNREACHABLE, "the server's answer is no list");
    }
    if (json_is_integer(after)) {
        snprintf(next, 64, "%" JSON_INTEGER_FORMAT, json_integer_value(after));
    } else if (json_is_string(after)) {
        snprintf(next, 64, "%s", json_string_value(after));
    }
    return CLI_OK;
}

int client_list(struct client *client, const struct client_path *path, size_t max, json_t **answer)
{
    json_t *items = json_array();
    char next[64] = "";
    char limit[24];
    int status = CLI_OK;
    do {
        struct client_path page_path = *path;
        json_t *page = NULL;
        size_t left = max - json_array_size(items);
        snprintf(limit, sizeof limit, "%zu", left < CLIENT_PAGE ? left : CLIENT_PAGE);
        client_query(&page_path, "limit", limit);
        client_query(&page_path, "after", next[0] ? next : NULL);
        status = client_call(client, "GET", &page_path, NULL, &page);
        status = status == CLI_OK ? add_page(items, page, next) : status;
        json_decref(page);
    } while (status == CLI_OK && next[0] && json_array_size(items) < max);
    if (status != CLI_OK) {
        json_decref(items);
        return status;
    }
    *answer =
        json_pack("{s:o, s:o}", "items", items, "next", next[0] ? json_string(next) : json_null());
    return *answer ? CLI_OK : cli_fail(CLI_LOCAL, "out of memory");
}
