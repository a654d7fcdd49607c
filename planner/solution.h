/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SOLUTION_H
#define GLET_PLANNER_SOLUTION_H

/*
 * A solution: GPUs, each with gpu-lets, each with models and batches. Solvers and baselines fill
 * type, units, model and batch; glet_solution_evaluate() computes everything else exactly.
 *
 * Plain values in growing arrays; a solution owns its arrays and nothing else.
 */

#include "planner/model/problem.h"

struct glet_slot { /* one model of a gpu-let */
    int model, batch;
    double rate_rps; /* its share of the demand; set by glet_solution_distribute() */
    double exec_ms;  /* latency x factor; set by glet_solution_evaluate() */
    double factor;   /* interference, >= 1; set by glet_solution_evaluate() */
};

struct glet_let { /* one gpu-let; size is an index into the type's sizes_units */
    int size;
    double duty_cycle_ms; /* sum of exec_ms; set by glet_solution_evaluate() */
    struct glet_slot *slots;
    int slot_count, slot_capacity;
};

struct glet_gpu {
    int type;
    int stock; /* index into the type's stock; set by glet_solution_assign_nodes() */
    struct glet_let *lets;
    int let_count, let_capacity;
};

struct glet_solution {
    struct glet_gpu *gpus;
    int gpu_count, gpu_capacity;
    double scale; /* factor on every demand: 1, or the answer of max-rate */
};

/* What is proven about the optimum, with the objective of the problem. */
struct glet_bound {
    int gpus;             /* no plan uses fewer */
    double cost_per_hour; /* no plan is cheaper */
    double scale;         /* max-rate: no plan serves more; INFINITY = not bounded */
};

void glet_solution_init(struct glet_solution *solution);
void glet_solution_fini(struct glet_solution *solution); /* NULL and double calls are accepted */

/*
 * Appends and returns the new element, zeroed; NULL when memory has run out. A pointer into the
 * solution is valid until the next element is added to or removed from the same array.
 */
struct glet_gpu *glet_solution_add_gpu(struct glet_solution *solution, int type);
struct glet_let *glet_gpu_add_let(struct glet_gpu *gpu, int size);
struct glet_slot *glet_let_add_slot(struct glet_let *let, int model, int batch);

/* Remove one element, keeping the order of the others. */
void glet_solution_remove_gpu(struct glet_solution *solution, int index);
void glet_gpu_remove_let(struct glet_gpu *gpu, int index);
void glet_let_remove_slot(struct glet_let *let, int index);

/*
 * Computes factor and exec_ms of every slot and duty_cycle_ms of every gpu-let of one GPU, with
 * all its co-residents. Returns false when a point does not exist.
 */
bool glet_gpu_evaluate(const struct glet_problem *problem, struct glet_gpu *gpu);
bool glet_solution_evaluate(const struct glet_problem *problem, struct glet_solution *solution);

/*
 * Whether an evaluated GPU keeps all of the contract but rates and app paths: sizes, number of
 * gpu-lets, memory, duty + exec <= limit_ms of each model. Pure.
 */
bool glet_gpu_feasible(const struct glet_problem *problem, const struct glet_gpu *gpu);

/* The rate slot k of an evaluated gpu-let can serve: batch / duty cycle, per second. */
double glet_let_capacity_rps(const struct glet_let *let, int k);

/* Adds up what an evaluated solution can serve of each model into capacity_rps[model_count]. */
void glet_solution_capacity(const struct glet_problem *problem,
                            const struct glet_solution *solution, double *capacity_rps);

/* The largest factor on every demand that an evaluated solution can serve; INFINITY: no demand. */
double glet_solution_scale(const struct glet_problem *problem,
                           const struct glet_solution *solution);

/* Whether every app's paths sum to at most its SLO, in an evaluated solution. */
bool glet_solution_apps_ok(const struct glet_problem *problem,
                           const struct glet_solution *solution);

/*
 * Whether the whole evaluated solution serves scale x every demand within every constraint, stock
 * and apps included.
 */
bool glet_solution_feasible(const struct glet_problem *problem,
                            const struct glet_solution *solution);

/* Cost per hour of all its GPUs. */
double glet_solution_cost(const struct glet_problem *problem, const struct glet_solution *solution);

/*
 * Gives every GPU a node: entries of the stock in file order, unlimited ones last. Returns false
 * when the stock does not suffice.
 */
bool glet_solution_assign_nodes(const struct glet_problem *problem, struct glet_solution *solution);

/*
 * Splits scale x demand over the slots of each model in proportion to what they can serve, so that
 * the rates, added in order, sum to at least the demand and none exceeds its capacity (both up to
 * GLET_TOLERANCE_RATIO). Drops the slots of models without demand.
 */
void glet_solution_distribute(const struct glet_problem *problem, struct glet_solution *solution);

/*
 * Sorts GPUs, gpu-lets and slots canonically (type, then sizes descending, then models), so that
 * two runs that found the same plan write the same bytes.
 */
void glet_solution_sort(const struct glet_problem *problem, struct glet_solution *solution);

/*
 * The plan of a feasible solution: evaluates, sorts, assigns nodes, distributes rates, names the
 * GPUs gpu0, gpu1, ... and fills the certificate from bound. *out is owned by the caller
 * (glet_plan_free). Fails with GLET_ERR_NOMEM, or GLET_ERR_INTERNAL when the solution is not
 * feasible.
 */
GLET_MUST_CHECK
int glet_solution_to_plan(const struct glet_problem *problem, struct glet_solution *solution,
                          const struct glet_bound *bound, struct glet_plan **out,
                          struct glet_error *err);

/*
 * The same for a solution that need not be feasible, so that the verifier can say what is wrong
 * with it. Fails with GLET_ERR_NOMEM, or GLET_ERR_INTERNAL when a point does not exist.
 */
GLET_MUST_CHECK
int glet_solution_to_plan_unchecked(const struct glet_problem *problem,
                                    struct glet_solution *solution, const struct glet_bound *bound,
                                    struct glet_plan **out, struct glet_error *err);

/*
 * The solution behind a plan, for a problem whose models and types carry the same names. Fails
 * with GLET_ERR_INPUT when the plan names what the problem does not have.
 */
GLET_MUST_CHECK
int glet_solution_from_plan(const struct glet_problem *problem, const struct glet_plan *plan,
                            struct glet_solution *out, struct glet_error *err);

/*
 * What is left of a plan that was made for another workload: GPUs of types and gpu-lets of sizes
 * and models that the problem does not have are left out. Fails with GLET_ERR_NOMEM only.
 */
GLET_MUST_CHECK
int glet_solution_from_older_plan(const struct glet_problem *problem, const struct glet_plan *plan,
                                  struct glet_solution *out, struct glet_error *err);

#endif
