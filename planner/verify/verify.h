/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_VERIFY_H
#define GLET_PLANNER_VERIFY_H

/*
 * Is a plan correct, recomputed from the workload and the profile alone?
 *
 * This module includes nothing of the solver's and nothing of planner/model: it reads the three
 * contract structs and applies formats.md's list to them, so that a mistake in the planner's
 * tables cannot hide itself. Quantities are compared with a relative slack of 1e-9; factor,
 * exec_ms and latency_bound_ms, which a person may have typed, with 1e-6.
 */

#include "common/plan_file.h"
#include "common/profile/profile.h"
#include "common/workload.h"

enum glet_rule {
    GLET_RULE_NAMES,   /* a GPU type, node or model that workload or profile do not know */
    GLET_RULE_SIZES,   /* not profiled, not allowed, too large together, not in a layout */
    GLET_RULE_GPULETS, /* more gpu-lets than the device or the workload allow */
    GLET_RULE_PROFILE, /* no profile at that batch and size */
    GLET_RULE_EXEC,    /* exec or factor is not what the profile says */
    GLET_RULE_DUTY,    /* sum exec > duty cycle */
    GLET_RULE_BATCH,   /* batch < rate x duty cycle */
    GLET_RULE_LATENCY, /* duty cycle + exec > SLO */
    GLET_RULE_APP,     /* a path of an app takes longer than the app's SLO */
    GLET_RULE_MEMORY,  /* does not fit */
    GLET_RULE_DEMAND,  /* a model's rates sum to less than its demand */
    GLET_RULE_PROMISE, /* the plan's own SLO, percentile or rate of a model is less than asked for */
    GLET_RULE_STOCK,   /* more GPUs than there are */
    GLET_RULE_SURVIVE, /* one GPU's failure leaves a model short */
    GLET_RULE_COUNT
};

struct glet_violation {
    enum glet_rule rule;
    struct glet_mark mark; /* place in the plan file; 0, 0 when it has none */
    char *where;           /* path in the plan: gpus[0].gpulets[1].models[0] */
    char *what;            /* one line */
};

struct glet_verdict {
    struct glet_violation *violations; /* in the order of the plan file */
    size_t count, capacity;
};

/* "sizes", "demand", ... */
const char *glet_rule_name(enum glet_rule rule);

/*
 * Fills out with every violation; none = correct. With max-rate, demands are multiplied by the
 * plan's scale. Returns -1 only when memory has run out. out is the caller's to release with
 * glet_verdict_fini() in either case.
 */
GLET_MUST_CHECK
int glet_verify(const struct glet_workload *workload, const struct glet_profile *profile,
                const struct glet_plan *plan, struct glet_verdict *out, struct glet_error *err);

/*
 * Adds a violation to out, which glet_verify() has filled, for every GPU and model that the other
 * GPUs could not serve in full if that GPU failed. Returns -1 only when memory has run out.
 */
GLET_MUST_CHECK
int glet_verify_survive(const struct glet_workload *workload, const struct glet_plan *plan,
                        struct glet_verdict *out, struct glet_error *err);

/* NULL is accepted. */
void glet_verdict_fini(struct glet_verdict *verdict);

#endif
