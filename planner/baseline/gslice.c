/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * GSLICE-like (Dhakal et al., SoCC'20): every model gets spatial partitions at the knee of its rate
 * curve, the last one only as large as it needs; no time sharing. Partitions are packed first-fit
 * in descending size; self-tuning enlarges one by a step when its neighbours slow it below its
 * rate.
 */
#include "planner/baseline/place.h"

#include <stdlib.h>

/* First fit looks at so many of the newest GPUs; older ones are full in a large fleet. */
#define OPEN_MAX 300

static int free_units(const struct glet_place *place, int i)
{
    return glet_box_free_units(place->problem, glet_boxes_at(place->boxes, i));
}

/* Places one partition first-fit, one step larger where that helps. Returns the rate gained. */
static double place_first(struct glet_place *place, int m, int size)
{
    const struct glet_problem_type *t = &place->problem->types[place->type];
    double missing = glet_place_missing(place, m);
    int batch, oldest = place->boxes->count > OPEN_MAX ? place->boxes->count - OPEN_MAX : 0;
    double wanted = glet_place_solo(place, m, size, &batch);
    if (wanted > missing)
        wanted = missing;
    for (int s = size; s < t->size_count && s <= size + 1; s++)
        for (int i = oldest; i < place->boxes->count; i++) {
            if (free_units(place, i) < t->sizes_units[s] ||
                glet_boxes_at(place->boxes, i)->count >= place->max_gpulets)
                continue;
            struct glet_box before;
            glet_box_copy(&before, glet_boxes_at(place->boxes, i));
            double gained = glet_place_add(place, i, m, s);
            if (gained >= wanted * (1 - GLET_TOLERANCE_RATIO))
                return gained;
            if (gained > 0 && gained >= 0.5 * wanted && s == size + 1)
                return gained;
            if (gained > 0) /* not enough: take it back */
                glet_place_set(place, i, &before);
        }
    return glet_place_add(place, -1, m, size);
}

bool glet_baseline_gslice(struct glet_place *place)
{
    const struct glet_problem *problem = place->problem;
    const struct glet_problem_type *t = &problem->types[place->type];
    /* A neighbour that arrives later may push a partition below its rate: up to three passes. */
    for (int pass = 0; pass < 3; pass++)
        for (int size = t->size_count - 1; size >= 0; size--)
            for (int m = 0; m < problem->model_count; m++)
                while (glet_place_missing(place, m) > 0) {
                    int need = glet_place_required(place, m, glet_place_missing(place, m));
                    int knee = glet_place_knee(place, m);
                    int chosen = need >= 0 && need < knee ? need : knee;
                    if (chosen < 0)
                        return false;
                    if (chosen != size)
                        break;
                    if (place_first(place, m, size) <= 0)
                        return false;
                }
    for (int m = 0; m < problem->model_count; m++)
        if (glet_place_missing(place, m) > 0)
            return false;
    return true;
}
