/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile-models MODEL.onnx...: measures models over batch x size into a store.
 *
 * The unit of work is a point; each is one transaction, and what the store holds is not measured
 * again, so that a sweep may be stopped, killed or given a short budget, and continued later.
 * Points come most useful first (sweep.h). One of them, the sentinel, is measured again every now
 * and then: when its latency moves, the machine did.
 */
#include "common/clock.h"
#include "common/memory.h"
#include "common/number.h"
#include "common/progress.h"
#include "profiles/profile_commands.h"
#include "profiles/sweep_fit.h"
#include "profiles/sweep_pairs.h"
#include "profiles/sweep_session.h"
#include "profiles/sweep_utilisation.h"
#include "runtime/device/device_spec.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZES = 64, SENTINEL_EVERY = 16 };

#define SENTINEL_LIMIT_RATIO 1.05

struct values {
    const char *device, *db, *gpu, *random_weights;
    struct glet_list batches, units;
    uint64_t budget_us, max_latency_us;
    int64_t seed;
    int interference;
    bool remeasure, quiet, cold_l2;
};

enum interference {
    INTERFERENCE_AUTO,
    INTERFERENCE_MEASURED,
    INTERFERENCE_COUNTERS,
    INTERFERENCE_ESTIMATE,
    INTERFERENCE_NONE
};
static const char *const interference_choices[] = {"auto",     "measured", "counters",
                                                   "estimate", "none",     NULL};

struct sweep {
    const struct values *values;
    enum interference interference; /* AUTO is resolved */
    struct glet_sweep_session session;
    struct glet_sweep_point *points;
    size_t count;
    uint64_t begin_us;
    size_t measured, known, skipped; /* points */
    size_t pairs, counted;           /* counted: models and batches */
    /* the sentinel */
    const struct glet_sweep_point *sentinel;
    double sentinel_low_ms, sentinel_high_ms;
    size_t since_sentinel;
};

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static int parse_numbers(const struct glet_list *list, const char *option, int high, int *out,
                         struct glet_error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        int64_t value;
        if (!glet_parse_int(list->items[i], &value) || value < 1 || value > high)
            return glet_error_set(err, GLET_ERR_USAGE,
                                  "--%s: '%s' is not a whole number from 1 to %d", option,
                                  list->items[i], high);
        for (size_t k = 0; k < i; k++)
            if (out[k] == value)
                return glet_error_set(err, GLET_ERR_USAGE, "--%s: %d appears twice", option,
                                      (int)value);
        if (i == MAX_SIZES)
            return glet_error_set(err, GLET_ERR_USAGE, "--%s: more than %d values", option,
                                  MAX_SIZES);
        out[i] = (int)value;
    }
    return (int)list->count;
}

static int plan_points(struct sweep *sweep, struct glet_error *err)
{
    int batches[MAX_SIZES], sizes[MAX_SIZES];
    const struct glet_sweep_session *session = &sweep->session;
    int batch_count = parse_numbers(&sweep->values->batches, "batches", 4096, batches, err);
    int size_count =
        parse_numbers(&sweep->values->units, "units", session->info->units, sizes, err);
    if (batch_count < 0 || size_count < 0)
        return -1;
    if (sweep->values->cold_l2 && strcmp(session->info->mechanism, "cpu") == 0)
        return glet_error_set(err, GLET_ERR_USAGE, "--cold-l2: only a GPU's cache can be emptied");
    if (batch_count == 0) {
        batch_count = 6;
        memcpy(batches, glet_sweep_default_batches, sizeof glet_sweep_default_batches);
    }
    if (size_count == 0)
        size_count =
            glet_sweep_default_sizes(session->info->units, session->grain, sizes, MAX_SIZES);
    return glet_sweep_order(session->model_count, batches, batch_count, sizes, size_count,
                            (uint64_t)sweep->values->seed, &sweep->points, &sweep->count, err);
}

/* Kept back for reading counters: about half a second each, at most a tenth of the budget. */
static double counting_ms(const struct sweep *sweep)
{
    if (sweep->session.utilisation != GLET_UTILISATION_COUNTERS)
        return 0;
    return fmin(500 * (double)glet_sweep_uncounted(&sweep->session),
                (double)sweep->values->budget_us / 1e4);
}

/* Time for pairs is kept back, too: about three seconds each, at most a third of the budget. */
static double left_ms(const struct sweep *sweep)
{
    if (sweep->values->budget_us == 0)
        return INFINITY;
    double budget_ms = (double)sweep->values->budget_us / 1e3, reserve_ms = counting_ms(sweep);
    double models = (double)sweep->session.model_count;
    if (sweep->interference == INTERFERENCE_MEASURED)
        reserve_ms +=
            fmin(3000 * models * (models + 1) / 2 * glet_sweep_split_count(&sweep->session),
                 budget_ms / 3);
    return budget_ms - reserve_ms - (double)(glet_clock_us() - sweep->begin_us) / 1e3;
}

static double allowance_ms(const struct sweep *sweep, size_t points_left, double predicted_ms)
{
    double budget_ms = sweep->values->budget_us ? (double)sweep->values->budget_us / 1e3 : INFINITY;
    return glet_sweep_allowance_ms(budget_ms, left_ms(sweep), points_left, predicted_ms);
}

/* Not worth its time: slower than anybody would serve, or too slow for what is left. */
static bool too_slow(const struct sweep *sweep, double predicted_ms, double max_ms)
{
    if (predicted_ms > (double)sweep->values->max_latency_us / 1e3)
        return true;
    return sweep->values->budget_us > 0 && 4 * predicted_ms > 3 * max_ms;
}

static int measure(struct sweep *sweep, const struct glet_sweep_point *point, double max_ms,
                   struct glet_measurement *m, struct glet_error *err)
{
    struct glet_sweep_session *session = &sweep->session;
    struct glet_model *model = session->models[point->model];
    const struct glet_measure_options options = {
        .max_ms = max_ms, .cold_l2 = sweep->values->cold_l2, .stop = &stopped};
    if (glet_measure_point(session->device, model, point->batch, point->units, &options, m, err) <
        0)
        return glet_error_context(err, "%s, batch %d, %d units", glet_model_name(model),
                                  point->batch, point->units);
    return 0;
}

/* What --interference asks for, on this device. */
static void choose_interference(struct sweep *sweep)
{
    static const enum glet_utilisation_source sources[] = {
        [INTERFERENCE_MEASURED] = GLET_UTILISATION_COUNTERS,
        [INTERFERENCE_COUNTERS] = GLET_UTILISATION_COUNTERS,
        [INTERFERENCE_ESTIMATE] = GLET_UTILISATION_ESTIMATE,
        [INTERFERENCE_NONE] = GLET_UTILISATION_NONE,
    };
    bool cpu = strcmp(sweep->session.info->mechanism, "cpu") == 0;
    sweep->interference = (enum interference)sweep->values->interference;
    if (sweep->interference == INTERFERENCE_AUTO)
        sweep->interference = cpu ? INTERFERENCE_NONE : INTERFERENCE_MEASURED;
    /* A CPU has neither counters nor a peak that an estimate could be held against. */
    sweep->session.utilisation = cpu ? GLET_UTILISATION_NONE : sources[sweep->interference];
    if (cpu && sweep->interference != INTERFERENCE_NONE && !sweep->values->quiet)
        fputs("note: a CPU tells no utilisations: its interference model is one constant for all "
              "pairs\n",
              stderr);
}

/* Counts what was measured, and estimates what was not counted; the last use of the device.
   Counters that may not be read are no failure. */
static int find_utilisations(struct sweep *sweep, uint64_t deadline_us, struct glet_error *err)
{
    struct glet_error why;
    const char *source = "estimate";
    size_t estimated;
    if (sweep->session.utilisation == GLET_UTILISATION_NONE)
        return glet_sweep_session_put_meta(&sweep->session, "utilisation_source", "none", err);
    if (sweep->session.utilisation == GLET_UTILISATION_COUNTERS) {
        if (glet_sweep_count(&sweep->session, deadline_us, &stopped, &sweep->counted, &why) == 0)
            source = "counters";
        else
            fprintf(stderr, "counters: %s; utilisations are estimated instead\n", why.message);
    }
    if (stopped)
        return 0;
    if (glet_sweep_estimate(&sweep->session, &estimated, err) < 0)
        return -1;
    if (estimated > 0 && strcmp(source, "counters") == 0)
        source = "counters, some estimated";
    return glet_sweep_session_put_meta(&sweep->session, "utilisation_source", source, err);
}

static int visit_sentinel(struct sweep *sweep, double max_ms, struct glet_error *err)
{
    struct glet_measurement m;
    if (measure(sweep, sweep->sentinel, max_ms, &m, err) < 0)
        return -1;
    sweep->since_sentinel = 0;
    sweep->sentinel_low_ms = fmin(sweep->sentinel_low_ms, m.p50_ms);
    sweep->sentinel_high_ms = fmax(sweep->sentinel_high_ms, m.p50_ms);
    return 0;
}

static int visit(struct sweep *sweep, size_t i, struct glet_error *err)
{
    const struct glet_sweep_point *point = &sweep->points[i];
    double predicted_ms = glet_sweep_session_predict_ms(&sweep->session, point);
    double max_ms = allowance_ms(sweep, sweep->count - i, predicted_ms);
    if (glet_sweep_session_has(&sweep->session, point)) {
        sweep->known++;
        return 0;
    }
    if (too_slow(sweep, predicted_ms, max_ms)) {
        sweep->skipped++;
        return 0;
    }
    struct glet_measurement m;
    if (measure(sweep, point, max_ms, &m, err) < 0 ||
        glet_sweep_session_put(&sweep->session, point, &m, err) < 0)
        return -1;
    sweep->measured++;
    if (!sweep->sentinel) {
        sweep->sentinel = point;
        sweep->sentinel_low_ms = sweep->sentinel_high_ms = m.p50_ms;
    } else if (++sweep->since_sentinel >= SENTINEL_EVERY) {
        return visit_sentinel(sweep, max_ms, err);
    }
    return 0;
}

static int visit_all(struct sweep *sweep, struct glet_error *err)
{
    struct glet_progress progress = glet_progress_begin("profiling");
    int rc = 0;
    size_t i = 0;
    for (; rc == 0 && i < sweep->count && left_ms(sweep) > 0 && !stopped; i++) {
        const struct glet_sweep_point *point = &sweep->points[i];
        char note[128];
        snprintf(note, sizeof note, "%s, batch %d, %d units",
                 glet_model_name(sweep->session.models[point->model]), point->batch, point->units);
        glet_progress_update(&progress, (double)i, (double)sweep->count, note);
        rc = visit(sweep, i, err);
    }
    glet_progress_end(&progress);
    sweep->skipped += rc == 0 ? sweep->count - i : 0;
    return rc;
}

static void summarise(const struct sweep *sweep)
{
    char took[GLET_DOUBLE_CHARS * 2];
    uint64_t seconds = (glet_clock_us() - sweep->begin_us) / 1000000;
    fprintf(stderr, "%s: %zu points measured in %s", sweep->values->db, sweep->measured,
            glet_format_duration(took, seconds * 1000000));
    if (sweep->known)
        fprintf(stderr, ", %zu known before", sweep->known);
    if (sweep->skipped)
        fprintf(stderr, ", %zu left out (too slow, or the budget is spent)", sweep->skipped);
    if (sweep->pairs)
        fprintf(stderr, ", %zu pairs", sweep->pairs);
    if (sweep->counted)
        fprintf(stderr, ", counters read %zu times", sweep->counted);
    fputc('\n', stderr);
    if (sweep->sentinel_high_ms > SENTINEL_LIMIT_RATIO * sweep->sentinel_low_ms)
        fprintf(stderr,
                "warning: the machine's speed changed: the same point took %.4g to %.4g ms\n",
                sweep->sentinel_low_ms, sweep->sentinel_high_ms);
    size_t foreign = 0;
    for (size_t i = 0; i < sweep->session.known->quality_count; i++)
        foreign += strstr(sweep->session.known->quality[i].flags, "foreign") != NULL;
    if (foreign)
        fprintf(stderr, "warning: other programs ran beside %zu of %zu points\n", foreign,
                sweep->session.known->quality_count);
}

static int finish(struct sweep *sweep, struct glet_error *err)
{
    if (sweep->sentinel && sweep->since_sentinel > 0 && left_ms(sweep) > 0 &&
        visit_sentinel(sweep, allowance_ms(sweep, 1, sweep->sentinel_low_ms), err) < 0)
        return -1;
    if (sweep->sentinel) {
        char spread[32];
        snprintf(spread, sizeof spread, "%.3f", sweep->sentinel_high_ms / sweep->sentinel_low_ms);
        if (glet_sweep_session_put_meta(&sweep->session, "sentinel_spread_ratio", spread, err) < 0)
            return -1;
    }
    if (glet_sweep_session_finish(&sweep->session, err) < 0 ||
        glet_sweep_session_refresh(&sweep->session, err) < 0)
        return -1;
    if (sweep->interference == INTERFERENCE_NONE)
        return 0;
    uint64_t deadline_us =
        sweep->values->budget_us ? sweep->begin_us + sweep->values->budget_us : 0;
    uint64_t counting_us = (uint64_t)(1000 * counting_ms(sweep));
    if (sweep->interference == INTERFERENCE_MEASURED &&
        (glet_sweep_pairs(&sweep->session, deadline_us ? deadline_us - counting_us : 0, &stopped,
                          &sweep->pairs, err) < 0 ||
         glet_sweep_session_refresh(&sweep->session, err) < 0))
        return -1;
    if (deadline_us && deadline_us < glet_clock_us() + counting_us) /* the last pair took long */
        deadline_us = glet_clock_us() + counting_us;
    if (find_utilisations(sweep, deadline_us, err) < 0 ||
        glet_sweep_session_refresh(&sweep->session, err) < 0)
        return -1;
    return glet_sweep_fit(&sweep->session, sweep->values->quiet ? NULL : stderr, err);
}

static int sweep_models(struct sweep *sweep, struct glet_error *err)
{
    choose_interference(sweep);
    int rc = visit_all(sweep, err);
    struct glet_error finish_err;
    if (!stopped && rc == 0 && finish(sweep, err) < 0)
        rc = -1;
    else if ((stopped || rc < 0) && glet_sweep_session_finish(&sweep->session, &finish_err) < 0 &&
             rc == 0) {
        *err = finish_err;
        rc = -1;
    }
    if (stopped) {
        glet_error_set(err, GLET_ERR_UNDECIDED, "stopped after %zu points", sweep->measured);
        return glet_error_hint(err, "the same command continues where this one ended");
    }
    if (rc == 0 && !sweep->values->quiet)
        summarise(sweep);
    return rc;
}

static int run(const void *opaque, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *values = opaque;
    struct glet_sweep_session_options options = {.device = values->device,
                                                 .db = values->db,
                                                 .gpu = values->gpu,
                                                 .remeasure = values->remeasure,
                                                 .cold_l2 = values->cold_l2,
                                                 .files = arguments->items,
                                                 .file_count = arguments->count};
    if (values->random_weights) {
        int64_t seed;
        if (!glet_parse_int(values->random_weights, &seed) || seed < 0)
            return glet_error_set(err, GLET_ERR_USAGE,
                                  "--random-weights: '%s' is not a whole number from 0",
                                  values->random_weights);
        options.random_weights = true;
        options.weight_seed = (uint64_t)seed;
    }
    struct sweep sweep = {.values = values, .begin_us = glet_clock_us()};
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (glet_sweep_session_open(&options, &sweep.session, err) < 0)
        return -1;
    int rc = plan_points(&sweep, err);
    if (rc == 0)
        rc = glet_sweep_session_open_store(&options, &sweep.session, err);
    if (rc == 0)
        rc = sweep_models(&sweep, err);
    free(sweep.points);
    glet_sweep_session_close(&sweep.session);
    return rc;
}

#define AT(field) offsetof(struct values, field)

static const struct glet_option options[] = {
    {.group = "What to measure",
     .name = "device",
     .kind = GLET_OPTION_TEXT,
     .offset = AT(device),
     .value = "DEVICE",
     .fallback = "auto",
     .help = GLET_DEVICE_SPEC_HELP},
    {.name = "batches",
     .letter = 'b',
     .kind = GLET_OPTION_LIST,
     .offset = AT(batches),
     .value = "N,...",
     .help = "Batch sizes, most useful first. Without it: 1, 8, 4, 2, 16, 32."},
    {.name = "units",
     .letter = 'u',
     .kind = GLET_OPTION_LIST,
     .offset = AT(units),
     .value = "N,...",
     .help = "Partition sizes in units of the device, most useful first. Without it: a choice that "
             "suits the device. On the CPU ten units are a core."},
    {.name = "random-weights",
     .kind = GLET_OPTION_TEXT,
     .offset = AT(random_weights),
     .value = "SEED",
     .help =
         "Fill weights that a file names but does not hold. Latency depends on a model's shape, "
         "not on its weights."},
    {.name = "interference",
     .kind = GLET_OPTION_CHOICE,
     .offset = AT(interference),
     .fallback = "auto",
     .choices = interference_choices,
     .help = "What models side by side cost each other. measured (auto on a GPU): run every pair "
             "in two partitions, and fit the interference model to how much each slows the other "
             "down. counters: only count what each takes of cache and memory bandwidth, and fit to "
             "the pairs that the store has. estimate: the same from the models' shapes, without "
             "counters. none (auto on a CPU, whose cores share little)."},
    {.name = "cold-l2",
     .kind = GLET_OPTION_FLAG,
     .offset = AT(cold_l2),
     .help = "Empty the GPU's L2 cache before every run. Models that are served side by side find "
             "less of their weights there than one that runs alone again and again: with this, "
             "latencies are on the long side, without it on the short. A store holds one kind."},
    {.group = "How long",
     .name = "budget",
     .kind = GLET_OPTION_DURATION,
     .offset = AT(budget_us),
     .value = "TIME",
     .help = "Stop measuring after this time, such as 10m; what is most useful to a plan is "
             "measured first, and each point gets its part. Without it every point is measured "
             "until its median is known within 1 %, for at most ten seconds."},
    {.name = "max-latency",
     .kind = GLET_OPTION_DURATION,
     .offset = AT(max_latency_us),
     .value = "TIME",
     .fallback = "2s",
     .help = "Leave out points that would be slower than this."},
    {.name = "seed",
     .kind = GLET_OPTION_INT,
     .offset = AT(seed),
     .value = "N",
     .fallback = "1",
     .low = 0,
     .high = 1e15,
     .help = "Of the order of equally useful points."},
    {.group = "Where to keep it",
     .name = "db",
     .kind = GLET_OPTION_TEXT,
     .offset = AT(db),
     .value = "FILE",
     .fallback = "profiles.db",
     .help = "The profile store; made when absent, continued when not."},
    {.name = "gpu",
     .kind = GLET_OPTION_TEXT,
     .offset = AT(gpu),
     .value = "NAME",
     .help = "Name of this device in the profile, for `gpus: type:` of a workload. Without it: the "
             "device's own."},
    {.name = "remeasure",
     .kind = GLET_OPTION_FLAG,
     .offset = AT(remeasure),
     .help = "Drop all points of this device first."},
    {.name = "quiet",
     .letter = 'q',
     .kind = GLET_OPTION_FLAG,
     .offset = AT(quiet),
     .help = "No summary."},
};

static const struct glet_example examples[] = {
    {"Profile two models for at most ten minutes",
     "profile-models --budget 10m resnet50.onnx mobilenet_v2.onnx"},
    {"An architecture without weights, on one core in four sizes",
     "profile-models --device cpu:0 --units 10,5,2,1 --random-weights 1 vgg16.onnx"},
    {NULL, NULL},
};

const struct glet_command glet_command_sweep = {
    .summary = "Measures the latency of models over batch and partition size.",
    .arguments = "MODEL.onnx...",
    .min_arguments = 1,
    .max_arguments = -1,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .description =
        "Runs each model at each batch in a partition of each size, alone on the device, and keeps "
        "the median and the 99th percentile in a store that `plan` reads. Every point is one "
        "transaction: interrupt it, kill it, or give it a budget, and the same command continues.\n"
        "\n"
        "Latencies are those that a server sees: from inputs in the executor's memory to outputs "
        "there, copies to and from a GPU included. The time of its kernels alone is kept beside "
        "them (`profile-models show --format json`).\n"
        "\n"
        "A size that shares a core with others waits for its neighbour now and then: the longest "
        "uninterruptible step of any profiled model is added to its 99th percentile. A model with "
        "steps of more than 20 ms is offered whole cores only.\n"
        "\n"
        "Other programs running meanwhile make latencies too long; points where that shows are "
        "flagged (`profile-models show`), and a warning is printed.",
    .examples = examples,
    .exit_undecided =
        "it was stopped by a signal, or the store holds this device as measured on another machine",
    .values_bytes = sizeof(struct values),
    .run = run,
};
