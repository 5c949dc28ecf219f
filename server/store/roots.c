/* Trust roots: append-only, by version. */
#include "server/store/backend.h"

int store_root_get(struct store_reader *r, uint32_t version, struct root_row *out)
{
    return get_row(r, T_ROOT, version, out);
}

int store_root_latest(struct store_reader *r, struct root_row *out)
{
    struct arg args[] = {arg_int(0)};
    return select_one(r, SELECT(Q_ROOT_LATEST, args, 1), out);
}

int store_root_list(struct store_reader *r, int64_t after, struct root_row *out, unsigned max)
{
    struct arg args[] = {arg_int(after)};
    return select_rows(r, SELECT(Q_ROOTS, args, 1), out, max);
}

int store_root_add(struct store_tx *tx, struct root_row *row)
{
    return insert_row(tx, T_ROOT, row);
}
