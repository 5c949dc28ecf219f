#include "base/plain_template.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 8, NAME_SIZE = 24 };

/* Facts by name; `number` where a JSON number is meant. */
struct fact {
    const char *name;
    const char *text;
    json_int_t number;
    int is_number;
};

enum { FACT_COUNT = 15 };

static void list_facts(const struct plain_release *f, struct fact out[FACT_COUNT])
{
    const struct fact all[FACT_COUNT] = {
        {"product", f->product, 0, 0},
        {"hw_revision", f->hw_revision, 0, 0},
        {"version", f->version, 0, 0},
        {"file", f->file, 0, 0},
        {"url", f->image_url, 0, 0},
        {"host", f->host, 0, 0},
        {"port", NULL, f->port, 1},
        {"path", f->path, 0, 0},
        {"size", NULL, (json_int_t)f->size_bytes, 1},
        {"sha256", f->sha256, 0, 0},
        {"md5", f->md5, 0, 0},
        {"chip", f->chip, 0, 0},
        {"project", f->project, 0, 0},
        {"secure_version", NULL, f->secure_version, 1},
        {"notes", f->notes, 0, 0},
    };
    memcpy(out, all, sizeof(all));
}

static const struct fact *find_fact(const struct fact *facts, const char *name, size_t len)
{
    for (unsigned i = 0; i < FACT_COUNT; i++) {
        if (strlen(facts[i].name) == len && memcmp(facts[i].name, name, len) == 0) {
            return &facts[i];
        }
    }
    return NULL;
}

/* The placeholder that begins at `at` ('{'): its end behind '}', or NULL if it is none. A brace
 * that begins no word is text. */
static const char *placeholder(const char *at, const char **name, size_t *len)
{
    *name = at + 1;
    *len = strspn(*name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return *len > 0 && (*name)[*len] == '}' ? *name + *len + 1 : NULL;
}

/* A copy of `text` with its placeholders filled in, as JSON; NULL = no memory. */
static json_t *fill(const char *text, const struct fact *facts)
{
    char *out = NULL;
    size_t out_len = 0;
    FILE *stream = open_memstream(&out, &out_len);
    const char *name = NULL;
    size_t len = 0;
    for (const char *at = text; stream != NULL && *at != '\0';) {
        const char *end = *at == '{' ? placeholder(at, &name, &len) : NULL;
        const struct fact *fact = end != NULL ? find_fact(facts, name, len) : NULL;
        if (fact == NULL) {
            (void)fputc(*at++, stream);
            continue;
        }
        if (fact->is_number && at == text && *end == '\0') {
            (void)fclose(stream);
            free(out);
            return json_integer(fact->number);
        }
        if (fact->is_number) {
            (void)fprintf(stream, "%lld", (long long)fact->number);
        } else {
            (void)fputs(fact->text != NULL ? fact->text : "", stream);
        }
        at = end;
    }
    const int bad = stream == NULL || ferror(stream) | fclose(stream);
    json_t *value = bad ? NULL : json_string(out);
    free(out);
    return value;
}

/* Fills in the strings of `value` and of all that is in it: 0, or -1 without memory. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the JSON, which jansson bounds */
static int fill_children(json_t *value, const struct fact *facts)
{
    const char *key;
    json_t *item;
    size_t index;
    int bad = 0;
    json_array_foreach(value, index, item)
    {
        bad |= json_is_string(item)
                   ? json_array_set_new(value, index, fill(json_string_value(item), facts))
                   : fill_children(item, facts);
    }
    json_object_foreach(value, key, item)
    {
        bad |= json_is_string(item)
                   ? json_object_set_new(value, key, fill(json_string_value(item), facts))
                   : fill_children(item, facts);
    }
    return bad == 0 ? 0 : -1;
}

json_t *plain_template_fill(const char *template, const struct plain_release *r)
{
    struct fact list[FACT_COUNT];
    list_facts(r, list);
    json_t *root = json_loads(template, 0, NULL);
    if (root != NULL && fill_children(root, list) != 0) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* 0, or -1 with the first placeholder that nobody knows. */
static int check_text(const char *text, char *why, size_t why_size)
{
    static const struct plain_release none;
    struct fact list[FACT_COUNT];
    list_facts(&none, list);
    for (const char *at = text; *at != '\0'; at++) {
        const char *name = NULL;
        size_t len = 0;
        if (*at == '{' && placeholder(at, &name, &len) != NULL &&
            find_fact(list, name, len) == NULL) {
            (void)snprintf(why, why_size,
                           "there is no {%.*s}: the names are product, hw_revision, version, "
                           "notes, project, chip, sha256, md5, url, host, path, port, size, "
                           "secure_version, file",
                           (int)(len < NAME_SIZE ? len : NAME_SIZE), name);
            return -1;
        }
    }
    return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than DEPTH_MAX */
static int check_value(json_t *value, int depth, char *why, size_t why_size)
{
    const char *key;
    json_t *item;
    size_t index;
    if (json_is_string(value)) {
        return check_text(json_string_value(value), why, why_size);
    }
    if (depth > DEPTH_MAX) {
        (void)snprintf(why, why_size, "it is nested over %d deep", (int)DEPTH_MAX);
        return -1;
    }
    json_array_foreach(value, index, item)
    {
        if (check_value(item, depth + 1, why, why_size) != 0) {
            return -1;
        }
    }
    json_object_foreach(value, key, item)
    {
        if (check_value(item, depth + 1, why, why_size) != 0) {
            return -1;
        }
    }
    return 0;
}

int plain_template_check(const char *template, char *why, size_t why_size)
{
    json_error_t error;
    json_t *root = json_loads(template, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        (void)snprintf(why, why_size, "it is no JSON: %s (line %d)", error.text, error.line);
        return -1;
    }
    const int bad = check_value(root, 1, why, why_size);
    json_decref(root);
    return bad;
}
