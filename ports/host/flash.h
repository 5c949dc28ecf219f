#ifndef SF_HOST_FLASH_H
#define SF_HOST_FLASH_H

#include "device/ports.h"

/* Virtual NOR flash for hosts: programs bits from 1 to 0 only, erases whole sectors, counts wear
 * and lets a hook break any operation. One thread at a time.
 *
 *     struct sf_host_flash chip;
 *     int err = sf_host_flash_open_memory(&chip, 4 << 20, -1);
 *     chip.hook = cut_at_4711;
 *     config.flash = &chip.ops;
 */

enum sf_flash_op_kind { SF_FLASH_OP_WRITE, SF_FLASH_OP_ERASE };

/* One operation on one sector at most. */
struct sf_flash_op {
    uint64_t index; /* 0-based, over writes and erases since open */
    enum sf_flash_op_kind kind;
    uint32_t address;
    size_t len;          /* bytes, > 0; an erase of several sectors is one operation each */
    const uint8_t *data; /* what is to be programmed; NULL for an erase */
    uint8_t *cells;      /* the flash bytes of [address, address + len) */
};

enum sf_flash_fault {
    SF_FLASH_GO_ON,
    SF_FLASH_FAIL,       /* nothing changes, the caller gets an error, the chip goes on */
    SF_FLASH_CUT_BEFORE, /* power is lost before the operation... */
    SF_FLASH_CUT_AFTER,  /* ... or once it is done, but before anybody is told */
};

/* Asked before each operation. A hook that models torn operations changes `cells` itself and
 * returns SF_FLASH_CUT_BEFORE. */
typedef enum sf_flash_fault sf_flash_hook(void *ctx, const struct sf_flash_op *op);

struct sf_host_flash {
    struct sf_flash ops; /* hand &ops to whoever needs a struct sf_flash */
    uint8_t *cells;      /* all bytes; for loading and looking, not for programs under test */
    uint32_t size_bytes;
    uint32_t *wear; /* erases of each sector since open */
    uint64_t op_count;
    uint64_t bytes_written;
    sf_flash_hook *hook; /* NULL = none */
    void *hook_ctx;
    int has_power; /* 0 after a cut: every operation and read fails with SF_ERR_IO */
};

/* A chip of `size_bytes` (a multiple of SF_SECTOR_SIZE) in memory. With `base_fd` >= 0 its first
 * content is that file's, which must be at least as long: the mapping is private and copied on
 * write, so a thousand chips share the pages none of them has changed, and the file stays as it is.
 * With -1 all bytes are FF. Gone at release.
 *
 * Errors of all three: RANGE (size), IO (see errno), NOMEM. */
int sf_host_flash_open_memory(struct sf_host_flash *f, uint32_t size_bytes, int base_fd)
    __attribute__((warn_unused_result));

/* A chip whose content is the file at `path`, a plain flash dump: created with FF if absent, else
 * of exactly this size. Durability: changes survive the end or the kill of this process at once
 * (shared mapping), and a power loss of the host after sf_host_flash_sync(). */
int sf_host_flash_open_file(struct sf_host_flash *f, const char *path, uint32_t size_bytes)
    __attribute__((warn_unused_result));

int sf_host_flash_sync(struct sf_host_flash *f) __attribute__((warn_unused_result));
void sf_host_flash_release(struct sf_host_flash *f);

/* Power is back; content, wear and counters stay. */
void sf_host_flash_power_on(struct sf_host_flash *f);

/* The most erases any one sector of [offset, offset + len) has seen. */
uint32_t sf_host_flash_wear(const struct sf_host_flash *f, uint32_t offset, uint32_t len);

#endif
