/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where shares are coarse and most models need less than a gpu-let, what a plan wastes is who shares
 * with whom. Pairs that are served again (polish.h) soon end where no pair gains; a few gpu-lets at
 * once, some of them for a little more than before, lead on from there: 41 GPUs instead of 44 for a
 * hundred models on the paper's six shares.
 */
#include "planner/solve/search/ruin.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>

#define RUINED_MAX 4
#define GROUPS_MAX 24
#define ITEMS_MAX  (RUINED_MAX * GLET_ATOM_PARTS)

/* A change for the worse by this share of the cheapest place is taken once in e at first. */
#define HEAT 0.05

struct item { /* a model and the rate that it misses */
    int model;
    double rate_rps, worth;
};

struct group { /* a gpu-let in the making */
    struct glet_needs needs;
    struct glet_placed placed;
    double price;
    bool full; /* of one model */
};

struct ruin {
    struct glet_draft *draft;
    struct glet_random *random;
    int ruined[RUINED_MAX], ruined_count; /* indices of atoms */
    struct item items[ITEMS_MAX];
    int item_count;
    struct group groups[GROUPS_MAX];
    int group_count;
    double price; /* of the groups */
};

/* Different gpu-lets; returns their price. */
static double choose(struct ruin *r)
{
    const struct glet_placed_list *atoms = r->draft->atoms;
    int wanted = 2 + (int)glet_random_below(r->random, RUINED_MAX - 1);
    double price = 0;
    r->ruined_count = 0;
    while (r->ruined_count < wanted && r->ruined_count < atoms->count) {
        int i = (int)glet_random_below(r->random, (uint64_t)atoms->count);
        bool seen = false;
        for (int k = 0; k < r->ruined_count; k++)
            seen |= r->ruined[k] == i;
        if (seen)
            continue;
        r->ruined[r->ruined_count++] = i;
        price += glet_draft_price(r->draft, &atoms->list[i]);
    }
    return price;
}

static void add_item(struct ruin *r, int model, double rate_rps)
{
    for (int i = 0; i < r->item_count; i++)
        if (r->items[i].model == model) {
            r->items[i].rate_rps += rate_rps;
            return;
        }
    r->items[r->item_count++] = (struct item){.model = model, .rate_rps = rate_rps};
}

/* What the others do not serve of the chosen gpu-lets' models. */
static void list_items(struct ruin *r)
{
    int kept = 0;
    r->item_count = 0;
    for (int i = 0; i < r->ruined_count; i++) {
        const struct glet_atom *atom = &r->draft->atoms->list[r->ruined[i]].atom;
        for (int k = 0; k < atom->count; k++)
            add_item(r, atom->model[k], glet_atom_rate_rps(atom, k));
    }
    for (int i = 0; i < r->item_count; i++) {
        struct item item = r->items[i];
        item.rate_rps -= glet_draft_spare_rps(r->draft, item.model);
        item.worth = r->draft->places->model_price[item.model] * item.rate_rps;
        if (item.rate_rps > r->draft->demand_rps[item.model] * 1e-9)
            r->items[kept++] = item;
    }
    r->item_count = kept;
}

/* Half of the time the dearest first, which end where there is room; else as it comes. */
static void sort_items(struct ruin *r)
{
    bool by_worth = glet_random_uniform(r->random) < 0.5;
    for (int i = 0; i < r->item_count; i++) {
        int at = i;
        if (!by_worth)
            at += (int)glet_random_below(r->random, (uint64_t)(r->item_count - i));
        for (int k = i + 1; by_worth && k < r->item_count; k++)
            if (r->items[k].worth > r->items[at].worth)
                at = k;
        struct item item = r->items[at];
        r->items[at] = r->items[i];
        r->items[i] = item;
    }
}

/* Puts the item where it adds least, less than budget. */
static bool join(struct ruin *r, const struct item *item, double budget)
{
    int best = -1;
    double added = budget;
    struct glet_placed placed;
    for (int g = 0; g <= r->group_count && g < GROUPS_MAX; g++) {
        struct group *group = &r->groups[g];
        if (g == r->group_count)
            *group = (struct group){.full = false};
        if (group->full || group->needs.count >= GLET_ATOM_PARTS)
            continue;
        struct glet_needs more = group->needs;
        struct glet_placed one;
        glet_needs_add(r->draft, &more, item->model, item->rate_rps);
        double price = glet_draft_cover(r->draft, &more, group->price + added, &one);
        if (price - group->price >= added)
            continue;
        added = price - group->price;
        placed = one;
        best = g;
    }
    if (best < 0)
        return false;
    r->group_count += best == r->group_count;
    glet_needs_add(r->draft, &r->groups[best].needs, item->model, item->rate_rps);
    r->groups[best].placed = placed;
    r->groups[best].price += added;
    r->price += added;
    return true;
}

/* Serves a part of what is too much for one gpu-let by one that it fills, the cheapest per rate. */
static bool peel(struct ruin *r, struct item *item)
{
    const struct glet_places *places = r->draft->places;
    const struct glet_place *best = NULL;
    struct group *group = &r->groups[r->group_count];
    double least = INFINITY, peeled_rps = 0;
    if (r->group_count == GROUPS_MAX)
        return false;
    for (int i = 0; i < places->count; i++) {
        const struct glet_place *at = &places->list[i];
        const struct glet_single *one =
            glet_space_best(r->draft->space, at->type, at->level, item->model, at->size);
        if (one->rate_rps <= 0 || one->rate_rps >= item->rate_rps)
            continue;
        double price = at->price + places->memory_price[at->type] * (double)one->memory_mib;
        if (price < least * one->rate_rps) {
            least = price / one->rate_rps;
            peeled_rps = one->rate_rps;
            best = at;
        }
    }
    if (!best || !glet_draft_fill(r->draft, best, item->model, &group->placed))
        return false;
    group->full = true;
    group->price = glet_draft_price(r->draft, &group->placed);
    r->group_count++;
    r->price += group->price;
    item->rate_rps -= peeled_rps;
    return true;
}

static bool recreate(struct ruin *r, double budget)
{
    r->group_count = 0;
    r->price = 0;
    for (int i = 0; i < r->item_count; i++) {
        struct item *item = &r->items[i];
        double least_rps = r->draft->demand_rps[item->model] * 1e-9; /* what peeling may leave */
        while (item->rate_rps > least_rps && r->price < budget && !join(r, item, budget - r->price))
            if (!peel(r, item))
                return false;
    }
    return r->price < budget;
}

static void replace(struct ruin *r)
{
    struct glet_placed_list *atoms = r->draft->atoms;
    for (int g = 0; g < r->group_count; g++) {
        if (g >= r->ruined_count) {
            struct glet_placed none = r->groups[g].placed;
            none.atom.count = 0;
            glet_placed_add(atoms, &none);
        }
        glet_draft_set(r->draft, g < r->ruined_count ? r->ruined[g] : atoms->count - 1,
                       &r->groups[g].placed);
    }
    for (int g = r->group_count; g < r->ruined_count; g++)
        glet_draft_set(r->draft, r->ruined[g], NULL);
    if (r->group_count < r->ruined_count)
        glet_draft_sweep(r->draft);
}

static void copy(const struct glet_placed_list *from, struct glet_placed_list *to)
{
    to->count = 0;
    for (int i = 0; i < from->count; i++)
        glet_placed_add(to, &from->list[i]);
}

static double cheapest_place(const struct glet_places *places)
{
    for (int i = 0; i < places->count; i++)
        if (places->list[i].price > 0)
            return places->list[i].price;
    return 0;
}

double glet_ruin(struct glet_draft *draft, int tries, struct glet_random *random,
                 const struct glet_halt *halt)
{
    struct ruin r = {.draft = draft, .random = random};
    struct glet_placed_list kept = {0};
    double heat = HEAT * cheapest_place(draft->places), change = 0, least = 0;
    copy(draft->atoms, &kept);
    for (int i = 0; i < tries && draft->atoms->count > 1 && draft->fits > 0; i++) {
        if (glet_halted(halt))
            break;
        double before = choose(&r);
        list_items(&r);
        sort_items(&r);
        double luck = -log(1 - glet_random_uniform(random));
        if (!recreate(&r, before + luck * heat * (tries - i) / tries))
            continue;
        change += r.price - before;
        replace(&r);
        if (change < least - 1e-9) {
            least = change;
            copy(draft->atoms, &kept);
        }
    }
    glet_draft_reset(draft, &kept);
    glet_placed_free(&kept);
    return -least;
}
