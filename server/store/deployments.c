/* Deployments: lists, and those whose time is over. */
#include "server/store/backend.h"

int store_deployment_get(struct store_reader *r, int64_t id, struct deployment *out)
{
    return get_row(r, T_DEPLOYMENT, id, out);
}

int store_deployment_list(struct store_reader *r, int64_t device_row, int64_t after,
                          struct deployment *out, unsigned max)
{
    struct arg args[] = {arg_int(device_row), arg_int(after)};
    return select_rows(r, SELECT(Q_DEPLOYMENTS, args, 2), out, max);
}

int store_deployment_due(struct store_reader *r, int64_t now, struct deployment *out, unsigned max)
{
    struct arg args[] = {arg_int(now)};
    return select_rows(r, SELECT(Q_DEPLOYMENTS_DUE, args, 1), out, max);
}

int store_deployment_expire(struct store_tx *tx, int64_t now, unsigned max)
{
    enum { PAGE = 256 };
    struct deployment due[PAGE];
    int count = store_deployment_due(&tx->reader, now, due, max < PAGE ? max : PAGE);
    for (int i = 0; i < count; i++) {
        struct event event;
        int err = deployment_step(&due[i], DEPLOYMENT_EV_EXPIRE, SF_ERR_TIMED_OUT, now, &event);
        if (err == SF_OK) {
            err = update_row(tx, T_DEPLOYMENT, &due[i]);
        }
        if (err == SF_OK) {
            err = store_history_add(tx, due[i].device_row, &event, now);
        }
        if (err < 0) {
            return err;
        }
    }
    return count;
}
