/* What most commands do: open, ask once, close. */

#include "cli/client.h"

int client_once(const struct cli_args *args, const char *method, const struct client_path *path,
                const json_t *body, json_t **answer)
{
    struct client client = {0};
    int status = client_open(&client, args->config);
    status = status == CLI_OK ? client_call(&client, method, path, body, answer) : status;
    client_close(&client);
    return status;
}

int client_list_once(const struct cli_args *args, const struct client_path *path, size_t max,
                     json_t **answer)
{
    struct client client = {0};
    int status = client_open(&client, args->config);
    status = status == CLI_OK ? client_list(&client, path, max, answer) : status;
    client_close(&client);
    return status;
}
