/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/load_setup.h"

#include "common/memory.h"

#include <stdlib.h>

static bool has_arrivals(const struct glet_workload_model *model)
{
    return model->trace_count > 0 || model->rate_rps > 0;
}

static bool is_used(const struct glet_workload *workload, size_t k)
{
    if (has_arrivals(&workload->models[k]))
        return true;
    for (size_t a = 0; a < workload->app_count; a++)
        for (size_t s = 0; s < workload->apps[a].stage_count; s++)
            if (workload->apps[a].rate_rps > 0 && workload->apps[a].stages[s].model == k)
                return true;
    return false;
}

int glet_load_models_new(const struct glet_workload *workload, size_t target_count,
                         struct glet_load_model **out, struct glet_error *err)
{
    struct glet_load_model *models = glet_alloc(workload->model_count, sizeof *models, err);
    if (!models)
        return -1;
    for (size_t k = 0; k < workload->model_count; k++) {
        if (is_used(workload, k) &&
            glet_load_model_init(&models[k], workload->models[k].name, target_count, err) < 0) {
            glet_load_models_free(models, workload->model_count);
            return -1;
        }
    }
    *out = models;
    return 0;
}

void glet_load_models_free(struct glet_load_model *models, size_t count)
{
    for (size_t k = 0; models && k < count; k++)
        glet_load_model_fini(&models[k]);
    free(models);
}

static int init_stream(struct glet_stream *stream, const struct glet_load_schedule *schedule,
                       size_t number, struct glet_error *err)
{
    struct glet_random root = glet_random_seeded(schedule->seed);
    stream->arrivals.random = glet_random_split(&root, number);
    stream->arrivals.burstiness = schedule->burstiness;
    stream->arrivals.time_scale = 1 / schedule->rate_scale;
    stream->latency_us = glet_histogram_new(err);
    stream->send_lag_us = stream->latency_us ? glet_histogram_new(err) : NULL;
    return stream->send_lag_us ? 0 : -1;
}

static int add_model(struct glet_load_set *set, const struct glet_workload *workload, size_t k,
                     struct glet_load_model *models, const struct glet_load_schedule *schedule,
                     struct glet_error *err)
{
    const struct glet_workload_model *model = &workload->models[k];
    struct glet_stream *stream = &set->streams[set->stream_count++];
    *stream = (struct glet_stream){
        .kind = GLET_STREAM_MODEL,
        .name = model->name,
        .slo_ms = model->slo_ms,
        .percentile = model->percentile,
        .model = &models[k],
        .arrivals = {.process = schedule->override_process ? schedule->process
                                                           : glet_process_of(model->arrival),
                     .rate_rps = model->rate_rps * schedule->rate_scale,
                     .trace_begin_s = schedule->trace_begin_s,
                     .trace_period_s = schedule->trace_period_s,
                     .times_s = model->trace_s,
                     .time_count = model->trace_count},
    };
    return init_stream(stream, schedule, k, err);
}

static int add_app(struct glet_load_set *set, const struct glet_workload *workload, size_t a,
                   struct glet_load_model *models, const struct glet_load_schedule *schedule,
                   struct glet_error *err)
{
    const struct glet_workload_app *app = &workload->apps[a];
    struct glet_stream *stream = &set->streams[set->stream_count++];
    *stream = (struct glet_stream){
        .kind = GLET_STREAM_APP,
        .name = app->name,
        .slo_ms = app->slo_ms,
        .percentile = app->percentile,
        .arrivals = {.process =
                         schedule->override_process ? schedule->process : GLET_PROCESS_POISSON,
                     .rate_rps = app->rate_rps * schedule->rate_scale},
    };
    if (init_stream(stream, schedule, workload->model_count + a, err) < 0)
        return -1;
    stream->stages = glet_alloc(app->stage_count, sizeof *stream->stages, err);
    if (!stream->stages)
        return -1;
    stream->stage_count = app->stage_count;
    for (size_t s = 0; s < app->stage_count; s++) {
        struct glet_stream *row = &set->streams[set->stream_count++];
        *row = (struct glet_stream){.kind = GLET_STREAM_STAGE,
                                    .name = workload->models[app->stages[s].model].name,
                                    .model = &models[app->stages[s].model]};
        if (init_stream(row, schedule, 0, err) < 0)
            return -1;
        stream->stages[s] = (struct glet_load_stage){row, 0, app->stages[s].calls};
        for (size_t i = 0; i < app->stages[s].after_count; i++)
            stream->stages[s].after |= UINT64_C(1) << app->stages[s].after[i];
    }
    return 0;
}

int glet_load_set_init(struct glet_load_set *set, const struct glet_workload *workload,
                       struct glet_load_model *models, const struct glet_load_schedule *schedule,
                       struct glet_error *err)
{
    size_t most = workload->model_count + workload->app_count;
    for (size_t a = 0; a < workload->app_count; a++)
        most += workload->apps[a].stage_count;
    *set = (struct glet_load_set){NULL, 0};
    set->streams = glet_alloc(most, sizeof *set->streams, err);
    if (!set->streams)
        return -1;
    for (size_t k = 0; k < workload->model_count; k++) {
        glet_load_model_rewind(&models[k]);
        if (has_arrivals(&workload->models[k]) &&
            add_model(set, workload, k, models, schedule, err) < 0)
            return -1;
    }
    for (size_t a = 0; a < workload->app_count; a++)
        if (workload->apps[a].rate_rps > 0 && add_app(set, workload, a, models, schedule, err) < 0)
            return -1;
    if (set->stream_count == 0)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: no model and no app has a rate",
                              workload->path);
    return 0;
}

void glet_load_set_fini(struct glet_load_set *set)
{
    for (size_t i = 0; i < set->stream_count; i++) {
        glet_histogram_free(set->streams[i].latency_us);
        glet_histogram_free(set->streams[i].send_lag_us);
        free(set->streams[i].stages);
    }
    free(set->streams);
    *set = (struct glet_load_set){NULL, 0};
}

bool glet_load_set_meets_slo(const struct glet_load_set *set)
{
    for (size_t i = 0; i < set->stream_count; i++)
        if (!glet_stream_meets_slo(&set->streams[i]))
            return false;
    return true;
}
