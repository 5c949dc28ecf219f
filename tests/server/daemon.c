#include "tests/server/daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void daemon_init(struct daemon *d)
{
    memset(d, 0, sizeof(*d));
    (void)snprintf(d->dir, sizeof(d->dir), "/tmp/surefootd-test-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    (void)snprintf(d->ca, sizeof(d->ca), "%s/ca.pem", d->dir);
}

static void read_token(struct daemon *d)
{
    char path[DAEMON_PATH + 16];
    (void)snprintf(path, sizeof(path), "%s/admin-token", d->dir);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(d->admin, sizeof(d->admin), file));
    d->admin[strcspn(d->admin, "\n")] = '\0';
    (void)fclose(file);
}

/* A child whose stdout is the read end of a pipe. */
static pid_t spawn(const char *const args[], int from, const char *log, int *read_end)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing behind */
        (void)dup2(ends[1], from);
        (void)close(ends[0]);
        (void)close(ends[1]);
        if (log != NULL) {
            const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
            (void)dup2(fd, STDERR_FILENO);
        }
        union { /* execv() takes what it does not change */
            const char *const *in;
            char *const *out;
        } words = {args};
        (void)execv(args[0], words.out);
        _exit(127);
    }
    (void)close(ends[1]);
    *read_end = ends[0];
    return pid;
}

int daemon_try_start(struct daemon *d)
{
    const char *program = d->program != NULL ? d->program : SF_BIN_DIR "/surefootd";
    enum { FIXED = 11 };
    const char *args[FIXED + DAEMON_EXTRA + 1] = {program,       "--data",  d->dir,      "--listen",
                                                  "127.0.0.1:0", "--host",  "localhost", "--host",
                                                  "127.0.0.1",   "--loops", "2"};
    memcpy(args + FIXED, d->extra, sizeof(d->extra));
    int out = -1;
    d->pid = spawn(args, STDOUT_FILENO, d->log, &out);
    FILE *lines = fdopen(out, "r");
    assert_non_null(lines);
    char line[512];
    static const char mark[] = "listening on https://127.0.0.1:";
    d->port = 0;
    while (d->port == 0 && fgets(line, sizeof(line), lines) != NULL) {
        if (strncmp(line, mark, sizeof(mark) - 1) == 0) {
            d->port = (unsigned)strtoul(line + sizeof(mark) - 1, NULL, 10);
        }
    }
    (void)fclose(lines);
    if (d->port == 0) {
        int status = 0;
        assert_int_equal(waitpid(d->pid, &status, 0), d->pid);
        d->pid = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    read_token(d);
    return 0;
}

void daemon_start(struct daemon *d)
{
    assert_int_equal(daemon_try_start(d), 0);
}

static int end(struct daemon *d, int signal_number)
{
    int status = 0;
    assert_int_equal(kill(d->pid, signal_number), 0);
    assert_int_equal(waitpid(d->pid, &status, 0), d->pid);
    d->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int daemon_stop(struct daemon *d)
{
    return end(d, SIGTERM);
}

void daemon_kill(struct daemon *d)
{
    assert_int_equal(end(d, SIGKILL), -SIGKILL);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void daemon_release(struct daemon *d)
{
    if (d->pid > 0) {
        (void)kill(d->pid, SIGKILL);
        (void)waitpid(d->pid, NULL, 0);
    }
    /* one thread runs by now */
    (void)nftw(d->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS); // NOLINT(concurrency-mt-unsafe)
}

int daemon_run(const char *const args[], char *error, size_t error_size)
{
    int out = -1;
    pid_t pid = spawn(args, STDERR_FILENO, NULL, &out);
    size_t len = 0;
    ssize_t got = 0;
    while (len + 1 < error_size && (got = read(out, error + len, error_size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    error[len] = '\0';
    (void)close(out);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    struct reply *r = arg;
    size_t len = size * count;
    uint8_t *grown = realloc(r->body, r->len + len + 1);
    if (grown == NULL) {
        return 0;
    }
    memcpy(grown + r->len, data, len);
    r->body = grown;
    r->len += len;
    r->body[r->len] = '\0';
    return len;
}

static size_t take_header(char *data, size_t size, size_t count, void *arg)
{
    struct reply *r = arg;
    size_t len = size * count;
    size_t have = strlen(r->header);
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        have = 0; /* of the last response: a 100 may come before */
    }
    if (have + len < sizeof(r->header)) {
        memcpy(r->header + have, data, len);
        r->header[have + len] = '\0';
    }
    return len;
}

static struct curl_slist *headers_of(const struct call *c)
{
    char line[512];
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (c->bearer != NULL) {
        (void)snprintf(line, sizeof(line), "Authorization: Bearer %s", c->bearer);
        list = curl_slist_append(list, line);
    }
    (void)snprintf(line, sizeof(line), "Content-Type:%s%s", c->content_type ? " " : "",
                   c->content_type ? c->content_type : "");
    return curl_slist_append(list, line);
}

void call(const struct daemon *d, const struct call *c, struct reply *out)
{
    *out = (struct reply){0};
    CURL *curl = curl_easy_init();
    assert_non_null(curl);
    char url[1024];
    (void)snprintf(url, sizeof(url), "https://localhost:%u%s", d->port, c->path);
    struct curl_slist *headers = headers_of(c);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_CAINFO, c->ca != NULL ? c->ca : d->ca);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, out);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 30000L);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    if (c->range != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_RANGE, c->range);
    }
    if (c->body != NULL || (c->method != NULL && strcmp(c->method, "POST") == 0)) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, c->body != NULL ? c->body : "");
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
    }
    if (c->method != NULL && strcmp(c->method, "HEAD") == 0) {
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (c->method != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, c->method);
    }
    out->curl = (int)curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
}

void reply_release(struct reply *r)
{
    free(r->body);
    r->body = NULL;
}

json_t *api_as(const struct daemon *d, const struct call *c, json_t *body, long *status)
{
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    struct call with_body = *c;
    with_body.content_type = text == NULL ? NULL : "application/json";
    with_body.body = text;
    with_body.body_len = text == NULL ? 0 : strlen(text);
    struct reply r;
    call(d, &with_body, &r);
    free(text);
    *status = r.curl == CURLE_OK ? r.status : -r.curl;
    json_t *answer = r.len == 0 ? NULL : json_loadb((const char *)r.body, r.len, 0, NULL);
    reply_release(&r);
    return answer == NULL ? json_null() : answer;
}

json_t *api(const struct daemon *d, const char *method, const char *path, json_t *body,
            long *status)
{
    const struct call c = {.method = method, .path = path, .bearer = d->admin};
    return api_as(d, &c, body, status);
}

const char *error_code(const json_t *answer)
{
    const char *code = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
    return code == NULL ? "" : code;
}
