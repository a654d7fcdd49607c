/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The proof behind `lower_bound`. Directed rounding: latencies are taken 1e-9 shorter and limits
 * 1e-9 longer than they are (the slack of the contract's comparisons, which also covers the few
 * roundings of each term), payments are multiplied by 1 - 1e-12 and truncated to multiples of
 * 2^-32, and everything after that is integer arithmetic.
 *
 * Splitting a demand into pieces is a knapsack over a grid. With lambda = the best price per unit
 * of rate, a piece of rate x costs lambda x + E(x) with an excess E >= 0, so C = lambda r + the
 * least sum of excesses of pieces that add up to r exactly. A piece between two grid points may
 * count as either, at the smallest excess in between: that keeps the grid's answer a lower bound,
 * and costs nothing where E is flat.
 */
#include "planner/solve/price.h"

#include "planner/model/gpu_memory.h"
#include "planner/model/interference.h"
#include "planner/solve/scratch.h"
#include "planner/solve/slots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Shortens latencies and memory, lengthens limits: twice the contract's slack. */
#define SLACK (2 * GLET_TOLERANCE_RATIO)

void glet_prices_init(struct glet_prices *prices, const struct glet_problem *problem)
{
    size_t types = (size_t)problem->type_count;
    prices->sigma = glet_must_alloc(sizeof *prices->sigma, types);
    prices->nu = glet_must_alloc(sizeof *prices->nu, types);
    prices->mu = glet_must_alloc(sizeof *prices->mu, types);
    for (size_t g = 0; g < types; g++)
        prices->sigma[g] =
            glet_must_alloc(sizeof **prices->sigma, (size_t)glet_slots_count(problem, (int)g));
}

void glet_prices_fini(struct glet_prices *prices, const struct glet_problem *problem)
{
    for (int g = 0; prices->sigma && g < problem->type_count; g++)
        free(prices->sigma[g]);
    free(prices->sigma);
    free(prices->nu);
    free(prices->mu);
    *prices = (struct glet_prices){0};
}

static double rounded(double x)
{
    return x > 0 ? floor(x * GLET_PRICE_UNIT) / GLET_PRICE_UNIT : 0;
}

void glet_prices_round(struct glet_prices *prices, const struct glet_problem *problem)
{
    for (int g = 0; g < problem->type_count; g++) {
        for (int s = 0; s < glet_slots_count(problem, g); s++)
            prices->sigma[g][s] = rounded(prices->sigma[g][s]);
        prices->mu[g] = problem->types[g].count < 0 ? 0 : rounded(prices->mu[g]);
        prices->nu[g] = prices->nu[g] > 0 ? prices->nu[g] : 0;
    }
}

static void add_share(struct glet_share_table *table, struct glet_share share, double limit_ms)
{
    double latency_ms = share.latency_ms * (1 - SLACK);
    double room_ms = limit_ms * (1 + SLACK) - latency_ms;
    if (latency_ms > room_ms)
        return;
    share.latency_ms = latency_ms;
    share.least_share = latency_ms / room_ms;
    table->list[table->count++] = share;
}

/* The point next to others that are at least as harsh as each interval. */
static void add_intervals(const struct glet_space *space, struct glet_share share,
                          const struct glet_cell *cell, double limit_ms,
                          struct glet_share_table *table)
{
    double latency_ms = share.latency_ms;
    int count = glet_slots_intervals(space->problem, share.type);
    while (cell->aggressor_ratio > glet_slots_interval_end(space, share.type, share.own))
        share.own++;
    for (share.seen = 0; share.seen < count; share.seen++) {
        double least = glet_slots_interval_end(space, share.type, share.seen - 1);
        share.latency_ms = latency_ms * fmax(1, cell->victim_ratio + least);
        add_share(table, share, limit_ms);
    }
}

static void fill_shares(const struct glet_space *space, int type, int model,
                        struct glet_share_table *table)
{
    const struct glet_problem *problem = space->problem;
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_problem_model *m = &problem->models[model];
    bool shared = glet_memory_shares_weights(t->mechanism);
    /* Weights shared by up to max_gpulets gpu-lets are charged at least 1 / max_gpulets each. */
    double weights_mib = m->memory_mib / (shared ? t->max_gpulets : 1);
    for (int s = 0; s < t->size_count; s++) {
        const struct glet_cell_row *row = &t->rows[model * t->size_count + s];
        for (int i = 0; row->cells && i <= row->last_batch - row->first_batch; i++) {
            const struct glet_cell *cell = &row->cells[i];
            int batch = row->first_batch + i;
            double memory_mib = t->context_mib + m->memory_mib + cell->activation_mib;
            if (!glet_within(memory_mib, t->memory_mib))
                continue;
            struct glet_share share = {
                .type = (int16_t)type, .size = -1, .batch = batch, .latency_ms = cell->latency_ms};
            add_share(table, share, m->limit_ms);
            share.size = (int16_t)s;
            share.memory_mib = (weights_mib + cell->activation_mib) * (1 - SLACK);
            if (t->interferes && !t->pair_count) {
                add_intervals(space, share, cell, m->limit_ms, table);
                continue;
            }
            if (t->interferes)
                share.latency_ms *=
                    glet_interference_mildest(problem, type, (struct glet_point){model, s, batch});
            add_share(table, share, m->limit_ms);
        }
    }
}

struct glet_share_table *glet_shares_new(const struct glet_space *space)
{
    const struct glet_problem *problem = space->problem;
    struct glet_share_table *tables = glet_must_alloc(sizeof *tables, (size_t)problem->model_count);
    for (int m = 0; m < problem->model_count; m++) {
        if (problem->models[m].demand_rps <= 0)
            continue;
        size_t shares = 0;
        for (int g = 0; g < problem->type_count; g++)
            for (int s = 0; s < problem->types[g].size_count; s++) {
                const struct glet_cell_row *row =
                    &problem->types[g].rows[m * problem->types[g].size_count + s];
                int points = row->cells ? row->last_batch - row->first_batch + 1 : 0;
                shares += (size_t)(points * (1 + glet_slots_intervals(problem, g)));
            }
        tables[m].list = glet_must_alloc(sizeof *tables[m].list, shares);
        for (int g = 0; g < problem->type_count; g++)
            fill_shares(space, g, m, &tables[m]);
    }
    return tables;
}

void glet_shares_free(struct glet_share_table *tables, const struct glet_problem *problem)
{
    for (int m = 0; tables && m < problem->model_count; m++)
        free(tables[m].list);
    free(tables);
}

/* What one point costs: fixed + share * unit. */
struct tariff {
    double fixed, unit;
};

/* The cheapest slot for a point that is not alone. */
static int slot_of(const struct glet_problem *problem, const double *sigma,
                   const struct glet_share *share)
{
    int count = glet_slots_intervals(problem, share->type), best = -1;
    int sizes = problem->types[share->type].size_count;
    for (int own = share->own; own < count; own++) {
        int slot = (own * count + share->seen) * sizes + share->size;
        if (best < 0 || sigma[slot] < sigma[best])
            best = slot;
    }
    return best;
}

static struct glet_piece piece_of(const struct glet_space *space, const struct glet_prices *prices,
                                  const struct glet_share *share)
{
    int g = share->type;
    return (struct glet_piece){
        .type = g, .slot = share->size < 0 ? -1 : slot_of(space->problem, prices->sigma[g], share)};
}

static struct tariff tariff_of(const struct glet_space *space, const struct glet_prices *prices,
                               const double *cost, const struct glet_share *share)
{
    int g = share->type;
    if (share->size < 0)
        return (struct tariff){0, cost[g] + prices->mu[g]};
    double context_mib = space->problem->types[g].context_mib;
    int slot = slot_of(space->problem, prices->sigma[g], share);
    return (struct tariff){prices->nu[g] * share->memory_mib,
                           prices->sigma[g][slot] + prices->nu[g] * context_mib};
}

static double highest_rate(const struct glet_share *share)
{
    return 1000.0 * share->batch / share->latency_ms;
}

static double share_at(const struct glet_share *share, double rate_rps)
{
    return fmax(share->least_share, rate_rps * share->latency_ms / (1000.0 * share->batch));
}

/* The lowest price per unit of rate of any piece of at most demand_rps. */
static double best_ratio(const struct glet_space *space, const struct glet_share_table *table,
                         const struct glet_prices *prices, const double *cost, double demand_rps,
                         int *best_out)
{
    double best = INFINITY;
    for (int i = 0; i < table->count; i++) {
        const struct glet_share *share = &table->list[i];
        struct tariff t = tariff_of(space, prices, cost, share);
        double rate_rps = fmin(demand_rps, highest_rate(share));
        double ratio = (t.fixed + t.unit * share_at(share, rate_rps)) / rate_rps;
        if (ratio < best) {
            best = ratio;
            *best_out = i;
        }
    }
    return best;
}

struct knapsack {
    int grid;
    double step_rps;
    double *excess; /* [grid + 2]: least excess of a piece in ((j - 1) h, j h] */
    int *point;     /* [grid + 2]: index into the table */
    double *rate;   /* [grid + 2]: where in the interval */
};

static void consider(struct knapsack *k, int j, double excess, int point, double rate_rps)
{
    if (excess < k->excess[j]) {
        k->excess[j] = excess;
        k->point[j] = point;
        k->rate[j] = rate_rps;
    }
}

/* The excess is linear on both sides of the kink: its minimum is at an end or at the kink. */
static void fill_excess(struct knapsack *k, const struct glet_share *share, struct tariff t,
                        double lambda, int point, double budget)
{
    double top_rps = highest_rate(share);
    double kink_rps = fmin(share->least_share * top_rps, top_rps);
    double at_kink = t.fixed + t.unit * share->least_share - lambda * kink_rps;
    double at_top = t.fixed + t.unit - lambda * top_rps;
    double flat = t.fixed + t.unit * share->least_share;
    double demand_rps = k->grid * k->step_rps;
    if (fmin(at_kink, at_top) > budget && flat - lambda * fmin(demand_rps, kink_rps) > budget)
        return;
    /* Below this rate the fixed part alone exceeds the budget. It may be far above the demand. */
    int first = 1;
    if (flat > budget)
        first = (int)fmin(k->grid + 2, fmax(1, floor((flat - budget) / lambda / k->step_rps)));
    double slope = t.unit / top_rps;
    for (int j = first; j <= k->grid + 1; j++) {
        double low = (j - 1) * k->step_rps, high = fmin(j * k->step_rps, top_rps);
        if (low >= top_rps)
            break;
        double low_cost = low < kink_rps ? flat : t.fixed + slope * low;
        double high_cost = high < kink_rps ? flat : t.fixed + slope * high;
        consider(k, j, high_cost - lambda * high, point, high);
        consider(k, j, low_cost - lambda * low, point, low);
        if (low < kink_rps && kink_rps < high)
            consider(k, j, at_kink, point, kink_rps);
    }
}

/* Least total excess of pieces whose grid weights add up to exactly grid. */
static double solve_knapsack(const struct knapsack *k, double budget, int *choice)
{
    int n = k->grid;
    double *weight_excess = glet_must_alloc(sizeof *weight_excess, (size_t)n + 1);
    int *useful = glet_must_alloc(sizeof *useful, (size_t)n + 1);
    int useful_count = 0;
    for (int w = 1; w <= n; w++) {
        weight_excess[w] = fmax(0, fmin(k->excess[w], k->excess[w + 1]));
        if (weight_excess[w] <= budget)
            useful[useful_count++] = w;
    }
    double *sum = glet_must_alloc(sizeof *sum, (size_t)n + 1);
    for (int i = 1; i <= n; i++) {
        sum[i] = INFINITY;
        for (int u = 0; u < useful_count && useful[u] <= i; u++) {
            double v = sum[i - useful[u]] + weight_excess[useful[u]];
            if (v < sum[i]) {
                sum[i] = v;
                choice[i] = useful[u];
            }
        }
    }
    double result = sum[n];
    free(sum);
    free(useful);
    free(weight_excess);
    return result;
}

static void list_pieces(const struct glet_space *space, const struct glet_prices *prices,
                        const struct knapsack *k, const struct glet_share_table *table,
                        const int *choice, struct glet_payment *out)
{
    out->pieces = glet_must_alloc(sizeof *out->pieces, (size_t)k->grid);
    for (int i = k->grid; i > 0; i -= choice[i]) {
        int w = choice[i];
        int j = k->excess[w] <= k->excess[w + 1] ? w : w + 1;
        const struct glet_share *share = &table->list[k->point[j]];
        struct glet_piece piece = piece_of(space, prices, share);
        piece.share = share_at(share, k->rate[j]);
        piece.rate_rps = k->rate[j];
        piece.memory_mib = share->memory_mib;
        out->pieces[out->piece_count++] = piece;
    }
}

struct glet_payment glet_price_model(const struct glet_space *space,
                                     const struct glet_share_table *table,
                                     const struct glet_prices *prices, const double *cost,
                                     double demand_rps, int grid, bool want_pieces)
{
    struct glet_payment out = {0};
    double demand_down_rps = demand_rps * (1 - SLACK);
    int best = -1;
    double lambda = best_ratio(space, table, prices, cost, demand_rps, &best);
    if (best < 0) {
        out.least = out.linear = INFINITY;
        return out;
    }
    out.least = out.linear = lambda * demand_down_rps * (1 - 1e-12);
    const struct glet_share *share = &table->list[best];
    double piece_rps = fmin(demand_rps, highest_rate(share));
    struct tariff tariff = tariff_of(space, prices, cost, share);
    if (grid > 0 && lambda > 0) {
        /* Repeating the best piece, the last one in part, is one way to serve the demand. */
        double whole = floor(demand_rps / piece_rps * (1 + 1e-12));
        double rest_rps = fmax(0, demand_rps - whole * piece_rps);
        double full = tariff.fixed + tariff.unit * share_at(share, piece_rps);
        double last = rest_rps > 0 ? tariff.fixed + tariff.unit * share_at(share, rest_rps) : 0;
        double budget = fmax(0, whole * full + last - lambda * demand_rps) * (1 + 1e-9) + 1e-12;
        struct knapsack k = {.grid = grid, .step_rps = demand_rps / grid};
        k.excess = glet_must_alloc(sizeof *k.excess, (size_t)grid + 2);
        k.point = glet_must_alloc(sizeof *k.point, (size_t)grid + 2);
        k.rate = glet_must_alloc(sizeof *k.rate, (size_t)grid + 2);
        for (int j = 0; j < grid + 2; j++)
            k.excess[j] = INFINITY;
        for (int i = 0; i < table->count; i++)
            fill_excess(&k, &table->list[i], tariff_of(space, prices, cost, &table->list[i]),
                        lambda, i, budget);
        int *choice = glet_must_alloc(sizeof *choice, (size_t)grid + 1);
        double excess = solve_knapsack(&k, budget, choice);
        if (isfinite(excess)) {
            out.least += excess * (1 - 1e-9);
            if (want_pieces)
                list_pieces(space, prices, &k, table, choice, &out);
        }
        free(choice);
        free(k.excess);
        free(k.point);
        free(k.rate);
    }
    if (want_pieces && !out.pieces) {
        out.pieces = glet_must_alloc(sizeof *out.pieces, 1);
        double copies = demand_rps / piece_rps;
        out.piece_count = 1;
        out.pieces[0] = piece_of(space, prices, share);
        out.pieces[0].share = copies * share_at(share, piece_rps);
        out.pieces[0].rate_rps = demand_rps;
        out.pieces[0].memory_mib = copies * share->memory_mib;
    }
    return out;
}

double glet_price_bound(const struct glet_space *space, const struct glet_prices *prices,
                        const double *cost, const double *payments)
{
    const struct glet_problem *problem = space->problem;
    double rho = 1; /* alone on its GPU a model pays cost + mu: rho below 1 would not cover it */
    int64_t paid = 0;
    for (int m = 0; m < problem->model_count; m++) {
        if (problem->models[m].demand_rps <= 0)
            continue;
        if (!(payments[m] * GLET_PRICE_UNIT < 1e15))
            return INFINITY;
        paid += (int64_t)floor(payments[m] * (1 - 1e-12) * GLET_PRICE_UNIT);
    }
    double rent = 0;
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_problem_type *t = &problem->types[g];
        int64_t most = 0;
        for (int a = 0; a < glet_slots_intervals(problem, g); a++)
            for (int b = 0; b <= a; b++) {
                int64_t here = glet_slots_filling(problem, g, prices->sigma[g], a, b, NULL);
                most = here > most ? here : most;
            }
        double value = (double)most / GLET_PRICE_UNIT + prices->nu[g] * t->memory_mib * (1 + SLACK);
        rho = fmax(rho, value * (1 + 4e-16) / (cost[g] + prices->mu[g]));
        if (t->count >= 0)
            rent += prices->mu[g] * t->count;
    }
    return (double)paid / GLET_PRICE_UNIT / rho * (1 - 1e-15) - rent * (1 + 1e-15);
}
