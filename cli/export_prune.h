#ifndef CLI_EXPORT_PRUNE_H
#define CLI_EXPORT_PRUNE_H

#include "cli/tree.h"

/* Removes the images of an exported folder that no manifest and no document of plain clients in it
 * names. Where one of these cannot be read nothing is removed. `*removed` counts. Returns enum
 * cli_exit. */
int export_prune(struct tree *t, unsigned *removed) __attribute__((warn_unused_result));

#endif
