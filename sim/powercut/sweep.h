#ifndef POWERCUT_SWEEP_H
#define POWERCUT_SWEEP_H

#include "sim/powercut/world.h"

/* Which schedules are played, and what came of them. */

enum {
    SWEEP_FINDINGS = 16, /* violations kept in words; all are counted */
    SWEEP_REAL_EVERY = 64,
};

enum sweep_kind { SWEEP_SINGLE, SWEEP_PAIRS, SWEEP_FAULTS, SWEEP_NET, SWEEP_RANDOM, SWEEP_KINDS };

struct sweep_options {
    unsigned depth; /* most cuts in one schedule */
    uint32_t seed;
    int is_full;
    const struct scenario *only; /* NULL = all */
    unsigned random_count;       /* schedules of SWEEP_RANDOM */
    unsigned pair_every;         /* one first cut in so many is followed by all second ones */
    unsigned kinds;              /* 1 << enum sweep_kind each; 0 = all */
    int is_first;                /* a job ends with its first violation */
    unsigned jobs;
    unsigned job; /* this one's number */
};

struct finding {
    char line[SCHEDULE_LINE_SIZE];
    char what[WORLD_VIOLATION_SIZE];
};

/* Lies in memory that the jobs share; each writes its own. */
struct tally {
    uint64_t schedules;
    uint64_t by_kind[SWEEP_KINDS];
    uint64_t steps; /* of flash and eFuse, in all updates played */
    uint64_t boots;
    uint64_t cuts;
    uint64_t outside;
    uint64_t violations;
    uint64_t real;     /* schedules with ECDSA */
    uint64_t messages; /* that SWEEP_NET reached, each broken in every way */
    uint64_t units_done;
    unsigned finding_count;
    struct finding finding[SWEEP_FINDINGS];
};

enum cost_region { COST_SLOT, COST_OTADATA, COST_RECORDS, COST_REGIONS };

/* What an update without any interruption costs. */
struct cost {
    uint32_t steps;
    uint32_t messages;
    uint32_t erases[COST_REGIONS];
    uint32_t most_erases[COST_REGIONS]; /* of one sector */
    uint32_t programs[COST_REGIONS];
    uint64_t bytes[COST_REGIONS]; /* programmed there */
    uint32_t image_bytes;
};

/* How many units of work a job has before it: for a progress bar. */
uint64_t sweep_units(const struct sweep_options *o);

/* Plays this job's share. Errors: those of kit_open() and world_open(). */
int sweep_run(const struct sweep_options *o, struct tally *t) __attribute__((warn_unused_result));

/* Plays one schedule and tells in words what happens. Errors as above. */
int sweep_replay(const struct schedule *plan, FILE *trace, struct tally *t)
    __attribute__((warn_unused_result));

int sweep_cost(const struct scenario *scenario, enum kit_size size, struct cost *out)
    __attribute__((warn_unused_result));

const char *sweep_kind_name(enum sweep_kind kind);

/* SWEEP_KINDS if there is none of that name. */
enum sweep_kind sweep_kind_find(const char *name);

#endif
