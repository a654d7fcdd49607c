/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every round adds the best columns of every model and the best fills of every pair. A slot that no
 * fill offers yet has no price and would look free to all models, so it counts as worth its units,
 * less a little.
 */
#include "planner/solve/search/bulk_lp.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS     100 /* more than are needed */
#define PRICE_UNIT 1e12

/*
 * What a slot is worth at least, of its share of a GPU: one after the other. Room that a large gpu-let
 * leaves and few models can use is worth little.
 */
static const double least_worths[] = {0.9, 0.5, 0.05};

static int slot(const struct glet_bulk_lp *b, int pair, bool loud, int size)
{
    return (pair * 2 + loud) * b->sizes + size;
}

static int slot_row(const struct glet_bulk_lp *b, int pair, bool loud, int size)
{
    return b->problem->model_count + slot(b, pair, loud, size);
}

/* What the gpu-let serves at this factor, requests per second; 0 = it misses its limit. */
static double rate_at(const struct glet_bulk_lp *b, const struct glet_bulk_point *point,
                      double factor)
{
    double exec_ms = point->cell->latency_ms * factor;
    bool good = 2 * exec_ms <= b->problem->models[point->model].limit_ms;
    return good ? 1000.0 * point->batch / exec_ms : 0;
}

static double rate_beside(const struct glet_bulk_lp *b, const struct glet_bulk_point *point,
                          int threshold)
{
    double seen = point->cell->victim_ratio + b->threshold_ratio[threshold];
    return rate_at(b, point, fmax(point->least_factor, seen));
}

static bool fills_gpu(const struct glet_bulk_lp *b, int size)
{
    return b->type->sizes_units[size] + b->type->sizes_units[0] > b->type->units;
}

static void add_column(struct glet_bulk_lp *b, struct glet_bulk_column column, double cost,
                       int count, const int *rows, const double *values)
{
    if (b->column_count == b->column_room) {
        b->column_room = b->column_room ? 2 * b->column_room : 4096;
        b->columns = glet_must_resize(b->columns, sizeof *b->columns, (size_t)b->column_room);
    }
    b->columns[b->column_count++] = column;
    glet_lp_add_col(b->lp, cost, count, rows, values);
}

static void add_alone(struct glet_bulk_lp *b, int at)
{
    int row = b->points[at].model;
    double share = rate_at(b, &b->points[at], 1) / b->rate_rps[row];
    add_column(b, (struct glet_bulk_column){.kind = GLET_BULK_ALONE, .at = at}, 1, 1, &row, &share);
}

static void add_piece(struct glet_bulk_lp *b, int at, int pair, bool loud)
{
    const struct glet_bulk_point *point = &b->points[at];
    int seen = loud ? b->low[pair] : b->high[pair];
    int rows[2] = {point->model, slot_row(b, pair, loud, point->size)};
    double values[2] = {rate_beside(b, point, seen) / b->rate_rps[point->model], -1};
    add_column(b, (struct glet_bulk_column){GLET_BULK_PIECE, pair, loud, at}, 0, 2, rows, values);
}

/* loud: size of the loud slot, or -1; mild [size]: numbers of the others. */
static void add_fill(struct glet_bulk_lp *b, int pair, int loud, const int16_t *mild)
{
    int rows[GLET_BULK_SIZES + 1], count = 0;
    double values[GLET_BULK_SIZES + 1];
    if (b->fill_count == b->fill_room) {
        b->fill_room = b->fill_room ? 2 * b->fill_room : 1024;
        b->fills = glet_must_resize(b->fills, sizeof *b->fills * 2 * (size_t)b->sizes,
                                    (size_t)b->fill_room);
    }
    int16_t *fill = b->fills + (size_t)b->fill_count * 2 * (size_t)b->sizes;
    memset(fill, 0, sizeof *fill * 2 * (size_t)b->sizes);
    if (loud >= 0) {
        fill[b->sizes + loud] = 1;
        rows[count] = slot_row(b, pair, true, loud);
        values[count++] = 1;
    }
    for (int s = 0; s < b->sizes; s++)
        if (mild[s]) {
            fill[s] = mild[s];
            rows[count] = slot_row(b, pair, false, s);
            values[count++] = mild[s];
        }
    add_column(
        b, (struct glet_bulk_column){.kind = GLET_BULK_FILL, .pair = pair, .at = b->fill_count++},
        1, count, rows, values);
}

/* A slot of one kind used as another: for a smaller gpu-let, or a mild one in the loud slot. */
static void add_shift(struct glet_bulk_lp *b, int from, int to)
{
    int rows[2] = {from, to};
    double values[2] = {-1, 1};
    add_column(b, (struct glet_bulk_column){.kind = GLET_BULK_OTHER}, 0, 2, rows, values);
}

static void add_point(struct glet_bulk_lp *b, struct glet_bulk_point point)
{
    const struct glet_cell_row *row = &b->type->rows[point.model * b->sizes + point.size];
    const struct glet_victim *victim =
        row->victims ? &row->victims[point.batch - row->first_batch] : NULL;
    if (rate_at(b, &point, 1) <= 0)
        return;
    point.least_factor = victim && victim->pair_count ? victim->harshest_ratio : 1;
    while (point.loudness < b->thresholds &&
           b->threshold_ratio[point.loudness] < point.cell->aggressor_ratio)
        point.loudness++;
    if (b->point_count % 4096 == 0)
        b->points = glet_must_resize(b->points, sizeof *b->points, (size_t)b->point_count + 4096);
    b->points[b->point_count++] = point;
}

static void list_points(struct glet_bulk_lp *b, int m)
{
    for (int s = 0; s < b->sizes; s++) {
        const struct glet_cell_row *row = &b->type->rows[m * b->sizes + s];
        for (int i = 0; row->cells && i <= row->last_batch - row->first_batch; i++)
            add_point(b, (struct glet_bulk_point){.cell = &row->cells[i],
                                                  .model = (uint16_t)m,
                                                  .batch = (uint16_t)(row->first_batch + i),
                                                  .size = (int16_t)s});
    }
}

/* What may be missing of a model, fills of one threshold, and slots used as smaller or milder ones. */
static void add_fixed(struct glet_bulk_lp *b, const struct glet_space *space)
{
    const struct glet_patterns *patterns = &space->types[0].patterns;
    const double cost = 1, one = 1;
    for (int m = 0; m < b->problem->model_count; m++)
        if (b->rate_rps[m] > 0)
            add_column(b, (struct glet_bulk_column){.kind = GLET_BULK_OTHER},
                       glet_space_missing_cost(space, &cost, m, b->rate_rps[m]), 1, &m, &one);
    for (int q = 0; q < b->pairs; q++) {
        for (int p = 0; p < patterns->count && b->high[q] == b->low[q]; p++)
            add_fill(b, q, -1, patterns->uses + (size_t)p * (size_t)b->sizes);
        for (int s = 0; s < b->sizes; s++) {
            add_shift(b, slot_row(b, q, true, s), slot_row(b, q, false, s));
            for (int loud = 0; loud < 2 && s > 0; loud++)
                add_shift(b, slot_row(b, q, loud, s), slot_row(b, q, loud, s - 1));
        }
    }
}

static void init_pairs(struct glet_bulk_lp *b, const struct glet_space_type *type)
{
    b->thresholds = type->even_count;
    for (int i = 0; i < b->thresholds; i++) {
        b->threshold_ratio[i] = type->loud[i + 1];
        for (int j = 0; j <= i; j++) {
            b->high[b->pairs] = i;
            b->low[b->pairs] = j;
            b->pair_of[i][j] = b->pairs++;
        }
    }
}

void glet_bulk_lp_init(struct glet_bulk_lp *b, const struct glet_space *space,
                       const double *rate_rps)
{
    const struct glet_problem *problem = space->problem;
    *b = (struct glet_bulk_lp){.problem = problem,
                               .type = &problem->types[0],
                               .rate_rps = rate_rps,
                               .sizes = problem->types[0].size_count,
                               .lp = glet_lp_new()};
    init_pairs(b, &space->types[0]);
    b->model_price = glet_must_alloc(sizeof(double), (size_t)problem->model_count);
    b->slot_price = glet_must_alloc(sizeof(double), (size_t)(b->pairs * 2 * b->sizes));
    for (int m = 0; m < problem->model_count; m++)
        if (rate_rps[m] > 0)
            list_points(b, m);
    int rows = slot_row(b, b->pairs, false, 0);
    glet_lp_add_rows(b->lp, rows);
    for (int row = 0; row < rows; row++)
        if (row >= problem->model_count)
            glet_lp_row_at_least(b->lp, row, 0);
        else if (rate_rps[row] > 0)
            glet_lp_row_at_least(b->lp, row, 1);
    add_fixed(b, space);
}

void glet_bulk_lp_fini(struct glet_bulk_lp *b)
{
    glet_lp_free(b->lp);
    free(b->points);
    free(b->columns);
    free(b->fills);
    free(b->model_price);
    free(b->slot_price);
}

struct choice {     /* of a model's columns */
    double promise; /* worth / price */
    int at, pair;   /* of the point, of thresholds; pair < 0: alone */
};

/* Looks at a point in all slots, for something better than the choices. */
static void look(const struct glet_bulk_lp *b, int at, double least_worth, struct choice *mild,
                 struct choice *loud)
{
    const struct glet_bulk_point *point = &b->points[at];
    double per_rps = b->model_price[point->model];
    if (fills_gpu(b, point->size)) {
        double worth = per_rps * rate_at(b, point, 1);
        if (worth > mild->promise)
            *mild = (struct choice){worth, at, -1};
        return;
    }
    double least = least_worth * b->type->sizes_units[point->size] / b->type->units;
    for (int seen = 0; seen < b->thresholds; seen++) {
        double worth = per_rps * rate_beside(b, point, seen);
        for (int i = point->loudness; i < b->thresholds && worth > least; i++) { /* i: its limit */
            bool is_mild = i <= seen;
            int q = b->pair_of[is_mild ? seen : i][is_mild ? i : seen];
            double price = fmax(least, b->slot_price[slot(b, q, !is_mild, point->size)]);
            struct choice *best = is_mild ? mild : loud;
            if (worth > best->promise * price)
                *best = (struct choice){worth / price, at, q};
        }
    }
}

static int price_pieces(struct glet_bulk_lp *b, double least_worth)
{
    int added = 0;
    for (int first = 0, end; first < b->point_count; first = end) {
        struct choice mild = {1 + 1e-5, -1, -1}, loud = mild;
        for (end = first; end < b->point_count && b->points[end].model == b->points[first].model;
             end++)
            look(b, end, least_worth, &mild, &loud);
        if (mild.at >= 0 && mild.pair < 0)
            add_alone(b, mild.at);
        else if (mild.at >= 0)
            add_piece(b, mild.at, mild.pair, false);
        if (loud.at >= 0)
            add_piece(b, loud.at, loud.pair, true);
        added += (mild.at >= 0) + (loud.at >= 0);
    }
    return added;
}

/* Adds the best fill beside each size of loud slot, and without one, where it is worth more than a GPU. */
static int price_fills(struct glet_bulk_lp *b)
{
    int64_t mild_price[GLET_BULK_SIZES];
    int16_t mild[GLET_BULK_SIZES];
    int added = 0;
    for (int q = 0; q < b->pairs; q++) {
        for (int s = 0; s < b->sizes; s++)
            mild_price[s] = (int64_t)(b->slot_price[slot(b, q, false, s)] * PRICE_UNIT);
        for (int s = -1; s < b->sizes; s++) {
            double loud = s < 0 ? 0 : b->slot_price[slot(b, q, true, s)];
            if (s >= 0 && loud <= 0)
                continue;
            int64_t rest = s < 0 ? glet_pattern_best(b->type, mild_price, mild)
                                 : glet_pattern_best_beside(b->type, s, mild_price, mild);
            if (loud + (double)rest / PRICE_UNIT <= 1 + 1e-6)
                continue;
            add_fill(b, q, s, mild);
            added++;
        }
    }
    return added;
}

static void read_prices(struct glet_bulk_lp *b)
{
    int models = b->problem->model_count;
    for (int m = 0; m < models; m++)
        b->model_price[m] = b->rate_rps[m] > 0 ? glet_lp_dual(b->lp, m) / b->rate_rps[m] : 0;
    for (int i = 0; i < b->pairs * 2 * b->sizes; i++)
        b->slot_price[i] = fmax(0, glet_lp_dual(b->lp, models + i));
}

int glet_bulk_lp_solve(struct glet_bulk_lp *b, const struct glet_halt *halt)
{
    for (size_t i = 0; i < sizeof least_worths / sizeof least_worths[0]; i++)
        for (int round = 0, added = 1; round < ROUNDS && added; round++) {
            if (glet_halted(halt) || glet_lp_solve(b->lp))
                return -1;
            read_prices(b);
            added = price_pieces(b, least_worths[i]) + price_fills(b);
        }
    return glet_lp_solve(b->lp);
}
