/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Columns: the size patterns of each type, and for each model ways to serve its whole demand, found
 * at the prices of the last solution (glet_price_model). Divisible pieces converge in a few rounds;
 * whole pieces follow, which raise the bound where a model needs only a few gpu-lets or where every
 * gpu-let costs memory. For these, a size costs the same in all intervals: more prices than that
 * prove nothing more there (benchmarks/planner/fleets), and take up to twice as long.
 */
#include "planner/solve/bound.h"

#include "planner/solve/lp_glpk.h"
#include "planner/solve/scratch.h"
#include "planner/solve/slots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Price of leaving a model out; far above any plan's cost per model. */
#define MISSING_COST 1e4

struct bound_lp {
    const struct glet_space *space;
    const double *cost;
    struct glet_lp *lp;
    bool merged;    /* a size costs the same in all intervals */
    int *model_row; /* -1: no demand */
    int *slot_row;  /* [type]: row of slot 0 */
    int stock_row;  /* of type 0; the others follow */
    struct memory_rows {
        int mib;                  /* -1 = none */
        int heavy;                /* GPUs, then models of at most each class; -1 = none */
    } (*memory_rows)[GLET_KINDS]; /* [type][kind] */
    int *rows;                    /* scratch of one column */
    double *values, *use;
};

static int row_of(const struct bound_lp *b, int g, int slot)
{
    int sizes = b->space->problem->types[g].size_count;
    return b->slot_row[g] + (b->merged ? slot % sizes : slot);
}

/* Intervals that are told apart. */
static int intervals(const struct bound_lp *b, int g)
{
    return b->merged ? 1 : glet_slots_intervals(b->space->problem, g);
}

static void add_pattern(struct bound_lp *b, int g, const int16_t *uses)
{
    int n = 0;
    for (int s = 0; s < glet_slots_count(b->space->problem, g); s++)
        if (uses[s]) {
            b->rows[n] = row_of(b, g, s);
            b->values[n++] = uses[s];
        }
    b->rows[n] = b->memory_rows[g][GLET_SHARED].mib;
    b->values[n++] = 1;
    b->rows[n] = b->stock_row + g;
    b->values[n++] = 1;
    if (b->memory_rows[g][GLET_SHARED].heavy >= 0) {
        b->rows[n] = b->memory_rows[g][GLET_SHARED].heavy;
        b->values[n++] = 1;
    }
    glet_lp_add_col(b->lp, b->cost[g], n, b->rows, b->values);
}

/* What the models of one GPU can be, by memory class. */
static void add_fillings(struct bound_lp *b, int heavy_row)
{
    int uses[GLET_MEMORY_CLASSES + 1];
    for (int i = 0; i < GLET_MEMORY_FILLINGS; i++) {
        int n = 0, sum = 0;
        if (!glet_memory_filling(i, uses))
            continue;
        b->rows[n] = heavy_row;
        b->values[n++] = -1;
        for (int k = 1; k <= GLET_MEMORY_CLASSES; k++) {
            sum += uses[k];
            b->rows[n] = heavy_row + k;
            b->values[n++] = sum;
        }
        glet_lp_add_col(b->lp, 0, n, b->rows, b->values);
    }
}

/* Takes the memory from the type's GPUs of that kind. */
static void use_memory(struct bound_lp *b, int g, int kind, const struct glet_charge *charge)
{
    const struct memory_rows *rows = &b->memory_rows[g][kind];
    double gpu_mib = b->space->problem->types[g].memory_mib;
    if (rows->mib >= 0 && gpu_mib > 0) /* 0: nothing in it needs any */
        b->use[rows->mib] -= charge->memory_mib / gpu_mib;
    for (int k = charge->memory_class; rows->heavy >= 0 && k > 0 && k <= GLET_MEMORY_CLASSES; k++)
        b->use[rows->heavy + k] -= charge->part;
}

/* So much of a GPU with a single gpu-let, and all the memory that comes with it. */
static void use_alone(struct bound_lp *b, int g, double share)
{
    const struct memory_rows *rows = &b->memory_rows[g][GLET_ALONE];
    b->use[b->stock_row + g] += share;
    if (rows->mib >= 0)
        b->use[rows->mib] += share;
    if (rows->heavy >= 0)
        b->use[rows->heavy] += share;
}

static void add_used(struct bound_lp *b, double cost)
{
    int n = 0;
    for (int i = 0; i < glet_lp_row_count(b->lp); i++)
        if (b->use[i] != 0) {
            b->rows[n] = i;
            b->values[n++] = b->use[i];
        }
    glet_lp_add_col(b->lp, cost, n, b->rows, b->values);
}

static void clear_use(struct bound_lp *b)
{
    memset(b->use, 0, sizeof *b->use * (size_t)glet_lp_row_count(b->lp));
}

/* Memory of a GPU with a single gpu-let that has time to spare. */
static void add_idle(struct bound_lp *b, int g)
{
    clear_use(b);
    use_alone(b, g, 1);
    add_used(b, b->cost[g]);
}

static void add_pieces(struct bound_lp *b, int m, const struct glet_payment *payment)
{
    const struct glet_problem *problem = b->space->problem;
    double alone_cost = 0;
    clear_use(b);
    for (int i = 0; i < payment->piece_count; i++) {
        const struct glet_piece *piece = &payment->pieces[i];
        int g = piece->type;
        struct glet_charge charge = piece->charge;
        charge.memory_mib += piece->share * problem->types[g].context_mib;
        use_memory(b, g, piece->slot < 0 ? GLET_ALONE : GLET_SHARED, &charge);
        if (piece->slot < 0) {
            use_alone(b, g, piece->share);
            alone_cost += b->cost[g] * piece->share;
        } else {
            b->use[row_of(b, g, piece->slot)] -= piece->share;
        }
    }
    if (payment->host_type >= 0)
        use_memory(b, payment->host_type, payment->host_kind, &payment->host);
    /* The weights of whole pieces add up to the demand, their rates only nearly. */
    for (int i = 0; i < payment->piece_count; i++)
        b->use[b->model_row[m]] += payment->pieces[i].rate_rps / problem->models[m].demand_rps;
    add_used(b, alone_cost);
}

static void add_downgrade(struct bound_lp *b, int g, int from, int to)
{
    int rows[2] = {b->slot_row[g] + from, b->slot_row[g] + to};
    double values[2] = {-1, 1};
    glet_lp_add_col(b->lp, 0, 2, rows, values);
}

/*
 * A slot may be cut smaller, take a milder gpu-let or have harsher neighbours. No program gains by
 * that, but without it the slots that nothing uses yet are free, and it takes hundreds of rounds.
 */
static void add_downgrades(struct bound_lp *b, int g)
{
    const struct glet_problem_type *t = &b->space->problem->types[g];
    int sizes = t->size_count, count = intervals(b, g);
    for (int slot = 0; slot < sizes * count * count && !t->layouts; slot++) {
        int own = slot / sizes / count, seen = slot / sizes % count;
        if (slot % sizes > 0)
            add_downgrade(b, g, slot, slot - 1);
        if (own > 0)
            add_downgrade(b, g, slot, slot - count * sizes);
        if (seen + 1 < count)
            add_downgrade(b, g, slot, slot + sizes);
    }
}

/* Whether any model with demand takes a good part of a GPU's memory. */
static bool has_heavy(const struct glet_share_table *tables, const struct glet_problem *problem,
                      int g)
{
    for (int m = 0; m < problem->model_count; m++) {
        if (tables[m].hosts && tables[m].hosts[g].memory_class)
            return true;
        for (int i = 0; i < tables[m].count; i++)
            if (tables[m].list[i].type == g && tables[m].list[i].charge.memory_class)
                return true;
    }
    return false;
}

/* Alone on its GPU, memory matters only where a gpu-let may hold much of it. */
static void add_memory_rows(struct bound_lp *b, int g, int shared_row, bool heavy)
{
    struct memory_rows *rows = b->memory_rows[g];
    rows[GLET_SHARED].mib = shared_row;
    rows[GLET_ALONE].mib = -1;
    if (b->space->types[g].memory_binds) {
        rows[GLET_ALONE].mib = glet_lp_add_rows(b->lp, 1);
        glet_lp_row_at_least(b->lp, rows[GLET_ALONE].mib, 0);
    }
    for (int kind = 0; kind < GLET_KINDS; kind++) {
        rows[kind].heavy = heavy ? glet_lp_add_rows(b->lp, GLET_MEMORY_CLASSES + 1) : -1;
        for (int k = 0; k <= GLET_MEMORY_CLASSES && heavy; k++)
            glet_lp_row_at_least(b->lp, rows[kind].heavy + k, 0);
    }
}

static void build(struct bound_lp *b, const struct glet_share_table *tables)
{
    const struct glet_problem *problem = b->space->problem;
    b->lp = glet_lp_new();
    b->model_row = glet_must_alloc(sizeof *b->model_row, (size_t)problem->model_count);
    b->memory_rows = glet_must_alloc(sizeof *b->memory_rows, (size_t)problem->type_count);
    b->slot_row = glet_must_alloc(sizeof *b->slot_row, (size_t)problem->type_count);
    for (int m = 0; m < problem->model_count; m++) {
        b->model_row[m] = -1;
        if (problem->models[m].demand_rps > 0) {
            b->model_row[m] = glet_lp_add_rows(b->lp, 1);
            glet_lp_row_at_least(b->lp, b->model_row[m], 1);
        }
    }
    for (int g = 0; g < problem->type_count; g++) {
        int slots = problem->types[g].size_count * intervals(b, g) * intervals(b, g);
        b->slot_row[g] = glet_lp_add_rows(b->lp, slots);
        for (int s = 0; s < slots; s++)
            glet_lp_row_at_least(b->lp, b->slot_row[g] + s, 0);
    }
    int memory_row = glet_lp_add_rows(b->lp, problem->type_count);
    b->stock_row = glet_lp_add_rows(b->lp, problem->type_count);
    for (int g = 0; g < problem->type_count; g++) {
        if (problem->types[g].memory_mib > 0)
            glet_lp_row_at_least(b->lp, memory_row + g, 0);
        if (problem->types[g].count >= 0)
            glet_lp_row_at_most(b->lp, b->stock_row + g, problem->types[g].count);
    }
    for (int g = 0; g < problem->type_count; g++)
        add_memory_rows(b, g, memory_row + g, has_heavy(tables, problem, g));
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
        int sizes = patterns->size_count, count = intervals(b, g);
        int16_t *uses = glet_must_alloc(sizeof *uses, (size_t)glet_slots_count(problem, g));
        for (int p = 0; p < patterns->count * count; p++) {
            int16_t *here = uses + p % count * (count + 1) * sizes; /* the pair of one interval */
            memcpy(here, patterns->uses + p / count * sizes, sizeof *uses * (size_t)sizes);
            add_pattern(b, g, uses);
            memset(here, 0, sizeof *uses * (size_t)sizes);
        }
        free(uses);
        add_downgrades(b, g);
        for (int kind = 0; kind < GLET_KINDS; kind++)
            if (b->memory_rows[g][kind].heavy >= 0)
                add_fillings(b, b->memory_rows[g][kind].heavy);
        if (b->memory_rows[g][GLET_ALONE].mib >= 0)
            add_idle(b, g);
    }
}

static void read_memory(const struct bound_lp *b, const struct memory_rows *rows, double gpu_mib,
                        struct glet_memory_prices *out)
{
    *out = (struct glet_memory_prices){0};
    if (rows->mib >= 0 && gpu_mib > 0)
        out->nu = fmax(0, glet_lp_dual(b->lp, rows->mib)) / gpu_mib;
    double heavy = 0; /* a model is of its class and of all lighter ones */
    for (int k = GLET_MEMORY_CLASSES; k > 0 && rows->heavy >= 0; k--) {
        heavy += fmax(0, glet_lp_dual(b->lp, rows->heavy + k));
        out->heavy[k] = heavy;
    }
}

/* Reads the duals as prices; returns the number of patterns that they make worth adding. */
static int read_prices(struct bound_lp *b, struct glet_prices *prices)
{
    const struct glet_problem *problem = b->space->problem;
    int added = 0;
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_problem_type *t = &problem->types[g];
        for (int s = 0; s < glet_slots_count(b->space->problem, g); s++)
            prices->sigma[g][s] = fmax(0, glet_lp_dual(b->lp, row_of(b, g, s)));
        prices->mu[g] = t->count < 0 ? 0 : fmax(0, -glet_lp_dual(b->lp, b->stock_row + g));
        for (int kind = 0; kind < GLET_KINDS; kind++)
            read_memory(b, &b->memory_rows[g][kind], t->memory_mib, &prices->memory[g][kind]);
    }
    glet_prices_round(prices, problem);
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_problem_type *t = &problem->types[g];
        int16_t *uses =
            glet_must_alloc(sizeof *uses, (size_t)glet_slots_count(b->space->problem, g));
        for (int i = 0; i < intervals(b, g); i++)
            for (int j = 0; j <= i; j++) {
                if (i == j && b->space->types[g].patterns.complete)
                    continue;
                double value =
                    (double)glet_slots_filling(problem, g, prices->sigma[g], i, j, uses) /
                    GLET_PRICE_UNIT;
                if (value +
                        glet_prices_memory_worth(&prices->memory[g][GLET_SHARED], t->memory_mib) <=
                    (b->cost[g] + prices->mu[g]) * (1 + 1e-7))
                    continue;
                add_pattern(b, g, uses);
                added++;
            }
        free(uses);
    }
    return added;
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

/*
 * Whether more rounds cannot raise the bound to another whole number, or hardly at all. Intervals
 * prove more than one price per size by little: they are worth the last rounds.
 */
static bool settled(const struct bound_lp *b, double best, const struct glet_bound_options *options)
{
    double limit = glet_lp_objective(b->lp), hardly_ratio = 1e-4;
    for (int g = 0; g < b->space->problem->type_count; g++)
        if (intervals(b, g) > 1)
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
        struct bound_lp b = {.space = space, .cost = cost, .merged = options->piece_rounds > 0};
        build(&b, tables);
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
                    glet_prices_copy(prices, &now, problem);
            }
            if (!added || settled(&b, best, options))
                break;
        }
        glet_lp_free(b.lp);
        free(b.model_row);
        free(b.slot_row);
        free(b.memory_rows);
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
