/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every graph that a network would ask of cuDNN, asked of the real one: it must make a plan of it for
 * an H100, with these very shapes and strides, of one of its first suggestions. Only a clip that is a
 * convolution's last operation is left to its fallback, which is why there are other ways (action_conv.c).
 * `test_cuda_patterns NETWORK.onnx`. Each step is tried in all of its ways, because here none of them
 * is ever found. Skipped without the libraries.
 */
#include "runtime/device/cuda/net/action.h"
#include "tests/unit/cuda/real_libraries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEYS = 2048 };
static char *asked[MOST_KEYS]; /* keys; a network has many equal steps */
static int patterns, slow, unknown;
static bool compiles; /* chains too, which takes most of a second for each */

static bool is_new(const char *key)
{
    for (int i = 0; i < patterns; i++)
        if (strcmp(asked[i], key) == 0)
            return false;
    if (patterns == MOST_KEYS)
        abort();
    asked[patterns++] = strdup(key);
    return true;
}

int glet_dnn_graph_choose(struct glet_dnn_graph *graph, const char *key, struct glet_dnn_plan *out,
                          struct glet_error *err)
{
    *out = (struct glet_dnn_plan){.plan = NULL};
    if (graph->failed) {
        *err = graph->error;
        return -1;
    }
    if ((strstr(key, " conv chained ") && !compiles) || !is_new(key))
        return 0;
    enum real_plan plan = real_h100_plan_of(graph);
    bool clips = strstr(key, " conv fused ") && strstr(key, " clip ");
    if (plan == REAL_PLAN_NONE || (plan == REAL_PLAN_FALLBACK && !clips)) {
        printf("%s: %s\n", plan == REAL_PLAN_NONE ? "no engine" : "a fallback's engine only", key);
        unknown++;
    }
    slow += plan == REAL_PLAN_FALLBACK;
    return 0;
}
void glet_dnn_plan_fini(const struct glet_cuda_site *site, struct glet_dnn_plan *plan)
{
    (void)site;
    (void)plan;
}
int glet_dnn_plan_enqueue(const struct glet_cuda_site *site, const struct glet_dnn_plan *plan,
                          struct glet_error *err)
{
    (void)site;
    (void)plan;
    return glet_error_set(err, GLET_ERR_INTERNAL, "nothing runs here");
}
int glet_cuda_function(const struct glet_cuda_site *site, const char *kernel, CUfunction *out,
                       struct glet_error *err)
{
    (void)site;
    (void)kernel;
    (void)err;
    *out = NULL;
    return 0;
}
int glet_cuda_enqueue(const struct glet_cuda_site *site, CUfunction function,
                      const struct glet_cuda_launch *launch, struct glet_error *err)
{
    (void)site;
    (void)function;
    (void)launch;
    return glet_error_set(err, GLET_ERR_INTERNAL, "nothing runs here");
}
const char *glet_cuda_store_identity(const struct glet_cuda_store *store)
{
    (void)store;
    return "";
}

static int ask(struct glet_cuda_actions *actions, struct glet_error *err)
{
    for (int s = 0; s < actions->plan->step_count; s++) {
        const struct glet_cuda_step *step = &actions->plan->steps[s];
        int rc = 0;
        if (step->kind == GLET_CUDA_CONV)
            rc = glet_cuda_act_conv(actions, step, err);
        else if (step->kind == GLET_CUDA_GEMM)
            rc = glet_cuda_act_gemm(actions, step, err);
        else if (step->kind == GLET_CUDA_ATTENTION)
            rc = glet_cuda_act_attention(actions, step, err);
        /* of products cuBLASLt finds no algorithm without a GPU to ask for */
        if (rc < 0 && !strstr(err->message, "has no algorithm"))
            return -1;
    }
    return 0;
}

static int check(struct glet_model *model, int batch, enum glet_cuda_precision precision,
                 struct glet_error *err)
{
    static _Alignas(256) char memory[256]; /* is pointed to, never read */
    struct glet_graph *graph = NULL;
    struct glet_cuda_plan *plan = NULL;
    real_store.precision = precision;
    compiles = batch == 8 && precision == GLET_CUDA_FP16;
    if (glet_model_bind(model, batch, &graph, err) < 0)
        return -1;
    int rc = glet_cuda_plan_new(graph, precision, &plan, err);
    void **bases = rc == 0 ? calloc((size_t)plan->buffer_count + 1, sizeof *bases) : NULL;
    if (bases) {
        for (int i = 0; i <= plan->buffer_count; i++)
            bases[i] = memory;
        struct glet_cuda_actions actions = {.site = &real_site, .plan = plan, .bases = bases};
        rc = ask(&actions, err);
        glet_cuda_actions_fini(&actions);
    }
    free(bases);
    glet_cuda_plan_free(plan);
    glet_graph_free(graph);
    return rc;
}

int main(int argc, char **argv)
{
    static const enum glet_cuda_precision precisions[] = {GLET_CUDA_FP16, GLET_CUDA_TF32};
    static const int batches[] = {1, 8, 32};
    struct glet_error err = {0};
    struct glet_model_options options = {.random_weights = true, .seed = 1};
    struct glet_model *model;
    if (argc != 2)
        return fprintf(stderr, "usage: %s NETWORK.onnx\n", argv[0]), 2;
    int rc = real_libraries_open();
    if (rc != 0)
        return rc;
    if (glet_model_load(argv[1], &options, &model, &err) < 0) {
        glet_error_print(&err, stderr);
        return 1;
    }
    for (size_t p = 0; rc == 0 && p < sizeof precisions / sizeof precisions[0]; p++)
        for (size_t b = 0; rc == 0 && b < sizeof batches / sizeof batches[0]; b++)
            rc = check(model, batches[b], precisions[p], &err);
    if (rc < 0)
        glet_error_print(&err, stderr);
    printf("%d graphs, %d that only a fallback's engine knows, %d mistakes\n", patterns, slow,
           unknown);
    while (patterns > 0)
        free(asked[--patterns]);
    glet_model_free(model);
    real_libraries_close();
    return rc < 0 || unknown > 0;
}
