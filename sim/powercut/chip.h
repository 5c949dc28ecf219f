#ifndef POWERCUT_CHIP_H
#define POWERCUT_CHIP_H

#include "ports/host/flash.h"

/* NOR flash that loses power in the middle of an operation, and flash with defects: what
 * ports/host/flash.h does not do.
 *
 * A step is one change of flash (at most a sector) or one eFuse burn. Power is lost before it,
 * after it, or inside it: of a program a prefix of its bytes has been done, or a random subset of
 * the bits it clears; of an erase, a random part of the bits it sets, and which ones reads
 * differently at each boot until the sector is erased again.
 *
 * Programming a bit that is 0 already changes nothing and is no error, as on a real chip. */

enum {
    CHIP_UNSTABLE_MAX = 8, /* sectors; more cuts than a schedule has */
    CHIP_SEED_MAX = 0xffff,
};

enum cut_how {
    CUT_BEFORE,
    CUT_AFTER,
    CUT_PREFIX, /* value = bytes programmed */
    CUT_BITS,   /* value = seed of the subset */
    CUT_WORD,   /* all of it but a word, of which a subset: value = word + words * seed */
    CUT_MIX,    /* value = seed of the mix */
    CUT_HOW_COUNT,
};

struct cut {
    uint32_t step; /* 0-based, since the power came on last */
    enum cut_how how;
    uint32_t value;
};

enum fault_kind {
    FAULT_NONE,
    FAULT_READ,       /* the n-th read fails */
    FAULT_FLIP,       /* the n-th read has one bit wrong */
    FAULT_WRITE,      /* the n-th program fails and has done nothing */
    FAULT_ERASE,      /* the n-th erase fails and has done nothing */
    FAULT_STUCK_ONE,  /* a bit that the n-th program clears stays 1 for ever */
    FAULT_STUCK_ZERO, /* a bit that the n-th erase sets stays 0 for ever */
    FAULT_COUNT,
};

struct fault {
    enum fault_kind kind;
    uint32_t nth;    /* 0-based, of that kind of operation since the chip was opened */
    uint8_t forever; /* all operations of that kind on that sector fail from then on */
};

struct chip_unstable {
    uint32_t address;
    uint32_t seed;
    uint8_t low[SF_SECTOR_SIZE]; /* what reads 0 for sure is 0 here */
};

struct chip;
/* Told of each step before it happens. Returns 1 if power is lost at it; then it has changed
 * the cells as far as the step got. */
typedef int chip_step(void *ctx, const struct sf_flash_op *op);

struct chip {
    struct sf_host_flash flash; /* flash.ops are the chip's own: hand &flash to whoever needs it */
    struct sf_flash host;       /* ports/host/flash's */
    chip_step *step;
    void *step_ctx;
    unsigned unstable_count;
    struct chip_unstable unstable[CHIP_UNSTABLE_MAX];
    uint32_t power_ons; /* of which each sees unstable bits anew */
    struct fault fault;
    uint32_t fault_ops; /* of the fault's kind so far */
    int fault_hit;
    uint32_t fault_sector; /* once hit */
    uint32_t stuck_address;
    uint8_t stuck_mask; /* 0 = no stuck bit yet */
};

/* All FF. Errors: as sf_host_flash_open_memory(). */
int chip_open(struct chip *c, uint32_t size_bytes) __attribute__((warn_unused_result));
void chip_release(struct chip *c);

/* Makes `to`, of the same size, hold what `from` holds, wear and defects included. */
void chip_copy(struct chip *to, const struct chip *from);

/* Leaves in the cells what a cut at this step leaves there. */
void chip_tear(struct chip *c, const struct sf_flash_op *op, const struct cut *cut);

void chip_power_on(struct chip *c);

/* 1 if a fault can never go away again. */
int chip_is_worn_out(const struct chip *c);

uint32_t chip_random(uint32_t *state); /* xorshift; *state is not 0 */

#endif
