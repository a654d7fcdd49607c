/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The paper's "ideal": exhaustive over the partitionings of up to 4 GPUs into at most two gpu-lets
 * each (256 for its six sizes and 4 GPUs). For every number of GPUs and every multiset of layouts,
 * the models are assigned greedily, the one with the largest need first, each to the smallest
 * gpu-let that serves its remainder, else to the largest left; remainders share in time.
 */
#include "planner/baseline/place.h"
#include "planner/solve/space/pattern.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GPUS_MAX     4
#define PATTERNS_MAX 40

struct slots {
    int gpu[GPUS_MAX * GLET_BOX_ATOMS], size[GPUS_MAX * GLET_BOX_ATOMS];
    bool used[GPUS_MAX * GLET_BOX_ATOMS];
    int count;
};

static void lay_out(const struct glet_patterns *patterns, const int *chosen, int gpus,
                    struct slots *slots)
{
    slots->count = 0;
    for (int i = 0; i < gpus; i++)
        for (int s = 0; s < patterns->size_count; s++)
            for (int n = 0; n < patterns->uses[chosen[i] * patterns->size_count + s]; n++) {
                slots->gpu[slots->count] = i;
                slots->size[slots->count] = s;
                slots->used[slots->count++] = false;
            }
}

static int pick(const struct glet_place *place, const struct slots *slots, int m)
{
    int best = -1, batch;
    double best_rate = 0, missing = glet_place_missing(place, m);
    for (int i = 0; i < slots->count; i++) {
        if (slots->used[i])
            continue;
        double rate = fmin(missing, glet_place_solo(place, m, slots->size[i], &batch));
        if (rate > best_rate * (1 + 1e-9) ||
            (best >= 0 && rate >= best_rate * (1 - 1e-9) && slots->size[i] < slots->size[best])) {
            best = i;
            best_rate = fmax(best_rate, rate);
        }
    }
    return best;
}

static bool assign(struct glet_place *place, struct slots *slots)
{
    const struct glet_problem *problem = place->problem;
    for (int guard = 0; guard < 4 * slots->count + problem->model_count; guard++) {
        int hardest = -1, batch;
        double most = 0;
        for (int m = 0; m < problem->model_count; m++) {
            double whole =
                glet_place_solo(place, m, problem->types[place->type].size_count - 1, &batch);
            double need = glet_place_missing(place, m) / fmax(whole, 1e-9);
            if (need > most) {
                most = need;
                hardest = m;
            }
        }
        if (hardest < 0)
            return true;
        int slot = pick(place, slots, hardest);
        if (slot >= 0) {
            slots->used[slot] = true;
            glet_place_add(place, slots->gpu[slot], hardest, slots->size[slot]);
            continue;
        }
        bool shared = false;
        for (int i = 0; i < place->boxes->count && !shared; i++)
            for (int a = 0; a < glet_boxes_at(place->boxes, i)->count && !shared; a++)
                shared = glet_place_join(place, i, a, hardest);
        if (!shared)
            return false;
    }
    return false;
}

static bool try_layout(struct glet_place *place, const struct glet_patterns *patterns,
                       const int *chosen, int gpus)
{
    struct slots slots;
    lay_out(patterns, chosen, gpus, &slots);
    place->boxes->count = 0;
    memset(place->rate_rps, 0, sizeof(double) * (size_t)place->problem->model_count);
    for (int i = 0; i < gpus; i++)
        glet_boxes_add(place->boxes, &(struct glet_box){.type = place->type});
    return assign(place, &slots);
}

static bool next_multiset(int *chosen, int gpus, int patterns)
{
    int i = gpus - 1;
    while (i >= 0 && chosen[i] == patterns - 1)
        i--;
    if (i < 0)
        return false;
    chosen[i]++;
    for (int j = i + 1; j < gpus; j++)
        chosen[j] = chosen[i];
    return true;
}

bool glet_baseline_ideal(struct glet_place *place)
{
    const struct glet_problem_type *t = &place->problem->types[place->type];
    struct glet_problem_type halved = *t; /* the paper's layouts: a GPU is split at most once */
    struct glet_patterns patterns;
    halved.max_gpulets = place->max_gpulets;
    glet_patterns_init(&patterns, &halved, PATTERNS_MAX);
    int most = t->count >= 0 && t->count < GPUS_MAX ? t->count : GPUS_MAX;
    bool found = false;
    for (int gpus = 1; gpus <= most && !found && patterns.complete && patterns.count; gpus++) {
        int chosen[GPUS_MAX] = {0};
        do {
            found = try_layout(place, &patterns, chosen, gpus);
        } while (!found && !glet_halted(place->halt) &&
                 next_multiset(chosen, gpus, patterns.count));
    }
    if (!found)
        place->boxes->count = 0;
    glet_boxes_sweep(place->boxes);
    glet_patterns_fini(&patterns);
    return found;
}
