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
#include "planner/solve/bound/price.h"

#include "planner/solve/bound/slots.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void glet_prices_init(struct glet_prices *prices, const struct glet_problem *problem)
{
    size_t types = (size_t)problem->type_count;
    prices->sigma = glet_must_alloc(sizeof *prices->sigma, types);
    prices->mu = glet_must_alloc(sizeof *prices->mu, types);
    prices->memory = glet_must_alloc(sizeof *prices->memory, types);
    for (size_t g = 0; g < types; g++)
        prices->sigma[g] =
            glet_must_alloc(sizeof **prices->sigma, (size_t)glet_slots_count(problem, (int)g));
}

void glet_prices_fini(struct glet_prices *prices, const struct glet_problem *problem)
{
    for (int g = 0; prices->sigma && g < problem->type_count; g++)
        free(prices->sigma[g]);
    free(prices->sigma);
    free(prices->mu);
    free(prices->memory);
    *prices = (struct glet_prices){0};
}

static double rounded(double x)
{
    return x > 0 ? floor(x * GLET_PRICE_UNIT) / GLET_PRICE_UNIT : 0;
}

static void round_memory(struct glet_memory_prices *memory)
{
    memory->nu = memory->nu > 0 ? memory->nu : 0;
    memory->heavy[0] = 0;
    for (int k = GLET_MEMORY_CLASSES; k > 0; k--) {
        double lighter = k < GLET_MEMORY_CLASSES ? memory->heavy[k + 1] : 0;
        memory->heavy[k] = fmax(rounded(memory->heavy[k]), lighter);
    }
}

void glet_prices_round(struct glet_prices *prices, const struct glet_problem *problem)
{
    for (int g = 0; g < problem->type_count; g++) {
        for (int s = 0; s < glet_slots_count(problem, g); s++)
            prices->sigma[g][s] = rounded(prices->sigma[g][s]);
        prices->mu[g] = problem->types[g].count < 0 ? 0 : rounded(prices->mu[g]);
        for (int kind = 0; kind < GLET_KINDS; kind++)
            round_memory(&prices->memory[g][kind]);
    }
}

void glet_prices_copy(struct glet_prices *to, const struct glet_prices *from,
                      const struct glet_problem *problem)
{
    for (int g = 0; g < problem->type_count; g++) {
        memcpy(to->sigma[g], from->sigma[g],
               sizeof **to->sigma * (size_t)glet_slots_count(problem, g));
        memcpy(to->memory[g], from->memory[g], sizeof *to->memory);
        to->mu[g] = from->mu[g];
    }
}

double glet_prices_memory_worth(const struct glet_memory_prices *memory, double gpu_mib)
{
    return (double)glet_memory_worth(memory->heavy) / GLET_PRICE_UNIT +
           memory->nu * gpu_mib * (1 + GLET_SHARE_SLACK);
}

/* What everything is paid for at. */
struct market {
    const struct glet_space *space;
    const struct glet_prices *prices;
    double *alone; /* [type]: the time of a GPU of one's own, beside what its memory is worth */
};

static double charge_price(const struct glet_memory_prices *memory,
                           const struct glet_charge *charge)
{
    return memory->nu * charge->memory_mib + memory->heavy[charge->memory_class] * charge->part;
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

static struct glet_piece piece_of(const struct market *market, const struct glet_share *share,
                                  double phi, double rate_rps)
{
    int g = share->type;
    return (struct glet_piece){
        .type = g,
        .slot =
            share->size < 0 ? -1 : slot_of(market->space->problem, market->prices->sigma[g], share),
        .share = phi,
        .rate_rps = rate_rps,
        .charge = share->charge};
}

static struct tariff tariff_of(const struct market *market, const struct glet_share *share)
{
    const struct glet_prices *prices = market->prices;
    int g = share->type, kind = share->size < 0 ? GLET_ALONE : GLET_SHARED;
    const struct glet_memory_prices *memory = &prices->memory[g][kind];
    double unit = market->alone[g];
    if (kind == GLET_SHARED)
        unit = prices->sigma[g][slot_of(market->space->problem, prices->sigma[g], share)];
    unit += memory->nu * market->space->problem->types[g].context_mib;
    return (struct tariff){charge_price(memory, &share->charge), unit};
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
static double best_ratio(const struct market *market, const struct glet_share_table *table,
                         double demand_rps, int *best_out)
{
    double best = INFINITY;
    for (int i = 0; i < table->count; i++) {
        const struct glet_share *share = &table->list[i];
        struct tariff t = tariff_of(market, share);
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

static void list_pieces(const struct market *market, const struct knapsack *k,
                        const struct glet_share_table *table, const int *choice,
                        struct glet_payment *out)
{
    out->pieces = glet_must_alloc(sizeof *out->pieces, (size_t)k->grid);
    for (int i = k->grid; i > 0; i -= choice[i]) {
        int w = choice[i];
        int j = k->excess[w] <= k->excess[w + 1] ? w : w + 1;
        const struct glet_share *share = &table->list[k->point[j]];
        out->pieces[out->piece_count++] =
            piece_of(market, share, share_at(share, k->rate[j]), k->rate[j]);
    }
}

/* What whole pieces pay beyond the best price per unit of rate, lambda; lists them if wanted. */
static double least_excess(const struct market *market, const struct glet_share_table *table,
                           double lambda, const struct glet_share *best, double demand_rps,
                           int grid, bool want_pieces, struct glet_payment *out)
{
    struct tariff tariff = tariff_of(market, best);
    /* Repeating the best piece, the last one in part, is one way to serve the demand. */
    double piece_rps = fmin(demand_rps, highest_rate(best));
    double whole = floor(demand_rps / piece_rps * (1 + 1e-12));
    double rest_rps = fmax(0, demand_rps - whole * piece_rps);
    double full = tariff.fixed + tariff.unit * share_at(best, piece_rps);
    double last = rest_rps > 0 ? tariff.fixed + tariff.unit * share_at(best, rest_rps) : 0;
    double budget = fmax(0, whole * full + last - lambda * demand_rps) * (1 + 1e-9) + 1e-12;
    struct knapsack k = {.grid = grid, .step_rps = demand_rps / grid};
    k.excess = glet_must_alloc(sizeof *k.excess, (size_t)grid + 2);
    k.point = glet_must_alloc(sizeof *k.point, (size_t)grid + 2);
    k.rate = glet_must_alloc(sizeof *k.rate, (size_t)grid + 2);
    for (int j = 0; j < grid + 2; j++)
        k.excess[j] = INFINITY;
    for (int i = 0; i < table->count; i++)
        fill_excess(&k, &table->list[i], tariff_of(market, &table->list[i]), lambda, i, budget);
    int *choice = glet_must_alloc(sizeof *choice, (size_t)grid + 1);
    double excess = solve_knapsack(&k, budget, choice);
    if (isfinite(excess) && want_pieces)
        list_pieces(market, &k, table, choice, out);
    free(choice);
    free(k.excess);
    free(k.point);
    free(k.rate);
    return isfinite(excess) ? excess : 0;
}

/* The cheapest GPU to keep the weights on, once, of the types where the model can run. */
static double add_host(const struct market *market, const struct glet_share_table *table,
                       struct glet_payment *out)
{
    double least = INFINITY;
    for (int i = 0; i < table->count; i++) {
        int g = table->list[i].type, kind = table->list[i].size < 0 ? GLET_ALONE : GLET_SHARED;
        double price = charge_price(&market->prices->memory[g][kind], &table->hosts[g]);
        if (price >= least)
            continue;
        least = price;
        out->host_type = g;
        out->host_kind = kind;
        out->host = table->hosts[g];
    }
    return least;
}

static struct glet_payment pay(const struct market *market, const struct glet_share_table *table,
                               double demand_rps, int grid, bool want_pieces)
{
    struct glet_payment out = {.host_type = -1};
    double demand_down_rps = demand_rps * (1 - GLET_SHARE_SLACK);
    int best = -1;
    double lambda = best_ratio(market, table, demand_rps, &best);
    if (best < 0) {
        out.least = out.linear = INFINITY;
        return out;
    }
    const struct glet_share *share = &table->list[best];
    double host = table->hosts ? add_host(market, table, &out) : 0;
    out.least = out.linear = (lambda * demand_down_rps + host) * (1 - 1e-12);
    if (grid > 0 && lambda > 0)
        out.least +=
            least_excess(market, table, lambda, share, demand_rps, grid, want_pieces, &out) *
            (1 - 1e-9);
    if (want_pieces && !out.pieces) {
        double piece_rps = fmin(demand_rps, highest_rate(share)), copies = demand_rps / piece_rps;
        out.pieces = glet_must_alloc(sizeof *out.pieces, 1);
        out.piece_count = 1;
        out.pieces[0] = piece_of(market, share, copies * share_at(share, piece_rps), demand_rps);
        out.pieces[0].charge.memory_mib *= copies;
        out.pieces[0].charge.part *= copies;
    }
    return out;
}

struct glet_payment glet_price_model(const struct glet_space *space,
                                     const struct glet_share_table *table,
                                     const struct glet_prices *prices, const double *cost,
                                     double demand_rps, int grid, bool want_pieces)
{
    int types = space->problem->type_count;
    struct market market = {.space = space, .prices = prices};
    market.alone = glet_must_alloc(sizeof *market.alone, (size_t)types);
    for (int g = 0; g < types; g++) {
        double worth = glet_prices_memory_worth(&prices->memory[g][GLET_ALONE],
                                                space->problem->types[g].memory_mib);
        market.alone[g] = cost[g] + prices->mu[g];
        if (worth > 0)
            market.alone[g] = fmax(0, market.alone[g] * (1 - 1e-12) - worth);
    }
    struct glet_payment out = pay(&market, table, demand_rps, grid, want_pieces);
    free(market.alone);
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
        if (isinf(payments[m]))
            return INFINITY;
        if (!(payments[m] * GLET_PRICE_UNIT < 1e15))
            return 0; /* too much to be counted */
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
        double value = (double)most / GLET_PRICE_UNIT +
                       glet_prices_memory_worth(&prices->memory[g][GLET_SHARED], t->memory_mib);
        value =
            fmax(value, glet_prices_memory_worth(&prices->memory[g][GLET_ALONE], t->memory_mib));
        rho = fmax(rho, value * (1 + 4e-16) / (cost[g] + prices->mu[g]));
        if (t->count >= 0)
            rent += prices->mu[g] * t->count;
    }
    return (double)paid / GLET_PRICE_UNIT / rho * (1 - 1e-15) - rent * (1 + 1e-15);
}
