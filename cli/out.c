/* Texts, hex, JSON and tables for stdout. */

#include "cli/out.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "cli/cli.h"

enum { CELL_MAX = 200, COLUMN_MAX = 16, KEY_MAX = 64 };

char *out_clean(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; text[n] && n + 1 < size; n++) {
        out[n] = '?';
        if (text[n] >= 0x20 && text[n] < 0x7f) {
            out[n] = text[n];
        }
    }
    out[n] = '\0';
    return out;
}

json_t *out_json_text(const char *text)
{
    char clean[256];
    return text ? json_string(out_clean(text, clean, sizeof clean)) : json_null();
}

json_t *out_json_path(const char *path)
{
    json_t *text = json_string(path);
    return text ? text : out_json_text(path);
}

json_t *out_json_hex(const uint8_t *bytes, size_t len)
{
    char hex[2 * 64 + 1];
    if (len > 64) {
        return NULL;
    }
    hex_encode(bytes, len, hex);
    return json_string(hex);
}

int out_json(json_t *root)
{
    int failed = !root || json_dumpf(root, stdout, 0) != 0;
    json_decref(root);
    if (failed) {
        return cli_fail(CLI_LOCAL, "cannot print the JSON: out of memory or stdout is closed");
    }
    putchar('\n');
    return CLI_OK;
}

struct out_reason out_reason(int err, const struct sf_diag *diag)
{
    struct out_reason r;
    if (diag && diag->why) {
        snprintf(r.text, sizeof r.text, "%s (at byte 0x%zx: %s)", sf_err_str(err), diag->offset,
                 diag->why);
    } else {
        snprintf(r.text, sizeof r.text, "%s", sf_err_str(err));
    }
    return r;
}

struct out_size out_size(uint64_t size_bytes)
{
    struct out_size s;
    if (size_bytes >= 1 << 20) {
        snprintf(s.text, sizeof s.text, "%.2f MiB", (double)size_bytes / (1 << 20));
    } else if (size_bytes >= 1 << 10) {
        snprintf(s.text, sizeof s.text, "%.1f KiB", (double)size_bytes / (1 << 10));
    } else {
        snprintf(s.text, sizeof s.text, "%" PRIu64 " bytes", size_bytes);
    }
    return s;
}

static const json_t *look_up(const json_t *row, const char *key)
{
    char name[KEY_MAX];
    const char *dot = strchr(key, '.');
    if (!dot || (size_t)(dot - key) >= sizeof name) {
        return json_object_get(row, key);
    }
    snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
    return json_object_get(json_object_get(row, name), dot + 1);
}

static void age_text(int64_t then_s, int64_t now_s, char out[CELL_MAX])
{
    static const struct {
        int64_t below_s;
        int64_t unit_s;
        const char *unit;
    } steps[] = {{120, 1, "s"}, {7200, 60, "min"}, {172800, 3600, "h"}, {INT64_MAX, 86400, "days"}};
    int64_t age_s = now_s > then_s ? now_s - then_s : 0;
    unsigned i = 0;
    while (age_s >= steps[i].below_s) {
        i++;
    }
    snprintf(out, CELL_MAX, "%" PRId64 " %s ago", age_s / steps[i].unit_s, steps[i].unit);
}

static void time_text(int64_t then_s, char out[CELL_MAX])
{
    const time_t then = (time_t)then_s;
    struct tm tm;
    if (!gmtime_r(&then, &tm) || strftime(out, CELL_MAX, "%Y-%m-%d %H:%M:%SZ", &tm) == 0) {
        snprintf(out, CELL_MAX, "-");
    }
}

/* The texts of an array, with commas. */
static void join_texts(const json_t *list, char out[CELL_MAX])
{
    size_t have = 0;
    snprintf(out, CELL_MAX, "-");
    for (size_t i = 0; i < json_array_size(list) && have < CELL_MAX; i++) {
        char clean[CELL_MAX];
        const char *text = json_string_value(json_array_get(list, i));
        int n = snprintf(out + have, CELL_MAX - have, "%s%s", i ? ", " : "",
                         text ? out_clean(text, clean, sizeof clean) : "?");
        have += n > 0 ? (size_t)n : 0;
    }
}

static void cell(const json_t *row, const struct out_column *column, int64_t now_s,
                 char out[CELL_MAX])
{
    const json_t *v = look_up(row, column->key);
    if (json_is_string(v) && json_string_length(v) > 0) {
        out_clean(json_string_value(v), out, CELL_MAX);
    } else if (json_is_integer(v) && column->style == OUT_AGE) {
        age_text(json_integer_value(v), now_s, out);
    } else if (json_is_integer(v) && column->style == OUT_TIME) {
        time_text(json_integer_value(v), out);
    } else if (json_is_integer(v) && column->style == OUT_BYTES) {
        snprintf(out, CELL_MAX, "%s", out_size((uint64_t)json_integer_value(v)).text);
    } else if (json_is_integer(v)) {
        snprintf(out, CELL_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    } else if (json_is_array(v)) {
        join_texts(v, out);
    } else if (json_is_boolean(v)) {
        snprintf(out, CELL_MAX, "%s", json_is_true(v) ? "yes" : "no");
    } else {
        snprintf(out, CELL_MAX, "-");
    }
}

void out_table(FILE *to, const json_t *rows, const struct out_column *columns, int64_t now_s)
{
    int width[COLUMN_MAX] = {0};
    char text[CELL_MAX];
    unsigned n = 0;
    for (; n < COLUMN_MAX && columns[n].title; n++) {
        width[n] = (int)strlen(columns[n].title);
        for (size_t r = 0; r < json_array_size(rows); r++) {
            cell(json_array_get(rows, r), &columns[n], now_s, text);
            int length = (int)strlen(text);
            width[n] = length > width[n] ? length : width[n];
        }
    }
    for (unsigned c = 0; c < n; c++) {
        fprintf(to, "%-*s%s", c + 1 < n ? width[c] : 0, columns[c].title, c + 1 < n ? "  " : "\n");
    }
    for (size_t r = 0; r < json_array_size(rows); r++) {
        for (unsigned c = 0; c < n; c++) {
            cell(json_array_get(rows, r), &columns[c], now_s, text);
            fprintf(to, "%-*s%s", c + 1 < n ? width[c] : 0, text, c + 1 < n ? "  " : "\n");
        }
    }
}

void out_record(FILE *to, const json_t *row, const struct out_column *columns, int64_t now_s)
{
    char text[CELL_MAX];
    for (unsigned c = 0; columns[c].title; c++) {
        cell(row, &columns[c], now_s, text);
        fprintf(to, "%-18s %s\n", columns[c].title, text);
    }
}

int64_t out_now_s(void)
{
    return (int64_t)time(NULL);
}
