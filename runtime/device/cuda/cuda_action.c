/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of actions, and the steps whose way is decided by a single library: products, and
 * attention with its unfused way. On a GPU: not yet run.
 */
#include "runtime/device/cuda/cuda_action.h"

#include "common/log.h"
#include "common/memory.h"
#include "runtime/device/cuda/cuda_builder.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct glet_cuda_action *add(struct glet_cuda_actions *actions, struct glet_error *err)
{
    if (glet_reserve(&actions->items, &actions->capacity, actions->count + 1,
                     sizeof *actions->items, err) < 0)
        return NULL;
    struct glet_cuda_action *action = &actions->items[actions->count];
    memset(action, 0, sizeof *action);
    action->step = actions->step;
    return action;
}

int glet_cuda_act_launch(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                         struct glet_error *err)
{
    struct glet_cuda_action *action = add(actions, err);
    if (!action ||
        glet_cuda_launch_of(actions->plan, step, actions->bases, &action->launch, err) < 0)
        return -1;
    if (action->launch.grid[0] == 0) /* nothing to do */
        return 0;
    action->kind = GLET_CUDA_LAUNCH;
    if (glet_cuda_function(actions->site, action->launch.kernel, &action->function, err) < 0)
        return -1;
    actions->count++;
    return 0;
}

int glet_cuda_act_dnn(struct glet_cuda_actions *actions, struct glet_dnn_plan *plan,
                      struct glet_error *err)
{
    struct glet_cuda_action *action = add(actions, err);
    if (!action) {
        glet_dnn_plan_fini(actions->site, plan);
        return -1;
    }
    action->kind = GLET_CUDA_CUDNN;
    action->dnn = *plan;
    actions->count++;
    return 0;
}

int glet_cuda_act_lt(struct glet_cuda_actions *actions, struct glet_lt_plan *plan,
                     struct glet_error *err)
{
    struct glet_cuda_action *action = add(actions, err);
    if (!action) {
        glet_lt_plan_fini(actions->site, plan);
        return -1;
    }
    action->kind = GLET_CUDA_CUBLASLT;
    action->lt = *plan;
    actions->count++;
    return 0;
}

int glet_cuda_action_enqueue(const struct glet_cuda_site *site,
                             const struct glet_cuda_action *action, struct glet_error *err)
{
    switch (action->kind) {
    case GLET_CUDA_CUDNN:
        return glet_dnn_plan_enqueue(site, &action->dnn, err);
    case GLET_CUDA_CUBLASLT:
        return glet_lt_plan_enqueue(site, &action->lt, err);
    default:
        return glet_cuda_enqueue(site, action->function, &action->launch, err);
    }
}

void glet_cuda_actions_fini(struct glet_cuda_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        struct glet_cuda_action *action = &actions->items[i];
        if (action->kind == GLET_CUDA_CUDNN)
            glet_dnn_plan_fini(actions->site, &action->dnn);
        else if (action->kind == GLET_CUDA_CUBLASLT)
            glet_lt_plan_fini(actions->site, &action->lt);
    }
    free(actions->items);
    actions->items = NULL;
    actions->count = 0;
}

/* -- keys -------------------------------------------------------------------------------------- */

static size_t append(char *key, size_t size, size_t at, const char *format, ...) GLET_PRINTF(4, 5);

static size_t append(char *key, size_t size, size_t at, const char *format, ...)
{
    va_list arguments;
    if (at >= size)
        return at;
    va_start(arguments, format);
    int written = vsnprintf(key + at, size - at, format, arguments);
    va_end(arguments);
    return written < 0 ? at : at + (size_t)written;
}

void glet_cuda_choice_key(const struct glet_cuda_actions *actions, const char *way,
                          const struct glet_cuda_step *step, char *key, size_t size)
{
    static const char *const precisions[] = {"fp16", "tf32", "fp32"};
    const struct glet_node *node = step->node;
    size_t at = append(
        key, size, 0, "%s | %d SMs%s | %s | %s %s", glet_cuda_store_identity(actions->site->store),
        actions->site->sm_count, glet_cuda_sm_target(actions->site) > 0 ? "" : ", no target",
        precisions[actions->plan->precision], glet_cuda_step_kind_name(step->kind), way);
    for (int p = 0; p < step->place_count; p++) {
        const struct glet_cuda_place *place = &step->places[p];
        at = append(key, size, at, " ;");
        for (int i = 0; place->buffer >= 0 && i < place->rank; i++)
            at = append(key, size, at, " %" PRId64 "/%" PRId64, place->dims[i], place->strides[i]);
    }
    if (step->kind == GLET_CUDA_CONV)
        for (int i = 0; i < 2; i++)
            at = append(key, size, at, " ; s%" PRId64 " p%" PRId64 " %" PRId64 " d%" PRId64,
                        node->strides[i], node->pads_begin[i], node->pads_end[i],
                        node->dilations[i]);
    append(key, size, at, " ; %d%d %s %g %g", node->trans_a, node->trans_b,
           glet_activation_name(step->activation.kind), (double)step->activation.a,
           (double)step->activation.b);
}

/* -- products ---------------------------------------------------------------------------------- */

/* What the library could not do of the activation. */
static int act_activation(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                          struct glet_error *err)
{
    struct glet_cuda_step rest;
    if (glet_cuda_epilogue_step(step, false, false, 0, &rest, err) < 0)
        return -1;
    return rest.operation_count > 0 ? glet_cuda_act_launch(actions, &rest, err) : 0;
}

static int no_product(const struct glet_cuda_step *step, struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_DEVICE, "node %s: cuBLASLt has no algorithm for it",
                          step->name);
}

int glet_cuda_act_gemm(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                       struct glet_error *err)
{
    struct glet_activation none = {.kind = GLET_ACT_NONE};
    bool whole = glet_lt_has_activation(&step->activation);
    struct glet_lt_operands operands = {.a = glet_cuda_address(actions->bases, &step->places[0]),
                                        .w = glet_cuda_address(actions->bases, &step->places[1]),
                                        .bias = glet_cuda_address(actions->bases, &step->places[2]),
                                        .residual =
                                            glet_cuda_address(actions->bases, &step->places[3]),
                                        .y = glet_cuda_address(actions->bases, &step->places[4])};
    struct glet_lt_plan plan;
    char key[2048];
    glet_cuda_choice_key(actions, "cublaslt", step, key, sizeof key);
    int found = glet_lt_choose(actions->site, &step->gemm, step->node->alpha,
                               whole ? &step->activation : &none, &operands, key, &plan, err);
    if (found <= 0) {
        glet_lt_plan_fini(actions->site, &plan);
        return found < 0 ? -1 : no_product(step, err);
    }
    if (glet_cuda_act_lt(actions, &plan, err) < 0)
        return -1;
    return whole ? 0 : act_activation(actions, step, err);
}

/* -- attention --------------------------------------------------------------------------------- */

/*
 * softmax(alpha q k' + mask) v as the operations that cuDNN's fused attention recognises: product,
 * scale, mask, then the softmax in five parts, then the second product.
 */
static void describe_attention(struct glet_dnn_graph *graph, struct glet_cuda_actions *actions,
                               const struct glet_cuda_step *step)
{
    const struct glet_cuda_attention *a = &step->attention;
    const struct glet_cuda_place *p = step->places;
    static const int last_two[4] = {0, 1, 3, 2};
    int64_t dims[4] = {a->batch, a->heads, a->queries, a->keys}, strides[4];
    int64_t row_dims[4] = {a->batch, a->heads, a->queries, 1}, row_strides[4];
    for (int i = 3; i >= 0; i--) {
        strides[i] = i == 3 ? 1 : strides[i + 1] * dims[i + 1];
        row_strides[i] = i == 3 ? 1 : row_strides[i + 1] * row_dims[i + 1];
    }
    struct glet_cuda_place k = glet_cuda_permute(&p[1], last_two), mask = p[3];
    glet_dnn_tensor q = glet_dnn_place(graph, &p[0], glet_cuda_address(actions->bases, &p[0]));
    glet_dnn_tensor kt = glet_dnn_place(graph, &k, glet_cuda_address(actions->bases, &k));
    glet_dnn_tensor v = glet_dnn_place(graph, &p[2], glet_cuda_address(actions->bases, &p[2]));
    glet_dnn_tensor y = glet_dnn_place(graph, &p[4], glet_cuda_address(actions->bases, &p[4]));
#define SCORES(dtype) glet_dnn_virtual(graph, dtype, 4, dims, strides)
#define ROWS          glet_dnn_virtual(graph, GLET_FLOAT32, 4, row_dims, row_strides)
    glet_dnn_tensor s = SCORES(GLET_FLOAT32), scaled = SCORES(GLET_FLOAT32), masked = scaled;
    glet_dnn_matmul(graph, q, kt, s);
    glet_dnn_binary(graph, CUDNN_POINTWISE_MUL, s, glet_dnn_scalar(graph, 4, &step->node->alpha),
                    scaled);
    if (mask.buffer >= 0) {
        for (int i = 0; i < 4; i++) {
            if (mask.strides[i] == 0) /* cuDNN broadcasts what is 1 long */
                mask.dims[i] = 1;
        }
        for (int i = 3, stride = 1; i >= 0; i--) {
            if (mask.dims[i] == 1)
                mask.strides[i] = stride;
            stride = (int)(mask.strides[i] * mask.dims[i]);
        }
        masked = SCORES(GLET_FLOAT32);
        glet_dnn_tensor m = glet_dnn_place(graph, &mask, glet_cuda_address(actions->bases, &mask));
        glet_dnn_binary(graph, CUDNN_POINTWISE_ADD, scaled, m, masked);
    }
    glet_dnn_tensor top = ROWS, less = SCORES(GLET_FLOAT32), powers = SCORES(GLET_FLOAT32);
    glet_dnn_reduction(graph, CUDNN_REDUCE_TENSOR_MAX, masked, top);
    glet_dnn_binary(graph, CUDNN_POINTWISE_SUB, masked, top, less);
    glet_dnn_unary(graph, CUDNN_POINTWISE_EXP, less, powers);
    glet_dnn_tensor sum = ROWS, weights = SCORES(actions->plan->type);
    glet_dnn_reduction(graph, CUDNN_REDUCE_TENSOR_ADD, powers, sum);
    glet_dnn_binary(graph, CUDNN_POINTWISE_DIV, powers, sum, weights);
    glet_dnn_matmul(graph, weights, v, y);
#undef SCORES
#undef ROWS
}

static int act_product(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                       const struct glet_cuda_gemm *gemm, const char *way, int a, int w, int y,
                       struct glet_error *err)
{
    struct glet_activation none = {.kind = GLET_ACT_NONE};
    struct glet_lt_operands operands = {.a = glet_cuda_address(actions->bases, &step->places[a]),
                                        .w = glet_cuda_address(actions->bases, &step->places[w]),
                                        .y = glet_cuda_address(actions->bases, &step->places[y])};
    struct glet_lt_plan plan;
    char key[2048];
    glet_cuda_choice_key(actions, way, step, key, sizeof key);
    int found = glet_lt_choose(actions->site, gemm, 1.0F, &none, &operands, key, &plan, err);
    if (found <= 0) {
        glet_lt_plan_fini(actions->site, &plan);
        return found < 0 ? -1 : no_product(step, err);
    }
    return glet_cuda_act_lt(actions, &plan, err);
}

/* cuDNN's attention reads no -infinity in every place of a row; the masks of models do not have
   that, and ours has the largest finite value in their place (cuda_weight.c). */
int glet_cuda_act_attention(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                            struct glet_error *err)
{
    struct glet_dnn_graph graph;
    struct glet_dnn_plan plan = {.plan = NULL};
    char key[2048];
    int found = 0;
    if (actions->plan->type == GLET_FLOAT16) { /* there are no engines for FP32 */
        glet_cuda_choice_key(actions, "cudnn", step, key, sizeof key);
        glet_dnn_graph_init(&graph, actions->site);
        describe_attention(&graph, actions, step);
        found = glet_dnn_graph_choose(&graph, key, &plan, err);
        glet_dnn_graph_fini(&graph);
    }
    if (found < 0)
        return -1;
    if (found > 0)
        return glet_cuda_act_dnn(actions, &plan, err);
    glet_log_debug("attention is not fused node=%s", step->name);
    struct glet_cuda_step scores = glet_cuda_scores_step(step);
    if (act_product(actions, step, &step->attention.scores, "scores", 0, 1, 5, err) < 0 ||
        glet_cuda_act_launch(actions, &scores, err) < 0)
        return -1;
    return act_product(actions, step, &step->attention.values, "values", 5, 2, 4, err);
}
