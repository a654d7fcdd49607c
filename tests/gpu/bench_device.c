/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One model on one device, for the runs that compare engines: how long it takes, and what it
 * answers to given inputs.
 *
 *     bench_device MODEL.onnx --device cuda:0 --batch 1,8,32 [--units 4] [--seconds 2]
 *                  [--overlap 2] [--steps] [--inputs DIR --outputs DIR]
 *
 * Opens the device once and prints one line of JSON for each batch. Inputs and outputs are files of
 * raw row-major values, DIR/0.bin and so on in the model's order.
 */
#include "common/clock.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/number.h"
#include "common/options.h"
#include "profiles/inputs.h"
#include "profiles/measure.h"
#include "runtime/device/device.h"
#include "tests/gpu/bench_overlap.h"

#include <errno.h>
#include <stdlib.h>

enum { MOST_BATCH = 4096 };

struct values {
    const char *device, *inputs, *outputs;
    struct glet_list batches;
    int64_t units, seed;
    double seconds, overlap_s;
    bool counters, cold_l2, steps;
};

struct bench {
    const struct values *values;
    struct glet_device *device;
    struct glet_model *model;
    int units, batch;
};

static void close_bench(struct bench *bench)
{
    if (bench->device && bench->model)
        glet_device_forget_model(bench->device, bench->model);
    glet_model_free(bench->model);
    glet_device_close(bench->device);
}

/* Reads or writes one file of a tensor. */
static int transfer(const char *folder, size_t i, bool write, void *data, size_t bytes,
                    struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_free) char *path = glet_format(err, "%s/%zu.bin", folder, i);
    if (!path)
        return -1;
    GLET_CLEANUP(glet_cleanup_fclose) FILE *file = fopen(path, write ? "we" : "re");
    if (!file)
        return glet_error_errno(err, errno, "%s", path);
    size_t done = write ? fwrite(data, 1, bytes, file) : fread(data, 1, bytes, file);
    if (done != bytes || (write && fflush(file) != 0))
        return glet_error_set(err, GLET_ERR_INPUT, "%s: %zu of %zu bytes", path, done, bytes);
    return 0;
}

static int answer(struct bench *bench, struct glet_partition *partition,
                  struct glet_executor *executor, struct glet_json *json, struct glet_error *err)
{
    (void)partition;
    (void)json;
    const struct values *v = bench->values;
    size_t rows = (size_t)bench->batch;
    for (size_t i = 0; i < glet_model_input_count(bench->model); i++)
        if (transfer(v->inputs, i, false, glet_executor_input(executor, i),
                     glet_model_input(bench->model, i)->bytes * rows, err) < 0)
            return -1;
    if (glet_executor_run(executor, bench->batch, err) < 0)
        return -1;
    for (size_t i = 0; i < glet_model_output_count(bench->model); i++)
        if (transfer(v->outputs, i, true, (void *)(uintptr_t)glet_executor_output(executor, i),
                     glet_model_output(bench->model, i)->bytes * rows, err) < 0)
            return -1;
    return 0;
}

static void write_side(struct glet_json *json, const char *name,
                       const struct bench_overlap_side *side, double batch)
{
    glet_json_object(json, name);
    glet_json_double(json, "rows_per_s", (double)side->batches * batch / side->seconds);
    glet_json_double(json, "idle_ratio", 1 - side->busy_s / side->seconds);
    glet_json_int(json, "batches", (int64_t)side->batches);
    glet_json_int(json, "wrong", (int64_t)side->wrong);
    glet_json_end(json);
}

static int overlap(struct bench *bench, struct glet_partition *partition,
                   struct glet_executor *executor, struct glet_json *json, struct glet_error *err)
{
    struct bench_overlap o;
    if (bench_overlap(partition, executor, bench->model, bench->values->overlap_s, &o, err) < 0)
        return -1;
    double input_bytes = 0, batch = bench->batch;
    for (size_t i = 0; i < glet_model_input_count(bench->model); i++)
        input_bytes += (double)glet_model_input(bench->model, i)->bytes * batch;
    glet_json_double(json, "input_mib", input_bytes / (1 << 20));
    glet_json_int(json, "depth", glet_executor_depth(executor));
    write_side(json, "one_by_one", &o.one_by_one, batch);
    write_side(json, "overlapped", &o.overlapped, batch);
    return 0;
}

static int with_executor(struct bench *bench, struct glet_json *json,
                         int (*use)(struct bench *bench, struct glet_partition *partition,
                                    struct glet_executor *executor, struct glet_json *json,
                                    struct glet_error *err),
                         struct glet_error *err)
{
    struct glet_partition_set *set = NULL;
    struct glet_executor *executor = NULL;
    if (glet_partitions_create(bench->device, &bench->units, 1, &set, err) < 0)
        return -1;
    struct glet_partition *partition = glet_partition_at(set, 0);
    int rc = glet_partition_enter(partition, err);
    if (rc == 0) {
        rc = glet_executor_build(partition, bench->model, bench->batch, &executor, err);
        if (rc == 0)
            rc = use(bench, partition, executor, json, err);
        glet_executor_free(executor);
        glet_partition_leave(partition);
    }
    glet_partitions_free(set);
    return rc;
}

static int time_it(struct bench *bench, struct glet_json *json, struct glet_error *err)
{
    static const volatile sig_atomic_t never;
    const struct glet_measure_options options = {
        .max_ms = bench->values->seconds * 1000, .cold_l2 = bench->values->cold_l2, .stop = &never};
    struct glet_measurement m;
    if (glet_measure_point(bench->device, bench->model, bench->batch, bench->units, &options, &m,
                           err) < 0)
        return -1;
    glet_json_double(json, "build_ms", m.build_ms);
    glet_json_double(json, "samples", m.samples);
    glet_json_double(json, "served_p50_ms", m.p50_ms);
    glet_json_double(json, "served_p99_ms", m.p99_ms);
    glet_json_double(json, "device_p50_ms", m.device_p50_ms);
    glet_json_double(json, "device_p99_ms", m.device_p99_ms);
    glet_json_double(json, "ci_ratio", m.ci_ratio);
    glet_json_double(json, "clock_mhz", m.clock_mhz);
    glet_json_double(json, "achieved_units", m.achieved_units);
    glet_json_double(json, "activation_mib", m.activation_mib);
    glet_json_string(json, "flags", m.flags);
    return 0;
}

static void write_step(struct glet_json *json, const struct glet_step_time *step)
{
    glet_json_object(json, NULL);
    glet_json_string(json, "node", step->node);
    glet_json_string(json, "kind", step->kind);
    glet_json_string(json, "way", step->way);
    glet_json_string(json, "shape", step->shape);
    glet_json_double(json, "ms", step->ms);
    glet_json_double(json, "mb", step->bytes / 1e6);
    glet_json_double(json, "gflop", step->flop / 1e9);
    glet_json_double(json, "gb_per_s", step->bytes / 1e6 / step->ms);
    glet_json_double(json, "tflop_per_s", step->flop / 1e9 / step->ms);
    glet_json_end(json);
}

/* Each step alone, and what they are together. */
static int steps(struct bench *bench, struct glet_partition *partition,
                 struct glet_executor *executor, struct glet_json *json, struct glet_error *err)
{
    enum { RUNS = 20 };
    struct glet_step_time *times;
    double whole_ms[RUNS], sum_ms = 0;
    size_t count;
    (void)partition;
    glet_inputs_fill(executor, bench->model, bench->batch, 1);
    if (glet_executor_run(executor, bench->batch, err) < 0 ||
        glet_executor_replay(executor, RUNS, false, whole_ms, err) < 0 ||
        glet_executor_steps(executor, &times, &count, err) < 0)
        return -1;
    for (int i = 1; i < RUNS; i++)
        whole_ms[0] = whole_ms[i] < whole_ms[0] ? whole_ms[i] : whole_ms[0];
    glet_json_array(json, "steps");
    for (size_t i = 0; i < count; i++) {
        write_step(json, &times[i]);
        sum_ms += times[i].ms;
    }
    glet_json_end(json);
    glet_json_double(json, "sum_ms", sum_ms);
    glet_json_double(json, "whole_ms", whole_ms[0]);
    free(times);
    return 0;
}

/* Counters that may not be read are no failure. */
static int count(struct bench *bench, struct glet_partition *partition,
                 struct glet_executor *executor, struct glet_json *json, struct glet_error *err)
{
    struct glet_utilisation utilisation;
    struct glet_error why;
    (void)partition;
    glet_inputs_fill(executor, bench->model, bench->batch, 1);
    if (glet_executor_run(executor, bench->batch, err) < 0)
        return -1;
    if (glet_executor_utilisation(executor, &utilisation, &why) < 0) {
        glet_json_string(json, "uncounted", why.message);
        return 0;
    }
    glet_json_double(json, "l2_ratio", utilisation.l2_ratio);
    glet_json_double(json, "dram_ratio", utilisation.dram_ratio);
    return 0;
}

static void describe(struct bench *bench, struct glet_json *json)
{
    const struct glet_device_info *info = glet_device_info(bench->device);
    size_t count;
    const struct glet_device_fact *facts = glet_device_facts(bench->device, &count);
    glet_json_string(json, "model", glet_model_name(bench->model));
    glet_json_string(json, "gpu", info->gpu);
    glet_json_string(json, "mechanism", info->mechanism);
    glet_json_int(json, "sm_count", info->sm_count);
    glet_json_int(json, "device_units", info->units);
    glet_json_int(json, "max_gpulets", info->max_gpulets);
    glet_json_int(json, "units", bench->units);
    glet_json_int(json, "batch", bench->batch);
    glet_json_object(json, "facts");
    for (size_t i = 0; i < count; i++)
        glet_json_string(json, facts[i].key, facts[i].value);
    glet_json_end(json);
}

static int run_batch(struct bench *bench, struct glet_error *err)
{
    const struct values *v = bench->values;
    struct glet_json json = glet_json_begin(stdout, GLET_JSON_COMPACT);
    glet_json_object(&json, NULL);
    describe(bench, &json);
    int rc = v->inputs ? with_executor(bench, &json, answer, err) : 0;
    if (rc == 0 && v->overlap_s > 0)
        rc = with_executor(bench, &json, overlap, err);
    if (rc == 0 && v->seconds > 0)
        rc = time_it(bench, &json, err);
    if (rc == 0 && v->steps)
        rc = with_executor(bench, &json, steps, err);
    if (rc == 0 && v->counters) /* the last: no partitions are made after it */
        rc = with_executor(bench, &json, count, err);
    glet_json_end(&json);
    fputc('\n', stdout);
    fflush(stdout); /* who waits for the next batch, or ends it, has this one */
    return rc;
}

static int run(const void *opaque, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *v = opaque;
    GLET_CLEANUP(close_bench) struct bench bench = {.values = v};
    const struct glet_model_options options = {.random_weights = true, .seed = (uint64_t)v->seed};
    if (!v->inputs != !v->outputs)
        return glet_error_set(err, GLET_ERR_USAGE, "--inputs and --outputs go together");
    if (v->counters && v->batches.count > 1)
        return glet_error_set(err, GLET_ERR_USAGE, "--counters takes one --batch");
    if (glet_model_load(arguments->items[0], &options, &bench.model, err) < 0 ||
        glet_device_open(v->device, &bench.device, err) < 0)
        return -1;
    bench.units = v->units ? (int)v->units : glet_device_info(bench.device)->units;
    for (size_t i = 0; i < v->batches.count; i++) {
        int64_t batch;
        if (!glet_parse_int(v->batches.items[i], &batch) || batch < 1 || batch > MOST_BATCH)
            return glet_error_set(err, GLET_ERR_USAGE,
                                  "--batch: '%s' is not a whole number from 1 to %d",
                                  v->batches.items[i], MOST_BATCH);
        bench.batch = (int)batch;
        if (run_batch(&bench, err) < 0)
            return -1;
    }
    return 0;
}

#define AT(field) offsetof(struct values, field)

static const struct glet_option options[] = {
    {.name = "device",
     .kind = GLET_OPTION_TEXT,
     .offset = AT(device),
     .value = "DEVICE",
     .fallback = "auto",
     .help = "Where to run."},
    {.name = "units",
     .kind = GLET_OPTION_INT,
     .offset = AT(units),
     .value = "N",
     .fallback = "0",
     .low = 0,
     .high = 1e6,
     .help = "Size of the partition; 0: the whole device."},
    {.name = "batch",
     .kind = GLET_OPTION_LIST,
     .offset = AT(batches),
     .value = "N,...",
     .fallback = "1",
     .help = "Rows of a run; several are done one after the other."},
    {.name = "random-weights",
     .kind = GLET_OPTION_INT,
     .offset = AT(seed),
     .value = "SEED",
     .fallback = "1",
     .low = 0,
     .high = 1e15,
     .help = "Of the weights that the file does not hold."},
    {.name = "seconds",
     .kind = GLET_OPTION_DOUBLE,
     .offset = AT(seconds),
     .value = "S",
     .fallback = "0",
     .low = 0,
     .high = 600,
     .help = "Measure the latency for at most this long; 0: do not."},
    {.name = "overlap",
     .kind = GLET_OPTION_DOUBLE,
     .offset = AT(overlap_s),
     .value = "S",
     .fallback = "0",
     .low = 0,
     .high = 600,
     .help = "Run batches for so long one by one and as many at once as the device takes; 0: do "
             "not."},
    {.name = "steps",
     .kind = GLET_OPTION_FLAG,
     .offset = AT(steps),
     .help = "Time every step of a batch alone, beside the whole."},
    {.name = "counters",
     .kind = GLET_OPTION_FLAG,
     .offset = AT(counters),
     .help = "Read the device's counters, too."},
    {.name = "cold-l2",
     .kind = GLET_OPTION_FLAG,
     .offset = AT(cold_l2),
     .help = "Empty the device's cache before each run."},
    {.name = "inputs",
     .kind = GLET_OPTION_TEXT,
     .offset = AT(inputs),
     .value = "DIR",
     .help = "Run once on the inputs there."},
    {.name = "outputs",
     .kind = GLET_OPTION_TEXT,
     .offset = AT(outputs),
     .value = "DIR",
     .help = "Where the outputs of that run go."},
};

int main(int argc, char **argv)
{
    static const struct glet_command command = {
        .summary = "Runs one model on one device, and prints JSON about it.",
        .arguments = "MODEL.onnx",
        .min_arguments = 1,
        .max_arguments = 1,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .values_bytes = sizeof(struct values),
        .run = run,
    };
    static const struct glet_program program = {"bench_device", "one model on one device", &command,
                                                1};
    return glet_program_main(&program, argc, argv);
}
