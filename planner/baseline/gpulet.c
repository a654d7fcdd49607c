/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Elastic partitioning (Choi et al., ATC'22, algorithms 1 and 2): models in ascending order of rate
 * x SLO; each takes partitions of p_ideal = min(p_eff, p_req), p_eff the knee of the rate curve,
 * p_req the smallest size that serves the remainder; best fit over the remaining gpu-lets, a whole
 * GPU being split at most once (two gpu-lets per GPU); the batch is the largest that meets the SLO
 * with the interference of the neighbour; what remains tries to share a gpu-let in time. GPUs are
 * added one at a time while it does not fit (auto-scaling). Differs: no 85 % acceptance and no
 * ignored remainders; neighbours that fall below their rate get a new partition.
 */
#include "planner/baseline/place.h"
#include "planner/solve/space/scratch.h"

#include <stdlib.h>

struct queue {
    int model;
    double key;
};

static int lightest_first(const void *a, const void *b)
{
    const struct queue *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? 1 : -1;
    return x->model - y->model;
}

/* The size that fills the rest of a GPU, for the second half of a split one. */
static int largest_within(const struct glet_problem_type *t, int units)
{
    int size = -1;
    for (int s = 0; s < t->size_count && t->sizes_units[s] <= units; s++)
        size = s;
    return size;
}

static bool best_fit(struct glet_place *place, int m, int size)
{
    const struct glet_problem_type *t = &place->problem->types[place->type];
    int best = -1, best_free = 1 << 30;
    for (int i = 0; i < place->boxes->count; i++) {
        const struct glet_box *box = glet_boxes_at(place->boxes, i);
        int rest = glet_box_free_units(place->problem, box);
        if (box->count >= place->max_gpulets || rest < t->sizes_units[size] || rest >= best_free)
            continue;
        best = i;
        best_free = rest;
    }
    if (best < 0)
        return false;
    bool last = glet_boxes_at(place->boxes, best)->count == place->max_gpulets - 1;
    int take = last ? largest_within(t, best_free) : size;
    return glet_place_add(place, best, m, take) > 0 ||
           (take != size && glet_place_add(place, best, m, size) > 0);
}

static bool share_in_time(struct glet_place *place, int m)
{
    for (int i = 0; i < place->boxes->count; i++)
        for (int a = 0; a < glet_boxes_at(place->boxes, i)->count; a++)
            if (glet_place_join(place, i, a, m))
                return true;
    return false;
}

static bool schedule(struct glet_place *place, int m)
{
    const struct glet_problem_type *t = &place->problem->types[place->type];
    int efficient = glet_place_knee(place, m);
    while (glet_place_missing(place, m) > 0) {
        int required = glet_place_required(place, m, glet_place_missing(place, m));
        bool last = required >= 0 && required <= efficient;
        int ideal = last ? required : efficient;
        if (ideal < 0)
            return false;
        if (last && share_in_time(place, m))
            return true;
        if (best_fit(place, m, ideal))
            continue;
        if (glet_place_add(place, -1, m, ideal) <= 0 &&
            glet_place_add(place, -1, m, t->size_count - 1) <= 0)
            return false;
    }
    return true;
}

bool glet_baseline_gpulet(struct glet_place *place)
{
    const struct glet_problem *problem = place->problem;
    struct queue *queue = glet_must_alloc(sizeof *queue, (size_t)problem->model_count);
    for (int m = 0; m < problem->model_count; m++)
        queue[m] = (struct queue){m, problem->models[m].demand_rps * problem->models[m].limit_ms};
    qsort(queue, (size_t)problem->model_count, sizeof *queue, lightest_first);
    bool good = true, open = true;
    for (int pass = 0; pass < 8 && good && open && !glet_halted(place->halt); pass++) {
        open = false;
        for (int i = 0; i < problem->model_count && good; i++)
            good = schedule(place, queue[i].model);
        for (int m = 0; m < problem->model_count; m++)
            open |= glet_place_missing(place, m) > 0;
    }
    free(queue);
    return good && !open;
}
