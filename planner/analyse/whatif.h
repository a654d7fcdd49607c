/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_WHATIF_H
#define GLET_PLANNER_WHATIF_H

/*
 * The same workload under changed conditions, each planned from scratch: all rates up, all SLOs
 * down, one GPU less.
 */

#include "planner/session.h"

struct glet_scenario {
    double rate_factor, slo_factor; /* on every rate, on every SLO; 1 = as it is */
    int less_gpu;                   /* index into workload->gpus of the entry that loses one; -1 */
};

struct glet_whatif_row {
    char *name; /* "rates +10 %" */
    struct glet_scenario scenario;
    enum glet_outcome outcome;
    int gpus, lower_bound;
    double cost_per_hour;
    double scale; /* without a plan: the largest factor on all rates that fits, or 0 */
    char *reason; /* without a plan: why; else NULL */
};

struct glet_whatif {
    struct glet_whatif_row *rows; /* the first one is the workload as it is */
    size_t count;
};

/*
 * rate_percents, slo_percents: changes to try, e.g. +10 or -20. as_is: the answer to the workload as
 * it is, if it is known; NULL = it is planned, too. Changes session->workload and its problem on the
 * way and restores them. Fails as glet_session_solve(). Release with glet_whatif_fini() in either
 * case.
 */
GLET_MUST_CHECK
int glet_whatif(struct glet_session *session, const struct glet_answer *as_is,
                const double *rate_percents, size_t rate_count, const double *slo_percents,
                size_t slo_count, bool less_gpu, struct glet_whatif *out, struct glet_error *err);

void glet_whatif_fini(struct glet_whatif *whatif);

#endif
