/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MODEL_PROBLEM_H
#define GLET_PLANNER_MODEL_PROBLEM_H

/*
 * The planning problem as plain tables: what a workload and a profile say together, after options,
 * interpolation and restrictions. Everything that solves works on this; nothing here solves.
 *
 * Indices: a *model* is workload->models[m] (same order and count), a *type* is a group of stock
 * entries of one device at one cost, a *size* is an index into type->sizes_units, and a *cell* is
 * one (type, model, size, batch) that exists in the profiled box.
 *
 * A problem is immutable once built, except models[].limit_ms and models[].demand_rps, which a
 * search over latency splits or rates may change on its own copy (glet_problem_view()).
 * Reading is safe from any thread.
 */

#include "common/plan_file.h"
#include "common/profile/profile.h"
#include "common/workload.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Every comparison of the contract (sum exec <= duty, batch >= rate * duty, duty + exec <= SLO,
 * rates >= demand, memory) is made with this relative slack, here and in the verifier: it is far
 * below what a profile can know and far above the rounding of a sum of a few thousand doubles.
 */
#define GLET_TOLERANCE_RATIO 1e-9

/* Largest batch that a dense table is built for. */
#define GLET_BATCH_MAX 32768

/* Most gpu-lets of one GPU that are ever planned, whatever a device claims. */
#define GLET_GPULETS_MAX 32

/* One point of the profiled box; batches between two profiled ones are interpolated in batch. */
struct glet_cell {
    double latency_ms; /* profile latency x latency_factor, alone on its GPU; > 0 */
    /*
     * The interference factor of a victim next to one aggressor is
     * max(1, victim->victim_ratio + aggressor->aggressor_ratio) unless that very pair was co-run
     * (interference.h). Both are 0 on a type without interference.
     */
    double victim_ratio;    /* constant + margin + l2_self * l2 + dram_self * dram */
    double aggressor_ratio; /* l2_other * l2 + dram_other * dram */
    double activation_mib;  /* >= 0 */
};

/* What measured pairs say of a cell as the victim. */
struct glet_victim {
    int first_pair, pair_count;           /* of the type's pairs */
    bool paired;                          /* in some of them, as either */
    double mildest_ratio, harshest_ratio; /* of all neighbours, measured or not; >= 1 */
};

/* The cells of one (type, model, size): batches first_batch .. last_batch, all of them. */
struct glet_cell_row {
    int first_batch, last_batch; /* 0, 0: nothing profiled here */
    struct glet_cell *cells;     /* [last_batch - first_batch + 1]; NULL when empty */
    struct glet_victim
        *victims; /* as many; NULL when empty or no pairs of the type were measured */
    bool falls;   /* some batch takes less time than a smaller one */
};

/* A directed pair that was measured together: the slowdown of the victim. */
struct glet_pair {
    int victim_model, victim_size, victim_batch;
    int aggressor_model, aggressor_size, aggressor_batch;
    double slowdown_ratio;
};

struct glet_problem_layout { /* one allowed multiset of sizes (MIG) */
    int *sizes_units;        /* descending */
    int size_count;
};

struct glet_problem_stock { /* one `gpus` entry of the workload */
    const char *node;       /* borrowed from the workload; NULL = any */
    int count;              /* GLET_COUNT_UNLIMITED or >= 0 */
    size_t workload_gpu;    /* index into workload->gpus */
};

struct glet_problem_type {
    const char *name; /* borrowed from the workload */
    int device;       /* index into profile->devices */
    enum glet_mechanism mechanism;
    int units;       /* of the whole device */
    int max_gpulets; /* the smallest of the device's, the workload's and units; >= 1 */
    double memory_mib, context_mib;
    double cost_per_hour;
    int count; /* sum of the stock; GLET_COUNT_UNLIMITED if one of them is */
    struct glet_problem_stock *stock;
    int stock_count;
    int *sizes_units; /* ascending: profiled for some model of the workload and allowed */
    int size_count;
    struct glet_problem_layout *layouts; /* NULL: any sizes that sum to at most units */
    int layout_count;
    struct glet_cell_row *rows; /* [model * size_count + size] */
    bool interferes;            /* some factor on this type can exceed 1 */
    bool linear;                /* victim_ratio / aggressor_ratio are in force */
    double aggressor_min_ratio, aggressor_max_ratio; /* over all cells */
    struct glet_pair *pairs; /* sorted by victim, then aggressor; a superset of the linear model */
    int pair_count;
};

struct glet_problem_model {
    const char *name;  /* borrowed from the workload */
    double demand_rps; /* to be planned for; 0 = appears in no gpu-let */
    double slo_ms;     /* its own SLO; 0 = none (apps only) */
    double limit_ms;   /* the loosest latency bound that can be of use: its SLO and its apps' */
    double percentile;
    double memory_mib; /* weights; an unknown number counts as 0 */
    bool in_app;
    struct glet_mark mark;
};

struct glet_problem_stage {
    int model;
    int *after; /* indices of stages of the same app, all smaller than this one's */
    int after_count;
};

struct glet_problem_app {
    const char *name; /* borrowed from the workload */
    double slo_ms;
    struct glet_problem_stage *stages; /* in topological order */
    int stage_count;
    struct glet_mark mark;
};

struct glet_problem {
    const struct glet_workload *workload; /* borrowed; NULL in hand-built problems */
    const struct glet_profile *profile;   /* borrowed; NULL in hand-built problems */
    enum glet_objective objective;
    bool interference;
    struct glet_problem_model *models;
    int model_count;
    struct glet_problem_type *types;
    int type_count;
    struct glet_problem_app *apps;
    int app_count;
    bool shared; /* a view: only models[] is its own */
};

/*
 * Builds the problem. workload and profile are borrowed and must outlive it.
 *
 * A model with demand but without a single profile row at an allowed size on any of the workload's
 * GPU types fails with GLET_ERR_UNDECIDED at the model's place: nothing is known about it, which
 * is not the same as infeasible. A workload GPU type that the profile does not know is skipped (no
 * model can be placed on it); if that leaves none, GLET_ERR_UNDECIDED. GLET_ERR_RANGE when a batch
 * exceeds GLET_BATCH_MAX; GLET_ERR_NOMEM. On success *out is owned by the caller.
 */
GLET_MUST_CHECK
int glet_problem_new(const struct glet_workload *workload, const struct glet_profile *profile,
                     enum glet_objective objective, struct glet_problem **out,
                     struct glet_error *err);

/*
 * A copy that owns only models[] (so that demand_rps, slo_ms and limit_ms can be changed) and
 * borrows all else from base, which must outlive it. NULL when memory has run out.
 */
struct glet_problem *glet_problem_view(const struct glet_problem *base);

/*
 * A copy of types[] without limits on the stock, to be freed with free(); what it points to is
 * borrowed from base. Types of which there are none stay so. NULL when memory has run out.
 */
struct glet_problem_type *glet_problem_types_unlimited(const struct glet_problem *base);

/*
 * Lowers limit_ms[model] to what the apps leave when every other stage takes at least
 * floor_ms[model] along the longest path. Returns -1 when memory has run out.
 */
GLET_MUST_CHECK
int glet_problem_tighten(const struct glet_problem *problem, const double *floor_ms,
                         double *limit_ms);

/* NULL is accepted; frees views and whole problems. */
void glet_problem_free(struct glet_problem *problem);

/* The cell, or NULL when that point does not exist (nothing is extrapolated). O(1). */
const struct glet_cell *glet_problem_cell(const struct glet_problem *problem, int type, int model,
                                          int size, int batch);

/* Index into sizes_units of a size in units, or -1. */
int glet_problem_find_size(const struct glet_problem_type *type, int units);

/*
 * Whether a multiset of sizes fits the device: at most max_gpulets, and the sum at most units or,
 * with layouts, contained in one of them. units is in any order and is not changed.
 */
bool glet_problem_sizes_fit(const struct glet_problem_type *type, const int *units, int count);

/* a <= b with GLET_TOLERANCE_RATIO of slack on b. */
static inline bool glet_within(double a, double b)
{
    return a <= b + (b > 0 ? b : -b) * GLET_TOLERANCE_RATIO;
}

#endif
