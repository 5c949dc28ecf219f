#include "server/http/routes.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "base/stats.h"

/* Percent-decoding happens after splitting, so an encoded slash never makes a segment. */

enum { BAD = 400, OTHER_SERVER = 421 };

static const char *const method_names[] = {
    [METHOD_GET] = "GET", [METHOD_HEAD] = "HEAD",   [METHOD_POST] = "POST",
    [METHOD_PUT] = "PUT", [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE",
};

const char *routes_method_name(enum method method)
{
    return method_names[method];
}

static unsigned count_char(const char *text, char c)
{
    unsigned n = 0;
    for (; *text != '\0'; text++) {
        n += *text == c;
    }
    return n;
}

static const char *check_route(const struct route *r)
{
    if (r->path == NULL || r->path[0] != '/') {
        return "does not start with '/'";
    }
    if (count_char(r->path, ':') > EXCHANGE_PARAM_MAX) {
        return "has too many parameters";
    }
    if (count_char(r->path, '/') > ROUTES_SEGMENT_MAX) {
        return "has too many segments";
    }
    if (r->handle == NULL) {
        return "has no handler";
    }
    if (r->method == METHOD_HEAD) {
        return "is for HEAD, which GET serves";
    }
    if (r->body != BODY_NONE && r->max_body == 0) {
        return "takes a body but allows 0 bytes";
    }
    return NULL;
}

const char *routes_check(const struct routes *r, char *buffer, size_t size)
{
    if (r->count > STATS_ROUTE_MAX) {
        (void)snprintf(buffer, size, "%u routes are more than the %d that can be counted", r->count,
                       (int)STATS_ROUTE_MAX);
        return buffer;
    }
    for (unsigned i = 0; i < r->count; i++) {
        const struct route *route = &r->route[i];
        const char *wrong = check_route(route);
        for (unsigned k = 0; wrong == NULL && k < i; k++) {
            if (r->route[k].method == route->method && strcmp(r->route[k].path, route->path) == 0) {
                wrong = "is there twice";
            }
        }
        if (wrong != NULL) {
            (void)snprintf(buffer, size, "route %u ('%.80s') %s", i,
                           route->path != NULL ? route->path : "", wrong);
            return buffer;
        }
    }
    return NULL;
}

/* Length of the UTF-8 sequence at p (RFC 3629), 0 if it is none. */
static size_t utf8_length(const uint8_t *p)
{
    if (p[0] < 0x80) {
        return 1;
    }
    const size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    const int overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    const int surrogate = p[0] == 0xed && p[1] >= 0xa0;
    const int beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : len;
}

static int text_valid(const char *text)
{
    const uint8_t *p = (const uint8_t *)text;
    while (*p != '\0') {
        const size_t len = utf8_length(p);
        if (len == 0 || *p < 0x20 || *p == 0x7f) {
            return 0;
        }
        p += len;
    }
    return 1;
}

enum plus { PLUS_IS_PLUS, PLUS_IS_SPACE };

/* In place. 0 for a bad escape, a control character or bytes that are not UTF-8. */
static int decode(char *text, enum plus plus)
{
    char *out = text;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '%') {
            const int high = hex_digit(p[1]);
            const int low = high >= 0 ? hex_digit(p[2]) : -1;
            if (low < 0 || high * 16 + low == 0) {
                return 0;
            }
            *out++ = (char)(high * 16 + low);
            p += 2;
        } else {
            *out++ = (char)(*p == '+' && plus == PLUS_IS_SPACE ? ' ' : *p);
        }
    }
    *out = '\0';
    return text_valid(text);
}

/* "name", "name:port" or "[v6]:port": the name's place and length in *name, 0 if it is none. */
static size_t host_name(const char *authority, size_t len, const char **name)
{
    size_t name_len;
    size_t end;
    *name = authority;
    if (len > 0 && authority[0] == '[') {
        const char *close = memchr(authority, ']', len);
        if (close == NULL) {
            return 0;
        }
        *name = authority + 1;
        name_len = (size_t)(close - *name);
        end = name_len + 2;
    } else {
        const char *colon = memchr(authority, ':', len);
        name_len = colon != NULL ? (size_t)(colon - authority) : len;
        end = name_len;
    }
    if (end < len &&
        (authority[end] != ':' || strspn(authority + end + 1, "0123456789") != len - end - 1)) {
        return 0;
    }
    return name_len;
}

static int is_our_host(const struct routes *r, const char *name, size_t len)
{
    for (unsigned i = 0; i < r->host_count; i++) {
        if (strlen(r->hosts[i]) == len && strncasecmp(r->hosts[i], name, len) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Origin-form as it is; of an absolute-form that names us, the part from the path on. 0 or a
 * status. */
static int origin_form(const struct routes *r, char *raw, char **path, const char **why)
{
    static const char scheme[] = "https://";
    *path = raw;
    if (raw[0] == '/') {
        return 0;
    }
    *why = "the request target is neither a path nor an https URL with a path";
    if (strncasecmp(raw, scheme, sizeof(scheme) - 1) != 0) {
        return BAD;
    }
    char *authority = raw + sizeof(scheme) - 1;
    *path = strchr(authority, '/');
    if (*path == NULL) {
        return BAD;
    }
    const size_t len = (size_t)(*path - authority);
    const char *name = NULL;
    const size_t name_len = host_name(authority, len, &name);
    if (name_len == 0 || memchr(authority, '@', len) != NULL) {
        *why = "the URL of the request names no host, or user information beside it";
        return BAD;
    }
    *why = "this server is not the one that the URL of the request names, and no proxy";
    return is_our_host(r, name, name_len) ? 0 : OTHER_SERVER;
}

static int add_query(struct exchange *x, char *pair)
{
    if (pair[0] == '\0') {
        return 1;
    }
    char *value = strchr(pair, '=');
    if (value != NULL) {
        *value++ = '\0';
    } else {
        value = pair + strlen(pair);
    }
    if (!decode(pair, PLUS_IS_SPACE) || !decode(value, PLUS_IS_SPACE) ||
        x->query_count == EXCHANGE_QUERY_MAX || exchange_query(x, pair) != NULL) {
        return 0;
    }
    x->query[x->query_count++] = (struct pair){.name = pair, .value = value};
    return 1;
}

static int parse_query(struct exchange *x, char *text)
{
    while (text != NULL) {
        char *next = strchr(text, '&');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (!add_query(x, text)) {
            return 0;
        }
        text = next;
    }
    return 1;
}

/* 1 if the decoded segment holds a step in a tree of files, or a backslash, which is one to some. A
 * slash that was encoded is data: versions are often called after tags like "release/1.2". */
static int has_step(const char *segment)
{
    const char *part = segment;
    for (;;) {
        const size_t len = strcspn(part, "/");
        if ((len == 1 || len == 2) && strspn(part, ".") >= len) {
            return 1;
        }
        if (part[len] == '\0') {
            break;
        }
        part += len + 1;
    }
    return strchr(segment, '\\') != NULL;
}

/* `path` starts with '/'. */
static int parse_path(char *path, struct target *out)
{
    while (path != NULL) {
        char *segment = path + 1;
        path = strchr(segment, '/');
        if (path != NULL) {
            *path = '\0';
        }
        if (out->segments == ROUTES_SEGMENT_MAX || !decode(segment, PLUS_IS_PLUS) ||
            has_step(segment)) {
            return 0;
        }
        out->segment[out->segments++] = segment;
    }
    return 1;
}

int routes_target(const struct routes *r, struct exchange *x, char *raw, struct target *out,
                  const char **why)
{
    *out = (struct target){0};
    char *path;
    const int status = origin_form(r, raw, &path, why);
    if (status != 0) {
        return status;
    }
    char *query = strchr(path, '?');
    if (query != NULL) {
        *query++ = '\0';
    }
    char *shown = arena_strdup(x->arena, path);
    if (shown == NULL) {
        *why = "out of memory";
        return 503;
    }
    *why = "the path has a bad escape, bytes that are not UTF-8, '.', '..' or a backslash, or too "
           "many segments";
    if (!decode(shown, PLUS_IS_PLUS) || !parse_path(path, out)) {
        return BAD;
    }
    x->path = shown;
    *why = "the query has a bad escape, a name twice, or more than 16 names";
    return parse_query(x, query) ? 0 : BAD;
}

/* Compares the route's path to the target. Bits of `literal` (from the first segment on) tell which
 * segments matched literally: the larger number is the better match. */
static int matches(const char *path, const struct target *t, unsigned *literal)
{
    *literal = 0;
    for (unsigned i = 0; i < t->segments; i++) {
        if (*path != '/') {
            return 0;
        }
        path++;
        const size_t len = strcspn(path, "/");
        const char *segment = t->segment[i];
        const int param = path[0] == ':';
        if (param ? segment[0] == '\0'
                  : strlen(segment) != len || memcmp(segment, path, len) != 0) {
            return 0;
        }
        *literal = *literal * 2 + !param;
        path += len;
    }
    return *path == '\0';
}

static void fill_params(struct exchange *x, const struct target *t)
{
    const char *path = x->route->path;
    for (unsigned i = 0; i < t->segments; i++) {
        path++;
        const size_t len = strcspn(path, "/");
        if (path[0] == ':') {
            const char *name = arena_strndup(x->arena, path + 1, len - 1);
            x->param[x->param_count++] =
                (struct pair){.name = name != NULL ? name : "", .value = t->segment[i]};
        }
        path += len;
    }
}

static void list_methods(unsigned allowed, char out[ROUTES_ALLOW_SIZE])
{
    size_t pos = 0;
    for (unsigned m = METHOD_GET; m <= METHOD_DELETE; m++) {
        if (allowed & (1U << m)) {
            const int n = snprintf(out + pos, ROUTES_ALLOW_SIZE - pos, "%s%s", pos > 0 ? ", " : "",
                                   method_names[m]);
            pos += (size_t)n; /* all six fit */
        }
    }
    out[pos] = '\0';
}

int routes_find(const struct routes *r, struct exchange *x, const struct target *t,
                char allow[ROUTES_ALLOW_SIZE])
{
    const enum method method = x->method == METHOD_HEAD ? METHOD_GET : x->method;
    unsigned best = 0;
    unsigned allowed = 0;
    for (unsigned i = 0; i < r->count; i++) {
        const struct route *route = &r->route[i];
        unsigned literal;
        if (!matches(route->path, t, &literal)) {
            continue;
        }
        allowed |= 1U << route->method;
        if (route->method == method && (x->route == NULL || literal > best)) {
            x->route = route;
            best = literal;
        }
    }
    if (x->route != NULL) {
        fill_params(x, t);
        return 0;
    }
    if (allowed & (1U << METHOD_GET)) {
        allowed |= 1U << METHOD_HEAD;
    }
    list_methods(allowed, allow);
    return allowed != 0 ? 405 : 404;
}
