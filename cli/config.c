/* The file of `surefoot login`. */

#include "cli/config.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/file.h"

static int default_path(char out[PATH_MAX])
{
    const char *base = secure_getenv("XDG_CONFIG_HOME");
    const char *home = secure_getenv("HOME");
    int n = -1;
    if (base && base[0] == '/') {
        n = snprintf(out, PATH_MAX, "%s/surefoot/config.json", base);
    } else if (home && home[0] == '/') {
        n = snprintf(out, PATH_MAX, "%s/.config/surefoot/config.json", home);
    }
    if (n < 0 || n >= PATH_MAX) {
        return cli_fail(CLI_LOCAL, "there is no place for the configuration: HOME is not set; say "
                                   "--config FILE");
    }
    return CLI_OK;
}

static int choose_path(const char *path, char out[PATH_MAX])
{
    if (!path) {
        return default_path(out);
    }
    int n = snprintf(out, PATH_MAX, "%s", path);
    return n >= 0 && n < PATH_MAX ? CLI_OK : cli_fail(CLI_USAGE, "--config: the path is too long");
}

/* Makes the folders above a file, each 0700. */
static int make_folders(const char *file)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", file);
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return cli_fail(CLI_LOCAL, "cannot make the folder '%s': %s", path,
                            strerrordesc_np(errno));
        }
        *p = '/';
    }
    return CLI_OK;
}

int config_set_server(struct config *config, const char *url)
{
    CURLU *u = curl_url();
    char *scheme = NULL;
    char *host = NULL;
    char *path = NULL;
    char *user = NULL;
    char *query = NULL;
    int wrong = !u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
                curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
                curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
                curl_url_get(u, CURLUPART_PATH, &path, 0) != CURLUE_OK ||
                curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK ||
                curl_url_get(u, CURLUPART_QUERY, &query, 0) == CURLUE_OK ||
                strcmp(scheme, "https") != 0 || strcmp(path, "/") != 0;
    curl_free(scheme);
    curl_free(host);
    curl_free(path);
    curl_free(user);
    curl_free(query);
    curl_url_cleanup(u);
    size_t len = strlen(url);
    if (wrong || len == 0 || len >= sizeof config->server) {
        return cli_fail(CLI_USAGE,
                        "'%s' is no server address: wanted https://HOST or https://HOST:PORT", url);
    }
    len -= url[len - 1] == '/';
    memcpy(config->server, url, len);
    config->server[len] = '\0';
    return CLI_OK;
}

static int take_fields(struct config *c, const json_t *root)
{
    const char *server = json_string_value(json_object_get(root, "server"));
    const char *token = json_string_value(json_object_get(root, "token"));
    const char *ca = json_string_value(json_object_get(root, "ca_pem"));
    if (!server || !token || strlen(server) >= sizeof c->server ||
        strlen(token) >= sizeof c->token) {
        return 0;
    }
    snprintf(c->server, sizeof c->server, "%s", server);
    snprintf(c->token, sizeof c->token, "%s", token);
    c->ca_pem = ca ? strdup(ca) : NULL;
    return !ca || c->ca_pem;
}

int config_load(struct config *config, const char *path)
{
    char chosen[PATH_MAX];
    struct stat st;
    struct file_bytes file;
    memset(config, 0, sizeof *config);
    int status = choose_path(path, chosen);
    if (status != CLI_OK) {
        return status;
    }
    if (stat(chosen, &st) != 0) {
        return cli_fail(CLI_LOCAL,
                        "no server is known: '%s' is not there; `surefoot login` makes it", chosen);
    }
    status = file_read(chosen, FILE_TEXT_MAX, &file);
    if (status != CLI_OK) {
        return status;
    }
    json_t *root = json_loadb((const char *)file.data, file.len, JSON_REJECT_DUPLICATES, NULL);
    if (!take_fields(config, root)) {
        status = cli_fail(CLI_LOCAL, "'%s' is damaged; `surefoot login` writes it anew", chosen);
    }
    json_decref(root);
    file_release(&file);
    return status;
}

int config_save(const struct config *config, const char *path)
{
    char chosen[PATH_MAX];
    int status = choose_path(path, chosen);
    status = status == CLI_OK ? make_folders(chosen) : status;
    if (status != CLI_OK) {
        return status;
    }
    json_t *root = json_pack("{s:s, s:s?, s:s}", "server", config->server, "ca_pem", config->ca_pem,
                             "token", config->token);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': the CA or token is no text", chosen);
    }
    status = file_write(chosen, text, strlen(text), 0600, FILE_REPLACE);
    explicit_bzero(text, strlen(text));
    free(text);
    return status;
}

void config_release(struct config *config)
{
    free(config->ca_pem);
    explicit_bzero(config, sizeof *config);
}
