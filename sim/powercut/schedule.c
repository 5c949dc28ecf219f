#include "sim/powercut/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const cut_names[CUT_HOW_COUNT] = {"before", "after", "prefix",
                                                     "bits",   "word",  "mix"};
static const char *const fault_names[FAULT_COUNT] = {"none",  "read",      "flip",      "write",
                                                     "erase", "stuck-one", "stuck-zero"};
static const char *const size_names[] = {"small", "full"};
static const char *const signing_names[KIT_SIGNINGS] = {"mac", "ecdsa"};

enum { FIELDS = 3 };

static void append(char out[SCHEDULE_LINE_SIZE], const char *text)
{
    const size_t len = strlen(out);
    snprintf(out + len, SCHEDULE_LINE_SIZE - len, "%s", text);
}

void schedule_print(const struct schedule *s, char out[SCHEDULE_LINE_SIZE])
{
    char word[64];
    snprintf(out, SCHEDULE_LINE_SIZE, "%s %s %s", s->scenario->name, size_names[s->size],
             signing_names[s->signing]);
    for (unsigned i = 0; i < s->cut_count; i++) {
        const struct cut *c = &s->cut[i];
        snprintf(word, sizeof(word), " cut=%u:%s:%u", c->step, cut_names[c->how], c->value);
        append(out, word);
    }
    for (unsigned i = 0; i < s->net_count; i++) {
        const struct net_fault *n = &s->net[i];
        snprintf(word, sizeof(word), " net=%u:%s:%u", n->message, net_name(n->kind), n->at);
        append(out, word);
    }
    if (s->fault.kind != FAULT_NONE) {
        snprintf(word, sizeof(word), " fault=%s:%u:%s", fault_names[s->fault.kind], s->fault.nth,
                 s->fault.forever ? "forever" : "once");
        append(out, word);
    }
}

static int index_of(const char *name, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    return SF_ERR_NOTFOUND;
}

static int number(const char *text, uint32_t *out)
{
    char *end = NULL;
    const unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return end != text && *end == '\0' && value <= UINT32_MAX ? SF_OK : SF_ERR_FORMAT;
}

/* "a:b:c" in place. */
static int split(char *text, char *field[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        field[i] = text;
        char *colon = strchr(text, ':');
        if (!colon != (i == FIELDS - 1)) {
            return SF_ERR_FORMAT;
        }
        if (colon) {
            *colon = '\0';
            text = colon + 1;
        }
    }
    return SF_OK;
}

static int parse_cut(char *const field[FIELDS], struct schedule *out)
{
    const int how = index_of(field[1], cut_names, CUT_HOW_COUNT);
    if (out->cut_count == SCHEDULE_CUTS_MAX || how < 0) {
        return SF_ERR_FORMAT;
    }
    struct cut *c = &out->cut[out->cut_count++];
    c->how = (enum cut_how)how;
    const int err = number(field[0], &c->step);
    return err == SF_OK ? number(field[2], &c->value) : err;
}

static int parse_net(char *const field[FIELDS], struct schedule *out)
{
    if (out->net_count == NET_FAULT_MAX) {
        return SF_ERR_FORMAT;
    }
    struct net_fault *n = &out->net[out->net_count++];
    int kind = NET_GOOD;
    while (kind < NET_COUNT && strcmp(field[1], net_name((enum net_kind)kind)) != 0) {
        kind++;
    }
    n->kind = (enum net_kind)kind;
    const int err = kind == NET_COUNT ? SF_ERR_FORMAT : number(field[0], &n->message);
    return err == SF_OK ? number(field[2], &n->at) : err;
}

static int parse_fault(char *const field[FIELDS], struct schedule *out)
{
    const int kind = index_of(field[0], fault_names, FAULT_COUNT);
    out->fault.kind = kind < 0 ? FAULT_NONE : (enum fault_kind)kind;
    out->fault.forever = strcmp(field[2], "forever") == 0;
    if (kind < 0 || (!out->fault.forever && strcmp(field[2], "once") != 0)) {
        return SF_ERR_FORMAT;
    }
    return number(field[1], &out->fault.nth);
}

static int parse_word(char *word, unsigned place, struct schedule *out)
{
    char *field[FIELDS];
    if (place == 0) {
        out->scenario = scenario_find(word);
        return out->scenario ? SF_OK : SF_ERR_FORMAT;
    }
    if (place <= 2) {
        const int i = place == 1 ? index_of(word, size_names, 2)
                                 : index_of(word, signing_names, KIT_SIGNINGS);
        if (place == 1) {
            out->size = i == KIT_FULL ? KIT_FULL : KIT_SMALL;
        } else {
            out->signing = i == KIT_ECDSA ? KIT_ECDSA : KIT_MAC;
        }
        return i < 0 ? SF_ERR_FORMAT : SF_OK;
    }
    char *value = strchr(word, '=');
    if (!value || split(value + 1, field) != SF_OK) {
        return SF_ERR_FORMAT;
    }
    *value = '\0';
    if (strcmp(word, "cut") == 0) {
        return parse_cut(field, out);
    }
    if (strcmp(word, "net") == 0) {
        return parse_net(field, out);
    }
    return strcmp(word, "fault") == 0 ? parse_fault(field, out) : SF_ERR_FORMAT;
}

int schedule_parse(const char *line, struct schedule *out, char bad[SCHEDULE_LINE_SIZE])
{
    char text[SCHEDULE_LINE_SIZE];
    *out = (struct schedule){0};
    snprintf(bad, SCHEDULE_LINE_SIZE, "%s", line);
    if (strlen(line) >= sizeof(text)) {
        return SF_ERR_FORMAT;
    }
    snprintf(text, sizeof(text), "%s", line);
    char *rest = text;
    unsigned place = 0;
    for (;;) {
        char *word = strsep(&rest, " ");
        if (!word) {
            break;
        }
        if (*word == '\0') {
            continue;
        }
        snprintf(bad, SCHEDULE_LINE_SIZE, "%s", word);
        if (parse_word(word, place++, out) != SF_OK) {
            return SF_ERR_FORMAT;
        }
    }
    return place >= 3 ? SF_OK : SF_ERR_FORMAT;
}
