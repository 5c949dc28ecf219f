#ifndef STORE_KIT_H
#define STORE_KIT_H

#include "server/store/store.h"

/* What tests of the store share: a folder, a store in it, and a small fleet. */

/* A new empty folder; kit_remove() deletes it and its files, and frees the name. */
char *kit_folder(void);
void kit_remove(char *folder);

/* Fails the test with the store's sentence if it cannot be opened. `folder` NULL = memory. */
struct store *kit_open(const char *folder);

enum { KIT_RELEASES = 3 };

struct kit_fleet {
    int64_t product;
    int64_t class_id;
    int64_t release[KIT_RELEASES];
};

/* Product "lamp", hardware revision "a", releases 1.0.0, 2.0.0, 3.0.0, each with its manifest; the
 * image digest of release n is n, n, n ... */
void kit_fill(struct store *s, struct kit_fleet *fleet);

/* An enrolled device that has not reported yet. */
struct device kit_device(const struct kit_fleet *fleet, const char *id);
int64_t kit_add_device(struct store *s, const struct kit_fleet *fleet, const char *id);

/* One poll of a device that runs release `runs` and is at rest: view, decide, apply. With an
 * `error` it reports that the latest status led there. */
int kit_checkin(struct store_tx *tx, const char *id, int runs, int error, int64_t now);

/* Sets the product's target. */
void kit_target(struct store *s, int64_t product, int64_t release);

#endif
