/* SPDX-License-Identifier: Apache-2.0 */
/* How much of the gpu-let's time requests beyond the planned rate may take. */
#include "common/sched/sched_state.h"

#include <math.h>

/*
 * Longest batch of excess that model k may run now. It blocks the others for that long. The plan
 * covers a block of a round, but then a burst of theirs has less room; so they are left as much of
 * a round as they have lately been using of what the plan has room for.
 */
static uint64_t excess_limit_us(const struct glet_sched_let *let, size_t k, uint64_t now_us)
{
    double used_ratio = 0;
    for (size_t m = 0; m < let->count; m++) {
        const struct glet_sched_model *model = &let->models[m];
        if (m != k)
            used_ratio =
                fmax(used_ratio, glet_sched_recent_rps(let, model, now_us) / model->capacity_rps);
    }
    double used_us = used_ratio * (double)let->pace_us;
    return (double)let->round_us > used_us ? (uint64_t)((double)let->round_us - used_us) : 0;
}

int glet_sched_excess_rows(const struct glet_sched_let *let, size_t k, uint64_t now_us)
{
    const struct glet_sched_model *model = &let->models[k];
    const struct glet_sched_queue *queue = &model->queues[GLET_SCHED_EXCESS];
    uint64_t limit_us = excess_limit_us(let, k, now_us);
    int rows = 0;
    for (size_t s = 0; s < model->plan.size_count && model->learned_us[s] <= limit_us; s++)
        rows = model->plan.sizes[s].batch;
    return glet_sched_rows_that_fit(queue, rows);
}

size_t glet_sched_grow(const struct glet_sched_let *let, const struct glet_sched_model *model,
                       int rows, size_t size, uint64_t now_us, size_t k)
{
    int wanted = rows + model->queues[GLET_SCHED_EXCESS].rows;
    uint64_t limit_us = excess_limit_us(let, k, now_us);
    uint64_t deadline_us = glet_sched_queue_at(&model->queues[GLET_SCHED_PLANNED], 0)->deadline_us;
    while (size + 1 < model->plan.size_count && model->plan.sizes[size + 1].batch <= wanted &&
           model->plan.sizes[size + 1].batch <= let->turn_rows &&
           model->learned_us[size + 1] <= limit_us &&
           now_us + model->learned_us[size + 1] <= deadline_us)
        size++;
    return size;
}

size_t glet_sched_excess_turn(const struct glet_sched_let *let, uint64_t now_us)
{
    for (size_t step = 0; step < let->count; step++) {
        size_t m = (let->turn + step) % let->count;
        if (glet_sched_excess_rows(let, m, now_us) > 0)
            return m;
    }
    return let->count;
}
