/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/dive.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>

struct fraction {
    int index; /* in the pool */
    double value;
};

static int by_value(const void *a, const void *b)
{
    const struct fraction *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? 1 : -1;
    return x->index - y->index;
}

static bool stopped(const struct glet_dive_options *options)
{
    return glet_halted(options->halt);
}

/* Solves and prices until the rounds are over or progress tails off. */
static int generate(struct glet_master *master, const struct glet_dive_options *options, int rounds,
                    bool shared, double least_progress)
{
    int models = master->space->problem->model_count;
    struct glet_pricing_options pricing = {.shared = shared,
                                           .levels = 2,
                                           .duty_cycles = options->duty_cycles,
                                           .most = shared ? 4 * models + 200 : 1 << 30};
    double last = INFINITY;
    int stalls = 0; /* a degenerate step may stand still before it goes on */
    for (int round = 0; round < rounds; round++) {
        if (glet_master_solve(master))
            return -1;
        double value = glet_lp_objective(master->lp);
        stalls = round > 2 && value > last * (1 - least_progress) ? stalls + 1 : 0;
        if (stopped(options) || round == rounds - 1 || stalls >= (shared ? 1 : 3))
            return 0;
        last = value;
        if (!glet_pricing_round(master, &pricing))
            return 0;
        if (shared)
            glet_master_purge(master, 8 * models + 2000);
    }
    return glet_master_solve(master);
}

/* Whole copies of repeated gpu-lets are safe to take, but the last ones had better stay open. */
static void commit_whole(struct glet_master *master, double keep_open)
{
    int count = master->pool.count;
    for (int i = 0; i < count; i++) {
        int copies = (int)floor(glet_master_value(master, i) + 1e-7 - keep_open);
        struct glet_placed placed = master->pool.list[i];
        for (int c = 0; c < copies; c++)
            glet_master_commit(master, &placed);
    }
}

/* Commits the largest fractions that are still worth their price; returns how many. */
static int commit_fractions(struct glet_master *master, double commit_ratio)
{
    struct fraction *list = glet_must_alloc(sizeof *list, (size_t)master->pool.count);
    int count = 0, committed = 0;
    double total = 0;
    for (int i = 0; i < master->pool.count; i++) {
        double value = glet_master_value(master, i);
        if (value > 1e-6) {
            list[count++] = (struct fraction){i, value};
            total += value;
        }
    }
    qsort(list, (size_t)count, sizeof *list, by_value);
    double most = fmax(1, commit_ratio * total);
    for (int i = 0; i < count; i++) {
        struct glet_placed placed = master->pool.list[list[i].index];
        double value = list[i].value;
        bool whole = value >= 1.999 || fabs(value - 1) < 1e-6;
        if (!whole && committed >= most)
            break;
        double worth = glet_master_worth(master, &placed);
        if (worth <= 1e-12 ||
            (!whole && committed > 0 && worth < 0.95 * glet_master_price(master, &placed)))
            continue;
        int copies = whole ? (int)floor(value + 1e-6) : 1;
        for (int c = 0; c < copies; c++, committed++)
            glet_master_commit(master, &placed);
    }
    free(list);
    return committed;
}

/* Solves for one-model gpu-lets alone, rates not capped yet. False where it has no solution. */
static bool begin(struct glet_master *master, const struct glet_space *space,
                  const double *demand_rps, const struct glet_dive_options *options)
{
    glet_master_init(master, space, demand_rps, options->memory_ratio);
    master->stock_ratio = options->stock_ratio;
    master->alone_fixed[0] = options->taken;
    return generate(master, options, 200, false, 1e-6) == 0;
}

double glet_dive_estimate(const struct glet_space *space, const double *demand_rps,
                          const struct glet_dive_options *options)
{
    struct glet_master master;
    bool solved = begin(&master, space, demand_rps, options);
    double value = solved ? glet_lp_objective(master.lp) : INFINITY;
    glet_master_fini(&master);
    return value;
}

double glet_dive(const struct glet_space *space, const double *demand_rps,
                 const struct glet_dive_options *options, struct glet_places *places,
                 struct glet_placed_list *out)
{
    struct glet_master master;
    double root = -1;
    bool failed = !begin(&master, space, demand_rps, options);
    if (!failed) {
        glet_master_refresh(&master, true);
        failed = generate(&master, options, options->root_rounds, options->shared, 1e-4) < 0;
    }
    if (!failed) {
        root = glet_lp_objective(master.lp);
        if (places)
            glet_places_init(places, &master);
        commit_whole(&master, options->keep_open);
    }
    while (!failed && glet_master_open_models(&master) > 0) {
        glet_master_refresh(&master, true);
        failed = generate(&master, options, options->rounds, options->shared, 2e-4) < 0;
        if (!failed && !commit_fractions(&master, options->commit_ratio))
            failed = true;
    }
    for (int i = 0; i < master.committed.count; i++)
        glet_placed_add(out, &master.committed.list[i]);
    glet_master_fini(&master);
    return failed ? -1 : root;
}
