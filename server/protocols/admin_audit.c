/* The audit log: who changed what, when. */
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"

static json_t *audit_json(const struct audit_row *row)
{
    json_t *detail = row->detail[0] == '\0' ? NULL : json_loads(row->detail, 0, NULL);
    return json_pack("{s:I, s:I, s:s, s:s, s:s, s:o}", "id", (json_int_t)row->id, "time",
                     (json_int_t)row->at, "who", row->who, "action", row->action, "object",
                     row->object, "detail", detail == NULL ? json_null() : detail);
}

void handle_audit_list(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct page page;
    if (page_parse(x, &page) != 0) {
        return;
    }
    struct audit_row *rows = exchange_alloc(x, page.limit * sizeof(*rows));
    if (rows == NULL) {
        return;
    }
    int count =
        store_audit_list(reader_of(x, p), page.after, exchange_query(x, "who"), rows, page.limit);
    if (count < 0) {
        answer_store_error(x, count);
        return;
    }
    json_t *items = json_array();
    for (int i = 0; i < count; i++) {
        (void)json_array_append_new(items, audit_json(&rows[i]));
    }
    answer_list(x, items, count == (int)page.limit ? rows[count - 1].id : 0);
}
