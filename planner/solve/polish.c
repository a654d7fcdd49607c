/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A model that needs 2.3 units of a GPU leaves 0.7 of 3 idle; over a thousand models that is most
 * of what a plan wastes. Two such models fit one gpu-let of 4 when their rates have nearly the
 * ratio of two small batches, and among many models some always do. The master's columns do not
 * show this: mixing two gpu-lets in part wastes nothing there.
 *
 * Cost: pairs of wasteful gpu-lets, each filtered by arithmetic on worth and price before the
 * exact fit (fit.h) is asked.
 */
#include "planner/solve/polish.h"

#include "planner/solve/fit.h"
#include "planner/solve/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Worth is at least this share of the price of anything that could serve it: prices are good. */
#define WORTH 0.99

/* Passes over all pairs; most end earlier, when one changes nothing. */
#define PASSES 20

/* A change must save this many GPUs; less is noise of the prices. */
#define GAIN 0.002

struct needs { /* models with the rates that one gpu-let must serve */
    int count;
    uint16_t model[2 * GLET_ATOM_PARTS];
    double rate_rps[2 * GLET_ATOM_PARTS];
    double worth;
};

struct waste {
    int index;
    double amount, price;
    struct needs needs;
};

struct polish {
    const struct glet_space *space;
    const struct glet_places *places;
    const double *demand_rps;
    struct glet_placed_list *atoms;
    double *rate_rps;
    long fits; /* left */
};

static int by_price(const void *a, const void *b)
{
    const struct glet_place *x = a, *y = b;
    if (x->price != y->price)
        return x->price < y->price ? -1 : 1;
    if (x->type != y->type)
        return x->type - y->type;
    return x->level != y->level ? x->level - y->level : y->size - x->size;
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
    for (int g = 0; g < problem->type_count; g++)
        room += (master->space->types[g].level_count + 1) * problem->types[g].size_count;
    places->list = glet_must_alloc(sizeof *places->list, (size_t)room);
    for (int g = 0; g < problem->type_count; g++)
        for (int l = 0; l <= master->space->types[g].level_count; l++)
            for (int s = 0; s < problem->types[g].size_count; s++) {
                double price = l ? glet_master_size_price(master, g, l, s) : master->gpu_price[g];
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

static double price_of(const struct polish *p, const struct glet_placed *placed)
{
    double price = INFINITY;
    for (int i = 0; i < p->places->count; i++) {
        const struct glet_place *at = &p->places->list[i];
        if (at->type == placed->type && at->level == placed->level && at->size == placed->atom.size)
            price = at->price;
    }
    if (p->places->memory_price[placed->type] > 0)
        price += p->places->memory_price[placed->type] *
                 glet_atom_memory_mib(p->space->problem, placed->type, &placed->atom);
    return price;
}

/* Index of the first place that costs at least price. */
static int first_place(const struct polish *p, double price)
{
    int low = 0, high = p->places->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (p->places->list[middle].price < price)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What the memory that the needs take in any gpu-let of the type costs: weights, no activations. */
static double weights_price(const struct polish *p, int type, const struct needs *needs)
{
    if (p->places->memory_price[type] <= 0)
        return 0;
    double memory_mib = p->space->problem->types[type].context_mib;
    for (int k = 0; k < needs->count; k++)
        memory_mib += p->space->problem->models[needs->model[k]].memory_mib;
    return p->places->memory_price[type] * memory_mib;
}

/* Whether the models' shares of the time, at their best batches, fit into one gpu-let. */
static bool may_fit(const struct polish *p, const struct glet_place *at, const struct needs *needs)
{
    double share = 0;
    for (int k = 0; k < needs->count; k++) {
        const struct glet_single *one =
            glet_space_best(p->space, at->type, at->level, needs->model[k], at->size);
        if (one->rate_rps < needs->rate_rps[k] * (1 - 1e-12))
            return false;
        share += needs->rate_rps[k] / one->rate_rps;
    }
    return share <= 1 + 1e-9;
}

/* The cheapest gpu-let below budget that serves the needs; returns its price or INFINITY. */
static double cover(struct polish *p, const struct needs *needs, double budget,
                    struct glet_placed *out)
{
    double best = INFINITY;
    if (needs->count == 0)
        return 0;
    if (needs->count > GLET_ATOM_PARTS)
        return best;
    double weights = 0; /* of the type where they are dearest */
    for (int g = 0; g < p->space->problem->type_count; g++)
        weights = fmax(weights, weights_price(p, g, needs));
    for (int i = first_place(p, needs->worth * WORTH - weights);
         i < p->places->count && p->fits > 0; i++) {
        const struct glet_place *at = &p->places->list[i];
        if (at->price >= budget)
            break;
        double least = at->price + weights_price(p, at->type, needs);
        if (least < needs->worth * WORTH || least >= budget || !may_fit(p, at, needs))
            continue;
        p->fits--;
        struct glet_placed placed = {.type = at->type, .level = at->level};
        struct glet_surroundings around = {
            at->level == 0, glet_space_seen(p->space, at->type, at->level, at->size)};
        if (!glet_fit_rates(p->space->problem, at->type, at->size, around, needs->count,
                            needs->model, needs->rate_rps, &placed.atom) ||
            !glet_space_rate_atom(p->space, at->type, at->level, &placed.atom))
            continue;
        bool good = true;
        for (int k = 0; k < needs->count && good; k++)
            good = glet_atom_rate_rps(&placed.atom, k) >= needs->rate_rps[k] * (1 - 1e-12);
        if (!good)
            continue;
        double price = at->price;
        if (p->places->memory_price[at->type] > 0)
            price += p->places->memory_price[at->type] *
                     glet_atom_memory_mib(p->space->problem, at->type, &placed.atom);
        if (price >= budget)
            continue;
        *out = placed;
        best = budget = price;
        if (p->places->memory_price[at->type] <= 0)
            break;
    }
    return best;
}

static void add_need(struct polish *p, struct needs *needs, int m, double rate_rps)
{
    if (rate_rps <= p->demand_rps[m] * 1e-9)
        return;
    needs->worth += p->places->model_price[m] * rate_rps;
    for (int k = 0; k < needs->count; k++)
        if (needs->model[k] == m) {
            needs->rate_rps[k] += rate_rps;
            return;
        }
    needs->model[needs->count] = (uint16_t)m;
    needs->rate_rps[needs->count++] = rate_rps;
}

/* What the rest of the plan does not serve of the models of these gpu-lets. */
static void find_needs(struct polish *p, const struct glet_atom *a, const struct glet_atom *b,
                       struct needs *out)
{
    out->count = 0;
    out->worth = 0;
    for (int k = 0; k < a->count; k++) {
        int m = a->model[k];
        double rate_rps = glet_atom_rate_rps(a, k);
        for (int h = 0; b && h < b->count; h++)
            if (b->model[h] == m)
                rate_rps += glet_atom_rate_rps(b, h);
        add_need(p, out, m, rate_rps - fmax(0, p->rate_rps[m] - p->demand_rps[m]));
    }
    for (int h = 0; b && h < b->count; h++) {
        bool seen = false;
        for (int k = 0; k < a->count; k++)
            seen |= a->model[k] == b->model[h];
        int m = b->model[h];
        if (!seen)
            add_need(p, out, m,
                     glet_atom_rate_rps(b, h) - fmax(0, p->rate_rps[m] - p->demand_rps[m]));
    }
}

struct change {
    double price; /* of what replaces the pair */
    int count;
    struct glet_placed placed[2];
};

/* The needs divided in two, each served by a gpu-let. */
static void try_two(struct polish *p, const struct needs *a, const struct needs *b,
                    struct change *best)
{
    struct glet_placed one, two;
    double first = cover(p, a, best->price - b->worth * WORTH, &one);
    if (!isfinite(first))
        return;
    double second = cover(p, b, best->price - first, &two);
    if (first + second >= best->price)
        return;
    best->price = first + second;
    best->count = 0;
    if (a->count)
        best->placed[best->count++] = one;
    if (b->count)
        best->placed[best->count++] = two;
}

/* One model of `from` goes over to `to`, as a whole or what a smaller gpu-let leaves. */
static void try_moves(struct polish *p, const struct needs *from, const struct needs *to,
                      struct change *best)
{
    for (int k = 0; k < from->count && from->count > 1; k++) {
        struct needs less = {0}, more = *to;
        for (int h = 0; h < from->count; h++)
            if (h != k)
                add_need(p, &less, from->model[h], from->rate_rps[h]);
        if (more.count >= GLET_ATOM_PARTS)
            continue;
        add_need(p, &more, from->model[k], from->rate_rps[k]);
        try_two(p, &less, &more, best);
    }
    if (from->count != 1 || to->count >= GLET_ATOM_PARTS)
        return;
    int m = from->model[0];
    double need_rps = from->rate_rps[0], per_rps = p->places->model_price[m];
    for (int i = 0; i < p->places->count; i++) {
        const struct glet_place *at = &p->places->list[i];
        if (at->price + to->worth * WORTH >= best->price)
            break;
        const struct glet_single *one = glet_space_best(p->space, at->type, at->level, m, at->size);
        double rate_rps = one->rate_rps;
        if (rate_rps <= 0 || rate_rps >= need_rps || per_rps * rate_rps < at->price * WORTH)
            continue;
        struct needs more = *to;
        add_need(p, &more, m, need_rps - rate_rps);
        double own = at->price + p->places->memory_price[at->type] * one->memory_mib;
        if (own + more.worth * WORTH >= best->price)
            continue;
        struct glet_placed second;
        double price = own + cover(p, &more, best->price - own, &second);
        if (price >= best->price)
            continue;
        struct glet_placed first = {.type = at->type, .level = at->level};
        first.atom = (struct glet_atom){.size = at->size, .count = 1};
        first.atom.model[0] = (uint16_t)m;
        first.atom.batch[0] = one->batch;
        if (!glet_space_rate_atom(p->space, at->type, at->level, &first.atom))
            continue;
        *best = (struct change){.price = price, .count = 2, .placed = {first, second}};
    }
}

static void count_rates(struct polish *p, const struct glet_atom *atom, double sign)
{
    for (int k = 0; k < atom->count; k++)
        p->rate_rps[atom->model[k]] += sign * glet_atom_rate_rps(atom, k);
}

static void measure(struct polish *p, int i, struct waste *out)
{
    const struct glet_placed *placed = &p->atoms->list[i];
    out->index = i;
    out->price = placed->atom.count ? price_of(p, placed) : 0;
    find_needs(p, &placed->atom, NULL, &out->needs);
    out->amount = out->price - out->needs.worth;
}

/* Tries to serve what two gpu-lets serve for less. */
static bool try_pair(struct polish *p, struct waste *x, struct waste *y)
{
    struct glet_placed *a = &p->atoms->list[x->index], *b = &p->atoms->list[y->index];
    double before = x->price + y->price;
    struct change best = {.price = before - GAIN};
    struct needs all, none = {0};
    find_needs(p, &a->atom, &b->atom, &all);
    if (all.worth * WORTH >= best.price)
        return false;
    try_two(p, &all, &none, &best);
    if (a->atom.count && b->atom.count && best.price >= before - GAIN) {
        /* Needs that the two have in common are the second's. */
        struct needs first = {0}, second = {0};
        for (int k = 0; k < all.count; k++) {
            bool in_b = false;
            for (int h = 0; h < b->atom.count; h++)
                in_b |= b->atom.model[h] == all.model[k];
            add_need(p, in_b ? &second : &first, all.model[k], all.rate_rps[k]);
        }
        try_moves(p, &first, &second, &best);
        try_moves(p, &second, &first, &best);
    }
    if (best.price >= before - GAIN)
        return false;
    count_rates(p, &a->atom, -1);
    count_rates(p, &b->atom, -1);
    a->atom.count = b->atom.count = 0;
    if (best.count > 0)
        *a = best.placed[0];
    if (best.count > 1)
        *b = best.placed[1];
    count_rates(p, &a->atom, 1);
    count_rates(p, &b->atom, 1);
    measure(p, x->index, x);
    measure(p, y->index, y);
    return true;
}

static int by_waste(const void *a, const void *b)
{
    const struct waste *x = a, *y = b;
    if (x->amount != y->amount)
        return x->amount < y->amount ? 1 : -1;
    return x->index - y->index;
}

/* Gpu-lets that waste something; of equal ones of one model, the first. */
static int list_wasteful(struct polish *p, struct waste *list)
{
    const struct glet_problem *problem = p->space->problem;
    int sizes = 0, count = 0;
    for (int g = 0; g < problem->type_count; g++)
        sizes = problem->types[g].size_count > sizes ? problem->types[g].size_count : sizes;
    char *seen = glet_must_alloc(1, (size_t)problem->model_count * (size_t)sizes);
    for (int i = 0; i < p->atoms->count; i++) {
        const struct glet_atom *atom = &p->atoms->list[i].atom;
        if (atom->count == 0)
            continue;
        if (atom->count == 1) {
            char *mark = &seen[atom->model[0] * sizes + atom->size];
            if (*mark)
                continue;
            *mark = 1;
        }
        measure(p, i, &list[count]);
        if (list[count].amount > GAIN)
            count++;
    }
    free(seen);
    qsort(list, (size_t)count, sizeof *list, by_waste);
    return count;
}

static int pass(struct polish *p, struct waste *list, int count, const struct glet_halt *halt)
{
    int changes = 0;
    for (int i = 0; i < count && p->fits > 0 && !glet_halted(halt); i++)
        for (int j = i + 1; j < count && p->fits > 0; j++) {
            if (p->atoms->list[list[i].index].atom.count == 0)
                break;
            if (p->atoms->list[list[j].index].atom.count == 0)
                continue;
            if (list[i].amount + list[j].amount < GAIN)
                continue;
            if (try_pair(p, &list[i], &list[j]))
                changes++;
        }
    return changes;
}

void glet_polish(const struct glet_space *space, const struct glet_places *places,
                 const double *demand_rps, long fits, const struct glet_halt *halt,
                 struct glet_placed_list *atoms)
{
    if (!places->list || atoms->count == 0)
        return;
    struct polish p = {
        .space = space, .places = places, .demand_rps = demand_rps, .atoms = atoms, .fits = fits};
    p.rate_rps = glet_must_alloc(sizeof *p.rate_rps, (size_t)space->problem->model_count);
    for (int i = 0; i < atoms->count; i++)
        count_rates(&p, &atoms->list[i].atom, 1);
    struct waste *list = glet_must_alloc(sizeof *list, (size_t)atoms->count);
    for (int round = 0; round < PASSES && p.fits > 0 && !glet_halted(halt); round++)
        if (!pass(&p, list, list_wasteful(&p, list), halt))
            break;
    free(list);
    int kept = 0;
    for (int i = 0; i < atoms->count; i++)
        if (atoms->list[i].atom.count > 0)
            atoms->list[kept++] = atoms->list[i];
    atoms->count = kept;
    free(p.rate_rps);
}
