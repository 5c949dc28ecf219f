/* Secrets that the server shows once. */

#include "cli/secret_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/file.h"
#include "cli/out.h"

static int check(const char *path)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (strcmp(path, "-") == 0) {
        return CLI_OK;
    }
    if (slash) {
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    }
    if (access(folder, W_OK | X_OK) != 0) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': %s", path, strerrordesc_np(errno));
    }
    if (access(path, F_OK) == 0) {
        return cli_fail(CLI_LOCAL,
                        "'%s' is there already and is not overwritten; move it away or "
                        "name another file",
                        path);
    }
    /* A full disk shows only when something is written. */
    static const char blank[CONFIG_TOKEN_MAX];
    int status = file_write(path, blank, sizeof blank, 0600, FILE_NEW_ONLY);
    if (status == CLI_OK && unlink(path) != 0) {
        status = cli_fail(CLI_LOCAL, "cannot write '%s': %s", path, strerrordesc_np(errno));
    }
    return status;
}

static int save(const struct cli_args *args, const char *path, const struct secret *secret,
                json_t *answer)
{
    const char *text = json_string_value(json_object_get(answer, secret->field));
    if (!text) {
        return cli_fail(CLI_UNREACHABLE, "the server's answer has no %s", secret->what);
    }
    if (strcmp(path, "-") == 0) {
        if (!args->json) {
            puts(text);
        }
        return CLI_OK;
    }
    char line[CONFIG_TOKEN_MAX + 2];
    snprintf(line, sizeof line, "%s\n", text);
    int status = file_write(path, line, strlen(line), 0600, FILE_NEW_ONLY);
    explicit_bzero(line, sizeof line);
    if (status != CLI_OK) {
        cli_note("surefoot: note: the server made the %s, but it is lost: make another with `%s`",
                 secret->what, secret->again);
        return status;
    }
    cli_note("%s: %s, mode 0600; %s", path, secret->what, secret->use);
    json_object_del(answer, secret->field);
    json_object_set_new(answer, secret->file_field, out_json_path(path));
    return CLI_OK;
}

int secret_file_make(const struct cli_args *args, const struct secret *secret,
                     const struct secret_request *request, json_t **answer)
{
    char file[PATH_MAX];
    const char *given = request->file;
    *answer = NULL;
    int n = snprintf(file, sizeof file, "%s%s", given ? given : args->operand[0],
                     given ? "" : secret->suffix);
    if (n < 0 || (size_t)n >= sizeof file) {
        return cli_fail(CLI_USAGE, "the name of the file for the %s is too long", secret->what);
    }
    int status = check(file);
    if (status == CLI_OK) {
        status = client_once(args, "POST", &request->path, request->body, answer);
    }
    status = status == CLI_OK ? save(args, file, secret, *answer) : status;
    if (status != CLI_OK) {
        json_decref(*answer);
        *answer = NULL;
    }
    return status;
}
