/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Evaluation of one GPU is the inner loop of every repair step, so it works on the cells directly;
 * the result is compared with the verifier's own arithmetic before a plan leaves the solver.
 */
#include "planner/solve/space/atom.h"

#include "planner/model/gpu_memory.h"
#include "planner/model/interference.h"

#include <math.h>
#include <string.h>

static const struct glet_cell *cell_of(const struct glet_problem *problem, int type,
                                       const struct glet_atom *atom, int k)
{
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_cell_row *row = &t->rows[atom->model[k] * t->size_count + atom->size];
    int batch = atom->batch[k];
    if (!row->cells || batch < row->first_batch || batch > row->last_batch)
        return NULL;
    return &row->cells[batch - row->first_batch];
}

double glet_atom_least_rps(const struct glet_atom *atom, int k, double demand_rps,
                           double served_rps)
{
    double rate_rps = glet_atom_rate_rps(atom, k);
    return fmin(rate_rps, rate_rps * fmin(1, demand_rps / served_rps) * (1 + 1e-12));
}

double glet_atom_aggressor(const struct glet_problem *problem, int type,
                           const struct glet_atom *atom)
{
    double worst = -INFINITY;
    for (int k = 0; k < atom->count; k++) {
        const struct glet_cell *cell = cell_of(problem, type, atom, k);
        if (cell && cell->aggressor_ratio > worst)
            worst = cell->aggressor_ratio;
    }
    return worst;
}

double glet_atom_memory_mib(const struct glet_problem *problem, int type,
                            const struct glet_atom *atom)
{
    double sum = problem->types[type].context_mib;
    for (int k = 0; k < atom->count; k++) {
        const struct glet_cell *cell = cell_of(problem, type, atom, k);
        sum += problem->models[atom->model[k]].memory_mib + (cell ? cell->activation_mib : 0);
    }
    return sum;
}

void glet_box_copy(struct glet_box *to, const struct glet_box *from)
{
    to->type = from->type;
    to->count = from->count;
    memcpy(to->atoms, from->atoms, sizeof from->atoms[0] * (size_t)from->count);
}

int glet_box_free_units(const struct glet_problem *problem, const struct glet_box *box)
{
    const struct glet_problem_type *type = &problem->types[box->type];
    int units = type->units;
    for (int i = 0; i < box->count; i++)
        units -= type->sizes_units[box->atoms[i].size];
    return units;
}

static bool sizes_fit(const struct glet_problem *problem, const struct glet_box *box)
{
    const struct glet_problem_type *type = &problem->types[box->type];
    if (box->count > type->max_gpulets)
        return false;
    if (!type->layouts)
        return glet_box_free_units(problem, box) >= 0;
    int units[GLET_BOX_ATOMS];
    for (int i = 0; i < box->count; i++)
        units[i] = type->sizes_units[box->atoms[i].size];
    return glet_problem_sizes_fit(type, units, box->count);
}

static bool memory_fits(const struct glet_problem *problem, const struct glet_box *box)
{
    const struct glet_problem_type *type = &problem->types[box->type];
    bool shared = glet_memory_shares_weights(type->mechanism);
    double sum = 0;
    for (int i = 0; i < box->count; i++) {
        const struct glet_atom *atom = &box->atoms[i];
        sum += type->context_mib;
        for (int k = 0; k < atom->count; k++) {
            const struct glet_cell *cell = cell_of(problem, box->type, atom, k);
            bool charged = true;
            for (int j = 0; shared && charged && j <= i; j++)
                for (int h = 0; h < (j < i ? box->atoms[j].count : k); h++)
                    charged &= box->atoms[j].model[h] != atom->model[k];
            sum += cell->activation_mib;
            if (charged)
                sum += problem->models[atom->model[k]].memory_mib;
        }
    }
    return glet_within(sum, type->memory_mib);
}

/* The factor of part k of atom i next to the others, where co-run pairs were measured. */
static double paired_factor(const struct glet_problem *problem, const struct glet_box *box, int i,
                            int k)
{
    const struct glet_atom *atom = &box->atoms[i];
    struct glet_point victim = {atom->model[k], atom->size, atom->batch[k]};
    double factor = 1;
    for (int j = 0; j < box->count; j++)
        for (int h = 0; j != i && h < box->atoms[j].count; h++) {
            const struct glet_atom *other = &box->atoms[j];
            struct glet_point aggressor = {other->model[h], other->size, other->batch[h]};
            factor = fmax(factor, glet_interference_pair(problem, box->type, victim, aggressor));
        }
    return factor;
}

static bool evaluate_atom(const struct glet_problem *problem, struct glet_box *box, int i,
                          double aggressor)
{
    struct glet_atom *atom = &box->atoms[i];
    bool paired = problem->types[box->type].pair_count > 0;
    double exec_ms[GLET_ATOM_PARTS], duty_ms = 0;
    for (int k = 0; k < atom->count; k++) {
        const struct glet_cell *cell = cell_of(problem, box->type, atom, k);
        double factor = 1;
        if (box->count > 1)
            factor = paired ? paired_factor(problem, box, i, k)
                            : fmax(1, cell->victim_ratio + aggressor);
        exec_ms[k] = cell->latency_ms * factor;
        duty_ms += exec_ms[k];
    }
    atom->duty_ms = duty_ms;
    for (int k = 0; k < atom->count; k++)
        if (!glet_within(duty_ms + exec_ms[k], problem->models[atom->model[k]].limit_ms))
            return false;
    return true;
}

bool glet_box_evaluate(const struct glet_problem *problem, struct glet_box *box)
{
    if (!sizes_fit(problem, box))
        return false;
    double aggressor[GLET_BOX_ATOMS];
    for (int i = 0; i < box->count; i++) {
        for (int k = 0; k < box->atoms[i].count; k++)
            if (!cell_of(problem, box->type, &box->atoms[i], k))
                return false;
        aggressor[i] = glet_atom_aggressor(problem, box->type, &box->atoms[i]);
    }
    if (!memory_fits(problem, box))
        return false;
    bool linear = problem->types[box->type].linear;
    for (int i = 0; i < box->count; i++) {
        double worst = -INFINITY;
        for (int j = 0; j < box->count; j++)
            if (j != i && aggressor[j] > worst)
                worst = aggressor[j];
        if (!evaluate_atom(problem, box, i, linear ? worst : 0))
            return false;
    }
    return true;
}
