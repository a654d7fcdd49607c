/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_MASTER_H
#define GLET_PLANNER_MASTER_H

/*
 * The two-level master program. Columns: atoms (gpu-lets of a type, a level and a size) and size
 * patterns (GPUs of a type and a level). Rows: the residual demand of every model, the balance of
 * slots and gpu-lets for every (type, level, size), the stock and the memory of every type.
 *
 * Atoms that were committed move to the right-hand sides. An atom's rate of a model counts up to
 * the model's residual demand ("capped"), which is what makes the program's bound good.
 */

#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/space.h"

struct glet_placed { /* an atom somewhere in the space */
    int16_t type, level;
    struct glet_atom atom;
};

struct glet_placed_list {
    struct glet_placed *list;
    int count, room;
};

void glet_placed_add(struct glet_placed_list *list, const struct glet_placed *placed);
void glet_placed_free(struct glet_placed_list *list);

struct glet_master {
    const struct glet_space *space;
    struct glet_lp *lp;
    double *demand_rps, *residual_rps; /* [model] */
    int fixed_cols;                    /* patterns, shifts, artificials: before the pool's */
    struct glet_placed_list pool;      /* pool.list[i] is column fixed_cols + i */
    struct glet_placed_list committed;
    bool capped;
    double stock_ratio;  /* share of each limited stock that may be used; 1 at first */
    double memory_ratio; /* share of each GPU's memory that is counted on */
    /* Prices of the last solution. */
    double *model_price;  /* [model], per request per second of residual demand */
    double *size_price;   /* glet_master_size_price() */
    double *gpu_price;    /* [type]: cost and rent of a whole GPU */
    double *memory_price; /* [type], per MiB */
    /* Private: rows. */
    int *model_row;   /* -1: none any more */
    int model_rows;   /* the first rows are models' */
    int *level_start; /* [type]: index of (type, level 1, size 0) among size rows */
    int size_rows;
    int *size_count_fixed; /* committed atoms per size row */
    int *alone_fixed;      /* [type] */
    double *memory_fixed_mib;
    int scratch_room;
    int *scratch_rows;
    double *scratch_values;
};

/* demand_rps [model_count]; copied. memory_ratio: in (0, 1]. */
void glet_master_init(struct glet_master *master, const struct glet_space *space,
                      const double *demand_rps, double memory_ratio);
void glet_master_fini(struct glet_master *master);

/* Solves the linear program and reads the prices. Returns -1 when it has no solution. */
int glet_master_solve(struct glet_master *master);

void glet_master_add(struct glet_master *master, const struct glet_placed *placed);

/* Takes one copy of the atom into the plan: lowers the residual demands. Follow by refresh. */
void glet_master_commit(struct glet_master *master, const struct glet_placed *placed);

/* Rewrites right-hand sides and columns after commits; drops satisfied rows and dead columns. */
void glet_master_refresh(struct glet_master *master, bool capped);

/* Drops unpromising nonbasic atoms when there are more than most. */
void glet_master_purge(struct glet_master *master, int most);

/* Value of pool atom i in the last solution. */
double glet_master_value(const struct glet_master *master, int i);

/* What the atom costs at the current prices, and what its (capped) rates are worth. */
double glet_master_price(const struct glet_master *master, const struct glet_placed *placed);
double glet_master_worth(const struct glet_master *master, const struct glet_placed *placed);

static inline double glet_master_size_price(const struct glet_master *master, int type, int level,
                                            int size)
{
    int sizes = master->space->problem->types[type].size_count;
    return master->size_price[master->level_start[type] + (level - 1) * sizes + size];
}

/* The memory that is counted on per GPU of the type, as gpu-lets charge it one by one. */
double glet_master_memory_mib(const struct glet_master *master, int type);

/* Models whose residual demand is not yet 0. */
int glet_master_open_models(const struct glet_master *master);

#endif
