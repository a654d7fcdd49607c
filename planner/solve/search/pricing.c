/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/pricing.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An atom must promise at least this much more than its price. */
#define PROMISE 1.000001

/* At most this many new time-shared atoms per model and round. */
#define ATOMS_PER_MODEL 3

struct item { /* a model that could join a gpu-let with a given duty cycle */
    int model, batch;
    double worth, exec_ms, density;
};

struct bin {
    struct glet_atom atom;
    double exec_ms, worth;
};

struct candidate {
    double promise; /* worth / price */
    struct glet_placed placed;
};

struct pricing {
    struct glet_master *master;
    const struct glet_pricing_options *options;
    struct item *items;
    struct bin *bins;
    struct candidate *candidates;
    int candidate_count, candidate_room;
};

/* Ties are broken by model, so that the order does not depend on the sort. */
static int by_density(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->density != y->density)
        return x->density < y->density ? 1 : -1;
    return x->model - y->model;
}

static int by_promise(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->promise != y->promise)
        return x->promise < y->promise ? 1 : -1;
    if (x->placed.atom.size != y->placed.atom.size)
        return x->placed.atom.size - y->placed.atom.size;
    if (x->placed.level != y->placed.level)
        return x->placed.level - y->placed.level;
    return memcmp(x->placed.atom.model, y->placed.atom.model, sizeof x->placed.atom.model);
}

static int price_singles(struct glet_master *master)
{
    const struct glet_problem *problem = master->space->problem;
    int added = 0;
    for (int m = 0; m < problem->model_count; m++) {
        if (master->residual_rps[m] <= 0)
            continue;
        double best = PROMISE;
        struct glet_placed chosen = {.type = -1};
        for (int g = 0; g < problem->type_count; g++)
            for (int l = 0; l <= master->space->types[g].level_count; l++)
                for (int s = 0; s < problem->types[g].size_count; s++) {
                    const struct glet_single *one = glet_space_best(master->space, g, l, m, s);
                    if (one->rate_rps <= 0)
                        continue;
                    double rate_rps = one->rate_rps;
                    if (master->capped)
                        rate_rps = fmin(rate_rps, master->residual_rps[m]);
                    double price = l ? glet_master_size_price(master, g, l, s) +
                                           master->memory_price[g] * (double)one->memory_mib
                                     : master->gpu_price[g];
                    double promise = master->model_price[m] * rate_rps / fmax(price, 1e-12);
                    if (promise <= best || master->model_price[m] * rate_rps < 1e-12)
                        continue;
                    best = promise;
                    chosen = (struct glet_placed){.type = (int16_t)g,
                                                  .level = (int16_t)l,
                                                  .atom = glet_atom_single(s, m, one->batch)};
                }
        if (chosen.type >= 0 &&
            glet_space_rate_atom(master->space, chosen.type, chosen.level, &chosen.atom)) {
            glet_master_add(master, &chosen);
            added++;
        }
    }
    return added;
}

/* The largest useful batch of the model for a duty cycle, or none (batch 0). */
static struct item make_item(const struct glet_master *master, int g, int l, int s, int m,
                             double duty_ms)
{
    const struct glet_problem *problem = master->space->problem;
    const struct glet_cell_row *row = &problem->types[g].rows[m * problem->types[g].size_count + s];
    double limit_ms = problem->models[m].limit_ms;
    struct item item = {.model = m};
    if (!row->cells || limit_ms <= duty_ms)
        return item;
    double wanted = ceil(master->residual_rps[m] * duty_ms / 1000 - 1e-9);
    int last = row->last_batch < UINT16_MAX ? row->last_batch : UINT16_MAX;
    int batch = wanted < last ? (int)wanted : last;
    if (batch < row->first_batch)
        batch = row->first_batch;
    for (; batch >= row->first_batch; batch--) {
        const struct glet_cell *cell = &row->cells[batch - row->first_batch];
        double exec_ms =
            cell->latency_ms * glet_space_factor(master->space, g, l, m, s, batch, cell);
        if (!(exec_ms <= duty_ms && exec_ms + duty_ms <= limit_ms)) {
            if (batch > 8)
                batch -= batch / 8;
            continue;
        }
        double rate_rps = fmin(1000.0 * batch / duty_ms, master->residual_rps[m]);
        item.worth =
            master->model_price[m] * rate_rps -
            master->memory_price[g] * (problem->models[m].memory_mib + cell->activation_mib);
        item.batch = item.worth > 0 ? batch : 0;
        item.exec_ms = exec_ms;
        item.density = item.worth / exec_ms;
        break;
    }
    return item;
}

static void keep_candidate(struct pricing *p, int g, int l, const struct bin *bin)
{
    struct candidate c = {.placed = {.type = (int16_t)g, .level = (int16_t)l, .atom = bin->atom}};
    if (!glet_space_rate_atom(p->master->space, g, l, &c.placed.atom))
        return;
    c.promise = glet_master_worth(p->master, &c.placed) /
                fmax(glet_master_price(p->master, &c.placed), 1e-12);
    if (c.promise <= PROMISE)
        return;
    if (p->candidate_count == p->candidate_room) {
        p->candidate_room = p->candidate_room ? 2 * p->candidate_room : 1024;
        p->candidates =
            glet_must_resize(p->candidates, sizeof *p->candidates, (size_t)p->candidate_room);
    }
    p->candidates[p->candidate_count++] = c;
}

static void pack_items(struct pricing *p, int g, int l, int s, double duty_ms, int item_count)
{
    double price = l ? glet_master_size_price(p->master, g, l, s) : p->master->gpu_price[g];
    int bins = 0, open = 0;
    for (int i = 0; i < item_count; i++) {
        const struct item *item = &p->items[i];
        if (item->density * duty_ms < 0.8 * price)
            break;
        int j = open;
        while (j < bins && (p->bins[j].atom.count >= GLET_ATOM_PARTS ||
                            p->bins[j].exec_ms + item->exec_ms > duty_ms))
            j++;
        if (j == bins)
            p->bins[bins++] = (struct bin){.atom = {.size = (int16_t)s}};
        struct bin *bin = &p->bins[j];
        bin->atom.model[bin->atom.count] = (uint16_t)item->model;
        bin->atom.batch[bin->atom.count++] = (uint16_t)item->batch;
        bin->exec_ms += item->exec_ms;
        bin->worth += item->worth;
        while (open < bins && (p->bins[open].atom.count >= GLET_ATOM_PARTS ||
                               p->bins[open].exec_ms > 0.97 * duty_ms))
            open++;
    }
    for (int j = 0; j < bins; j++)
        if (p->bins[j].worth > price * PROMISE)
            keep_candidate(p, g, l, &p->bins[j]);
}

/* Levels of a size, cheapest first; a whole GPU may also be level 0. */
static int order_levels(const struct glet_master *master, int g, int s, int *levels)
{
    const struct glet_problem_type *type = &master->space->problem->types[g];
    double price[GLET_LEVELS_MAX + 1];
    int count = 0;
    for (int l = s + 1 == type->size_count ? 0 : 1; l <= master->space->types[g].level_count; l++) {
        double here = l ? glet_master_size_price(master, g, l, s) : master->gpu_price[g];
        int at = count++;
        while (at > 0 && price[at - 1] > here * (1 + 1e-6)) {
            price[at] = price[at - 1];
            levels[at] = levels[at - 1];
            at--;
        }
        price[at] = here;
        levels[at] = l;
    }
    return count;
}

static void limits_range(const struct glet_master *master, double *low_ms, double *high_ms)
{
    const struct glet_problem *problem = master->space->problem;
    *low_ms = INFINITY;
    *high_ms = 0;
    for (int m = 0; m < problem->model_count; m++)
        if (master->demand_rps[m] > 0) {
            *low_ms = fmin(*low_ms, problem->models[m].limit_ms);
            *high_ms = fmax(*high_ms, problem->models[m].limit_ms);
        }
}

static void price_shared(struct pricing *p)
{
    const struct glet_master *master = p->master;
    const struct glet_problem *problem = master->space->problem;
    double low_ms, high_ms;
    limits_range(master, &low_ms, &high_ms);
    low_ms *= 0.2;
    high_ms *= 0.95;
    int cycles = p->options->duty_cycles;
    for (int g = 0; g < problem->type_count; g++)
        for (int s = 0; s < problem->types[g].size_count; s++) {
            int levels[GLET_LEVELS_MAX + 1];
            int level_count = order_levels(master, g, s, levels);
            for (int q = 0; q < level_count && q < p->options->levels; q++)
                for (int d = 0; d < cycles; d++) {
                    double duty_ms = low_ms * pow(high_ms / low_ms, d / (cycles - 1.0));
                    int count = 0;
                    for (int m = 0; m < problem->model_count; m++) {
                        if (master->residual_rps[m] <= 0 || master->model_price[m] <= 0)
                            continue;
                        struct item item = make_item(master, g, levels[q], s, m, duty_ms);
                        if (item.batch > 0)
                            p->items[count++] = item;
                    }
                    qsort(p->items, (size_t)count, sizeof *p->items, by_density);
                    pack_items(p, g, levels[q], s, duty_ms, count);
                }
        }
}

static int add_best(struct pricing *p, int added)
{
    const struct glet_problem *problem = p->master->space->problem;
    int *used = glet_must_alloc(sizeof *used, (size_t)problem->model_count);
    if (p->candidate_count > 0)
        qsort(p->candidates, (size_t)p->candidate_count, sizeof *p->candidates, by_promise);
    for (int i = 0; i < p->candidate_count && added < p->options->most; i++) {
        const struct glet_atom *atom = &p->candidates[i].placed.atom;
        int least = ATOMS_PER_MODEL;
        for (int k = 0; k < atom->count; k++)
            if (used[atom->model[k]] < least)
                least = used[atom->model[k]];
        if (least >= ATOMS_PER_MODEL)
            continue;
        for (int k = 0; k < atom->count; k++)
            used[atom->model[k]]++;
        glet_master_add(p->master, &p->candidates[i].placed);
        added++;
    }
    free(used);
    return added;
}

int glet_pricing_round(struct glet_master *master, const struct glet_pricing_options *options)
{
    int added = price_singles(master);
    if (!options->shared)
        return added;
    size_t models = (size_t)master->space->problem->model_count;
    struct pricing p = {.master = master, .options = options};
    p.items = glet_must_alloc(sizeof *p.items, models);
    p.bins = glet_must_alloc(sizeof *p.bins, models);
    price_shared(&p);
    added = add_best(&p, added);
    free(p.items);
    free(p.bins);
    free(p.candidates);
    return added;
}
