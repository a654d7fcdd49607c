/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What partitions of the CPU device get, beside each other and all of them busy: for each set, the
 * units promised and achieved, and the latency against a share of what the model takes alone on
 * whole cores. Prints a table and one JSON line.
 * usage: device_shares MODEL.onnx NEIGHBOUR.onnx [seconds per set]
 *
 * In sets marked "long" the first partition runs NEIGHBOUR, a model with longer steps.
 */
#include "common/clock.h"
#include "common/json.h"
#include "common/table.h"
#include "profiles/inputs.h"
#include "runtime/device/device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARTITIONS = 4, MAX_RUNS = 200000 };

static const struct {
    const char *name;
    int cores;
    int units[MAX_PARTITIONS];
    bool long_first;
} sets[] = {
    {"one core, 5+3+2", 1, {5, 3, 2}, false}, {"one core, 5+3+2, long", 1, {5, 3, 2}, true},
    {"one core, 9+1", 1, {9, 1}, false},      {"two cores, 6+6+8 (one split)", 2, {6, 6, 8}, false},
    {"two cores, 15+5", 2, {15, 5}, false},   {"two cores, 10+10", 2, {10, 10}, false},
    {"two cores, 20", 2, {20}, false},
};

struct worker {
    struct glet_partition *partition;
    struct glet_model *model;
    int batch;
    uint64_t until_us;
    double *samples_ms;
    size_t runs;
    struct glet_partition_use use;
    struct glet_error err;
    int rc;
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int serve(struct worker *w)
{
    struct glet_executor *executor = NULL;
    int rc = glet_executor_build(w->partition, w->model, w->batch, &executor, &w->err);
    if (rc == 0)
        glet_inputs_fill(executor, w->model, w->batch, 1);
    while (rc == 0 && glet_clock_us() < w->until_us && w->runs < MAX_RUNS) {
        uint64_t start_ns = glet_clock_ns();
        rc = glet_executor_run(executor, w->batch, &w->err);
        w->samples_ms[w->runs++] = (double)(glet_clock_ns() - start_ns) / 1e6;
    }
    glet_partition_achieved(w->partition, &w->use);
    glet_executor_free(executor);
    return rc;
}

static void *work(void *opaque)
{
    struct worker *w = opaque;
    w->samples_ms = calloc(MAX_RUNS, sizeof *w->samples_ms);
    w->rc = w->samples_ms ? glet_partition_enter(w->partition, &w->err) : -1;
    if (w->rc < 0)
        return NULL;
    w->rc = serve(w);
    glet_partition_leave(w->partition);
    qsort(w->samples_ms, w->runs, sizeof *w->samples_ms, ascending);
    return NULL;
}

static void report(struct glet_table *table, struct glet_json *json, const char *set,
                   const struct worker *w)
{
    int units = glet_partition_units(w->partition);
    double p50_ms = w->runs ? w->samples_ms[w->runs / 2] : 0;
    double p99_ms = w->runs ? w->samples_ms[(size_t)((double)w->runs * 0.99)] : 0;
    double mean_ms = 0;
    for (size_t i = 0; i < w->runs; i++)
        mean_ms += w->samples_ms[i] / (double)w->runs;
    glet_table_cell(table, "%s", set);
    glet_table_cell(table, "%s", glet_model_name(w->model));
    glet_table_cell(table, "%d", units);
    glet_table_cell(table, "%.2f", w->use.achieved_units);
    glet_table_cell(table, "%.3f", w->use.achieved_units / units);
    glet_table_cell(table, "%zu", w->runs);
    glet_table_cell(table, "%.2f", mean_ms);
    glet_table_cell(table, "%.2f", p50_ms);
    glet_table_cell(table, "%.2f", p99_ms);
    glet_table_cell(table, "%.2f", w->use.longest_slice_ms);
    glet_json_object(json, NULL);
    glet_json_string(json, "set", set);
    glet_json_int(json, "units", units);
    glet_json_double(json, "achieved_units", w->use.achieved_units);
    glet_json_double(json, "mean_ms", mean_ms);
    glet_json_double(json, "p99_ms", p99_ms);
    glet_json_end(json);
}

static int run_set(size_t s, struct glet_model *models[2], double seconds, struct glet_table *table,
                   struct glet_json *json, struct glet_error *err)
{
    struct glet_device *device = NULL;
    struct glet_partition_set *set = NULL;
    struct worker workers[MAX_PARTITIONS] = {0};
    pthread_t threads[MAX_PARTITIONS];
    size_t count = 0;
    if (glet_device_open(sets[s].cores == 1 ? "cpu:0" : "cpu:0-1", &device, err) < 0)
        return -1;
    while (count < MAX_PARTITIONS && sets[s].units[count] > 0)
        count++;
    int rc = glet_partitions_create(device, sets[s].units, count, &set, err);
    uint64_t until_us = glet_clock_us() + (uint64_t)(seconds * 1e6);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        workers[i] = (struct worker){.partition = glet_partition_at(set, i),
                                     .model = models[i == 0 && sets[s].long_first],
                                     .batch = sets[s].units[i] > 10 ? 8 : 1,
                                     .until_us = until_us};
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
            abort();
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (workers[i].rc < 0) {
            *err = workers[i].err;
            rc = -1;
        } else {
            report(table, json, sets[s].name, &workers[i]);
        }
    }
    for (size_t i = 0; i < count; i++)
        free(workers[i].samples_ms);
    glet_partitions_free(set);
    glet_device_close(device);
    return rc;
}

static int run_all(struct glet_model *models[2], double seconds, struct glet_error *err)
{
    struct glet_table table;
    char *line = NULL;
    size_t length = 0;
    FILE *text = open_memstream(&line, &length);
    if (!text)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    struct glet_json json = glet_json_begin(text, GLET_JSON_COMPACT);
    glet_table_init(&table, "set|model|>units|>achieved|>ratio|>runs|>mean ms|>p50 ms|>p99 ms|"
                            ">slice ms");
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-device-shares/1");
    glet_json_array(&json, "partitions");
    int rc = 0;
    for (size_t s = 0; rc == 0 && s < sizeof sets / sizeof sets[0]; s++)
        rc = run_set(s, models, seconds, &table, &json, err);
    glet_json_end(&json);
    glet_json_end(&json);
    fclose(text);
    if (rc == 0 && glet_table_print(&table, stdout) == 0)
        printf("\n%s\n", line);
    glet_table_fini(&table);
    free(line);
    return rc;
}

int main(int argc, char **argv)
{
    struct glet_error err = {0};
    struct glet_model *models[2] = {NULL, NULL};
    struct glet_model_options options = {.random_weights = true, .seed = 1};
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: device_shares MODEL.onnx NEIGHBOUR.onnx [seconds per set]\n");
        return 2;
    }
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 5;
    int rc = glet_model_load(argv[1], &options, &models[0], &err);
    if (rc == 0)
        rc = glet_model_load(argv[2], &options, &models[1], &err);
    if (rc == 0)
        rc = run_all(models, seconds, &err);
    glet_model_free(models[0]);
    glet_model_free(models[1]);
    if (rc < 0)
        glet_error_print(&err, stderr);
    return rc < 0 ? glet_error_exit_status(err.code) : 0;
}
