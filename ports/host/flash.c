#include "ports/host/flash.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Virtual NOR flash over one mapping.
 *
 * 1. A bit changes from 0 to 1 only by an erase of its sector.
 * 2. The hook sees every change before it happens, sector by sector.
 * 3. Without power nothing is read or changed. */

enum { WRITE_SIZE = 4, ERASED = 0xff };

static int in_range(const struct sf_host_flash *f, uint32_t address, size_t len)
{
    return address <= f->size_bytes && len <= f->size_bytes - address;
}

static int flash_read(void *ctx, uint32_t address, void *out, size_t len)
{
    const struct sf_host_flash *f = ctx;
    if (!f->has_power) {
        return SF_ERR_IO;
    }
    if (!in_range(f, address, len)) {
        return SF_ERR_RANGE;
    }
    memcpy(out, f->cells + address, len);
    return SF_OK;
}

static void apply(struct sf_host_flash *f, const struct sf_flash_op *op)
{
    if (op->kind == SF_FLASH_OP_ERASE) {
        memset(op->cells, ERASED, op->len);
        f->wear[op->address / SF_SECTOR_SIZE]++;
    } else {
        memcpy(op->cells, op->data, op->len);
        f->bytes_written += op->len;
    }
}

static int run_op(struct sf_host_flash *f, struct sf_flash_op *op, int error)
{
    op->index = f->op_count++;
    op->cells = f->cells + op->address;
    enum sf_flash_fault fault = f->hook ? f->hook(f->hook_ctx, op) : SF_FLASH_GO_ON;
    switch (fault) {
    case SF_FLASH_FAIL:
        return error;
    case SF_FLASH_CUT_BEFORE:
        f->has_power = 0;
        return SF_ERR_IO;
    case SF_FLASH_CUT_AFTER:
        apply(f, op);
        f->has_power = 0;
        return SF_ERR_IO;
    case SF_FLASH_GO_ON:
        break;
    }
    apply(f, op);
    return SF_OK;
}

static int only_clears_bits(const uint8_t *cells, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] & (uint8_t)~cells[i]) {
            return 0;
        }
    }
    return 1;
}

static int flash_write(void *ctx, uint32_t address, const void *data, size_t len)
{
    struct sf_host_flash *f = ctx;
    if (!f->has_power) {
        return SF_ERR_IO;
    }
    if (!in_range(f, address, len) || address % f->ops.write_size != 0 ||
        len % f->ops.write_size != 0) {
        return SF_ERR_RANGE;
    }
    if (!only_clears_bits(f->cells + address, data, len)) {
        return SF_ERR_FLASH_WRITE;
    }
    const uint8_t *from = data;
    while (len > 0) {
        size_t piece = SF_SECTOR_SIZE - address % SF_SECTOR_SIZE;
        piece = piece < len ? piece : len;
        struct sf_flash_op op = {
            .kind = SF_FLASH_OP_WRITE, .address = address, .len = piece, .data = from};
        int err = run_op(f, &op, SF_ERR_FLASH_WRITE);
        if (err < 0) {
            return err;
        }
        address += (uint32_t)piece;
        from += piece;
        len -= piece;
    }
    return SF_OK;
}

static int flash_erase(void *ctx, uint32_t address, size_t len)
{
    struct sf_host_flash *f = ctx;
    if (!f->has_power) {
        return SF_ERR_IO;
    }
    if (!in_range(f, address, len) || address % SF_SECTOR_SIZE != 0 || len % SF_SECTOR_SIZE != 0) {
        return SF_ERR_RANGE;
    }
    for (; len > 0; len -= SF_SECTOR_SIZE, address += SF_SECTOR_SIZE) {
        struct sf_flash_op op = {
            .kind = SF_FLASH_OP_ERASE, .address = address, .len = SF_SECTOR_SIZE};
        int err = run_op(f, &op, SF_ERR_FLASH_ERASE);
        if (err < 0) {
            return err;
        }
    }
    return SF_OK;
}

static int size_is_good(uint32_t size_bytes)
{
    return size_bytes > 0 && size_bytes % SF_SECTOR_SIZE == 0;
}

static int start(struct sf_host_flash *f, void *cells, uint32_t size_bytes)
{
    if (cells == MAP_FAILED) {
        return SF_ERR_IO;
    }
    *f = (struct sf_host_flash){.cells = cells, .size_bytes = size_bytes, .has_power = 1};
    f->wear = calloc(size_bytes / SF_SECTOR_SIZE, sizeof(*f->wear));
    if (!f->wear) {
        munmap(cells, size_bytes);
        return SF_ERR_NOMEM;
    }
    f->ops = (struct sf_flash){.ctx = f,
                               .read = flash_read,
                               .write = flash_write,
                               .erase = flash_erase,
                               .write_size = WRITE_SIZE};
    return SF_OK;
}

int sf_host_flash_open_memory(struct sf_host_flash *f, uint32_t size_bytes, int base_fd)
{
    *f = (struct sf_host_flash){0};
    if (!size_is_good(size_bytes)) {
        return SF_ERR_RANGE;
    }
    int flags = MAP_PRIVATE | MAP_NORESERVE;
    if (base_fd < 0) {
        flags |= MAP_ANONYMOUS;
    } else {
        /* Touching pages of a mapping beyond the end of its file is a SIGBUS. */
        struct stat st;
        if (fstat(base_fd, &st) != 0) {
            return SF_ERR_IO;
        }
        if (st.st_size < (off_t)size_bytes) {
            return SF_ERR_RANGE;
        }
    }
    int err =
        start(f, mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, flags, base_fd, 0), size_bytes);
    if (err == SF_OK && base_fd < 0) {
        memset(f->cells, ERASED, size_bytes);
    }
    return err;
}

static int fill_erased(int fd, uint32_t size_bytes)
{
    uint8_t sector[SF_SECTOR_SIZE];
    memset(sector, ERASED, sizeof(sector));
    for (uint32_t at = 0; at < size_bytes; at += SF_SECTOR_SIZE) {
        if (pwrite(fd, sector, sizeof(sector), at) != (ssize_t)sizeof(sector)) {
            return SF_ERR_IO;
        }
    }
    return SF_OK;
}

static int map_file(struct sf_host_flash *f, int fd, uint32_t size_bytes)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return SF_ERR_IO;
    }
    if (st.st_size == 0) {
        int err = fill_erased(fd, size_bytes);
        if (err < 0) {
            return err;
        }
    } else if (st.st_size != (off_t)size_bytes) {
        return SF_ERR_RANGE;
    }
    return start(f, mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), size_bytes);
}

int sf_host_flash_open_file(struct sf_host_flash *f, const char *path, uint32_t size_bytes)
{
    *f = (struct sf_host_flash){0};
    if (!size_is_good(size_bytes)) {
        return SF_ERR_RANGE;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return SF_ERR_IO;
    }
    int err = map_file(f, fd, size_bytes);
    close(fd); /* the mapping holds the file */
    return err;
}

int sf_host_flash_sync(struct sf_host_flash *f)
{
    return msync(f->cells, f->size_bytes, MS_SYNC) == 0 ? SF_OK : SF_ERR_IO;
}

void sf_host_flash_release(struct sf_host_flash *f)
{
    if (f->cells) {
        munmap(f->cells, f->size_bytes);
    }
    free(f->wear);
    *f = (struct sf_host_flash){0};
}

void sf_host_flash_power_on(struct sf_host_flash *f)
{
    f->has_power = 1;
}

uint32_t sf_host_flash_wear(const struct sf_host_flash *f, uint32_t offset, uint32_t len)
{
    uint32_t most = 0;
    for (uint32_t at = offset; at < f->size_bytes && at - offset < len; at += SF_SECTOR_SIZE) {
        uint32_t erases = f->wear[at / SF_SECTOR_SIZE];
        most = erases > most ? erases : most;
    }
    return most;
}
