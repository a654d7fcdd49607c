/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole networks: the CUDA executor's plan, run in host memory with its own kernels, against the
 * CPU device. `test_cuda_zoo NETWORK.onnx BATCH fp16|fp32`. Layouts, offsets, fusions, the memory
 * plan and the launches are those of a GPU; only the libraries' products are the host's.
 */
#include "runtime/device/cpu/net/cpu_net.h"
#include "tests/unit/cuda/host_plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IO = 8 };

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' */
    return *state >> 8;
}

static void *make_input(const struct glet_model_io *io, int batch, uint32_t *state)
{
    size_t bytes = io->bytes * (size_t)batch, count = bytes / glet_dtype_size(io->dtype);
    void *data = malloc(bytes + 16);
    for (size_t i = 0; i < count; i++) {
        if (io->dtype == GLET_FLOAT32)
            ((float *)data)[i] = (float)(next(state) % 2000) / 1000.0F - 1.0F;
        else if (io->dtype == GLET_INT64)
            ((int64_t *)data)[i] = strstr(io->name, "ids") && !strstr(io->name, "type")
                                       ? (int64_t)(next(state) % 1000)
                                       : (int64_t)(next(state) % 4 != 0);
        else
            abort();
    }
    return data;
}

static double relative_l2(const float *got, const float *wanted, size_t count)
{
    double difference = 0.0, norm = 0.0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)got[i] - (double)wanted[i];
        difference += d * d;
        norm += (double)wanted[i] * (double)wanted[i];
    }
    return sqrt(difference / fmax(norm, 1e-30));
}

static int fail(const struct glet_error *err)
{
    glet_error_print(err, stderr);
    return 1;
}

static int compare(const struct glet_model *model, void *const *got, void *const *wanted, int batch,
                   double limit)
{
    int rc = 0;
    for (size_t i = 0; i < glet_model_output_count(model); i++) {
        const struct glet_model_io *io = glet_model_output(model, i);
        double error = relative_l2(got[i], wanted[i], io->bytes * (size_t)batch / sizeof(float));
        printf("%s: relative L2 %.3g\n", io->name, error);
        if (!(error <= limit))
            rc = 1;
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct glet_error err = {0};
    struct glet_model_options options = {.random_weights = true, .seed = 1};
    struct glet_model *model;
    struct glet_graph *graph;
    struct glet_cuda_plan *plan;
    struct glet_cpu_packs *packs;
    struct glet_cpu_net *net;
    void *inputs[MAX_IO], *got[MAX_IO], *wanted[MAX_IO];
    uint32_t state = 1;
    if (argc != 4)
        return fprintf(stderr, "usage: %s NETWORK.onnx BATCH fp16|fp32\n", argv[0]), 2;
    int batch = atoi(argv[2]);
    bool half = strcmp(argv[3], "fp16") == 0;
    if (glet_model_load(argv[1], &options, &model, &err) < 0 ||
        glet_model_bind(model, batch, &graph, &err) < 0 ||
        glet_cuda_plan_new(graph, half ? GLET_CUDA_FP16 : GLET_CUDA_FP32, &plan, &err) < 0 ||
        glet_cpu_packs_new(&packs, &err) < 0 ||
        glet_cpu_net_build(packs, model, batch, 1, &net, &err) < 0)
        return fail(&err);
    for (size_t i = 0; i < glet_model_input_count(model); i++) {
        inputs[i] = make_input(glet_model_input(model, i), batch, &state);
        glet_cpu_net_bind_input(net, i, inputs[i]);
    }
    for (size_t i = 0; i < glet_model_output_count(model); i++) {
        size_t bytes = glet_model_output(model, i)->bytes * (size_t)batch;
        got[i] = aligned_alloc(64, (bytes + 127) / 64 * 64);
        wanted[i] = aligned_alloc(64, (bytes + 127) / 64 * 64);
        memset(got[i], 0xff, bytes);
        glet_cpu_net_bind_output(net, i, wanted[i]);
    }
    if (glet_cpu_net_run(net, batch, &err) < 0 || host_plan_run(plan, inputs, got, &err) < 0)
        return fail(&err);
    int rc = compare(model, got, wanted, batch, half ? 1e-2 : 1e-4);
    printf("%d steps, arena %zu bytes, bound %zu\n", plan->step_count, plan->arena_bytes,
           plan->arena_bound_bytes);
    for (size_t i = 0; i < glet_model_input_count(model); i++)
        free(inputs[i]);
    for (size_t i = 0; i < glet_model_output_count(model); i++) {
        free(got[i]);
        free(wanted[i]);
    }
    glet_cpu_net_free(net);
    glet_cpu_packs_free(packs);
    glet_cuda_plan_free(plan);
    glet_graph_free(graph);
    glet_model_free(model);
    return rc;
}
