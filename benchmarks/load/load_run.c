/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The next stream due is found by a scan: fleets have tens of models, and a scan of a hundred
 * doubles costs less than the system call that sends the request.
 */
#include "benchmarks/load/load_run.h"

#include "benchmarks/load/load_flight.h"
#include "common/clock.h"

#include <math.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const uint64_t second_us = 1000000;

struct run {
    struct glet_client *client;
    struct glet_flights *flights;
    const struct glet_load_options *options;
    uint64_t start_us;
};

static int send_one(struct run *run, struct glet_stream *stream, struct glet_error *err)
{
    double at_us = stream->arrivals.next_s * 1e6;
    return glet_flights_send(run->flights, stream, stream->arrivals.index,
                             run->start_us + (uint64_t)at_us,
                             at_us >= (double)run->options->warmup_us, err);
}

/* ---- the schedule ---- */

static struct glet_stream *next_due(struct glet_stream *streams, size_t count)
{
    struct glet_stream *due = NULL;
    for (size_t i = 0; i < count; i++)
        if (streams[i].kind != GLET_STREAM_STAGE &&
            (!due || streams[i].arrivals.next_s < due->arrivals.next_s))
            due = &streams[i];
    return due;
}

static bool stopped(const struct run *run)
{
    return run->options->stop && *run->options->stop;
}

/* Works for the open calls until the time comes. */
static int wait_until(struct run *run, uint64_t until_us, struct glet_error *err)
{
    while (glet_clock_us() < until_us && !stopped(run)) {
        if (glet_client_poll(run->client, until_us, run->options->stop, err) < 0)
            return -1;
        if (glet_client_open_calls(run->client) == 0) {
            uint64_t now_us = glet_clock_us(), nap_us = now_us + second_us / 10;
            glet_clock_sleep_until_us(until_us < nap_us ? until_us : nap_us);
        }
    }
    return 0;
}

static void note_peaks(const struct glet_client *client, struct glet_load_result *result)
{
    size_t open_calls = glet_client_open_calls(client);
    size_t connections = glet_client_connections(client);
    if (open_calls > result->max_open_calls)
        result->max_open_calls = open_calls;
    if (connections > result->max_connections)
        result->max_connections = connections;
}

static int play(struct run *run, struct glet_stream *streams, size_t count,
                struct glet_load_result *result, struct glet_error *err)
{
    const struct glet_load_options *options = run->options;
    double end_s = (double)(options->warmup_us + options->duration_us) / 1e6;
    uint64_t report_us = run->start_us + second_us, polled_us = 0;
    struct glet_stream *due = next_due(streams, count);
    for (; due && due->arrivals.next_s < end_s && !stopped(run); due = next_due(streams, count)) {
        uint64_t due_us = run->start_us + (uint64_t)(due->arrivals.next_s * 1e6);
        if (options->progress && due_us > report_us) {
            if (wait_until(run, report_us, err) < 0)
                return -1;
            options->progress(options->user, (double)(report_us - run->start_us) / 1e6,
                              glet_client_open_calls(run->client));
            report_us += second_us;
            continue;
        }
        if (wait_until(run, due_us, err) < 0)
            return -1;
        /* Behind schedule there is no waiting; answers must be read all the same, above all before
           another connection is opened for want of an idle one. */
        uint64_t now_us = glet_clock_us();
        if (now_us - polled_us > 1000 || glet_client_idle(run->client) == 0) {
            polled_us = now_us;
            if (glet_client_poll(run->client, now_us, options->stop, err) < 0)
                return -1;
        }
        if (stopped(run))
            break;
        if (send_one(run, due, err) < 0)
            return -1;
        glet_arrivals_advance(&due->arrivals);
        note_peaks(run->client, result);
    }
    return wait_until(run, run->start_us + (uint64_t)(end_s * 1e6), err);
}

/* The end of the measured window, and of every request sent in it. */
static int finish(struct run *run, struct glet_load_result *result, struct glet_error *err)
{
    const struct glet_load_options *options = run->options;
    double elapsed_us = (double)(glet_clock_us() - run->start_us) - (double)options->warmup_us;
    uint64_t last_us = glet_clock_us() + options->timeout_us + second_us;
    int rc = 0;
    result->measured_s = fmin(fmax(elapsed_us, 0), (double)options->duration_us) / 1e6;
    while (rc == 0 && glet_client_open_calls(run->client) > 0 && glet_clock_us() < last_us)
        rc = glet_client_poll(run->client, last_us, NULL, err);
    if (rc == 0 && options->progress)
        options->progress(options->user, result->measured_s + (double)options->warmup_us / 1e6,
                          glet_client_open_calls(run->client));
    return rc;
}

/*
 * What delays us would be charged to the server, above all where both share the cores: wake up on
 * time, ahead of others where that is permitted. At 15 us per request this takes little from them.
 */
static void be_punctual(int nice)
{
    prctl(PR_SET_TIMERSLACK, 1000); /* ns; the default is 50 us */
    if (setpriority(PRIO_PROCESS, 0, nice) < 0)
        return; /* not permitted: send_lag shows what it costs */
}

int glet_load_run(struct glet_client *client, struct glet_stream *streams, size_t stream_count,
                  const struct glet_load_options *options, struct glet_load_result *result,
                  struct glet_error *err)
{
    struct run run = {.client = client, .options = options};
    run.flights = glet_flights_new(client, options->timeout_us, err);
    if (!run.flights)
        return -1;
    *result = (struct glet_load_result){0};
    be_punctual(options->nice);
    for (size_t i = 0; i < stream_count; i++)
        if (streams[i].kind != GLET_STREAM_STAGE)
            glet_arrivals_start(&streams[i].arrivals);
    uint64_t cpu_us = glet_clock_process_cpu_us();
    run.start_us = glet_clock_us() + second_us / 100;
    int rc = play(&run, streams, stream_count, result, err);
    if (rc == 0)
        rc = finish(&run, result, err);
    glet_client_abort(client);
    result->cpu_s = (double)(glet_clock_process_cpu_us() - cpu_us) / 1e6;
    glet_flights_free(run.flights);
    return rc;
}
