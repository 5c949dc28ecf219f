#include "server/config_lines.h"

#include <string.h>

struct piece {
    const char *text;
    size_t len;
};

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct piece trim(struct piece p)
{
    while (p.len > 0 && is_blank(p.text[0])) {
        p.text++;
        p.len--;
    }
    while (p.len > 0 && is_blank(p.text[p.len - 1])) {
        p.len--;
    }
    return p;
}

/* Up to the newline, without it and a carriage return before it. */
static struct piece take_line(struct config_lines *r)
{
    struct piece line = {r->text + r->at, r->len - r->at};
    const char *end = memchr(line.text, '\n', line.len);
    if (end != NULL) {
        line.len = (size_t)(end - line.text);
        r->at++;
    }
    r->at += line.len;
    r->number++;
    if (line.len > 0 && line.text[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

static struct piece without_comment(struct piece line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.text[i] == '#' && (i == 0 || is_blank(line.text[i - 1]))) {
            line.len = i;
        }
    }
    return line;
}

static int is_printable(struct piece p)
{
    for (size_t i = 0; i < p.len; i++) {
        const unsigned char c = (unsigned char)p.text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return 0;
        }
    }
    return 1;
}

static void copy(char *out, struct piece p)
{
    memcpy(out, p.text, p.len);
    out[p.len] = '\0';
}

/* NULL, or what is wrong. */
static const char *split(struct piece line, struct config_line *out)
{
    if (!is_printable(line)) {
        return "this line has a control character in it; write plain text";
    }
    const char *sign = memchr(line.text, '=', line.len);
    if (sign == NULL) {
        return "this line is not 'key = value'; a comment begins with #";
    }
    const size_t before = (size_t)(sign - line.text);
    const struct piece key = trim((struct piece){line.text, before});
    const struct piece value = trim((struct piece){sign + 1, line.len - before - 1});
    if (key.len < 1 || key.len > CONFIG_KEY_MAX) {
        return "there is no key before the '='; surefootd --help lists them";
    }
    if (value.len < 1) {
        return "there is no value after the '='; leave the line out to have the default";
    }
    if (value.len > CONFIG_VALUE_MAX) {
        return "the value is longer than 1000 characters";
    }
    if (value.text[0] == '"' || value.text[0] == '\'') {
        return "a value stands without quotes";
    }
    copy(out->key, key);
    copy(out->value, value);
    return NULL;
}

int config_lines_next(struct config_lines *r, struct config_line *out)
{
    *out = (struct config_line){.error = NULL};
    while (r->at < r->len) {
        const struct piece line = trim(without_comment(take_line(r)));
        if (line.len > 0) {
            out->error = split(line, out);
            return out->error == NULL ? 1 : -1;
        }
    }
    return 0;
}
