/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: when would this request be answered?
 *
 * What has left the queue ends, then turns are taken in order. The request is in its model's turn
 * number (rows before it) / (planned batch); every other model takes as many turns before that as
 * it has work for, and at most one per turn of ours. Counting turns costs O(models); simulating the
 * queue would cost O(requests) and be no better, because what arrives later is unknown to both.
 *
 * Excess requests come after all planned work, and after the excess that waits already.
 *
 * An idle gpu-let judges by the plan's times where those learned are longer: otherwise one slow
 * run could make it refuse everything, and so never learn that it is fast again.
 */
#include "common/sched/sched_state.h"

#include <math.h>

size_t glet_sched_size_for(const struct glet_sched_model *model, int rows)
{
    size_t i = 0;
    while (i + 1 < model->plan.size_count && model->plan.sizes[i].batch < rows)
        i++;
    return i;
}

uint64_t glet_sched_rows_us(const struct glet_sched_model *model, int rows)
{
    return model->learned_us[glet_sched_size_for(model, rows)];
}

uint64_t glet_sched_pace_us(const struct glet_sched_model *model, int rows)
{
    size_t size = glet_sched_size_for(model, rows);
    uint64_t hidden_us = model->hidden_us[size];
    return model->learned_us[size] > hidden_us ? model->learned_us[size] - hidden_us : 1;
}

uint64_t glet_sched_least_us(const struct glet_sched_model *model, int rows)
{
    size_t size = glet_sched_size_for(model, rows);
    uint64_t learned = model->learned_us[size], planned = model->plan.sizes[size].exec_us;
    return learned < planned ? learned : planned;
}

int glet_sched_rows_that_fit(const struct glet_sched_queue *queue, int limit)
{
    int rows = 0;
    if (queue->rows <= limit)
        return queue->rows;
    for (size_t i = 0; i < queue->count; i++) {
        int more = glet_sched_queue_at(queue, i)->rows;
        if (rows + more > limit)
            break;
        rows += more;
    }
    return rows;
}

uint64_t glet_sched_turn_us(const struct glet_sched_model *model)
{
    const struct glet_sched_queue *queue = &model->queues[GLET_SCHED_PLANNED];
    return glet_sched_rows_us(model, glet_sched_rows_that_fit(queue, glet_sched_full(model)));
}

bool glet_sched_costs_nobody(const struct glet_sched_let *let, uint64_t start_us, size_t k,
                             uint64_t turn_us)
{
    uint64_t plain_us = start_us, moved_us = start_us + turn_us;
    for (size_t step = 0; step < let->count; step++) {
        size_t m = (let->turn + step) % let->count;
        const struct glet_sched_queue *queue = &let->models[m].queues[GLET_SCHED_PLANNED];
        if (m == k)
            break; /* those after it wait no longer than before */
        if (queue->count == 0)
            continue;
        uint64_t cost_us = glet_sched_turn_us(&let->models[m]);
        plain_us += cost_us;
        moved_us += cost_us;
        uint64_t deadline_us = glet_sched_queue_at(queue, 0)->deadline_us;
        if (plain_us <= deadline_us && moved_us > deadline_us)
            return false;
    }
    return true;
}

/* How far back "lately" reaches: long enough to tell a stream from a burst. */
static uint64_t memory_us(const struct glet_sched_let *let)
{
    enum { MEMORY_ROUNDS = 16 };
    return MEMORY_ROUNDS * let->round_us;
}

double glet_sched_recent_rps(const struct glet_sched_let *let, const struct glet_sched_model *model,
                             uint64_t now_us)
{
    double age_us = now_us > model->recent_us ? (double)(now_us - model->recent_us) : 0;
    return model->recent_rps * exp(-age_us / (double)memory_us(let));
}

/* Time of the first `turns` turns of a model with `rows` waiting. */
static uint64_t turns_us(const struct glet_sched_model *model, int rows, int turns)
{
    int full = glet_sched_full(model);
    int whole = rows / full;
    if (whole >= turns)
        return (uint64_t)turns * glet_sched_pace_us(model, full);
    uint64_t time = (uint64_t)whole * glet_sched_pace_us(model, full);
    int rest = rows % full;
    return rest > 0 ? time + glet_sched_pace_us(model, rest) : time;
}

uint64_t glet_sched_free_us(const struct glet_sched_let *let, uint64_t now_us)
{
    if (let->run_count == 0)
        return now_us;
    const struct glet_sched_run *runs = let->runs;
    /* Overdue: nothing is known but how long already; expect as much again. */
    uint64_t end_us = runs[0].expected_us > now_us ? runs[0].expected_us
                                                   : now_us + (now_us - runs[0].expected_us);
    return let->run_count > 1 ? end_us + runs[1].expected_us - runs[1].start_us : end_us;
}

/* When the next batch can be decided on: while one runs, as early as glet_sched_let_next_us(), but not
   if nothing waited then. */
static uint64_t next_start_us(const struct glet_sched_let *let, uint64_t now_us,
                              const struct glet_sched_model *model)
{
    uint64_t free_us = glet_sched_free_us(let, now_us);
    uint64_t hidden_us = model->hidden_us[model->plan.size_count - 1];
    if (let->run_count == 0 || (let->run_count == 1 && now_us > glet_sched_let_next_us(let)))
        return free_us;
    return free_us > now_us + hidden_us ? free_us - hidden_us : now_us;
}

static bool empty(const struct glet_sched_let *let)
{
    for (size_t i = 0; i < let->count; i++)
        if (let->models[i].queues[0].count + let->models[i].queues[1].count > 0)
            return false;
    return let->run_count == 0;
}

/* Does model m have its turn before model k, counted from whose turn it is now? */
static bool sooner(const struct glet_sched_let *let, size_t m, size_t k)
{
    size_t distance_m = (m + let->count - let->turn) % let->count;
    size_t distance_k = (k + let->count - let->turn) % let->count;
    return distance_m < distance_k;
}

/*
 * The batch that a request will be in has grown by what the plan sends while it waits: judged alone
 * it would be let in too early, and then either be late or make its batch a small one.
 */
static uint64_t own_batch_us(const struct glet_sched_let *let, const struct glet_sched_model *model,
                             int rows, uint64_t now_us, uint64_t start_us)
{
    double lately_rps = glet_sched_recent_rps(let, model, now_us);
    double mean = fmax(model->plan.rate_rps, lately_rps) * (double)(start_us - now_us) * 1e-6;
    double grown = fmin(rows + ceil(mean + sqrt(mean)), glet_sched_full(model));
    return glet_sched_rows_us(model, (int)grown > rows ? (int)grown : rows);
}

static uint64_t predict_planned(const struct glet_sched_let *let, uint64_t now_us,
                                uint64_t start_us, size_t share, const struct glet_sched_item *item)
{
    const struct glet_sched_model *model = &let->models[share];
    const struct glet_sched_queue *queue = &model->queues[GLET_SCHED_PLANNED];
    int full = glet_sched_full(model);
    int ahead = glet_sched_queue_rows_before(queue, item);
    int turns = ahead / full, rest = ahead % full;
    if (rest + item->rows > full) { /* it does not fit behind those before it */
        turns++;
        rest = 0;
    }
    uint64_t time = start_us + turns_us(model, turns * full, turns);
    for (size_t m = 0; m < let->count; m++)
        if (m != share)
            time += turns_us(&let->models[m], let->models[m].queues[GLET_SCHED_PLANNED].rows,
                             turns + (sooner(let, m, share) ? 1 : 0));
    return time + own_batch_us(let, model, rest + item->rows, now_us, time);
}

/* Share of the gpu-let's time that the planned requests of late take, in full batches. */
static double planned_load(const struct glet_sched_let *let, uint64_t now_us)
{
    double load = 0;
    for (size_t m = 0; m < let->count; m++) {
        const struct glet_sched_model *model = &let->models[m];
        double row_us =
            (double)glet_sched_pace_us(model, glet_sched_full(model)) / glet_sched_full(model);
        load += glet_sched_recent_rps(let, model, now_us) * row_us * 1e-6;
    }
    return load;
}

/* After all planned work, in the time that the planned requests to come leave over. */
static uint64_t predict_excess(const struct glet_sched_let *let, uint64_t now_us, uint64_t start_us,
                               size_t share, const struct glet_sched_item *item)
{
    uint64_t planned_us = start_us, excess_us = 0;
    for (size_t m = 0; m < let->count; m++) {
        const struct glet_sched_model *model = &let->models[m];
        int rows = model->queues[GLET_SCHED_PLANNED].rows;
        int more = model->queues[GLET_SCHED_EXCESS].rows + (m == share ? item->rows : 0);
        planned_us += turns_us(model, rows, rows + 1);
        excess_us += turns_us(model, more, more + 1);
    }
    double left = fmax(1 - planned_load(let, now_us), 0.01);
    return planned_us + (uint64_t)((double)excess_us / left);
}

/*
 * The batcher moves a turn forward when that saves a deadline and costs none (sched_let.c, step 2):
 * so a request that would be late in turn order, but is in its model's next batch, may still make
 * it.
 */
static uint64_t predict_urgent(const struct glet_sched_let *let, uint64_t now_us, uint64_t start_us,
                               size_t share, const struct glet_sched_item *item)
{
    const struct glet_sched_model *model = &let->models[share];
    int rows = glet_sched_queue_rows_before(&model->queues[GLET_SCHED_PLANNED], item) + item->rows;
    if (rows > glet_sched_full(model))
        return UINT64_MAX;
    uint64_t turn_us = own_batch_us(let, model, rows, now_us, start_us);
    return glet_sched_costs_nobody(let, start_us, share, turn_us) ? start_us + turn_us : UINT64_MAX;
}

uint64_t glet_sched_let_predict(const struct glet_sched_let *let, uint64_t now_us, size_t share,
                                const struct glet_sched_item *item, enum glet_sched_class kind)
{
    if (empty(let))
        return now_us + glet_sched_least_us(&let->models[share], item->rows);
    uint64_t start_us = next_start_us(let, now_us, &let->models[share]);
    if (kind == GLET_SCHED_EXCESS)
        return predict_excess(let, now_us, start_us, share, item);
    uint64_t in_turn_us = predict_planned(let, now_us, start_us, share, item);
    if (in_turn_us <= item->deadline_us)
        return in_turn_us;
    uint64_t urgent_us = predict_urgent(let, now_us, start_us, share, item);
    return urgent_us < in_turn_us ? urgent_us : in_turn_us;
}

enum glet_sched_verdict glet_sched_let_offer(struct glet_sched_let *let, uint64_t now_us,
                                             size_t share, const struct glet_sched_item *item,
                                             enum glet_sched_class kind,
                                             uint64_t *completion_us_out)
{
    struct glet_sched_model *model = &let->models[share];
    struct glet_sched_queue *queue = &model->queues[kind];
    uint64_t completion_us = glet_sched_let_predict(let, now_us, share, item, kind);
    if (completion_us_out)
        *completion_us_out = completion_us;
    if (kind == GLET_SCHED_PLANNED) {
        double lately_rps = glet_sched_recent_rps(let, model, now_us);
        model->recent_rps = lately_rps + item->rows * 1e6 / (double)memory_us(let);
        model->recent_us = now_us > model->recent_us ? now_us : model->recent_us;
    }
    if (completion_us > item->deadline_us)
        return GLET_SCHED_TOO_LATE;
    if (kind == GLET_SCHED_EXCESS && queue->rows + item->rows > glet_sched_full(model))
        return GLET_SCHED_FULL;
    return glet_sched_queue_push(queue, item) ? GLET_SCHED_ACCEPTED : GLET_SCHED_FULL;
}
