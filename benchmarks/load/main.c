/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpulet-load: open-loop load on a KServe v2 server, as a workload file describes it, and the
 * verdict whether its SLOs hold. One thread does everything: schedule, sockets, statistics.
 */
#include "benchmarks/load/load_hdr.h"
#include "benchmarks/load/load_report.h"
#include "benchmarks/load/load_search.h"
#include "benchmarks/load/load_targets.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/options.h"
#include "common/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct load_values {
    struct glet_list targets;
    uint64_t duration_us, warmup_us, timeout_us, wait_us;
    int64_t seed, connections, nice;
    double rate_scale, burstiness;
    const char *trace, *plan, *hdr;
    int arrival, format;
    bool shared_memory, shared_outputs, find_max, quiet;
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
     .help = "Server to load, URL or NODE=URL. Repeat it to spread the requests over several."},
    {.name = "plan",
     .kind = GLET_OPTION_TEXT,
     FIELD(plan),
     .value = "PLAN.yaml",
     .help = "Give each target the share of each model that this plan has for its node, instead of "
             "equal shares. Targets then need their NODE."},
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
    {.name = "nice",
     .kind = GLET_OPTION_INT,
     FIELD(nice),
     .value = "N",
     .fallback = "-10",
     .low = -20,
     .high = 19,
     .help = "Priority of gpulet-load itself, where the system permits it, as nice(1) has it: so "
             "that a server on the same machine does not delay the schedule. Where it is not "
             "permitted, the report's send lag shows what that costs."},
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
    {.name = "trace",
     .kind = GLET_OPTION_TEXT,
     FIELD(trace),
     .value = "FILE.csv",
     .help = "Replay recorded arrivals instead: a column t_s, in seconds, and optionally one named "
             "model. It starts again when it ends."},
    {.name = "shared-memory",
     .kind = GLET_OPTION_FLAG,
     FIELD(shared_memory),
     .help = "Leave the inputs in shared memory that is registered with each server, instead of in "
             "bodies: for servers on this machine that have Triton's system shared memory "
             "extension (gpulet-runtime --shared-memory). Outputs come in bodies."},
    {.name = "shared-outputs",
     .kind = GLET_OPTION_FLAG,
     FIELD(shared_outputs),
     .help = "With --shared-memory: have outputs of 64 KiB and more written there, too."},
    {.name = "find-max",
     .kind = GLET_OPTION_FLAG,
     FIELD(find_max),
     .help = "Find the largest factor on all rates at which every SLO holds, to 5 %, by runs of "
             "--warmup and --duration each. Starts from --rate-scale."},
    {.group = "What to print",
     .name = "format",
     .letter = 'f',
     .kind = GLET_OPTION_CHOICE,
     FIELD(format),
     .choices = format_names,
     .fallback = "table",
     .help = "A table for people or JSON (schema gpulet-load/1)."},
    {.name = "hdr",
     .kind = GLET_OPTION_TEXT,
     FIELD(hdr),
     .value = "PREFIX",
     .help =
         "Also write PREFIX.model.NAME.hgrm for each model and PREFIX.app.NAME.hgrm for each app: "
         "its latencies as HdrHistogram prints them, for its plotters."},
    {.name = "quiet",
     .letter = 'q',
     .kind = GLET_OPTION_FLAG,
     FIELD(quiet),
     .help = "No live progress on the terminal."},
};

static volatile sig_atomic_t interrupted;

/* timeout(1) sends its signal twice: a third one is somebody's who does not want to wait. */
static void interrupt(int signal_number)
{
    static volatile sig_atomic_t times;
    interrupted = 1;
    times = times + 1;
    if (times == 2)
        signal(signal_number, SIG_DFL);
}

struct load {
    const struct load_values *values;
    struct glet_workload *workload;
    struct glet_client *client;
    struct glet_load_model *models;
    struct glet_load_targets targets;
    double trace_begin_s, trace_period_s; /* of --trace */
    struct glet_load_set set;             /* of the run in progress, or of the run to report */
    double shown_scale;                   /* for the progress line */
};

static void close_load(struct load *load)
{
    glet_load_set_fini(&load->set);
    if (load->client && load->models)
        glet_load_unregister(load->client, load->targets.count, load->models,
                             load->workload->model_count);
    glet_client_close(load->client);
    if (load->workload)
        glet_load_models_free(load->models, load->workload->model_count);
    glet_load_targets_fini(&load->targets);
    glet_workload_free(load->workload);
}

static void show_progress(void *user, double elapsed_s, size_t open_calls)
{
    const struct load *load = user;
    uint64_t offered = 0, in_slo = 0;
    for (size_t i = 0; i < load->set.stream_count; i++) {
        const struct glet_stream *stream = &load->set.streams[i];
        if (stream->kind == GLET_STREAM_STAGE)
            continue;
        offered += stream->counts.offered;
        in_slo += stream->counts.in_slo;
    }
    fprintf(stderr, "\r\033[K%.3g x the rates, %.0f s: %ju measured, %.2f %% in SLO, %zu open",
            load->shown_scale, elapsed_s, (uintmax_t)offered,
            offered ? 100 * (double)in_slo / (double)offered : 100.0, open_calls);
}

/* One run at a factor on the rates; its outcome stays in load->set. */
static int run_at(struct load *load, double rate_scale, struct glet_load_result *result,
                  struct glet_error *err)
{
    static const enum glet_process processes[] = {
        [ARRIVAL_POISSON] = GLET_PROCESS_POISSON,
        [ARRIVAL_UNIFORM] = GLET_PROCESS_UNIFORM,
        [ARRIVAL_BURST] = GLET_PROCESS_BURST,
    };
    const struct load_values *values = load->values;
    bool live = !values->quiet && glet_terminal(STDERR_FILENO);
    const struct glet_load_schedule schedule = {
        .seed = (uint64_t)values->seed,
        .rate_scale = rate_scale,
        .override_process = values->arrival != ARRIVAL_WORKLOAD,
        .process = processes[values->arrival],
        .burstiness = values->burstiness,
        .trace_begin_s = load->trace_begin_s,
        .trace_period_s = load->trace_period_s,
    };
    const struct glet_load_options run = {.warmup_us = values->warmup_us,
                                          .duration_us = values->duration_us,
                                          .timeout_us = values->timeout_us,
                                          .nice = (int)values->nice,
                                          .stop = &interrupted,
                                          .progress = live ? show_progress : NULL,
                                          .user = load};
    glet_load_set_fini(&load->set);
    load->shown_scale = rate_scale;
    if (glet_load_set_init(&load->set, load->workload, load->models, &schedule, err) < 0)
        return -1;
    int rc =
        glet_load_run(load->client, load->set.streams, load->set.stream_count, &run, result, err);
    if (live)
        fputs("\r\033[K", stderr);
    return rc;
}

/* Runs trials; leaves the best one's outcome in load->set and its factor in report->rate_scale. */
static int find_max(struct load *load, struct glet_load_report *report,
                    struct glet_load_result *result, struct glet_error *err)
{
    struct glet_search search = glet_search_begin(load->values->rate_scale);
    struct glet_load_set best = {NULL, 0};
    struct glet_load_result best_result = {0};
    while (!search.done && !interrupted) {
        report->rate_scale = search.next;
        if (run_at(load, search.next, result, err) < 0) {
            glet_load_set_fini(&best);
            return -1;
        }
        bool held = glet_load_set_meets_slo(&load->set) && !interrupted;
        if (!load->values->quiet)
            fprintf(stderr, "%.4g x the rates: %s\n", search.next, held ? "held" : "missed");
        if (held) {
            glet_load_set_fini(&best);
            best = load->set;
            best_result = *result;
            load->set = (struct glet_load_set){NULL, 0};
        }
        glet_search_tell(&search, held);
    }
    report->searched = true;
    report->missed_scale = search.missed;
    if (search.held <= 0) /* report the run that missed at the smallest factor */
        return 0;
    glet_load_set_fini(&load->set);
    load->set = best;
    *result = best_result;
    report->rate_scale = search.held;
    return 0;
}

static int write_hdr(const struct load *load, struct glet_error *err)
{
    for (size_t i = 0; i < load->set.stream_count; i++) {
        const struct glet_stream *stream = &load->set.streams[i];
        GLET_CLEANUP(glet_output_discard) struct glet_output output = {NULL, NULL, NULL};
        if (stream->kind == GLET_STREAM_STAGE)
            continue;
        GLET_CLEANUP(glet_cleanup_free)
        char *path = glet_format(err, "%s.%s.%s.hgrm", load->values->hdr,
                                 stream->kind == GLET_STREAM_APP ? "app" : "model", stream->name);
        if (!path || glet_output_open(&output, path, err) < 0 ||
            glet_load_hdr_write(stream->latency_us, output.stream, err) < 0 ||
            glet_output_commit(&output, err) < 0)
            return -1;
    }
    return 0;
}

/* Better now than after the run. */
static int check_hdr(const char *prefix, struct glet_error *err)
{
    if (!prefix)
        return 0;
    GLET_CLEANUP(glet_cleanup_free) char *path = glet_format(err, "%s.hgrm", prefix);
    return path ? glet_output_check(path, err) : -1;
}

static int prepare(struct load *load, const char *workload_path, struct glet_error *err)
{
    const struct load_values *values = load->values;
    if (values->duration_us == 0)
        return glet_error_set(err, GLET_ERR_USAGE, "--duration must be above 0");
    if (values->timeout_us == 0)
        return glet_error_set(err, GLET_ERR_USAGE, "--timeout must be above 0");
    if (values->trace && values->arrival != ARRIVAL_WORKLOAD)
        return glet_error_set(err, GLET_ERR_USAGE, "--trace and --arrival exclude each other");
    if (check_hdr(values->hdr, err) < 0 ||
        glet_workload_load(workload_path, &load->workload, err) < 0 ||
        (values->trace && glet_load_replay(load->workload, values->trace, &load->trace_begin_s,
                                           &load->trace_period_s, err) < 0) ||
        glet_load_targets_init(&load->targets, &values->targets, err) < 0 ||
        glet_load_models_new(load->workload, load->targets.count, &load->models, err) < 0)
        return -1;
    size_t model_count = load->workload->model_count;
    if (values->plan && glet_load_weigh(load->models, model_count, values->plan,
                                        load->targets.nodes, load->targets.count, err) < 0)
        return -1;
    const struct glet_client_options client = {.max_connections = (size_t)values->connections};
    if (glet_client_open(load->targets.urls, load->targets.count, &client, &load->client, err) < 0)
        return -1;
    for (size_t k = 0; values->shared_memory && k < model_count; k++) {
        glet_load_region_name(&load->models[k].region, k);
        load->models[k].region.outputs_too = values->shared_outputs;
    }
    return glet_load_prepare(load->client, load->targets.count, load->models, model_count,
                             values->wait_us, (uint64_t)values->seed, &interrupted, err);
}

static int run_command(const void *values_void, const struct glet_list *arguments,
                       struct glet_error *err)
{
    const struct load_values *values = values_void;
    GLET_CLEANUP(close_load) struct load load = {.values = values};
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL); /* before there is anything to unregister */
    sigaction(SIGTERM, &action, NULL);
    if (values->shared_outputs && !values->shared_memory)
        return glet_error_set(err, GLET_ERR_USAGE, "--shared-outputs goes with --shared-memory");
    if (prepare(&load, arguments->items[0], err) < 0)
        return -1;
    struct glet_load_result result = {0};
    struct glet_load_report report = {.set = &load.set,
                                      .result = &result,
                                      .warmup_s = (double)values->warmup_us / 1e6,
                                      .seed = (uint64_t)values->seed,
                                      .shared_memory = values->shared_memory,
                                      .shared_outputs = values->shared_outputs,
                                      .rate_scale = values->rate_scale};
    int rc = values->find_max ? find_max(&load, &report, &result, err)
                              : run_at(&load, values->rate_scale, &result, err);
    if (rc == 0 && values->hdr)
        rc = write_hdr(&load, err);
    if (rc == 0)
        rc = values->format == FORMAT_JSON ? glet_load_report_json(&report, stdout, err)
                                           : glet_load_report_table(&report, stdout, err);
    if (rc < 0)
        return -1;
    if (interrupted) /* a percentile of part of the window says nothing of the window */
        return glet_error_set(err, GLET_ERR_UNDECIDED, "stopped after %.1f s of %.1f s",
                              result.measured_s, (double)values->duration_us / 1e6);
    return glet_load_set_meets_slo(&load.set) ? 0 : 1;
}

static const struct glet_example examples[] = {
    {"Load a server for a minute at the workload's rates:",
     "gpulet-load workload.yaml --target http://127.0.0.1:8000"},
    {"Does it hold at 1.2 times the rates, with bursts?",
     "gpulet-load workload.yaml --rate-scale 1.2 --arrival burst --duration 2m"},
    {"How much more could it take?",
     "gpulet-load workload.yaml --find-max --duration 20s --warmup 2s"},
    {"Two nodes, each with its share of the plan:",
     "gpulet-load workload.yaml --plan plan.yaml -t node-a=http://a:8000 -t node-b=http://b:8000"},
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
            "request that is refused, late or lost counts against the SLO.\n\nApps are played too: "
            "the stages of each app request follow each other as the workload says, and the "
            "app's latency runs from its intended time to the end of its last stage.\n\nRequests "
            "are KServe v2 binary tensors of random values, made from the metadata that the "
            "server gives for each model.",
        .examples = examples,
        .exit_no = "the percentile of an SLO was missed (with --find-max: at every factor tried)",
        .exit_undecided =
            "it was stopped by a signal; the report is of what was measured until then",
        .values_bytes = sizeof(struct load_values),
        .run = run_command,
    };
    static const struct glet_program program = {
        "gpulet-load", "open-loop load on a KServe v2 server", &command, 1};
    return glet_program_main(&program, argc, argv);
}
