#ifndef SUREFOOT_BEHAVIOUR_H
#define SUREFOOT_BEHAVIOUR_H

#include <surefoot/record.h>

/* For test firmware: the updater record and the behaviour record as one object, so that no linker
 * can put anything between them. Use it in place of SUREFOOT_RECORD():
 *
 *     SUREFOOT_RECORD_AND_BEHAVIOUR(SUREFOOT_CRASH_AT_BOOT, 0, 0x5a, 0x11, ...16 bytes...);
 */

#define SUREFOOT_BEHAVIOUR_MAGIC 0x48424653u /* "SFBH", little-endian */

#define SUREFOOT_HEALTHY         0u
#define SUREFOOT_CRASH_AT_BOOT   1u
#define SUREFOOT_CRASH_AFTER     2u /* parameter: seconds */
#define SUREFOOT_HANG            3u
#define SUREFOOT_NO_NETWORK      4u
#define SUREFOOT_SELF_TEST_FAILS 5u
#define SUREFOOT_CRASH_EARLY     6u /* before the early hook */
#define SUREFOOT_SILENT          7u
#define SUREFOOT_SELF_TEST_HANGS 8u  /* parameter: its deadline in seconds, 0 = the trial's */
#define SUREFOOT_BROWNOUT        9u  /* parameter: seconds */
#define SUREFOOT_DEEP_SLEEP      10u /* parameter: seconds */
#define SUREFOOT_DECAYS          11u /* a block of it is lost before its first boot */

struct surefoot_behaviour {
    unsigned int magic;
    unsigned char kind;
    unsigned char zero[3];
    unsigned int parameter;
    unsigned int zero2;
};

struct surefoot_record_and_behaviour {
    struct surefoot_record record;
    struct surefoot_behaviour behaviour;
};

#define SUREFOOT_RECORD_AND_BEHAVIOUR(kind, parameter, ...)        \
    __attribute__((used, section(".rodata_custom_desc")))          \
    const struct surefoot_record_and_behaviour surefoot_record = { \
        {SUREFOOT_RECORD_MAGIC,                                    \
         SUREFOOT_RECORD_VERSION,                                  \
         SUREFOOT_PROTOCOL_VERSION,                                \
         {__VA_ARGS__},                                            \
         SUREFOOT_LIBRARY_VERSION,                                 \
         0u,                                                       \
         {0},                                                      \
         0u},                                                      \
        {SUREFOOT_BEHAVIOUR_MAGIC, (kind), {0}, (parameter), 0u}}

#endif
