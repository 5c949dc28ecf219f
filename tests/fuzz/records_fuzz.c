/* Stored records of every key. What decodes encodes to a record that decodes to the same, and its
 * texts end. */
#include <stdlib.h>
#include <string.h>

#include "device/records.h"
#include "formats/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    union {
        struct sf_record_cred cred;
        struct sf_record_trial trial;
        struct sf_record_failed failed;
        struct sf_record_progress progress;
        struct sf_record_floor floor;
        struct sf_record_out out;
        struct sf_record_good good;
        struct sf_record_boot boot;
        uint8_t bytes[512];
    } a, b;
    uint8_t out[SF_RECORD_MAX];
    uint8_t again[SF_RECORD_MAX];

    if (size == 0) {
        return 0;
    }
    const enum sf_record key = (enum sf_record)(data[0] % SF_RECORD_COUNT);
    if (sf_record_decode(key, data + 1, size - 1, &a) != SF_OK) {
        return 0;
    }
    if (key == SF_RECORD_OUT && memchr(a.out.outcome.text, 0, SF_OUTCOME_TEXT_MAX + 1) == NULL) {
        abort();
    }
    const int32_t len = sf_record_encode(key, &a, out, sizeof(out));
    if (len < 0 || sf_record_decode(key, out, (size_t)len, &b) != SF_OK ||
        sf_record_encode(key, &b, again, sizeof(again)) != len ||
        memcmp(out, again, (size_t)len) != 0) {
        abort();
    }
    return 0;
}
