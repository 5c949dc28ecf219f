#include "server/options.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char options_help[] =
    "surefootd: the update server for ESP32 fleets\n"
    "\n"
    "usage: surefootd [--data DIR] [--listen ADDR:PORT] [--host NAME]... [--loops N]\n"
    "\n"
    "  --data DIR          keys, database and images live here; made on the first start\n"
    "                      (default ./surefoot-data)\n"
    "  --listen ADDR:PORT  address to listen on (default 127.0.0.1:8443: this machine only;\n"
    "                      0.0.0.0:8443 or [::]:8443 for every network; port 0 takes a free one)\n"
    "  --host NAME         name or address by which devices reach this server, for its\n"
    "                      certificate; may be given up to 16 times (default localhost)\n"
    "  --loops N           network threads, 1 to 64 (default: one a processor)\n"
    "  --print-routes      print the HTTP routes as Markdown (docs/api.md) and exit\n"
    "  --version           print the version and exit\n"
    "  --help              print this and exit\n"
    "\n"
    "examples:\n"
    "  surefootd\n"
    "  surefootd --data /var/lib/surefoot --listen 0.0.0.0:8443 --host updates.example.com\n"
    "\n"
    "The first start makes a private CA (DIR/ca.pem, for devices and curl), a server certificate,\n"
    "the status key (DIR/status-key.pub.pem, for firmware) and an admin token\n"
    "(DIR/admin-token, readable by its owner only). SIGTERM and SIGINT finish what is in flight\n"
    "and stop; kill -9 loses nothing that was acknowledged.\n"
    "\n"
    "exit status: 0 stopped, 1 other failure, 2 usage, 3 data folder, 4 database, 5 address\n";

static int fail(struct options *o, const char *fmt, const char *what)
{
/* fmt is one of this file's literals with one %s */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(o->error, sizeof(o->error), fmt, what);
#pragma GCC diagnostic pop
    return -1;
}

/* A whole decimal number in [min, max], or -1. */
static long number(const char *text, long min, long max)
{
    size_t len = strlen(text);
    if (len < 1 || len > 6 || strspn(text, "0123456789") != len) {
        return -1;
    }
    long value = strtol(text, NULL, 10);
    return value < min || value > max ? -1 : value;
}

static int address_valid(const char *address)
{
    unsigned char out[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, address, out) == 1 || inet_pton(AF_INET6, address, out) == 1;
}

static int parse_listen(struct options *o, const char *text)
{
    static const char shape[] = "--listen '%.100s' is not ADDR:PORT: write an IP address and a port"
                                " from 0 to 65535, like 0.0.0.0:8443 or [::1]:8443";
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return fail(o, shape, text);
    }
    const char *begin = text;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        begin++;
        len -= 2;
    }
    long port = number(colon + 1, 0, 65535);
    if (port < 0 || len >= sizeof(o->address)) {
        return fail(o, shape, text);
    }
    memcpy(o->address, begin, len);
    o->address[len] = '\0';
    o->port = (uint16_t)port;
    return address_valid(o->address) ? 0 : fail(o, shape, text);
}

static int host_valid(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= OPTIONS_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") == len;
}

static int parse_host(struct options *o, const char *text)
{
    if (!host_valid(text)) {
        return fail(o,
                    "--host '%.100s' is not a host name or IP address: leave out https:// and"
                    " the port",
                    text);
    }
    if (o->host_count == OPTIONS_HOST_MAX) {
        return fail(o, "--host '%.100s' is one too many: at most 16 names fit", text);
    }
    o->host[o->host_count++] = text;
    return 0;
}

static int parse_data(struct options *o, const char *text)
{
    if (text[0] == '\0') {
        return fail(o, "--data%s needs the name of a folder", "");
    }
    o->data = text;
    return 0;
}

static int parse_loops(struct options *o, const char *text)
{
    long loops = number(text, 1, OPTIONS_LOOPS_MAX);
    if (loops < 0) {
        return fail(o, "--loops '%.100s' is not a number from 1 to 64", text);
    }
    o->loops = (unsigned)loops;
    return 0;
}

static const struct {
    const char *name;
    int (*parse)(struct options *o, const char *value); /* NULL: a flag without value */
    enum option_mode mode;
} table[] = {
    {"--data", parse_data, MODE_RUN},
    {"--listen", parse_listen, MODE_RUN},
    {"--host", parse_host, MODE_RUN},
    {"--loops", parse_loops, MODE_RUN},
    {"--print-routes", NULL, MODE_PRINT_ROUTES},
    {"--version", NULL, MODE_VERSION},
    {"--help", NULL, MODE_HELP},
    {"-h", NULL, MODE_HELP},
};

/* Takes one option and its value: number of words used, or -1. */
static int parse_one(struct options *o, const char *word, const char *next)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        size_t len = strlen(table[i].name);
        if (strncmp(word, table[i].name, len) != 0) {
            continue;
        }
        if (table[i].parse == NULL && word[len] == '\0') {
            o->mode = table[i].mode;
            return 1;
        }
        if (table[i].parse != NULL && word[len] == '=') {
            return table[i].parse(o, word + len + 1) == 0 ? 1 : -1;
        }
        if (table[i].parse != NULL && word[len] == '\0') {
            if (next == NULL) {
                return fail(o, "%s needs a value; see surefootd --help", word);
            }
            return table[i].parse(o, next) == 0 ? 2 : -1;
        }
    }
    return fail(o, "'%.100s' is not an option of surefootd; see surefootd --help", word);
}

static unsigned processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1) {
        return 1;
    }
    return count > OPTIONS_LOOPS_MAX ? OPTIONS_LOOPS_MAX : (unsigned)count;
}

int options_parse(struct options *o, int argc, const char *const argv[])
{
    *o = (struct options){
        .data = "./surefoot-data", .address = "127.0.0.1", .port = 8443, .loops = processors()};
    for (int i = 1; i < argc;) {
        int used = parse_one(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (used < 0) {
            return -1;
        }
        i += used;
    }
    if (o->host_count == 0) {
        o->host[o->host_count++] = "localhost";
    }
    return 0;
}
