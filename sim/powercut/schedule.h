#ifndef POWERCUT_SCHEDULE_H
#define POWERCUT_SCHEDULE_H

#include "sim/powercut/chip.h"
#include "sim/powercut/server.h"

/* What happens to one device: a line of text that replays it.
 *
 *     confirm small mac cut=37:prefix:12 cut=5:mix:2 net=3:close:1000 fault=read:211:once
 *
 * scenario, size, signatures, then any number of: power cuts in their order (the step since the
 * power came on last, how, value), network faults (message, kind, byte), one flash fault (kind,
 * which operation of that kind, once or forever). */

enum { SCHEDULE_CUTS_MAX = 5, SCHEDULE_LINE_SIZE = 320 };

struct schedule {
    const struct scenario *scenario;
    enum kit_size size;
    enum kit_signing signing;
    unsigned cut_count;
    struct cut cut[SCHEDULE_CUTS_MAX];
    unsigned net_count;
    struct net_fault net[NET_FAULT_MAX];
    struct fault fault;
};

void schedule_print(const struct schedule *s, char out[SCHEDULE_LINE_SIZE]);

/* SF_OK, or SF_ERR_FORMAT with the word that it does not understand in `bad`. */
int schedule_parse(const char *line, struct schedule *out, char bad[SCHEDULE_LINE_SIZE])
    __attribute__((warn_unused_result));

#endif
