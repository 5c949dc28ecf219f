/* The freeze: one row of `meta`, "<since> <who> <reason>", or "" when it is over. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/store/store.h"

static const char key[] = "freeze";

/* The word at *text, without what does not fit; *text is moved behind it. */
static void take_word(const char **text, char *out, size_t size)
{
    size_t len = strcspn(*text, " ");
    (void)snprintf(out, size, "%.*s", (int)len, *text);
    *text += len + ((*text)[len] == ' ');
}

int store_freeze_get(struct store_reader *r, struct freeze *out)
{
    char value[STORE_VALUE_MAX + 1];
    char number[24];
    const char *at = value;
    *out = (struct freeze){0};
    int err = store_meta_get(r, key, value);
    if (err < 0 || value[0] == '\0') {
        return err == SF_ERR_NOTFOUND ? SF_OK : err;
    }
    take_word(&at, number, sizeof number);
    take_word(&at, out->who, sizeof out->who);
    out->since = strtoll(number, NULL, 10);
    if (out->since <= 0) {
        out->since = 1; /* whatever stands there: it was an order to stop */
    }
    (void)snprintf(out->reason, sizeof out->reason, "%s", at);
    return SF_OK;
}

int store_freeze_put(struct store_tx *tx, const struct freeze *freeze)
{
    char value[STORE_VALUE_MAX + 1] = "";
    if (freeze->since != 0) {
        int len = snprintf(value, sizeof value, "%" PRId64 " %s %s", freeze->since, freeze->who,
                           freeze->reason);
        if (len < 0 || (size_t)len >= sizeof value || strchr(freeze->who, ' ') != NULL) {
            return SF_ERR_NOSPC;
        }
    }
    return store_meta_put(tx, key, value);
}
