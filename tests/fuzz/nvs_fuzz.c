/* An NVS partition of at most four pages: every string and blob that is told can be read. */
#include "formats/nvs.h"

#include <assert.h>
#include <string.h>

enum { PAGES_MAX = 4 };

struct partition {
    uint8_t data[PAGES_MAX * SF_NVS_PAGE_SIZE];
    size_t len;
};

static int visit(void *ctx, const struct sf_nvs_item *item)
{
    static uint8_t value[PAGES_MAX * SF_NVS_PAGE_SIZE];
    const struct partition *p = ctx;
    assert(memchr(item->key, '\0', SF_NVS_KEY_SIZE) != NULL);
    assert(memchr(item->ns, '\0', SF_NVS_KEY_SIZE) != NULL);
    assert(item->offset % 32 == 0 && item->offset < p->len);
    const int has_value =
        item->type == SF_NVS_STR || item->type == SF_NVS_BLOB_V1 || item->type == SF_NVS_BLOB_INDEX;
    if (has_value) {
        const int32_t size = sf_nvs_read(p->data, p->len, item, value, sizeof(value));
        assert(size == (int32_t)item->size_bytes || size == SF_ERR_NOSPC);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct partition p;
    const size_t used = len < sizeof(p.data) ? len : sizeof(p.data);
    unsigned damaged = 0;
    memset(p.data, 0xff, sizeof(p.data));
    memcpy(p.data, data, used);
    p.len = (used + SF_NVS_PAGE_SIZE - 1) / SF_NVS_PAGE_SIZE * SF_NVS_PAGE_SIZE;
    assert(sf_nvs_walk(p.data, p.len, visit, &p, &damaged) >= 0);
    return 0;
}
