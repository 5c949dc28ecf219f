/* An app image. Byte 0 tells the size of the pieces it is fed in, which must not matter. */
#include "formats/image.h"

#include <assert.h>

#include "formats/behaviour.h"
#include "tests/fuzz/zero_sha256.h"

static int parse(struct sf_image_parser *p, const uint8_t *data, size_t len, size_t piece)
{
    struct sf_diag diag = {0, NULL};
    int err = sf_image_start(p, &zero_sha256);
    for (size_t at = 0; at < len && err == SF_OK; at += piece) {
        err = sf_image_feed(p, data + at, len - at < piece ? len - at : piece, &diag);
    }
    const int end = sf_image_end(p, &diag);
    assert(err == SF_OK || err == end);
    assert(end == SF_OK || (diag.why != NULL && diag.offset <= len));
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1) {
        return 0;
    }
    static struct sf_image_parser whole;
    static struct sf_image_parser pieces;
    const uint8_t *image = data + 1;
    len--;
    const int err = parse(&whole, image, len, len > 0 ? len : 1);
    assert(parse(&pieces, image, len, data[0] + 1U) == err);
    assert(whole.length == pieces.length && whole.trailing == pieces.trailing);
    assert(memcmp(whole.head_bytes, pieces.head_bytes, sizeof(whole.head_bytes)) == 0);
    assert(whole.head.record_err == pieces.head.record_err);
    assert(whole.head.has_desc == pieces.head.has_desc);
    assert(whole.diag.offset == pieces.diag.offset);
    if (err == SF_OK) {
        uint32_t length = 0;
        struct sf_diag diag = {0, NULL};
        assert(whole.length + whole.trailing == len);
        if (sf_image_file_length(&whole, &length, &diag) == SF_OK) {
            assert(length == len);
        } else {
            assert(diag.why != NULL);
        }
    }
    struct sf_behaviour behaviour;
    if (sf_behaviour_find(image, len, &behaviour, NULL) != SF_OK) {
        assert(behaviour.kind == SF_BEHAVIOUR_HEALTHY);
    }
    assert(sf_behaviour_name(behaviour.kind) != NULL);
    return 0;
}
