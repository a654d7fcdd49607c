/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/bound/share.h"

#include "planner/model/gpu_memory.h"
#include "planner/model/interference.h"
#include "planner/solve/bound/memory_class.h"
#include "planner/solve/bound/slots.h"
#include "planner/solve/space/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_share(struct glet_share_table *table, struct glet_share share, double limit_ms)
{
    double latency_ms = share.latency_ms * (1 - GLET_SHARE_SLACK);
    double room_ms = limit_ms * (1 + GLET_SHARE_SLACK) - latency_ms;
    if (latency_ms > room_ms)
        return;
    share.latency_ms = latency_ms;
    share.least_share = latency_ms / room_ms;
    table->list[table->count++] = share;
}

/* The point next to others that are at least as harsh as each interval. */
static void add_intervals(const struct glet_space *space, struct glet_share share,
                          struct glet_point point, double limit_ms, struct glet_share_table *table)
{
    const struct glet_cell *cell =
        glet_problem_cell(space->problem, share.type, point.model, point.size, point.batch);
    int count = glet_slots_intervals(space->problem, share.type);
    while (cell->aggressor_ratio > glet_slots_interval_end(space, share.type, share.own))
        share.own++;
    for (share.seen = 0; share.seen < count; share.seen++) {
        double least = glet_slots_interval_end(space, share.type, share.seen - 1);
        share.latency_ms =
            cell->latency_ms * glet_interference_beside(space->problem, share.type, point, least);
        add_share(table, share, limit_ms);
    }
}

/* What memory a gpu-let is charged for that pays for `part` of the model's weights. */
static struct glet_charge charge_of(const struct glet_problem_type *t, double weights_mib,
                                    double part, double activation_mib)
{
    double all_mib = (weights_mib + activation_mib) * (1 - GLET_SHARE_SLACK);
    return (struct glet_charge){
        .memory_mib = (weights_mib * part + activation_mib) * (1 - GLET_SHARE_SLACK),
        .memory_class =
            all_mib > 0 ? glet_memory_class(all_mib, t->memory_mib * (1 + GLET_SHARE_SLACK)) : 0,
        .part = part};
}

/*
 * The part of weights that each gpu-let pays for at least. Where those of one GPU share them, these
 * parts add up to no more than all, by units or, where the smallest ones leave units idle, by number.
 */
static double weights_part(const struct glet_problem_type *t, int size)
{
    if (!glet_memory_shares_weights(t->mechanism))
        return 1;
    if (!t->layouts && t->max_gpulets * t->sizes_units[0] >= t->units)
        return (double)t->sizes_units[size] / t->units;
    return 1.0 / t->max_gpulets;
}

static bool fits(const struct glet_problem_type *t, const struct glet_problem_model *m,
                 const struct glet_cell *cell)
{
    return glet_within(t->context_mib + m->memory_mib + cell->activation_mib, t->memory_mib);
}

/* Alone, a batch is of use at the size where it is fastest, which is most often the largest. */
static void add_alone(const struct glet_space *space, int type, int model, int batch,
                      struct glet_share_table *table)
{
    const struct glet_problem_type *t = &space->problem->types[type];
    const struct glet_problem_model *m = &space->problem->models[model];
    int first = table->count;
    for (int s = t->size_count - 1; s >= 0; s--) {
        const struct glet_cell *cell = glet_problem_cell(space->problem, type, model, s, batch);
        if (!cell || !fits(t, m, cell))
            continue;
        struct glet_share share = {
            .type = (int16_t)type, .size = -1, .batch = batch, .latency_ms = cell->latency_ms};
        share.charge = charge_of(t, table->hosts ? 0 : m->memory_mib, 1, cell->activation_mib);
        bool better = true;
        for (int i = first; i < table->count; i++)
            better &= share.latency_ms * (1 - GLET_SHARE_SLACK) < table->list[i].latency_ms ||
                      share.charge.memory_mib < table->list[i].charge.memory_mib;
        if (better)
            add_share(table, share, m->limit_ms);
    }
}

static void add_shared(const struct glet_space *space, int type, int model, int size, int batch,
                       struct glet_share_table *table)
{
    const struct glet_problem *problem = space->problem;
    const struct glet_problem_type *t = &problem->types[type];
    const struct glet_problem_model *m = &problem->models[model];
    const struct glet_cell *cell = glet_problem_cell(problem, type, model, size, batch);
    if (!fits(t, m, cell))
        return;
    struct glet_share share = {.type = (int16_t)type,
                               .size = (int16_t)size,
                               .batch = batch,
                               .latency_ms = cell->latency_ms};
    share.charge =
        charge_of(t, table->hosts ? 0 : m->memory_mib, weights_part(t, size), cell->activation_mib);
    const struct glet_point point = {model, size, batch};
    if (t->linear) {
        add_intervals(space, share, point, m->limit_ms, table);
        return;
    }
    if (t->interferes)
        share.latency_ms *= glet_interference_mildest(problem, type, point);
    add_share(table, share, m->limit_ms);
}

static void fill_shares(const struct glet_space *space, int type, int model,
                        struct glet_share_table *table)
{
    const struct glet_problem_type *t = &space->problem->types[type];
    const struct glet_cell_row *rows = &t->rows[model * t->size_count];
    int last_batch = 0;
    for (int s = 0; s < t->size_count; s++)
        last_batch = rows[s].last_batch > last_batch ? rows[s].last_batch : last_batch;
    for (int batch = 1; batch <= last_batch; batch++)
        add_alone(space, type, model, batch, table);
    for (int s = 0; s < t->size_count; s++)
        for (int batch = rows[s].first_batch; rows[s].cells && batch <= rows[s].last_batch; batch++)
            add_shared(space, type, model, s, batch, table);
}

/*
 * Whether less than a GPU would do for a model whose weights are shared on every type: then it pays
 * more by paying once for one host of its weights than by parts of them.
 */
static bool needs_one_host(const struct glet_problem *problem, const struct glet_share_table *table,
                           double demand_rps)
{
    double least = INFINITY;
    for (int i = 0; i < table->count; i++) {
        const struct glet_share *share = &table->list[i];
        const struct glet_problem_type *t = &problem->types[share->type];
        double part = share->size < 0 ? 1 : weights_part(t, share->size);
        if (!glet_memory_shares_weights(t->mechanism))
            return false;
        least = fmin(least, part * demand_rps * share->latency_ms / (1000.0 * share->batch));
    }
    return least < 1;
}

static struct glet_charge *hosts_new(const struct glet_problem *problem, double weights_mib)
{
    struct glet_charge *hosts = glet_must_alloc(sizeof *hosts, (size_t)problem->type_count);
    for (int g = 0; g < problem->type_count; g++)
        hosts[g] = charge_of(&problem->types[g], weights_mib, 1, 0);
    return hosts;
}

static void fill_table(const struct glet_space *space, int model, struct glet_share_table *table)
{
    table->count = 0;
    for (int g = 0; g < space->problem->type_count; g++)
        fill_shares(space, g, model, table);
}

/* No more points than the model's table can have. */
static size_t most_shares(const struct glet_problem *problem, int model)
{
    size_t shares = 0;
    for (int g = 0; g < problem->type_count; g++)
        for (int s = 0; s < problem->types[g].size_count; s++) {
            const struct glet_cell_row *row =
                &problem->types[g].rows[model * problem->types[g].size_count + s];
            int points = row->cells ? row->last_batch - row->first_batch + 1 : 0;
            shares += (size_t)(points * (1 + glet_slots_intervals(problem, g)));
        }
    return shares;
}

/* Most points of most models are out of the question: what is kept is allocated for those left. */
static void make_table(const struct glet_space *space, int model, struct glet_share *scratch,
                       struct glet_share_table *table)
{
    const struct glet_problem *problem = space->problem;
    const struct glet_problem_model *m = &problem->models[model];
    table->list = scratch;
    fill_table(space, model, table);
    if (m->memory_mib > 0 && needs_one_host(problem, table, m->demand_rps)) {
        table->hosts = hosts_new(problem, m->memory_mib);
        fill_table(space, model, table);
    }
    table->list = glet_must_alloc(sizeof *table->list, (size_t)table->count);
    memcpy(table->list, scratch, sizeof *table->list * (size_t)table->count);
}

struct glet_share_table *glet_shares_new(const struct glet_space *space)
{
    const struct glet_problem *problem = space->problem;
    struct glet_share_table *tables = glet_must_alloc(sizeof *tables, (size_t)problem->model_count);
    size_t most = 0;
    for (int m = 0; m < problem->model_count; m++) {
        size_t here = most_shares(problem, m);
        most = here > most ? here : most;
    }
    struct glet_share *scratch = glet_must_alloc(sizeof *scratch, most);
    for (int m = 0; m < problem->model_count; m++)
        if (problem->models[m].demand_rps > 0)
            make_table(space, m, scratch, &tables[m]);
    free(scratch);
    return tables;
}

void glet_shares_free(struct glet_share_table *tables, const struct glet_problem *problem)
{
    for (int m = 0; tables && m < problem->model_count; m++) {
        free(tables[m].list);
        free(tables[m].hosts);
    }
    free(tables);
}
