/* libs: sf_protocols
 * The admin API's JSON: any bytes give fields or exactly one answer. */
#include <string.h>

#include "server/protocols/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned answers;

static void finish(struct exchange *x)
{
    (void)x;
    answers++;
}

static const struct exchange_ops ops = {.finish = finish};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct exchange x = {.arena = &arena, .ops = &ops, .body = data, .body_len = size};
    x.answer.file_fd = -1;
    answers = 0;
    struct request r;
    uint8_t key[4];
    size_t len = 0;
    request_open(&r, &x);
    (void)request_text(&r, "version", REQUIRED, 32);
    (void)request_int(&r, "days", 1, 100, 9);
    (void)request_bool(&r, "replace");
    (void)request_hex(&r, "key", OPTIONAL, key, sizeof(key));
    size_t count = request_array(&r, "manifests", OPTIONAL, 4);
    for (size_t i = 0; i < count; i++) {
        request_enter(&r, "manifests", i);
        (void)request_text(&r, "hw_revision", REQUIRED, 15);
        (void)request_base64(&r, "envelope", 64, &len);
        request_leave(&r);
    }
    count = request_array(&r, "force", OPTIONAL, 4);
    for (size_t i = 0; i < count; i++) {
        (void)request_element(&r, "force", i);
    }
    int result = request_end(&r);
    if ((result == 0) != (answers == 0) || answers > 1) {
        __builtin_trap();
    }
    arena_release(&arena);
    return 0;
}
