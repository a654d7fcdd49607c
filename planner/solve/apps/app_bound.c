/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * At fixed prices, what a model pays falls with its latency limit: a curve of its own, whatever the
 * others do. The cheapest split minimises the sum of the curves along paths that are no longer than
 * the SLOs: a linear program over points of the curves.
 *
 * The bound does not trust that program. Its duals are a flow through each app's stages; made
 * consistent, in whole units, a flow F with w through each model proves, because no path is longer
 * than the SLO,
 *
 *     sum of payments  >=  sum over models of min over limits (payment + w * limit)  -  F * SLO.
 *
 * Between two points of a curve a model pays at least what it pays at the looser one. Where that
 * makes the minimum uncertain a point is added between them, so that few points, not a fine grid,
 * say what the flow needs to know.
 */
#include "planner/solve/apps/app_bound.h"

#include "planner/model/latency.h"
#include "planner/solve/apps/split.h"
#include "planner/solve/bound/bound.h"
#include "planner/solve/bound/slots.h"
#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POINTS       48              /* of a curve, at most */
#define FIRST_POINTS 6               /* of them, evenly spread */
#define LEVELS       1               /* of interference: prices do not depend on it */
#define ROUNDS       60              /* of column generation, as for problems without apps */
#define PIECE_ROUNDS 30              /* the same for whole pieces */
#define FLOWS        8               /* times that the flow is found anew */
#define REFINEMENTS  4               /* points that each flow may add to a curve */
#define ACCURACY     5e-4            /* of the bound, between two points */
#define SLACK        4e-9            /* of a path's length: several times the contract's */
#define FLOW_UNIT    1099511627776.0 /* 2^40 units are one GPU per ms */

struct point {
    double limit_ms, payment;
};

struct curve { /* limits ascending; count 0: no split can change what the model pays */
    struct point points[POINTS];
    int count;
};

/* Index of the rows that one app starts with: one per edge (or source), then one per stage. */
struct app_rows {
    int edges, ends;
};

struct app_prices {
    const struct glet_problem *problem;
    struct glet_problem *view;
    const struct glet_app_bound_options *options;
    struct glet_space space;
    const double *cost;
    struct glet_prices prices;
    struct curve *curves;  /* [model] */
    double *wanted_ms;     /* [model], scratch: limit of the next point; 0 = none */
    double *payments;      /* [model], at the loosest limits */
    int64_t *weight;       /* [model], flow through it */
    double *split_ms;      /* [model] */
    struct app_rows *rows; /* [app] */
};

static bool is_priced(const struct app_prices *p, int m)
{
    return p->problem->models[m].in_app && p->problem->models[m].demand_rps > 0;
}

static void add_point(struct curve *curve, struct point point)
{
    int at = curve->count++;
    for (; at > 0 && curve->points[at - 1].limit_ms > point.limit_ms; at--)
        curve->points[at] = curve->points[at - 1];
    curve->points[at] = point;
}

/* What the models with a wanted limit pay there. */
static void price_wanted(struct app_prices *p)
{
    const struct glet_problem *problem = p->problem;
    for (int m = 0; m < problem->model_count; m++) {
        p->view->models[m].limit_ms = p->wanted_ms[m];
        p->view->models[m].demand_rps = p->wanted_ms[m] > 0 ? problem->models[m].demand_rps : 0;
    }
    struct glet_share_table *tables = glet_shares_new(&p->space);
    for (int m = 0; m < problem->model_count; m++) {
        if (p->view->models[m].demand_rps <= 0)
            continue;
        p->payments[m] = glet_price_model(&p->space, &tables[m], &p->prices, p->cost,
                                          problem->models[m].demand_rps, p->options->grid, false)
                             .least;
        if (is_priced(p, m))
            add_point(&p->curves[m], (struct point){p->wanted_ms[m], p->payments[m]});
    }
    glet_shares_free(tables, problem);
    for (int m = 0; m < problem->model_count; m++)
        p->view->models[m].demand_rps = problem->models[m].demand_rps;
}

/* The ends of every curve and some points between; the loosest limits last. */
static void start_curves(struct app_prices *p)
{
    for (int j = 0; j < FIRST_POINTS; j++) {
        for (int m = 0; m < p->problem->model_count; m++) {
            double high = p->problem->models[m].limit_ms;
            double low = is_priced(p, m) ? glet_latency_best(p->problem, m).bound_ms : high;
            bool last = j == FIRST_POINTS - 1;
            p->wanted_ms[m] = last         ? high
                              : low < high ? low * pow(high / low, (double)j / (FIRST_POINTS - 1))
                                           : 0;
        }
        price_wanted(p);
    }
}

static int edge_count(const struct glet_problem_stage *stage)
{
    return stage->after_count > 0 ? stage->after_count : 1;
}

/* A model may be at this point of its curve: then each of its stages takes so long. */
static void add_choice(const struct app_prices *p, struct glet_lp *lp, int m, double payment,
                       double takes_ms)
{
    const struct glet_problem *problem = p->problem;
    int width = glet_lp_row_count(lp), n = 0;
    int *index = glet_must_alloc(sizeof *index, (size_t)width);
    double *value = glet_must_alloc(sizeof *value, (size_t)width);
    index[n] = m;
    value[n++] = 1;
    for (int a = 0; a < problem->app_count; a++)
        for (int s = 0, edge = p->rows[a].edges; s < problem->apps[a].stage_count; s++) {
            const struct glet_problem_stage *stage = &problem->apps[a].stages[s];
            for (int e = 0; e < edge_count(stage); e++, edge++)
                if (stage->model == m) {
                    index[n] = edge;
                    value[n++] = -takes_ms;
                }
        }
    glet_lp_add_col(lp, payment, n, index, value);
    free(index);
    free(value);
}

/* When each stage of an app ends. */
static void add_ends(const struct app_prices *p, struct glet_lp *lp, int a)
{
    const struct glet_problem_app *app = &p->problem->apps[a];
    int width = glet_lp_row_count(lp);
    int *index = glet_must_alloc(sizeof *index, (size_t)width);
    double *value = glet_must_alloc(sizeof *value, (size_t)width);
    for (int row = p->rows[a].edges; row < p->rows[a].ends; row++)
        glet_lp_row_at_least(lp, row, 0);
    for (int end = 0; end < app->stage_count; end++) {
        int n = 0;
        for (int s = 0, edge = p->rows[a].edges; s < app->stage_count; s++)
            for (int e = 0; e < edge_count(&app->stages[s]); e++, edge++) {
                bool after = app->stages[s].after_count > 0 && app->stages[s].after[e] == end;
                if (s != end && !after)
                    continue;
                index[n] = edge;
                value[n++] = s == end ? 1 : -1;
            }
        index[n] = p->rows[a].ends + end;
        value[n++] = 1;
        glet_lp_row_at_most(lp, p->rows[a].ends + end, app->slo_ms);
        glet_lp_add_col(lp, 0, n, index, value);
    }
    free(index);
    free(value);
}

/*
 * Rows: per model its point on the curve; per edge "this stage ends after that one plus its own
 * time"; per stage "ends within the SLO". No column is a point yet.
 */
static struct glet_lp *build(struct app_prices *p)
{
    const struct glet_problem *problem = p->problem;
    struct glet_lp *lp = glet_lp_new();
    int count = problem->model_count;
    for (int a = 0; a < problem->app_count; a++) {
        const struct glet_problem_app *app = &problem->apps[a];
        p->rows[a].edges = count;
        for (int s = 0; s < app->stage_count; s++)
            count += edge_count(&app->stages[s]);
        p->rows[a].ends = count;
        count += app->stage_count;
    }
    glet_lp_add_rows(lp, count);
    for (int m = 0; m < problem->model_count; m++)
        if (is_priced(p, m))
            glet_lp_row_at_least(lp, m, 1);
    for (int a = 0; a < problem->app_count; a++)
        add_ends(p, lp, a);
    return lp;
}

/* Makes the duals of one app a flow, adds it to the models' weights; returns how much ends. */
static int64_t add_flow(struct app_prices *p, const struct glet_lp *lp, int a)
{
    const struct glet_problem_app *app = &p->problem->apps[a];
    const struct app_rows *rows = &p->rows[a];
    int64_t *through = glet_must_alloc(sizeof *through, (size_t)app->stage_count), all = 0;
    int edge = rows->ends;
    for (int s = app->stage_count - 1; s >= 0; s--) {
        const struct glet_problem_stage *stage = &app->stages[s];
        int64_t ends = (int64_t)(fmax(0, -glet_lp_dual(lp, rows->ends + s)) * FLOW_UNIT);
        through[s] += ends;
        all += ends;
        p->weight[stage->model] += through[s];
        edge -= edge_count(stage);
        double in = 0;
        for (int e = 0; e < stage->after_count; e++)
            in += fmax(0, glet_lp_dual(lp, edge + e));
        /* Without a way back the path starts here: a part of a path is no longer than all of it. */
        int64_t left = through[s];
        for (int e = 0; e < stage->after_count && in > 0; e++) {
            double ratio = fmax(0, glet_lp_dual(lp, edge + e)) / in;
            int64_t part = (int64_t)((double)through[s] * ratio);
            part = part > left || e == stage->after_count - 1 ? left : part;
            through[stage->after[e]] += part;
            left -= part;
        }
    }
    free(through);
    return all;
}

/* A new flow at the program's duals; returns what it may end with, in units of the prices. */
static int64_t find_flow(struct app_prices *p, const struct glet_lp *lp)
{
    int64_t all = 0;
    for (int m = 0; m < p->problem->model_count; m++)
        p->weight[m] = 0;
    for (int a = 0; a < p->problem->app_count; a++) {
        double flow = (double)add_flow(p, lp, a) / FLOW_UNIT;
        double ends = flow * p->problem->apps[a].slo_ms * (1 + SLACK);
        all += (int64_t)ceil(ends * GLET_PRICE_UNIT);
    }
    return all;
}

/* No limit makes the model's payment plus its flow less; *between: the interval where it is so. */
static double least_between(const struct app_prices *p, int m, int *between)
{
    const struct curve *curve = &p->curves[m];
    double weight = (double)p->weight[m] / FLOW_UNIT, best = INFINITY;
    for (int j = 0; j < curve->count; j++) {
        int looser = j + 1 < curve->count ? j + 1 : j;
        double least = curve->points[looser].payment + weight * curve->points[j].limit_ms;
        if (least < best) {
            best = least;
            *between = j;
        }
    }
    return best;
}

static double least_at_points(const struct app_prices *p, int m)
{
    double weight = (double)p->weight[m] / FLOW_UNIT, best = INFINITY;
    for (int j = 0; j < p->curves[m].count; j++)
        best =
            fmin(best, p->curves[m].points[j].payment + weight * p->curves[m].points[j].limit_ms);
    return best;
}

/* Adds a point to every curve whose minimum is uncertain by more than that. */
static bool refine(struct app_prices *p, double uncertain)
{
    bool any = false;
    for (int m = 0; m < p->problem->model_count; m++) {
        const struct curve *curve = &p->curves[m];
        int between = 0;
        p->wanted_ms[m] = 0;
        if (curve->count < 2 || curve->count == POINTS ||
            least_at_points(p, m) - least_between(p, m, &between) <= uncertain ||
            between == curve->count - 1)
            continue;
        p->wanted_ms[m] =
            sqrt(curve->points[between].limit_ms * curve->points[between + 1].limit_ms);
        any = true;
    }
    if (any)
        price_wanted(p);
    return any;
}

/* What the models of apps pay at least in all, in units of the prices. */
static int64_t least_payments(const struct app_prices *p, int64_t flow_ends)
{
    int64_t sum = -flow_ends;
    int between;
    for (int m = 0; m < p->problem->model_count; m++)
        if (is_priced(p, m))
            sum += (int64_t)(least_between(p, m, &between) * (1 - SLACK) * GLET_PRICE_UNIT);
    return sum;
}

static void add_choices(const struct app_prices *p, struct glet_lp *lp, double room_ratio)
{
    for (int m = 0; m < p->problem->model_count; m++)
        for (int j = 0; j < p->curves[m].count; j++)
            add_choice(p, lp, m, p->curves[m].points[j].payment,
                       p->curves[m].points[j].limit_ms * room_ratio);
}

/* Flows, and points where they need them, until neither changes; the bound that the best proves. */
static double prove(struct app_prices *p)
{
    int64_t least = 0;
    int first = -1;
    for (int m = 0; m < p->problem->model_count; m++) {
        if (!isfinite(p->payments[m]))
            return INFINITY; /* even the loosest limits leave this model without a place */
        first = first < 0 && is_priced(p, m) ? m : first;
    }
    bool any = true;
    for (int i = 0; i < FLOWS && any && !glet_halted(p->options->halt); i++) {
        struct glet_lp *lp = build(p);
        add_choices(p, lp, 1);
        any = glet_lp_solve(lp) == 0;
        if (any) {
            int64_t ends = find_flow(p, lp);
            double uncertain = ACCURACY * glet_lp_objective(lp) / p->problem->model_count;
            bool more = true;
            any = false;
            for (int r = 0; r < REFINEMENTS && more; r++) {
                more = refine(p, uncertain);
                any |= more;
            }
            int64_t now = least_payments(p, ends);
            least = now > least ? now : least;
        }
        glet_lp_free(lp);
    }
    for (int m = 0; m < p->problem->model_count; m++)
        if (is_priced(p, m))
            p->payments[m] = 0; /* only their sum counts */
    if (first >= 0)
        p->payments[first] = (double)least / GLET_PRICE_UNIT;
    p->space.problem = p->problem;
    return glet_price_bound(&p->space, &p->prices, p->cost, p->payments);
}

/* Limits of the cheapest split; false when there is none with that much room. */
static bool find_split(struct app_prices *p)
{
    double room_ratio = p->options->room_ratio;
    struct glet_lp *lp = build(p);
    int col = glet_lp_col_count(lp);
    add_choices(p, lp, room_ratio);
    bool solved = glet_lp_solve(lp) == 0;
    for (int m = 0; solved && m < p->problem->model_count; m++) {
        p->split_ms[m] = p->problem->models[m].limit_ms;
        if (!is_priced(p, m))
            continue;
        double sum = 0, limit_ms = 0;
        for (int j = 0; j < p->curves[m].count; j++, col++) {
            sum += glet_lp_value(lp, col);
            limit_ms += glet_lp_value(lp, col) * p->curves[m].points[j].limit_ms * room_ratio;
        }
        p->split_ms[m] = fmin(p->split_ms[m], limit_ms / fmax(1, sum) * (1 - 1e-9));
    }
    glet_lp_free(lp);
    return solved;
}

bool glet_app_bound(const struct glet_problem *problem, struct glet_problem *view,
                    const double *cost, const struct glet_app_bound_options *options,
                    double *bound_out)
{
    struct app_prices p = {.problem = problem, .view = view, .options = options, .cost = cost};
    size_t models = (size_t)problem->model_count;
    struct glet_bound_options bound = {.rounds = ROUNDS,
                                       .piece_rounds = options->grid > 0 ? PIECE_ROUNDS : 0,
                                       .grid = options->grid,
                                       .halt = options->halt};
    p.curves = glet_must_alloc(sizeof *p.curves, models);
    p.wanted_ms = glet_must_alloc(sizeof(double), models);
    p.payments = glet_must_alloc(sizeof(double), models);
    p.weight = glet_must_alloc(sizeof *p.weight, models);
    p.split_ms = glet_must_alloc(sizeof(double), models);
    p.rows = glet_must_alloc(sizeof *p.rows, (size_t)problem->app_count);
    for (size_t m = 0; m < models; m++)
        p.split_ms[m] = view->models[m].limit_ms;
    glet_prices_init(&p.prices, problem);
    glet_space_init(&p.space, view, LEVELS);
    glet_bound_find(&p.space, cost, &bound, &p.prices);
    start_curves(&p);
    *bound_out = prove(&p);
    bool found = isfinite(*bound_out) && find_split(&p);
    for (size_t m = 0; m < models; m++)
        view->models[m].limit_ms = p.split_ms[m];
    if (found)
        glet_apps_grow(problem, view);
    glet_space_fini(&p.space);
    glet_prices_fini(&p.prices, problem);
    free(p.curves);
    free(p.wanted_ms);
    free(p.payments);
    free(p.weight);
    free(p.split_ms);
    free(p.rows);
    return found;
}
