/* Manual pages in man(7). Source: groff_man(7), mandoc's man(7). */

#include "base/manual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"

void manual_date(char out[MANUAL_DATE_SIZE])
{
    const char *text = secure_getenv("SOURCE_DATE_EPOCH");
    char *end = NULL;
    time_t when = (time_t)clock_unix_s();
    struct tm tm;
    errno = 0;
    long long given = text ? strtoll(text, &end, 10) : 0;
    if (text && end != text && *end == '\0' && errno == 0) {
        when = (time_t)given;
    }
    if (!gmtime_r(&when, &tm) || strftime(out, MANUAL_DATE_SIZE, "%Y-%m-%d", &tm) == 0) {
        snprintf(out, MANUAL_DATE_SIZE, "1970-01-01");
    }
}

/* A dot or an apostrophe would begin a command at the start of a line; a backslash anywhere. */
static void put(FILE *to, const char *text, size_t len, const char *dash)
{
    if (len > 0 && (text[0] == '.' || text[0] == '\'')) {
        fputs("\\&", to);
    }
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '\\':
            fputs("\\e", to);
            break;
        case '-':
            fputs(dash, to);
            break;
        case '\'':
            fputs("\\(aq", to);
            break;
        case '`':
            fputs("\\(ga", to);
            break;
        default:
            fputc(text[i], to);
            break;
        }
    }
}

void manual_text(FILE *to, const char *text, size_t len)
{
    put(to, text, len, "\\-");
}

void manual_bold(FILE *to, const char *text, size_t len)
{
    fputs("\\fB", to);
    put(to, text, len, "\\-");
    fputs("\\fR", to);
}

static void put_upper(FILE *to, const char *text)
{
    for (; *text; text++) {
        fputc(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text, to);
    }
}

void manual_section(FILE *to, const char *title)
{
    fputs(".SH ", to);
    put_upper(to, title);
    fputc('\n', to);
}

void manual_subsection(FILE *to, const char *title)
{
    fputs(".SS ", to);
    manual_text(to, title, strlen(title));
    fputc('\n', to);
}

void manual_begin(FILE *to, const struct manual *manual)
{
    char date[MANUAL_DATE_SIZE];
    manual_date(date);
    fputs(".TH ", to);
    put_upper(to, manual->name);
    fprintf(to, " %d %s \"Surefoot %s\" \"Surefoot Manual\"\n.SH NAME\n", manual->section, date,
            manual->version);
    manual_text(to, manual->name, strlen(manual->name));
    fputs(" \\- ", to);
    manual_text(to, manual->summary, strlen(manual->summary));
    fputc('\n', to);
}

/* ---- lines ---- */

/* Takes the next line; returns what follows, or NULL at the end. */
static const char *take_line(const char *at, const char **line, size_t *len)
{
    if (!*at) {
        return NULL;
    }
    *line = at;
    *len = strcspn(at, "\n");
    at += *len;
    return *at ? at + 1 : at;
}

static size_t indent_of(const char *line, size_t len)
{
    size_t n = 0;
    while (n < len && line[n] == ' ') {
        n++;
    }
    return n;
}

/* Filled lines and lines that stand as they are take turns. */
struct turns {
    FILE *to;
    int verbatim;
    int any; /* something stands above in this section: only then may a paragraph begin */
    int gap; /* an empty line was here */
};

static void turn(struct turns *t, int verbatim)
{
    if (verbatim != t->verbatim) {
        fputs(verbatim ? ".RS 4\n.nf\n" : ".fi\n.RE\n", t->to);
        t->verbatim = verbatim;
    }
}

static void put_line(struct turns *t, const char *line, size_t len)
{
    const size_t indent = indent_of(line, len);
    if (len == 0) {
        t->gap = 1;
        return;
    }
    turn(t, indent > 0);
    if (t->gap && t->any && !t->verbatim) {
        fputs(".PP\n", t->to);
    }
    const size_t skip = indent < 2 ? indent : 2;
    manual_text(t->to, line + skip, len - skip);
    fputc('\n', t->to);
    t->any = 1;
    t->gap = 0;
}

void manual_prose(FILE *to, const char *lines)
{
    struct turns t = {.to = to};
    const char *line = NULL;
    size_t len = 0;
    while ((lines = take_line(lines, &line, &len)) != NULL) {
        put_line(&t, line, len);
    }
    turn(&t, 0);
}

void manual_verbatim(FILE *to, const char *lines)
{
    const char *line = NULL;
    size_t len = 0;
    fputs(".nf\n", to);
    while ((lines = take_line(lines, &line, &len)) != NULL) {
        const size_t skip = indent_of(line, len) < 2 ? indent_of(line, len) : 2;
        if (len > 0) {
            manual_text(to, line + skip, len - skip);
            fputc('\n', to);
        }
    }
    fputs(".fi\n", to);
}

/* ---- a page from --help ---- */

enum { OPTION_INDENT = 6 }; /* of options at most: "      --long"; what is deeper goes on */

static int begins(const char *line, size_t len, const char *word)
{
    return len >= strlen(word) && strncasecmp(line, word, strlen(word)) == 0;
}

static int is_option(const char *line, size_t len)
{
    const size_t indent = indent_of(line, len);
    return indent >= 2 && indent <= OPTION_INDENT && len > indent && line[indent] == '-';
}

static void put_option(FILE *to, const char *line, size_t len)
{
    const size_t begin = indent_of(line, len);
    size_t end = begin; /* two spaces part an option from what it does */
    while (end < len && !(line[end] == ' ' && end + 1 < len && line[end + 1] == ' ')) {
        end++;
    }
    size_t text = end;
    while (text < len && line[text] == ' ') {
        text++;
    }
    fputs(".TP\n", to);
    manual_bold(to, line + begin, end - begin);
    fputc('\n', to);
    if (text < len) {
        manual_text(to, line + text, len - text);
        fputc('\n', to);
    }
}

/* A line without indentation, right above options. */
static int is_heading(const char *line, size_t len, const char *next)
{
    return len > 0 && indent_of(line, len) == 0 && is_option(next, strcspn(next, "\n"));
}

enum part { PART_NAME, PART_SYNOPSIS, PART_DESCRIPTION, PART_OPTIONS, PART_EXAMPLES, PART_STATUS };

struct help_page {
    struct turns t;
    const char *name;
    enum part part;
    int in_option; /* what lies deeper than options belongs to the option above */
};

static void begin_part(struct help_page *p, enum part part, const char *title)
{
    turn(&p->t, 0);
    manual_section(p->t.to, title);
    p->t.any = p->t.gap = p->in_option = 0;
    p->part = part;
}

/* Headings of --help and of man pages. Returns how much of the line was one. */
static size_t take_title(struct help_page *p, const char *line, size_t len)
{
    static const struct {
        const char *word;
        const char *title;
        enum part part;
    } titles[] = {{"usage", "Synopsis", PART_SYNOPSIS},
                  {"examples", "Examples", PART_EXAMPLES},
                  {"exit status", "Exit status", PART_STATUS}};
    for (unsigned i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (begins(line, len, titles[i].word)) {
            size_t used = strlen(titles[i].word);
            begin_part(p, titles[i].part, titles[i].title);
            used += used < len && line[used] == ':';
            return used + indent_of(line + used, len - used);
        }
    }
    return 0;
}

/* Each command of the synopsis on a line of its own. */
static void put_synopsis(struct help_page *p, const char *line, size_t len)
{
    const size_t indent = indent_of(line, len);
    const char *text = line + indent;
    if (p->t.any && begins(text, len - indent, p->name)) {
        fputs(".br\n", p->t.to);
    }
    manual_text(p->t.to, text, len - indent);
    fputc('\n', p->t.to);
    p->t.any = 1;
}

static void put_heading(struct help_page *p, const char *line, size_t len)
{
    turn(&p->t, 0);
    fputs(".SS ", p->t.to);
    manual_text(p->t.to, line, len - (line[len - 1] == ':'));
    fputc('\n', p->t.to);
    p->t.any = p->t.gap = p->in_option = 0;
}

/* Text without indentation ends the synopsis and the examples. */
static void put_prose(struct help_page *p, const char *line, size_t len)
{
    const int is_plain = len > 0 && indent_of(line, len) == 0;
    if (is_plain && p->part <= PART_SYNOPSIS) {
        begin_part(p, PART_DESCRIPTION, "Description");
    } else if (is_plain && p->part == PART_EXAMPLES) {
        begin_part(p, PART_STATUS, "Notes");
    }
    p->in_option = p->in_option && len == 0;
    put_line(&p->t, line, len);
}

static void put_help_line(struct help_page *p, const char *line, size_t len, const char *next)
{
    const int may_be_option = p->part != PART_EXAMPLES;
    if (begins(line, len, "options:")) {
        begin_part(p, PART_OPTIONS, "Options");
    } else if (may_be_option && (is_option(line, len) || is_heading(line, len, next))) {
        if (p->part < PART_OPTIONS) {
            begin_part(p, PART_OPTIONS, "Options");
        }
        if (!is_option(line, len)) {
            put_heading(p, line, len);
            return;
        }
        turn(&p->t, 0);
        put_option(p->t.to, line, len);
        p->in_option = p->t.any = 1;
    } else if (p->in_option && indent_of(line, len) > OPTION_INDENT) {
        const size_t indent = indent_of(line, len);
        manual_text(p->t.to, line + indent, len - indent);
        fputc('\n', p->t.to);
    } else {
        const size_t used = take_title(p, line, len);
        if (p->part == PART_SYNOPSIS && (used > 0 || indent_of(line, len) > 0)) {
            put_synopsis(p, line + used, len - used);
        } else if (used < len || len == 0) {
            put_prose(p, line + used, len - used);
        }
    }
}

void manual_of_help(FILE *to, const struct manual *manual, const char *help)
{
    struct help_page p = {.t = {.to = to}, .name = manual->name};
    const char *line = NULL;
    size_t len = 0;
    manual_begin(to, manual);
    while ((help = take_line(help, &line, &len)) != NULL) {
        /* "surefootd: what it is" stands in NAME already */
        if (p.part != PART_NAME || len == 0 || !begins(line, len, manual->name)) {
            put_help_line(&p, line, len, help);
        }
    }
    turn(&p.t, 0);
}
