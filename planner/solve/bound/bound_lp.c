/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/bound/bound_lp.h"

#include "planner/solve/bound/slots.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int row_of(const struct glet_bound_lp *b, int g, int slot)
{
    int sizes = b->space->problem->types[g].size_count;
    return b->slot_row[g] + (b->merged ? slot % sizes : slot);
}

int glet_bound_lp_intervals(const struct glet_bound_lp *b, int g)
{
    return b->merged ? 1 : glet_slots_intervals(b->space->problem, g);
}

static void add_pattern(struct glet_bound_lp *b, int g, const int16_t *uses)
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
static void add_fillings(struct glet_bound_lp *b, int heavy_row)
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
static void use_memory(struct glet_bound_lp *b, int g, int kind, const struct glet_charge *charge)
{
    const struct glet_memory_rows *rows = &b->memory_rows[g][kind];
    double gpu_mib = b->space->problem->types[g].memory_mib;
    if (rows->mib >= 0 && gpu_mib > 0) /* 0: nothing in it needs any */
        b->use[rows->mib] -= charge->memory_mib / gpu_mib;
    for (int k = charge->memory_class; rows->heavy >= 0 && k > 0 && k <= GLET_MEMORY_CLASSES; k++)
        b->use[rows->heavy + k] -= charge->part;
}

/* So much of a GPU with a single gpu-let, and all the memory that comes with it. */
static void use_alone(struct glet_bound_lp *b, int g, double share)
{
    const struct glet_memory_rows *rows = &b->memory_rows[g][GLET_ALONE];
    b->use[b->stock_row + g] += share;
    if (rows->mib >= 0)
        b->use[rows->mib] += share;
    if (rows->heavy >= 0)
        b->use[rows->heavy] += share;
}

static void add_used(struct glet_bound_lp *b, double cost)
{
    int n = 0;
    for (int i = 0; i < glet_lp_row_count(b->lp); i++)
        if (b->use[i] != 0) {
            b->rows[n] = i;
            b->values[n++] = b->use[i];
        }
    glet_lp_add_col(b->lp, cost, n, b->rows, b->values);
}

static void clear_use(struct glet_bound_lp *b)
{
    memset(b->use, 0, sizeof *b->use * (size_t)glet_lp_row_count(b->lp));
}

/* Memory of a GPU with a single gpu-let that has time to spare. */
static void add_idle(struct glet_bound_lp *b, int g)
{
    clear_use(b);
    use_alone(b, g, 1);
    add_used(b, b->cost[g]);
}

void glet_bound_lp_add(struct glet_bound_lp *b, int m, const struct glet_payment *payment)
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

static void add_downgrade(struct glet_bound_lp *b, int g, int from, int to)
{
    int rows[2] = {b->slot_row[g] + from, b->slot_row[g] + to};
    double values[2] = {-1, 1};
    glet_lp_add_col(b->lp, 0, 2, rows, values);
}

/*
 * A slot may be cut smaller, take a milder gpu-let or have harsher neighbours. No program gains by
 * that, but without it the slots that nothing uses yet are free, and it takes hundreds of rounds.
 */
static void add_downgrades(struct glet_bound_lp *b, int g)
{
    const struct glet_problem_type *t = &b->space->problem->types[g];
    int sizes = t->size_count, count = glet_bound_lp_intervals(b, g);
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
static void add_memory_rows(struct glet_bound_lp *b, int g, int shared_row, bool heavy)
{
    struct glet_memory_rows *rows = b->memory_rows[g];
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

/* What GPUs of a type offer. */
static void add_gpus(struct glet_bound_lp *b, int g)
{
    const struct glet_patterns *patterns = &b->space->types[g].patterns;
    int sizes = patterns->size_count, count = glet_bound_lp_intervals(b, g);
    int16_t *uses = glet_must_alloc(sizeof *uses, (size_t)glet_slots_count(b->space->problem, g));
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
    const struct glet_memory_rows *alone = &b->memory_rows[g][GLET_ALONE];
    if (alone->mib >= 0 || alone->heavy >= 0)
        add_idle(b, g);
}

void glet_bound_lp_init(struct glet_bound_lp *b, const struct glet_space *space, const double *cost,
                        bool merged, const struct glet_share_table *tables)
{
    const struct glet_problem *problem = space->problem;
    *b =
        (struct glet_bound_lp){.space = space, .cost = cost, .merged = merged, .lp = glet_lp_new()};
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
        int slots = problem->types[g].size_count * glet_bound_lp_intervals(b, g) *
                    glet_bound_lp_intervals(b, g);
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
            glet_lp_add_col(b->lp,
                            glet_space_missing_cost(space, cost, m, problem->models[m].demand_rps),
                            1, &b->model_row[m], &one);
    for (int g = 0; g < problem->type_count; g++)
        add_gpus(b, g);
}

static void read_memory(const struct glet_bound_lp *b, const struct glet_memory_rows *rows,
                        double gpu_mib, struct glet_memory_prices *out)
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

void glet_bound_lp_fini(struct glet_bound_lp *b)
{
    glet_lp_free(b->lp);
    free(b->model_row);
    free(b->slot_row);
    free(b->memory_rows);
    free(b->rows);
    free(b->values);
    free(b->use);
}

int glet_bound_lp_prices(struct glet_bound_lp *b, struct glet_prices *prices)
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
        for (int i = 0; i < glet_bound_lp_intervals(b, g); i++)
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
