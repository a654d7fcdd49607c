/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/master.h"

#include "planner/model/gpu_memory.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where weights are shared, gpu-lets together take less than what each of them charges. To count on
 * so much more memory saves 1 to 3 % of the GPUs (benchmarks/planner/fleets 100/100/48/shared).
 */
#define SHARED_WEIGHTS 1.5

void glet_placed_add(struct glet_placed_list *list, const struct glet_placed *placed)
{
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 256;
        list->list = glet_must_resize(list->list, sizeof *list->list, (size_t)list->room);
    }
    list->list[list->count++] = *placed;
}

void glet_placed_free(struct glet_placed_list *list)
{
    free(list->list);
    *list = (struct glet_placed_list){0};
}

static int size_row(const struct glet_master *master, int type, int level, int size)
{
    int sizes = master->space->problem->types[type].size_count;
    return master->model_rows + master->level_start[type] + (level - 1) * sizes + size;
}

static int stock_row(const struct glet_master *master, int type)
{
    return master->model_rows + master->size_rows + type;
}

static int memory_row(const struct glet_master *master, int type)
{
    return stock_row(master, type) + master->space->problem->type_count;
}

double glet_master_memory_mib(const struct glet_master *master, int type)
{
    const struct glet_problem_type *t = &master->space->problem->types[type];
    double counted_mib = t->memory_mib * master->memory_ratio;
    return glet_memory_shares_weights(t->mechanism) ? counted_mib * SHARED_WEIGHTS : counted_mib;
}

static void add_pattern(struct glet_master *master, int type, int level, const int16_t *uses)
{
    int n = 0;
    for (int s = 0; s < master->space->problem->types[type].size_count; s++)
        if (uses[s]) {
            master->scratch_rows[n] = size_row(master, type, level, s);
            master->scratch_values[n++] = uses[s];
        }
    master->scratch_rows[n] = stock_row(master, type);
    master->scratch_values[n++] = 1;
    master->scratch_rows[n] = memory_row(master, type);
    master->scratch_values[n++] = 1;
    glet_lp_add_col(master->lp, glet_type_cost(master->space->problem, type), n,
                    master->scratch_rows, master->scratch_values);
}

static void add_fixed_cols(struct glet_master *master)
{
    const struct glet_problem *problem = master->space->problem;
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_patterns *patterns = &master->space->types[g].patterns;
        int sizes = problem->types[g].size_count;
        for (int l = 1; l <= master->space->types[g].level_count; l++) {
            for (int p = 0; p < patterns->count; p++)
                add_pattern(master, g, l, patterns->uses + (size_t)p * (size_t)sizes);
            for (int s = 1; s < sizes; s++) { /* a gpu-let may sit in a larger slot */
                int rows[2] = {size_row(master, g, l, s), size_row(master, g, l, s - 1)};
                double values[2] = {-1, 1};
                glet_lp_add_col(master->lp, 0, 2, rows, values);
            }
        }
    }
    double one = 1, *cost = glet_type_costs(problem);
    for (int m = 0; m < problem->model_count; m++)
        if (master->model_row[m] >= 0)
            glet_lp_add_col(master->lp,
                            glet_space_missing_cost(master->space, cost, m, master->demand_rps[m]),
                            1, &master->model_row[m], &one);
    free(cost);
    master->fixed_cols = glet_lp_col_count(master->lp);
}

static void set_bounds(struct glet_master *master)
{
    const struct glet_problem *problem = master->space->problem;
    for (int m = 0; m < problem->model_count; m++) {
        if (master->model_row[m] < 0)
            continue;
        if (master->residual_rps[m] > 0)
            glet_lp_row_at_least(master->lp, master->model_row[m], 1);
        else
            glet_lp_row_free(master->lp, master->model_row[m]);
    }
    for (int i = 0; i < master->size_rows; i++)
        glet_lp_row_at_least(master->lp, master->model_rows + i, master->size_count_fixed[i]);
    for (int g = 0; g < problem->type_count; g++) {
        const struct glet_problem_type *type = &problem->types[g];
        if (type->count >= 0)
            glet_lp_row_at_most(
                master->lp, stock_row(master, g),
                fmax(0, floor(type->count * master->stock_ratio) - master->alone_fixed[g]));
        if (master->space->types[g].memory_binds && type->memory_mib > 0)
            glet_lp_row_at_least(master->lp, memory_row(master, g),
                                 master->memory_fixed_mib[g] / glet_master_memory_mib(master, g));
    }
}

static void seed_pool(struct glet_master *master)
{
    const struct glet_problem *problem = master->space->problem;
    for (int m = 0; m < problem->model_count; m++) {
        if (master->residual_rps[m] <= 0)
            continue;
        for (int g = 0; g < problem->type_count; g++) {
            double best = 0;
            struct glet_placed placed = {.type = (int16_t)g};
            for (int l = 0; l <= master->space->types[g].level_count; l++)
                for (int s = 0; s < problem->types[g].size_count; s++) {
                    const struct glet_single *one = glet_space_best(master->space, g, l, m, s);
                    int units = l ? problem->types[g].sizes_units[s] : problem->types[g].units;
                    if (one->rate_rps / units <= best)
                        continue;
                    best = one->rate_rps / units;
                    placed.level = (int16_t)l;
                    placed.atom = glet_atom_single(s, m, one->batch);
                }
            if (best > 0 && glet_space_rate_atom(master->space, g, placed.level, &placed.atom))
                glet_master_add(master, &placed);
        }
    }
}

void glet_master_init(struct glet_master *master, const struct glet_space *space,
                      const double *demand_rps, double memory_ratio)
{
    const struct glet_problem *problem = space->problem;
    size_t models = (size_t)problem->model_count, types = (size_t)problem->type_count;
    *master = (struct glet_master){
        .space = space, .lp = glet_lp_new(), .stock_ratio = 1, .memory_ratio = memory_ratio};
    master->demand_rps = glet_must_alloc(sizeof(double), models);
    master->residual_rps = glet_must_alloc(sizeof(double), models);
    master->model_price = glet_must_alloc(sizeof(double), models);
    master->model_row = glet_must_alloc(sizeof(int), models);
    for (size_t m = 0; m < models; m++) {
        master->demand_rps[m] = master->residual_rps[m] = demand_rps[m];
        master->model_row[m] = demand_rps[m] > 0 ? master->model_rows++ : -1;
    }
    master->level_start = glet_must_alloc(sizeof(int), types);
    for (size_t g = 0; g < types; g++) {
        master->level_start[g] = master->size_rows;
        master->size_rows += space->types[g].level_count * problem->types[g].size_count;
    }
    master->size_count_fixed = glet_must_alloc(sizeof(int), (size_t)master->size_rows);
    master->size_price = glet_must_alloc(sizeof(double), (size_t)master->size_rows);
    master->alone_fixed = glet_must_alloc(sizeof(int), types);
    master->memory_fixed_mib = glet_must_alloc(sizeof(double), types);
    master->gpu_price = glet_must_alloc(sizeof(double), types);
    master->memory_price = glet_must_alloc(sizeof(double), types);
    glet_lp_add_rows(master->lp, master->model_rows + master->size_rows + 2 * (int)types);
    master->scratch_room = 64 + GLET_ATOM_PARTS;
    for (size_t g = 0; g < types; g++)
        master->scratch_room += problem->types[g].size_count;
    master->scratch_rows = glet_must_alloc(sizeof(int), (size_t)master->scratch_room);
    master->scratch_values = glet_must_alloc(sizeof(double), (size_t)master->scratch_room);
    add_fixed_cols(master);
    seed_pool(master);
    set_bounds(master);
}

void glet_master_fini(struct glet_master *master)
{
    glet_lp_free(master->lp);
    glet_placed_free(&master->pool);
    glet_placed_free(&master->committed);
    free(master->demand_rps);
    free(master->residual_rps);
    free(master->model_price);
    free(master->model_row);
    free(master->level_start);
    free(master->size_count_fixed);
    free(master->size_price);
    free(master->alone_fixed);
    free(master->memory_fixed_mib);
    free(master->gpu_price);
    free(master->memory_price);
    free(master->scratch_rows);
    free(master->scratch_values);
}

static void set_atom_col(struct glet_master *master, int col, const struct glet_placed *placed)
{
    const struct glet_problem *problem = master->space->problem;
    const struct glet_atom *atom = &placed->atom;
    int g = placed->type, n = 0;
    for (int k = 0; k < atom->count; k++) {
        int m = atom->model[k];
        double residual_rps = master->residual_rps[m];
        if (residual_rps <= 0 || master->model_row[m] < 0)
            continue;
        double rate_rps = glet_atom_rate_rps(atom, k);
        if (master->capped && rate_rps > residual_rps)
            rate_rps = residual_rps;
        master->scratch_rows[n] = master->model_row[m];
        master->scratch_values[n++] = rate_rps / residual_rps;
    }
    double cost = 0;
    if (placed->level > 0) {
        master->scratch_rows[n] = size_row(master, g, placed->level, atom->size);
        master->scratch_values[n++] = -1;
        if (master->space->types[g].memory_binds) {
            master->scratch_rows[n] = memory_row(master, g);
            master->scratch_values[n++] =
                -glet_atom_memory_mib(problem, g, atom) / glet_master_memory_mib(master, g);
        }
    } else {
        master->scratch_rows[n] = stock_row(master, g);
        master->scratch_values[n++] = 1;
        cost = glet_type_cost(problem, g);
    }
    if (col < 0)
        glet_lp_add_col(master->lp, cost, n, master->scratch_rows, master->scratch_values);
    else
        glet_lp_set_col(master->lp, col, cost, n, master->scratch_rows, master->scratch_values);
}

void glet_master_add(struct glet_master *master, const struct glet_placed *placed)
{
    set_atom_col(master, -1, placed);
    glet_placed_add(&master->pool, placed);
}

int glet_master_solve(struct glet_master *master)
{
    const struct glet_problem *problem = master->space->problem;
    if (glet_lp_solve(master->lp))
        return -1;
    for (int m = 0; m < problem->model_count; m++) {
        master->model_price[m] = 0;
        if (master->model_row[m] >= 0 && master->residual_rps[m] > 0)
            master->model_price[m] =
                fmax(0, glet_lp_dual(master->lp, master->model_row[m])) / master->residual_rps[m];
    }
    for (int i = 0; i < master->size_rows; i++)
        master->size_price[i] = fmax(0, glet_lp_dual(master->lp, master->model_rows + i));
    for (int g = 0; g < problem->type_count; g++) {
        double rent = problem->types[g].count >= 0
                          ? fmax(0, -glet_lp_dual(master->lp, stock_row(master, g)))
                          : 0;
        master->gpu_price[g] = glet_type_cost(problem, g) + rent;
        master->memory_price[g] =
            master->space->types[g].memory_binds && problem->types[g].memory_mib > 0
                ? fmax(0, glet_lp_dual(master->lp, memory_row(master, g))) /
                      glet_master_memory_mib(master, g)
                : 0;
    }
    return 0;
}

void glet_master_commit(struct glet_master *master, const struct glet_placed *placed)
{
    const struct glet_atom *atom = &placed->atom;
    for (int k = 0; k < atom->count; k++) {
        int m = atom->model[k];
        if (master->residual_rps[m] <= 0)
            continue;
        master->residual_rps[m] -= glet_atom_rate_rps(atom, k);
        if (master->residual_rps[m] <= master->demand_rps[m] * 1e-10)
            master->residual_rps[m] = 0;
    }
    int g = placed->type;
    if (placed->level > 0) {
        master->size_count_fixed[size_row(master, g, placed->level, atom->size) -
                                 master->model_rows]++;
        master->memory_fixed_mib[g] += glet_atom_memory_mib(master->space->problem, g, atom);
    } else {
        master->alone_fixed[g]++;
    }
    glet_placed_add(&master->committed, placed);
}

static bool is_live(const struct glet_master *master, const struct glet_atom *atom)
{
    for (int k = 0; k < atom->count; k++)
        if (master->residual_rps[atom->model[k]] > 0)
            return true;
    return false;
}

static void drop_cols(struct glet_master *master, bool (*keep)(struct glet_master *, int))
{
    int *dropped = glet_must_alloc(sizeof *dropped, (size_t)master->pool.count);
    int count = 0, kept = 0;
    for (int i = 0; i < master->pool.count; i++) {
        int col = master->fixed_cols + i;
        if (glet_lp_col_is_basic(master->lp, col) || keep(master, i))
            master->pool.list[kept++] = master->pool.list[i];
        else
            dropped[count++] = col;
    }
    glet_lp_delete_cols(master->lp, count, dropped);
    master->pool.count = kept;
    free(dropped);
}

static bool keep_live(struct glet_master *master, int i)
{
    return is_live(master, &master->pool.list[i].atom);
}

/* A tenth of the rows at a time: each deletion renumbers everything. */
static void drop_satisfied(struct glet_master *master)
{
    int models = master->space->problem->model_count, count = 0;
    int *dropped = glet_must_alloc(sizeof *dropped, (size_t)models);
    for (int m = 0; m < models; m++)
        if (master->model_row[m] >= 0 && master->residual_rps[m] <= 0 &&
            glet_lp_row_is_basic(master->lp, master->model_row[m]))
            dropped[count++] = master->model_row[m];
    if (count > master->model_rows / 10) {
        int removed = 0;
        for (int m = 0; m < models; m++) {
            if (master->model_row[m] < 0)
                continue;
            if (removed < count && master->model_row[m] == dropped[removed]) {
                master->model_row[m] = -1;
                removed++;
            } else {
                master->model_row[m] -= removed;
            }
        }
        glet_lp_delete_rows(master->lp, count, dropped);
        master->model_rows -= count;
        drop_cols(master, keep_live);
    }
    free(dropped);
}

void glet_master_refresh(struct glet_master *master, bool capped)
{
    master->capped = capped;
    drop_satisfied(master);
    set_bounds(master);
    for (int i = 0; i < master->pool.count; i++)
        set_atom_col(master, master->fixed_cols + i, &master->pool.list[i]);
}

static bool keep_promising(struct glet_master *master, int i)
{
    double reduced = glet_lp_reduced_cost(master->lp, master->fixed_cols + i);
    return reduced < 0.08 * glet_master_price(master, &master->pool.list[i]) + 1e-9;
}

void glet_master_purge(struct glet_master *master, int most)
{
    if (master->pool.count >= most)
        drop_cols(master, keep_promising);
}

double glet_master_value(const struct glet_master *master, int i)
{
    return glet_lp_value(master->lp, master->fixed_cols + i);
}

double glet_master_price(const struct glet_master *master, const struct glet_placed *placed)
{
    int g = placed->type;
    if (placed->level == 0)
        return master->gpu_price[g];
    double price = glet_master_size_price(master, g, placed->level, placed->atom.size);
    if (master->memory_price[g] > 0)
        price += master->memory_price[g] *
                 glet_atom_memory_mib(master->space->problem, g, &placed->atom);
    return price;
}

double glet_master_worth(const struct glet_master *master, const struct glet_placed *placed)
{
    double worth = 0;
    for (int k = 0; k < placed->atom.count; k++) {
        int m = placed->atom.model[k];
        double rate_rps = glet_atom_rate_rps(&placed->atom, k);
        if (master->capped)
            rate_rps = fmin(rate_rps, master->residual_rps[m]);
        worth += master->model_price[m] * rate_rps;
    }
    return worth;
}

int glet_master_open_models(const struct glet_master *master)
{
    int open = 0;
    for (int m = 0; m < master->space->problem->model_count; m++)
        open += master->residual_rps[m] > 0;
    return open;
}
