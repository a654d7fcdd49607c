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

bool glet_fit_rates(const struct glet_problem *problem, int type, int size,
                    struct glet_surroundings surroundings, int count, const uint16_t *models,
                    const double *rate_rps, struct glet_atom *out)
{
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_cell_row *rows[GLET_ATOM_PARTS];
    double exec[GLET_ATOM_PARTS], duty_ms = 0;
    if (count > GLET_ATOM_PARTS)
        return false;
    *out = (struct glet_atom){.size = (int16_t)size, .count = (int16_t)count};
    for (int k = 0; k < count; k++) {
        rows[k] = &t->rows[models[k] * t->size_count + size];
        if (!rows[k]->cells)
            return false;
        out->model[k] = models[k];
        out->batch[k] = (uint16_t)quickest(rows[k], rows[k]->first_batch, surroundings);
        exec[k] = exec_ms(&rows[k]->cells[out->batch[k] - rows[k]->first_batch], surroundings);
        duty_ms += exec[k];
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (int k = 0; k < count; k++) {
            if (!(duty_ms + exec[k] <= problem->models[models[k]].limit_ms))
                return false;
            double wanted = ceil(rate_rps[k] * duty_ms / 1000 * (1 - 1e-10));
            if (wanted <= out->batch[k])
                continue;
            if (wanted > rows[k]->last_batch || wanted > UINT16_MAX)
                return false;
            int batch = quickest(rows[k], (int)wanted, surroundings);
            double now_ms = exec_ms(&rows[k]->cells[batch - rows[k]->first_batch], surroundings);
            out->batch[k] = (uint16_t)batch;
            duty_ms += now_ms - exec[k];
            exec[k] = now_ms;
            changed = true;
        }
    }
    out->duty_ms = 0;
    for (int k = 0; k < count; k++)
        out->duty_ms += exec[k];
    return true;
}
