/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SESSION_H
#define GLET_PLANNER_SESSION_H

/*
 * What every verb that plans does the same way: read workload and profile, build the problem,
 * refuse what cannot be served, solve, and let the verifier check the plan before anyone sees it.
 */

#include "common/options.h"
#include "planner/model/problem.h"
#include "planner/model/unserveable.h"
#include "planner/solve/solve.h"

/* Rows of an option table that fill a struct glet_inputs at the start of a verb's values. */
struct glet_inputs {
    const char *slo, *profiles;
    int objective;          /* enum glet_objective */
    int effort;             /* enum glet_effort */
    double headroom_ratio;  /* < 0: as in the workload */
    double latency_factor;  /* 0: as in the workload */
    uint64_t time_limit_us; /* 0 = none */
    bool quiet;
};

extern const char *const glet_objective_names[]; /* for GLET_OPTION_CHOICE */
extern const char *const glet_effort_names[];

/* clang-format off */
#define GLET_INPUT_OPTIONS(type)                                                                   \
    GLET_INPUT_OPTIONS_WITH(type, "default", glet_effort_names, "How long to search.")

#define GLET_INPUT_OPTIONS_WITH(type, effort_fallback, effort_choices, effort_help)                \
    {.group = "Inputs", .name = "slo", .kind = GLET_OPTION_TEXT, .value = "WORKLOAD.yaml",         \
     .offset = offsetof(struct type, inputs.slo),                                                  \
     .help = "Models with rates and SLOs, and the stock of GPUs (gpulet-workload/1)."},            \
    {.name = "profiles", .kind = GLET_OPTION_TEXT, .value = "DB|DIR", .fallback = "profiles.db",   \
     .offset = offsetof(struct type, inputs.profiles),                                             \
     .help = "The profile store, or a folder of exported CSVs."},                                  \
    {.name = "headroom", .kind = GLET_OPTION_DOUBLE, .value = "RATIO", .fallback = "-1", .hide_fallback = true,           \
     .low = 0, .high = 100, .offset = offsetof(struct type, inputs.headroom_ratio),                \
     .help = "Plan for (1 + RATIO) x every rate, instead of the workload's own headroom."},        \
    {.name = "latency-factor", .kind = GLET_OPTION_DOUBLE, .value = "F", .fallback = "0", .hide_fallback = true,          \
     .low = 0.001, .high = 1000, .offset = offsetof(struct type, inputs.latency_factor),           \
     .help = "Multiply every profile latency by F, instead of the workload's own factor."},        \
    {.group = "Search", .name = "objective", .kind = GLET_OPTION_CHOICE, .fallback = "min-gpus",   \
     .choices = glet_objective_names, .offset = offsetof(struct type, inputs.objective),           \
     .help = "What is best: fewest GPUs, lowest cost, or the largest factor on all rates."},       \
    {.name = "effort", .kind = GLET_OPTION_CHOICE, .fallback = effort_fallback,                    \
     .choices = effort_choices, .offset = offsetof(struct type, inputs.effort),                    \
     .help = effort_help},                                                                         \
    {.name = "time-limit", .kind = GLET_OPTION_DURATION, .value = "TIME", .fallback = "0", .hide_fallback = true,         \
     .offset = offsetof(struct type, inputs.time_limit_us),                                        \
     .help = "Stop then with the best plan so far. Plans may differ from run to run with it."},    \
    {.group = "Output", .name = "quiet", .letter = 'q', .kind = GLET_OPTION_FLAG,                  \
     .offset = offsetof(struct type, inputs.quiet), .help = "No notes on standard error."}
/* clang-format on */

struct glet_session {
    const struct glet_inputs *inputs;
    struct glet_workload *workload;
    struct glet_profile *profile;
    struct glet_problem *problem;
    double scale; /* the problem's demand is so many times the workload's */
};

struct glet_wishes {
    const struct glet_plan *from; /* an older plan to stay close to, or NULL */
    int max_moves;                /* with from: at most so many new gpu-lets; -1 = any */
    int survive;                  /* so many GPUs may fail */
};

enum glet_outcome {
    GLET_PLAN_FOUND,         /* plan is there, and verified */
    GLET_PLAN_UNSERVEABLE,   /* some model cannot be served by any number of GPUs: unserveable[] */
    GLET_PLAN_TOO_SMALL,     /* proven: the stock does not suffice */
    GLET_PLAN_NONE_FOUND,    /* neither a plan nor a proof that there is none */
    GLET_PLAN_TOO_FEW_MOVES, /* proven: no plan is so close to the older one */
};

struct glet_answer {
    enum glet_outcome outcome;
    struct glet_plan *plan; /* GLET_PLAN_FOUND */
    /* Without a plan, bound.gpus is what is needed at least if the stock had no limits; 0 = open.
     */
    struct glet_bound bound;
    long stock;      /* without a plan: GPUs that the workload has; -1 = no limit */
    int gpus_enough; /* without a plan: so many would do if the stock had no limits; 0 = open */
    int max_moves;   /* without a plan: the limit that was in the way; -1 = none */
    bool limit_hit;  /* stopped by a limit or a signal */
    struct glet_unserveable *unserveable; /* GLET_PLAN_UNSERVEABLE */
    int unserveable_count;
    double scale; /* GLET_PLAN_TOO_SMALL: the largest factor on all rates found to fit; or 0 */
    double scale_bound; /* ... and no plan serves more */
};

/*
 * Reads both files and builds the problem. Errors as glet_workload_load(), glet_profile_load(),
 * glet_problem_new(); GLET_ERR_USAGE without --slo, or for max-rate with an unlimited stock.
 * From then on the first SIGINT or SIGTERM makes a search stop at its best plan so far.
 * Release with glet_session_close() in either case.
 */
GLET_MUST_CHECK
int glet_session_open(const struct glet_inputs *inputs, struct glet_session *session,
                      struct glet_error *err);
void glet_session_close(struct glet_session *session);

/* Says on standard error, unless quiet, that such a signal came: answers may be short of the best. */
void glet_session_note_stop(const struct glet_session *session);

/* Builds the problem again after a change of session->workload; errors as glet_problem_new(). */
GLET_MUST_CHECK
int glet_session_rebuild(struct glet_session *session, struct glet_error *err);

/*
 * Solves the session's problem and fills answer. wishes may be NULL. A plan that the verifier
 * refuses is GLET_ERR_INTERNAL. Release with glet_answer_fini() in either case.
 */
GLET_MUST_CHECK
int glet_session_solve(const struct glet_session *session, const struct glet_wishes *wishes,
                       struct glet_answer *answer, struct glet_error *err);

/*
 * The verifier's word on a plan of ours, which any survive GPUs may leave: a violation is our bug,
 * GLET_ERR_INTERNAL.
 */
GLET_MUST_CHECK
int glet_session_verify(const struct glet_session *session, const struct glet_plan *plan,
                        int survive, struct glet_error *err);

/* The largest factor on all rates that the session's stock is found to serve; 0 = none, or no end.
 */
GLET_MUST_CHECK
int glet_session_scale(const struct glet_session *session, double *scale, struct glet_error *err);

/* Whether a search at default effort takes no longer than a person waits for an answer. */
bool glet_session_is_small(const struct glet_session *session);

/*
 * Whether some plan is found within the stock; a fraction of the work of a full answer. fast: at the
 * least effort instead of the session's.
 */
GLET_MUST_CHECK
int glet_session_fits(const struct glet_session *session, bool fast, bool *fits,
                      struct glet_error *err);

void glet_answer_fini(struct glet_answer *answer);

#endif
