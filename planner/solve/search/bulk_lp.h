/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_BULK_LP_H
#define GLET_PLANNER_BULK_LP_H

/*
 * A linear program of whole GPUs. The loudest gpu-let of a GPU sees the second loudest, and all
 * others see it: one threshold for all of a GPU's gpu-lets, as the levels of space.h have it, costs
 * half a per cent of the GPUs. Here every pair of a higher and a lower threshold has slots of its
 * own: a loud one on each GPU, of any size, whose gpu-let may be as loud as the higher and sees the
 * lower, and mild ones, the other way round. Too many kinds of slots to pack single gpu-lets into.
 *
 * Columns: gpu-lets of one model in a slot ("pieces"), slots of one pair that fill a GPU ("fills"),
 * and gpu-lets that leave no room beside them. Rows: the models' rates, and what slots there are.
 */

#include "planner/solve/space/halt.h"
#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/space.h"

#define GLET_BULK_SIZES 32 /* of gpu-lets, at most */
#define GLET_BULK_PAIRS (GLET_LEVELS_MAX * (GLET_LEVELS_MAX + 1) / 2)

struct glet_bulk_point { /* a gpu-let of one model */
    const struct glet_cell *cell;
    double least_factor; /* in company: the harshest of measured neighbours, or 1 */
    uint16_t model, batch;
    int16_t size;
    int16_t loudness; /* the first threshold that is not below its aggressor ratio */
};

enum glet_bulk_kind { GLET_BULK_OTHER, GLET_BULK_ALONE, GLET_BULK_PIECE, GLET_BULK_FILL };

struct glet_bulk_column {
    enum glet_bulk_kind kind;
    int pair;  /* PIECE, FILL */
    bool loud; /* PIECE */
    int at;    /* of the point (ALONE, PIECE) or of the fill */
};

struct glet_bulk_lp {
    const struct glet_problem *problem;
    const struct glet_problem_type *type;
    const double *rate_rps; /* [model] */
    struct glet_lp *lp;
    struct glet_bulk_column *columns; /* as in lp */
    int column_count, column_room;
    struct glet_bulk_point *points; /* those of a model follow each other */
    int point_count;
    int16_t *fills; /* glet_bulk_fill() */
    int fill_count, fill_room;
    int sizes, thresholds, pairs;
    double threshold_ratio[GLET_LEVELS_MAX];         /* ascending */
    int high[GLET_BULK_PAIRS], low[GLET_BULK_PAIRS]; /* [pair] */
    int pair_of[GLET_LEVELS_MAX][GLET_LEVELS_MAX];   /* [high][low] */
    double *model_price, *slot_price;                /* of the last solution */
};

/*
 * Of the space's only type, which interferes linearly and has at most GLET_BULK_SIZES sizes and no
 * layouts; memory is not looked at. space, rate_rps [model_count]: borrowed.
 */
void glet_bulk_lp_init(struct glet_bulk_lp *b, const struct glet_space *space,
                       const double *rate_rps);
void glet_bulk_lp_fini(struct glet_bulk_lp *b);

/* Generates columns until none is worth more than it costs. Returns -1 without a solution. */
int glet_bulk_lp_solve(struct glet_bulk_lp *b, const struct glet_halt *halt);

/* Numbers of slots [2 * sizes]: the mild ones by size, then the loud one. */
static inline const int16_t *glet_bulk_fill(const struct glet_bulk_lp *b, int fill)
{
    return b->fills + (size_t)fill * 2 * (size_t)b->sizes;
}

#endif
