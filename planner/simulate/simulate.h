/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_SIMULATE_H
#define GLET_SIMULATE_H

/*
 * Serves a plan on paper: requests arrive as the workload says (Poisson, uniform, trace; apps fan
 * out), doors, queues and batchers are the runtime's own code (common/sched), and a batch takes
 * what the plan allows for it. Answers what a plan for mean rates cannot: which share of requests
 * meets its SLO when arrivals come in bursts.
 *
 * A discrete-event simulation: O(log n) per request, no clock; the same input gives the same
 * numbers. Arrivals are those of `gpulet-load --seed` with the same seed and workload.
 *
 * What it does not know: HTTP, copies, and batches that run longer or shorter than planned.
 */

#include "common/histogram.h"
#include "common/plan_file.h"
#include "common/workload.h"
#include "planner/model/problem.h"

enum { GLET_SIMULATE_SLICES = 10 };

struct glet_simulate_options {
    double duration_s; /* simulated and counted, > 0 */
    double warmup_s;   /* simulated before that */
    double rate_scale; /* on every rate, > 0 */
    uint64_t seed;
    bool by_completion; /* as gpulet-runtime --route completion */
    bool planned_batches_only;
};

/* A model's own requests, or an app's, from end to end. */
struct glet_simulate_stream {
    const char *name; /* the workload's */
    bool is_app;
    double rate_rps;
    double slo_ms, percentile; /* slo_ms 0 = none */
    uint64_t offered, answered, in_slo;
    uint64_t over_rate, overloaded, late; /* the runtime's 429, 503 and 504 */
    struct glet_histogram *latency_us;    /* of the answered */
    /* The same in equal parts of the time, for the error of the attainment. */
    uint64_t slice_offered[GLET_SIMULATE_SLICES], slice_in_slo[GLET_SIMULATE_SLICES];
};

struct glet_simulate_let {
    size_t gpu, let;   /* place in the plan */
    double busy_ratio; /* share of the counted time that it ran */
    double fill_ratio; /* rows of its batches / their planned sizes */
};

struct glet_simulation {
    struct glet_simulate_stream *streams; /* models with a rate, then apps, in workload order */
    size_t stream_count;
    struct glet_simulate_let *lets; /* in plan order */
    size_t let_count;
};

/*
 * problem gives the times of batches below the planned one; it must be of the same workload. A plan
 * that serves none of a model's requests is simulated all the same: they are refused. Release *out
 * with glet_simulation_fini() in either case. GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_simulate(const struct glet_plan *plan, const struct glet_problem *problem,
                  const struct glet_simulate_options *options, struct glet_simulation *out,
                  struct glet_error *err);
void glet_simulation_fini(struct glet_simulation *simulation);

/* Share of the offered requests answered within the SLO; 1 when none was offered. */
double glet_simulate_attainment(const struct glet_simulate_stream *stream);
/* Half the width of its 95 % confidence interval, from the spread over the slices. */
double glet_simulate_error(const struct glet_simulate_stream *stream);
bool glet_simulate_meets_slo(const struct glet_simulate_stream *stream);

#endif
