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
#include "planner/solve/search/polish.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>

/* Passes over all pairs; most end earlier, when one changes nothing. */
#define PASSES 20

/* A change must save this many GPUs; less is noise of the prices. */
#define GAIN 0.002

struct waste {
    int index;
    double amount, price;
    struct glet_needs needs;
};

/* What the rest of the plan does not serve of the models of these gpu-lets; b: NULL = only a's. */
static void find_needs(struct glet_draft *p, const struct glet_atom *a, const struct glet_atom *b,
                       struct glet_needs *out)
{
    struct glet_needs all = {0};
    for (int k = 0; k < a->count; k++)
        glet_needs_add(p, &all, a->model[k], glet_atom_rate_rps(a, k));
    for (int k = 0; b && k < b->count; k++)
        glet_needs_add(p, &all, b->model[k], glet_atom_rate_rps(b, k));
    *out = (struct glet_needs){0};
    for (int k = 0; k < all.count; k++)
        glet_needs_add(p, out, all.model[k],
                       all.rate_rps[k] - glet_draft_spare_rps(p, all.model[k]));
}

struct change {
    double price; /* of what replaces the pair */
    int count;
    struct glet_placed placed[2];
};

/* The needs divided in two, each served by a gpu-let. */
static void try_two(struct glet_draft *p, const struct glet_needs *a, const struct glet_needs *b,
                    struct change *best)
{
    struct glet_placed one, two;
    double first = glet_draft_cover(p, a, best->price - b->worth * GLET_DRAFT_WORTH, &one);
    if (!isfinite(first))
        return;
    double second = glet_draft_cover(p, b, best->price - first, &two);
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
static void try_moves(struct glet_draft *p, const struct glet_needs *from,
                      const struct glet_needs *to, struct change *best)
{
    for (int k = 0; k < from->count && from->count > 1; k++) {
        struct glet_needs less = {0}, more = *to;
        for (int h = 0; h < from->count; h++)
            if (h != k)
                glet_needs_add(p, &less, from->model[h], from->rate_rps[h]);
        if (more.count >= GLET_ATOM_PARTS)
            continue;
        glet_needs_add(p, &more, from->model[k], from->rate_rps[k]);
        try_two(p, &less, &more, best);
    }
    if (from->count != 1 || to->count >= GLET_ATOM_PARTS)
        return;
    int m = from->model[0];
    double need_rps = from->rate_rps[0], per_rps = p->places->model_price[m];
    for (int i = 0; i < p->places->count; i++) {
        const struct glet_place *at = &p->places->list[i];
        if (at->price + to->worth * GLET_DRAFT_WORTH >= best->price)
            break;
        const struct glet_single *one = glet_space_best(p->space, at->type, at->level, m, at->size);
        double rate_rps = one->rate_rps;
        if (rate_rps <= 0 || rate_rps >= need_rps ||
            per_rps * rate_rps < at->price * GLET_DRAFT_WORTH)
            continue;
        struct glet_needs more = *to;
        glet_needs_add(p, &more, m, need_rps - rate_rps);
        double own = at->price + p->places->memory_price[at->type] * one->memory_mib;
        if (own + more.worth * GLET_DRAFT_WORTH >= best->price)
            continue;
        struct glet_placed second = {0};
        double price = own + glet_draft_cover(p, &more, best->price - own, &second);
        if (price >= best->price)
            continue;
        struct glet_placed first;
        if (glet_draft_fill(p, at, m, &first))
            *best = (struct change){
                .price = price, .count = more.count ? 2 : 1, .placed = {first, second}};
    }
}

static void measure(struct glet_draft *p, int i, struct waste *out)
{
    const struct glet_placed *placed = &p->atoms->list[i];
    out->index = i;
    out->price = placed->atom.count ? glet_draft_price(p, placed) : 0;
    find_needs(p, &placed->atom, NULL, &out->needs);
    out->amount = out->price - out->needs.worth;
}

/* Tries to serve what two gpu-lets serve for less. */
static bool try_pair(struct glet_draft *p, struct waste *x, struct waste *y)
{
    struct glet_placed *a = &p->atoms->list[x->index], *b = &p->atoms->list[y->index];
    double before = x->price + y->price;
    struct change best = {.price = before - GAIN};
    struct glet_needs all, none = {0};
    find_needs(p, &a->atom, &b->atom, &all);
    if (all.worth * GLET_DRAFT_WORTH >= best.price)
        return false;
    try_two(p, &all, &none, &best);
    if (a->atom.count && b->atom.count && best.price >= before - GAIN) {
        /* Needs that the two have in common are the second's. */
        struct glet_needs first = {0}, second = {0};
        for (int k = 0; k < all.count; k++) {
            bool in_b = false;
            for (int h = 0; h < b->atom.count; h++)
                in_b |= b->atom.model[h] == all.model[k];
            glet_needs_add(p, in_b ? &second : &first, all.model[k], all.rate_rps[k]);
        }
        try_moves(p, &first, &second, &best);
        try_moves(p, &second, &first, &best);
    }
    if (best.price >= before - GAIN)
        return false;
    glet_draft_set(p, x->index, best.count > 0 ? &best.placed[0] : NULL);
    glet_draft_set(p, y->index, best.count > 1 ? &best.placed[1] : NULL);
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
static int list_wasteful(struct glet_draft *p, struct waste *list)
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

static int pass(struct glet_draft *p, struct waste *list, int count, const struct glet_halt *halt)
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

void glet_polish(struct glet_draft *draft, const struct glet_halt *halt)
{
    struct waste *list = glet_must_alloc(sizeof *list, (size_t)draft->atoms->count);
    for (int round = 0; round < PASSES && draft->fits > 0 && !glet_halted(halt); round++)
        if (!pass(draft, list, list_wasteful(draft, list), halt))
            break;
    free(list);
    glet_draft_sweep(draft);
}
