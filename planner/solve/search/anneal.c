/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A step changes one GPU, or two that swap: another batch of one model in one gpu-let, batches of a
 * gpu-let that grow or shrink together, or another cut into gpu-lets. The score is a smooth minimum
 * over the models' scales, so that a step that helps the second least served counts as well.
 */
#include "planner/solve/search/anneal.h"

#include "common/random.h"
#include "planner/solve/space/scratch.h"
#include "planner/solve/task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GPUS_MAX   12
#define MODELS_MAX 12
#define LETS_MAX   8
#define CELLS_MAX  108   /* GPUs x models: more take longer than other methods */
#define HEAT       0.03  /* of the score, at first */
#define HEAT_KEPT  0.003 /* ... of the run that begins with a plan */
#define FLOOR      1e-3  /* of the guess: a model's scale counts as at least that */
#define HALT_STEPS 1024

struct gpu {
    int type, count;                 /* gpu-lets */
    int size[LETS_MAX];              /* of each */
    int batch[LETS_MAX][MODELS_MAX]; /* by model with demand; 0 = absent */
};

struct anneal {
    const struct glet_problem *problem;
    const struct glet_anneal_options *options;
    struct glet_random random;
    int gpus, models, index[MODELS_MAX]; /* of the problem's models */
    struct gpu now[GPUS_MAX], best[GPUS_MAX];
    double scale[GPUS_MAX][MODELS_MAX]; /* what each GPU serves of each demand */
    double best_scale;
};

bool glet_anneal_suits(const struct glet_problem *problem, int gpus)
{
    int models = glet_demanded(problem);
    return gpus > 0 && gpus <= GPUS_MAX && models > 0 && models <= MODELS_MAX &&
           gpus * models <= CELLS_MAX;
}

/* ---- GPUs and boxes ---- */

static void box_of(const struct anneal *a, const struct gpu *gpu, struct glet_box *out)
{
    out->type = gpu->type;
    out->count = 0;
    for (int l = 0; l < gpu->count; l++) {
        struct glet_atom *atom = &out->atoms[out->count];
        *atom = (struct glet_atom){.size = (int16_t)gpu->size[l]};
        for (int m = 0; m < a->models; m++)
            if (gpu->batch[l][m]) {
                atom->model[atom->count] = (uint16_t)a->index[m];
                atom->batch[atom->count++] = (uint16_t)gpu->batch[l][m];
            }
        out->count += atom->count > 0;
    }
}

static void gpu_of(const struct anneal *a, const struct glet_box *box, struct gpu *out)
{
    *out = (struct gpu){.type = box->type};
    for (int i = 0; i < box->count && out->count < LETS_MAX; i++, out->count++) {
        const struct glet_atom *atom = &box->atoms[i];
        out->size[out->count] = atom->size;
        for (int k = 0; k < atom->count; k++)
            for (int m = 0; m < a->models; m++)
                if (a->index[m] == atom->model[k])
                    out->batch[out->count][m] = atom->batch[k];
    }
}

static const struct glet_cell_row *row_at(const struct anneal *a, int type, int size, int m)
{
    const struct glet_problem_type *t = &a->problem->types[type];
    return &t->rows[a->index[m] * t->size_count + size];
}

/* Fills scale; false when the GPU breaks the contract. */
static bool rate(const struct anneal *a, const struct gpu *gpu, double *scale)
{
    struct glet_box box;
    for (int l = 0; l < gpu->count; l++)
        for (int m = 0; m < a->models; m++) {
            const struct glet_cell_row *row = row_at(a, gpu->type, gpu->size[l], m);
            int batch = gpu->batch[l][m];
            if (batch && (!row->cells || batch < row->first_batch || batch > row->last_batch))
                return false;
        }
    box_of(a, gpu, &box);
    memset(scale, 0, sizeof a->scale[0]);
    if (box.count && !glet_box_evaluate(a->problem, &box))
        return false;
    for (int i = 0; i < box.count; i++)
        for (int k = 0; k < box.atoms[i].count; k++)
            for (int m = 0; m < a->models; m++)
                if (a->index[m] == box.atoms[i].model[k])
                    scale[m] += glet_atom_rate_rps(&box.atoms[i], k) /
                                a->problem->models[a->index[m]].demand_rps;
    return true;
}

/* ---- score ---- */

/* A smooth minimum of the models' scales, in parts of the guess; *least_out: the true one. */
static double score(const struct anneal *a, double *least_out)
{
    double sum = 0;
    *least_out = INFINITY;
    for (int m = 0; m < a->models; m++) {
        double scale = 0, largest = 0;
        for (int g = 0; g < a->gpus; g++) {
            scale += a->scale[g][m];
            largest = fmax(largest, a->scale[g][m]);
        }
        if (a->options->survive)
            scale -= largest;
        *least_out = fmin(*least_out, scale);
        double part = fmax(FLOOR, scale / a->options->guess), p4 = part * part;
        p4 *= p4;
        double p16 = p4 * p4;
        p16 *= p16;
        sum += 1 / (p16 * p4);
    }
    return pow(sum, -0.05);
}

/* ---- steps ---- */

static int below(struct anneal *a, int bound)
{
    return (int)glet_random_below(&a->random, (uint64_t)bound);
}

static int clipped(const struct glet_cell_row *row, int batch)
{
    if (!row->cells || batch < 1)
        return 0;
    return batch < row->first_batch  ? row->first_batch
           : batch > row->last_batch ? row->last_batch
                                     : batch;
}

/* None, the largest, or any, small ones as often as large ones. */
static int any_batch(struct anneal *a, const struct glet_cell_row *row)
{
    double which = glet_random_uniform(&a->random);
    if (!row->cells || which < 0.3)
        return 0;
    if (which < 0.5)
        return row->last_batch;
    double span = log((row->last_batch + 1.0) / row->first_batch);
    return clipped(row, (int)(row->first_batch * exp(span * glet_random_uniform(&a->random))));
}

/* Another cut at random, as fine as it comes; what was in a gpu-let stays where it can run. */
static void cut(struct anneal *a, struct gpu *gpu)
{
    const struct glet_problem_type *t = &a->problem->types[gpu->type];
    int units[LETS_MAX];
    struct gpu old = *gpu;
    gpu->count = 0;
    for (int misses = 0; misses < 3 && gpu->count < LETS_MAX;) {
        int size = below(a, t->size_count);
        units[gpu->count] = t->sizes_units[size];
        if (!glet_problem_sizes_fit(t, units, gpu->count + 1)) {
            misses++;
            continue;
        }
        gpu->size[gpu->count] = size;
        for (int m = 0; m < a->models; m++)
            gpu->batch[gpu->count][m] =
                gpu->count < old.count
                    ? clipped(row_at(a, gpu->type, size, m), old.batch[gpu->count][m])
                    : 0;
        gpu->count++;
    }
}

static void stretch(struct anneal *a, struct gpu *gpu, int l)
{
    double factor = 0.7 + 0.6 * glet_random_uniform(&a->random);
    for (int m = 0; m < a->models; m++)
        if (gpu->batch[l][m])
            gpu->batch[l][m] = clipped(row_at(a, gpu->type, gpu->size[l], m),
                                       (int)fmax(1, round(gpu->batch[l][m] * factor)));
}

/* Changes a GPU. */
static void change(struct anneal *a, struct gpu *gpu)
{
    double which = glet_random_uniform(&a->random);
    if (gpu->count == 0 || which < 0.03) {
        cut(a, gpu);
        return;
    }
    int l = below(a, gpu->count), m = below(a, a->models), *batch = &gpu->batch[l][m];
    const struct glet_cell_row *row = row_at(a, gpu->type, gpu->size[l], m);
    if (which < 0.45)
        *batch = any_batch(a, row);
    else if (which < 0.8)
        *batch = clipped(row, *batch + (below(a, 2) ? 1 : -1) * (1 + below(a, 3)));
    else if (which < 0.9)
        stretch(a, gpu, l);
    else
        *batch = 0;
}

/* Swaps a model's batches between two gpu-lets. */
static void swap(struct anneal *a, struct gpu *x, struct gpu *y)
{
    if (!x->count || !y->count)
        return;
    int l = below(a, x->count), k = below(a, y->count), m = below(a, a->models);
    int batch = x->batch[l][m];
    x->batch[l][m] = clipped(row_at(a, x->type, x->size[l], m), y->batch[k][m]);
    y->batch[k][m] = clipped(row_at(a, y->type, y->size[k], m), batch);
}

/* One step: kept when it is no worse, or by chance; returns the score afterwards. */
static double step(struct anneal *a, double before, double heat)
{
    int g = below(a, a->gpus), other = below(a, a->gpus);
    bool two = other != g && glet_random_uniform(&a->random) < 0.15;
    struct gpu was = a->now[g], other_was = a->now[other];
    double scale[MODELS_MAX], other_scale[MODELS_MAX], least;
    memcpy(scale, a->scale[g], sizeof scale);
    memcpy(other_scale, a->scale[other], sizeof other_scale);
    if (two)
        swap(a, &a->now[g], &a->now[other]);
    else
        change(a, &a->now[g]);
    if (rate(a, &a->now[g], a->scale[g]) && (!two || rate(a, &a->now[other], a->scale[other]))) {
        double after = score(a, &least);
        if (after >= before || glet_random_uniform(&a->random) < exp((after - before) / heat)) {
            if (least > a->best_scale) {
                a->best_scale = least;
                memcpy(a->best, a->now, sizeof a->best);
            }
            return after;
        }
    }
    a->now[g] = was;
    memcpy(a->scale[g], scale, sizeof scale);
    if (two) {
        a->now[other] = other_was;
        memcpy(a->scale[other], other_scale, sizeof other_scale);
    }
    return before;
}

static void run(struct anneal *a, double heat)
{
    double least, now;
    for (int g = 0; g < a->gpus; g++)
        if (!rate(a, &a->now[g], a->scale[g])) {
            a->now[g].count = 0;
            rate(a, &a->now[g], a->scale[g]);
        }
    now = score(a, &least);
    if (least > a->best_scale) {
        a->best_scale = least;
        memcpy(a->best, a->now, sizeof a->best);
    }
    for (long i = 0; i < a->options->steps && a->best_scale < a->options->enough; i++) {
        if (i % HALT_STEPS == 0 && glet_halted(a->options->halt))
            return;
        double left = 1 - (double)i / (double)a->options->steps;
        now = step(a, now, heat * now * left + 1e-12);
    }
}

double glet_anneal(const struct glet_problem *problem, const struct glet_anneal_options *options,
                   struct glet_boxes *boxes)
{
    struct anneal *a = glet_must_alloc(sizeof *a, 1);
    a->problem = problem;
    a->options = options;
    a->random = glet_random_seeded(1);
    a->gpus = boxes->count;
    a->best_scale = -1;
    for (int m = 0; m < problem->model_count; m++)
        if (problem->models[m].demand_rps > 0)
            a->index[a->models++] = m;
    for (int n = 0; n < options->runs && a->best_scale < options->enough; n++) {
        if (n && glet_halted(options->halt))
            break;
        for (int g = 0; g < a->gpus; g++) {
            gpu_of(a, glet_boxes_at(boxes, g), &a->now[g]);
            if (n)
                a->now[g].count = 0;
        }
        run(a, n ? HEAT : HEAT_KEPT);
    }
    struct glet_box box;
    for (int g = 0; g < a->gpus; g++) {
        box_of(a, &a->best[g], &box);
        box.type = glet_boxes_at(boxes, g)->type;
        glet_boxes_set(boxes, g, &box);
        glet_boxes_evaluate(problem, boxes, g);
    }
    double scale = fmax(0, a->best_scale);
    free(a);
    return scale;
}
