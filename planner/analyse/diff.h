/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_DIFF_H
#define GLET_PLANNER_DIFF_H

/*
 * What changes from one plan to another: GPUs, cost, gpu-lets to start and to stop, and per model
 * its planned rate and headroom.
 *
 * A gpu-let is the same in both when GPU type, size, models and batches are equal; its place may
 * differ. GPUs of the same type are matched so that most gpu-lets stay (greedily, largest overlap
 * first), because a gpu-let that stays on its GPU need not be restarted.
 */

#include "common/plan_file.h"
#include "common/workload.h"

enum glet_change_kind {
    GLET_CHANGE_START, /* a gpu-let that only the new plan has */
    GLET_CHANGE_STOP,  /* a gpu-let that only the old plan has */
};

struct glet_change {
    enum glet_change_kind kind;
    const char *gpu;                 /* id in the plan that has it; borrowed */
    const struct glet_plan_let *let; /* borrowed */
    const struct glet_plan *plan;    /* whose model indices it uses */
};

struct glet_model_change {
    const char *name;                             /* borrowed */
    double rate_before_rps, rate_after_rps;       /* demand; 0 = not in that plan */
    double planned_before_rps, planned_after_rps; /* sum of shares */
    double worst_before_ms, worst_after_ms;       /* largest latency bound */
    double slo_before_ms, slo_after_ms;
};

struct glet_diff {
    int gpus_before, gpus_after;
    double cost_before, cost_after; /* per hour; NAN when no price is known */
    int lets_before, lets_after, lets_kept;
    struct glet_change *changes; /* in the order of the new plan, then of the old */
    size_t change_count;
    struct glet_model_change *models; /* union, in the order of the new plan, then of the old */
    size_t model_count;
};

/*
 * before and after are borrowed and must outlive out; so must workload, which prices the GPUs and
 * may be NULL. Fails with GLET_ERR_NOMEM only. Release with glet_diff_fini().
 */
GLET_MUST_CHECK
int glet_diff(const struct glet_plan *before, const struct glet_plan *after,
              const struct glet_workload *workload, struct glet_diff *out, struct glet_error *err);

#define GLET_DIFF_NONE ((size_t)-1)

/*
 * By GPU of after: the GPU of before in whose place it is, the one with most gpu-lets in common, or
 * GLET_DIFF_NONE. partner[after->gpu_count]. Fails with GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_diff_partners(const struct glet_plan *before, const struct glet_plan *after,
                       size_t *partner, struct glet_error *err);

void glet_diff_fini(struct glet_diff *diff);

/* "4 of 10 units: resnet50 x16 + bert x4" */
void glet_diff_let_text(const struct glet_plan *plan, const struct glet_plan_let *let, char *text,
                        size_t size);

/* 1 - worst latency bound / SLO of a model, percent; NAN without an SLO or a gpu-let. */
double glet_headroom_percent(double worst_ms, double slo_ms);

#endif
