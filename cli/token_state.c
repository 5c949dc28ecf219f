/* Whether an API token can still be used. */

#include "cli/token_state.h"

#include <inttypes.h>
#include <stdio.h>

struct token_state token_state(const json_t *token, int64_t now_s)
{
    struct token_state s = {.text = "valid"};
    const json_t *expires = json_object_get(token, "expires");
    if (json_is_integer(json_object_get(token, "revoked"))) {
        snprintf(s.text, sizeof s.text, "revoked");
        return s;
    }
    if (!json_is_integer(expires)) {
        return s;
    }
    const int64_t end_s = json_integer_value(expires);
    if (end_s <= now_s) {
        snprintf(s.text, sizeof s.text, "expired");
        return s;
    }
    if (end_s - TOKEN_SOON_S >= now_s) {
        return s;
    }
    s.ends_soon = 1;
    const int64_t hours = (end_s - now_s + 3599) / 3600;
    if (hours > 48) {
        snprintf(s.text, sizeof s.text, "expires in %" PRId64 " days", hours / 24);
    } else {
        snprintf(s.text, sizeof s.text, "expires in %" PRId64 " h", hours);
    }
    return s;
}
