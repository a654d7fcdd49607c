/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a plan to gpu-lets, doors and sources of requests. */
#include "planner/simulate/sim_state.h"

#include "common/memory.h"
#include "common/sched/sched_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A type of that name; all of them have the same profile. */
static int find_type(const struct glet_problem *problem, const char *name)
{
    for (int t = 0; t < problem->type_count; t++)
        if (strcmp(problem->types[t].name, name) == 0)
            return t;
    return -1;
}

static uint64_t whole_us(double ms)
{
    return ms > 0.001 ? (uint64_t)(ms * 1000) : 1;
}

/* The planned batch, and below it the powers of two that are profiled, as the runtime has executors
   for; a smaller batch never takes longer. */
static void set_sizes(struct glet_sched_share *share, const struct glet_problem *problem,
                      const struct glet_plan_gpu *gpu, const struct glet_plan_let *let,
                      const struct glet_plan_let_model *part, size_t model, bool planned_only)
{
    int type = find_type(problem, gpu->type);
    int size = type < 0 ? -1 : glet_problem_find_size(&problem->types[type], let->units);
    for (int batch = 1; batch < part->batch && size >= 0 && !planned_only &&
                        share->size_count + 1 < GLET_SCHED_MAX_SIZES;
         batch *= 2) {
        const struct glet_cell *cell = glet_problem_cell(problem, type, (int)model, size, batch);
        if (cell)
            share->sizes[share->size_count++] = (struct glet_sched_size){
                .batch = batch,
                .exec_us = whole_us(fmin(cell->latency_ms * part->factor, part->exec_ms))};
    }
    share->sizes[share->size_count++] =
        (struct glet_sched_size){.batch = part->batch, .exec_us = whole_us(part->exec_ms)};
    for (size_t i = share->size_count - 1; i-- > 0;)
        if (share->sizes[i].exec_us > share->sizes[i + 1].exec_us)
            share->sizes[i].exec_us = share->sizes[i + 1].exec_us;
}

static enum glet_sched_verdict offer(void *user, size_t way, const struct glet_sched_item *item,
                                     enum glet_sched_class kind, uint64_t now_us,
                                     uint64_t *completion_us_out)
{
    struct glet_sim_model *model = user;
    model->sim->offered = model->places[way].let;
    return glet_sched_let_offer(model->sim->lets[model->places[way].let].sched, now_us,
                                model->places[way].share, item, kind, completion_us_out);
}

static uint64_t predict(void *user, size_t way, const struct glet_sched_item *item,
                        enum glet_sched_class kind, uint64_t now_us)
{
    struct glet_sim_model *model = user;
    return glet_sched_let_predict(model->sim->lets[model->places[way].let].sched, now_us,
                                  model->places[way].share, item, kind);
}

static int add_way(struct glet_sim_model *model, const struct glet_plan_let *plan, size_t let,
                   size_t share, struct glet_error *err)
{
    const struct glet_plan_let_model *part = &plan->models[share];
    size_t count = model->door.way_count, ways = count, places = count;
    if (glet_reserve(&model->ways, &ways, count + 1, sizeof *model->ways, err) < 0 ||
        glet_reserve(&model->places, &places, count + 1, sizeof *model->places, err) < 0)
        return -1;
    model->ways[count] = (struct glet_sched_way){.rate_rps = part->rate_rps, .batch = part->batch};
    model->places[count] = (struct glet_sim_place){let, share};
    model->door.way_count++;
    model->capacity_rps += glet_sched_capacity_rps(plan, share);
    model->burst += part->batch;
    return 0;
}

static int build_let(struct glet_sim *sim, const struct glet_plan *plan,
                     const struct glet_problem *problem, const struct glet_plan_gpu *gpu,
                     const struct glet_plan_let *let, struct glet_error *err)
{
    struct glet_sim_let *made = &sim->lets[sim->let_count];
    made->due_us = UINT64_MAX;
    made->shares = glet_alloc(let->model_count, sizeof *made->shares, err);
    if (!made->shares)
        return -1;
    for (size_t i = 0; i < let->model_count; i++) {
        const struct glet_plan_let_model *part = &let->models[i];
        int model = glet_workload_find_model(sim->workload, plan->models[part->model].name);
        uint64_t slo_us = glet_sched_slo_us(plan, part->model);
        made->shares[i].rate_rps = part->rate_rps;
        made->shares[i].queue_capacity =
            glet_sched_queue_capacity(part->rate_rps, slo_us, part->batch);
        if (model < 0) { /* nothing arrives for it; it only keeps its place in the round */
            made->shares[i].sizes[made->shares[i].size_count++] =
                (struct glet_sched_size){.batch = part->batch, .exec_us = whole_us(part->exec_ms)};
            continue;
        }
        set_sizes(&made->shares[i], problem, gpu, let, part, (size_t)model,
                  sim->options->planned_batches_only);
        sim->models[model].slo_us = slo_us;
        if (add_way(&sim->models[model], let, sim->let_count, i, err) < 0)
            return -1;
    }
    sim->let_count++;
    made->sched = glet_sched_let_new(made->shares, let->model_count, err);
    if (!made->sched)
        return -1;
    made->batch.items =
        glet_alloc(glet_sched_let_room(made->sched), sizeof *made->batch.items, err);
    return made->batch.items ? 0 : -1;
}

static void open_door(struct glet_sim_model *model)
{
    double depth = glet_sched_bucket_depth(model->capacity_rps, model->slo_us, model->burst);
    glet_sched_bucket_init(&model->door.bucket, model->capacity_rps, depth, 0);
    model->door.ways = model->ways;
    model->door.by_completion = model->sim->options->by_completion;
    model->door.user = model;
    model->door.offer = offer;
    model->door.predict = predict;
}

static int add_stream(struct glet_sim *sim, struct glet_simulate_stream stream,
                      struct glet_sim_source source, size_t number, struct glet_error *err)
{
    struct glet_random root = glet_random_seeded(sim->options->seed);
    stream.latency_us = glet_histogram_new(err);
    if (!stream.latency_us)
        return -1;
    source.arrivals.random = glet_random_split(&root, number);
    source.arrivals.burstiness = 1;
    source.arrivals.time_scale = 1 / sim->options->rate_scale;
    source.arrivals.rate_rps = stream.rate_rps;
    sim->out->streams[sim->out->stream_count] = stream;
    sim->sources[sim->out->stream_count++] = source;
    return 0;
}

static int build_streams(struct glet_sim *sim, struct glet_error *err)
{
    const struct glet_workload *w = sim->workload;
    size_t most = w->model_count + w->app_count;
    sim->out->streams = glet_alloc(most, sizeof *sim->out->streams, err);
    sim->sources = sim->out->streams ? glet_alloc(most, sizeof *sim->sources, err) : NULL;
    if (!sim->sources)
        return -1;
    for (size_t k = 0; k < w->model_count; k++) {
        const struct glet_workload_model *model = &w->models[k];
        struct glet_simulate_stream stream = {.name = model->name,
                                              .rate_rps =
                                                  model->rate_rps * sim->options->rate_scale,
                                              .slo_ms = model->slo_ms,
                                              .percentile = model->percentile};
        struct glet_sim_source source = {.model = k,
                                         .arrivals = {.process = glet_process_of(model->arrival),
                                                      .times_s = model->trace_s,
                                                      .time_count = model->trace_count}};
        if ((model->rate_rps > 0 || model->trace_count > 0) &&
            add_stream(sim, stream, source, k, err) < 0)
            return -1;
    }
    for (size_t a = 0; a < w->app_count; a++) {
        const struct glet_workload_app *app = &w->apps[a];
        struct glet_simulate_stream stream = {.name = app->name,
                                              .is_app = true,
                                              .rate_rps = app->rate_rps * sim->options->rate_scale,
                                              .slo_ms = app->slo_ms,
                                              .percentile = app->percentile};
        struct glet_sim_source source = {.app = app, .arrivals = {.process = GLET_PROCESS_POISSON}};
        if (app->rate_rps > 0 && add_stream(sim, stream, source, w->model_count + a, err) < 0)
            return -1;
    }
    return 0;
}

int glet_sim_build(struct glet_sim *sim, const struct glet_plan *plan,
                   const struct glet_problem *problem, struct glet_error *err)
{
    size_t let_count = 0;
    for (size_t g = 0; g < plan->gpu_count; g++)
        let_count += plan->gpus[g].let_count;
    sim->workload = problem->workload;
    sim->models = glet_alloc(sim->workload->model_count, sizeof *sim->models, err);
    sim->lets = sim->models ? glet_alloc(let_count, sizeof *sim->lets, err) : NULL;
    sim->out->lets = sim->lets ? glet_alloc(let_count, sizeof *sim->out->lets, err) : NULL;
    if (!sim->out->lets || build_streams(sim, err) < 0)
        return -1;
    for (size_t g = 0; g < plan->gpu_count; g++)
        for (size_t l = 0; l < plan->gpus[g].let_count; l++) {
            const struct glet_plan_gpu *gpu = &plan->gpus[g];
            sim->out->lets[sim->out->let_count++] = (struct glet_simulate_let){.gpu = g, .let = l};
            if (build_let(sim, plan, problem, gpu, &gpu->lets[l], err) < 0)
                return -1;
        }
    for (size_t k = 0; k < sim->workload->model_count; k++) {
        sim->models[k].sim = sim;
        open_door(&sim->models[k]);
    }
    return 0;
}

void glet_sim_fini(struct glet_sim *sim)
{
    for (size_t k = 0; sim->models && k < sim->workload->model_count; k++) {
        free(sim->models[k].ways);
        free(sim->models[k].places);
    }
    for (size_t l = 0; sim->lets && l < sim->out->let_count; l++) {
        glet_sched_let_free(sim->lets[l].sched);
        free(sim->lets[l].shares);
        free(sim->lets[l].batch.items);
    }
    for (size_t i = 0; i < sim->block_count; i++)
        free(sim->blocks[i]);
    free(sim->blocks);
    free(sim->models);
    free(sim->lets);
    free(sim->sources);
    glet_event_heap_fini(&sim->heap);
}
