/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Best latency and best throughput of one model on its own: scans of its cells, nothing more. */
#include "planner/model/latency.h"

#include <math.h>

static bool usable(const struct glet_problem *problem, int type, int model, int size,
                   const struct glet_cell *cell)
{
    const struct glet_problem_type *t = &problem->types[type];
    double memory_mib = t->context_mib + cell->activation_mib + problem->models[model].memory_mib;
    return t->count != 0 && glet_within(memory_mib, t->memory_mib) &&
           glet_problem_sizes_fit(t, &t->sizes_units[size], 1);
}

static struct glet_choice choice(int type, int size, int batch, const struct glet_cell *cell)
{
    return (struct glet_choice){type,
                                size,
                                batch,
                                cell->latency_ms,
                                2 * cell->latency_ms,
                                1000.0 * batch / cell->latency_ms};
}

static struct glet_choice quickest(const struct glet_problem *problem, int model, bool strict)
{
    struct glet_choice best = {.type = -1, .bound_ms = INFINITY};
    for (int t = 0; t < problem->type_count; t++) {
        for (int s = 0; s < problem->types[t].size_count; s++) {
            const struct glet_cell_row *row =
                &problem->types[t].rows[model * problem->types[t].size_count + s];
            for (int b = row->first_batch; row->cells && b <= row->last_batch; b++) {
                const struct glet_cell *cell = &row->cells[b - row->first_batch];
                if (2 * cell->latency_ms < best.bound_ms &&
                    (!strict || usable(problem, t, model, s, cell)))
                    best = choice(t, s, b, cell);
            }
        }
    }
    return best;
}

struct glet_choice glet_latency_best(const struct glet_problem *problem, int model)
{
    return quickest(problem, model, true);
}

struct glet_choice glet_latency_ideal(const struct glet_problem *problem, int model)
{
    return quickest(problem, model, false);
}

struct glet_choice glet_latency_fastest(const struct glet_problem *problem, int model, int type,
                                        int size, double limit_ms)
{
    struct glet_choice best = {.type = -1};
    const struct glet_problem_type *t = &problem->types[type];
    for (int s = 0; s < t->size_count; s++) {
        const struct glet_cell_row *row = &t->rows[model * t->size_count + s];
        if ((size >= 0 && s != size) || !row->cells)
            continue;
        for (int b = row->first_batch; b <= row->last_batch; b++) {
            const struct glet_cell *cell = &row->cells[b - row->first_batch];
            if (glet_within(2 * cell->latency_ms, limit_ms) &&
                1000.0 * b / cell->latency_ms > best.rate_rps &&
                usable(problem, type, model, s, cell))
                best = choice(type, s, b, cell);
        }
    }
    return best;
}
