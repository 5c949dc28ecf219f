#include "formats/behaviour.h"

#include <assert.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/image.h"

#define BEHAVIOUR_MAGIC UINT32_C(0x48424653) /* "SFBH" */

_Static_assert(SF_BEHAVIOUR_OFFSET == SF_IMAGE_RECORD_OFFSET + SF_IMAGE_RECORD_SIZE,
               "it follows the updater record");
_Static_assert(SF_BEHAVIOUR_OFFSET + SF_BEHAVIOUR_SIZE <= SF_IMAGE_HEAD_SIZE,
               "the head of an image holds it");

static const char *const names[SF_BEHAVIOUR_COUNT] = {
    [SF_BEHAVIOUR_HEALTHY] = "healthy",
    [SF_BEHAVIOUR_CRASH_AT_BOOT] = "crash_at_boot",
    [SF_BEHAVIOUR_CRASH_AFTER] = "crash_after",
    [SF_BEHAVIOUR_HANG] = "hang",
    [SF_BEHAVIOUR_NO_NETWORK] = "no_network",
    [SF_BEHAVIOUR_SELF_TEST_FAILS] = "self_test_fails",
    [SF_BEHAVIOUR_CRASH_EARLY] = "crash_early",
    [SF_BEHAVIOUR_SILENT] = "silent",
    [SF_BEHAVIOUR_SELF_TEST_HANGS] = "self_test_hangs",
    [SF_BEHAVIOUR_BROWNOUT] = "brownout",
    [SF_BEHAVIOUR_DEEP_SLEEP] = "deep_sleep",
    [SF_BEHAVIOUR_DECAYS] = "decays",
};

int sf_behaviour_decode(const uint8_t bytes[SF_BEHAVIOUR_SIZE], struct sf_behaviour *out,
                        struct sf_diag *diag)
{
    struct sf_reader r;
    sf_reader_init(&r, bytes, SF_BEHAVIOUR_SIZE);
    *out = (struct sf_behaviour){.kind = SF_BEHAVIOUR_HEALTHY};
    if (sf_read_u32le(&r) != BEHAVIOUR_MAGIC) {
        return sf_fail(diag, SF_ERR_NOTFOUND, 0, "no magic of a behaviour record");
    }
    const uint8_t kind = sf_read_u8(&r);
    uint8_t zero[7];
    sf_read_bytes(&r, zero, 3);
    const uint32_t parameter = sf_read_u32le(&r);
    sf_read_bytes(&r, zero + 3, 4);
    assert(sf_reader_end(&r) == SF_OK);
    for (size_t i = 0; i < sizeof(zero); i++) {
        if (zero[i] != 0) {
            return sf_fail(diag, SF_ERR_FORMAT, i < 3 ? 5 + i : 9 + i,
                           "a reserved byte of the behaviour record is not zero");
        }
    }
    if (kind >= SF_BEHAVIOUR_COUNT) {
        return sf_fail(diag, SF_ERR_RANGE, 4, "unknown kind of behaviour");
    }
    *out = (struct sf_behaviour){.kind = kind, .parameter = parameter};
    return SF_OK;
}

void sf_behaviour_encode(const struct sf_behaviour *behaviour, uint8_t bytes[SF_BEHAVIOUR_SIZE])
{
    struct sf_writer w;
    sf_writer_init(&w, bytes, SF_BEHAVIOUR_SIZE);
    sf_write_u32le(&w, BEHAVIOUR_MAGIC);
    sf_write_u8(&w, behaviour->kind);
    sf_write_fill(&w, 0, 3);
    sf_write_u32le(&w, behaviour->parameter);
    sf_write_fill(&w, 0, 4);
    assert(sf_writer_end(&w) == SF_BEHAVIOUR_SIZE);
}

int sf_behaviour_find(const uint8_t *data, size_t len, struct sf_behaviour *out,
                      struct sf_diag *diag)
{
    *out = (struct sf_behaviour){.kind = SF_BEHAVIOUR_HEALTHY};
    if (len < SF_BEHAVIOUR_OFFSET + SF_BEHAVIOUR_SIZE) {
        return SF_OK;
    }
    struct sf_diag why = {0, NULL};
    const int err = sf_behaviour_decode(data + SF_BEHAVIOUR_OFFSET, out, &why);
    if (err == SF_OK || err == SF_ERR_NOTFOUND) {
        return SF_OK;
    }
    return sf_fail(diag, err, SF_BEHAVIOUR_OFFSET + why.offset, why.why);
}

const char *sf_behaviour_name(unsigned kind)
{
    return kind < SF_BEHAVIOUR_COUNT ? names[kind] : "unknown";
}

int sf_behaviour_from_name(const char *name)
{
    for (int i = 0; i < SF_BEHAVIOUR_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}
