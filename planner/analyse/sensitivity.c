/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One search for prices, then two tables of what every model must pay at those prices: as it is,
 * and with every latency limit a millisecond looser. A model's payment depends on its own rate and
 * limit only, so all differences come from these two tables.
 */
#include "planner/analyse/sensitivity.h"

#include "planner/solve/bound/bound.h"

#include <math.h>
#include <stdlib.h>

#define ROUNDS 60 /* of column generation: as the solver's own bound */

struct payments {
    struct glet_space space;
    struct glet_share_table *tables;
};

static double pay(const struct payments *p, int m, const struct glet_prices *prices,
                  const double *cost, double demand_rps)
{
    return glet_price_model(&p->space, &p->tables[m], prices, cost, demand_rps, 0, false).linear;
}

/* Change of the bound when model m pays `amount` instead; payments are restored. */
static double change(const struct payments *p, const struct glet_prices *prices, const double *cost,
                     double *paid, int m, double amount, double bound)
{
    double was = paid[m];
    paid[m] = amount;
    double value = glet_price_bound(&p->space, prices, cost, paid);
    paid[m] = was;
    return value - bound;
}

static double measure(const struct glet_problem *problem, const struct payments *as_is,
                      const struct payments *relaxed, const double *cost, double *paid,
                      struct glet_sensitivity *out)
{
    struct glet_prices prices;
    struct glet_bound_options options = {.rounds = ROUNDS};
    glet_prices_init(&prices, problem);
    double bound = glet_bound_find(&as_is->space, cost, &options, &prices);
    glet_prices_round(&prices, problem);
    for (int m = 0; m < problem->model_count; m++) {
        double demand_rps = problem->models[m].demand_rps;
        paid[m] = demand_rps > 0 ? pay(as_is, m, &prices, cost, demand_rps) : 0;
    }
    double value = isfinite(bound) ? glet_price_bound(&as_is->space, &prices, cost, paid) : bound;
    for (int m = 0; m < problem->model_count; m++) {
        double demand_rps = problem->models[m].demand_rps;
        out[m] = (struct glet_sensitivity){0};
        if (demand_rps <= 0 || !isfinite(value))
            continue;
        double step_rps = fmax(1, demand_rps / 100);
        double more = pay(as_is, m, &prices, cost, demand_rps + step_rps);
        double looser = fmin(paid[m], pay(relaxed, m, &prices, cost, demand_rps));
        out[m].per_rps = fmax(0, change(as_is, &prices, cost, paid, m, more, value) / step_rps);
        out[m].per_ms = fmax(0, -change(as_is, &prices, cost, paid, m, looser, value));
        out[m].share = fmax(0, -change(as_is, &prices, cost, paid, m, 0, value));
    }
    glet_prices_fini(&prices, problem);
    return value;
}

double glet_sensitivity(const struct glet_problem *problem, struct glet_sensitivity *out,
                        struct glet_error *err)
{
    struct glet_problem *looser = glet_problem_view(problem);
    double *cost = malloc(((size_t)problem->type_count + 1) * sizeof *cost);
    double *paid = malloc(((size_t)problem->model_count + 1) * sizeof *paid);
    double value = -1;
    if (looser && cost && paid) {
        for (int m = 0; m < problem->model_count; m++)
            looser->models[m].limit_ms += 1;
        for (int t = 0; t < problem->type_count; t++)
            cost[t] = problem->objective == GLET_MIN_COST ? problem->types[t].cost_per_hour : 1;
        struct payments as_is, relaxed;
        glet_space_init(&as_is.space, problem, 1);
        glet_space_init(&relaxed.space, looser, 1);
        as_is.tables = glet_shares_new(&as_is.space);
        relaxed.tables = glet_shares_new(&relaxed.space);
        value = measure(problem, &as_is, &relaxed, cost, paid, out);
        glet_shares_free(as_is.tables, problem);
        glet_shares_free(relaxed.tables, looser);
        glet_space_fini(&as_is.space);
        glet_space_fini(&relaxed.space);
    } else {
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    }
    free(cost);
    free(paid);
    glet_problem_free(looser);
    return value;
}
