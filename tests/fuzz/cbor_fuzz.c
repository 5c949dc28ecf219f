/* Any bytes: what sf_cbor_check() accepts, reading it item by item must accept too. */
#include <stdlib.h>

#include "formats/cbor.h"

static void read_items(struct sf_cbor_reader *r)
{
    while (r->err == SF_OK && r->pos < r->len) {
        switch (sf_cbor_peek(r)) {
        case SF_CBOR_UINT:
            (void)sf_cbor_read_uint(r);
            break;
        case SF_CBOR_NEGINT:
            (void)sf_cbor_read_int(r);
            break;
        case SF_CBOR_BYTES:
            (void)sf_cbor_read_bytes(r);
            break;
        case SF_CBOR_TEXT:
            (void)sf_cbor_read_text(r);
            break;
        case SF_CBOR_ARRAY:
            (void)sf_cbor_read_array(r);
            break;
        case SF_CBOR_MAP:
            (void)sf_cbor_read_map(r);
            break;
        case SF_CBOR_TAG:
            (void)sf_cbor_read_tag(r);
            break;
        case SF_CBOR_BOOL:
            (void)sf_cbor_read_bool(r);
            break;
        case SF_CBOR_NULL:
            sf_cbor_read_null(r);
            break;
        case SF_CBOR_END:
            sf_cbor_fail(r, SF_ERR_CBOR, "nothing that may stand here");
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sf_diag diag = {0};
    struct sf_cbor_reader r;
    const int err = sf_cbor_check((struct sf_bytes){data, size}, &diag);
    if (err < 0 && (diag.why == NULL || diag.offset > size)) {
        abort();
    }
    sf_cbor_read_init(&r, data, size);
    read_items(&r);
    /* -2^63 - 1 and below is checked as CBOR but does not fit the reader */
    if (err == SF_OK && r.err != SF_OK && r.err != SF_ERR_RANGE) {
        abort();
    }
    return 0;
}
