/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_STALE_H
#define GLET_PLANNER_STALE_H

/*
 * Was a model's file changed after it was profiled? Compares the files of a folder with the
 * digests that the profiler recorded (the profile's quality table).
 */

#include "common/profile/profile.h"
#include "common/workload.h"

enum glet_freshness {
    GLET_FRESH,
    GLET_STALE,         /* the file differs from the one that was measured */
    GLET_FRESH_UNKNOWN, /* no file of that name, or no digest was recorded */
};

/*
 * Of model m of the workload: DIR/NAME.onnx, with its external data in DIR/NAME.onnx.data if there
 * is such a file. Rows of several digests are stale unless all are the file's. Fails with
 * GLET_ERR_IO when a file exists but cannot be read, or GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_stale_check(const struct glet_profile *profile, const struct glet_workload *workload,
                     size_t m, const char *folder, enum glet_freshness *out,
                     struct glet_error *err);

#endif
