#ifndef CLI_CLIENT_HINT_H
#define CLI_CLIENT_HINT_H

#include "cli/client.h"

/* What comes behind a server's "there is no ...": the name that was meant, or those there are. It
 * asks the server once more, so only a failure costs it. */
struct client_hint {
    char text[256]; /* "; did you mean 'lamp'?", or "" */
};

/* `code` and `message` are those of the server's error. */
struct client_hint client_hint(struct client *client, const char *code, const char *message);

#endif
