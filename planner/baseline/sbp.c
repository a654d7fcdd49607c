/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Squishy bin packing (Shen et al., "Nexus", SOSP'19, section 6.1 and algorithm 1): whole GPUs, no
 * spatial sharing. A model first gets as many saturated GPUs as it fills at the largest batch with
 * 2 x latency <= SLO. What remains is a session with the largest batch b that still meets b / rate
 * + latency <= SLO, its duty cycle b / rate. Sessions are merged in the order of their occupancy,
 * latency / duty cycle: a merged GPU has the smallest of the duty cycles, every batch shrinks to
 * what arrives during it, and among the GPUs where that fits the one becomes fullest is taken.
 * Differs: a session that is too slow even for batch 1 takes the SLO minus its latency as its duty
 * cycle, and memory must fit.
 */
#include "planner/baseline/place.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>

struct session {
    int model, batch;
    double rate_rps, duty_ms, occupancy;
};

struct node { /* a GPU that sessions share */
    int box;
    double duty_ms;
    struct session sessions[GLET_ATOM_PARTS];
    int count;
};

static int fullest_first(const void *a, const void *b)
{
    const struct session *x = a, *y = b;
    if (x->occupancy != y->occupancy)
        return x->occupancy < y->occupancy ? 1 : -1;
    return x->model - y->model;
}

static int whole_size(const struct glet_place *place)
{
    return place->problem->types[place->type].size_count - 1;
}

static const struct glet_cell *cell_at(const struct glet_place *place, int m, int batch)
{
    return glet_problem_cell(place->problem, place->type, m, whole_size(place), batch);
}

/* The session of what a model still misses; false when the whole GPU is too slow. */
static bool make_session(const struct glet_place *place, int m, struct session *out)
{
    const struct glet_problem_type *t = &place->problem->types[place->type];
    const struct glet_cell_row *row = &t->rows[m * t->size_count + whole_size(place)];
    double limit_ms = place->problem->models[m].limit_ms;
    *out = (struct session){.model = m, .rate_rps = glet_place_missing(place, m)};
    for (int batch = row->first_batch; row->cells && batch <= row->last_batch; batch++) {
        double ms = row->cells[batch - row->first_batch].latency_ms;
        double duty_ms = fmin(1000.0 * batch / out->rate_rps, limit_ms - ms);
        bool slow = 1000.0 * batch / out->rate_rps + ms > limit_ms;
        if (duty_ms < ms || batch > UINT16_MAX || (slow && out->batch))
            continue;
        out->batch = batch;
        out->duty_ms = duty_ms;
        out->occupancy = ms / duty_ms;
    }
    return out->batch > 0;
}

/* Occupancy of the node with one session more, and its content; 0 = it does not fit. */
static double merged(const struct glet_place *place, const struct node *node,
                     const struct session *more, struct node *out)
{
    *out = *node;
    if (out->count == GLET_ATOM_PARTS)
        return 0;
    out->sessions[out->count++] = *more;
    out->duty_ms = fmin(out->duty_ms, more->duty_ms);
    double sum_ms = 0;
    for (int i = 0; i < out->count; i++) {
        struct session *s = &out->sessions[i];
        s->batch = (int)ceil(s->rate_rps * out->duty_ms / 1000 * (1 - GLET_TOLERANCE_RATIO));
        s->batch = s->batch > 0 ? s->batch : 1;
        const struct glet_cell *cell = cell_at(place, s->model, s->batch);
        if (!cell || !glet_within(out->duty_ms + cell->latency_ms,
                                  place->problem->models[s->model].limit_ms))
            return 0;
        sum_ms += cell->latency_ms;
    }
    return glet_within(sum_ms, out->duty_ms) ? sum_ms / out->duty_ms : 0;
}

static struct glet_box box_of(const struct glet_place *place, const struct node *node)
{
    struct glet_box box = {.type = place->type, .count = 1};
    box.atoms[0] = (struct glet_atom){.size = (int16_t)whole_size(place)};
    for (int i = 0; i < node->count; i++) {
        int k = box.atoms[0].count++;
        box.atoms[0].model[k] = (uint16_t)node->sessions[i].model;
        box.atoms[0].batch[k] = (uint16_t)node->sessions[i].batch;
    }
    return box;
}

/* Puts the session where the GPU becomes fullest, or on a new one. */
static bool place_session(struct glet_place *place, struct node *nodes, int *count,
                          const struct session *session)
{
    bool *refused = glet_must_alloc(sizeof *refused, (size_t)*count);
    bool placed = false;
    for (int best = 0; !placed && best >= 0;) {
        struct node trial, chosen = {0};
        double fullest = 0;
        best = -1;
        for (int i = 0; i < *count; i++) {
            double occupancy = refused[i] ? 0 : merged(place, &nodes[i], session, &trial);
            if (occupancy > fullest) {
                fullest = occupancy;
                best = i;
                chosen = trial;
            }
        }
        if (best < 0)
            break;
        struct glet_box box = box_of(place, &chosen);
        placed = glet_place_put(place, chosen.box, &box);
        refused[best] = !placed; /* memory */
        if (placed)
            nodes[best] = chosen;
    }
    free(refused);
    if (placed)
        return true;
    struct node fresh = {.box = place->boxes->count, .duty_ms = session->duty_ms, .count = 1};
    fresh.sessions[0] = *session;
    struct glet_box box = box_of(place, &fresh);
    if (glet_place_full(place) || !glet_place_put(place, -1, &box))
        return false;
    nodes[(*count)++] = fresh;
    return true;
}

bool glet_baseline_sbp(struct glet_place *place)
{
    const struct glet_problem *problem = place->problem;
    size_t models = (size_t)problem->model_count;
    int count = 0, node_count = 0, batch;
    struct session *sessions = glet_must_alloc(sizeof *sessions, models);
    struct node *nodes = glet_must_alloc(sizeof *nodes, models);
    bool good = whole_size(place) >= 0;
    for (int m = 0; m < problem->model_count && good; m++) {
        double rate = glet_place_solo(place, m, whole_size(place), &batch);
        while (good && rate > 0 && glet_place_missing(place, m) >= rate)
            good = glet_place_add(place, -1, m, whole_size(place)) > 0;
        if (good && glet_place_missing(place, m) > 0)
            good = make_session(place, m, &sessions[count++]);
    }
    qsort(sessions, (size_t)count, sizeof *sessions, fullest_first);
    for (int i = 0; i < count && good; i++)
        good = place_session(place, nodes, &node_count, &sessions[i]);
    free(sessions);
    free(nodes);
    return good;
}
