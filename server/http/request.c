#include "server/http/request.h"

#include <string.h>
#include <strings.h>

/* The head is checked twice: line by line against the strict grammar of RFC 9112, then by llhttp,
 * whose callbacks fill struct request. Both must see the same number of header fields. */

enum { BAD = 400, TOO_MANY_FIELDS = 431, NOT_IMPLEMENTED = 501, VERSION = 505 };

static const char *const kept[] = {
    "authorization",
    "content-type",
    "content-length",
    "if-none-match",
    "if-range",
    "if-match",
    "range",
    "user-agent",
    "idempotency-key",
    "expect",
    "host",
    "accept",
    /* what Arduino's HTTPUpdate tells of its device */
    "x-esp32-sta-mac",
    "x-esp32-free-space",
    "x-esp32-sketch-md5",
    "x-esp32-sketch-sha256",
    "x-esp32-mode",
    "x-esp32-version",
    "x-esp8266-sta-mac",
    "x-esp8266-free-space",
    "x-esp8266-sketch-md5",
    "x-esp8266-mode",
    "x-esp8266-version",
};
_Static_assert(sizeof(kept) / sizeof(kept[0]) <= EXCHANGE_HEADER_MAX, "each may appear once");

static int refuse(struct request *r, int status, const char *why)
{
    if (r->status == 0) {
        r->status = status;
        r->why = why;
    }
    return -1;
}

/* The next state of `end` after byte c, or -1 with a reason. States: 0 within a line, 1 after its
 * CR, 2 after its LF, 3 after the CR of the empty line, 4 done. */
static int scan_byte(int end, uint8_t c, const char **why)
{
    if (end == 1 || end == 3) {
        *why = "a line ends with CR but not CR LF";
        return c == '\n' ? end + 1 : -1;
    }
    if (c == '\r') {
        return end == 2 ? 3 : 1;
    }
    if (c == '\n') {
        *why = "a line ends with LF but not CR LF";
        return -1;
    }
    if (end == 2 && (c == ' ' || c == '\t')) {
        *why = "a header field is folded over two lines";
        return -1;
    }
    if ((c < 0x20 && c != '\t') || c == 0x7f) {
        *why = "the head contains a control character";
        return -1;
    }
    return 0;
}

int request_head_scan(struct head_scan *s, const uint8_t *data, size_t len, const char **why)
{
    if (s->pos == 0 && len > 0 && (data[0] < 'A' || data[0] > 'Z')) {
        *why = "the request does not start with a method";
        return -BAD;
    }
    while (s->pos < len) {
        s->end = scan_byte(s->end, data[s->pos], why);
        if (s->end < 0) {
            return -BAD;
        }
        s->pos++;
        s->lines += s->end == 2;
        if (s->end == 4) {
            return (int)s->pos;
        }
    }
    return HEAD_MORE;
}

static int is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* METHOD SP target SP HTTP/1.x, single spaces, visible ASCII. `end` is at the CR. */
static int check_request_line(struct request *r, const char *line, const char *end)
{
    const char *p = line;
    while (p < end && *p >= 'A' && *p <= 'Z') {
        p++;
    }
    if (p == line || p == end || *p != ' ') {
        return refuse(r, BAD, "the method is not a word in capitals");
    }
    const char *target = ++p;
    while (p<end && * p> ' ' && *p < 0x7f && *p != '#') {
        p++;
    }
    if (p == target || p == end || *p != ' ') {
        return refuse(r, BAD, "the target contains a character that a URI can't");
    }
    p++;
    static const char name[] = "HTTP/";
    if ((size_t)(end - p) != sizeof("HTTP/1.1") - 1 || memcmp(p, name, sizeof(name) - 1) != 0) {
        return refuse(r, BAD, "the request line does not end with HTTP/1.1");
    }
    if (memcmp(p, "HTTP/1.1", 8) != 0 && memcmp(p, "HTTP/1.0", 8) != 0) {
        return refuse(r, VERSION, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    return 0;
}

static int check_field_line(struct request *r, const char *line, const char *end)
{
    const char *p = line;
    while (p < end && is_token_char(*p)) {
        p++;
    }
    if (p == line) {
        return refuse(r, BAD, "a header field has no name");
    }
    if (p == end || *p != ':') {
        return refuse(r, BAD, "a header field's name is not a token followed by a colon");
    }
    return 0;
}

/* The scan has shown that every CR ends a line. */
static int check_lines(struct request *r, const char *head, size_t len)
{
    const char *line = head;
    const char *const stop = head + len - 2; /* the empty line */
    while (line < stop) {
        const char *end = memchr(line, '\r', (size_t)(stop - line));
        if (end == NULL) {
            return refuse(r, BAD, "the head does not end with an empty line");
        }
        const int bad =
            line == head ? check_request_line(r, line, end) : check_field_line(r, line, end);
        if (bad) {
            return bad;
        }
        r->lines++;
        line = end + 2;
    }
    if (r->lines > REQUEST_FIELDS_MAX + 1) {
        return refuse(r, TOO_MANY_FIELDS, "there are more than 64 header fields");
    }
    return 0;
}

/* llhttp knows by now that it is a method; those that are none of ours are refused here. */
static int find_method(struct request *r, llhttp_method_t method)
{
    static const struct {
        llhttp_method_t theirs;
        enum method ours;
    } map[] = {
        {HTTP_GET, METHOD_GET}, {HTTP_HEAD, METHOD_HEAD},   {HTTP_POST, METHOD_POST},
        {HTTP_PUT, METHOD_PUT}, {HTTP_PATCH, METHOD_PATCH}, {HTTP_DELETE, METHOD_DELETE},
    };
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].theirs == method) {
            r->method = map[i].ours;
            return 0;
        }
    }
    return refuse(r, NOT_IMPLEMENTED, "this method is not served");
}

static struct request *of(llhttp_t *parser)
{
    return parser->data;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct request *r = of(parser);
    r->target = arena_strndup(r->arena, at, len);
    return r->target != NULL ? 0 : refuse(r, 503, "out of memory");
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct request *r = of(parser);
    if (r->has_body) {
        return refuse(r, NOT_IMPLEMENTED, "trailers are not served");
    }
    r->name = arena_strndup(r->arena, at, len);
    r->value = NULL;
    if (r->name == NULL) {
        return refuse(r, 503, "out of memory");
    }
    for (char *p = r->name; *p != '\0'; p++) {
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p);
    }
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct request *r = of(parser);
    while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t')) {
        len--;
    }
    r->value = arena_strndup(r->arena, at, len);
    return r->value != NULL ? 0 : refuse(r, 503, "out of memory");
}

/* reg-name, IPv4 or [IPv6], with or without a port (RFC 3986 section 3.2.2), without user info. */
static int check_host(struct request *r, const char *value)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+;=:[]";
    if (value[0] == '\0' || strspn(value, allowed) != strlen(value)) {
        return refuse(r, BAD, "the Host header is not a host name with or without a port");
    }
    r->host = value;
    return 0;
}

static int check_expect(struct request *r, const char *value)
{
    if (strcasecmp(value, "100-continue") != 0) {
        return refuse(r, 417, "only 'Expect: 100-continue' is served");
    }
    r->expect_continue = 1;
    return 0;
}

static int check_coding(struct request *r, const char *value)
{
    if (r->chunked || strcasecmp(value, "chunked") != 0) {
        return refuse(r, NOT_IMPLEMENTED, "no transfer coding but 'chunked' alone is served");
    }
    r->chunked = 1;
    return 0;
}

/* A decompressor would be one more parser, and a small body could become a huge one. */
static int check_content_coding(struct request *r, const char *value)
{
    if (strcasecmp(value, "identity") != 0) {
        return refuse(r, 415, "compressed bodies are not taken: send it without Content-Encoding");
    }
    return 0;
}

static int check_upgrade(struct request *r, const char *value)
{
    (void)value;
    return refuse(r, NOT_IMPLEMENTED, "this server does not switch protocols");
}

static int keep(struct request *r)
{
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (strcmp(kept[i], r->name) != 0) {
            continue;
        }
        for (unsigned k = 0; k < r->header_count; k++) {
            if (r->header[k].name == kept[i]) {
                return refuse(r, BAD, "a header field that may appear once appears twice");
            }
        }
        r->header[r->header_count++] = (struct pair){.name = kept[i], .value = r->value};
    }
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    static const struct {
        const char *name;
        int (*check)(struct request *r, const char *value);
    } checks[] = {
        {"host", check_host},
        {"expect", check_expect},
        {"transfer-encoding", check_coding},
        {"content-encoding", check_content_coding},
        {"upgrade", check_upgrade},
    };
    struct request *r = of(parser);
    if (r->value == NULL) { /* llhttp skips on_header_value for an empty one */
        r->value = arena_strdup(r->arena, "");
        if (r->value == NULL) {
            return refuse(r, 503, "out of memory");
        }
    }
    r->lines--;
    if (keep(r) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (strcmp(checks[i].name, r->name) == 0) {
            return checks[i].check(r, r->value);
        }
    }
    return 0;
}

/* The parser must not take the rest for another protocol. */
static int on_headers_complete(llhttp_t *parser)
{
    struct request *r = of(parser);
    r->minor = parser->http_minor;
    if (r->lines != 1) {
        return refuse(r, BAD, "the header fields can be read in two ways");
    }
    if (r->minor == 1 && r->host == NULL) {
        return refuse(r, BAD, "the Host header is missing");
    }
    if (r->minor == 0 && r->chunked) {
        return refuse(r, BAD, "HTTP/1.0 has no transfer codings");
    }
    if (find_method(r, parser->method) < 0) {
        return -1;
    }
    r->keep_alive = llhttp_should_keep_alive(parser);
    r->expect_continue = r->expect_continue && r->minor == 1;
    r->content_length = r->chunked ? 0 : parser->content_length;
    r->has_body = r->chunked || r->content_length > 0;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct request *r = of(parser);
    const int status = r->body != NULL ? r->body(r->body_ctx, (const uint8_t *)at, len) : 0;
    return status == 0 ? 0 : refuse(r, status, "the body can't be taken");
}

static int on_chunk_extension(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    (void)len;
    return refuse(of(parser), NOT_IMPLEMENTED, "chunk extensions are not served");
}

/* Pausing leaves what follows (a pipelined request) unparsed. */
static int on_message_complete(llhttp_t *parser)
{
    of(parser)->complete = 1;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
};

static int verdict(struct request *r, llhttp_errno_t err)
{
    if (err == HPE_OK || (err == HPE_PAUSED && r->complete)) {
        return 0;
    }
    (void)refuse(r, BAD, "the request does not follow HTTP/1.1");
    return r->status;
}

int request_head(struct request *r, struct arena *arena, char *head, size_t len)
{
    *r = (struct request){.arena = arena};
    if (check_lines(r, head, len) < 0) {
        return r->status;
    }
    llhttp_init(&r->parser, HTTP_REQUEST, &settings);
    r->parser.data = r;
    return verdict(r, llhttp_execute(&r->parser, head, len));
}

int request_feed(struct request *r, const uint8_t *data, size_t len, size_t *used)
{
    *used = 0;
    if (r->complete || len == 0) {
        return 0;
    }
    const llhttp_errno_t err = llhttp_execute(&r->parser, (const char *)data, len);
    const int status = verdict(r, err);
    if (status == 0) {
        *used = err == HPE_PAUSED ? (size_t)(llhttp_get_error_pos(&r->parser) - (const char *)data)
                                  : len;
    }
    return status;
}
