/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Columns: the size patterns of each type, and for each model ways to serve its whole demand, found
 * at the prices of the last solution (glet_price_model). Divisible pieces converge in a few rounds;
 * whole pieces follow, which raise the bound where a model needs only a few gpu-lets or where every
 * gpu-let costs memory. For these, a size costs the same in all intervals: more prices than that
 * prove nothing more there (benchmarks/planner/fleets), and take up to twice as long.
 */
#include "planner/solve/bound/bound.h"

#include "planner/solve/bound/bound_lp.h"
#include "planner/solve/bound/slots.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One round: prices of the current solution, the bound they prove, new columns. */
static int improve(struct glet_bound_lp *b, const struct glet_share_table *tables, int grid,
                   struct glet_prices *prices, double *payments, double *bound_out)
{
    const struct glet_problem *problem = b->space->problem;
    int added = glet_bound_lp_prices(b, prices);
    for (int m = 0; m < problem->model_count; m++) {
        if (b->model_row[m] < 0)
            continue;
        struct glet_payment payment = glet_price_model(b->space, &tables[m], prices, b->cost,
                                                       problem->models[m].demand_rps, grid, true);
        payments[m] = payment.least;
        if (glet_lp_dual(b->lp, b->model_row[m]) > payment.least * (1 + 1e-6) + 1e-12 &&
            payment.piece_count) {
            glet_bound_lp_add(b, m, &payment);
            added++;
        }
        free(payment.pieces);
    }
    *bound_out = glet_price_bound(b->space, prices, b->cost, payments);
    return added;
}

/*
 * Whether more rounds cannot raise the bound to another whole number, or hardly at all. Intervals
 * prove more than one price per size by little: they are worth the last rounds.
 */
static bool settled(const struct glet_bound_lp *b, double best,
                    const struct glet_bound_options *options)
{
    double limit = glet_lp_objective(b->lp), hardly_ratio = 1e-4;
    for (int g = 0; g < b->space->problem->type_count; g++)
        if (glet_bound_lp_intervals(b, g) > 1)
            hardly_ratio = 2e-6;
    return limit - best <= 1e-9 * best ||
           (options->round_up &&
            (ceil(limit - 1e-6) <= ceil(best) || limit - best < hardly_ratio * best));
}

/* Where a size costs the same in all intervals, the others are not worth a look. */
static void keep_mildest(struct glet_share_table *table)
{
    int kept = 0;
    for (int i = 0; i < table->count; i++)
        if (table->list[i].seen == 0)
            table->list[kept++] = table->list[i];
    table->count = kept;
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
        struct glet_bound_lp b;
        glet_bound_lp_init(&b, space, cost, options->piece_rounds > 0, tables);
        int rounds = phase ? options->piece_rounds : options->rounds;
        int grid = phase ? options->grid : 0;
        for (int m = 0; m < problem->model_count; m++) {
            if (b.model_row[m] < 0)
                continue;
            if (b.merged)
                keep_mildest(&tables[m]);
            for (int g = 0; phase == 0 && g < problem->type_count; g++)
                for (int s = 0; s < glet_slots_count(problem, g); s++)
                    now.sigma[g][s] =
                        cost[g] * problem->types[g].sizes_units[s % problem->types[g].size_count] /
                        problem->types[g].units;
            struct glet_payment payment = glet_price_model(
                space, &tables[m], &now, cost, problem->models[m].demand_rps, grid, true);
            if (payment.piece_count)
                glet_bound_lp_add(&b, m, &payment);
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
                    glet_prices_copy(prices, &now, problem);
            }
            if (!added || settled(&b, best, options))
                break;
        }
        glet_bound_lp_fini(&b);
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
