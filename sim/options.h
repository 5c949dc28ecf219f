#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>

#include "formats/manifest.h"
#include "formats/root.h"

/* The command line of surefoot-sim. */

enum options_command { OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_RUN, OPTIONS_MAKE_FLASH };
enum options_until { UNTIL_CONVERGED, UNTIL_FOREVER, UNTIL_SECONDS };

enum { OPTIONS_ERROR_SIZE = 512, OPTIONS_TOKEN_SIZE = 128 };

struct options {
    enum options_command command;
    /* run */
    const char *server;      /* or */
    const char *static_tree; /* URL of a folder; the other one is NULL */
    const char *cacert;
    const char *flash;
    const char *state_dir;
    const char *hw_revision;
    char enrol_token[OPTIONS_TOKEN_SIZE]; /* "" = none */
    uint8_t release_key[SF_P256_KEY_SIZE];
    uint8_t status_key[SF_P256_KEY_SIZE];
    uint8_t trust_root[SF_ROOT_MAX]; /* in place of both keys */
    size_t trust_root_len;           /* 0 = none */
    unsigned devices;
    uint32_t flash_size;
    uint32_t seed;
    int has_seed;
    uint32_t speed;
    uint32_t interval_s; /* 0 = the engine's default */
    uint32_t trial_s;    /* likewise */
    uint32_t ramp_ms;
    int has_ramp;
    unsigned max_requests;
    uint16_t chip_revision;
    int no_rollback;
    int anti_rollback;
    int secure_boot; /* is on, with the one key of this digest */
    uint8_t secure_boot_digest[SF_SHA256_SIZE];
    int flash_encryption;
    enum options_until until;
    uint32_t until_s;
    uint32_t timeout_s; /* of UNTIL_CONVERGED */
    int json;
    int progress;
    unsigned rows;
    /* both */
    const char *firmware;
    /* make-flash */
    const char *output;
};

/* Reads the command line, key files and the token file. Returns SF_OK, or an error with one
 * sentence for a person in `error`. */
int options_parse(int argc, char **argv, struct options *out, char error[OPTIONS_ERROR_SIZE])
    __attribute__((warn_unused_result));

/* The text of --help; static. */
const char *options_help(void);

#endif
