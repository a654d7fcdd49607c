/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/draft.h"

#include "planner/solve/space/fit.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_price(const void *a, const void *b)
{
    const struct glet_place *x = a, *y = b;
    if (x->price != y->price)
        return x->price < y->price ? -1 : 1;
    if (x->type != y->type)
        return x->type - y->type;
    return x->level != y->level ? x->level - y->level : y->size - x->size;
}

/*
 * What a place is worth to the model that needs it most. The program's price is no less, unless its
 * columns were still short of that gpu-let, in which case its price says nothing.
 */
static double least_worth(const struct glet_master *master, int g, int l, int s)
{
    double worth = 0;
    for (int m = 0; m < master->space->problem->model_count; m++) {
        const struct glet_single *one = glet_space_best(master->space, g, l, m, s);
        double rate_rps = fmin(one->rate_rps, master->demand_rps[m]);
        worth = fmax(worth, master->model_price[m] * rate_rps -
                                master->memory_price[g] * (double)one->memory_mib);
    }
    return worth;
}

void glet_places_init(struct glet_places *places, const struct glet_master *master)
{
    const struct glet_problem *problem = master->space->problem;
    size_t models = (size_t)problem->model_count, types = (size_t)problem->type_count;
    *places = (struct glet_places){0};
    places->model_price = glet_must_alloc(sizeof(double), models);
    places->memory_price = glet_must_alloc(sizeof(double), types);
    memcpy(places->model_price, master->model_price, models * sizeof(double));
    memcpy(places->memory_price, master->memory_price, types * sizeof(double));
    int room = 0;
    for (int g = 0; g < problem->type_count; g++) {
        double memory = master->memory_price[g] * glet_master_memory_mib(master, g);
        places->memory_share = fmax(places->memory_share, memory / master->gpu_price[g]);
        room += (master->space->types[g].level_count + 1) * problem->types[g].size_count;
    }
    places->list = glet_must_alloc(sizeof *places->list, (size_t)room);
    for (int g = 0; g < problem->type_count; g++)
        for (int l = 0; l <= master->space->types[g].level_count; l++)
            for (int s = 0; s < problem->types[g].size_count; s++) {
                double price = l ? glet_master_size_price(master, g, l, s) : master->gpu_price[g];
                price = fmax(price, least_worth(master, g, l, s));
                places->list[places->count++] =
                    (struct glet_place){(int16_t)g, (int16_t)l, (int16_t)s, price};
            }
    qsort(places->list, (size_t)places->count, sizeof *places->list, by_price);
}

void glet_places_free(struct glet_places *places)
{
    free(places->list);
    free(places->model_price);
    free(places->memory_price);
    *places = (struct glet_places){0};
}

static void count_rates(struct glet_draft *draft, const struct glet_atom *atom, double sign)
{
    for (int k = 0; k < atom->count; k++)
        draft->rate_rps[atom->model[k]] += sign * glet_atom_rate_rps(atom, k);
}

void glet_draft_init(struct glet_draft *draft, const struct glet_space *space,
                     const struct glet_places *places, const double *demand_rps, long fits,
                     struct glet_placed_list *atoms)
{
    *draft = (struct glet_draft){
        .space = space, .places = places, .demand_rps = demand_rps, .atoms = atoms, .fits = fits};
    draft->rate_rps = glet_must_alloc(sizeof(double), (size_t)space->problem->model_count);
    draft->weights_price = glet_must_alloc(sizeof(double), (size_t)space->problem->type_count);
    for (int i = 0; i < atoms->count; i++)
        count_rates(draft, &atoms->list[i].atom, 1);
}

void glet_draft_fini(struct glet_draft *draft)
{
    free(draft->rate_rps);
    free(draft->weights_price);
}

void glet_draft_set(struct glet_draft *draft, int i, const struct glet_placed *atom)
{
    struct glet_placed *at = &draft->atoms->list[i];
    count_rates(draft, &at->atom, -1);
    if (atom)
        *at = *atom;
    else
        at->atom.count = 0;
    count_rates(draft, &at->atom, 1);
}

void glet_draft_sweep(struct glet_draft *draft)
{
    struct glet_placed_list *atoms = draft->atoms;
    int kept = 0;
    for (int i = 0; i < atoms->count; i++)
        if (atoms->list[i].atom.count > 0)
            atoms->list[kept++] = atoms->list[i];
    atoms->count = kept;
}

void glet_draft_reset(struct glet_draft *draft, const struct glet_placed_list *atoms)
{
    memset(draft->rate_rps, 0, sizeof(double) * (size_t)draft->space->problem->model_count);
    draft->atoms->count = 0;
    for (int i = 0; i < atoms->count; i++) {
        glet_placed_add(draft->atoms, &atoms->list[i]);
        count_rates(draft, &atoms->list[i].atom, 1);
    }
}

double glet_draft_price(const struct glet_draft *draft, const struct glet_placed *placed)
{
    double price = INFINITY;
    for (int i = 0; i < draft->places->count; i++) {
        const struct glet_place *at = &draft->places->list[i];
        if (at->type == placed->type && at->level == placed->level && at->size == placed->atom.size)
            price = at->price;
    }
    if (draft->places->memory_price[placed->type] > 0)
        price += draft->places->memory_price[placed->type] *
                 glet_atom_memory_mib(draft->space->problem, placed->type, &placed->atom);
    return price;
}

void glet_needs_add(const struct glet_draft *draft, struct glet_needs *needs, int m,
                    double rate_rps)
{
    if (rate_rps <= draft->demand_rps[m] * 1e-9)
        return;
    needs->worth += draft->places->model_price[m] * rate_rps;
    for (int k = 0; k < needs->count; k++)
        if (needs->model[k] == m) {
            needs->rate_rps[k] += rate_rps;
            return;
        }
    needs->model[needs->count] = (uint16_t)m;
    needs->rate_rps[needs->count++] = rate_rps;
}

/* Index of the first place that costs at least price. */
static int first_place(const struct glet_places *places, double price)
{
    int low = 0, high = places->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (places->list[middle].price < price)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What the memory that the needs take in any gpu-let of the type costs: weights, no activations. */
static double weights_price(const struct glet_draft *draft, int type,
                            const struct glet_needs *needs)
{
    if (draft->places->memory_price[type] <= 0)
        return 0;
    double memory_mib = draft->space->problem->types[type].context_mib;
    for (int k = 0; k < needs->count; k++)
        memory_mib += draft->space->problem->models[needs->model[k]].memory_mib;
    return draft->places->memory_price[type] * memory_mib;
}

/* Whether the models' shares of the time, at their best batches, fit into one gpu-let. */
static bool may_fit(const struct glet_draft *draft, const struct glet_place *at,
                    const struct glet_needs *needs)
{
    double share = 0;
    for (int k = 0; k < needs->count; k++) {
        const struct glet_single *one =
            glet_space_best(draft->space, at->type, at->level, needs->model[k], at->size);
        if (one->rate_rps < needs->rate_rps[k] * (1 - 1e-12))
            return false;
        share += needs->rate_rps[k] / one->rate_rps;
    }
    return share <= 1 + 1e-9;
}

static bool fit(struct glet_draft *draft, const struct glet_place *at,
                const struct glet_needs *needs, struct glet_placed *out)
{
    struct glet_surroundings around = {
        at->level == 0, glet_space_seen(draft->space, at->type, at->level, at->size)};
    *out = (struct glet_placed){.type = at->type, .level = at->level};
    draft->fits--;
    if (!glet_fit_rates(draft->space->problem, at->type, at->size, around, needs->count,
                        needs->model, needs->rate_rps, &out->atom) ||
        !glet_space_rate_atom(draft->space, at->type, at->level, &out->atom))
        return false;
    for (int k = 0; k < needs->count; k++)
        if (glet_atom_rate_rps(&out->atom, k) < needs->rate_rps[k] * (1 - 1e-12))
            return false;
    return true;
}

double glet_draft_cover(struct glet_draft *draft, const struct glet_needs *needs, double budget,
                        struct glet_placed *out)
{
    const struct glet_problem *problem = draft->space->problem;
    const struct glet_places *places = draft->places;
    double best = INFINITY, least_worth = needs->worth * GLET_DRAFT_WORTH;
    if (needs->count == 0)
        return 0;
    if (needs->count > GLET_ATOM_PARTS)
        return best;
    double weights = 0; /* of the type where they are dearest */
    for (int g = 0; g < problem->type_count; g++) {
        draft->weights_price[g] = weights_price(draft, g, needs);
        weights = fmax(weights, draft->weights_price[g]);
    }
    for (int i = first_place(places, least_worth - weights); i < places->count && draft->fits > 0;
         i++) {
        const struct glet_place *at = &places->list[i];
        if (at->price >= budget)
            break;
        double least = at->price + draft->weights_price[at->type], price = at->price;
        struct glet_placed placed;
        if (least < least_worth || least >= budget || !may_fit(draft, at, needs) ||
            !fit(draft, at, needs, &placed))
            continue;
        if (places->memory_price[at->type] > 0)
            price += places->memory_price[at->type] *
                     glet_atom_memory_mib(problem, at->type, &placed.atom);
        if (price >= budget)
            continue;
        *out = placed;
        best = budget = price;
        if (places->memory_price[at->type] <= 0)
            break;
    }
    return best;
}

bool glet_draft_fill(const struct glet_draft *draft, const struct glet_place *at, int model,
                     struct glet_placed *out)
{
    const struct glet_single *one =
        glet_space_best(draft->space, at->type, at->level, model, at->size);
    *out = (struct glet_placed){.type = at->type,
                                .level = at->level,
                                .atom = glet_atom_single(at->size, model, one->batch)};
    return one->rate_rps > 0 && glet_space_rate_atom(draft->space, at->type, at->level, &out->atom);
}
