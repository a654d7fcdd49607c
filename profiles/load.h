/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_LOAD_H
#define GLET_PROFILES_LOAD_H

/* A profile from wherever it is: a folder of CSVs (common/profile/profile_csv.h), or a SQLite store
   (profiles/store.h). */

#include "common/profile/profile.h"

/*
 * Reads path. On success *out is owned by the caller.
 * Fails with GLET_ERR_INPUT / GLET_ERR_RANGE (file:line:column for a CSV), GLET_ERR_IO (cannot be
 * opened, locked, written by a newer version), GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_profile_load(const char *path, struct glet_profile **out, struct glet_error *err);

#endif
