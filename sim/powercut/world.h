#ifndef POWERCUT_WORLD_H
#define POWERCUT_WORLD_H

#include <openssl/types.h>
#include <stdio.h>

#include "sim/powercut/schedule.h"
#include "sim/powercut/server.h"
#include "sim/vesp32.h"

/* One device, its server and what happens to them: the unit that a schedule is played on.
 *
 *     world_open(&w, kit);          at the factory, or updated once, as the scenario says
 *     world_play(&w, &schedule);    from the first power-on until the device is at rest, then once
 *                                   more after a power cycle, then through a further update
 *     w.life.violation              "" if every invariant held
 *
 * The engine, the bootloader's rules, the record store and the virtual ESP32 are the very ones that
 * `surefoot-sim run` drives. Time is virtual. What an interrupted device leaves behind is flash,
 * eFuse and what the server has heard; so a world can be branched in the middle of any step, and
 * the branch played on as if power had been lost there. */

enum { WORLD_VIOLATION_SIZE = 200, WORLD_HASHES = 6 };

enum world_phase {
    PHASE_PRELUDE, /* what the scenario starts from */
    PHASE_UPDATE,  /* cuts and faults happen in this one */
    PHASE_CYCLE,   /* a power cycle of the device at rest */
    PHASE_NEXT,    /* a further good update */
};

/* What the judge remembers of a device's life. */
struct life {
    enum world_phase phase;
    enum kit_image runs;    /* as of the last boot */
    enum kit_image settled; /* at the end of the update */
    uint8_t confirmed[KIT_IMAGES];
    uint8_t asked[KIT_IMAGES]; /* it has sent a check-in (offline: asked for the manifest) */
    unsigned boots;
    unsigned unconfirmed_boots; /* of the new image */
    unsigned dead_boots;        /* the bootloader found nothing, because a read failed */
    uint32_t steps;             /* of the update */
    uint64_t seq;               /* the highest told */
    uint64_t counter;
    uint32_t epoch;
    uint32_t root_version;
    uint8_t counter_began_anew; /* under a new status key's epoch: once */
    uint64_t phase_start_ms;
    uint64_t boot_ms;
    int boot_torn;  /* a cut hit the bootloader's own write */
    int is_outside; /* it ran into what docs/unbrickable.md does not promise */
    char violation[WORLD_VIOLATION_SIZE];
};

struct world;
typedef void world_observer(void *ctx, const struct world *w, const struct sf_flash_op *op);

struct world {
    struct kit *kit;
    struct chip chip;
    struct vesp32 esp;
    struct server server;
    struct reply reply;
    struct sf_bootloader_work work;
    struct schedule plan;
    unsigned cuts_done;
    uint32_t step;            /* since the power came on last, of the update */
    world_observer *observer; /* told of each step of the update before it happens */
    void *observer_ctx;
    FILE *trace; /* told in words what happens; NULL = nobody listens */
    uint64_t now_ms;
    unsigned stalled_serial;
    int has_stalled;
    unsigned esp_boots;
    struct life life;

    /* the device's cryptography */
    struct sf_crypto crypto;
    uint64_t random;
    EVP_MD_CTX *hash[WORLD_HASHES];
    uint8_t hash_used[WORLD_HASHES];
};

/* Errors: NOMEM, IO, INTERNAL if the scenario's prelude fails. */
int world_open(struct world *w, struct kit *kit) __attribute__((warn_unused_result));
void world_close(struct world *w);

/* Makes `to` (open, of the same kit) what `from` would be if power were lost now, at step `op`, as
 * `cut` says. It is off; world_resume() plays it on. */
void world_branch(struct world *to, const struct world *from, const struct sf_flash_op *op,
                  const struct cut *cut);
void world_copy(struct world *to, const struct world *from);

/* Plays from the beginning of the update, or from where a branch stands, to the end. */
void world_play(struct world *w, const struct schedule *plan);
void world_resume(struct world *w, enum kit_signing signing);

/* One line of the trace. */
void world_tell(const struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* An eFuse burn is a step without bytes. */
int world_is_burn(const struct sf_flash_op *op);

/* crypto.c */
int world_crypto_open(struct world *w) __attribute__((warn_unused_result));
void world_crypto_close(struct world *w);
void world_crypto_reset(struct world *w);

#endif
