#include "server/options.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "server/config_lines.h"

/* Invariants
 *  1. A value is checked wherever it comes from, and kept if no source before it gave one.
 *  2. A row of the table is all there is to add for a new setting; its kind says how it is read. */

static const char environment_prefix[] = "SUREFOOTD_";

static int fail(struct options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail(struct options *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(o->error, sizeof(o->error), fmt, args);
    va_end(args);
    return -1;
}

/* A copy in the pool, or NULL with `error`. */
static const char *keep(struct options *o, const char *text, size_t len)
{
    if (len >= sizeof(o->pool) - o->pool_used) {
        (void)fail(o, "the settings are longer than %d bytes together", OPTIONS_POOL);
        return NULL;
    }
    char *copy = o->pool + o->pool_used;
    memcpy(copy, text, len);
    copy[len] = '\0';
    o->pool_used += len + 1;
    return copy;
}

/* ---- kinds of values ---- */

struct row;

/* One value on its way in. `label` is how its giver calls it: "--loops", "f.conf:7: loops". */
struct given {
    struct options *o;
    const struct row *row;
    const char *label;
    const char *text;
    enum option_source source;
    unsigned line;
};

struct row {
    struct setting setting;
    int (*take)(const struct given *g, int counts); /* counts 0: only check */
    size_t offset;                                  /* of the field in struct options */
    unsigned min;
    unsigned max;
    const char *const *choices; /* take_choice: NULL behind the last */
};

static unsigned *number_field(const struct given *g)
{
    return (unsigned *)(void *)((char *)g->o + g->row->offset);
}

/* A whole decimal number, or -1. */
static int64_t number(const char *text)
{
    const size_t len = strlen(text);
    if (len < 1 || len > 10 || strspn(text, "0123456789") != len) {
        return -1;
    }
    return strtoll(text, NULL, 10);
}

static int take_number(const struct given *g, int counts)
{
    const int64_t value = number(g->text);
    if (value < g->row->min || value > g->row->max) {
        return fail(g->o, "%s '%.100s' is not a number from %u to %u", g->label, g->text,
                    g->row->min, g->row->max);
    }
    if (counts) {
        *number_field(g) = (unsigned)value;
    }
    return 0;
}

/* Bytes, or with K, M, G or T behind the number its multiples of 1024; -1. */
static int64_t size_of(const char *text)
{
    static const char units[] = "KMGT";
    char digits[16];
    const size_t len = strlen(text);
    const char *unit = len > 0 ? strchr(units, text[len - 1]) : NULL;
    const size_t count = unit != NULL ? len - 1 : len;
    if (count >= sizeof(digits)) {
        return -1;
    }
    memcpy(digits, text, count);
    digits[count] = '\0';
    const int64_t value = number(digits);
    const int shift = unit != NULL ? 10 * (int)(unit - units + 1) : 0;
    return value < 0 || value > (INT64_MAX >> 1 >> shift) ? -1 : value << shift;
}

static int take_size(const struct given *g, int counts)
{
    const int64_t value = size_of(g->text);
    if (value < 0) {
        return fail(g->o,
                    "%s '%.100s' is not a size: write bytes, or a number with K, M, G or T behind "
                    "it, like 20G",
                    g->label, g->text);
    }
    if (counts) {
        *(uint64_t *)(void *)((char *)g->o + g->row->offset) = (uint64_t)value;
    }
    return 0;
}

static int take_choice(const struct given *g, int counts)
{
    char list[128] = "";
    size_t len = 0;
    for (unsigned i = 0; g->row->choices[i] != NULL; i++) {
        if (strcmp(g->row->choices[i], g->text) == 0) {
            if (counts) {
                *number_field(g) = i;
            }
            return 0;
        }
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? ", " : "",
                                g->row->choices[i]);
    }
    return fail(g->o, "%s '%.100s' is none of: %s", g->label, g->text, list);
}

static int take_path(const struct given *g, int counts)
{
    if (g->text[0] == '\0') {
        return fail(g->o, "%s needs the name of a file or folder", g->label);
    }
    if (counts) {
        const char **field = (const char **)(void *)((char *)g->o + g->row->offset);
        *field = keep(g->o, g->text, strlen(g->text));
        return *field != NULL ? 0 : -1;
    }
    return 0;
}

static int address_valid(const char *address)
{
    unsigned char out[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, address, out) == 1 || inet_pton(AF_INET6, address, out) == 1;
}

static int split_listen(const char *text, char address[OPTIONS_ADDRESS_MAX], int64_t *port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return -1;
    }
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        len -= 2;
    }
    *port = number(colon + 1);
    if (*port < 0 || *port > UINT16_MAX || len >= OPTIONS_ADDRESS_MAX) {
        return -1;
    }
    memcpy(address, text, len);
    address[len] = '\0';
    return address_valid(address) ? 0 : -1;
}

static int take_listen(const struct given *g, int counts)
{
    char address[OPTIONS_ADDRESS_MAX];
    int64_t port = 0;
    if (split_listen(g->text, address, &port) != 0) {
        return fail(g->o,
                    "%s '%.100s' is not ADDR:PORT: write an IP address and a port from 0 to "
                    "65535, like 0.0.0.0:8443 or [::1]:8443",
                    g->label, g->text);
    }
    if (counts) {
        memcpy(g->o->address, address, sizeof(address));
        g->o->port = (uint16_t)port;
    }
    return 0;
}

static int host_valid(const char *name, size_t len)
{
    return len >= 1 && len <= OPTIONS_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") >= len;
}

static int take_host(const struct given *g, int counts, const char *name, size_t len)
{
    if (!host_valid(name, len)) {
        return fail(g->o,
                    "%s '%.100s' is not a host name or IP address: leave out https:// and the "
                    "port",
                    g->label, g->text);
    }
    if (!counts) {
        return 0;
    }
    if (g->o->host_count == OPTIONS_HOST_MAX) {
        return fail(g->o, "%s '%.100s' is one too many: at most %d names fit", g->label, g->text,
                    OPTIONS_HOST_MAX);
    }
    const char *copy = keep(g->o, name, len);
    if (copy == NULL) {
        return -1;
    }
    g->o->host[g->o->host_count++] = copy;
    return 0;
}

/* Names with commas or spaces between them; a second value adds to those of the same source. */
static int take_hosts(const struct given *g, int counts)
{
    static const char between[] = ", \t";
    const char *at = g->text;
    do {
        const size_t len = strcspn(at, between);
        if (take_host(g, counts, at, len) != 0) {
            return -1;
        }
        at += len;
        at += strspn(at, between);
    } while (*at != '\0');
    return 0;
}

/* ---- the table ---- */

static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const formats[] = {"text", "json", NULL};
static const char *const switches[] = {"off", "on", NULL};

#define FIELD(name) offsetof(struct options, name)
#define DAYS_MAX    36500

/* A kind of thing that is kept for so many days. */
#define KEEP(name_, field_, min_, fallback_, what_)                                                \
    {                                                                                              \
        {name_, "DAYS", fallback_, NULL, what_, 1, 0}, take_number, FIELD(field_), min_, DAYS_MAX, \
            NULL                                                                                   \
    }

/* clang-format off */
static const struct row table[] = {
    {{"data", "DIR", "./surefoot-data", NULL,
      "keys, database and images live here; made on the first start", 0, 0},
     take_path, FIELD(data), 0, 0, NULL},
    {{"listen", "ADDR:PORT", "127.0.0.1:8443", NULL,
      "address to listen on (the default is this machine only;\n"
      "0.0.0.0:8443 or [::]:8443 is every network; port 0 takes a free one)", 0, 0},
     take_listen, 0, 0, 0, NULL},
    {{"host", "NAME", "localhost", NULL,
      "name or address by which devices reach this server, for its\n"
      "certificate; up to 16, repeated or with commas between them", 0, 1},
     take_hosts, 0, 0, 0, NULL},
    {{"tls-cert", "FILE", NULL, "the private CA's",
      "certificate of another CA with its chain (fullchain.pem), in place\n"
      "of the private CA's; SIGHUP and the change of the file reload it", 0, 0},
     take_path, FIELD(tls_cert), 0, 0, NULL},
    {{"tls-key", "FILE", NULL, "the private CA's",
      "its key (privkey.pem), readable by surefootd's user only", 0, 0},
     take_path, FIELD(tls_key), 0, 0, NULL},
    {{"loops", "N", NULL, "one a processor", "network threads, 1 to 64", 0, 0},
     take_number, FIELD(loops), 1, OPTIONS_LOOPS_MAX, NULL},
    {{"drain-time", "SECONDS", "10", NULL,
      "how long running requests may go on when it is stopped", 1, 0},
     take_number, FIELD(drain_s), 0, 600, NULL},
    {{"checkin-interval", "SECONDS", "3600", NULL,
      "how often devices ask, of products that say nothing else", 1, 0},
     take_number, FIELD(checkin_interval_s), 10, 30 * 86400, NULL},
    {{"log-level", "LEVEL", "info", NULL, "debug, info, warn or error", 1, 0},
     take_choice, FIELD(log_level), 0, 0, levels},
    {{"log-format", "FORMAT", "text", NULL, "text (key=value) or json, one line an event", 1, 0},
     take_choice, FIELD(log_format), 0, 0, formats},
    {{"access-log", "SWITCH", "off", NULL,
      "on: a line for each request at level info; off: at level debug", 1, 0},
     take_choice, FIELD(access_log), 0, 0, switches},
    {{"max-connections", "N", "10000", NULL,
      "open at once; half the open file limit if that is less", 0, 0},
     take_number, FIELD(connections), 16, 1000000, NULL},
    {{"address-connections", "N", NULL, "a quarter of all", "open at once, of one address", 0, 0},
     take_number, FIELD(address_connections), 1, 1000000, NULL},
    {{"address-handshakes", "N", NULL, "128", "unfinished at once, of one address", 0, 0},
     take_number, FIELD(address_handshakes), 1, 1000000, NULL},
    {{"address-rate", "N", "200", NULL, "new connections a second, of one address", 0, 0},
     take_number, FIELD(address_per_s), 1, 1000000, NULL},
    {{"address-burst", "N", "2000", NULL, "new connections at once, of one address", 0, 0},
     take_number, FIELD(address_burst), 1, 1000000, NULL},
    {{"quota", "SIZE", "0", NULL,
      "what stored images may take, like 20G; 0 = all there is", 1, 0},
     take_size, FIELD(quota_bytes), 0, 0, NULL},
    {{"reserve", "SIZE", "64M", NULL,
      "free space that no upload may take, for the database; at most a\n"
      "tenth of the file system counts", 1, 0},
     take_size, FIELD(reserve_bytes), 0, 0, NULL},
    KEEP("keep-history", keep_history_days, 0, "400", "history of devices; 0 = for ever"),
    KEEP("keep-audit", keep_audit_days, 0, "1100", "audit log; 0 = for ever"),
    KEEP("keep-deployments", keep_deployments_days, 0, "400",
         "ended deployments that are not a device's latest; 0 = for ever"),
    KEEP("keep-revoked-devices", keep_revoked_devices_days, 0, "90",
         "revoked devices, with all that belongs to them; 0 = for ever"),
    KEEP("keep-uptime", keep_uptime_days, 0, "90", "uptime ledger; 0 = for ever"),
    KEEP("keep-uploads", keep_uploads_days, 1, "7", "uploads that no release names"),
};
/* clang-format on */
enum { SETTING_COUNT = sizeof(table) / sizeof(table[0]) };
_Static_assert(sizeof(table) / sizeof(table[0]) <= OPTIONS_SETTING_MAX, "a place for each origin");

static const struct {
    const char *name;
    enum option_mode mode;
} modes[] = {
    {"--check-config", MODE_CHECK_CONFIG},
    {"--print-config", MODE_PRINT_CONFIG},
    {"--print-settings", MODE_PRINT_SETTINGS},
    {"--print-routes", MODE_PRINT_ROUTES},
    {"--version", MODE_VERSION},
    {"--help", MODE_HELP},
    {"-h", MODE_HELP},
};

const struct setting *options_setting(unsigned index)
{
    return index < SETTING_COUNT ? &table[index].setting : NULL;
}

static const struct row *row_find(const char *name, size_t len)
{
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        if (strlen(table[i].setting.name) == len && memcmp(table[i].setting.name, name, len) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

/* ", did you mean 'listen'?" or what to read. */
static const char *advice(const char *name, char out[80])
{
    struct nearest n = nearest_to(name);
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        nearest_offer(&n, table[i].setting.name);
    }
    if (n.word == NULL) {
        (void)snprintf(out, 80, "surefootd --help lists them");
    } else {
        (void)snprintf(out, 80, "did you mean '%s'?", n.word);
    }
    return out;
}

static int take(const struct given *g)
{
    struct options *o = g->o;
    struct option_origin *origin = &o->origin[g->row - table];
    const int first = origin->text == NULL;
    const int counts = first || g->source == origin->source;
    if (counts && !first && g->source == FROM_FILE && !g->row->setting.many) {
        return fail(o, "%s stands in line %u already; leave one of them out", g->label,
                    origin->line);
    }
    if (g->row->take(g, counts) != 0) {
        return -1;
    }
    if (counts) {
        origin->text = keep(o, g->text, strlen(g->text));
        origin->source = g->source;
        origin->line = g->line;
        return origin->text != NULL ? 0 : -1;
    }
    return 0;
}

/* ---- sources ---- */

static int set_mode(struct options *o, const char *word)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(word, modes[i].name) == 0) {
            o->mode = modes[i].mode;
            return 1;
        }
    }
    return 0;
}

static int unknown_flag(struct options *o, const char *word)
{
    char more[80];
    const size_t dashes = strspn(word, "-");
    return fail(o, "'%.100s' is not an option of surefootd; %s", word,
                dashes == 2 ? advice(word + dashes, more) : "see surefootd --help");
}

static int take_flag(struct options *o, const struct row *row, const char *name, const char *value)
{
    char label[CONFIG_KEY_MAX + 4];
    (void)snprintf(label, sizeof(label), "--%s", name);
    if (row == NULL) { /* --config, the one flag that is no setting */
        o->config = value[0] != '\0' ? value : NULL;
        return o->config != NULL ? 0 : fail(o, "--config needs the name of a file");
    }
    return take(&(struct given){o, row, label, value, FROM_FLAG, 0});
}

/* Takes one word and perhaps its value: number of words used, or -1. */
static int one_flag(struct options *o, const char *word, const char *next)
{
    if (set_mode(o, word)) {
        return 1;
    }
    if (strncmp(word, "--", 2) != 0) {
        return unknown_flag(o, word);
    }
    const char *name = word + 2;
    const size_t len = strcspn(name, "=");
    const struct row *row = row_find(name, len);
    const int is_config = len == strlen("config") && memcmp(name, "config", len) == 0;
    if (row == NULL && !is_config) {
        return unknown_flag(o, word);
    }
    const char *plain = is_config ? "config" : row->setting.name;
    if (name[len] == '=') {
        return take_flag(o, row, plain, name + len + 1) == 0 ? 1 : -1;
    }
    if (next == NULL) {
        return fail(o, "%s needs a value; see surefootd --help", word);
    }
    return take_flag(o, row, plain, next) == 0 ? 2 : -1;
}

int options_flags(struct options *o, int argc, const char *const argv[])
{
    for (int i = 1; i < argc;) {
        const int used = one_flag(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (used < 0) {
            return -1;
        }
        i += used;
    }
    return 0;
}

/* SUREFOOTD_TLS_CERT is tls-cert. */
static void key_of_variable(const char *variable, size_t len, char key[CONFIG_KEY_MAX + 1])
{
    size_t used = 0;
    for (; used < len && used < CONFIG_KEY_MAX; used++) {
        const char c = variable[used];
        key[used] = (char)(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    key[used] = '\0';
}

static int one_variable(struct options *o, const char *entry)
{
    const size_t prefix = sizeof(environment_prefix) - 1;
    const size_t len = strcspn(entry, "=");
    char key[CONFIG_KEY_MAX + 1];
    char label[sizeof(environment_prefix) + CONFIG_KEY_MAX];
    char more[80];
    key_of_variable(entry + prefix, len - prefix, key);
    (void)snprintf(label, sizeof(label), "%.*s", (int)len, entry);
    if (strcmp(key, "config") == 0) {
        o->config = o->config != NULL ? o->config : entry + len + 1;
        return 0;
    }
    const struct row *row = row_find(key, strlen(key));
    if (row == NULL) {
        return fail(o, "the variable %s is not a setting of surefootd; %s", label,
                    advice(key, more));
    }
    return take(&(struct given){o, row, label, entry + len + 1, FROM_ENVIRONMENT, 0});
}

/* An empty variable counts as none: units and containers often pass on what is not set. */
int options_environment(struct options *o, const char *const environment[])
{
    const size_t prefix = sizeof(environment_prefix) - 1;
    for (; *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        if (strncmp(*environment, environment_prefix, prefix) == 0 && equals != NULL &&
            equals[1] != '\0' && one_variable(o, *environment) != 0) {
            return -1;
        }
    }
    return 0;
}

static int one_line(struct options *o, const struct config_line *line, unsigned number_of)
{
    char label[OPTIONS_ERROR_MAX / 2];
    char more[80];
    const struct row *row = row_find(line->key, strlen(line->key));
    if (row == NULL) {
        return fail(o, "%.200s:%u: '%s' is not a setting of surefootd; %s", o->config, number_of,
                    line->key, advice(line->key, more));
    }
    (void)snprintf(label, sizeof(label), "%.200s:%u: %s", o->config, number_of, line->key);
    return take(&(struct given){o, row, label, line->value, FROM_FILE, number_of});
}

int options_file(struct options *o, const char *text, size_t len)
{
    struct config_lines lines = {.text = text, .len = len};
    struct config_line line;
    int got = config_lines_next(&lines, &line);
    for (; got > 0; got = config_lines_next(&lines, &line)) {
        if (one_line(o, &line, lines.number) != 0) {
            return -1;
        }
    }
    return got == 0 ? 0 : fail(o, "%.200s:%u: %s", o->config, lines.number, line.error);
}

/* ---- the whole ---- */

static unsigned processors(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1) {
        return 1;
    }
    return count > OPTIONS_LOOPS_MAX ? OPTIONS_LOOPS_MAX : (unsigned)count;
}

void options_init(struct options *o)
{
    *o = (struct options){.mode = MODE_RUN};
}

int options_finish(struct options *o)
{
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        const struct row *row = &table[i];
        const char *fallback = row->setting.fallback;
        if (o->origin[i].text == NULL && fallback != NULL &&
            take(&(struct given){o, row, row->setting.name, fallback, FROM_DEFAULT, 0}) != 0) {
            return -1;
        }
    }
    o->loops = o->loops > 0 ? o->loops : processors();
    if ((o->tls_cert == NULL) != (o->tls_key == NULL)) {
        return fail(o, "tls-cert and tls-key belong together: give both, or none to have the "
                       "private CA");
    }
    if (o->address_connections > o->connections) {
        return fail(o, "address-connections, %u, is more than max-connections, %u: lower it",
                    o->address_connections, o->connections);
    }
    return 0;
}

static int same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int same_hosts(const struct options *a, const struct options *b)
{
    int same = a->host_count == b->host_count;
    for (unsigned i = 0; same && i < a->host_count; i++) {
        same = strcmp(a->host[i], b->host[i]) == 0;
    }
    return same;
}

const char *options_needs_restart(const struct options *now, const struct options *next,
                                  unsigned *index)
{
    for (; *index < SETTING_COUNT; ++*index) {
        const struct row *row = &table[*index];
        const int same = row->setting.many
                             ? same_hosts(now, next)
                             : same_text(now->origin[*index].text, next->origin[*index].text);
        if (!same && !row->setting.reloads) {
            return table[(*index)++].setting.name;
        }
    }
    return NULL;
}
