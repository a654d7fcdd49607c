/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Columns: the size patterns of each type, and for each model ways to serve its whole demand, found
 * at the prices of the last solution (glet_price_model). Divisible pieces converge in a few rounds;
 * whole pieces follow, which raise the bound where a model needs only a few gpu-lets or where every
 * gpu-let costs memory.
 */
#include "planner/solve/bound.h"

#include "planner/solve/lp_glpk.h"
#include "planner/solve/scratch.h"

#include <math.h>
#include <stdlib.h>

/* Price of leaving a model out; far above any plan's cost per model. */
#define MISSING_COST 1e4

struct bound_lp {
    const struct glet_space *space;
    const double *cost;
    struct glet_lp *lp;
    int *model_row;            /* -1: no demand */
    int *size_row;             /* [type]: row of size 0 */
    int memory_row, stock_row; /* of type 0; the others follow */
    int *rows;                 /* scratch of one column */
    double *values, *use;
};

static void add_pattern(struct bound_lp *b, int g, const int16_t *uses)
{
    int n = 0;
    for (int s = 0; s < b->space->problem->types[g].size_count; s++)
        if (uses[s]) {
            b->rows[n] = b->size_row[g] + s;
            b->values[n++] = uses[s];
        }
    b->rows[n] = b->memory_row + g;
    b->values[n++] = 1;
    b->rows[n] = b->stock_row + g;
    b->values[n++] = 1;
    glet_lp_add_col(b->lp, b->cost[g], n, b->rows, b->values);
}

static void add_pieces(struct bound_lp *b, int m, const struct glet_payment *payment)
{
    const struct glet_problem *problem = b->space->problem;
    int width = glet_lp_row_count(b->lp), n = 0;
    double alone_cost = 0;
    for (int i = 0; i < width; i++)
        b->use[i] = 0;
    for (int i = 0; i < payment->piece_count; i++) {
        const struct glet_piece *piece = &payment->pieces[i];
        int g = piece->type;
        if (piece->size < 0) {
            b->use[b->stock_row + g] += piece->share;
            alone_cost += b->cost[g] * piece->share;
            continue;
        }
        b->use[b->size_row[g] + piece->size] -= piece->share;
        if (problem->types[g].memory_mib > 0) /* 0: nothing in it needs any */
            b->use[b->memory_row + g] -=
                (piece->memory_mib + piece->share * problem->types[g].context_mib) /
                problem->types[g].memory_mib;
    }
    /* The weights of whole pieces add up to the demand, their rates only nearly. */
    for (int i = 0; i < payment->piece_count; i++)
        b->use[b->model_row[m]] += payment->pieces[i].rate_rps / problem->models[m].demand_rps;
    for (int i = 0; i < width; i++)
        if (b->use[i] != 0) {
            b->rows[n] = i;
            b->values[n++] = b->use[i];
        }
    glet_lp_add_col(b->lp, alone_cost, n, b->rows, b->values);
}

static void build(struct bound_lp *b)
{
    const struct glet_problem *problem = b->space->problem;
    b->lp = glet_lp_new();
    b->model_row = glet_must_alloc(sizeof *b->model_row, (size_t)problem->model_count);
    b->size_row = glet_must_alloc(sizeof *b->size_row, (size_t)problem->type_count);
    for (int m = 0; m < problem->model_count; m++) {
        b->model_row[m] = -1;
        if (problem->models[m].demand_rps > 0) {
            b->model_row[m] = glet_lp_add_rows(b->lp, 1);
            glet_lp_row_at_least(b->lp, b->model_row[m], 1);
        }
    }
    for (int g = 0; g < problem->type_count; g++) {
        b->size_row[g] = glet_lp_add_rows(b->lp, problem->types[g].size_count);
        for (int s = 0; s < problem->types[g].size_count; s++)
            glet_lp_row_at_least(b->lp, b->size_row[g] + s, 0);
    }
    b->memory_row = glet_lp_add_rows(b->lp, problem->type_count);
    b->stock_row = glet_lp_add_rows(b->lp, problem->type_count);
    for (int g = 0; g < problem->type_count; g++) {
        if (problem->types[g].memory_mib > 0)
            glet_lp_row_at_least(b->lp, b->memory_row + g, 0);
        if (problem->types[g].count >= 0)
            glet_lp_row_at_most(b->lp, b->stock_row + g, problem->types[g].count);
    }
    size_t width = (size_t)glet_lp_row_count(b->lp) + 1;
    b->rows = glet_must_alloc(sizeof *b->rows, width);
    b->values = glet_must_alloc(sizeof *b->values, width);
    b->use = glet_must_alloc(sizeof *b->use, width);
    double one = 1;
    for (int m = 0; m < problem->model_count; m++)
        if (b->model_row[m] >= 0)
            glet_lp_add_col(b->lp, MISSING_COST, 1, &b->model_row[m], &one);
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_patterns *patterns = &b->space->types[g].patterns;
        for (int p = 0; p < patterns->count; p++)
            add_pattern(b, g, patterns->uses + (size_t)p * (size_t)patterns->size_count);
    }
}

/* Reads the duals as prices; returns the number of patterns that they make worth adding. */
static int read_prices(struct bound_lp *b, struct glet_prices *prices)
{
    const struct glet_problem *problem = b->space->problem;
    int added = 0;
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_problem_type *t = &problem->types[g];
        for (int s = 0; s < t->size_count; s++)
            prices->sigma[g][s] = fmax(0, glet_lp_dual(b->lp, b->size_row[g] + s));
        prices->mu[g] = t->count < 0 ? 0 : fmax(0, -glet_lp_dual(b->lp, b->stock_row + g));
        prices->nu[g] =
            t->memory_mib > 0 ? fmax(0, glet_lp_dual(b->lp, b->memory_row + g)) / t->memory_mib : 0;
    }
    glet_prices_round(prices, problem);
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_problem_type *t = &problem->types[g];
        if (b->space->types[g].patterns.complete)
            continue;
        int64_t *price = glet_must_alloc(sizeof *price, (size_t)t->size_count);
        int16_t *uses = glet_must_alloc(sizeof *uses, (size_t)t->size_count);
        for (int s = 0; s < t->size_count; s++)
            price[s] = (int64_t)(prices->sigma[g][s] * 4294967296.0);
        double value = (double)glet_pattern_best(t, price, uses) / 4294967296.0;
        if (value + prices->nu[g] * t->memory_mib > (b->cost[g] + prices->mu[g]) * (1 + 1e-7)) {
            add_pattern(b, g, uses);
            added++;
        }
        free(price);
        free(uses);
    }
    return added;
}

static void copy_prices(struct glet_prices *to, const struct glet_prices *from,
                        const struct glet_problem *problem)
{
    for (int g = 0; g < problem->type_count; g++) {
        for (int s = 0; s < problem->types[g].size_count; s++)
            to->sigma[g][s] = from->sigma[g][s];
        to->nu[g] = from->nu[g];
        to->mu[g] = from->mu[g];
    }
}

/* One round: prices of the current solution, the bound they prove, new columns. */
static int improve(struct bound_lp *b, const struct glet_share_table *tables, int grid,
                   struct glet_prices *prices, double *payments, double *bound_out)
{
    const struct glet_problem *problem = b->space->problem;
    int added = read_prices(b, prices);
    for (int m = 0; m < problem->model_count; m++) {
        if (b->model_row[m] < 0)
            continue;
        struct glet_payment payment = glet_price_model(b->space, &tables[m], prices, b->cost,
                                                       problem->models[m].demand_rps, grid, true);
        payments[m] = payment.least;
        if (glet_lp_dual(b->lp, b->model_row[m]) > payment.least * (1 + 1e-6) + 1e-12 &&
            payment.piece_count) {
            add_pieces(b, m, &payment);
            added++;
        }
        free(payment.pieces);
    }
    *bound_out = glet_price_bound(b->space, prices, b->cost, payments);
    return added;
}

/* Whether more rounds cannot raise the bound to another whole number, or hardly at all. */
static bool settled(const struct bound_lp *b, double best, const struct glet_bound_options *options)
{
    double limit = glet_lp_objective(b->lp);
    return limit - best <= 1e-9 * best ||
           (options->round_up && (ceil(limit - 1e-6) <= ceil(best) || limit - best < 1e-4 * best));
}

double glet_bound_find(const struct glet_space *space, const double *cost,
                       const struct glet_bound_options *options, struct glet_prices *prices)
{
    const struct glet_problem *problem = space->problem;
    struct glet_share_table *tables = glet_shares_new(space);
    struct glet_prices now = {0};
    glet_prices_init(&now, problem);
    double *payments = glet_must_alloc(sizeof *payments, (size_t)problem->model_count);
    double best = 0;
    /* Divisible pieces are not columns of the second program: it starts again from their prices. */
    for (int phase = 0; phase < (options->piece_rounds > 0 ? 2 : 1) && isfinite(best); phase++) {
        struct bound_lp b = {.space = space, .cost = cost};
        build(&b);
        int rounds = phase ? options->piece_rounds : options->rounds;
        int grid = phase ? options->grid : 0;
        for (int m = 0; m < problem->model_count; m++) {
            if (b.model_row[m] < 0)
                continue;
            for (int g = 0; phase == 0 && g < problem->type_count; g++)
                for (int s = 0; s < problem->types[g].size_count; s++)
                    now.sigma[g][s] =
                        cost[g] * problem->types[g].sizes_units[s] / problem->types[g].units;
            struct glet_payment payment = glet_price_model(
                space, &tables[m], &now, cost, problem->models[m].demand_rps, grid, true);
            if (payment.piece_count)
                add_pieces(&b, m, &payment);
            else
                best = INFINITY; /* this model cannot be served anywhere */
            free(payment.pieces);
        }
        for (int round = 0; round < rounds && isfinite(best); round++) {
            if ((glet_halted(options->halt)) || glet_lp_solve(b.lp))
                break;
            double bound = 0;
            int added = improve(&b, tables, grid, &now, payments, &bound);
            if (bound > best) {
                best = bound;
                if (prices)
                    copy_prices(prices, &now, problem);
            }
            if (!added || settled(&b, best, options))
                break;
        }
        glet_lp_free(b.lp);
        free(b.model_row);
        free(b.size_row);
        free(b.rows);
        free(b.values);
        free(b.use);
    }
    free(payments);
    glet_prices_fini(&now, problem);
    glet_shares_free(tables, problem);
    return best;
}

double glet_bound_evaluate(const struct glet_space *space, const double *cost, int grid,
                           const struct glet_prices *prices)
{
    const struct glet_problem *problem = space->problem;
    struct glet_share_table *tables = glet_shares_new(space);
    double *payments = glet_must_alloc(sizeof *payments, (size_t)problem->model_count);
    for (int m = 0; m < problem->model_count; m++)
        if (problem->models[m].demand_rps > 0)
            payments[m] = glet_price_model(space, &tables[m], prices, cost,
                                           problem->models[m].demand_rps, grid, false)
                              .least;
    double bound = glet_price_bound(space, prices, cost, payments);
    free(payments);
    glet_shares_free(tables, problem);
    return bound;
}
