/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products, by cuBLASLt or, for an activation that only cuDNN has, whichever is faster; attention,
 * fused by cuDNN or in three steps.
 */
#include "runtime/device/cuda/net/action.h"

#include "common/log.h"
#include "runtime/device/cuda/plan/builder.h"

/* What the library could not do of the activation. */
static int act_activation(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                          struct glet_error *err)
{
    struct glet_cuda_step rest;
    if (glet_cuda_epilogue_step(step, false, false, 0, &rest, err) < 0)
        return -1;
    return rest.operation_count > 0 ? glet_cuda_act_launch(actions, &rest, err) : 0;
}

struct product {
    struct glet_cuda_actions *actions;
    const struct glet_cuda_step *step;
};

static void *address(const struct product *p, int place)
{
    return glet_cuda_address(p->actions->bases, &p->step->places[place]);
}

/* cuBLASLt, and a kernel of ours for an activation that it lacks. */
static int act_cublaslt(const void *context, struct glet_error *err)
{
    const struct product *p = context;
    const struct glet_cuda_step *step = p->step;
    struct glet_activation none = {.kind = GLET_ACT_NONE};
    bool whole = glet_lt_has_activation(&step->activation);
    struct glet_lt_operands operands = {.a = address(p, 0),
                                        .w = address(p, 1),
                                        .bias = address(p, 2),
                                        .residual = address(p, 3),
                                        .y = address(p, 4)};
    struct glet_lt_plan plan;
    char key[GLET_CUDA_KEY_BYTES];
    glet_cuda_choice_key(p->actions, "cublaslt", step, key, sizeof key);
    int found = glet_lt_choose(p->actions->site, &step->gemm, step->node->alpha,
                               whole ? &step->activation : &none, &operands, key, &plan, err);
    if (found <= 0) {
        glet_lt_plan_fini(p->actions->site, &plan);
        return found;
    }
    if (glet_cuda_act_lt(p->actions, &plan, err) < 0)
        return -1;
    return !whole && act_activation(p->actions, step, err) < 0 ? -1 : 1;
}

/* rows x columns in memory, or as it lies transposed. */
static glet_dnn_tensor matrix(struct glet_dnn_graph *graph, const struct product *p, int place,
                              int64_t rows, int64_t columns, int64_t pitch, bool transposed)
{
    struct glet_cuda_place m = {.dtype = p->actions->plan->type,
                                .rank = 3,
                                .dims = {1, rows, columns},
                                .strides = {pitch * (transposed ? columns : rows), pitch, 1}};
    if (transposed) {
        m.strides[1] = 1;
        m.strides[2] = pitch;
    }
    return glet_dnn_place(graph, &m, address(p, place));
}

static void describe_product(struct glet_dnn_graph *graph, const struct product *p)
{
    const struct glet_cuda_step *step = p->step;
    const struct glet_cuda_gemm *g = &step->gemm;
    int64_t dims[3] = {1, g->m, g->n}, strides[3] = {g->m * g->n, g->n, 1};
#define BETWEEN glet_dnn_virtual(graph, GLET_FLOAT32, 3, dims, strides)
    glet_dnn_tensor value = BETWEEN, next;
    glet_dnn_matmul(graph, matrix(graph, p, 0, g->m, g->k, g->lda, g->trans_a),
                    matrix(graph, p, 1, g->k, g->n, g->ldb, g->trans_b), value);
    if (step->places[2].buffer >= 0) {
        next = BETWEEN;
        glet_dnn_binary(graph, CUDNN_POINTWISE_ADD, value,
                        matrix(graph, p, 2, 1, g->n, g->n, false), next);
        value = next;
    }
    if (step->places[3].buffer >= 0) {
        next = BETWEEN;
        glet_dnn_binary(graph, CUDNN_POINTWISE_ADD, value,
                        matrix(graph, p, 3, g->m, g->n, g->ldc, false), next);
        value = next;
    }
#undef BETWEEN
    glet_dnn_activation(graph, &step->activation, value,
                        matrix(graph, p, 4, g->m, g->n, g->ldy, false));
}

/* cuDNN has functions as epilogues that cuBLASLt lacks: GELU by erf, sigmoid, swish. */
static int act_cudnn(const void *context, struct glet_error *err)
{
    const struct product *p = context;
    struct glet_dnn_graph graph;
    struct glet_dnn_plan plan;
    char key[GLET_CUDA_KEY_BYTES];
    glet_cuda_choice_key(p->actions, "cudnn", p->step, key, sizeof key);
    glet_dnn_graph_init(&graph, p->actions->site);
    describe_product(&graph, p);
    int found = glet_dnn_graph_choose(&graph, key, &plan, err);
    glet_dnn_graph_fini(&graph);
    return found > 0 && glet_cuda_act_dnn(p->actions, &plan, err) < 0 ? -1 : found;
}

static bool is_for_cudnn(const struct glet_cuda_actions *actions, const struct glet_cuda_step *step)
{
    const struct glet_cuda_gemm *g = &step->gemm;
    return actions->plan->type == GLET_FLOAT16 && g->batch == 1 && g->outer == 1 &&
           !(step->node->alpha < 1.0F || step->node->alpha > 1.0F) &&
           !glet_lt_has_activation(&step->activation) && glet_dnn_has_activation(&step->activation);
}

static int no_product(const struct glet_cuda_step *step, struct glet_error *err)
{
    return glet_error_set(err, GLET_ERR_DEVICE, "node %s: cuBLASLt has no algorithm for it",
                          step->name);
}

int glet_cuda_act_gemm(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                       struct glet_error *err)
{
    static const struct glet_cuda_way ways[] = {{"cublaslt", act_cublaslt}, {"cudnn", act_cudnn}};
    struct product product = {actions, step};
    int done = is_for_cudnn(actions, step)
                   ? glet_cuda_act_best(actions, step, ways, 2, 2, &product, err)
                   : act_cublaslt(&product, err);
    return done > 0 ? 0 : done < 0 ? -1 : no_product(step, err);
}

/* -- attention --------------------------------------------------------------------------------- */

/* A place as cuDNN's attention takes it: a dimension of 1 has a stride like any other. */
static glet_dnn_tensor attention_place(struct glet_dnn_graph *graph,
                                       struct glet_cuda_actions *actions,
                                       struct glet_cuda_place place)
{
    int64_t extent = 1;
    for (int i = 3; i >= 0; i--) {
        if (place.dims[i] == 1)
            place.strides[i] = extent;
        int64_t end = place.strides[i] * place.dims[i];
        extent = end > extent ? end : extent;
    }
    return glet_dnn_place(graph, &place, glet_cuda_address(actions->bases, &place));
}

/*
 * softmax(alpha q k' + mask) v as the operations that cuDNN's fused attention recognises: product,
 * scale, mask, then the softmax in five parts, then the second product. The logarithm of the sum,
 * which only training reads, is a part of the pattern: no engine takes it without.
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
    struct glet_cuda_place mask = p[3];
    glet_dnn_tensor q = attention_place(graph, actions, p[0]);
    glet_dnn_tensor kt = attention_place(graph, actions, glet_cuda_permute(&p[1], last_two));
    glet_dnn_tensor v = attention_place(graph, actions, p[2]);
    glet_dnn_tensor y = attention_place(graph, actions, p[4]);
#define SCORES(dtype) glet_dnn_virtual(graph, dtype, 4, dims, strides)
#define ROWS          glet_dnn_virtual(graph, GLET_FLOAT32, 4, row_dims, row_strides)
    glet_dnn_tensor s = SCORES(GLET_FLOAT32), scaled = SCORES(GLET_FLOAT32), masked = scaled;
    glet_dnn_matmul(graph, q, kt, s);
    glet_dnn_binary(graph, CUDNN_POINTWISE_MUL, s, glet_dnn_scalar(graph, 4, &step->node->alpha),
                    scaled);
    if (mask.buffer >= 0) {
        for (int i = 0; i < 4; i++)
            if (mask.strides[i] == 0) /* cuDNN broadcasts what is 1 long */
                mask.dims[i] = 1;
        masked = SCORES(GLET_FLOAT32);
        glet_dnn_binary(graph, CUDNN_POINTWISE_ADD, scaled, attention_place(graph, actions, mask),
                        masked);
    }
    glet_dnn_tensor top = ROWS, less = SCORES(GLET_FLOAT32), powers = SCORES(GLET_FLOAT32);
    glet_dnn_reduction(graph, CUDNN_REDUCE_TENSOR_MAX, masked, top);
    glet_dnn_binary(graph, CUDNN_POINTWISE_SUB, masked, top, less);
    glet_dnn_unary(graph, CUDNN_POINTWISE_EXP, less, powers);
    glet_dnn_tensor sum = ROWS, weights = SCORES(actions->plan->type), log = ROWS;
    glet_dnn_reduction(graph, CUDNN_REDUCE_TENSOR_ADD, powers, sum);
    glet_dnn_unary(graph, CUDNN_POINTWISE_LOG, sum, log);
    glet_dnn_binary(graph, CUDNN_POINTWISE_ADD, top, log, ROWS);
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
    char key[GLET_CUDA_KEY_BYTES];
    glet_cuda_choice_key(actions, way, step, key, sizeof key);
    int found = glet_lt_choose(actions->site, gemm, 1.0F, &none, &operands, key, &plan, err);
    if (found <= 0) {
        glet_lt_plan_fini(actions->site, &plan);
        return found < 0 ? -1 : no_product(step, err);
    }
    return glet_cuda_act_lt(actions, &plan, err);
}

/* cuDNN's attention reads no -infinity in every place of a row; the masks of models do not have
   that, and ours has the largest finite value in their place (plan_weight.c). */
int glet_cuda_act_attention(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                            struct glet_error *err)
{
    struct glet_dnn_graph graph;
    struct glet_dnn_plan plan = {.plan = NULL};
    char key[GLET_CUDA_KEY_BYTES];
    int found = 0;
    if (actions->plan->type == GLET_FLOAT16) { /* there are no engines for FP32 */
        glet_cuda_choice_key(actions, "cudnn", step, key, sizeof key);
        glet_dnn_graph_init(&graph, actions->site);
        describe_attention(&graph, actions, step);
        found = glet_dnn_graph_choose(&graph, key, &plan, err);
        glet_dnn_graph_fini(&graph);
        if (found == 0)
            glet_log_warning("attention is not fused, which takes long node=%s", step->name);
    }
    if (found < 0)
        return -1;
    if (found > 0)
        return glet_cuda_act_dnn(actions, &plan, err);
    struct glet_cuda_step scores = glet_cuda_scores_step(step);
    if (act_product(actions, step, &step->attention.scores, "scores", 0, 1, 5, err) < 0 ||
        glet_cuda_act_launch(actions, &scores, err) < 0)
        return -1;
    return act_product(actions, step, &step->attention.values, "values", 5, 2, 4, err);
}
