#include "server/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

/* A path, or a name in the abstract namespace behind an '@'. */
static socklen_t address_of(const char *name, struct sockaddr_un *out)
{
    const size_t len = strlen(name);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((name[0] != '/' && name[0] != '@') || len >= sizeof(out->sun_path)) {
        return 0;
    }
    memcpy(out->sun_path, name, len);
    if (name[0] == '@') {
        out->sun_path[0] = '\0';
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void notify_manager(const char *state)
{
    const char *name = secure_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    if (name == NULL || name[0] == '\0') {
        return;
    }
    const socklen_t len = address_of(name, &address);
    const int fd = len > 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0 ||
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, len) < 0) {
        log_warn("the service manager cannot be told", LOG_TEXT("state", state));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}
