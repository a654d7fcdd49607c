/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_VERIFY_INTERNAL_H
#define GLET_PLANNER_VERIFY_INTERNAL_H

/* What the two halves of the verifier share: the state of a run, and the facts of the profile. */

#include "planner/verify/verify.h"

#include <stdbool.h>

struct verify_point {          /* profile of (device, model, batch, units), interpolated in batch */
    double latency_ms;         /* x latency_factor */
    double l2_util, dram_util; /* NAN = unknown */
    double activation_mib;
};

struct verify_run {
    const struct glet_workload *workload;
    const struct glet_profile *profile;
    const struct glet_plan *plan;
    struct glet_verdict *out;
    const struct glet_profile_latency **index; /* by device, model, units, batch */
    size_t index_count;
    int *profile_model;   /* [plan model] index into profile->models, or -1 */
    int *workload_model;  /* [plan model] index into workload->models, or -1 */
    double *rate_sum_rps; /* [plan model] over its gpu-lets */
    double *worst_ms;     /* [workload model] largest duty + exec over its gpu-lets */
    bool out_of_memory;
};

/* Adds one violation. */
void glet_verify_report(struct verify_run *run, enum glet_rule rule, struct glet_mark mark,
                        const char *where, const char *format, ...) GLET_PRINTF(5, 6);

/* Sorts the profile's rows; false when memory has run out. */
bool glet_verify_index(struct verify_run *run);

/* False when the point is not in the profile. */
bool glet_verify_point(const struct verify_run *run, int device, int model, int batch, int units,
                       struct verify_point *out);

/* Factor of slot k of gpu-let i on its GPU, from the profile's interference and corun tables. */
double glet_verify_factor(const struct verify_run *run, int device, const struct glet_plan_gpu *gpu,
                          size_t i, size_t k);

/* a <= b, up to a relative slack of 1e-9. */
bool glet_verify_at_most(double a, double b);

/* Checks one GPU with all its gpu-lets. */
void glet_verify_gpu(struct verify_run *run, size_t g);

#endif
