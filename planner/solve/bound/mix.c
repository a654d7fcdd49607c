/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The best mix of one size is a knapsack for each duty cycle D: a batch of a model takes exec / D of
 * the time and serves batch / D, if D + exec is within the limit. For all D in an interval at once,
 * D stands for its upper end where a model takes and for its lower end where it brings: no mix in
 * the interval is worth more. The most valuable interval is halved until it is narrow, so that few
 * are looked at closely. Weights are rounded down to parts of the time.
 *
 * Mixes are the columns of a linear program, whose prices find the next ones. Its prices jump about
 * in early rounds; those that are tried lie between them and the best so far.
 */
#include "planner/solve/bound/mix.h"

#include "planner/model/interference.h"
#include "planner/solve/bound/price.h"
#include "planner/solve/bound/slots.h"
#include "planner/solve/space/lp_glpk.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARTS           512
#define FIRST           1.3                /* upper over lower end of the intervals at first */
#define NARROW          1.002              /* ... and of those that need not be halved any more */
#define HALVINGS(round) (10 + 4 * (round)) /* of intervals of one size: at first nothing is exact */
#define STEP            0.3                /* from the best prices towards the program's */
#define SLACK           (2 * GLET_TOLERANCE_RATIO)
#define CONVERGING      15 /* rounds after which it is seen whether the bound comes near */
#define MISSING_COST    1e3

struct option { /* so many requests of a model at once, or more */
    int batch;
    double exec_ms; /* next to the mildest neighbours there are */
};

struct choices { /* all of one model and size, batches and times ascending */
    struct option *list;
    int count;
};

struct interval {
    double low_ms, high_ms, worth;
};

struct mix {
    const struct glet_space *space;
    const struct glet_problem *problem;
    const struct glet_problem_type *t;
    struct choices *choices; /* [(size + 1) * model_count + model]; size -1: alone, in any size */
    double *price;           /* [model], per request per second */
    double *table;      /* [model + 1][PARTS + 1]: worth of the first models in so many parts */
    struct glet_lp *lp; /* rows: models, then sizes */
};

static double exec_of(const struct mix *x, int size, int m, int batch)
{
    double least_ms = INFINITY;
    for (int s = size < 0 ? 0 : size; s < (size < 0 ? x->t->size_count : size + 1); s++) {
        const struct glet_cell *cell = glet_problem_cell(x->problem, 0, m, s, batch);
        double factor = 1;
        if (!cell)
            continue;
        if (size >= 0 && x->t->interferes && x->t->pair_count)
            factor = glet_interference_mildest(x->problem, 0, (struct glet_point){m, s, batch});
        else if (size >= 0 && x->t->interferes)
            factor = fmax(1, cell->victim_ratio + glet_slots_interval_end(x->space, 0, -1));
        least_ms = fmin(least_ms, cell->latency_ms * factor * (1 - SLACK));
    }
    return least_ms;
}

static void list_choices(struct mix *x, int size, int m, struct choices *out)
{
    double limit_ms = x->problem->models[m].limit_ms * (1 + SLACK);
    int last = 0;
    for (int s = 0; s < x->t->size_count; s++) {
        const struct glet_cell_row *row = &x->t->rows[m * x->t->size_count + s];
        last = row->cells && row->last_batch > last ? row->last_batch : last;
    }
    out->list = glet_must_alloc(sizeof *out->list, (size_t)last + 1);
    if (x->problem->models[m].demand_rps <= 0)
        return;
    for (int b = last; b > 0; b--) {
        double exec_ms = exec_of(x, size, m, b);
        /* A larger batch may take less; then it does for a smaller one. */
        if (b < last)
            exec_ms = fmin(exec_ms, out->list[b].exec_ms);
        out->list[b - 1] = (struct option){b, exec_ms};
    }
    while (out->count < last && 2 * out->list[out->count].exec_ms <= limit_ms)
        out->count++;
}

static const struct choices *choices_of(const struct mix *x, int size, int m)
{
    return &x->choices[(size + 1) * x->problem->model_count + m];
}

/* What the option takes and brings at the duty cycles of an interval; worth 0 where it cannot be. */
struct item {
    int parts;
    double rate_rps, worth;
};

static struct item item_of(const struct mix *x, int m, const struct option *option,
                           const struct interval *at)
{
    const struct glet_problem_model *model = &x->problem->models[m];
    double room_ms = fmin(at->high_ms, model->limit_ms * (1 + SLACK) - at->low_ms);
    struct item item = {.parts = (int)(option->exec_ms / at->high_ms * PARTS),
                        .rate_rps = fmin(1000.0 * option->batch / at->low_ms, model->demand_rps)};
    item.worth = option->exec_ms <= room_ms ? x->price[m] * item.rate_rps : 0;
    return item;
}

/* No mix with a duty cycle of the interval is worth more. */
static double worth_of(struct mix *x, int size, const struct interval *at)
{
    double *row = x->table;
    memset(row, 0, sizeof(double) * (PARTS + 1));
    for (int m = 0; m < x->problem->model_count; m++, row += PARTS + 1) {
        const struct choices *choices = choices_of(x, size, m);
        double *next = row + PARTS + 1;
        memcpy(next, row, sizeof(double) * (PARTS + 1));
        for (int i = 0; i < choices->count; i++) {
            struct item item = item_of(x, m, &choices->list[i], at);
            for (int c = item.parts; c <= PARTS && item.worth > 0; c++) {
                double with = row[c - item.parts] + item.worth;
                next[c] = with > next[c] ? with : next[c]; /* fmax() would be a call */
            }
            if (item.rate_rps >= x->problem->models[m].demand_rps)
                break; /* a larger batch brings no more */
        }
    }
    return row[PARTS];
}

/* Adds the mix that the table ends with as a column, in parts of the demands. */
static void add_mix(struct mix *x, int size, double cost, const struct interval *at)
{
    int models = x->problem->model_count, n = 0, c = PARTS;
    int *rows = glet_must_alloc(sizeof *rows, (size_t)models + 1);
    double *values = glet_must_alloc(sizeof *values, (size_t)models + 1);
    worth_of(x, size, at);
    for (int m = models - 1; m >= 0; m--) {
        const double *row = x->table + m * (PARTS + 1), *next = row + PARTS + 1;
        const struct choices *choices = choices_of(x, size, m);
        for (int i = 0; i < choices->count && next[c] > row[c]; i++) {
            struct item item = item_of(x, m, &choices->list[i], at);
            if (item.worth <= 0 || item.parts > c || row[c - item.parts] + item.worth < next[c])
                continue;
            rows[n] = m;
            values[n++] = item.rate_rps / x->problem->models[m].demand_rps;
            c -= item.parts;
            break;
        }
    }
    if (size >= 0) {
        rows[n] = models + size;
        values[n++] = -1;
    }
    glet_lp_add_col(x->lp, size < 0 ? cost : 0, n, rows, values);
    free(rows);
    free(values);
}

static int most_valuable(const struct interval *list, int count)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (list[i].worth > list[best].worth)
            best = i;
    return best;
}

/* The narrow interval of the best mix of a size; no mix of the size is worth more than that. */
static struct interval best_of(struct mix *x, int size, int halvings, const struct glet_halt *halt)
{
    double low_ms = INFINITY, high_ms = 0;
    for (int m = 0; m < x->problem->model_count; m++) {
        const struct choices *choices = choices_of(x, size, m);
        for (int i = 0; i < choices->count; i++) {
            double exec_ms = choices->list[i].exec_ms;
            low_ms = fmin(low_ms, exec_ms);
            high_ms = fmax(high_ms, x->problem->models[m].limit_ms * (1 + SLACK) - exec_ms);
        }
    }
    if (!(low_ms <= high_ms))
        return (struct interval){0};
    int count = 0, room = 64 + (int)(log(high_ms / low_ms) / log(FIRST));
    struct interval *list = glet_must_alloc(sizeof *list, (size_t)room);
    for (double ms = low_ms; ms <= high_ms; ms *= FIRST, count++) {
        list[count] = (struct interval){.low_ms = ms, .high_ms = ms * FIRST};
        list[count].worth = worth_of(x, size, &list[count]);
    }
    int at = most_valuable(list, count);
    for (int i = 0; i < halvings && list[at].high_ms > list[at].low_ms * NARROW; i++) {
        if (glet_halted(halt))
            break;
        if (count == room) {
            room *= 2;
            list = glet_must_resize(list, sizeof *list, (size_t)room);
        }
        struct interval *lower = &list[at], *upper = &list[count++];
        *upper = *lower;
        lower->high_ms = upper->low_ms = sqrt(lower->low_ms * lower->high_ms);
        lower->worth = worth_of(x, size, lower);
        upper->worth = worth_of(x, size, upper);
        at = most_valuable(list, count);
    }
    struct interval best = list[at];
    free(list);
    return best;
}

/* Finds the best mixes at the prices, adds them to the program, and returns what they prove. */
static double prove(struct mix *x, double cost, int halvings, struct glet_prices *prices,
                    double *payments, const struct glet_halt *halt)
{
    int sizes = x->t->size_count;
    double alone = 1;
    for (int s = -1; s < sizes; s++) {
        struct interval at = best_of(x, s, halvings, halt);
        double worth = at.worth * (1 + 1e-9) + 2 / GLET_PRICE_UNIT;
        if (at.high_ms > 0)
            add_mix(x, s, cost, &at);
        if (s < 0)
            alone = fmax(1e-12, worth / cost);
        for (int slot = s; s >= 0 && slot < glet_slots_count(x->problem, 0); slot += sizes)
            prices->sigma[0][slot] = worth / alone;
    }
    /* The bound takes what is alone to be worth its GPU: all prices are scaled to that. */
    for (int m = 0; m < x->problem->model_count; m++)
        payments[m] = x->price[m] / alone * x->problem->models[m].demand_rps * (1 - 1e-9);
    glet_prices_round(prices, x->problem);
    return glet_price_bound(x->space, prices, &cost, payments);
}

static void build(struct mix *x, double cost)
{
    const struct glet_patterns *patterns = &x->space->types[0].patterns;
    int models = x->problem->model_count, sizes = x->t->size_count;
    int *rows = glet_must_alloc(sizeof *rows, (size_t)sizes + 1);
    double *values = glet_must_alloc(sizeof *values, (size_t)sizes + 1), one = 1;
    x->lp = glet_lp_new();
    glet_lp_add_rows(x->lp, models + sizes);
    for (int row = 0; row < models + sizes; row++)
        glet_lp_row_at_least(x->lp, row,
                             row < models && x->problem->models[row].demand_rps > 0 ? 1 : 0);
    for (int m = 0; m < models; m++)
        glet_lp_add_col(x->lp, MISSING_COST * cost, 1, &m, &one);
    for (int p = 0; p < patterns->count; p++) {
        int n = 0;
        for (int s = 0; s < sizes; s++)
            if (patterns->uses[p * sizes + s]) {
                rows[n] = models + s;
                values[n++] = patterns->uses[p * sizes + s];
            }
        glet_lp_add_col(x->lp, cost, n, rows, values);
    }
    for (int m = 0; m < models; m++)
        for (int s = 0; s < sizes; s++) {
            double rate_rps = glet_space_best(x->space, 0, 1, m, s)->rate_rps;
            int at[2] = {m, models + s};
            double use[2] = {fmin(1, rate_rps / x->problem->models[m].demand_rps), -1};
            if (x->problem->models[m].demand_rps > 0 && rate_rps > 0)
                glet_lp_add_col(x->lp, 0, 2, at, use);
        }
    free(rows);
    free(values);
}

static double run(struct mix *x, double cost, const struct glet_mix_options *options)
{
    size_t models = (size_t)x->problem->model_count;
    double *best_price = glet_must_alloc(sizeof(double), models), best = 0;
    double *payments = glet_must_alloc(sizeof(double), models);
    struct glet_prices prices;
    glet_prices_init(&prices, x->problem);
    build(x, cost);
    for (int round = 0; round < options->rounds && !glet_halted(options->halt); round++) {
        if (glet_lp_solve(x->lp))
            break;
        double limit = glet_lp_objective(x->lp);
        double known = fmax(best, options->known);
        if (limit <= known * (1 + 1e-4) ||
            (options->round_up && ceil(limit - 1e-6) <= ceil(known - 1e-6)))
            break;
        for (size_t m = 0; m < models; m++) {
            double price =
                x->problem->models[m].demand_rps > 0
                    ? fmax(0, glet_lp_dual(x->lp, (int)m)) / x->problem->models[m].demand_rps
                    : 0;
            x->price[m] = round ? best_price[m] + STEP * (price - best_price[m]) : price;
        }
        if (round == CONVERGING && best < 0.7 * limit)
            break;
        double bound = prove(x, cost, HALVINGS(round), &prices, payments, options->halt);
        if (bound > best || round == 0) {
            best = fmax(best, bound);
            memcpy(best_price, x->price, models * sizeof(double));
        }
    }
    glet_prices_fini(&prices, x->problem);
    free(best_price);
    free(payments);
    return best;
}

double glet_mix_bound(const struct glet_space *space, double cost,
                      const struct glet_mix_options *options)
{
    const struct glet_problem *problem = space->problem;
    size_t models = (size_t)problem->model_count, sizes = (size_t)problem->types[0].size_count;
    struct mix x = {.space = space, .problem = problem, .t = &problem->types[0]};
    x.choices = glet_must_alloc(sizeof *x.choices, (sizes + 1) * models);
    x.price = glet_must_alloc(sizeof(double), models);
    x.table = glet_must_alloc(sizeof(double), (models + 1) * (PARTS + 1));
    for (int s = -1; s < (int)sizes; s++)
        for (int m = 0; m < (int)models; m++)
            list_choices(&x, s, m, &x.choices[(s + 1) * (int)models + m]);
    double bound = run(&x, cost, options);
    for (size_t i = 0; i < (sizes + 1) * models; i++)
        free(x.choices[i].list);
    glet_lp_free(x.lp);
    free(x.choices);
    free(x.price);
    free(x.table);
    return bound;
}
