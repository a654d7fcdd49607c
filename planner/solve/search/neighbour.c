/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/neighbour.h"

#include "common/random.h"
#include "planner/solve/search/dive.h"
#include "planner/solve/search/eject.h"
#include "planner/solve/search/pack.h"
#include "planner/solve/search/polish.h"
#include "planner/solve/search/repack.h"
#include "planner/solve/search/repair.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FREED_MAX 10 /* GPUs planned again at once */

#define POLISH_FITS 200000

struct neighbour {
    struct glet_search *search;
    struct glet_random random;
    struct glet_boxes plan;
    double *rest_rps, *demand_rps; /* [model] */
};

static double spare_units(const struct neighbour *n, const struct glet_box *box)
{
    const struct glet_problem *problem = n->search->problem;
    double sum = glet_box_free_units(problem, box);
    for (int a = 0; a < box->count; a++) {
        const struct glet_atom *atom = &box->atoms[a];
        int units = problem->types[box->type].sizes_units[atom->size];
        for (int k = 0; k < atom->count; k++) {
            int m = atom->model[k];
            double extra = n->rest_rps[m] - n->search->demand_rps[m];
            sum += fmin(1, fmax(0, extra) / glet_atom_rate_rps(atom, k)) * units / atom->count;
        }
    }
    return sum;
}

static bool share_models(const struct glet_box *a, const struct glet_box *b)
{
    for (int i = 0; i < a->count; i++)
        for (int k = 0; k < a->atoms[i].count; k++)
            for (int j = 0; j < b->count; j++)
                for (int h = 0; h < b->atoms[j].count; h++)
                    if (a->atoms[i].model[k] == b->atoms[j].model[h])
                        return true;
    return false;
}

/* Moves the chosen boxes to the end of the plan; returns how many. */
static int choose(struct neighbour *n)
{
    int count = n->plan.count;
    int wanted = 4 + (int)glet_random_below(&n->random, FREED_MAX - 3);
    if (wanted > count)
        wanted = count;
    glet_boxes_rates(n->search->problem, &n->plan, n->rest_rps);
    for (int taken = 0; taken < wanted; taken++) {
        int best = -1, looks = glet_random_uniform(&n->random) < 0.5 ? 8 : 3;
        double best_score = -1;
        for (int look = 0; look < looks; look++) {
            int i = (int)glet_random_below(&n->random, (uint64_t)(count - taken));
            double score =
                spare_units(n, glet_boxes_at(&n->plan, i)) + 2 * glet_random_uniform(&n->random);
            if (taken &&
                share_models(glet_boxes_at(&n->plan, i), glet_boxes_at(&n->plan, count - 1)))
                score += 2;
            if (score > best_score) {
                best = i;
                best_score = score;
            }
        }
        glet_boxes_swap(&n->plan, best, count - 1 - taken);
    }
    return wanted;
}

static double room_left(const struct neighbour *n, const struct glet_boxes *boxes)
{
    double sum = 0;
    for (int i = 0; i < boxes->count; i++) {
        double units = glet_box_free_units(n->search->problem, glet_boxes_at(boxes, i));
        sum += units * units;
    }
    return sum;
}

static bool serves(const struct neighbour *n, const struct glet_boxes *boxes)
{
    const struct glet_problem *problem = n->search->problem;
    double *rate_rps = glet_must_alloc(sizeof *rate_rps, (size_t)problem->model_count);
    bool good = true;
    struct glet_box box;
    for (int i = 0; i < boxes->count && good; i++) {
        glet_box_copy(&box, glet_boxes_at(boxes, i));
        good = glet_box_evaluate(problem, &box);
    }
    glet_boxes_rates(problem, boxes, rate_rps);
    for (int m = 0; m < problem->model_count && good; m++)
        good = rate_rps[m] >=
               n->demand_rps[m] * (1 - 1e-12) - n->search->demand_rps[m] * GLET_TOLERANCE_RATIO / 8;
    free(rate_rps);
    return good;
}

/* One neighbourhood; returns whether the plan became cheaper. */
static bool replan(struct neighbour *n)
{
    struct glet_search *search = n->search;
    const struct glet_problem *problem = search->problem;
    static const double commit[] = {0.02, 0.1, 0.3};
    struct glet_dive_options dive = {.root_rounds = 15,
                                     .rounds = 3,
                                     .commit_ratio = commit[glet_random_below(&n->random, 3)],
                                     .keep_open = glet_random_uniform(&n->random) < 0.5 ? 0 : 0.5,
                                     .duty_cycles = 12 + (int)glet_random_below(&n->random, 14),
                                     .shared = true,
                                     .stock_ratio = 1,
                                     .memory_ratio = 1,
                                     .halt = search->halt};
    int freed = choose(n), kept = n->plan.count - freed;
    struct glet_boxes rest = glet_boxes_part(&n->plan, 0, kept);
    struct glet_boxes old = glet_boxes_part(&n->plan, kept, freed);
    glet_boxes_rates(problem, &rest, n->rest_rps);
    for (int m = 0; m < problem->model_count; m++) {
        double missing = search->demand_rps[m] - n->rest_rps[m];
        n->demand_rps[m] = missing > search->demand_rps[m] * GLET_TOLERANCE_RATIO / 8 ? missing : 0;
    }
    struct glet_placed_list atoms = {0};
    struct glet_places places = {0};
    struct glet_boxes fresh = {0};
    bool cheaper = false;
    if (glet_dive(search->space, n->demand_rps, &dive, &places, &atoms) >= 0) {
        struct glet_draft draft;
        glet_draft_init(&draft, search->space, &places, n->demand_rps, POLISH_FITS, &atoms);
        glet_polish(&draft, search->halt);
        glet_draft_fini(&draft);
        glet_pack_trim(search->space, n->demand_rps, &atoms);
        glet_pack(search->space, n->demand_rps, &atoms, &fresh);
        glet_repack(search->space, n->demand_rps, &fresh, 10, search->halt);
        glet_eject(search->space, n->demand_rps, &fresh, search->halt);
        glet_repair_dissolve(search->space, n->demand_rps, &fresh, freed, search->halt);
        double before = glet_boxes_cost(problem, &old);
        double after = glet_boxes_cost(problem, &fresh);
        cheaper = after < before * (1 - 1e-9);
        bool even = after <= before * (1 + 1e-9) && room_left(n, &fresh) >= room_left(n, &old);
        if ((cheaper || even) && serves(n, &fresh)) {
            n->plan.count = kept;
            for (int i = 0; i < fresh.count; i++)
                glet_boxes_add(&n->plan, glet_boxes_at(&fresh, i));
        } else {
            cheaper = false;
        }
    }
    glet_placed_free(&atoms);
    glet_places_free(&places);
    glet_boxes_free(&fresh);
    return cheaper;
}

void glet_neighbour_run(struct glet_search *search, int tries)
{
    if (tries == 0 || glet_halted(search->halt))
        return;
    struct neighbour n = {.search = search, .random = glet_random_seeded(1)};
    size_t models = (size_t)search->problem->model_count;
    n.rest_rps = glet_must_alloc(sizeof(double), models);
    n.demand_rps = glet_must_alloc(sizeof(double), models);
    glet_boxes_copy(&n.plan, &search->best);
    for (int i = 0; i < tries && n.plan.count > 1; i++) {
        if (glet_halted(search->halt) || glet_search_closed(search))
            break;
        bool cheaper = replan(&n);
        /* Room that small steps gathered may empty a whole GPU. */
        if (!cheaper && i % 8 == 7)
            cheaper = glet_repair_dissolve(search->space, search->demand_rps, &n.plan, 40,
                                           search->halt) > 0;
        if (cheaper)
            glet_search_offer(search, &n.plan);
    }
    glet_boxes_free(&n.plan);
    free(n.rest_rps);
    free(n.demand_rps);
}
