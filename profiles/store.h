/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_STORE_H
#define GLET_PROFILES_STORE_H

/*
 * The profile store: one SQLite file that holds the tables of profile_schema.h.
 *
 * Made to be written point by point by a sweep that may be killed at any moment: every
 * glet_store_merge() is one transaction, and the journal is SQLite's rollback journal, so that the
 * store is a single file when nobody writes. Readers and a writer may be different processes; a
 * lock is waited for up to five seconds.
 *
 * All failures are GLET_ERR_IO with the path (cannot be opened, read-only, disk full, locked,
 * damaged, not a profile store, written by a newer version), but for GLET_ERR_NOMEM, and
 * GLET_ERR_INPUT / GLET_ERR_RANGE when a row breaks the rules of formats.
 *
 * A store belongs to one thread at a time.
 */

#include "common/error.h"
#include "common/profile/profile.h"

#include <stdbool.h>

struct glet_store;

enum glet_store_mode {
    GLET_STORE_READ,  /* must exist */
    GLET_STORE_WRITE, /* made when absent */
};

GLET_MUST_CHECK
int glet_store_open(const char *path, enum glet_store_mode mode, struct glet_store **out,
                    struct glet_error *err);
void glet_store_close(struct glet_store *store); /* NULL is accepted */

/* Everything in the store, as one consistent snapshot; the caller frees it. */
GLET_MUST_CHECK
int glet_store_read(struct glet_store *store, struct glet_profile **out, struct glet_error *err);

/*
 * Adds the rows of part, replacing those with the same key, as one transaction: after a failure or
 * a crash the store holds all of part or none of it. part need not be sorted, nor complete beyond
 * what its own rows refer to.
 */
GLET_MUST_CHECK
int glet_store_merge(struct glet_store *store, const struct glet_profile *part,
                     struct glet_error *err);

/* Removes everything measured of a model on a device (latency, quality, corun); one transaction. */
GLET_MUST_CHECK
int glet_store_forget(struct glet_store *store, const char *gpu, const char *model,
                      struct glet_error *err);

/* True when the file starts as an SQLite database does, is empty, or cannot be opened: then
   glet_store_open() says why. */
bool glet_store_is_store(const char *path);

#endif
