/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flight is one HTTP call; a job is one app request. Flights come from blocks that are kept, so
 * that sending at full rate allocates nothing. A job counts its open calls and, while it is being
 * worked on, itself: whoever brings the count to zero ends it.
 */
#include "benchmarks/load/load_flight.h"

#include "common/clock.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>

enum { FLIGHTS_PER_BLOCK = 256 };

struct job {
    struct glet_flights *flights;
    struct glet_stream *stream;
    uint64_t intended_us, last_us; /* last_us: end of the latest call */
    struct glet_random random;
    uint64_t started, over;                /* one bit per stage */
    size_t pending[GLET_LOAD_MOST_STAGES]; /* calls of a stage that are open */
    size_t holds;
    bool counted, failed;
};

struct flight {
    struct glet_call call;
    struct glet_flights *flights;
    struct glet_stream *stream;
    struct job *job; /* NULL: a model's own request */
    size_t stage;
    uint64_t intended_us;
    bool counted;
    struct flight *next_free;
};

struct glet_flights {
    struct glet_client *client;
    uint64_t timeout_us;
    struct flight *free;
    struct flight **blocks;
    size_t block_count, block_capacity;
    bool out_of_memory;
};

static void end_stage_call(struct flight *flight);

struct glet_flights *glet_flights_new(struct glet_client *client, uint64_t timeout_us,
                                      struct glet_error *err)
{
    struct glet_flights *flights = glet_alloc(1, sizeof *flights, err);
    if (flights) {
        flights->client = client;
        flights->timeout_us = timeout_us;
    }
    return flights;
}

void glet_flights_free(struct glet_flights *flights)
{
    if (!flights)
        return;
    for (size_t i = 0; i < flights->block_count; i++)
        free(flights->blocks[i]);
    free(flights->blocks);
    free(flights);
}

static struct flight *take_flight(struct glet_flights *flights)
{
    struct glet_error ignored;
    if (!flights->free) {
        if (glet_reserve(&flights->blocks, &flights->block_capacity, flights->block_count + 1,
                         sizeof *flights->blocks, &ignored) < 0)
            return NULL;
        struct flight *block = glet_alloc(FLIGHTS_PER_BLOCK, sizeof *block, &ignored);
        if (!block)
            return NULL;
        flights->blocks[flights->block_count++] = block;
        for (int i = 0; i < FLIGHTS_PER_BLOCK; i++) {
            block[i].next_free = flights->free;
            flights->free = &block[i];
        }
    }
    struct flight *flight = flights->free;
    flights->free = flight->next_free;
    return flight;
}

static void landed(struct glet_call *call)
{
    struct flight *flight = call->user;
    if (flight->counted) {
        uint64_t from_us = flight->intended_us;
        glet_histogram_record(flight->stream->send_lag_us,
                              call->sent_us > from_us ? call->sent_us - from_us : 0);
        glet_stream_record(flight->stream, call->result, call->status,
                           call->done_us > from_us ? call->done_us - from_us : 0);
    }
    if (flight->job)
        end_stage_call(flight);
    flight->next_free = flight->flights->free;
    flight->flights->free = flight;
}

static int send_flight(struct glet_flights *flights, struct glet_stream *stream,
                       uint64_t intended_us, bool counted, struct job *job, size_t stage)
{
    struct flight *flight = take_flight(flights);
    if (!flight) {
        flights->out_of_memory = true;
        return -1;
    }
    struct glet_load_shot shot = glet_load_model_next(stream->model);
    stream->counts.offered += counted;
    *flight = (struct flight){
        .call = {.target = shot.target,
                 .bytes = shot.bytes,
                 .length = shot.length,
                 .timeout_us = flights->timeout_us,
                 .done = landed,
                 .user = flight},
        .flights = flights,
        .stream = stream,
        .job = job,
        .stage = stage,
        .intended_us = intended_us,
        .counted = counted,
    };
    glet_client_begin(flights->client, &flight->call);
    return 0;
}

static void let_go(struct job *job)
{
    if (--job->holds > 0)
        return;
    if (job->counted && !job->failed)
        glet_stream_record(job->stream, GLET_CALL_ANSWERED, 200,
                           job->last_us > job->intended_us ? job->last_us - job->intended_us : 0);
    free(job);
}

static size_t draw_calls(struct job *job, double mean)
{
    double whole = floor(mean);
    return (size_t)whole + (glet_random_uniform(&job->random) < mean - whole);
}

/* Begins a stage; true when it is over at once, for want of calls. */
static bool begin_stage(struct job *job, size_t k)
{
    const struct glet_load_stage *stage = &job->stream->stages[k];
    size_t calls = draw_calls(job, stage->calls);
    job->started |= UINT64_C(1) << k;
    job->pending[k] = calls;
    job->holds += calls;
    for (size_t i = 0; i < calls; i++) {
        if (send_flight(job->flights, stage->stream, job->last_us, job->counted, job, k) < 0) {
            job->failed = true;
            job->holds -= calls - i;
            break;
        }
    }
    return calls == 0;
}

/* Begins what can begin. The caller holds the job. */
static void advance(struct job *job)
{
    for (size_t k = 0; k < job->stream->stage_count && !job->failed; k++) {
        uint64_t bit = UINT64_C(1) << k;
        if ((job->started & bit) || (job->stream->stages[k].after & ~job->over))
            continue;
        if (begin_stage(job, k)) {
            job->over |= bit;
            k = SIZE_MAX; /* which may free stages earlier in the list: start over */
        }
    }
}

static void end_stage_call(struct flight *flight)
{
    struct job *job = flight->job;
    const struct glet_call *call = &flight->call;
    bool fine = call->result == GLET_CALL_ANSWERED && call->status == 200;
    if (!fine && !job->failed) {
        job->failed = true;
        if (job->counted)
            glet_stream_record(job->stream, call->result, call->status, 0);
    }
    if (call->done_us > job->last_us)
        job->last_us = call->done_us;
    if (--job->pending[flight->stage] == 0) {
        job->over |= UINT64_C(1) << flight->stage;
        advance(job);
    }
    let_go(job);
}

static int begin_job(struct glet_flights *flights, struct glet_stream *stream, size_t index,
                     uint64_t intended_us, bool counted, struct glet_error *err)
{
    struct job *job = glet_alloc(1, sizeof *job, err);
    if (!job)
        return -1;
    *job = (struct job){.flights = flights,
                        .stream = stream,
                        .intended_us = intended_us,
                        .last_us = intended_us,
                        .random = glet_random_split(&stream->arrivals.random, index),
                        .holds = 1,
                        .counted = counted};
    stream->counts.offered += counted;
    if (counted) {
        uint64_t now_us = glet_clock_us();
        glet_histogram_record(stream->send_lag_us, now_us > intended_us ? now_us - intended_us : 0);
    }
    advance(job);
    let_go(job);
    return 0;
}

int glet_flights_send(struct glet_flights *flights, struct glet_stream *stream, size_t index,
                      uint64_t intended_us, bool counted, struct glet_error *err)
{
    if (stream->kind == GLET_STREAM_APP) {
        if (begin_job(flights, stream, index, intended_us, counted, err) < 0)
            return -1;
    } else {
        send_flight(flights, stream, intended_us, counted, NULL, 0);
    }
    return flights->out_of_memory ? glet_error_set(err, GLET_ERR_NOMEM, "out of memory") : 0;
}
