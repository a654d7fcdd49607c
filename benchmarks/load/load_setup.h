/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_SETUP_H
#define GLET_LOAD_SETUP_H

/* From a workload, and a plan when there are several targets, to the models and streams of a load.
 */

#include "benchmarks/load/load_stream.h"
#include "common/workload.h"

struct glet_load_schedule {
    uint64_t seed;
    double rate_scale;         /* multiplies every rate; a trace is played that much faster */
    bool override_process;     /* then `process` replaces what the workload says */
    enum glet_process process; /* not GLET_PROCESS_TRACE */
    double burstiness;         /* of GLET_PROCESS_BURST */
    double trace_begin_s, trace_period_s; /* of glet_load_replay(), else 0 */
};

/* The streams of one run: models with a rate, then apps, each followed by its stages. */
struct glet_load_set {
    struct glet_stream *streams;
    size_t stream_count;
};

/*
 * One entry per model of the workload, in its order; those that nothing uses get no targets.
 * Release with glet_load_models_free().
 */
GLET_MUST_CHECK
int glet_load_models_new(const struct glet_workload *workload, size_t target_count,
                         struct glet_load_model **out, struct glet_error *err);
void glet_load_models_free(struct glet_load_model *models, size_t count);

/*
 * Weights the targets by the rates that plan_path plans for each model on each node: nodes[t] is
 * the node of target t. GLET_ERR_INPUT when a node is not in the plan, or a model is on none of
 * them.
 */
GLET_MUST_CHECK
int glet_load_weigh(struct glet_load_model *models, size_t model_count, const char *plan_path,
                    char *const *nodes, size_t target_count, struct glet_error *err);

/*
 * Replaces the arrivals of models by those of a CSV with the columns t_s (ascending) and, if it has
 * one, model; without it every model with a rate follows all of its times. What begins and repeats
 * is the recording as a whole: *begin_s_out and *period_s_out are for the schedule.
 */
GLET_MUST_CHECK
int glet_load_replay(struct glet_workload *workload, const char *csv_path, double *begin_s_out,
                     double *period_s_out, struct glet_error *err);

/* Borrows names and models. Release with glet_load_set_fini() whatever happens. GLET_ERR_INPUT when
   nothing has a rate. */
GLET_MUST_CHECK
int glet_load_set_init(struct glet_load_set *set, const struct glet_workload *workload,
                       struct glet_load_model *models, const struct glet_load_schedule *schedule,
                       struct glet_error *err);
void glet_load_set_fini(struct glet_load_set *set);

/* Whether every stream met its SLO. */
bool glet_load_set_meets_slo(const struct glet_load_set *set);

#endif
