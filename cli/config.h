#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include <stddef.h>

/* What `surefoot login` remembers: one JSON file, mode 0600, with the server's address, its CA and
 * the token. By default $XDG_CONFIG_HOME/surefoot/config.json, or ~/.config/surefoot/... */

enum { CONFIG_URL_MAX = 512, CONFIG_TOKEN_MAX = 512 };

struct config {
    char server[CONFIG_URL_MAX]; /* "https://ota.example.com:8443", without a slash at the end */
    char token[CONFIG_TOKEN_MAX];
    char *ca_pem; /* NULL: the system's certificates */
};

/* `path` NULL: the default. Each returns enum cli_exit with a sentence; release after load. */
int config_load(struct config *config, const char *path) __attribute__((warn_unused_result));
int config_save(const struct config *config, const char *path) __attribute__((warn_unused_result));
void config_release(struct config *config);

/* Checks and copies an address: https, a host, no user, path, query. CLI_USAGE with a sentence. */
int config_set_server(struct config *config, const char *url) __attribute__((warn_unused_result));

#endif
