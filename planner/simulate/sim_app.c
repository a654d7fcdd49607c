/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An app request: a stage begins when all that it comes after are over, each with its mean number of
 * calls (a fraction by chance); the app is answered when every call is, and fails with the first
 * that is not. The same as gpulet-load does it over HTTP, and with the same random numbers.
 */
#include "planner/simulate/sim_state.h"

#include "common/memory.h"

#include <math.h>
#include <stdlib.h>

struct glet_sim_job {
    const struct glet_workload_app *app;
    size_t stream;
    uint64_t arrival_us;
    struct glet_random random;
    size_t holds;    /* open calls, and 1 while it is being worked on */
    size_t *pending; /* open calls of a stage */
    bool *started, *over;
    bool failed;
};

static void let_go(struct glet_sim *sim, struct glet_sim_job *job)
{
    if (--job->holds > 0)
        return;
    if (!job->failed)
        glet_sim_record(sim, job->stream, job->arrival_us, GLET_SIM_ANSWERED);
    free(job);
}

static bool may_begin(const struct glet_sim_job *job, size_t k)
{
    const struct glet_workload_stage *stage = &job->app->stages[k];
    for (size_t i = 0; i < stage->after_count; i++)
        if (!job->over[stage->after[i]])
            return false;
    return !job->started[k];
}

static int begin_stage(struct glet_sim *sim, struct glet_sim_job *job, size_t k,
                       struct glet_error *err)
{
    const struct glet_workload_stage *stage = &job->app->stages[k];
    double whole = floor(stage->calls);
    size_t calls = (size_t)whole + (glet_random_uniform(&job->random) < stage->calls - whole);
    job->started[k] = true;
    job->over[k] = calls == 0;
    job->pending[k] = calls;
    job->holds += calls;
    for (size_t i = 0; i < calls; i++)
        if (glet_sim_submit(sim,
                            (struct glet_sim_request){.model = stage->model,
                                                      .stream = job->stream,
                                                      .arrival_us = sim->now_us,
                                                      .job = job,
                                                      .stage = k},
                            err) < 0)
            return -1;
    return 0;
}

/* Begins what can begin; a stage without calls may free stages before it in the list. */
static int advance(struct glet_sim *sim, struct glet_sim_job *job, struct glet_error *err)
{
    for (bool again = true; again && !job->failed;) {
        again = false;
        for (size_t k = 0; k < job->app->stage_count && !job->failed; k++)
            if (may_begin(job, k)) {
                if (begin_stage(sim, job, k, err) < 0)
                    return -1;
                again |= job->over[k];
            }
    }
    return 0;
}

int glet_sim_begin_job(struct glet_sim *sim, size_t stream, size_t index, struct glet_error *err)
{
    const struct glet_workload_app *app = sim->sources[stream].app;
    size_t n = app->stage_count;
    struct glet_sim_job *job =
        glet_alloc(1, sizeof *job + n * (sizeof *job->pending + 2 * sizeof *job->over), err);
    if (!job)
        return -1;
    job->app = app;
    job->stream = stream;
    job->arrival_us = sim->now_us;
    job->random = glet_random_split(&sim->sources[stream].arrivals.random, index);
    job->holds = 1;
    job->pending = (size_t *)(job + 1);
    job->started = (bool *)(job->pending + n);
    job->over = job->started + n;
    int result = advance(sim, job, err);
    let_go(sim, job);
    return result;
}

int glet_sim_end_call(struct glet_sim *sim, const struct glet_sim_request *request,
                      enum glet_sim_end end, struct glet_error *err)
{
    struct glet_sim_job *job = request->job;
    int result = 0;
    if (end != GLET_SIM_ANSWERED && !job->failed) {
        job->failed = true;
        glet_sim_record(sim, job->stream, job->arrival_us, end);
    }
    if (--job->pending[request->stage] == 0) {
        job->over[request->stage] = true;
        result = advance(sim, job, err);
    }
    let_go(sim, job);
    return result;
}
