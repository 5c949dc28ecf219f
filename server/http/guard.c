#include "server/http/guard.h"

#include <netinet/in.h>
#include <string.h>

enum { V4_SIZE = 4, V6_NETWORK_SIZE = 8, MS_A_SECOND = 1000 };

void guard_init(struct guard *g, const struct guard_limits *limits,
                const uint8_t key[SIPHASH_KEY_SIZE])
{
    memset(g, 0, sizeof(*g));
    g->limits = *limits;
    memcpy(g->key, key, SIPHASH_KEY_SIZE);
    const unsigned every_ms = limits->per_s > 0 ? MS_A_SECOND / limits->per_s : 0;
    limit_init(&g->fresh, limits->burst, every_ms > 0 ? every_ms : 1);
}

static uint64_t hash_v4(const struct guard *g, const uint8_t *bytes)
{
    static const uint8_t here = 127;
    if (bytes[0] == here && !g->limits.count_loopback) {
        return 0;
    }
    return siphash(g->key, bytes, V4_SIZE) | 1;
}

uint64_t guard_address(const struct guard *g, const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        return hash_v4(g, (const uint8_t *)&in->sin_addr);
    }
    if (address->sa_family != AF_INET6) {
        return 0;
    }
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6)) {
        return hash_v4(g, v6->s6_addr + sizeof(v6->s6_addr) - V4_SIZE);
    }
    if (IN6_IS_ADDR_LOOPBACK(v6) && !g->limits.count_loopback) {
        return 0;
    }
    return siphash(g->key, v6->s6_addr, V6_NETWORK_SIZE) | 1;
}

static size_t place_of(uint64_t address)
{
    return (size_t)(address >> 1) % GUARD_PLACES;
}

enum guard_verdict guard_enter(struct guard *g, uint64_t address, int64_t now_ms)
{
    if (address == 0) {
        return GUARD_ENTERED;
    }
    const size_t i = place_of(address);
    enum guard_verdict verdict = GUARD_ENTERED;
    if (atomic_fetch_add(&g->place[i].connections, 1) >= g->limits.connections) {
        verdict = GUARD_CONNECTIONS;
    }
    if (atomic_fetch_add(&g->place[i].handshakes, 1) >= g->limits.handshakes &&
        verdict == GUARD_ENTERED) {
        verdict = GUARD_HANDSHAKES;
    }
    if (verdict == GUARD_ENTERED && limit_take(&g->fresh, address >> 1, now_ms) != 0) {
        verdict = GUARD_RATE;
    }
    if (verdict != GUARD_ENTERED) {
        guard_shaken(g, address);
        guard_leave(g, address);
    }
    return verdict;
}

void guard_shaken(struct guard *g, uint64_t address)
{
    if (address != 0) {
        (void)atomic_fetch_sub(&g->place[place_of(address)].handshakes, 1);
    }
}

void guard_leave(struct guard *g, uint64_t address)
{
    if (address != 0) {
        (void)atomic_fetch_sub(&g->place[place_of(address)].connections, 1);
    }
}

const char *guard_why(enum guard_verdict verdict)
{
    static const char *const why[] = {
        [GUARD_ENTERED] = "none",
        [GUARD_CONNECTIONS] = "one address has too many connections",
        [GUARD_HANDSHAKES] = "one address has too many unfinished handshakes",
        [GUARD_RATE] = "one address opens connections too fast",
    };
    return why[verdict];
}
