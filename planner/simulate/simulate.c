/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The run. An event is an arrival, or a gpu-let that is due: its batch ends, or it wants to look
 * again. What a gpu-let once wanted may be overtaken, so an event of a gpu-let counts only while it
 * is still what the gpu-let is due for. A request that comes to an idle gpu-let makes it due at once.
 */
#include "planner/simulate/simulate.h"

#include "common/memory.h"
#include "planner/simulate/sim_state.h"

#include <math.h>
#include <stdlib.h>

enum { REQUESTS_PER_BLOCK = 256 };

static bool counted(const struct glet_sim *sim, uint64_t arrival_us)
{
    return arrival_us >= sim->warmup_us;
}

static size_t slice_of(const struct glet_sim *sim, uint64_t arrival_us)
{
    double share = (double)(arrival_us - sim->warmup_us) / (double)(sim->stop_us - sim->warmup_us);
    size_t slice = (size_t)(share * GLET_SIMULATE_SLICES);
    return slice < GLET_SIMULATE_SLICES ? slice : GLET_SIMULATE_SLICES - 1;
}

void glet_sim_record(struct glet_sim *sim, size_t number, uint64_t arrival_us,
                     enum glet_sim_end end)
{
    struct glet_simulate_stream *stream = &sim->out->streams[number];
    if (!counted(sim, arrival_us))
        return;
    uint64_t took_us = sim->now_us - arrival_us;
    size_t slice = slice_of(sim, arrival_us);
    stream->offered++;
    stream->slice_offered[slice]++;
    stream->over_rate += end == GLET_SIM_OVER_RATE;
    stream->overloaded += end == GLET_SIM_OVERLOADED;
    stream->late += end == GLET_SIM_LATE;
    if (end != GLET_SIM_ANSWERED)
        return;
    bool in_slo = stream->slo_ms <= 0 || (double)took_us <= stream->slo_ms * 1000;
    stream->answered++;
    stream->in_slo += in_slo;
    stream->slice_in_slo[slice] += in_slo;
    glet_histogram_record(stream->latency_us, took_us);
}

static int end_request(struct glet_sim *sim, struct glet_sim_request *request,
                       enum glet_sim_end end, struct glet_error *err)
{
    struct glet_sim_request ended = *request;
    request->next_free = sim->free;
    sim->free = request;
    if (ended.job)
        return glet_sim_end_call(sim, &ended, end, err);
    glet_sim_record(sim, ended.stream, ended.arrival_us, end);
    return 0;
}

static struct glet_sim_request *take_request(struct glet_sim *sim, struct glet_error *err)
{
    if (!sim->free) {
        if (glet_reserve(&sim->blocks, &sim->block_capacity, sim->block_count + 1,
                         sizeof *sim->blocks, err) < 0)
            return NULL;
        struct glet_sim_request *block = glet_alloc(REQUESTS_PER_BLOCK, sizeof *block, err);
        if (!block)
            return NULL;
        sim->blocks[sim->block_count++] = block;
        for (int i = 0; i < REQUESTS_PER_BLOCK; i++) {
            block[i].next_free = sim->free;
            sim->free = &block[i];
        }
    }
    struct glet_sim_request *request = sim->free;
    sim->free = request->next_free;
    return request;
}

static int wake(struct glet_sim *sim, size_t number, uint64_t at_us, struct glet_error *err)
{
    sim->lets[number].due_us = at_us;
    return glet_event_heap_push(&sim->heap,
                                (struct glet_event){at_us, sim->out->stream_count + number}, err);
}

int glet_sim_submit(struct glet_sim *sim, struct glet_sim_request wanted, struct glet_error *err)
{
    struct glet_sim_model *model = &sim->models[wanted.model];
    struct glet_sim_request *request = take_request(sim, err);
    if (!request)
        return -1;
    *request = wanted;
    struct glet_sched_item item = {request, sim->now_us, sim->now_us + model->slo_us, 0, 1};
    double retry_after_s = 0;
    switch (glet_sched_door_admit(&model->door, sim->now_us, &item, &retry_after_s)) {
    case GLET_SCHED_ADMITTED:
        break;
    case GLET_SCHED_OVER_RATE:
        return end_request(sim, request, GLET_SIM_OVER_RATE, err);
    case GLET_SCHED_OVERLOADED:
    case GLET_SCHED_NO_WAY:
        return end_request(sim, request, GLET_SIM_OVERLOADED, err);
    }
    return sim->lets[sim->offered].busy ? 0 : wake(sim, sim->offered, sim->now_us, err);
}

/* Lets an idle gpu-let go on. */
static int step(struct glet_sim *sim, size_t number, struct glet_error *err)
{
    struct glet_sim_let *let = &sim->lets[number];
    enum glet_sched_step next;
    while ((next = glet_sched_let_next(let->sched, sim->now_us, &let->batch)) == GLET_SCHED_LATE)
        for (size_t i = 0; i < let->batch.count; i++)
            if (end_request(sim, let->batch.items[i].request, GLET_SIM_LATE, err) < 0)
                return -1;
    if (next == GLET_SCHED_IDLE) {
        uint64_t look_us = glet_sched_let_wake_us(let->sched, sim->now_us);
        let->due_us = UINT64_MAX;
        return look_us == UINT64_MAX ? 0 : wake(sim, number, look_us, err);
    }
    const struct glet_sched_share *share = &let->shares[let->batch.share];
    let->busy = true;
    let->start_us = sim->now_us;
    let->rows += (uint64_t)let->batch.rows;
    let->room += (uint64_t)share->sizes[share->size_count - 1].batch;
    return wake(sim, number, sim->now_us + share->sizes[let->batch.size].exec_us, err);
}

static uint64_t overlap_us(const struct glet_sim *sim, uint64_t from_us, uint64_t to_us)
{
    uint64_t low = from_us > sim->warmup_us ? from_us : sim->warmup_us;
    uint64_t high = to_us < sim->stop_us ? to_us : sim->stop_us;
    return high > low ? high - low : 0;
}

static int end_batch(struct glet_sim *sim, struct glet_sim_let *let, struct glet_error *err)
{
    let->busy = false;
    let->due_us = UINT64_MAX;
    let->busy_us += overlap_us(sim, let->start_us, sim->now_us);
    glet_sched_let_end(let->sched, sim->now_us, 0);
    for (size_t i = 0; i < let->batch.count; i++)
        if (end_request(sim, let->batch.items[i].request, GLET_SIM_ANSWERED, err) < 0)
            return -1;
    return 0;
}

static int arrive(struct glet_sim *sim, size_t number, struct glet_error *err)
{
    struct glet_sim_source *source = &sim->sources[number];
    size_t index = source->arrivals.index;
    struct glet_sim_request request = {
        .model = source->model, .stream = number, .arrival_us = sim->now_us};
    int result = source->app ? glet_sim_begin_job(sim, number, index, err)
                             : glet_sim_submit(sim, request, err);
    glet_arrivals_advance(&source->arrivals);
    return result;
}

static int push_arrival(struct glet_sim *sim, size_t number, struct glet_error *err)
{
    double at_us = sim->sources[number].arrivals.next_s * 1e6;
    if (!(at_us < (double)sim->stop_us))
        return 0;
    return glet_event_heap_push(&sim->heap, (struct glet_event){(uint64_t)at_us, number}, err);
}

static int run(struct glet_sim *sim, struct glet_error *err)
{
    for (size_t i = 0; i < sim->out->stream_count; i++) {
        glet_arrivals_start(&sim->sources[i].arrivals);
        if (push_arrival(sim, i, err) < 0)
            return -1;
    }
    struct glet_event event;
    while (glet_event_heap_pop(&sim->heap, &event)) {
        sim->now_us = event.at_us;
        if (event.number < sim->out->stream_count) {
            if (arrive(sim, event.number, err) < 0 || push_arrival(sim, event.number, err) < 0)
                return -1;
            continue;
        }
        size_t number = event.number - sim->out->stream_count;
        struct glet_sim_let *let = &sim->lets[number];
        if (let->due_us != event.at_us)
            continue;
        if ((let->busy && end_batch(sim, let, err) < 0) || step(sim, number, err) < 0)
            return -1;
    }
    return 0;
}

int glet_simulate(const struct glet_plan *plan, const struct glet_problem *problem,
                  const struct glet_simulate_options *options, struct glet_simulation *out,
                  struct glet_error *err)
{
    *out = (struct glet_simulation){0};
    struct glet_sim sim = {
        .options = options,
        .out = out,
        .warmup_us = (uint64_t)(options->warmup_s * 1e6),
        .stop_us = (uint64_t)((options->warmup_s + options->duration_s) * 1e6),
    };
    int result = glet_sim_build(&sim, plan, problem, err);
    if (result == 0)
        result = run(&sim, err);
    for (size_t l = 0; result == 0 && l < sim.let_count; l++) {
        const struct glet_sim_let *let = &sim.lets[l];
        out->lets[l].busy_ratio = (double)let->busy_us / (options->duration_s * 1e6);
        out->lets[l].fill_ratio = let->room ? (double)let->rows / (double)let->room : 0;
    }
    glet_sim_fini(&sim);
    return result;
}

void glet_simulation_fini(struct glet_simulation *simulation)
{
    for (size_t i = 0; i < simulation->stream_count; i++)
        glet_histogram_free(simulation->streams[i].latency_us);
    free(simulation->streams);
    free(simulation->lets);
    *simulation = (struct glet_simulation){0};
}

double glet_simulate_attainment(const struct glet_simulate_stream *stream)
{
    return stream->offered ? (double)stream->in_slo / (double)stream->offered : 1;
}

/* Requests of one burst share their luck, so a binomial error would be too small; equal parts of the
   time are nearly independent. 2.262 is Student's t for ten of them. */
double glet_simulate_error(const struct glet_simulate_stream *stream)
{
    double mean = glet_simulate_attainment(stream), sum = 0;
    for (int s = 0; s < GLET_SIMULATE_SLICES; s++) {
        double offered = (double)stream->slice_offered[s];
        double ratio = offered > 0 ? (double)stream->slice_in_slo[s] / offered : mean;
        sum += (ratio - mean) * (ratio - mean);
    }
    return 2.262 * sqrt(sum / (GLET_SIMULATE_SLICES - 1) / GLET_SIMULATE_SLICES);
}

bool glet_simulate_meets_slo(const struct glet_simulate_stream *stream)
{
    return stream->slo_ms <= 0 || glet_simulate_attainment(stream) * 100 >= stream->percentile;
}
