#ifndef CLI_RELEASE_EXPORT_H
#define CLI_RELEASE_EXPORT_H

#include "cli/cli.h"

/* surefoot release export: a release as a folder for any web host (docs/static.md). */

extern const struct cli_option release_export_options[];
int release_export_run(const struct cli_args *args);

#endif
