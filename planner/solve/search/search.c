/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The order of attack: the cheap bound, the dive with repair, neighbourhoods of what was found,
 * the exact method when the menu is small. Each step is skipped when the plan already equals the
 * bound.
 */
#include "planner/solve/search/search.h"

#include "planner/baseline/baseline.h"
#include "planner/solve/bound/bound.h"
#include "planner/solve/bound/mix.h"
#include "planner/solve/exact/exact.h"
#include "planner/solve/exact/menu.h"
#include "planner/solve/exact/two_lets.h"
#include "planner/solve/search/bulk.h"
#include "planner/solve/search/dive.h"
#include "planner/solve/search/eject.h"
#include "planner/solve/search/fewer.h"
#include "planner/solve/search/neighbour.h"
#include "planner/solve/search/one_gpu.h"
#include "planner/solve/search/pack.h"
#include "planner/solve/search/polish.h"
#include "planner/solve/search/repack.h"
#include "planner/solve/search/repair.h"
#include "planner/solve/search/ruin.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * The master counts memory over all GPUs, as if it could be divided at will, but no packing by
 * units and memory at once fills both. Counting on all of it costs 2 % of the GPUs where models
 * take 2 to 40 of 48 GiB (benchmarks/planner/fleets 100/100/48), on 0.75 of it 1 %.
 */
#define MEMORY_RATIO 0.86

/* Where memory makes up this share of a GPU's price, all of it saves 1 to 4 GPUs in a hundred. */
#define SCARCE_SHARE 0.3

#define FINE_MODELS   200 /* with more, a dive commits all at once */
#define ROUGH_MODELS  500 /* with more, gpu-lets are packed roughly until they are polished */
#define UNEVEN_LEAST  8   /* the exact method does better with fewer */
#define UNEVEN_MODELS 50
#define UNEVEN_GAIN   0.996 /* of the GPUs; the packing may lose a little less than that */

#define COARSE_SIZES  8
#define COARSE_MODELS 200
#define COARSE_GAP    0.03

#define RUINS_PER_LET 200 /* tries; more than most need */

/* Neighbourhoods of what is too large for the exact method, times models: a second or so. */
#define NEIGHBOUR_MODELS 150

/* Whether a whole GPU comes of a saving is up to the packing, which takes most of the time. */
#define WORTH_PACKING(cost) (0.1 + 0.001 * (cost))

/* Least used GPUs that each round of repair tries to empty. */
#define DISSOLVE_TRIES 600

/* Packs again, by the way that suits each type of GPUs; returns how many GPUs that saves. */
static int repack(struct glet_search *search, struct glet_boxes *boxes, int tries)
{
    return glet_repack(search->space, search->demand_rps, boxes, tries, search->halt) +
           glet_eject(search->space, search->demand_rps, boxes, search->halt);
}

static void improve(struct glet_search *search, struct glet_boxes *boxes)
{
    repack(search, boxes, 40);
    for (int round = 0; round < 20 && !glet_halted(search->halt); round++) {
        int tries = boxes->count < DISSOLVE_TRIES ? boxes->count : DISSOLVE_TRIES;
        int removed =
            glet_repair_dissolve(search->space, search->demand_rps, boxes, tries, search->halt);
        if (round < 3)
            removed += repack(search, boxes, 20);
        if (!removed)
            break;
    }
}

/* Packs a copy of the gpu-lets, improves what comes out unless it is a rough plan, and offers it. */
static void settle(struct glet_search *search, const struct glet_placed_list *atoms, bool rough)
{
    struct glet_placed_list copy = {0};
    struct glet_boxes boxes = {0};
    for (int i = 0; i < atoms->count; i++)
        glet_placed_add(&copy, &atoms->list[i]);
    glet_boxes_copy(&boxes, &search->bulk);
    glet_pack_trim(search->space, search->rest_rps, &copy);
    glet_pack(search->space, search->rest_rps, &copy, &boxes);
    if (glet_repair_cover(search->space, search->demand_rps, search->halt, &boxes) && !rough)
        improve(search, &boxes);
    glet_search_offer(search, &boxes);
    glet_placed_free(&copy);
    glet_boxes_free(&boxes);
}

static bool memory_binds(const struct glet_search *search)
{
    bool binds = false;
    for (int g = 0; g < search->problem->type_count; g++)
        binds |= search->space->types[g].memory_binds;
    return binds;
}

/*
 * Committing little by little is a little better and twice as slow or worse, so only small problems
 * do, and not in a fast search. What is rearranged nearly always packs better; where a few models
 * need many GPUs each, what is not.
 */
static struct glet_dive_options dive_options(const struct glet_search *search, double stock_ratio,
                                             double memory_ratio)
{
    bool rough = search->problem->model_count > FINE_MODELS || search->effort == GLET_EFFORT_FAST;
    return (struct glet_dive_options){.root_rounds = 40,
                                      .rounds = 2,
                                      .commit_ratio = rough ? 1 : 0.3,
                                      .keep_open = 1,
                                      .duty_cycles = 16,
                                      .shared = true,
                                      .stock_ratio = stock_ratio,
                                      .memory_ratio = memory_ratio,
                                      .taken = search->bulk.count,
                                      .halt = search->halt};
}

/*
 * Looks for cheaper gpu-lets than those of a dive, in pairs and then in ruins, and packs what comes
 * out: again as long as that saves GPUs.
 */
static void rearrange(struct glet_search *search, const struct glet_places *places,
                      struct glet_placed_list *atoms)
{
    static const long fits[] = {500000, 7000000, 40000000}; /* a million take less than a second */
    static const int most[] = {5000, 20000, 100000}, rounds[] = {1, 6, 20};
    struct glet_random random = glet_random_seeded(1);
    double before = INFINITY;
    for (int round = 0; round <= rounds[search->effort]; round++) {
        int tries = atoms->count * RUINS_PER_LET;
        double saved = INFINITY;
        struct glet_draft draft;
        if (glet_search_closed(search) || glet_halted(search->halt) ||
            (round > 1 && search->best_cost >= before))
            return;
        before = search->best_cost;
        glet_draft_init(&draft, search->space, places, search->rest_rps, fits[search->effort],
                        atoms);
        if (round == 0)
            glet_polish(&draft, search->halt);
        else
            saved = glet_ruin(&draft, tries < most[search->effort] ? tries : most[search->effort],
                              &random, search->halt);
        glet_draft_fini(&draft);
        if (saved < WORTH_PACKING(search->best_cost))
            return;
        settle(search, atoms, false);
    }
}

/* Returns the share of a GPU's price that is its memory's. */
static double dive(struct glet_search *search, double stock_ratio, double memory_ratio)
{
    struct glet_dive_options options = dive_options(search, stock_ratio, memory_ratio);
    bool rough = search->problem->model_count > ROUGH_MODELS;
    struct glet_placed_list atoms = {0};
    struct glet_places places = {0};
    glet_dive(search->space, search->rest_rps, &options, &places, &atoms);
    if (search->effort != GLET_EFFORT_FAST)
        settle(search, &atoms, rough);
    if (places.list)
        rearrange(search, &places, &atoms);
    double share = places.memory_share;
    glet_placed_free(&atoms);
    glet_places_free(&places);
    return share;
}

/*
 * What is committed all at once sometimes rounds better: more effort must not miss that plan. Apps see
 * to that at every split (app_search.c), many models commit all at once anyway, and beside a bulk a
 * GPU is too little for the time.
 */
static void dive_fast(struct glet_search *search)
{
    enum glet_effort effort = search->effort;
    if (effort == GLET_EFFORT_FAST || search->problem->model_count > FINE_MODELS ||
        search->problem->app_count || search->bulk.count || glet_search_closed(search) ||
        glet_halted(search->halt))
        return;
    search->effort = GLET_EFFORT_FAST;
    dive(search, 1, MEMORY_RATIO);
    search->effort = effort;
}

/* A plan of so much leaves little to gain. */
static double near_bound(const struct glet_search *search)
{
    return search->whole_costs ? search->bound + 1 : search->bound * 1.003;
}

/*
 * Rounding can end short of a tight stock that the program used up to the last GPU. What a part of
 * the stock is kept back for then is what the repair opens.
 */
static void dives(struct glet_search *search)
{
    static const double ratios[] = {1, 0.98, 0.95, 0.9, 0.8};
    bool limited = false;
    for (int g = 0; g < search->problem->type_count; g++)
        limited |= search->problem->types[g].count >= 0;
    bool quick = search->effort == GLET_EFFORT_FAST && search->problem->type_count == 1;
    int tries = limited && !quick ? 5 : 1;
    double share = 0;
    for (int i = 0; i < tries && !isfinite(search->best_cost); i++)
        if (!glet_search_closed(search) && !glet_halted(search->halt))
            share = dive(search, ratios[i], MEMORY_RATIO);
    bool scarce = share >= SCARCE_SHARE && search->effort != GLET_EFFORT_FAST &&
                  search->best_cost > near_bound(search);
    bool short_of = limited && memory_binds(search) && !isfinite(search->best_cost);
    if ((scarce || short_of) && !glet_search_closed(search) && !glet_halted(search->halt))
        dive(search, 1, 1); /* what was kept back of the memory may be missing */
}

/*
 * Where big gpu-lets, one to a GPU, are louder than their neighbours, uneven levels save up to 1 % of
 * the GPUs, elsewhere they cost some. Few models dive once with each, if the first left a gap; many
 * with those that look better before anything is rounded; the fewest have the exact method.
 */
static void dive_levels(struct glet_search *search)
{
    struct glet_space uneven, *even = search->space;
    bool any = search->effort != GLET_EFFORT_FAST && search->problem->model_count > UNEVEN_LEAST &&
               glet_space_init_uneven(&uneven, search->problem);
    bool many = search->problem->model_count > UNEVEN_MODELS;
    if (any && many) {
        struct glet_dive_options options = dive_options(search, 1, MEMORY_RATIO);
        double with = glet_dive_estimate(&uneven, search->rest_rps, &options);
        double without = glet_dive_estimate(even, search->rest_rps, &options);
        any = with < without * UNEVEN_GAIN;
        if (any)
            search->space = &uneven;
        else
            glet_space_fini(&uneven);
    }
    dives(search);
    search->space = even;
    if (any && !many && search->best_cost > near_bound(search) && !glet_search_closed(search) &&
        !glet_halted(search->halt)) {
        search->space = &uneven;
        dive(search, 1, MEMORY_RATIO);
        search->space = even;
    }
    if (any)
        glet_space_fini(&uneven);
}

/* Never worse than any of them; their plans are repaired like our own. */
static void offer_baselines(struct glet_search *search)
{
    static const enum glet_baseline all[] = {GLET_BASELINE_GPULET_INTERFERENCE,
                                             GLET_BASELINE_GSLICE, GLET_BASELINE_SBP};
    /* So many GPUs cost as much as the best plan and would be no gain. */
    double limit = fmin(INT32_MAX, search->best_cost / glet_cheapest_cost(search->problem));
    int most = isfinite(search->best_cost) && limit >= 1 ? (int)limit : 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct glet_boxes boxes = {0};
        if (glet_halted(search->halt) || glet_search_closed(search))
            return;
        if (glet_baseline_run(search->problem, all[i], most, search->halt, &boxes))
            glet_search_offer(search, &boxes);
        glet_boxes_free(&boxes);
    }
}

/* Whole pieces prove up to 0.5 % more where models need less than a GPU each; 1000 take 3 s. */
static void raise_by_pieces(struct glet_search *search)
{
    struct glet_bound_options bound = {.rounds = 60,
                                       .piece_rounds = 30,
                                       .grid = search->problem->model_count > 300 ? 128 : 512,
                                       .round_up = search->whole_costs,
                                       .halt = search->halt};
    if (search->effort != GLET_EFFORT_FAST && !glet_search_closed(search) &&
        !glet_halted(search->halt))
        glet_search_raise(search, glet_bound_find(search->space, search->cost, &bound, NULL));
}

/*
 * Whole mixes prove up to 6 % more where shares are coarse and neighbours do not interfere, and less
 * than whole pieces where they do. A hundred models take half a second.
 */
static void raise_by_mixes(struct glet_search *search)
{
    const struct glet_problem *problem = search->problem;
    struct glet_mix_options options = {.rounds = 60,
                                       .known = search->bound,
                                       .round_up = search->whole_costs,
                                       .halt = search->halt};
    if (search->effort == GLET_EFFORT_FAST || problem->type_count != 1 ||
        problem->types[0].interferes || !search->space->types[0].patterns.complete ||
        problem->types[0].size_count > COARSE_SIZES || problem->model_count > COARSE_MODELS ||
        search->best_cost <= search->bound * (1 + COARSE_GAP) || glet_search_closed(search) ||
        glet_halted(search->halt))
        return;
    glet_search_raise(search, glet_mix_bound(search->space, search->cost[0], &options));
}

/* They gain little beyond the repair (a GPU in a hundred tries), so only where tries are cheap. */
static void try_neighbourhoods(struct glet_search *search, int few)
{
    int tries = search->effort == GLET_EFFORT_MAX ? 60 : search->best.count <= 8 ? few : 0;
    if (isfinite(search->best_cost) && search->effort != GLET_EFFORT_FAST)
        glet_neighbour_run(search, tries);
}

static void take_bulk(struct glet_search *search)
{
    double load = search->bound / search->cost[0];
    memcpy(search->rest_rps, search->demand_rps,
           sizeof(double) * (size_t)search->problem->model_count);
    glet_bulk_take(search->space, load, search->halt, search->rest_rps, &search->bulk);
}

void glet_search_run(struct glet_search *search)
{
    struct glet_bound_options bound = {
        .rounds = 60, .round_up = search->whole_costs, .halt = search->halt};
    search->linear = glet_bound_find(search->space, search->cost, &bound, NULL);
    glet_search_raise(search, search->linear);
    if (glet_search_closed(search) || glet_halted(search->halt))
        return;
    bool looked = glet_two_lets_run(search) && search->effort != GLET_EFFORT_MAX;
    if (glet_search_closed(search) || glet_halted(search->halt))
        return;
    /* A rough count will do, and what decides one GPU nearly always leaves little to others. */
    if (glet_search_excluded(search) || (looked && search->most < 2 * search->cost[0]))
        search->effort = GLET_EFFORT_FAST;
    take_bulk(search);
    dive_levels(search);
    offer_baselines(search);
    glet_one_gpu_run(search);
    raise_by_pieces(search);
    raise_by_mixes(search);
    dive_fast(search);
    if (!glet_search_closed(search))
        try_neighbourhoods(search, 4);
    if (!glet_search_closed(search) && !glet_halted(search->halt))
        glet_exact_run(search);
    glet_fewer_run(search);
    if (!glet_search_closed(search) && !glet_halted(search->halt))
        try_neighbourhoods(search, NEIGHBOUR_MODELS / (search->problem->model_count + 1));
}
