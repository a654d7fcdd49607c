/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The gpu-lets of one GPU are taken off and put elsewhere one by one. Where one fits nowhere it is
 * put in place of one or two others, those that have failed least often to find a place, and they
 * wait in turn.
 *
 * Next to linear interference a gpu-let minds only the loudest of its neighbours. How loud that may
 * be is found once, so that whether gpu-lets fit together is a few comparisons.
 *
 * Source: Nagata and Braysy's ejection search for the fewest vehicles (2009); differs: no random
 * moves in between, and what is left over in the end goes back to one GPU.
 */
#include "planner/solve/search/eject.h"

#include "common/random.h"
#include "planner/model/gpu_memory.h"
#include "planner/solve/space/scratch.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_PER_GPU 30        /* for each GPU that is to be emptied; more save next to nothing */
#define LOOK          200       /* GPUs looked at for a place that is made free */
#define WORK          100000000 /* gpu-lets looked at in all, which takes about a second */

struct part { /* a gpu-let to be moved */
    struct glet_atom atom;
    int units;
    double memory_mib;         /* all it charges where weights are not shared */
    double aggressor, loudest; /* its own ratio, and the most that it can stand */
    long failures;
};

struct gpu {
    int count, units;
    int part[GLET_BOX_ATOMS];
};

struct eject {
    const struct glet_problem *problem;
    const struct glet_problem_type *type;
    int type_index;
    bool shared; /* weights */
    struct part *parts;
    struct gpu *gpus;
    int part_count, gpu_count;
    int *waiting; /* parts without a GPU */
    int waiting_count;
    long work;
    struct glet_random random;
};

/* Whether the gpu-let keeps its limits and rates beside neighbours as loud as that. */
static bool stands(const struct eject *e, const struct glet_atom *atom, const double *least_rps,
                   double aggressor)
{
    double exec_ms[GLET_ATOM_PARTS], duty_ms = 0;
    for (int k = 0; k < atom->count; k++) {
        const struct glet_cell *cell = glet_problem_cell(e->problem, e->type_index, atom->model[k],
                                                         atom->size, atom->batch[k]);
        exec_ms[k] = cell->latency_ms * fmax(1, cell->victim_ratio + aggressor);
        duty_ms += exec_ms[k];
    }
    for (int k = 0; k < atom->count; k++)
        if (!glet_within(duty_ms + exec_ms[k], e->problem->models[atom->model[k]].limit_ms) ||
            1000.0 * atom->batch[k] / duty_ms < least_rps[k])
            return false;
    return true;
}

/* How loud neighbours may be: INFINITY = any; -INFINITY = none at all. */
static double loudest(const struct eject *e, const struct glet_atom *atom, const double *least_rps)
{
    double low = e->type->aggressor_min_ratio, high = e->type->aggressor_max_ratio;
    if (stands(e, atom, least_rps, high))
        return INFINITY;
    if (!stands(e, atom, least_rps, low))
        return -INFINITY;
    for (int i = 0; i < 40; i++) {
        double middle = (low + high) / 2;
        if (stands(e, atom, least_rps, middle))
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool has_model(const struct glet_atom *atom, int model)
{
    for (int k = 0; k < atom->count; k++)
        if (atom->model[k] == model)
            return true;
    return false;
}

/* Memory of the listed parts on one GPU. */
static double memory_mib(const struct eject *e, const int *list, int count)
{
    double sum_mib = 0;
    for (int i = 0; i < count; i++) {
        const struct part *part = &e->parts[list[i]];
        sum_mib += part->memory_mib;
        for (int k = 0; e->shared && k < part->atom.count; k++)
            for (int j = 0; j < i; j++)
                if (has_model(&e->parts[list[j]].atom, part->atom.model[k])) {
                    sum_mib -= e->problem->models[part->atom.model[k]].memory_mib;
                    break;
                }
    }
    return sum_mib;
}

/* Whether the listed parts fit one GPU together. */
static bool fit(struct eject *e, const int *list, int count)
{
    double first = -INFINITY, second = -INFINITY;
    int units = 0, top = -1;
    e->work += count;
    for (int i = 0; i < count; i++) {
        const struct part *part = &e->parts[list[i]];
        units += part->units;
        if (part->aggressor > first) {
            second = first;
            first = part->aggressor;
            top = i;
        } else if (part->aggressor > second) {
            second = part->aggressor;
        }
    }
    if (units > e->type->units || count > e->type->max_gpulets)
        return false;
    for (int i = 0; i < count && count > 1; i++)
        if ((i == top ? second : first) > e->parts[list[i]].loudest)
            return false;
    return glet_within(memory_mib(e, list, count), e->type->memory_mib);
}

/* Puts a part where it leaves the fewest units; returns whether it fits anywhere. */
static bool place(struct eject *e, int part)
{
    int best = -1, best_units = -1;
    for (int g = 0; g < e->gpu_count; g++) {
        struct gpu *gpu = &e->gpus[g];
        if (gpu->units + e->parts[part].units > e->type->units || gpu->units <= best_units ||
            gpu->count >= e->type->max_gpulets)
            continue;
        gpu->part[gpu->count] = part;
        if (fit(e, gpu->part, gpu->count + 1)) {
            best = g;
            best_units = gpu->units;
        }
    }
    if (best < 0)
        return false;
    struct gpu *gpu = &e->gpus[best];
    gpu->part[gpu->count++] = part;
    gpu->units += e->parts[part].units;
    return true;
}

static void take_off(struct eject *e, struct gpu *gpu, int at)
{
    int part = gpu->part[at];
    gpu->units -= e->parts[part].units;
    gpu->part[at] = gpu->part[--gpu->count];
    e->waiting[e->waiting_count++] = part;
}

struct swap {
    int gpu, out[2], count;
    long failures; /* of those that go out */
};

/* Looks at one GPU for gpu-lets that the part could replace. */
static void try_swaps(struct eject *e, int part, int g, struct swap *best)
{
    const struct gpu *gpu = &e->gpus[g];
    int list[GLET_BOX_ATOMS + 1];
    e->work++;
    for (int a = 0; a < gpu->count; a++)
        for (int b = a; b < gpu->count; b++) {
            const struct part *one = &e->parts[gpu->part[a]], *two = &e->parts[gpu->part[b]];
            long failures = one->failures + (a == b ? 0 : two->failures);
            int units = gpu->units - one->units - (a == b ? 0 : two->units), count = 0;
            if (failures >= best->failures || units + e->parts[part].units > e->type->units)
                continue;
            for (int i = 0; i < gpu->count; i++)
                if (i != a && i != b)
                    list[count++] = gpu->part[i];
            list[count++] = part;
            if (fit(e, list, count))
                *best = (struct swap){g, {b, a}, a == b ? 1 : 2, failures};
        }
}

/* Puts the part in place of one or two others that have failed least often. */
static bool force(struct eject *e, int part)
{
    struct swap best = {.gpu = -1, .failures = LONG_MAX};
    int start = (int)glet_random_below(&e->random, (uint64_t)e->gpu_count);
    for (int n = 0; n < e->gpu_count && (n < LOOK || best.gpu < 0) && best.failures > 1; n++)
        try_swaps(e, part, (start + n) % e->gpu_count, &best);
    if (best.gpu < 0)
        return false;
    struct gpu *gpu = &e->gpus[best.gpu];
    for (int i = 0; i < best.count; i++) /* the later one first */
        take_off(e, gpu, best.out[i]);
    gpu->part[gpu->count++] = part;
    gpu->units += e->parts[part].units;
    return true;
}

static int waiting_units(const struct eject *e)
{
    int units = 0;
    for (int i = 0; i < e->waiting_count; i++)
        units += e->parts[e->waiting[i]].units;
    return units;
}

/* Tries to empty the last GPU. Otherwise the others and it are left as they were best. */
static bool empty_last(struct eject *e, const struct glet_halt *halt)
{
    struct gpu *best = glet_must_alloc(sizeof *best, (size_t)e->gpu_count);
    int last = --e->gpu_count, best_units = e->gpus[last].units;
    memcpy(best, e->gpus, sizeof *best * (size_t)(last + 1));
    e->waiting_count = 0;
    while (e->gpus[last].count)
        take_off(e, &e->gpus[last], 0);
    for (int i = 0; i < e->part_count; i++)
        e->parts[i].failures = 1;
    for (int i = TRIES_PER_GPU * last; i > 0 && e->waiting_count && e->work < WORK; i--) {
        if (glet_halted(halt))
            break;
        int part = e->waiting[--e->waiting_count];
        if (place(e, part)) {
            int units = waiting_units(e);
            if (units < best_units && e->waiting_count &&
                e->waiting_count <= e->type->max_gpulets && fit(e, e->waiting, e->waiting_count)) {
                best_units = units;
                memcpy(best, e->gpus, sizeof *best * (size_t)last);
                best[last] = (struct gpu){.count = e->waiting_count, .units = units};
                memcpy(best[last].part, e->waiting, sizeof(int) * (size_t)e->waiting_count);
            }
            continue;
        }
        e->parts[part].failures++;
        if (!force(e, part)) {
            e->waiting[e->waiting_count++] = part;
            break;
        }
    }
    bool emptied = e->waiting_count == 0;
    if (!emptied) {
        memcpy(e->gpus, best, sizeof *best * (size_t)(last + 1));
        e->gpu_count++;
    }
    free(best);
    return emptied;
}

/* Whether one GPU fewer has enough of everything. */
static bool may_empty(const struct eject *e)
{
    double units = 0, memory = 0, gpus = e->gpu_count - 1;
    for (int i = 0; i < e->part_count; i++) {
        units += e->parts[i].units;
        memory += e->shared ? 0 : e->parts[i].memory_mib;
    }
    return e->part_count <= gpus * e->type->max_gpulets && units <= gpus * e->type->units &&
           glet_within(memory, gpus * e->type->memory_mib);
}

/* Puts the GPU with the fewest units last. */
static void choose_last(struct eject *e)
{
    int least = 0;
    for (int g = 0; g < e->gpu_count; g++)
        if (e->gpus[g].units <= e->gpus[least].units)
            least = g;
    struct gpu swap = e->gpus[least];
    e->gpus[least] = e->gpus[e->gpu_count - 1];
    e->gpus[e->gpu_count - 1] = swap;
}

static void add_gpu(struct eject *e, const struct glet_box *box, const double *demand_rps,
                    const double *rate_rps)
{
    struct gpu *gpu = &e->gpus[e->gpu_count++];
    for (int a = 0; a < box->count; a++) {
        struct part *part = &e->parts[e->part_count];
        double least_rps[GLET_ATOM_PARTS];
        *part =
            (struct part){.atom = box->atoms[a], .units = e->type->sizes_units[box->atoms[a].size]};
        part->memory_mib = glet_atom_memory_mib(e->problem, e->type_index, &part->atom);
        part->aggressor =
            e->type->linear ? glet_atom_aggressor(e->problem, e->type_index, &part->atom) : 0;
        for (int k = 0; k < part->atom.count; k++) {
            int m = part->atom.model[k];
            least_rps[k] = glet_atom_least_rps(&part->atom, k, demand_rps[m], rate_rps[m]);
        }
        part->loudest = loudest(e, &part->atom, least_rps);
        gpu->units += part->units;
        gpu->part[gpu->count++] = e->part_count++;
    }
}

/* Puts the GPUs in place of the chosen boxes, unless one is not allowed after all. */
static bool write_back(struct eject *e, const int *chosen, int chosen_count,
                       struct glet_boxes *boxes)
{
    struct glet_boxes fresh = {0};
    bool good = true;
    for (int g = 0; g < e->gpu_count && good; g++) {
        glet_boxes_add(&fresh, &(struct glet_box){.type = e->type_index});
        for (int i = 0; i < e->gpus[g].count; i++)
            glet_boxes_put(&fresh, g, &e->parts[e->gpus[g].part[i]].atom);
        good = glet_boxes_evaluate(e->problem, &fresh, g);
    }
    for (int i = 0; i < chosen_count && good; i++) {
        glet_boxes_clear(boxes, chosen[i]);
        if (i < e->gpu_count)
            glet_boxes_set(boxes, chosen[i], glet_boxes_at(&fresh, i));
    }
    glet_boxes_free(&fresh);
    return good;
}

static int eject_type(const struct glet_problem *problem, int g, const double *demand_rps,
                      const double *rate_rps, struct glet_boxes *boxes,
                      const struct glet_halt *halt)
{
    const struct glet_problem_type *type = &problem->types[g];
    struct eject e = {.problem = problem,
                      .type = type,
                      .type_index = g,
                      .shared = glet_memory_shares_weights(type->mechanism),
                      .random = glet_random_seeded(1)};
    int *chosen = glet_must_alloc(sizeof *chosen, (size_t)boxes->count), count = 0, parts = 0;
    for (int i = 0; i < boxes->count; i++) {
        const struct glet_box *box = glet_boxes_at(boxes, i);
        if (box->type == g && box->count) {
            chosen[count++] = i;
            parts += box->count;
        }
    }
    e.parts = glet_must_alloc(sizeof *e.parts, (size_t)parts);
    e.gpus = glet_must_alloc(sizeof *e.gpus, (size_t)count);
    e.waiting = glet_must_alloc(sizeof *e.waiting, (size_t)parts);
    for (int i = 0; i < count; i++)
        add_gpu(&e, glet_boxes_at(boxes, chosen[i]), demand_rps, rate_rps);
    while (may_empty(&e)) {
        choose_last(&e);
        if (!empty_last(&e, halt))
            break;
    }
    int removed = write_back(&e, chosen, count, boxes) ? count - e.gpu_count : 0;
    free(chosen);
    free(e.parts);
    free(e.gpus);
    free(e.waiting);
    return removed;
}

int glet_eject(const struct glet_space *space, const double *demand_rps, struct glet_boxes *boxes,
               const struct glet_halt *halt)
{
    const struct glet_problem *problem = space->problem;
    double *rate_rps = glet_must_alloc(sizeof *rate_rps, (size_t)problem->model_count);
    int removed = 0;
    glet_boxes_rates(problem, boxes, rate_rps);
    for (int g = 0; g < problem->type_count; g++)
        if (space->types[g].memory_binds && !problem->types[g].layouts &&
            !problem->types[g].pair_count)
            removed += eject_type(problem, g, demand_rps, rate_rps, boxes, halt);
    glet_boxes_sweep(boxes);
    free(rate_rps);
    return removed;
}
