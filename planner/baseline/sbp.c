/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Squishy bin packing (Shen et al., "Nexus", SOSP'19, section 6.1 and algorithm 1): whole GPUs, no
 * spatial sharing. A model first gets as many saturated GPUs as it fills at the largest batch with
 * 2 x latency <= SLO. What remains becomes a session with the largest batch b that still meets b /
 * rate + latency <= SLO; sessions are merged into duty cycles in the order of their occupancy, into
 * the node that is fullest afterwards. Differs: the duty cycle after a merge is the shortest that
 * serves all its rates, where Nexus takes the smallest of the sessions' duty cycles.
 */
#include "planner/baseline/place.h"
#include "planner/solve/scratch.h"

#include <math.h>
#include <stdlib.h>

struct session {
    int model;
    double occupancy;
};

static int fullest_first(const void *a, const void *b)
{
    const struct session *x = a, *y = b;
    if (x->occupancy != y->occupancy)
        return x->occupancy < y->occupancy ? 1 : -1;
    return x->model - y->model;
}

static double occupancy_of(const struct glet_place *place, int m, int size)
{
    const struct glet_problem_type *t = &place->problem->types[place->type];
    const struct glet_cell_row *row = &t->rows[m * t->size_count + size];
    double rate_rps = glet_place_missing(place, m), limit_ms = place->problem->models[m].limit_ms;
    double occupancy = 1;
    for (int i = 0; row->cells && i <= row->last_batch - row->first_batch; i++) {
        double ms = row->cells[i].latency_ms;
        double duty_ms = 1000.0 * (row->first_batch + i) / rate_rps;
        if (i == 0 || duty_ms + ms <= limit_ms)
            occupancy = ms / fmin(duty_ms, fmax(ms, limit_ms - ms));
    }
    return occupancy;
}

static bool merge(struct glet_place *place, int first, int m)
{
    int best = -1;
    double best_duty = -1;
    for (int i = first; i < place->boxes->count; i++) {
        struct glet_box before;
        glet_box_copy(&before, &place->boxes->list[i]);
        double *rates = glet_must_alloc(sizeof *rates, (size_t)place->problem->model_count);
        for (int k = 0; k < place->problem->model_count; k++)
            rates[k] = place->rate_rps[k];
        if (glet_place_join(place, i, 0, m)) {
            double limit_ms = INFINITY;
            const struct glet_atom *atom = &place->boxes->list[i].atoms[0];
            for (int k = 0; k < atom->count; k++)
                limit_ms = fmin(limit_ms, place->problem->models[atom->model[k]].limit_ms);
            if (atom->duty_ms / limit_ms > best_duty) {
                best_duty = atom->duty_ms / limit_ms;
                best = i;
            }
            glet_box_copy(&place->boxes->list[i], &before);
            for (int k = 0; k < place->problem->model_count; k++)
                place->rate_rps[k] = rates[k];
        }
        free(rates);
    }
    return best >= 0 && glet_place_join(place, best, 0, m);
}

bool glet_baseline_sbp(struct glet_place *place)
{
    const struct glet_problem *problem = place->problem;
    int whole = problem->types[place->type].size_count - 1, count = 0, batch;
    struct session *sessions = glet_must_alloc(sizeof *sessions, (size_t)problem->model_count);
    bool good = whole >= 0;
    for (int m = 0; m < problem->model_count && good; m++) {
        double rate = glet_place_solo(place, m, whole, &batch);
        while (good && rate > 0 && glet_place_missing(place, m) >= rate)
            good = glet_place_add(place, -1, m, whole) > 0;
        if (glet_place_missing(place, m) > 0)
            sessions[count++] = (struct session){m, occupancy_of(place, m, whole)};
    }
    int first = place->boxes->count;
    qsort(sessions, (size_t)count, sizeof *sessions, fullest_first);
    for (int i = 0; i < count && good; i++)
        if (!merge(place, first, sessions[i].model))
            good = glet_place_add(place, -1, sessions[i].model, whole) > 0;
    free(sessions);
    return good;
}
