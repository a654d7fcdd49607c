/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/space/boxes.h"

#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t box_bytes(int atoms)
{
    return offsetof(struct glet_box, atoms) + sizeof(struct glet_atom) * (size_t)atoms;
}

static struct glet_box *box_at(struct glet_boxes *boxes, int i)
{
    return (struct glet_box *)(void *)(boxes->list + box_bytes(boxes->atoms) * (size_t)i);
}

/* Makes room for so many GPUs with so many gpu-lets each. */
static void reserve(struct glet_boxes *boxes, int count, int atoms)
{
    size_t old_bytes = box_bytes(boxes->atoms);
    bool wider = atoms > boxes->atoms;
    if (!wider && count <= boxes->room && boxes->list)
        return;
    while (boxes->atoms < atoms)
        boxes->atoms = boxes->atoms ? 2 * boxes->atoms : 1;
    if (boxes->atoms > GLET_BOX_ATOMS)
        boxes->atoms = GLET_BOX_ATOMS;
    while (boxes->room < count)
        boxes->room = boxes->room ? 2 * boxes->room : 16;
    boxes->list = glet_must_resize(boxes->list, box_bytes(boxes->atoms), (size_t)boxes->room);
    for (int i = boxes->count - 1; wider && i > 0; i--)
        memmove(box_at(boxes, i), boxes->list + old_bytes * (size_t)i, old_bytes);
}

void glet_boxes_add(struct glet_boxes *boxes, const struct glet_box *box)
{
    reserve(boxes, boxes->count + 1, box->count);
    glet_box_copy(box_at(boxes, boxes->count++), box);
}

void glet_boxes_set(struct glet_boxes *boxes, int i, const struct glet_box *box)
{
    reserve(boxes, boxes->count, box->count);
    glet_box_copy(box_at(boxes, i), box);
}

void glet_boxes_put(struct glet_boxes *boxes, int i, const struct glet_atom *atom)
{
    reserve(boxes, boxes->count, glet_boxes_at(boxes, i)->count + 1);
    struct glet_box *box = box_at(boxes, i);
    box->atoms[box->count++] = *atom;
}

void glet_boxes_clear(struct glet_boxes *boxes, int i)
{
    box_at(boxes, i)->count = 0;
}

void glet_boxes_swap(struct glet_boxes *boxes, int i, int j)
{
    struct glet_box swap;
    if (i == j)
        return;
    glet_box_copy(&swap, box_at(boxes, i));
    glet_box_copy(box_at(boxes, i), box_at(boxes, j));
    glet_box_copy(box_at(boxes, j), &swap);
}

bool glet_boxes_evaluate(const struct glet_problem *problem, struct glet_boxes *boxes, int i)
{
    return glet_box_evaluate(problem, box_at(boxes, i));
}

void glet_boxes_sweep(struct glet_boxes *boxes)
{
    int kept = 0;
    for (int i = 0; i < boxes->count; i++)
        if (glet_boxes_at(boxes, i)->count > 0) {
            if (kept != i)
                glet_box_copy(box_at(boxes, kept), box_at(boxes, i));
            kept++;
        }
    boxes->count = kept;
}

void glet_boxes_copy(struct glet_boxes *to, const struct glet_boxes *from)
{
    to->count = 0;
    for (int i = 0; i < from->count; i++)
        glet_boxes_add(to, glet_boxes_at(from, i));
}

struct glet_boxes glet_boxes_part(const struct glet_boxes *boxes, int first, int count)
{
    struct glet_boxes part = *boxes;
    part.list += box_bytes(boxes->atoms) * (size_t)first;
    part.count = count;
    return part;
}

void glet_boxes_free(struct glet_boxes *boxes)
{
    free(boxes->list);
    *boxes = (struct glet_boxes){0};
}

void glet_boxes_rates(const struct glet_problem *problem, const struct glet_boxes *boxes,
                      double *rate_rps)
{
    memset(rate_rps, 0, sizeof *rate_rps * (size_t)problem->model_count);
    for (int i = 0; i < boxes->count; i++)
        for (int a = 0; a < glet_boxes_at(boxes, i)->count; a++) {
            const struct glet_atom *atom = &glet_boxes_at(boxes, i)->atoms[a];
            for (int k = 0; k < atom->count; k++)
                rate_rps[atom->model[k]] += glet_atom_rate_rps(atom, k);
        }
}

double glet_type_cost(const struct glet_problem *problem, int type)
{
    return problem->objective == GLET_MIN_COST ? problem->types[type].cost_per_hour : 1;
}

double glet_cheapest_cost(const struct glet_problem *problem)
{
    double cheapest = INFINITY;
    for (int g = 0; g < problem->type_count; g++)
        cheapest = fmin(cheapest, glet_type_cost(problem, g));
    return cheapest;
}

bool glet_boxes_within_stock(const struct glet_problem *problem, const struct glet_boxes *boxes)
{
    for (int g = 0; g < problem->type_count; g++) {
        int used = 0;
        for (int i = 0; i < boxes->count; i++)
            used += glet_boxes_at(boxes, i)->type == g;
        if (problem->types[g].count >= 0 && used > problem->types[g].count)
            return false;
    }
    return true;
}

double glet_stock_cost(const struct glet_problem *problem)
{
    double all = 0;
    for (int g = 0; g < problem->type_count; g++) {
        if (problem->types[g].count < 0)
            return INFINITY;
        all += problem->types[g].count * glet_type_cost(problem, g);
    }
    return all;
}

bool glet_whole_costs(const struct glet_problem *problem)
{
    bool whole = true;
    for (int g = 0; g < problem->type_count; g++)
        whole &= glet_type_cost(problem, g) == 1;
    return whole;
}

double *glet_type_costs(const struct glet_problem *problem)
{
    double *cost = glet_must_alloc(sizeof *cost, (size_t)problem->type_count);
    for (int g = 0; g < problem->type_count; g++)
        cost[g] = glet_type_cost(problem, g);
    return cost;
}

double glet_boxes_cost(const struct glet_problem *problem, const struct glet_boxes *boxes)
{
    double sum = 0;
    for (int i = 0; i < boxes->count; i++)
        sum += glet_type_cost(problem, glet_boxes_at(boxes, i)->type);
    return sum;
}

int glet_boxes_to_solution(const struct glet_problem *problem, const struct glet_boxes *boxes,
                           struct glet_solution *out)
{
    for (int i = 0; i < boxes->count; i++) {
        const struct glet_box *box = glet_boxes_at(boxes, i);
        struct glet_gpu *gpu = glet_solution_add_gpu(out, box->type);
        if (!gpu)
            return -1;
        for (int a = 0; a < box->count; a++) {
            struct glet_let *let = glet_gpu_add_let(gpu, box->atoms[a].size);
            if (!let)
                return -1;
            for (int k = 0; k < box->atoms[a].count; k++)
                if (!glet_let_add_slot(let, box->atoms[a].model[k], box->atoms[a].batch[k]))
                    return -1;
        }
    }
    out->scale = 1;
    return glet_solution_evaluate(problem, out) ? 0 : -1;
}

void glet_boxes_from_solution(const struct glet_problem *problem,
                              const struct glet_solution *solution, struct glet_boxes *out)
{
    for (int i = 0; i < solution->gpu_count; i++) {
        const struct glet_gpu *gpu = &solution->gpus[i];
        struct glet_box box = {.type = gpu->type};
        for (int a = 0; a < gpu->let_count && box.count < GLET_BOX_ATOMS; a++) {
            const struct glet_let *let = &gpu->lets[a];
            struct glet_atom *atom = &box.atoms[box.count++];
            *atom = (struct glet_atom){.size = (int16_t)let->size};
            for (int k = 0; k < let->slot_count && atom->count < GLET_ATOM_PARTS; k++) {
                atom->model[atom->count] = (uint16_t)let->slots[k].model;
                atom->batch[atom->count++] = (uint16_t)let->slots[k].batch;
            }
        }
        glet_box_evaluate(problem, &box);
        glet_boxes_add(out, &box);
    }
}
