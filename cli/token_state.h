#ifndef CLI_TOKEN_STATE_H
#define CLI_TOKEN_STATE_H

#include <jansson.h>
#include <stdint.h>

/* Whether an API token can still be used, from its JSON ("expires", "revoked"). */

enum { TOKEN_SOON_S = 14 * 86400 }; /* two weeks are enough to notice and to replace it */

struct token_state {
    char text[48]; /* "valid", "expires in 3 days", "expired", "revoked" */
    int ends_soon; /* valid now, for less than TOKEN_SOON_S */
};
struct token_state token_state(const json_t *token, int64_t now_s);

#endif
