#include "sim/powercut/chip.h"

#include <string.h>

/* 1. Cells change in chip_write(), chip_erase() and chip_tear() only, and in chip_power_on() for
 *    bits that no read can rely on.
 * 2. Everything random comes from a cut's value and the count of power-ons: a schedule replays. */

enum { ERASED = 0xff };

uint32_t chip_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return x;
}

/* Spreads small seeds; never 0. */
static uint32_t seed_of(uint32_t value, uint32_t salt)
{
    uint32_t x = (value + 1) * UINT32_C(2654435761) ^ (salt + 1) * UINT32_C(2246822519);
    x ^= x >> 15;
    return x == 0 ? 1 : x;
}

static uint32_t sector_of(uint32_t address)
{
    return address - address % SF_SECTOR_SIZE;
}

/* ---- unstable sectors ---- */

static struct chip_unstable *unstable_find(struct chip *c, uint32_t address)
{
    for (unsigned i = 0; i < c->unstable_count; i++) {
        if (c->unstable[i].address == sector_of(address)) {
            return &c->unstable[i];
        }
    }
    return NULL;
}

static void unstable_forget(struct chip *c, uint32_t address)
{
    struct chip_unstable *u = unstable_find(c, address);
    if (u) {
        *u = c->unstable[--c->unstable_count];
    }
}

/* Bits that are not 0 for sure: about a quarter, a half or three quarters of them read 1. */
static void unstable_draw(struct chip *c, const struct chip_unstable *u)
{
    uint32_t state = seed_of(u->seed, c->power_ons);
    uint8_t *cells = c->flash.cells + u->address;
    for (unsigned i = 0; i < SF_SECTOR_SIZE; i += 4) {
        uint32_t ones = chip_random(&state);
        uint32_t low;
        if (u->seed % 3 == 1) {
            ones &= chip_random(&state);
        } else if (u->seed % 3 == 2) {
            ones |= chip_random(&state);
        }
        memcpy(&low, u->low + i, sizeof(low));
        low |= ones;
        memcpy(cells + i, &low, sizeof(low));
    }
}

static void unstable_add(struct chip *c, uint32_t address, uint32_t seed)
{
    struct chip_unstable *u = unstable_find(c, address);
    if (!u) {
        if (c->unstable_count == CHIP_UNSTABLE_MAX) {
            return; /* the sector stays as it was: no more cuts than this are ever scheduled */
        }
        u = &c->unstable[c->unstable_count++];
        u->address = sector_of(address);
        memcpy(u->low, c->flash.cells + u->address, SF_SECTOR_SIZE);
    }
    u->seed = seed;
}

/* ---- a step, whole or torn ---- */

static void torn_program(struct chip *c, const struct sf_flash_op *op, const struct cut *cut)
{
    uint8_t *cells = c->flash.cells + op->address;
    if (cut->how == CUT_PREFIX) {
        const size_t len = cut->value < op->len ? cut->value : op->len;
        memcpy(cells, op->data, len);
        return;
    }
    uint32_t state = seed_of(cut->value, (uint32_t)op->len);
    const size_t words = op->len / 4;
    for (size_t i = 0; i < op->len; i++) {
        if (cut->how == CUT_WORD && i / 4 != cut->value % (words > 0 ? words : 1)) {
            cells[i] &= op->data[i];
            continue;
        }
        cells[i] &= (uint8_t)(op->data[i] | (uint8_t)(chip_random(&state) >> 9));
    }
}

void chip_tear(struct chip *c, const struct sf_flash_op *op, const struct cut *cut)
{
    uint8_t *cells = c->flash.cells + op->address;
    if (cut->how == CUT_BEFORE) {
        return;
    }
    if (op->kind == SF_FLASH_OP_ERASE) {
        c->flash.wear[op->address / SF_SECTOR_SIZE]++;
        if (cut->how == CUT_AFTER) {
            unstable_forget(c, op->address);
            memset(cells, ERASED, op->len);
        } else {
            unstable_add(c, op->address, cut->value);
        }
    } else if (cut->how == CUT_AFTER) {
        memcpy(cells, op->data, op->len);
    } else {
        torn_program(c, op, cut);
    }
}

/* ---- faults ---- */

static int fault_is(const struct chip *c, enum fault_kind kind)
{
    return c->fault.kind == kind;
}

/* Counts an operation of the fault's kind; 1 if it is to fail. */
static int fault_strikes(struct chip *c, uint32_t address)
{
    if (c->fault_hit) {
        return c->fault.forever && c->fault_sector == sector_of(address);
    }
    if (c->fault_ops++ != c->fault.nth) {
        return 0;
    }
    c->fault_hit = 1;
    c->fault_sector = sector_of(address);
    return 1;
}

/* One bit of [address, address + len) that differs in `after` from `before` sticks. */
static void stick(struct chip *c, uint32_t address, const uint8_t *before, size_t len)
{
    uint32_t state = seed_of(c->fault.nth, 77);
    const size_t start = chip_random(&state) % len;
    for (size_t i = 0; i < len; i++) {
        const size_t at = (start + i) % len;
        const uint8_t changed = (uint8_t)(before[at] ^ c->flash.cells[address + at]);
        if (changed != 0) {
            c->stuck_address = address + (uint32_t)at;
            c->stuck_mask = (uint8_t)(changed & (uint8_t)-changed);
            return;
        }
    }
}

static void hold_stuck_bit(struct chip *c)
{
    uint8_t *cell = c->flash.cells + c->stuck_address;
    *cell = fault_is(c, FAULT_STUCK_ONE) ? (uint8_t)(*cell | c->stuck_mask)
                                         : (uint8_t)(*cell & (uint8_t)~c->stuck_mask);
}

/* ---- the functions of struct sf_flash ---- */

static int chip_read(void *ctx, uint32_t address, void *out, size_t len)
{
    struct chip *c = ctx;
    const int hit =
        (fault_is(c, FAULT_READ) || fault_is(c, FAULT_FLIP)) && fault_strikes(c, address);
    if (hit && fault_is(c, FAULT_READ)) {
        return SF_ERR_IO;
    }
    const int err = c->host.read(c->host.ctx, address, out, len);
    if (hit && err == SF_OK && len > 0) {
        uint32_t state = seed_of(c->fault.nth, 99);
        const uint32_t bit = chip_random(&state);
        ((uint8_t *)out)[(bit >> 3) % len] ^= (uint8_t)(1U << (bit & 7));
    }
    return err;
}

/* At most one sector. */
static int write_piece(struct chip *c, uint32_t address, const uint8_t *data, size_t len)
{
    uint8_t low[SF_SECTOR_SIZE];
    uint8_t before[SF_SECTOR_SIZE];
    const uint8_t *cells = c->flash.cells + address;
    if (fault_is(c, FAULT_WRITE) && fault_strikes(c, address)) {
        return SF_ERR_FLASH_WRITE;
    }
    memcpy(before, cells, len);
    for (size_t i = 0; i < len; i++) {
        low[i] = data[i] & cells[i];
    }
    const int err = c->host.write(c->host.ctx, address, low, len);
    if (err != SF_OK) {
        return err;
    }
    struct chip_unstable *u = unstable_find(c, address);
    for (size_t i = 0; u && i < len; i++) {
        u->low[address - u->address + i] &= data[i];
    }
    if (fault_is(c, FAULT_STUCK_ONE) && c->stuck_mask == 0 && fault_strikes(c, address)) {
        stick(c, address, before, len);
    }
    hold_stuck_bit(c);
    return SF_OK;
}

static int chip_write(void *ctx, uint32_t address, const void *data, size_t len)
{
    struct chip *c = ctx;
    const uint8_t *from = data;
    if (address > c->flash.size_bytes || len > c->flash.size_bytes - address) {
        return SF_ERR_RANGE;
    }
    while (len > 0) {
        size_t piece = SF_SECTOR_SIZE - address % SF_SECTOR_SIZE;
        piece = piece < len ? piece : len;
        const int err = write_piece(c, address, from, piece);
        if (err < 0) {
            return err;
        }
        address += (uint32_t)piece;
        from += piece;
        len -= piece;
    }
    return SF_OK;
}

/* The engine, the store and the bootloader erase one sector a call. */
static int chip_erase(void *ctx, uint32_t address, size_t len)
{
    struct chip *c = ctx;
    uint8_t before[SF_SECTOR_SIZE];
    if (len != SF_SECTOR_SIZE || address % SF_SECTOR_SIZE != 0 ||
        address > c->flash.size_bytes - SF_SECTOR_SIZE) {
        return SF_ERR_RANGE;
    }
    if (fault_is(c, FAULT_ERASE) && fault_strikes(c, address)) {
        return SF_ERR_FLASH_ERASE;
    }
    memcpy(before, c->flash.cells + address, sizeof(before));
    const int err = c->host.erase(c->host.ctx, address, len);
    if (err != SF_OK) {
        return err;
    }
    unstable_forget(c, address);
    if (fault_is(c, FAULT_STUCK_ZERO) && c->stuck_mask == 0 && fault_strikes(c, address)) {
        stick(c, address, before, sizeof(before));
    }
    hold_stuck_bit(c);
    return SF_OK;
}

static enum sf_flash_fault on_step(void *ctx, const struct sf_flash_op *op)
{
    struct chip *c = ctx;
    const int is_lost = c->step && c->step(c->step_ctx, op);
    return is_lost ? SF_FLASH_CUT_BEFORE : SF_FLASH_GO_ON;
}

/* ---- outside ---- */

static void bind(struct chip *c)
{
    c->host.ctx = &c->flash;
    c->flash.ops = (struct sf_flash){.ctx = c,
                                     .read = chip_read,
                                     .write = chip_write,
                                     .erase = chip_erase,
                                     .write_size = c->host.write_size};
    c->flash.hook = on_step;
    c->flash.hook_ctx = c;
}

int chip_open(struct chip *c, uint32_t size_bytes)
{
    memset(c, 0, sizeof(*c));
    const int err = sf_host_flash_open_memory(&c->flash, size_bytes, -1);
    if (err == SF_OK) {
        c->host = c->flash.ops;
        bind(c);
    }
    return err;
}

void chip_release(struct chip *c)
{
    sf_host_flash_release(&c->flash);
}

void chip_copy(struct chip *to, const struct chip *from)
{
    memcpy(to->flash.cells, from->flash.cells, from->flash.size_bytes);
    memcpy(to->flash.wear, from->flash.wear,
           from->flash.size_bytes / SF_SECTOR_SIZE * sizeof(from->flash.wear[0]));
    to->flash.op_count = from->flash.op_count;
    to->flash.bytes_written = from->flash.bytes_written;
    to->unstable_count = from->unstable_count;
    memcpy(to->unstable, from->unstable, from->unstable_count * sizeof(from->unstable[0]));
    to->power_ons = from->power_ons;
    to->fault = from->fault;
    to->fault_ops = from->fault_ops;
    to->fault_hit = from->fault_hit;
    to->fault_sector = from->fault_sector;
    to->stuck_address = from->stuck_address;
    to->stuck_mask = from->stuck_mask;
}

void chip_power_on(struct chip *c)
{
    sf_host_flash_power_on(&c->flash);
    c->power_ons++;
    for (unsigned i = 0; i < c->unstable_count; i++) {
        unstable_draw(c, &c->unstable[i]);
    }
}

int chip_is_worn_out(const struct chip *c)
{
    return c->stuck_mask != 0 || (c->fault_hit && c->fault.forever);
}
