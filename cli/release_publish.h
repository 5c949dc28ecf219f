#ifndef CLI_RELEASE_PUBLISH_H
#define CLI_RELEASE_PUBLISH_H

#include <jansson.h>

#include "cli/cli.h"

/* surefoot release publish. */

enum { RELEASE_IMAGES_MAX = 16 }; /* one for each hardware revision */

extern const struct cli_option release_publish_options[];
int release_publish_run(const struct cli_args *args);

/* Prints a release of the server's, and drops it. Returns enum cli_exit. */
int release_tell(const struct cli_args *args, json_t *release);

#endif
