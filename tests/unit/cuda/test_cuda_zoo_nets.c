/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole networks on the fake driver and libraries, which hold their callers to the rules of the real
 * ones but compute nothing here: built, captured, replayed and freed, in every way that libraries
 * leave. `test_cuda_zoo_nets NETWORK.onnx`. What is computed is test_cuda_zoo's matter.
 */
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/doubles/cuda/fake_libraries.h"
#include "tests/unit/cuda/cuda_bench.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_IO = 8, BATCH = 4 };

struct memory { /* of a batch; zeros, which no network refuses */
    void *inputs[MAX_IO], *outputs[MAX_IO];
};

static void allocate(struct memory *memory, const struct glet_model *model)
{
    *memory = (struct memory){0};
    for (size_t i = 0; i < glet_model_input_count(model); i++)
        memory->inputs[i] = calloc(BATCH, glet_model_input(model, i)->bytes);
    for (size_t i = 0; i < glet_model_output_count(model); i++)
        memory->outputs[i] = calloc(BATCH, glet_model_output(model, i)->bytes);
}

static void release(struct memory *memory)
{
    for (int i = 0; i < MAX_IO; i++) {
        free(memory->inputs[i]);
        free(memory->outputs[i]);
    }
}

/* Batches of 1 and BATCH in one gpu-let, as a server has them. */
static int live(struct bench *bench, struct glet_model *model, struct memory *memory,
                struct glet_error *err)
{
    struct glet_cuda_net *nets[2] = {NULL, NULL};
    static const int batches[2] = {1, BATCH};
    int rc = 0;
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = glet_cuda_net_build(&bench->site, model, batches[i], &nets[i], err);
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = bench_run(bench, nets[i], model, batches[i], memory->inputs, memory->outputs, err);
    if (rc == 0)
        printf("%zu actions, ", glet_cuda_net_step_count(nets[1]));
    for (int i = 0; i < 2; i++)
        glet_cuda_net_free(nets[i]);
    return rc;
}

static int check(struct glet_model *model, struct memory *memory,
                 enum glet_cuda_precision precision, int refusals, const char *what)
{
    struct glet_error err = {0};
    struct fake_cuda_config config = {.idle = true};
    struct bench bench;
    fake_cuda_configure(&config);
    fake_libraries_reset(refusals);
    int rc = bench_open(&bench, precision, NULL, &err);
    if (rc == 0)
        rc = live(&bench, model, memory, &err);
    if (bench.store)
        glet_cuda_store_forget(bench.store, model);
    bench_close(&bench);
    printf("%s: %s%s%s\n", what, rc < 0 ? err.message : fake_cuda_breach(), fake_libraries_breach(),
           fake_cuda_live());
    return rc < 0 || fake_cuda_breaches() > 0 || fake_libraries_breaches() > 0 ||
           fake_libraries_live() != 0 || *fake_cuda_live();
}

int main(int argc, char **argv)
{
    static const struct {
        enum glet_cuda_precision precision;
        int refusals;
        const char *what;
    } cases[] = {
        {GLET_CUDA_FP16, FAKE_REFUSE_NOTHING, "fp16"},
        {GLET_CUDA_FP16, FAKE_REFUSE_CHAINS | FAKE_REFUSE_PITCHED | FAKE_REFUSE_ATTENTION,
         "fp16, nothing but what every engine can"},
        {GLET_CUDA_FP16, FAKE_REFUSE_FUSED | FAKE_REFUSE_SM_TARGET, "fp16, nothing fused"},
        {GLET_CUDA_FP16, FAKE_REFUSE_CONV, "fp16, without cuDNN's convolutions"},
        {GLET_CUDA_TF32, FAKE_REFUSE_NOTHING, "tf32"},
        {GLET_CUDA_FP32, FAKE_REFUSE_NOTHING, "fp32"},
    };
    struct glet_error err = {0};
    struct glet_model_options options = {.random_weights = true, .seed = 1};
    struct glet_model *model;
    struct memory memory;
    int failed = 0;
    if (argc != 2)
        return fprintf(stderr, "usage: %s NETWORK.onnx\n", argv[0]), 2;
    if (glet_model_load(argv[1], &options, &model, &err) < 0) {
        glet_error_print(&err, stderr);
        return 1;
    }
    allocate(&memory, model);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failed += check(model, &memory, cases[i].precision, cases[i].refusals, cases[i].what);
    release(&memory);
    glet_model_free(model);
    return failed > 0;
}
