/* Names of what happens to a device. */
#include "server/fleet/event.h"

const char *event_kind_str(uint32_t kind)
{
    switch (kind) {
#define X(value, name, text) \
    case EVENT_##name:       \
        return text;
        EVENT_MAP(X)
#undef X
    default:
        return "unknown";
    }
}
