/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Batches force a duty cycle (the sum of their latencies), a duty cycle forces batches (what
 * arrives during it). Both maps are monotone, so starting from the smallest batches and repeating
 * ends at the least fixed point, the shortest duty cycle that works, or past a limit; no other
 * duty cycle needs to be looked at, because a longer one only makes every latency worse.
 *
 * Where the latency falls with the batch, as measured ones may, the quickest of the batches that are
 * large enough is taken: the second map is monotone again.
 */
#include "planner/solve/space/fit.h"

#include <math.h>

static double exec_ms(const struct glet_cell *cell, struct glet_surroundings around)
{
    if (around.alone)
        return cell->latency_ms;
    return cell->latency_ms * fmax(1, cell->victim_ratio + around.aggressor_ratio);
}

/* The quickest batch of at least so many. */
static int quickest(const struct glet_cell_row *row, int least, struct glet_surroundings around)
{
    int best = least;
    if (!row->falls)
        return least;
    for (int batch = least + 1; batch <= row->last_batch && batch <= UINT16_MAX; batch++)
        if (exec_ms(&row->cells[batch - row->first_batch], around) <
            exec_ms(&row->cells[best - row->first_batch], around))
            best = batch;
    return best;
}

/* As glet_fit_rates(), with no batch below least[]. */
static bool fit(const struct glet_problem *problem, int type, struct glet_surroundings around,
                const double *rate_rps, const int *least, struct glet_atom *atom)
{
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_cell_row *rows[GLET_ATOM_PARTS];
    double exec[GLET_ATOM_PARTS], duty_ms = 0;
    for (int k = 0; k < atom->count; k++) {
        rows[k] = &t->rows[atom->model[k] * t->size_count + atom->size];
        if (!rows[k]->cells || least[k] > rows[k]->last_batch)
            return false;
        int first = least[k] > rows[k]->first_batch ? least[k] : rows[k]->first_batch;
        atom->batch[k] = (uint16_t)quickest(rows[k], first, around);
        exec[k] = exec_ms(&rows[k]->cells[atom->batch[k] - rows[k]->first_batch], around);
        duty_ms += exec[k];
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (int k = 0; k < atom->count; k++) {
            if (!(duty_ms + exec[k] <= problem->models[atom->model[k]].limit_ms))
                return false;
            double wanted = ceil(rate_rps[k] * duty_ms / 1000 * (1 - 1e-10));
            if (wanted <= atom->batch[k])
                continue;
            if (wanted > rows[k]->last_batch || wanted > UINT16_MAX)
                return false;
            int batch = quickest(rows[k], (int)wanted, around);
            double now_ms = exec_ms(&rows[k]->cells[batch - rows[k]->first_batch], around);
            atom->batch[k] = (uint16_t)batch;
            duty_ms += now_ms - exec[k];
            exec[k] = now_ms;
            changed = true;
        }
    }
    atom->duty_ms = 0;
    for (int k = 0; k < atom->count; k++)
        atom->duty_ms += exec[k];
    return true;
}

bool glet_fit_rates(const struct glet_problem *problem, int type, int size,
                    struct glet_surroundings surroundings, int count, const uint16_t *models,
                    const double *rate_rps, struct glet_atom *out)
{
    static const int any[GLET_ATOM_PARTS];
    if (count > GLET_ATOM_PARTS)
        return false;
    *out = (struct glet_atom){.size = (int16_t)size, .count = (int16_t)count};
    for (int k = 0; k < count; k++)
        out->model[k] = models[k];
    return fit(problem, type, surroundings, rate_rps, any, out);
}

bool glet_fit_most(const struct glet_problem *problem, int type, int size,
                   struct glet_surroundings surroundings, int count, const uint16_t *models,
                   const double *rate_rps, struct glet_atom *out)
{
    const struct glet_problem_type *t = &problem->types[type];
    int least[GLET_ATOM_PARTS] = {0}, last = count - 1;
    double others_rps[GLET_ATOM_PARTS] = {0}, best_rps = 0;
    if (count > GLET_ATOM_PARTS)
        return false;
    const struct glet_cell_row *row = &t->rows[models[last] * t->size_count + size];
    struct glet_atom trial = {.size = (int16_t)size, .count = (int16_t)count};
    for (int k = 0; k < count; k++)
        trial.model[k] = models[k];
    for (int k = 0; k < last; k++)
        others_rps[k] = rate_rps[k];
    for (int batch = row->first_batch; row->cells && batch <= row->last_batch; batch++) {
        least[last] = batch;
        if (!fit(problem, type, surroundings, others_rps, least, &trial) ||
            glet_atom_rate_rps(&trial, last) <= best_rps)
            continue;
        best_rps = glet_atom_rate_rps(&trial, last);
        *out = trial;
        if (best_rps >= rate_rps[last])
            break;
    }
    return best_rps > 0;
}
