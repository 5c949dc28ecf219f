/* The records that the engine keeps in memory: read at boot, saved as they change.
 *
 * 1. A record that cannot be read is not one that is not there. It is read again and again; then
 *    most may be lost: an outcome nobody hears of, one more try of a bad release, a trial that is
 *    broken off.
 * 2. Never the floor. It has a copy, as of the last commit; where neither can be read nothing is
 *    installed, and it is not written, until it can. */
#include "device/steps.h"

#define KEPT(key, member) [SF_RECORD_##key] = offsetof(struct sf_core, member)

/* Where in struct sf_core; 0 = not there. */
static const uint16_t kept[SF_RECORD_COUNT] = {
    KEPT(BOOT, boot),   KEPT(TRIAL, trial), KEPT(FAILED, failed),
    KEPT(FLOOR, floor), KEPT(OUT, out),     KEPT(GOOD, good),
};

static int load(const struct sf_core *c, enum sf_record key, void *record)
{
    return sf_record_load(c->config->store, key, record);
}

int sf_memory_load_floor(struct sf_core *c)
{
    int err = load(c, SF_RECORD_FLOOR, &c->floor);
    if (err != SF_OK) {
        const int copy_err = load(c, SF_RECORD_FLOOR_COPY, &c->floor);
        err = copy_err != SF_ERR_NOTFOUND ? copy_err : err;
    }
    if (c->floor.time < c->config->build_time) {
        c->floor.time = c->config->build_time;
    }
    c->floor_unknown = err != SF_OK && err != SF_ERR_NOTFOUND;
    return err;
}

int sf_memory_load(struct sf_core *c)
{
    int first = SF_OK;
    c->trial_unknown = 0;
    for (unsigned key = 0; key < SF_RECORD_COUNT; key++) {
        if (kept[key] == 0) {
            continue;
        }
        const int err = key == SF_RECORD_FLOOR
                            ? sf_memory_load_floor(c)
                            : load(c, (enum sf_record)key, (uint8_t *)c + kept[key]);
        if (err != SF_OK && err != SF_ERR_NOTFOUND) {
            first = first == SF_OK ? err : first;
            c->trial_unknown |= key == SF_RECORD_TRIAL;
        }
    }
    return first;
}

int sf_memory_save(struct sf_core *c, enum sf_record key)
{
    if (key == SF_RECORD_FLOOR && c->floor_unknown) {
        return SF_ERR_STORE; /* it would fall */
    }
    return sf_record_save(c->config->store, key, (const uint8_t *)c + kept[key]);
}
