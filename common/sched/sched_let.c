/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batcher. One call of glet_sched_let_next() decides one step:
 *
 *   1. Drop what is late even if it ran alone, now, at the planned speed.
 *   2. Whose turn? The first model in turn order with planned requests; but a model whose first
 *      request would miss its deadline by waiting goes before, if that makes nobody late.
 *      Without planned requests: the first with excess ones.
 *   3. How many rows? What waits, up to what is left of the turn. The executor that holds them all,
 *      or, where that is cheaper, the largest one that they fill, and the rest next in the same
 *      turn. If the first request is only in time with a smaller batch, and the others can wait:
 *      that.
 *   4. Rows that stay free in the chosen executor go to excess requests of the same model.
 *
 * A device that copies one batch while it computes another is asked for the next one earlier than at
 * the end of a batch, by just the time of the copies: with whatever waits then. So from its decision
 * to its end a batch takes what the plan says, as on a device that takes one at a time, and nobody
 * waits longer; but a round is shorter by all its copies. When what runs will have computed is
 * expected on the early side: a batch that is given out too late leaves the device idle.
 *
 * A turn is bounded by the planned batch *and* by its planned time, so that many small batches of
 * one model can never take more than the plan gave it while others wait.
 *
 * Complexity: O(models^2 + rows of the batch) per step, plus the requests dropped. No allocation.
 * Differs from the paper's server (ATC'22), which polls for full batches each 0.5 ms.
 */
#include "common/memory.h"
#include "common/sched/sched_state.h"

#include <assert.h>
#include <stdlib.h>

/* A new observation above the estimate moves it by 1/4 of the difference, one below by 1/32: it
   settles near the 89th percentile, late enough for a prediction and early enough to admit. */
enum { LEARN_UP = 4, LEARN_DOWN = 32 };

/* The other way round for the time to compute alone. */
enum { QUICK_DOWN = 4, QUICK_UP = 32 };

/* One observation counts at most this many times the plan: a stall is not the new normal. */
enum { LEARN_CAP = 4 };

/* Waiting excess is looked at this many times per round while the gpu-let idles. */
enum { EXCESS_LOOKS = 8 };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void set_gathers(const struct glet_sched_let *let, struct glet_sched_model *model,
                        size_t size, uint64_t gathers_us)
{
    const struct glet_sched_size *plan = &model->plan.sizes[size];
    model->gathers_us[size] = gathers_us;
    model->copies_us[size] = plan->copy_us - plan->gather_us + gathers_us;
    model->hidden_us[size] = least(model->copies_us[size], let->shortest_us);
}

struct glet_sched_let *glet_sched_let_new(const struct glet_sched_share *shares, size_t count,
                                          struct glet_error *err)
{
    struct glet_sched_let *let = glet_alloc(1, sizeof *let, err);
    if (!let)
        return NULL;
    let->models = glet_alloc(count, sizeof *let->models, err);
    if (!let->models)
        goto fail;
    let->count = count;
    let->shortest_us = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        struct glet_sched_model *model = &let->models[i];
        model->plan = shares[i];
        for (size_t s = 0; s < model->plan.size_count; s++) {
            const struct glet_sched_size *size = &model->plan.sizes[s];
            model->learned_us[s] = size->exec_us;
            model->computes_us[s] = size->exec_us - least(size->copy_us, size->exec_us - 1);
        }
        let->shortest_us = least(let->shortest_us, model->computes_us[model->plan.size_count - 1]);
        let->round_us += glet_sched_rows_us(model, glet_sched_full(model));
        if ((size_t)glet_sched_full(model) > let->room)
            let->room = (size_t)glet_sched_full(model);
        for (int kind = 0; kind < 2; kind++)
            if (glet_sched_queue_init(&model->queues[kind], shares[i].queue_capacity, err) < 0)
                goto fail;
    }
    for (size_t i = 0; i < count; i++) {
        struct glet_sched_model *model = &let->models[i];
        for (size_t s = 0; s < model->plan.size_count; s++)
            set_gathers(let, model, s, model->plan.sizes[s].gather_us);
        let->pace_us += glet_sched_pace_us(model, glet_sched_full(model));
        model->capacity_rps = glet_sched_full(model) * 1e6 / (double)let->round_us;
    }
    return let;
fail:
    glet_sched_let_free(let);
    return NULL;
}

void glet_sched_let_free(struct glet_sched_let *let)
{
    if (!let)
        return;
    for (size_t i = 0; let->models && i < let->count; i++)
        for (int kind = 0; kind < 2; kind++)
            glet_sched_queue_fini(&let->models[i].queues[kind]);
    free(let->models);
    free(let);
}

size_t glet_sched_let_room(const struct glet_sched_let *let)
{
    return let->room;
}

/* Step 1. Without priorities the first that is not late ends the search: deadlines ascend. */
static bool drop_late(struct glet_sched_let *let, uint64_t now_us, struct glet_sched_batch *batch)
{
    batch->count = 0;
    for (size_t m = 0; m < let->count && batch->count == 0; m++) {
        struct glet_sched_model *model = &let->models[m];
        for (int kind = 0; kind < 2; kind++) {
            struct glet_sched_queue *queue = &model->queues[kind];
            for (size_t i = 0; i < queue->count && batch->count < let->room;) {
                const struct glet_sched_item *item = glet_sched_queue_at(queue, i);
                if (now_us + glet_sched_least_us(model, item->rows) > item->deadline_us) {
                    batch->items[batch->count++] = glet_sched_queue_remove(queue, i);
                    continue;
                }
                if (queue->prioritised == 0 && item->rows == 1)
                    break;
                i++;
            }
        }
        batch->share = m;
    }
    return batch->count > 0;
}

/* Step 2 for planned requests; let->count when there are none. */
static size_t whose_turn(const struct glet_sched_let *let, uint64_t now_us)
{
    size_t first = let->count;
    uint64_t time_us = now_us;
    for (size_t step = 0; step < let->count; step++) {
        size_t m = (let->turn + step) % let->count;
        const struct glet_sched_model *model = &let->models[m];
        const struct glet_sched_queue *queue = &model->queues[GLET_SCHED_PLANNED];
        if (queue->count == 0)
            continue;
        uint64_t cost_us = glet_sched_turn_us(model);
        uint64_t deadline_us = glet_sched_queue_at(queue, 0)->deadline_us;
        if (first == let->count)
            first = m;
        else if (time_us + cost_us > deadline_us && now_us + cost_us <= deadline_us &&
                 glet_sched_costs_nobody(let, now_us, m, cost_us))
            return m;
        time_us += cost_us;
    }
    return first;
}

/* Step 3: the executor for `rows` waiting rows. */
static size_t choose_size(const struct glet_sched_model *model,
                          const struct glet_sched_queue *queue, int rows)
{
    size_t up = glet_sched_size_for(model, rows);
    int batch = model->plan.sizes[up].batch;
    if (up == 0 || batch == rows)
        return up;
    size_t down = up - 1;
    int taken = glet_sched_rows_that_fit(queue, model->plan.sizes[down].batch);
    if (taken == 0 || taken == rows)
        return taken == 0 ? up : down;
    int rest = rows - taken;
    uint64_t split_us = model->learned_us[down] + glet_sched_rows_us(model, rest);
    return split_us <= model->learned_us[up] ? down : up;
}

/* Step 3, second half: a smaller executor where the first request needs it and the rest can wait.
 */
static size_t shrink(const struct glet_sched_model *model, const struct glet_sched_queue *queue,
                     int rows, uint64_t now_us, size_t size)
{
    const struct glet_sched_item *head = glet_sched_queue_at(queue, 0);
    size_t smaller = size;
    while (smaller > 0 && now_us + model->learned_us[smaller] > head->deadline_us &&
           model->plan.sizes[smaller - 1].batch >= head->rows)
        smaller--;
    if (smaller == size || now_us + model->learned_us[smaller] > head->deadline_us)
        return size;
    int taken = 0, rest = rows - glet_sched_rows_that_fit(queue, model->plan.sizes[smaller].batch);
    uint64_t rest_end_us =
        now_us + model->learned_us[smaller] + (rest > 0 ? glet_sched_rows_us(model, rest) : 0);
    for (size_t i = 0; i < queue->count && taken < rows; i++) {
        const struct glet_sched_item *item = glet_sched_queue_at(queue, i);
        taken += item->rows;
        if (taken > model->plan.sizes[smaller].batch)
            return rest_end_us <= item->deadline_us ? smaller : size;
    }
    return smaller;
}

/* Moves items into the batch while they fit and can be answered by end_us; later, smaller ones may
   go before one that does not fit. */
static void fill(struct glet_sched_batch *batch, struct glet_sched_queue *queue, int limit,
                 uint64_t end_us)
{
    for (size_t i = 0; i < queue->count && batch->rows < limit;) {
        const struct glet_sched_item *next = glet_sched_queue_at(queue, i);
        if (batch->rows + next->rows > limit || next->deadline_us < end_us) {
            i++;
            continue;
        }
        struct glet_sched_item item = glet_sched_queue_remove(queue, i);
        batch->rows += item.rows;
        batch->items[batch->count++] = item;
    }
}

/* Begins model k's turn unless it is in one that has room left. */
static void take_turn(struct glet_sched_let *let, size_t k)
{
    const struct glet_sched_model *model = &let->models[k];
    if (let->turn == k && let->turn_rows > 0)
        return;
    if (k < let->turn)
        let->rounds++;
    let->turn = k;
    let->turn_rows = glet_sched_full(model);
    let->turn_us = glet_sched_rows_us(model, glet_sched_full(model));
}

/* Planned rows that come next in this turn: no more than it has rows and time left for. */
static int rows_of_turn(const struct glet_sched_let *let)
{
    const struct glet_sched_model *model = &let->models[let->turn];
    const struct glet_sched_queue *queue = &model->queues[GLET_SCHED_PLANNED];
    int rows = glet_sched_rows_that_fit(queue, let->turn_rows);
    size_t size = glet_sched_size_for(model, rows);
    while (rows > 0 && model->learned_us[size] > let->turn_us)
        rows = size == 0 ? 0 : glet_sched_rows_that_fit(queue, model->plan.sizes[--size].batch);
    return rows;
}

/* Ends the turn when it is used up, so that the next model comes first. */
static void end_spent_turn(struct glet_sched_let *let)
{
    if (rows_of_turn(let) > 0)
        return;
    let->turn_rows = 0;
    let->turn++;
    if (let->turn == let->count) {
        let->turn = 0;
        let->rounds++;
    }
}

/* The batch leaves the queue, to run after what runs. */
static void begin(struct glet_sched_let *let, const struct glet_sched_batch *batch, uint64_t now_us)
{
    const struct glet_sched_model *model = &let->models[batch->share];
    uint64_t cost_us = model->learned_us[batch->size], start_us = glet_sched_free_us(let, now_us);
    bool ahead = let->run_count > 0;
    if (ahead)
        cost_us = glet_sched_pace_us(model, model->plan.sizes[batch->size].batch);
    let->runs[let->run_count++] =
        (struct glet_sched_run){batch->share, batch->size, start_us, start_us + cost_us, ahead};
    let->turn_rows -= batch->rows;
    let->turn_us -= least(model->learned_us[batch->size], let->turn_us);
    end_spent_turn(let);
}

enum glet_sched_step glet_sched_let_next(struct glet_sched_let *let, uint64_t now_us,
                                         struct glet_sched_batch *batch)
{
    assert(let->run_count < 2);
    if (drop_late(let, now_us, batch))
        return GLET_SCHED_LATE;
    if (let->turn_rows > 0)
        end_spent_turn(let); /* what has come since may not fit into the rest of it */
    enum glet_sched_class kind = GLET_SCHED_PLANNED;
    size_t k = whose_turn(let, now_us);
    if (k == let->count) {
        kind = GLET_SCHED_EXCESS;
        k = glet_sched_excess_turn(let, now_us);
    }
    if (k == let->count)
        return GLET_SCHED_IDLE;
    take_turn(let, k);
    struct glet_sched_model *model = &let->models[k];
    struct glet_sched_queue *queue = &model->queues[kind];
    int excess = glet_sched_excess_rows(let, k, now_us);
    int rows = kind == GLET_SCHED_PLANNED ? rows_of_turn(let) : excess;
    if (rows == 0 || rows > let->turn_rows) { /* too much for the rest of this turn: another one */
        let->turn_rows = glet_sched_full(model);
        let->turn_us = glet_sched_rows_us(model, let->turn_rows);
        rows =
            kind == GLET_SCHED_PLANNED ? glet_sched_rows_that_fit(queue, let->turn_rows) : excess;
    }
    size_t size = choose_size(model, queue, rows);
    if (kind == GLET_SCHED_PLANNED)
        size = glet_sched_grow(let, model, rows, size, now_us, k);
    size = shrink(model, queue, rows, now_us, size);
    int limit = model->plan.sizes[size].batch;
    uint64_t end_us = now_us + model->learned_us[size];
    batch->share = k;
    batch->size = size;
    batch->rows = 0;
    fill(batch, queue, limit < let->turn_rows ? limit : let->turn_rows, 0);
    if (kind == GLET_SCHED_PLANNED)
        fill(batch, &model->queues[GLET_SCHED_EXCESS], limit, end_us);
    begin(let, batch, now_us);
    return GLET_SCHED_RUN;
}

uint64_t glet_sched_let_next_us(const struct glet_sched_let *let)
{
    const struct glet_sched_run *run = &let->runs[0];
    const struct glet_sched_model *model = &let->models[run->share],
                                  *next = &let->models[let->turn];
    size_t full = next->plan.size_count - 1;
    uint64_t copy_us = next->copies_us[full];
    if (let->run_count != 1 || next->plan.sizes[full].copy_us == 0)
        return UINT64_MAX;
    uint64_t own_copy_us = run->ahead ? 0 : model->copies_us[run->size];
    uint64_t takes_us = own_copy_us + model->computes_us[run->size];
    return run->start_us + takes_us - least(copy_us, takes_us);
}

/* Moves an estimate towards what was observed, by 1 / up or 1 / down of the difference. */
static void learn(uint64_t *estimate_us, uint64_t observed_us, uint64_t up, uint64_t down)
{
    if (observed_us > *estimate_us)
        *estimate_us += (observed_us - *estimate_us + up - 1) / up;
    else
        *estimate_us -= (*estimate_us - observed_us) / down;
}

void glet_sched_let_gathered(struct glet_sched_let *let, uint64_t gathered_us)
{
    assert(let->run_count > 0);
    size_t s = let->runs[0].size;
    struct glet_sched_model *model = &let->models[let->runs[0].share];
    const struct glet_sched_size *size = &model->plan.sizes[s];
    uint64_t gathers_us = model->gathers_us[s];
    if (size->copy_us == 0)
        return;
    learn(&gathers_us, least(gathered_us, LEARN_CAP * size->exec_us), LEARN_UP, LEARN_DOWN);
    set_gathers(let, model, s, gathers_us);
}

void glet_sched_let_end(struct glet_sched_let *let, uint64_t now_us, uint64_t computed_us)
{
    assert(let->run_count > 0);
    struct glet_sched_run ended = let->runs[0];
    struct glet_sched_model *model = &let->models[ended.share];
    const struct glet_sched_size *size = &model->plan.sizes[ended.size];
    uint64_t cap_us = LEARN_CAP * size->exec_us;
    uint64_t took_us = now_us > ended.start_us ? now_us - ended.start_us : 0;
    if (ended.ahead) /* between others its time says little of it */
        took_us = computed_us + model->copies_us[ended.size];
    learn(&model->learned_us[ended.size], least(took_us, cap_us), LEARN_UP, LEARN_DOWN);
    learn(&model->computes_us[ended.size], least(computed_us, cap_us), QUICK_UP, QUICK_DOWN);
    if (--let->run_count == 0)
        return;
    let->runs[0] = let->runs[1];
    let->runs[0].expected_us = now_us + let->runs[1].expected_us - let->runs[1].start_us;
    let->runs[0].start_us = now_us;
}

void glet_sched_let_replan(struct glet_sched_let *let, size_t share, double rate_rps)
{
    let->models[share].plan.rate_rps = rate_rps;
}

bool glet_sched_let_evacuate(struct glet_sched_let *let, size_t *share_out,
                             struct glet_sched_item *item_out)
{
    for (size_t m = 0; m < let->count; m++)
        for (int kind = 0; kind < 2; kind++)
            if (let->models[m].queues[kind].count > 0) {
                *share_out = m;
                *item_out = glet_sched_queue_remove(&let->models[m].queues[kind], 0);
                return true;
            }
    return false;
}

size_t glet_sched_let_waiting(const struct glet_sched_let *let, size_t share,
                              enum glet_sched_class kind)
{
    return let->models[share].queues[kind].count;
}

uint64_t glet_sched_let_wake_us(const struct glet_sched_let *let, uint64_t now_us)
{
    uint64_t wake_us = UINT64_MAX;
    for (size_t m = 0; m < let->count; m++) {
        const struct glet_sched_model *model = &let->models[m];
        if (model->queues[GLET_SCHED_EXCESS].count == 0)
            continue;
        uint64_t soon_us = now_us + let->round_us / EXCESS_LOOKS + 1;
        wake_us = soon_us < wake_us ? soon_us : wake_us;
    }
    return wake_us;
}

uint64_t glet_sched_let_exec_us(const struct glet_sched_let *let, size_t share, size_t size)
{
    return let->models[share].learned_us[size];
}

uint64_t glet_sched_let_rounds(const struct glet_sched_let *let)
{
    return let->rounds;
}
