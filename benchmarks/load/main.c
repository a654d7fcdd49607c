/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpulet-load: open-loop load on a KServe v2 server, as a workload file describes it, and the
 * verdict whether its SLOs hold. One thread does everything: schedule, sockets, statistics.
 */
#include "benchmarks/load/load_report.h"
#include "common/memory.h"
#include "common/options.h"
#include "common/terminal.h"
#include "common/workload.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct load_values {
    struct glet_list targets;
    uint64_t duration_us, warmup_us, timeout_us, wait_us;
    int64_t seed, connections;
    double rate_scale, burstiness;
    int arrival, format;
    bool quiet;
};

enum { ARRIVAL_WORKLOAD, ARRIVAL_POISSON, ARRIVAL_UNIFORM, ARRIVAL_BURST };
enum { FORMAT_TABLE, FORMAT_JSON };
static const char *const arrival_names[] = {"workload", "poisson", "uniform", "burst", NULL};
static const char *const format_names[] = {"table", "json", NULL};

#define FIELD(name) .offset = offsetof(struct load_values, name)
static const struct glet_option options[] = {
    {.group = "Where to",
     .name = "target",
     .letter = 't',
     .kind = GLET_OPTION_LIST,
     FIELD(targets),
     .value = "URL",
     .fallback = "http://127.0.0.1:8000",
     .help = "Server to load. Repeat it to spread the requests over several in turn."},
    {.name = "wait",
     .kind = GLET_OPTION_DURATION,
     FIELD(wait_us),
     .value = "TIME",
     .fallback = "30s",
     .help = "How long to wait for each server to become ready."},
    {.name = "connections",
     .kind = GLET_OPTION_INT,
     FIELD(connections),
     .value = "N",
     .fallback = "4096",
     .low = 1,
     .high = 60000,
     .help = "Most connections per server. They are opened as needed, so that slow answers never "
             "delay the schedule."},
    {.name = "timeout",
     .kind = GLET_OPTION_DURATION,
     FIELD(timeout_us),
     .value = "TIME",
     .fallback = "10s",
     .help = "Give a request up after this long."},
    {.group = "What to send",
     .name = "duration",
     .letter = 'd',
     .kind = GLET_OPTION_DURATION,
     FIELD(duration_us),
     .value = "TIME",
     .fallback = "60s",
     .help = "Length of the measured window."},
    {.name = "warmup",
     .kind = GLET_OPTION_DURATION,
     FIELD(warmup_us),
     .value = "TIME",
     .fallback = "5s",
     .help = "Load before it that is sent but not counted."},
    {.name = "seed",
     .kind = GLET_OPTION_INT,
     FIELD(seed),
     .value = "N",
     .fallback = "1",
     .low = 0,
     .high = 9e15,
     .help = "Of arrival times and data: the same seed sends the same requests at the same times."},
    {.name = "rate-scale",
     .kind = GLET_OPTION_DOUBLE,
     FIELD(rate_scale),
     .value = "FACTOR",
     .fallback = "1",
     .low = 1e-6,
     .high = 1e6,
     .help = "Multiplies every rate of the workload (a trace is played that much faster)."},
    {.name = "arrival",
     .kind = GLET_OPTION_CHOICE,
     FIELD(arrival),
     .choices = arrival_names,
     .fallback = "workload",
     .help = "Arrival process of every model; `workload` leaves it to the file."},
    {.name = "burstiness",
     .kind = GLET_OPTION_DOUBLE,
     FIELD(burstiness),
     .value = "CV",
     .fallback = "3",
     .low = 0.01,
     .high = 100,
     .help =
         "For --arrival burst: standard deviation of the gaps over their mean (Poisson has 1)."},
    {.group = "What to print",
     .name = "format",
     .letter = 'f',
     .kind = GLET_OPTION_CHOICE,
     FIELD(format),
     .choices = format_names,
     .fallback = "table",
     .help = "A table for people or JSON (schema gpulet-load/1)."},
    {.name = "quiet",
     .letter = 'q',
     .kind = GLET_OPTION_FLAG,
     FIELD(quiet),
     .help = "No live progress on the terminal."},
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

struct load {
    struct glet_workload *workload;
    struct glet_client *client;
    struct glet_stream *streams;
    size_t stream_count;
};

static void close_load(struct load *load)
{
    glet_client_close(load->client);
    for (size_t i = 0; i < load->stream_count; i++) {
        struct glet_stream *stream = &load->streams[i];
        for (size_t t = 0; stream->requests && t < stream->request_count; t++)
            glet_infer_request_fini(&stream->requests[t]);
        free(stream->requests);
        glet_histogram_free(stream->latency_us);
        glet_histogram_free(stream->send_lag_us);
    }
    free(load->streams);
    glet_workload_free(load->workload);
}

static enum glet_process process_of(const struct glet_workload_model *model, int arrival)
{
    switch (arrival) {
    case ARRIVAL_POISSON:
        return GLET_PROCESS_POISSON;
    case ARRIVAL_UNIFORM:
        return GLET_PROCESS_UNIFORM;
    case ARRIVAL_BURST:
        return GLET_PROCESS_BURST;
    default:
        break;
    }
    if (model->arrival == GLET_ARRIVAL_TRACE)
        return GLET_PROCESS_TRACE;
    return model->arrival == GLET_ARRIVAL_UNIFORM ? GLET_PROCESS_UNIFORM : GLET_PROCESS_POISSON;
}

static int make_stream(struct glet_stream *stream, const struct glet_workload_model *model,
                       const struct load_values *values, struct glet_random random,
                       struct glet_error *err)
{
    *stream = (struct glet_stream){
        .name = model->name,
        .slo_ms = model->slo_ms,
        .percentile = model->percentile,
        .arrivals = {.process = process_of(model, values->arrival),
                     .rate_rps = model->rate_rps * values->rate_scale,
                     .burstiness = values->burstiness,
                     .times_s = model->trace_s,
                     .time_count = model->trace_count,
                     .time_scale = 1 / values->rate_scale,
                     .random = random},
    };
    stream->latency_us = glet_histogram_new(err);
    stream->send_lag_us = stream->latency_us ? glet_histogram_new(err) : NULL;
    return stream->send_lag_us ? 0 : -1;
}

static int make_streams(struct load *load, const struct load_values *values, struct glet_error *err)
{
    const struct glet_workload *workload = load->workload;
    load->streams = glet_alloc(workload->model_count, sizeof *load->streams, err);
    if (!load->streams)
        return -1;
    struct glet_random random = glet_random_seeded((uint64_t)values->seed);
    for (size_t i = 0; i < workload->model_count; i++) {
        const struct glet_workload_model *model = &workload->models[i];
        if (model->rate_rps <= 0 && model->arrival != GLET_ARRIVAL_TRACE)
            continue;
        struct glet_stream *stream = &load->streams[load->stream_count++];
        if (make_stream(stream, model, values, glet_random_split(&random, i), err) < 0)
            return -1;
    }
    if (load->stream_count == 0)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: no model has a rate", workload->path);
    return 0;
}

static void show_progress(void *user, double elapsed_s, size_t open_calls)
{
    const struct load *load = user;
    uint64_t offered = 0, in_slo = 0;
    for (size_t i = 0; i < load->stream_count; i++) {
        offered += load->streams[i].counts.offered;
        in_slo += load->streams[i].counts.in_slo;
    }
    fprintf(stderr, "\r\033[K%.0f s: %ju measured, %.2f %% in SLO, %zu open", elapsed_s,
            (uintmax_t)offered, offered ? 100 * (double)in_slo / (double)offered : 100.0,
            open_calls);
}

static int run_load(struct load *load, const struct load_values *values,
                    struct glet_load_result *result, struct glet_error *err)
{
    bool live = !values->quiet && glet_terminal(STDERR_FILENO);
    const struct glet_load_options run = {.warmup_us = values->warmup_us,
                                          .duration_us = values->duration_us,
                                          .timeout_us = values->timeout_us,
                                          .stop = &interrupted,
                                          .progress = live ? show_progress : NULL,
                                          .user = load};
    int rc = glet_load_run(load->client, load->streams, load->stream_count, &run, result, err);
    if (live)
        fputs("\r\033[K", stderr);
    return rc;
}

static int run_command(const void *values_void, const struct glet_list *arguments,
                       struct glet_error *err)
{
    const struct load_values *values = values_void;
    GLET_CLEANUP(close_load) struct load load = {0};
    if (values->duration_us == 0)
        return glet_error_set(err, GLET_ERR_USAGE, "--duration must be above 0");
    if (glet_workload_load(arguments->items[0], &load.workload, err) < 0 ||
        make_streams(&load, values, err) < 0)
        return -1;
    const struct glet_client_options client = {.max_connections = (size_t)values->connections};
    if (glet_client_open(values->targets.items, values->targets.count, &client, &load.client, err) <
        0)
        return -1;
    if (glet_load_prepare(load.client, values->targets.count, load.streams, load.stream_count,
                          values->wait_us, (uint64_t)values->seed, err) < 0)
        return -1;
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct glet_load_result result;
    if (run_load(&load, values, &result, err) < 0)
        return -1;
    const struct glet_load_report report = {.streams = load.streams,
                                            .stream_count = load.stream_count,
                                            .result = &result,
                                            .warmup_s = (double)values->warmup_us / 1e6,
                                            .seed = (uint64_t)values->seed};
    int rc = values->format == FORMAT_JSON ? glet_load_report_json(&report, stdout, err)
                                           : glet_load_report_table(&report, stdout, err);
    if (rc < 0)
        return -1;
    return glet_load_report_meets_slo(&report) ? 0 : 1;
}

static const struct glet_example examples[] = {
    {"Load a server for a minute at the workload's rates:",
     "gpulet-load workload.yaml --target http://127.0.0.1:8000"},
    {"Does it hold at 1.2 times the rates, with bursts?",
     "gpulet-load workload.yaml --rate-scale 1.2 --arrival burst --duration 2m"},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    static const struct glet_command command = {
        .summary = "Loads a KServe v2 server as a workload file says, and tells whether its SLOs "
                   "hold.",
        .arguments = "WORKLOAD.yaml",
        .min_arguments = 1,
        .max_arguments = 1,
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .description =
            "The load is open loop: requests are sent at times that depend on the seed alone, "
            "however slow the answers are, and each latency counts from the intended time. A "
            "request that is refused, late or lost counts against the SLO.",
        .examples = examples,
        .exit_no = "the percentile of an SLO was missed",
        .values_bytes = sizeof(struct load_values),
        .run = run_command,
    };
    static const struct glet_program program = {
        "gpulet-load", "open-loop load on a KServe v2 server", &command, 1};
    return glet_program_main(&program, argc, argv);
}
