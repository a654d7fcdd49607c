/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Best fit in several orders, the first by size and the others with noise. */
#include "planner/solve/search/repack.h"

#include "planner/solve/search/eject.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 3e8 /* of gpu-lets and GPUs: more take longer than they are worth */

struct part { /* a gpu-let to be packed again, with the rates it must keep */
    struct glet_atom atom;
    double aggressor, key;
    double least_rps[GLET_ATOM_PARTS];
};

static int by_key(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? 1 : -1;
    return memcmp(x->atom.model, y->atom.model, sizeof x->atom.model);
}

static bool keeps_rates(const struct glet_box *box, const struct part *parts, const int *index)
{
    for (int a = 0; a < box->count; a++)
        for (int k = 0; k < box->atoms[a].count; k++)
            if (glet_atom_rate_rps(&box->atoms[a], k) < parts[index[a]].least_rps[k])
                return false;
    return true;
}

/* Best fit in the order of the parts; gives up, and returns false, at `limit` GPUs or when halted. */
static bool best_fit(const struct glet_problem *problem, int type, const struct part *parts,
                     int count, int limit, const struct glet_halt *halt, struct glet_boxes *out)
{
    int(*index)[GLET_BOX_ATOMS] = glet_must_alloc(sizeof *index, (size_t)limit);
    out->count = 0;
    for (int i = 0; i < count; i++) {
        int best = -1, best_rest = 1 << 30;
        for (int x = 0; x < out->count; x++) {
            const struct glet_box *box = glet_boxes_at(out, x);
            int rest = glet_box_free_units(problem, box) -
                       problem->types[type].sizes_units[parts[i].atom.size];
            if (rest < 0 || rest >= best_rest || box->count >= problem->types[type].max_gpulets)
                continue;
            struct glet_box trial;
            glet_box_copy(&trial, box);
            index[x][trial.count] = i;
            trial.atoms[trial.count++] = parts[i].atom;
            if (glet_box_evaluate(problem, &trial) && keeps_rates(&trial, parts, index[x])) {
                best = x;
                best_rest = rest;
            }
        }
        if (best < 0) {
            if (out->count >= limit - 1 || glet_halted(halt)) {
                free(index);
                return false;
            }
            best = out->count;
            glet_boxes_add(out, &(struct glet_box){.type = type});
        }
        index[best][glet_boxes_at(out, best)->count] = i;
        glet_boxes_put(out, best, &parts[i].atom);
    }
    free(index);
    return true;
}

static int repack_type(const struct glet_problem *problem, int type, const double *demand_rps,
                       const double *rate_rps, struct glet_boxes *boxes, int tries,
                       const struct glet_halt *halt)
{
    int *chosen = glet_must_alloc(sizeof *chosen, (size_t)boxes->count), gpus = 0, count = 0;
    for (int i = 0; i < boxes->count; i++) {
        const struct glet_box *box = glet_boxes_at(boxes, i);
        if (box->type == type && glet_box_free_units(problem, box) > 0) {
            chosen[gpus++] = i;
            count += box->count;
        }
    }
    struct part *parts = glet_must_alloc(sizeof *parts, (size_t)count);
    count = 0;
    for (int q = 0; q < gpus; q++) {
        const struct glet_box *box = glet_boxes_at(boxes, chosen[q]);
        for (int a = 0; a < box->count; a++) {
            struct part *part = &parts[count++];
            part->atom = box->atoms[a];
            part->aggressor = fmax(-1, glet_atom_aggressor(problem, type, &part->atom));
            for (int k = 0; k < part->atom.count; k++) {
                int m = part->atom.model[k];
                part->least_rps[k] =
                    glet_atom_least_rps(&part->atom, k, demand_rps[m], rate_rps[m]);
            }
        }
    }
    struct glet_boxes trial = {0}, best = {0};
    int best_count = gpus;
    if ((double)gpus * count > 200000)
        tries = (double)gpus * count > PAIRS_MAX ? 0 : 2;
    uint64_t dice = 88172645463325252ULL;
    for (int t = 0;
         t < tries && !glet_halted(halt) && gpus > 1 && problem->types[type].layouts == NULL; t++) {
        for (int i = 0; i < count; i++) {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            double noise = (double)(dice >> 11) * 0x1p-53 * (t % 3) * (t > 0);
            parts[i].key = problem->types[type].sizes_units[parts[i].atom.size] + noise +
                           (t % 2 ? 8 * parts[i].aggressor : 0);
        }
        qsort(parts, (size_t)count, sizeof *parts, by_key);
        if (best_fit(problem, type, parts, count, best_count, halt, &trial)) {
            struct glet_boxes swap = best;
            best = trial;
            trial = swap;
            best_count = best.count;
        }
    }
    if (best_count < gpus) {
        for (int q = 0; q < gpus; q++)
            glet_boxes_clear(boxes, chosen[q]);
        for (int q = 0; q < best_count; q++) {
            glet_boxes_set(boxes, chosen[q], glet_boxes_at(&best, q));
            glet_boxes_evaluate(problem, boxes, chosen[q]);
        }
    }
    free(chosen);
    free(parts);
    glet_boxes_free(&trial);
    glet_boxes_free(&best);
    return gpus - best_count;
}

int glet_repack(const struct glet_space *space, const double *demand_rps, struct glet_boxes *boxes,
                int tries, const struct glet_halt *halt)
{
    const struct glet_problem *problem = space->problem;
    double *rate_rps = glet_must_alloc(sizeof *rate_rps, (size_t)problem->model_count);
    int saved = 0;
    glet_boxes_rates(problem, boxes, rate_rps);
    for (int g = 0; g < problem->type_count; g++)
        saved += repack_type(problem, g, demand_rps, rate_rps, boxes, tries, halt);
    glet_boxes_sweep(boxes);
    free(rate_rps);
    return saved;
}
