/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_TRUST_H
#define GLET_PLANNER_TRUST_H

/*
 * Does a plan rest on measurements? Collects the profile rows behind each gpu-let's execution time
 * (two for an interpolated batch) that were imported or estimated.
 */

#include "common/plan_file.h"
#include "common/profile/profile.h"

struct glet_trust_note {               /* one (model, GPU type) that is not wholly measured */
    const char *model, *gpu;           /* borrowed from the profile */
    int imported_rows, estimated_rows; /* distinct rows that the plan uses */
};

struct glet_trust_notes {
    struct glet_trust_note *notes; /* in the order of the profile */
    size_t count;
};

/* Release with glet_trust_fini(). Fails with GLET_ERR_NOMEM only. */
GLET_MUST_CHECK
int glet_trust_collect(const struct glet_profile *profile, const struct glet_plan *plan,
                       struct glet_trust_notes *out, struct glet_error *err);

void glet_trust_fini(struct glet_trust_notes *notes);

#endif
