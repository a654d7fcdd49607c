/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * At fixed prices, what a model pays falls with its latency limit: a curve of its own, whatever the
 * others do. The cheapest split minimises the sum of the curves along paths that are no longer than
 * the SLOs: a linear program over the curves' lower convex hulls.
 *
 * The bound does not trust that program. Its duals are a flow through each app's stages; made
 * consistent, a flow F with w through each model proves, because no path is longer than the SLO,
 *
 *     sum of payments  >=  sum over models of min over limits (payment + w * limit)  -  F * SLO.
 *
 * A curve is known at a grid of limits. Between two of them a model pays at least what it pays at
 * the looser one, so for the bound every value stands at the limit before.
 */
#include "planner/solve/app_bound.h"

#include "planner/model/latency.h"
#include "planner/solve/bound.h"
#include "planner/solve/lp_glpk.h"
#include "planner/solve/scratch.h"
#include "planner/solve/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GRID   32   /* limits of a curve */
#define LEVELS 1    /* of interference: prices do not depend on it */
#define ROUNDS 60   /* of column generation, as for problems without apps */
#define SLACK  4e-9 /* of a path's length: several times the contract's */

struct app_prices {
    const struct glet_problem *problem;
    struct glet_problem *view;
    struct glet_space space;
    const double *cost;
    struct glet_prices prices;
    double *limit_ms, *payment; /* [model * GRID] */
    double *payments;           /* [model], at the loosest limits */
    double *weight;             /* [model], flow through it */
    double *split_ms;           /* [model] */
};

static bool is_priced(const struct app_prices *p, int m)
{
    return p->problem->models[m].in_app && p->problem->models[m].demand_rps > 0;
}

static void make_grid(struct app_prices *p)
{
    for (int m = 0; m < p->problem->model_count; m++) {
        double high = p->problem->models[m].limit_ms;
        double low = is_priced(p, m) ? glet_latency_best(p->problem, m).bound_ms : high;
        low = fmin(low, high);
        for (int j = 0; j < GRID; j++)
            p->limit_ms[m * GRID + j] =
                j == GRID - 1 ? high : low * pow(high / low, (double)j / (GRID - 1));
    }
}

static void price_models(struct app_prices *p, int j, double *out, size_t stride)
{
    for (int m = 0; m < p->problem->model_count; m++)
        p->view->models[m].limit_ms = p->limit_ms[m * GRID + j];
    struct glet_share_table *tables = glet_shares_new(&p->space);
    for (int m = 0; m < p->problem->model_count; m++)
        if (p->problem->models[m].demand_rps > 0 && (stride == 1 || is_priced(p, m)))
            out[(size_t)m * stride] = glet_price_model(&p->space, &tables[m], &p->prices, p->cost,
                                                       p->problem->models[m].demand_rps, 0, false)
                                          .least;
    glet_shares_free(tables, p->problem);
}

/* Index of the rows that one app starts with: one per edge (or source), then one per stage. */
struct app_rows {
    int edges, ends;
};

static int edge_count(const struct glet_problem_stage *stage)
{
    return stage->after_count > 0 ? stage->after_count : 1;
}

/*
 * Rows: per model its point on the curve; per edge "this stage ends after that one plus its own
 * time"; per stage "ends within the SLO". shift: payments stand one limit earlier.
 */
static struct glet_lp *build(const struct app_prices *p, bool shift, double room_ratio,
                             struct app_rows *rows)
{
    const struct glet_problem *problem = p->problem;
    struct glet_lp *lp = glet_lp_new();
    int models = problem->model_count, count = models, most = 2;
    for (int a = 0; a < problem->app_count; a++) {
        const struct glet_problem_app *app = &problem->apps[a];
        rows[a].edges = count;
        for (int s = 0; s < app->stage_count; s++)
            count += edge_count(&app->stages[s]);
        rows[a].ends = count;
        count += app->stage_count;
        most += 2 * (count - rows[a].edges);
    }
    int *index = glet_must_alloc(sizeof *index, (size_t)most);
    double *value = glet_must_alloc(sizeof *value, (size_t)most);
    glet_lp_add_rows(lp, count);
    for (int m = 0; m < models; m++) {
        if (!is_priced(p, m))
            continue;
        glet_lp_row_at_least(lp, m, 1);
        for (int j = 0; j < GRID; j++) {
            int n = 0;
            index[n] = m;
            value[n++] = 1;
            for (int a = 0; a < problem->app_count; a++)
                for (int s = 0, edge = rows[a].edges; s < problem->apps[a].stage_count; s++) {
                    const struct glet_problem_stage *stage = &problem->apps[a].stages[s];
                    for (int e = 0; e < edge_count(stage); e++, edge++)
                        if (stage->model == m) {
                            index[n] = edge;
                            value[n++] = -p->limit_ms[m * GRID + j] * room_ratio;
                        }
                }
            int at = shift && j < GRID - 1 ? j + 1 : j;
            glet_lp_add_col(lp, p->payment[m * GRID + at], n, index, value);
        }
    }
    for (int a = 0; a < problem->app_count; a++) {
        const struct glet_problem_app *app = &problem->apps[a];
        for (int row = rows[a].edges; row < rows[a].ends; row++)
            glet_lp_row_at_least(lp, row, 0);
        for (int end = 0; end < app->stage_count; end++) {
            int n = 0;
            for (int s = 0, edge = rows[a].edges; s < app->stage_count; s++)
                for (int e = 0; e < edge_count(&app->stages[s]); e++, edge++) {
                    bool after = app->stages[s].after_count > 0 && app->stages[s].after[e] == end;
                    if (s != end && !after)
                        continue;
                    index[n] = edge;
                    value[n++] = s == end ? 1 : -1;
                }
            index[n] = rows[a].ends + end;
            value[n++] = 1;
            glet_lp_row_at_most(lp, rows[a].ends + end, app->slo_ms);
            glet_lp_add_col(lp, 0, n, index, value);
        }
    }
    free(index);
    free(value);
    return lp;
}

/* Makes the duals of one app a flow, adds it to the models' weights; returns how much ends. */
static double add_flow(const struct app_prices *p, const struct glet_lp *lp,
                       const struct glet_problem_app *app, const struct app_rows *rows)
{
    double *through = glet_must_alloc(sizeof *through, (size_t)app->stage_count), all = 0;
    int edge = rows->ends;
    for (int s = app->stage_count - 1; s >= 0; s--) {
        const struct glet_problem_stage *stage = &app->stages[s];
        double ends = fmax(0, -glet_lp_dual(lp, rows->ends + s)), in = 0;
        through[s] += ends;
        all += ends;
        p->weight[stage->model] += through[s];
        edge -= edge_count(stage);
        for (int e = 0; e < stage->after_count; e++)
            in += fmax(0, glet_lp_dual(lp, edge + e));
        /* Without a way back the path starts here: a part of a path is no longer than all of it. */
        for (int e = 0; e < stage->after_count && in > 0; e++)
            through[stage->after[e]] += through[s] * (fmax(0, glet_lp_dual(lp, edge + e)) / in);
    }
    free(through);
    return all;
}

static double prove(struct app_prices *p)
{
    const struct glet_problem *problem = p->problem;
    struct app_rows *rows = glet_must_alloc(sizeof *rows, (size_t)problem->app_count);
    struct glet_lp *lp = build(p, true, 1, rows);
    double least = 0;
    int first = -1;
    bool solved = glet_lp_solve(lp) == 0;
    for (int a = 0; solved && a < problem->app_count; a++)
        least -=
            add_flow(p, lp, &problem->apps[a], &rows[a]) * problem->apps[a].slo_ms * (1 + SLACK);
    for (int m = 0; solved && m < problem->model_count; m++) {
        double best = INFINITY;
        if (!is_priced(p, m))
            continue;
        for (int j = 0; j < GRID; j++) {
            int at = j < GRID - 1 ? j + 1 : j;
            best = fmin(best, p->payment[m * GRID + at] + p->weight[m] * p->limit_ms[m * GRID + j]);
        }
        least += best * (1 - SLACK);
        p->payments[m] = 0; /* only their sum counts */
        first = first < 0 ? m : first;
    }
    if (first >= 0)
        p->payments[first] = fmax(0, least);
    glet_lp_free(lp);
    free(rows);
    p->space.problem = problem;
    return solved ? glet_price_bound(&p->space, &p->prices, p->cost, p->payments) : 0;
}

/* Limits of the cheapest split; false when there is none with that much room. */
static bool find_split(struct app_prices *p, double room_ratio)
{
    struct app_rows *rows = glet_must_alloc(sizeof *rows, (size_t)p->problem->app_count);
    struct glet_lp *lp = build(p, false, room_ratio, rows);
    bool solved = glet_lp_solve(lp) == 0;
    for (int m = 0, col = 0; solved && m < p->problem->model_count; m++) {
        p->split_ms[m] = p->problem->models[m].limit_ms;
        if (!is_priced(p, m))
            continue;
        double sum = 0, limit_ms = 0;
        for (int j = 0; j < GRID; j++, col++) {
            sum += glet_lp_value(lp, col);
            limit_ms += glet_lp_value(lp, col) * p->limit_ms[m * GRID + j] * room_ratio;
        }
        p->split_ms[m] = fmin(p->split_ms[m], limit_ms / fmax(1, sum) * (1 - 1e-9));
    }
    glet_lp_free(lp);
    free(rows);
    return solved;
}

bool glet_app_bound(const struct glet_problem *problem, struct glet_problem *view,
                    const double *cost, double room_ratio, const struct glet_halt *halt,
                    double *bound_out)
{
    struct app_prices p = {.problem = problem, .view = view, .cost = cost};
    size_t models = (size_t)problem->model_count;
    struct glet_bound_options options = {.rounds = ROUNDS, .halt = halt};
    p.limit_ms = glet_must_alloc(sizeof(double), models * GRID);
    p.payment = glet_must_alloc(sizeof(double), models * GRID);
    p.payments = glet_must_alloc(sizeof(double), models);
    p.weight = glet_must_alloc(sizeof(double), models);
    p.split_ms = glet_must_alloc(sizeof(double), models);
    for (size_t m = 0; m < models; m++)
        p.split_ms[m] = view->models[m].limit_ms;
    glet_prices_init(&p.prices, problem);
    glet_space_init(&p.space, view, LEVELS);
    glet_bound_find(&p.space, cost, &options, &p.prices);
    make_grid(&p);
    price_models(&p, GRID - 1, p.payments, 1);
    for (int j = 0; j < GRID; j++)
        price_models(&p, j, &p.payment[j], GRID);
    *bound_out = prove(&p);
    bool found = find_split(&p, room_ratio);
    for (size_t m = 0; m < models; m++)
        view->models[m].limit_ms = p.split_ms[m];
    if (found)
        glet_apps_grow(problem, view);
    glet_space_fini(&p.space);
    glet_prices_fini(&p.prices, problem);
    free(p.limit_ms);
    free(p.payment);
    free(p.payments);
    free(p.weight);
    free(p.split_ms);
    return found;
}
