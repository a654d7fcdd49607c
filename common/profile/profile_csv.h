/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILE_CSV_H
#define GLET_PROFILE_CSV_H

/*
 * A profile as a folder of CSV files, one per table of profile_schema.h: text that can be read,
 * diffed and kept under version control.
 */

#include "common/error.h"
#include "common/profile/profile.h"

/*
 * Reads the folder. Columns are found by name; a column that no table has, a number outside its
 * range, a name that is not in devices.csv or models.csv, a second row with the same key, are
 * GLET_ERR_INPUT or GLET_ERR_RANGE with file, line and column. Other files in the folder are left
 * alone. *out belongs to the caller (glet_profile_free).
 */
GLET_MUST_CHECK
int glet_profile_csv_load(const char *folder, struct glet_profile **out, struct glet_error *err);

/*
 * Writes the folder as a whole: it is made beside its final path, then takes that path in one
 * rename, so that an interrupted export leaves the old folder or the new one. An existing folder is
 * replaced only when it holds nothing but these files, else GLET_ERR_IO. The same profile gives the
 * same bytes.
 */
GLET_MUST_CHECK
int glet_profile_csv_export(const struct glet_profile *profile, const char *folder,
                            struct glet_error *err);

#endif
