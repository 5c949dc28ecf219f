/* libs: sf_protocols */
/* The Authorization header, on a token's and on a device's route: nobody gets in who knows no
 * secret. And the small parsers of what callers write: base64, hex, UUIDs, ids, host names. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cert.h"
#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/uuid.h"
#include "server/protocols/auth.h"
#include "server/protocols/text.h"

enum { TEXT_MAX = 2048 };

static struct protocols p;
static struct stats stats;

static int64_t now(void)
{
    return 1795521713;
}

static void finish(struct exchange *x)
{
    assert(x->answer.status == 401);
}

static const struct exchange_ops ops = {.finish = finish};
static const struct route routes[] = {{.path = "/", .roles = ROLE_VIEWER},
                                      {.path = "/", .roles = ROLE_DEVICE}};

static void clean(void)
{
    store_close(p.store);
}

__attribute__((constructor)) static void set_up(void)
{
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    const struct store_options options = {.backend = STORE_MEMORY};
    p.store = store_open(NULL, &options, &err, why);
    if (p.store == NULL) {
        abort();
    }
    stats_init(&stats);
    p.crypto = crypto_openssl();
    p.now = now;
    p.stats = &stats;
    (void)atexit(clean);
}

static void try_to_get_in(const char *header)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        struct arena arena;
        arena_init(&arena, 1 << 16);
        struct exchange x = {.arena = &arena,
                             .ops = &ops,
                             .route = &routes[i],
                             .header = {{"authorization", header}},
                             .header_count = 1,
                             .answer = {.file_fd = -1}};
        const int result = protocols_authorise(&x, &p);
        assert(result == EXCHANGE_ANSWERED);
        assert((x.roles & (ROLE_VIEWER | ROLE_DEVICE)) == 0);
        arena_release(&arena);
    }
}

static void parse_small_things(const char *text, size_t len)
{
    uint8_t bytes[TEXT_MAX];
    char again[2 * TEXT_MAX];
    const int32_t n = text_unbase64(text, len, bytes, sizeof(bytes));
    if (n >= 0) {
        text_base64(bytes, (size_t)n, again);
        assert(strcmp(again, text) == 0);
    }
    uint8_t uuid[UUID_SIZE];
    if (uuid_parse(text, uuid) == SF_OK) {
        char shown[UUID_TEXT_SIZE];
        uint8_t same[UUID_SIZE];
        uuid_text(uuid, shown);
        assert(uuid_parse(shown, same) == SF_OK && memcmp(uuid, same, sizeof(uuid)) == 0);
    }
    (void)hex_decode(text, bytes, 32);
    (void)text_is_name(text, 63);
    (void)cert_host_valid(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > TEXT_MAX) {
        return 0;
    }
    char *text = malloc(size + 1); /* exact, so that overreading is seen */
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    try_to_get_in(text);
    parse_small_things(text, strlen(text));
    free(text);
    return 0;
}
