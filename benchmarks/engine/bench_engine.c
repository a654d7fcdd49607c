/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_engine MODEL.onnx --batch B --threads T [--runs N] [--steps] [--interactive]
 *
 * Latency of the CPU engine: median wall and CPU time of N runs. --steps lists the time of every
 * step, slowest first. --interactive runs once per line read and answers "wall_ms cpu_ms", so that
 * another engine can be measured in turn with it (compare.py). Weights that the file does not hold
 * are random.
 */
#include "common/error.h"
#include "runtime/device/cpu/net/cpu_net.h"
#include "runtime/engine/model.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double clock_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

struct bench {
    struct glet_model *model;
    struct glet_cpu_packs *packs;
    struct glet_cpu_net *net;
    int batch, threads, runs;
    bool steps, interactive;
};

/* Random inputs: uniform floats; integers are small, so that they are valid indices and masks. */
static void *random_input(const struct glet_model_io *io, int batch)
{
    size_t size_bytes = io->bytes * (size_t)batch;
    char *data = aligned_alloc(64, (size_bytes + 63) / 64 * 64 + 64);
    if (!data)
        return NULL;
    memset(data, 0, size_bytes);
    size_t element = glet_dtype_size(io->dtype);
    for (size_t i = 0; i < size_bytes / element; i++) {
        float value = (float)rand() / (float)RAND_MAX * 2.0F - 1.0F;
        if (io->dtype == GLET_FLOAT32)
            memcpy(data + i * element, &value, element);
        else
            data[i * element] = 1;
    }
    return data;
}

static int bind_memory(struct bench *b, struct glet_error *err)
{
    for (size_t i = 0; i < glet_model_input_count(b->model); i++) {
        void *data = random_input(glet_model_input(b->model, i), b->batch);
        if (!data)
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        glet_cpu_net_bind_input(b->net, i, data);
    }
    for (size_t i = 0; i < glet_model_output_count(b->model); i++) {
        size_t size_bytes = glet_model_output(b->model, i)->bytes * (size_t)b->batch;
        void *data = aligned_alloc(64, (size_bytes + 63) / 64 * 64 + 64);
        if (!data)
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        glet_cpu_net_bind_output(b->net, i, data);
    }
    return 0;
}

static int once(struct bench *b, double *wall_ms, double *cpu_ms, struct glet_error *err)
{
    double wall = clock_ms(CLOCK_MONOTONIC), cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    if (glet_cpu_net_run(b->net, b->batch, err) < 0)
        return -1;
    *wall_ms = clock_ms(CLOCK_MONOTONIC) - wall;
    *cpu_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    return 0;
}

static int interactive(struct bench *b, struct glet_error *err)
{
    char line[64];
    double wall_ms, cpu_ms;
    while (fgets(line, sizeof line, stdin)) {
        if (once(b, &wall_ms, &cpu_ms, err) < 0)
            return -1;
        printf("%.6f %.6f\n", wall_ms, cpu_ms);
        fflush(stdout);
    }
    return 0;
}

struct step_time {
    double ms;
    size_t step;
};

static int slower(const void *a, const void *b)
{
    const struct step_time *x = a, *y = b;
    return x->ms > y->ms ? -1 : x->ms < y->ms;
}

static int list_steps(struct bench *b, struct glet_error *err)
{
    size_t count = glet_cpu_net_step_count(b->net, b->batch);
    struct step_time *times = calloc(count, sizeof *times);
    double total_ms = 0.0, sum_ms = 0.0;
    int rc = times ? 0 : glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < count; i++)
        times[i] = (struct step_time){INFINITY, i};
    for (int run = 0; rc == 0 && run < b->runs; run++)
        for (size_t i = 0; rc == 0 && i < count; i++) {
            double start_ms = clock_ms(CLOCK_MONOTONIC);
            rc = glet_cpu_net_step(b->net, i, b->batch, err);
            times[i].ms = fmin(times[i].ms, clock_ms(CLOCK_MONOTONIC) - start_ms);
        }
    for (size_t i = 0; rc == 0 && i < count; i++)
        total_ms += times[i].ms;
    if (rc == 0)
        qsort(times, count, sizeof *times, slower);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        sum_ms += times[i].ms;
        printf("%8.3f ms %5.1f %%  step %3zu %s\n", times[i].ms, 100.0 * sum_ms / total_ms,
               times[i].step, glet_cpu_net_step_name(b->net, times[i].step, b->batch));
    }
    printf("%8.3f ms in %zu steps\n", total_ms, count);
    free(times);
    return rc;
}

static int measure(struct bench *b, struct glet_error *err)
{
    double *wall_ms = calloc((size_t)b->runs, sizeof *wall_ms);
    double *cpu_ms = calloc((size_t)b->runs, sizeof *cpu_ms);
    int rc = wall_ms && cpu_ms ? 0 : glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    for (int i = 0; rc == 0 && i < b->runs; i++)
        rc = once(b, &wall_ms[i], &cpu_ms[i], err);
    if (rc == 0)
        printf("%s batch=%d threads=%d runs=%d median_ms=%.3f cpu_ms=%.3f min_ms=%.3f "
               "longest_step_ms=%.3f activation_mib=%.1f packed_mib=%.1f\n",
               glet_model_name(b->model), b->batch, b->threads, b->runs, median(wall_ms, b->runs),
               median(cpu_ms, b->runs), wall_ms[0], glet_cpu_net_longest_step_ms(b->net),
               (double)glet_cpu_net_activation_bytes(b->net) / 1048576.0,
               (double)glet_cpu_packs_bytes(b->packs) / 1048576.0);
    free(wall_ms);
    free(cpu_ms);
    return rc;
}

static int run(struct bench *b, const char *path, struct glet_error *err)
{
    struct glet_model_options options = {.random_weights = true, .seed = 1};
    double start_ms = clock_ms(CLOCK_MONOTONIC);
    if (glet_model_load(path, &options, &b->model, err) < 0 ||
        glet_cpu_packs_new(&b->packs, err) < 0)
        return -1;
    double loaded_ms = clock_ms(CLOCK_MONOTONIC);
    if (glet_cpu_net_build(b->packs, b->model, b->batch, b->threads, &b->net, err) < 0)
        return -1;
    fprintf(stderr, "load %.1f ms, build %.1f ms\n", loaded_ms - start_ms,
            clock_ms(CLOCK_MONOTONIC) - loaded_ms);
    if (bind_memory(b, err) < 0)
        return -1;
    return b->interactive ? interactive(b, err) : b->steps ? list_steps(b, err) : measure(b, err);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"batch", required_argument, NULL, 'b'}, {"threads", required_argument, NULL, 't'},
        {"runs", required_argument, NULL, 'r'},  {"steps", no_argument, NULL, 's'},
        {"interactive", no_argument, NULL, 'i'}, {NULL, 0, NULL, 0}};
    struct bench b = {.batch = 1, .threads = 1, .runs = 20};
    struct glet_error err = {0};
    int option;
    while ((option = getopt_long(argc, argv, "b:t:r:si", options, NULL)) != -1) {
        if (option == 'b')
            b.batch = atoi(optarg);
        else if (option == 't')
            b.threads = atoi(optarg);
        else if (option == 'r')
            b.runs = atoi(optarg) > 0 ? atoi(optarg) : 1;
        else if (option == 's')
            b.steps = true;
        else if (option == 'i')
            b.interactive = true;
        else
            return 2;
    }
    if (optind != argc - 1) {
        fprintf(stderr, "usage: bench_engine MODEL.onnx [--batch B] [--threads T] [--runs N] "
                        "[--steps] [--interactive]\n");
        return 2;
    }
    int rc = run(&b, argv[optind], &err);
    if (rc < 0)
        glet_error_print(&err, stderr);
    glet_cpu_net_free(b.net);
    glet_cpu_packs_free(b.packs);
    glet_model_free(b.model);
    return rc < 0 ? glet_error_exit_status(err.code) : 0;
}
