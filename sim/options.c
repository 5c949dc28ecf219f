#include "sim/options.h"

#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/key_hint.h"
#include "base/nearest.h"
#include "base/p256.h"
#include "base/sbv2_openssl.h"

/* The command line of surefoot-sim, as a table: one row an option. */

static const char help_text[] =
    "usage: surefoot-sim run --server URL (--firmware APP.bin | --flash DUMP.bin)\n"
    "                        --release-key FILE|HEX --status-key FILE|HEX [options]\n"
    "       surefoot-sim run --static URL (--firmware APP.bin | --flash DUMP.bin)\n"
    "                        --release-key FILE|HEX [options]\n"
    "       surefoot-sim make-flash --firmware APP.bin --output FLASH.bin\n"
    "       surefoot-sim powercut [--help]\n"
    "\n"
    "Runs virtual ESP32s, with the update engine that real devices run, against a server.\n"
    "\n"
    "what to run\n"
    "  --server URL             https://host:port of surefootd\n"
    "  --static URL             or a web host with what `surefoot release export` wrote: no\n"
    "                           status, so the release key alone says what runs\n"
    "  --cacert FILE            trust this PEM certificate authority alone\n"
    "  --firmware APP.bin       ESP32 app image that each device starts with, in ota_0 of a\n"
    "                           4 MiB flash with two slots of 1920 KiB\n"
    "  --flash DUMP.bin         or the whole flash each device starts with: a dump, or the\n"
    "                           first part of one (table at 0x8000 and slots); rest is FF\n"
    "  --flash-size BYTES       size of the chip for --flash (default 4194304)\n"
    "  --devices N              number of devices, 1 to 65535 (default 1)\n"
    "  --release-key FILE|HEX   public release key: PEM, or 128 hex digits (x || y)\n"
    "  --status-key FILE|HEX    public status key of the server, likewise\n"
    "  --trust-root FILE        or a trust root in their firmware, in place of both keys: they\n"
    "                           fetch its successors from the server\n"
    "  --enrol-token-file FILE  the product's enrolment token, in the first line\n"
    "  --hw-revision TEXT       hardware revision the devices report (default 1)\n"
    "  --chip-rev N             chip revision, major * 100 + minor (default 3: v0.3)\n"
    "  --no-rollback            their bootloader was built without rollback support\n"
    "  --anti-rollback          or with anti-rollback: it boots nothing below its eFuse's\n"
    "                           secure_version, and burns that of a confirmed image\n"
    "  --secure-boot-key FILE   Secure Boot V2 is on, with this key (PEM) in their eFuse: they\n"
    "                           boot and install what it has signed, and nothing else\n"
    "  --flash-encryption       tables, slots and otadata lie encrypted in flash (XTS-AES, the\n"
    "                           same key in all devices); a flash in DIR stays as it was made\n"
    "how long\n"
    "  --until WHEN             converged (default): every device is at rest; forever;\n"
    "                           or a number of seconds\n"
    "  --timeout S              give up on converged after S seconds (default 600)\n"
    "  --speed X                a device's clock runs X times as fast while it waits (1)\n"
    "  --interval S             check in every S seconds until the server says otherwise\n"
    "  --trial S                deadline of a trial (default 1800)\n"
    "  --ramp S                 switch the devices on within S seconds (default N / 200)\n"
    "  --max-requests N         at once (default 1000)\n"
    "what stays, what is shown\n"
    "  --state DIR              keep each device's flash in DIR, so that the next run with\n"
    "                           the same DIR goes on; else it is lost at the end\n"
    "  --seed N                 device ids derive from it (default: the one in DIR, or random)\n"
    "  --json                   one JSON object a line in place of the table\n"
    "  --rows N                 devices in the table (default 50)\n"
    "  --progress               progress on stderr even if it is no terminal\n"
    "\n"
    "exit status: 0 every device ended at rest on a good image, 1 some did not, 2 usage or a\n"
    "bad file, 3 no device could reach the server\n"
    "\n"
    "examples\n"
    "  surefoot-sim run --server https://localhost:8443 --cacert ca.pem --devices 10 \\\n"
    "      --firmware lamp-1.0.0.bin --release-key release.pub.pem --status-key status.pub.pem \\\n"
    "      --enrol-token-file token --state /tmp/lamps\n"
    "  surefoot-sim run --static https://fw.example.com/lamps --firmware lamp-1.0.0.bin \\\n"
    "      --release-key release.pub.pem --devices 3\n"
    "  surefoot-sim make-flash --firmware lamp-1.0.0.bin --output lamp-flash.bin\n";

const char *options_help(void)
{
    return help_text;
}

struct parser {
    struct options *out;
    char *error;
    const char *release_key; /* arguments as given: files are read once all are known */
    const char *status_key;
    const char *trust_root;
    const char *token_file;
    const char *secure_boot_key;
};

enum {
    KEY_FILE_MAX = 16 * 1024,  /* a key is 3 KiB at most */
    CACERT_LINES_MAX = 100000, /* the system's bundle has 3,500 */
};

static int fail(struct parser *p, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct parser *p, int err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->error, OPTIONS_ERROR_SIZE, fmt, args);
    va_end(args);
    return err;
}

/* ---- values ---- */

static int parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min || value > max) {
        return SF_ERR_RANGE;
    }
    *out = (uint32_t)value;
    return SF_OK;
}

static int load_key(struct parser *p, const char *option, const char *text,
                    uint8_t out[SF_P256_KEY_SIZE])
{
    struct p256_key key = {0};
    if (!text) {
        return fail(p, SF_ERR_NOTFOUND, "%s is missing: give a PEM file or 128 hex digits", option);
    }
    int is_hex = strlen(text) == (size_t)2 * SF_P256_KEY_SIZE && !strchr(text, '.');
    int err = is_hex ? p256_key_from_hex(&key, text) : p256_key_load_public(&key, text);
    if (err == SF_OK) {
        memcpy(out, key.public_key.xy, SF_P256_KEY_SIZE);
    } else {
        const char *why = err == SF_ERR_IO         ? strerrordesc_np(errno)
                          : err == SF_ERR_NOTFOUND ? "there is no such file"
                          : is_hex                 ? "these are no coordinates of a point"
                                                   : key_hint(text, KEY_PUBLIC);
        fail(p, err, "%s: cannot read a P-256 public key from '%s': %s", option, text, why);
    }
    p256_key_release(&key);
    return err;
}

static int load_secure_boot_key(struct parser *p)
{
    char pem[KEY_FILE_MAX];
    const char *path = p->secure_boot_key;
    if (!path) {
        return SF_OK;
    }
    FILE *file = fopen(path, "re");
    if (!file) {
        return fail(p, SF_ERR_IO, "--secure-boot-key: cannot open '%s': %s", path,
                    strerrordesc_np(errno));
    }
    size_t len = fread(pem, 1, sizeof(pem), file);
    fclose(file);
    int err = sbv2_key_digest(pem, len, p->out->secure_boot_digest);
    OPENSSL_cleanse(pem, sizeof(pem));
    if (err < 0) {
        return fail(p, err,
                    "--secure-boot-key: '%s' is no key in PEM of RSA-3072, P-192, P-256 or P-384",
                    path);
    }
    p->out->secure_boot = 1;
    return SF_OK;
}

/* In place of both keys. */
static int load_root(struct parser *p)
{
    struct options *o = p->out;
    struct sf_root root;
    struct sf_diag diag = {0};
    if (p->release_key || p->status_key) {
        return fail(p, SF_ERR_RANGE,
                    "give --trust-root or --release-key and --status-key: the root lists the keys");
    }
    FILE *file = fopen(p->trust_root, "re");
    if (!file) {
        return fail(p, SF_ERR_IO, "--trust-root: cannot open '%s': %s", p->trust_root,
                    strerrordesc_np(errno));
    }
    o->trust_root_len = fread(o->trust_root, 1, sizeof(o->trust_root), file);
    const int is_longer = fgetc(file) != EOF;
    fclose(file);
    const struct sf_bytes in = {o->trust_root, o->trust_root_len};
    const int err =
        is_longer ? SF_ERR_TOO_LARGE : sf_root_open_first(in, crypto_openssl(), &root, &diag);
    return err < 0 ? fail(p, err, "--trust-root: '%s' is no trust root: %s", p->trust_root,
                          diag.why ? diag.why : sf_err_str(err))
                   : SF_OK;
}

static int load_token(struct parser *p)
{
    char *token = p->out->enrol_token;
    if (!p->token_file) {
        return SF_OK;
    }
    FILE *file = fopen(p->token_file, "re");
    if (!file) {
        return fail(p, SF_ERR_IO, "--enrol-token-file: cannot open '%s': %s", p->token_file,
                    strerrordesc_np(errno));
    }
    int got = fgets(token, OPTIONS_TOKEN_SIZE, file) != NULL;
    fclose(file);
    token[strcspn(token, "\r\n")] = '\0';
    if (!got || token[0] == '\0') {
        return fail(p, SF_ERR_FORMAT, "--enrol-token-file: '%s' has no token in its first line",
                    p->token_file);
    }
    return SF_OK;
}

/* libcurl says no more of a bad file than that it did not connect. */
static int check_cacert(struct parser *p)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    char line[256];
    int found = 0;
    const char *path = p->out->cacert;
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!path) {
        return SF_OK;
    }
    if (!file) {
        return fail(p, SF_ERR_IO, "--cacert: cannot open '%s': %s", path, strerrordesc_np(errno));
    }
    for (unsigned i = 0; i < CACERT_LINES_MAX && !found; i++) {
        if (!fgets(line, sizeof(line), file)) {
            break;
        }
        found = strncmp(line, begin, sizeof(begin) - 1) == 0;
    }
    fclose(file);
    return found ? SF_OK
                 : fail(p, SF_ERR_FORMAT, "--cacert: '%s' holds no certificate in PEM", path);
}

/* ---- the table ---- */

enum option_kind {
    KIND_TEXT,
    KIND_NUMBER,
    KIND_FLAG,
    KIND_UNTIL,
    KIND_HELP,
    KIND_VERSION,
};

enum option_place { /* where a value goes */
                    PLACE_NONE,
                    PLACE_SERVER,
                    PLACE_STATIC,
                    PLACE_CACERT,
                    PLACE_FIRMWARE,
                    PLACE_FLASH,
                    PLACE_OUTPUT,
                    PLACE_STATE,
                    PLACE_HW_REVISION,
                    PLACE_RELEASE_KEY,
                    PLACE_STATUS_KEY,
                    PLACE_TRUST_ROOT,
                    PLACE_TOKEN_FILE,
                    PLACE_SECURE_BOOT_KEY,
                    PLACE_FLASH_SIZE,
                    PLACE_DEVICES,
                    PLACE_CHIP_REV,
                    PLACE_TIMEOUT,
                    PLACE_SPEED,
                    PLACE_INTERVAL,
                    PLACE_TRIAL,
                    PLACE_RAMP,
                    PLACE_MAX_REQUESTS,
                    PLACE_SEED,
                    PLACE_ROWS,
                    PLACE_NO_ROLLBACK,
                    PLACE_ANTI_ROLLBACK,
                    PLACE_FLASH_ENCRYPTION,
                    PLACE_JSON,
                    PLACE_PROGRESS,
};

struct row {
    const char *name;
    enum option_kind kind;
    enum option_place place;
    uint32_t min;
    uint32_t max;
};

static const struct row rows[] = {
    {"help", KIND_HELP, PLACE_NONE, 0, 0},
    {"version", KIND_VERSION, PLACE_NONE, 0, 0},
    {"server", KIND_TEXT, PLACE_SERVER, 0, 0},
    {"static", KIND_TEXT, PLACE_STATIC, 0, 0},
    {"cacert", KIND_TEXT, PLACE_CACERT, 0, 0},
    {"firmware", KIND_TEXT, PLACE_FIRMWARE, 0, 0},
    {"flash", KIND_TEXT, PLACE_FLASH, 0, 0},
    {"output", KIND_TEXT, PLACE_OUTPUT, 0, 0},
    {"state", KIND_TEXT, PLACE_STATE, 0, 0},
    {"hw-revision", KIND_TEXT, PLACE_HW_REVISION, 0, 0},
    {"release-key", KIND_TEXT, PLACE_RELEASE_KEY, 0, 0},
    {"status-key", KIND_TEXT, PLACE_STATUS_KEY, 0, 0},
    {"trust-root", KIND_TEXT, PLACE_TRUST_ROOT, 0, 0},
    {"enrol-token-file", KIND_TEXT, PLACE_TOKEN_FILE, 0, 0},
    {"secure-boot-key", KIND_TEXT, PLACE_SECURE_BOOT_KEY, 0, 0},
    {"flash-size", KIND_NUMBER, PLACE_FLASH_SIZE, 0x10000, 0x8000000},
    {"devices", KIND_NUMBER, PLACE_DEVICES, 1, 65535},
    {"chip-rev", KIND_NUMBER, PLACE_CHIP_REV, 0, 9999},
    {"timeout", KIND_NUMBER, PLACE_TIMEOUT, 1, 31536000},
    {"speed", KIND_NUMBER, PLACE_SPEED, 1, 100000},
    {"interval", KIND_NUMBER, PLACE_INTERVAL, 1, 31536000},
    {"trial", KIND_NUMBER, PLACE_TRIAL, 1, 86400},
    {"ramp", KIND_NUMBER, PLACE_RAMP, 0, 86400},
    {"max-requests", KIND_NUMBER, PLACE_MAX_REQUESTS, 1, 65535},
    {"seed", KIND_NUMBER, PLACE_SEED, 0, 0xffffff},
    {"rows", KIND_NUMBER, PLACE_ROWS, 0, 65535},
    {"until", KIND_UNTIL, PLACE_NONE, 0, 0},
    {"no-rollback", KIND_FLAG, PLACE_NO_ROLLBACK, 0, 0},
    {"anti-rollback", KIND_FLAG, PLACE_ANTI_ROLLBACK, 0, 0},
    {"flash-encryption", KIND_FLAG, PLACE_FLASH_ENCRYPTION, 0, 0},
    {"json", KIND_FLAG, PLACE_JSON, 0, 0},
    {"progress", KIND_FLAG, PLACE_PROGRESS, 0, 0},
};

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

static void set_text(struct parser *p, enum option_place place, const char *value)
{
    struct options *o = p->out;
    const struct {
        enum option_place place;
        const char **text;
    } map[] = {
        {PLACE_SERVER, &o->server},
        {PLACE_STATIC, &o->static_tree},
        {PLACE_CACERT, &o->cacert},
        {PLACE_FIRMWARE, &o->firmware},
        {PLACE_FLASH, &o->flash},
        {PLACE_OUTPUT, &o->output},
        {PLACE_STATE, &o->state_dir},
        {PLACE_HW_REVISION, &o->hw_revision},
        {PLACE_RELEASE_KEY, &p->release_key},
        {PLACE_STATUS_KEY, &p->status_key},
        {PLACE_TRUST_ROOT, &p->trust_root},
        {PLACE_TOKEN_FILE, &p->token_file},
        {PLACE_SECURE_BOOT_KEY, &p->secure_boot_key},
    };
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].place == place) {
            *map[i].text = value;
        }
    }
}

static void set_number(struct options *o, enum option_place place, uint32_t value)
{
    struct {
        enum option_place place;
        uint32_t *number;
    } map[] = {
        {PLACE_FLASH_SIZE, &o->flash_size},
        {PLACE_DEVICES, &o->devices},
        {PLACE_TIMEOUT, &o->timeout_s},
        {PLACE_SPEED, &o->speed},
        {PLACE_INTERVAL, &o->interval_s},
        {PLACE_TRIAL, &o->trial_s},
        {PLACE_MAX_REQUESTS, &o->max_requests},
        {PLACE_SEED, &o->seed},
        {PLACE_ROWS, &o->rows},
        {PLACE_RAMP, &o->ramp_ms},
    };
    o->has_seed |= place == PLACE_SEED;
    o->has_ramp |= place == PLACE_RAMP;
    if (place == PLACE_CHIP_REV) {
        o->chip_revision = (uint16_t)value;
    }
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].place == place) {
            *map[i].number = place == PLACE_RAMP ? value * 1000 : value;
        }
    }
}

static int set_until(struct parser *p, const char *text)
{
    if (strcmp(text, "converged") == 0) {
        p->out->until = UNTIL_CONVERGED;
    } else if (strcmp(text, "forever") == 0) {
        p->out->until = UNTIL_FOREVER;
    } else if (parse_number(text, 1, 31536000, &p->out->until_s) == SF_OK) {
        p->out->until = UNTIL_SECONDS;
    } else {
        return fail(p, SF_ERR_RANGE,
                    "--until takes 'converged', 'forever' or a number of seconds, not '%s'", text);
    }
    return SF_OK;
}

static int set_option(struct parser *p, const struct row *row, const char *value)
{
    struct options *o = p->out;
    uint32_t number = 0;
    switch (row->kind) {
    case KIND_TEXT:
        set_text(p, row->place, value);
        return SF_OK;
    case KIND_NUMBER:
        if (parse_number(value, row->min, row->max, &number) < 0) {
            return fail(p, SF_ERR_RANGE, "--%s takes a number from %u to %u, not '%s'", row->name,
                        row->min, row->max, value);
        }
        set_number(o, row->place, number);
        return SF_OK;
    case KIND_UNTIL:
        return set_until(p, value);
    case KIND_FLAG:
        o->no_rollback |= row->place == PLACE_NO_ROLLBACK;
        o->anti_rollback |= row->place == PLACE_ANTI_ROLLBACK;
        o->flash_encryption |= row->place == PLACE_FLASH_ENCRYPTION;
        o->json |= row->place == PLACE_JSON;
        o->progress |= row->place == PLACE_PROGRESS;
        return SF_OK;
    case KIND_HELP:
        o->command = OPTIONS_HELP;
        return SF_OK;
    case KIND_VERSION:
        o->command = OPTIONS_VERSION;
        return SF_OK;
    }
    return SF_ERR_INTERNAL;
}

/* ---- all together ---- */

/* What getopt_long took for none of ours: the option that was meant, if one is near. */
static int tell_unknown(struct parser *p, const char *word)
{
    char wanted[NEAREST_WORD_MAX + 1];
    const char *name = strncmp(word, "--", 2) == 0 ? word + 2 : "";
    snprintf(wanted, sizeof(wanted), "%.*s", (int)strcspn(name, "="), name);
    struct nearest n = nearest_to(wanted);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        nearest_offer(&n, rows[i].name);
    }
    return n.word
               ? fail(p, SF_ERR_NOTFOUND, "unknown option '%s'; did you mean '--%s'?", word, n.word)
               : fail(p, SF_ERR_NOTFOUND, "unknown option '%s'; see surefoot-sim --help", word);
}

static int parse_rows(struct parser *p, int argc, char **argv)
{
    struct option known[ROW_COUNT + 1] = {0};
    for (size_t i = 0; i < ROW_COUNT; i++) {
        int takes_value = rows[i].kind <= KIND_NUMBER || rows[i].kind == KIND_UNTIL;
        known[i] = (struct option){.name = rows[i].name,
                                   .has_arg = takes_value ? required_argument : no_argument,
                                   .val = (int)i + 256};
    }
    optind = 1;
    for (;;) {
        /* one thread, at the program's start */
        int got = getopt_long(argc, argv, ":ho:", known, NULL); /* NOLINT(concurrency-mt-unsafe) */
        int err = SF_OK;
        if (got == -1) {
            break;
        }
        if (got == 'h') {
            p->out->command = OPTIONS_HELP;
        } else if (got == 'o') {
            p->out->output = optarg;
        } else if (got >= 256) {
            err = set_option(p, &rows[got - 256], optarg);
        } else if (got == ':') {
            err = fail(p, SF_ERR_NOTFOUND, "a value is missing after '%s'; see surefoot-sim --help",
                       argv[optind - 1]);
        } else {
            err = tell_unknown(p, argv[optind - 1]);
        }
        if (err < 0) {
            return err;
        }
    }
    return optind == argc ? SF_OK
                          : fail(p, SF_ERR_NOTFOUND, "unexpected argument '%s'", argv[optind]);
}

static int is_url(const char *text)
{
    return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
}

/* Where the devices ask, and what goes with it. */
static int check_place(struct parser *p)
{
    const struct options *o = p->out;
    if (o->server && o->static_tree) {
        return fail(p, SF_ERR_RANGE, "give one of --server and --static");
    }
    if (o->static_tree && !is_url(o->static_tree)) {
        return fail(p, SF_ERR_NOTFOUND,
                    "--static wants a URL, as in https://fw.example.com, not '%s'", o->static_tree);
    }
    if (o->static_tree && (p->status_key || p->token_file)) {
        return fail(p, SF_ERR_RANGE, "--static needs no %s: there is no server to %s",
                    p->status_key ? "--status-key" : "--enrol-token-file",
                    p->status_key ? "sign a status" : "enrol with");
    }
    if (!o->static_tree && (!o->server || !is_url(o->server))) {
        return fail(p, SF_ERR_NOTFOUND,
                    "--server URL is missing, as in https://localhost:8443 (or --static URL)");
    }
    return SF_OK;
}

static int check_run(struct parser *p)
{
    struct options *o = p->out;
    const int place = check_place(p);
    if (place < 0) {
        return place;
    }
    if (!o->firmware == !o->flash) {
        return fail(p, SF_ERR_NOTFOUND, "give either --firmware APP.bin or --flash DUMP.bin");
    }
    if (o->flash_size % 4096 != 0) {
        return fail(p, SF_ERR_RANGE, "--flash-size must be a multiple of 4096");
    }
    if (o->no_rollback && o->anti_rollback) {
        return fail(p, SF_ERR_RANGE,
                    "give one of --no-rollback and --anti-rollback: a bootloader with "
                    "anti-rollback rolls back");
    }
    if (strlen(o->hw_revision) > 15) {
        return fail(p, SF_ERR_RANGE, "--hw-revision has at most 15 characters");
    }
    int err =
        p->trust_root ? load_root(p) : load_key(p, "--release-key", p->release_key, o->release_key);
    if (err == SF_OK && !o->static_tree && !p->trust_root) {
        err = load_key(p, "--status-key", p->status_key, o->status_key);
    }
    if (!o->has_ramp) {
        o->ramp_ms = o->devices * 5;
    }
    if (err == SF_OK) {
        err = load_secure_boot_key(p);
    }
    if (err == SF_OK) {
        err = check_cacert(p);
    }
    return err < 0 ? err : load_token(p);
}

int options_parse(int argc, char **argv, struct options *out, char error[OPTIONS_ERROR_SIZE])
{
    struct parser p = {.out = out, .error = error};
    *out = (struct options){.devices = 1,
                            .flash_size = 4194304,
                            .speed = 1,
                            .max_requests = 1000,
                            .chip_revision = 3,
                            .timeout_s = 600,
                            .rows = 50,
                            .hw_revision = "1"};
    error[0] = '\0';
    const char *command = argc > 1 ? argv[1] : "--help";
    int is_run = strcmp(command, "run") == 0;
    if (!is_run && strcmp(command, "make-flash") != 0 && command[0] != '-') {
        return fail(&p, SF_ERR_NOTFOUND,
                    "unknown command '%s': surefoot-sim knows run, make-flash and powercut",
                    command);
    }
    int has_command = command[0] != '-';
    out->command = is_run ? OPTIONS_RUN : has_command ? OPTIONS_MAKE_FLASH : OPTIONS_HELP;
    int err = parse_rows(&p, argc - has_command, argv + has_command);
    if (err < 0 || out->command == OPTIONS_HELP || out->command == OPTIONS_VERSION) {
        return err;
    }
    if (is_run) {
        return check_run(&p);
    }
    return out->firmware && out->output
               ? SF_OK
               : fail(&p, SF_ERR_NOTFOUND, "make-flash needs --firmware APP.bin and --output FILE");
}
