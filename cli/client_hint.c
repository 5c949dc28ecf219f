/* Names that the server does not know.
 *
 * 1. A hint never fails: what cannot be found out is not said. */

#include "cli/client_hint.h"

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/out.h"

enum { NAME_SIZE = 80, SHOWN_MAX = 5 };

/* Where the names are that the server missed one of. */
struct kind {
    const char *code; /* of the error */
    const char *list; /* under /api/v1; NULL: of the product that the message names first */
    const char *key;  /* of a name in the list's items */
    const char *none; /* when the list is empty */
};

static const struct kind kinds[] = {
    {"no_such_product", "products", "name", "; there is none yet: `surefoot product create`"},
    {"no_such_release", NULL, "version", "; it has none yet: `surefoot release publish`"},
    {"no_such_token", "tokens", "name", ""},
};

static const struct kind *find_kind(const char *code)
{
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].code, code) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* The text in the first pair of quotes at or behind `at`; returns what follows, or NULL. */
static const char *take_quoted(const char *at, char out[NAME_SIZE])
{
    const char *begin = at ? strchr(at, '\'') : NULL;
    const char *end = begin ? strchr(begin + 1, '\'') : NULL;
    if (!end || end - begin > NAME_SIZE) {
        return NULL;
    }
    snprintf(out, NAME_SIZE, "%.*s", (int)(end - begin - 1), begin + 1);
    return end + 1;
}

static void name_some(const json_t *items, const char *key, struct client_hint *out)
{
    size_t have = 0;
    const size_t count = json_array_size(items);
    for (size_t i = 0; i < count && i < SHOWN_MAX && have < sizeof out->text; i++) {
        const char *name = json_string_value(json_object_get(json_array_get(items, i), key));
        char clean[40];
        int n = snprintf(out->text + have, sizeof out->text - have, "%s%s",
                         i           ? ", "
                         : count > 1 ? "; there are "
                                     : "; there is only ",
                         out_clean(name ? name : "?", clean, sizeof clean));
        have += n > 0 ? (size_t)n : 0;
    }
    if (count > SHOWN_MAX && have < sizeof out->text) {
        snprintf(out->text + have, sizeof out->text - have, " and more");
    }
}

static void choose(const json_t *items, const struct kind *kind, const char *wanted,
                   struct client_hint *out)
{
    struct nearest n = nearest_to(wanted);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(items, i), kind->key));
        if (name) {
            nearest_offer(&n, name);
        }
    }
    if (n.word) {
        char clean[NAME_SIZE];
        snprintf(out->text, sizeof out->text, "; did you mean '%s'?",
                 out_clean(n.word, clean, sizeof clean));
    } else if (json_array_size(items) > 0) {
        name_some(items, kind->key, out);
    } else {
        snprintf(out->text, sizeof out->text, "%s", kind->none);
    }
}

struct client_hint client_hint(struct client *client, const char *code, const char *message)
{
    struct client_hint hint = {0};
    const struct kind *kind = find_kind(code);
    char product[NAME_SIZE];
    char wanted[NAME_SIZE];
    if (strcmp(code, "no_such_device") == 0) {
        snprintf(hint.text, sizeof hint.text, "; `surefoot device list` shows those there are");
    }
    const char *rest = kind ? take_quoted(message, product) : NULL;
    if (!rest) {
        return hint;
    }
    snprintf(wanted, sizeof wanted, "%s", product);
    if (!kind->list && !take_quoted(rest, wanted)) {
        return hint;
    }
    struct client_path path = kind->list ? client_path(kind->list, NULL, NULL, NULL)
                                         : client_path("products", product, "releases", NULL);
    client_query(&path, "limit", "500");
    json_t *answer = client_look(client, &path);
    const json_t *items = json_object_get(answer, "items");
    if (json_is_array(items)) {
        choose(items, kind, wanted, &hint);
    }
    json_decref(answer);
    return hint;
}
