/* A partition table: what decodes can be encoded again, and decodes to the same. */
#include "formats/partition.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct sf_partition_table table;
    static struct sf_partition_table again;
    struct sf_diag diag = {0, NULL};
    const int err = sf_partition_table_decode(data, len, 0x400000, &table, &diag);
    if (err != SF_OK) {
        assert(diag.why != NULL && diag.offset <= len);
        return 0;
    }
    uint8_t bytes[SF_PARTITION_TABLE_SIZE];
    assert(sf_partition_table_encode(&table, bytes) == SF_OK);
    assert(sf_partition_table_decode(bytes, sizeof(bytes), 0x400000, &again, NULL) == SF_OK);
    uint8_t bytes_again[SF_PARTITION_TABLE_SIZE];
    assert(sf_partition_table_encode(&again, bytes_again) == SF_OK);
    assert(again.count == table.count && memcmp(bytes, bytes_again, sizeof(bytes)) == 0);
    assert(sf_partition_table_check(&table, &diag) == SF_OK || diag.why != NULL);
    assert(sf_partition_ota_count(&table) <= SF_OTA_SLOT_MAX);
    return 0;
}
