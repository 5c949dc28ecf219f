#ifndef FLEET_H
#define FLEET_H

#include "sim/net.h"
#include "sim/vesp32.h"

/* Many virtual ESP32s on one thread, one network and the host's clock.
 *
 * Time: a device's clock runs `speed` times as fast as the host's while it waits (for its next
 * check-in, a retry, a self-test) and at the host's pace while a request is open, so that timeouts
 * mean what they mean on a real network.
 *
 * Memory: about 10 KiB a device, and of its flash only the pages that differ from the common image
 * (a private mapping); with a state folder the flash is a file mapping, which the kernel writes
 * back at leisure. */

enum {
    FLEET_MAX = 65535, /* the devices' ids count in 16 bits */
    FLEET_ID_SIZE = 13,
};

struct fleet_options {
    struct net_options net;
    struct vesp32_options device; /* of each; firmware.device_id and work are the fleet's to fill */
    int base_fd;                  /* file with the flash that each device starts from */
    uint32_t flash_size;          /* bytes */
    /* Flash files are kept there as <id>.bin, a burnt secure_version as <id>.efuse; NULL = in
     * memory, not kept. */
    const char *state_dir;
    unsigned count;        /* 1..FLEET_MAX */
    uint32_t seed;         /* of the ids: 24 bits */
    uint32_t speed;        /* >= 1 */
    uint32_t ramp_ms;      /* devices are switched on one after the other within this time */
    unsigned max_requests; /* at once; others wait their turn before they begin */
};

struct fleet_device {
    struct vesp32 esp;
    struct sf_host_flash flash;
    struct fleet *fleet;
    struct net_transfer transfer;
    unsigned transfer_serial;
    int transfer_is_image;
    int in_request;         /* the clock runs at the host's pace */
    char id[FLEET_ID_SIZE]; /* a locally administered MAC in hex: 02, seed, number */
    uint64_t clock_ms;      /* the device's own */
    uint64_t clock_at_ms;   /* the host's when clock_ms was right */
    unsigned requests_answered;
    unsigned requests_failed; /* without an answer */
    int last_net_error;
    unsigned downloads; /* answers with image data */
    uint64_t download_bytes;
    struct sf_outcome outcome; /* the last one it had to report; counter 0 = none */
    char outcome_version[33];  /* that ran when it was first seen */
};

struct fleet {
    struct fleet_options options;
    struct net net;
    struct fleet_device *device; /* options.count of them */
    uint64_t *wake_ms;           /* when each is due, by the host's clock */
    struct sf_bootloader_work *work;
    uint64_t start_ms;
};

struct fleet_counts {
    unsigned at_rest;
    unsigned phase[SF_PHASE_CONFIRMED + 1];
    unsigned booting;
    unsigned boot_fails;
    unsigned silent; /* no request was ever answered */
    uint64_t bytes;  /* of image data */
    uint64_t boots;
    int last_net_error; /* of any device that got no answer yet */
};

/* Switches nothing on yet. Errors: NOMEM, IO (see errno; `*failed_device` is whose flash it was, or
 * -1), RANGE (a flash file of another size). */
int fleet_open(struct fleet *f, const struct fleet_options *options, int *failed_device)
    __attribute__((warn_unused_result));
void fleet_close(struct fleet *f);

/* Serves whatever is due, then waits for the network or a device, at most until `until_ms` of
 * sf_host_now_ms(). */
int fleet_run(struct fleet *f, uint64_t until_ms) __attribute__((warn_unused_result));

struct fleet_counts fleet_count(const struct fleet *f);

#endif
