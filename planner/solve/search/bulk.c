/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/bulk.h"

#include "planner/solve/search/bulk_lp.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_PER_MODEL 3 /* GPUs */

/* Copies of each column that stay open, for what is left of the models to be combined with. */
#define KEEP_OPEN 1

struct stock { /* gpu-lets of one pair of thresholds that wait for a place */
    int *column, *copies;
    int count;
};

static struct glet_atom atom_of(const struct glet_bulk_lp *b, int column)
{
    const struct glet_bulk_point *point = &b->points[b->columns[column].at];
    return glet_atom_single(point->size, point->model, point->batch);
}

static bool take_piece(const struct glet_bulk_lp *b, struct stock *stock, bool loud, int size,
                       struct glet_box *box)
{
    for (int i = 0; i < stock->count; i++) {
        const struct glet_bulk_column *column = &b->columns[stock->column[i]];
        if (stock->copies[i] == 0 || column->loud != loud || b->points[column->at].size != size)
            continue;
        stock->copies[i]--;
        box->atoms[box->count++] = atom_of(b, stock->column[i]);
        return true;
    }
    return false;
}

/* Fills a GPU from the stock; false, and it keeps what it took, when a slot would stay empty. */
static bool build(const struct glet_bulk_lp *b, struct stock *stock, const int16_t *fill,
                  struct glet_box *box)
{
    *box = (struct glet_box){0};
    for (int s = b->sizes - 1; s >= 0; s--) {
        if (fill[b->sizes + s] && !take_piece(b, stock, true, s, box))
            return false;
        for (int n = 0; n < fill[s]; n++)
            if (!take_piece(b, stock, false, s, box))
                return false;
    }
    return glet_box_evaluate(b->problem, box);
}

static void take(const struct glet_box *box, double *left_rps, struct glet_boxes *out)
{
    glet_boxes_add(out, box);
    for (int a = 0; a < box->count; a++) {
        double *left = &left_rps[box->atoms[a].model[0]];
        *left = fmax(0, *left - glet_atom_rate_rps(&box->atoms[a], 0));
    }
}

/* Whole copies of the column that may be taken. */
static int copies_of(const struct glet_bulk_lp *b, int column)
{
    return (int)floor(glet_lp_value(b->lp, column) + 1e-6 - KEEP_OPEN);
}

static void take_pair(const struct glet_bulk_lp *b, int pair, struct stock *stock, double *left_rps,
                      struct glet_boxes *out)
{
    stock->count = 0;
    for (int i = 0; i < b->column_count; i++)
        if (b->columns[i].kind == GLET_BULK_PIECE && b->columns[i].pair == pair &&
            copies_of(b, i) > 0) {
            stock->column[stock->count] = i;
            stock->copies[stock->count++] = copies_of(b, i);
        }
    for (int i = 0; i < b->column_count; i++) {
        if (b->columns[i].kind != GLET_BULK_FILL || b->columns[i].pair != pair)
            continue;
        const int16_t *fill = glet_bulk_fill(b, b->columns[i].at);
        struct glet_box box;
        for (int c = copies_of(b, i); c > 0 && build(b, stock, fill, &box); c--)
            take(&box, left_rps, out);
    }
}

static void take_all(const struct glet_bulk_lp *b, double *left_rps, struct glet_boxes *out)
{
    struct stock stock = {0};
    stock.column = glet_must_alloc(sizeof *stock.column, (size_t)b->column_count);
    stock.copies = glet_must_alloc(sizeof *stock.copies, (size_t)b->column_count);
    for (int i = 0; i < b->column_count; i++) {
        if (b->columns[i].kind != GLET_BULK_ALONE)
            continue;
        struct glet_box box = {.count = 1};
        box.atoms[0] = atom_of(b, i);
        for (int c = copies_of(b, i); c > 0 && glet_box_evaluate(b->problem, &box); c--)
            take(&box, left_rps, out);
    }
    for (int q = 0; q < b->pairs; q++)
        take_pair(b, q, &stock, left_rps, out);
    free(stock.column);
    free(stock.copies);
}

static bool pays(const struct glet_space *space, double load, const double *rate_rps)
{
    const struct glet_problem *problem = space->problem;
    const struct glet_problem_type *type = &problem->types[0];
    int models = 0;
    for (int m = 0; m < problem->model_count; m++)
        models += rate_rps[m] > 0;
    return load >= LOAD_PER_MODEL * models && problem->type_count == 1 && type->linear &&
           space->types[0].even_count > 1 && type->layout_count == 0 &&
           !space->types[0].memory_binds && type->size_count <= GLET_BULK_SIZES &&
           space->types[0].patterns.complete;
}

void glet_bulk_take(const struct glet_space *space, double load, const struct glet_halt *halt,
                    double *rate_rps, struct glet_boxes *out)
{
    if (!pays(space, load, rate_rps))
        return;
    size_t bytes = sizeof *rate_rps * (size_t)space->problem->model_count;
    double *left_rps = glet_must_alloc(1, bytes);
    struct glet_bulk_lp b;
    memcpy(left_rps, rate_rps, bytes);
    glet_bulk_lp_init(&b, space, rate_rps);
    if (glet_bulk_lp_solve(&b, halt) == 0)
        take_all(&b, left_rps, out);
    glet_bulk_lp_fini(&b);
    for (int m = 0; m < space->problem->model_count; m++)
        rate_rps[m] = left_rps[m] > rate_rps[m] * GLET_TOLERANCE_RATIO ? left_rps[m] : 0;
    free(left_rps);
}
