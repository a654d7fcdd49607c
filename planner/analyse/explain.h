/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_EXPLAIN_H
#define GLET_PLANNER_EXPLAIN_H

/*
 * Why a plan is as large as it is: which constraint binds for each model and what relaxing it is
 * worth; and, when there is no plan, the smallest changes that would make one.
 */

#include "planner/analyse/sensitivity.h"
#include "planner/session.h"

enum glet_binding {
    GLET_BINDING_NONE,       /* no demand */
    GLET_BINDING_LATENCY,    /* a larger batch would be faster per request, but breaks its SLO */
    GLET_BINDING_APP,        /* the same, by what an app's SLO leaves it */
    GLET_BINDING_BATCH,      /* it runs at the largest profiled batch, which is still the fastest */
    GLET_BINDING_THROUGHPUT, /* no larger batch is faster: the GPU is the limit */
    GLET_BINDING_RATE,       /* its rate is too small to fill a gpu-let: it shares one */
};

struct glet_model_explanation {
    enum glet_binding binding;
    int lets, shared_lets; /* its gpu-lets, and those it shares */
    double worst_ms, worst_factor;
    double memory_ratio; /* fullest memory among its GPUs, of the GPU's */
    struct glet_sensitivity price;
};

enum glet_relaxation_kind {
    GLET_RELAX_SLO,   /* this model's latency bound: to at least amount ms */
    GLET_RELAX_RATE,  /* this model's rate alone: to at most amount requests/s */
    GLET_RELAX_SCALE, /* every rate: times amount */
    GLET_RELAX_GPUS,  /* amount more GPUs of a type */
};

struct glet_relaxation {
    enum glet_relaxation_kind kind;
    int model, type; /* index of the problem; -1 when it does not apply */
    double amount;
    double change_ratio; /* of what it changes: 0.1 = a tenth more or less than now */
};

struct glet_explanation {
    struct glet_model_explanation *models; /* [problem->model_count]; NULL without a plan */
    double bound;                          /* in GPUs (or cost), before rounding up */
    struct glet_relaxation *relaxations;   /* smallest change first */
    size_t relaxation_count;
};

/*
 * Explains the answer to the session's problem. Without a plan it solves changed workloads (and
 * restores the session's). Fails with GLET_ERR_NOMEM or as glet_session_solve(). Release with
 * glet_explanation_fini() in either case.
 */
GLET_MUST_CHECK
int glet_explain(struct glet_session *session, const struct glet_answer *answer,
                 struct glet_explanation *out, struct glet_error *err);

void glet_explanation_fini(struct glet_explanation *explanation);

const char *glet_binding_name(enum glet_binding binding);
const char *glet_binding_text(enum glet_binding binding); /* for people */

/* One line about a relaxation, at most size - 1 bytes. */
void glet_relaxation_text(const struct glet_problem *problem, const struct glet_relaxation *relax,
                          char *text, size_t size);

#endif
