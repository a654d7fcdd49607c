/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and heap of loading a model: `bench_load MODEL.onnx [RUNS]`. Heap is what malloc holds for
 * us beyond what it held before: the peak during a load (counted in our own malloc, which every
 * allocation of this process goes through) and what stays until the model is freed. Weights are in
 * the mapped file, so they are neither.
 */
#include "common/clock.h"
#include "runtime/engine/model.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* glibc's own entry points; ours take their names for the whole process. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *old);

static size_t held_bytes, peak_bytes;

static void *counted(void *memory)
{
    held_bytes += memory ? malloc_usable_size(memory) : 0;
    peak_bytes = held_bytes > peak_bytes ? held_bytes : peak_bytes;
    return memory;
}

void *malloc(size_t size)
{
    return counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return counted(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
    held_bytes -= old ? malloc_usable_size(old) : 0;
    return counted(__libc_realloc(old, size));
}

void free(void *old)
{
    held_bytes -= old ? malloc_usable_size(old) : 0;
    __libc_free(old);
}

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    enum { MOST_RUNS = 1000 };
    static double load_ms[MOST_RUNS], load_cpu_ms[MOST_RUNS], bind_ms[MOST_RUNS];
    struct glet_error err = {0};
    int runs = argc > 2 ? atoi(argv[2]) : 20;
    if (argc < 2 || runs < 1 || runs > MOST_RUNS)
        return fprintf(stderr, "usage: %s MODEL.onnx [RUNS]\n", argv[0]), 2;
    size_t kept_bytes = 0, most_bytes = 0, weights = 0;
    for (int i = 0; i < runs; i++) {
        struct glet_model *model;
        struct glet_graph *graph;
        size_t before = held_bytes;
        peak_bytes = held_bytes;
        double cpu_start_ms = cpu_ms();
        uint64_t start = glet_clock_us();
        if (glet_model_load(argv[1], NULL, &model, &err) < 0)
            return glet_error_print(&err, stderr), glet_error_exit_status(err.code);
        uint64_t loaded = glet_clock_us();
        load_cpu_ms[i] = cpu_ms() - cpu_start_ms;
        kept_bytes = held_bytes - before;
        most_bytes = peak_bytes - before;
        if (glet_model_bind(model, 8, &graph, &err) < 0)
            return glet_error_print(&err, stderr), glet_error_exit_status(err.code);
        load_ms[i] = (double)(loaded - start) / 1000.0;
        bind_ms[i] = (double)(glet_clock_us() - loaded) / 1000.0;
        weights = glet_model_weight_bytes(model);
        glet_graph_free(graph);
        glet_model_free(model);
    }
    double first_ms = load_ms[0];
    qsort(load_ms, (size_t)runs, sizeof load_ms[0], by_value);
    qsort(load_cpu_ms, (size_t)runs, sizeof load_ms[0], by_value);
    qsort(bind_ms, (size_t)runs, sizeof bind_ms[0], by_value);
    printf("%s: %.1f MB of weights\n", argv[1], (double)weights / 1e6);
    printf(
        "  load, %d times: first %.2f ms, median %.2f ms, best %.2f ms; CPU time median %.2f ms\n",
        runs, first_ms, load_ms[runs / 2], load_ms[0], load_cpu_ms[runs / 2]);
    printf("  bind to batch 8: median %.2f ms\n", bind_ms[runs / 2]);
    printf("  heap: %.2f MiB at most, %.2f MiB kept\n", (double)most_bytes / 1048576.0,
           (double)kept_bytes / 1048576.0);
    return 0;
}
