/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matching is that of `plan diff`; the rest is bookkeeping, quadratic in the number of GPUs. */
#include "planner/places.h"

#include "common/memory.h"
#include "planner/analyse/diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct place {
    struct glet_plan_gpu gpu;
    size_t partner; /* of the old plan, or GLET_DIFF_NONE */
};

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* GPUs without anything in common with an old one take a free place of their type. */
static void fill_free_places(const struct glet_plan *old, struct place *places, size_t count,
                             bool *taken)
{
    for (size_t g = 0; g < count; g++)
        if (places[g].partner != GLET_DIFF_NONE)
            taken[places[g].partner] = true;
    for (size_t g = 0; g < count; g++)
        for (size_t o = 0; o < old->gpu_count && places[g].partner == GLET_DIFF_NONE; o++)
            if (!taken[o] && strcmp(old->gpus[o].type, places[g].gpu.type) == 0) {
                places[g].partner = o;
                taken[o] = true;
            }
}

/* Exchanges nodes within a type until GPUs are on the nodes of their places, where that is possible.
 */
static void exchange_nodes(const struct glet_plan *old, struct place *places, size_t count)
{
    for (size_t g = 0; g < count; g++) {
        if (places[g].partner == GLET_DIFF_NONE)
            continue;
        const char *wanted = old->gpus[places[g].partner].node;
        for (size_t h = 0; h < count && !same_text(places[g].gpu.node, wanted); h++) {
            size_t other = places[h].partner;
            bool settled =
                other != GLET_DIFF_NONE && same_text(places[h].gpu.node, old->gpus[other].node);
            if (settled || strcmp(places[h].gpu.type, places[g].gpu.type) != 0 ||
                !same_text(places[h].gpu.node, wanted))
                continue;
            char *node = places[g].gpu.node;
            places[g].gpu.node = places[h].gpu.node;
            places[h].gpu.node = node;
        }
    }
}

/* Stock of a type on a node; its cost, or NAN when there is none or prices differ. */
static double stock_on(const struct glet_workload *workload, const char *type, const char *node,
                       double *cost_per_hour)
{
    double stock = 0;
    *cost_per_hour = NAN;
    for (size_t i = 0; i < workload->gpu_count; i++) {
        const struct glet_workload_gpu *gpu = &workload->gpus[i];
        if (strcmp(gpu->type, type) != 0 || !same_text(gpu->node, node))
            continue;
        *cost_per_hour =
            stock == 0 || *cost_per_hour == gpu->cost_per_hour ? gpu->cost_per_hour : NAN;
        stock += gpu->count < 0 ? INFINITY : (double)gpu->count;
    }
    return stock;
}

static size_t used_on(const struct place *places, size_t count, const char *type, const char *node)
{
    size_t used = 0;
    for (size_t g = 0; g < count; g++)
        used += strcmp(places[g].gpu.type, type) == 0 && same_text(places[g].gpu.node, node);
    return used;
}

/* Moves GPUs to the nodes of their places where those have room at the same price. */
static int use_spare_stock(const struct glet_plan *old, const struct glet_workload *workload,
                           struct place *places, size_t count, struct glet_error *err)
{
    for (size_t g = 0; g < count; g++) {
        struct glet_plan_gpu *gpu = &places[g].gpu;
        if (places[g].partner == GLET_DIFF_NONE)
            continue;
        const char *wanted = old->gpus[places[g].partner].node;
        double now, then, room = stock_on(workload, gpu->type, wanted, &then);
        stock_on(workload, gpu->type, gpu->node, &now);
        if (same_text(gpu->node, wanted) || !(now == then) ||
            (double)used_on(places, count, gpu->type, wanted) + 1 > room)
            continue;
        char *node = wanted ? glet_strdup(wanted, err) : NULL;
        if (wanted && !node)
            return -1;
        free(gpu->node);
        gpu->node = node;
    }
    return 0;
}

static bool is_used(const struct glet_plan *old, const struct place *places, size_t count,
                    const char *id)
{
    for (size_t g = 0; g < count; g++)
        if (places[g].partner != GLET_DIFF_NONE && strcmp(old->gpus[places[g].partner].id, id) == 0)
            return true;
    return false;
}

/* Old ids for places, and the smallest free gpuN for what is new. */
static int name(const struct glet_plan *old, struct place *places, size_t count,
                struct glet_error *err)
{
    size_t number = 0;
    for (size_t g = 0; g < count; g++) {
        char *id = NULL;
        if (places[g].partner != GLET_DIFF_NONE)
            id = glet_strdup(old->gpus[places[g].partner].id, err);
        while (!id && places[g].partner == GLET_DIFF_NONE) {
            id = glet_format(err, "gpu%zu", number++);
            if (!id)
                return -1;
            if (is_used(old, places, count, id)) {
                free(id);
                id = NULL;
            }
        }
        if (!id)
            return -1;
        free(places[g].gpu.id);
        places[g].gpu.id = id;
    }
    return 0;
}

/* The old plan's order, new ones last as they came; insertion keeps it stable. */
static void sort(struct place *places, size_t count)
{
    for (size_t g = 1; g < count; g++) {
        struct place moved = places[g];
        size_t at = g;
        for (; at > 0 && places[at - 1].partner > moved.partner; at--)
            places[at] = places[at - 1];
        places[at] = moved;
    }
}

int glet_places_keep(const struct glet_plan *old, const struct glet_workload *workload,
                     struct glet_plan *plan, struct glet_error *err)
{
    size_t count = plan->gpu_count;
    GLET_CLEANUP(glet_cleanup_free) struct place *places = calloc(count + 1, sizeof *places);
    GLET_CLEANUP(glet_cleanup_free) size_t *partner = calloc(count + 1, sizeof *partner);
    GLET_CLEANUP(glet_cleanup_free) bool *taken = calloc(old->gpu_count + 1, sizeof *taken);
    if (!places || !partner || !taken)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    if (glet_diff_partners(old, plan, partner, err) < 0)
        return -1;
    for (size_t g = 0; g < count; g++)
        places[g] = (struct place){plan->gpus[g], partner[g]};
    fill_free_places(old, places, count, taken);
    exchange_nodes(old, places, count);
    sort(places, count);
    int result = use_spare_stock(old, workload, places, count, err);
    if (result == 0)
        result = name(old, places, count, err);
    for (size_t g = 0; g < count; g++) /* owned by the plan again, also after a failure */
        plan->gpus[g] = places[g].gpu;
    return result;
}
