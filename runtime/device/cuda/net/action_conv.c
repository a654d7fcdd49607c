/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions: the ways, the first four against each other, the others where none of those can.
 *
 *   fused    cuDNN: convolution, residual, bias and an activation that is a function of its own
 *   chained  likewise, the activation as a chain of operations, which engines take that are compiled
 *            at run time: hard swish. Clip and an identity were such a chain too, and would take a
 *            second or two of CPU to compile for each shape, at every start
 *   biased   cuDNN without the activation, where it has no such function or, clip, only slow engines
 *            of an older architecture for an H100 (9.19, test_cuda_patterns); a kernel of ours for that
 *   gemm     cuBLASLt, for 1 x 1 with stride 1: pixels are rows; likewise
 *   dense    by cuDNN into scratch memory, then copied to its place, where the place is a part of a
 *            concatenation and no engine writes with that pitch
 *   bare     cuDNN's convolution alone; one kernel of ours for the rest
 *   direct   our own kernel, slow
 *
 * Which way a shape goes is a choice like any other and is cached.
 */
#include "runtime/device/cuda/net/action.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

struct conv { /* one way under way */
    struct glet_cuda_actions *actions;
    const struct glet_cuda_step *step;
    struct glet_cuda_step padded; /* channels as they lie, not as the model counts them */
};

static int64_t at_least_1(int64_t value)
{
    return value > 0 ? value : 1;
}

static struct glet_dnn_window window_of(const struct glet_cuda_actions *actions,
                                        const struct glet_node *node)
{
    struct glet_dnn_window window = {{0, 0}, {0, 0}, {1, 1}, {1, 1}};
    int spatial = actions->plan->graph->tensors[node->output].rank - 2;
    for (int i = 0; i < spatial; i++) {
        int to = i + 2 - spatial;
        window.pre[to] = node->pads_begin[i];
        window.post[to] = node->pads_end[i];
        window.strides[to] = at_least_1(node->strides[i]);
        window.dilations[to] = at_least_1(node->dilations[i]);
    }
    return window;
}

/* A filter that lies K x R x S x C, as K x C x R x S. */
static struct glet_cuda_place filter_place(const struct glet_cuda_place *w)
{
    struct glet_cuda_place place = *w;
    static const int from[4] = {0, 3, 1, 2};
    for (int i = 0; i < 4; i++) {
        place.dims[i] = w->dims[from[i]];
        place.strides[i] = w->strides[from[i]];
    }
    return place;
}

static struct glet_cuda_step pad_channels(const struct glet_cuda_step *step)
{
    struct glet_cuda_step padded = *step;
    bool grouped = at_least_1(step->node->group) > 1;
    for (int i = 0; i < 5; i += i == 0 ? 3 : 1) /* x, residual, y */
        if (padded.places[i].buffer >= 0 && !grouped)
            padded.places[i].dims[1] = i == 0 ? step->places[1].dims[3] : step->places[1].dims[0];
    return padded;
}

/* As y, in FP32 and without gaps. */
static struct glet_cuda_place dense_like(const struct glet_cuda_place *y)
{
    struct glet_cuda_place dense = *y;
    int64_t stride = y->dims[1];
    dense.strides[1] = 1;
    for (int i = 3; i >= 2; i--) {
        dense.strides[i] = stride;
        stride *= y->dims[i];
    }
    dense.strides[0] = stride;
    return dense;
}

static glet_dnn_tensor between(struct glet_dnn_graph *graph, const struct glet_cuda_place *y)
{
    struct glet_cuda_place dense = dense_like(y);
    return glet_dnn_virtual(graph, GLET_FLOAT32, 4, dense.dims, dense.strides);
}

enum extent { BARE, BIASED, FUSED, CHAINED }; /* of what cuDNN does */

static void activate(struct glet_dnn_graph *graph, const struct conv *c, enum extent extent,
                     glet_dnn_tensor value, glet_dnn_tensor output)
{
    const struct glet_activation *activation = &c->step->activation;
    struct glet_cuda_place dense = dense_like(&c->padded.places[4]);
    if (extent == FUSED)
        glet_dnn_activation(graph, activation, value, output);
    else
        glet_dnn_hard_swish(graph, 4, dense.dims, dense.strides, value, output);
}

static void describe(struct glet_dnn_graph *graph, const struct conv *c, enum extent extent)
{
    void *const *bases = c->actions->bases;
    const struct glet_cuda_place *p = c->padded.places, *y = &p[4];
    struct glet_cuda_place w = filter_place(&p[1]), bias = *y;
    struct glet_dnn_window window = window_of(c->actions, c->step->node);
    bool residual = extent >= BIASED && p[3].buffer >= 0;
    bool biased = extent >= BIASED && p[2].buffer >= 0;
    bool active = extent >= FUSED && c->step->activation.kind != GLET_ACT_NONE;
    glet_dnn_tensor input = glet_dnn_place(graph, &p[0], glet_cuda_address(bases, &p[0]));
    glet_dnn_tensor filter = glet_dnn_place(graph, &w, glet_cuda_address(bases, &w));
    glet_dnn_tensor output = glet_dnn_place(graph, y, glet_cuda_address(bases, y));
    int left = residual + biased + active; /* operations that follow */
    glet_dnn_tensor value = left ? between(graph, y) : output, next;
    glet_dnn_conv(graph, &window, input, filter, value);
    if (residual) {
        next = --left ? between(graph, y) : output;
        glet_dnn_tensor z = glet_dnn_place(graph, &p[3], glet_cuda_address(bases, &p[3]));
        glet_dnn_binary(graph, CUDNN_POINTWISE_ADD, value, z, next);
        value = next;
    }
    if (biased) {
        next = --left ? between(graph, y) : output;
        bias.buffer = p[2].buffer;
        bias.offset = p[2].offset;
        for (int i = 0; i < 4; i++) {
            bias.dims[i] = i == 1 ? y->dims[1] : 1;
            bias.strides[i] = i == 1 ? 1 : y->dims[1];
        }
        glet_dnn_tensor b = glet_dnn_place(graph, &bias, glet_cuda_address(bases, &bias));
        glet_dnn_binary(graph, CUDNN_POINTWISE_ADD, value, b, next);
        value = next;
    }
    if (active)
        activate(graph, c, extent, value, output);
}

static int choose_cudnn(const struct conv *c, enum extent extent, struct glet_dnn_plan *out,
                        struct glet_error *err)
{
    static const char *const names[] = {"bare", "biased", "fused", "chained"};
    struct glet_dnn_graph graph;
    char key[GLET_CUDA_KEY_BYTES];
    glet_cuda_choice_key(c->actions, names[extent], &c->padded, key, sizeof key);
    glet_dnn_graph_init(&graph, c->actions->site);
    describe(&graph, c, extent);
    int found = glet_dnn_graph_choose(&graph, key, out, err);
    glet_dnn_graph_fini(&graph);
    return found;
}

/* -- ways -------------------------------------------------------------------------------------- */

/* What a library left: the activation at least. */
static int act_rest(const struct conv *c, bool bias, bool residual, struct glet_error *err)
{
    const struct glet_cuda_step *step = c->step;
    struct glet_cuda_step rest;
    if (glet_cuda_epilogue_step(step, bias && step->places[2].buffer >= 0,
                                residual && step->places[3].buffer >= 0, 1, &rest, err) < 0)
        return -1;
    return rest.operation_count > 0 ? glet_cuda_act_launch(c->actions, &rest, err) : 0;
}

static bool has_function(const struct conv *c)
{
    const struct glet_activation *activation = &c->step->activation;
    return activation->kind == GLET_ACT_NONE || glet_dnn_has_activation(activation);
}

static int act_cudnn(const struct conv *c, enum extent extent, struct glet_error *err)
{
    struct glet_dnn_plan plan;
    int found = choose_cudnn(c, extent, &plan, err);
    if (found <= 0)
        return found;
    if (glet_cuda_act_dnn(c->actions, &plan, err) < 0 ||
        (extent <= BIASED && act_rest(c, extent == BARE, extent == BARE, err) < 0))
        return -1;
    return 1;
}

static int act_fused(const void *context, struct glet_error *err)
{
    return has_function(context) ? act_cudnn(context, FUSED, err) : 0;
}

/* Has a function, and engines that are slow. */
static bool is_clip(const struct conv *c)
{
    return has_function(c) && c->step->activation.kind == GLET_ACT_CLIP;
}

static int act_chained(const void *context, struct glet_error *err)
{
    const struct conv *c = context;
    return c->step->activation.kind == GLET_ACT_HARD_SWISH ? act_cudnn(c, CHAINED, err) : 0;
}

static int act_biased(const void *context, struct glet_error *err)
{
    const struct conv *c = context;
    return has_function(c) && !is_clip(c) ? 0 : act_cudnn(c, BIASED, err);
}

static bool is_gemm(const struct conv *c)
{
    const struct glet_cuda_place *x = &c->padded.places[0], *y = &c->padded.places[4];
    const struct glet_cuda_place *w = &c->padded.places[1], *z = &c->padded.places[3];
    struct glet_dnn_window window = window_of(c->actions, c->step->node);
    for (int i = 0; i < 2; i++)
        if (w->dims[1 + i] != 1 || window.strides[i] != 1 || window.pre[i] != 0 ||
            window.post[i] != 0)
            return false;
    return at_least_1(c->step->node->group) == 1 && x->strides[0] == x->dims[2] * x->strides[2] &&
           y->strides[0] == y->dims[2] * y->strides[2] &&
           (z->buffer < 0 || z->strides[0] == z->dims[2] * z->strides[2]);
}

static int choose_gemm(const struct conv *c, struct glet_lt_plan *out, struct glet_error *err)
{
    const struct glet_cuda_place *p = c->padded.places;
    struct glet_activation none = {.kind = GLET_ACT_NONE};
    struct glet_cuda_gemm gemm = {.m = p[4].dims[0] * p[4].dims[2] * p[4].dims[3],
                                  .n = p[4].dims[1],
                                  .k = p[0].dims[1],
                                  .trans_b = true,
                                  .lda = p[0].strides[3],
                                  .ldb = p[1].strides[0],
                                  .ldc = p[3].buffer < 0 ? 0 : p[3].strides[3],
                                  .ldy = p[4].strides[3],
                                  .batch = 1,
                                  .outer = 1};
    struct glet_lt_operands operands = {.a = glet_cuda_address(c->actions->bases, &p[0]),
                                        .w = glet_cuda_address(c->actions->bases, &p[1]),
                                        .bias = glet_cuda_address(c->actions->bases, &p[2]),
                                        .residual = glet_cuda_address(c->actions->bases, &p[3]),
                                        .y = glet_cuda_address(c->actions->bases, &p[4])};
    char key[GLET_CUDA_KEY_BYTES];
    glet_cuda_choice_key(c->actions, "gemm", &c->padded, key, sizeof key);
    bool whole = glet_lt_has_activation(&c->step->activation);
    return glet_lt_choose(c->actions->site, &gemm, 1.0F, whole ? &c->step->activation : &none,
                          &operands, key, out, err);
}

static int act_gemm(const void *context, struct glet_error *err)
{
    const struct conv *c = context;
    struct glet_lt_plan plan;
    if (!is_gemm(c))
        return 0;
    int found = choose_gemm(c, &plan, err);
    if (found <= 0) {
        glet_lt_plan_fini(c->actions->site, &plan);
        return found;
    }
    if (glet_cuda_act_lt(c->actions, &plan, err) < 0)
        return -1;
    bool whole = glet_lt_has_activation(&c->step->activation);
    return !whole && act_rest(c, false, false, err) < 0 ? -1 : 1;
}

static int64_t dense_pitch(const struct glet_cuda_step *step)
{
    const struct glet_cuda_place *y = &step->places[4];
    return y->channels > y->dims[1] ? y->channels : y->dims[1];
}

size_t glet_cuda_conv_scratch_bytes(const struct glet_cuda_step *step)
{
    const struct glet_cuda_place *y = &step->places[4];
    if (step->kind != GLET_CUDA_CONV || y->strides[3] == dense_pitch(step))
        return 0;
    return (size_t)(y->dims[0] * y->dims[2] * y->dims[3] * dense_pitch(step)) *
           glet_dtype_size(y->dtype);
}

static int act_dense(const void *context, struct glet_error *err)
{
    const struct conv *c = context;
    struct glet_cuda_step step = *c->step;
    struct glet_cuda_place *y = &step.places[4];
    if (glet_cuda_conv_scratch_bytes(c->step) == 0)
        return 0;
    y->buffer = c->actions->plan->buffer_count;
    y->offset = 0;
    y->strides[3] = dense_pitch(c->step);
    y->strides[2] = y->strides[3] * y->dims[3];
    y->strides[0] = y->strides[2] * y->dims[2];
    struct conv dense = {c->actions, &step, pad_channels(&step)};
    int done = act_cudnn(&dense, has_function(c) ? FUSED : BIASED, err);
    if (done <= 0)
        return done;
    struct glet_cuda_step copy = {.kind = GLET_CUDA_MAP,
                                  .name = step.name,
                                  .place_count = 2,
                                  .places = {step.places[4], c->step->places[4]}};
    for (int i = 0; i < 2; i++) {
        copy.places[i].dims[1] = dense_pitch(c->step);
        copy.places[i].channels = 0;
    }
    return glet_cuda_act_launch(c->actions, &copy, err) < 0 ? -1 : 1;
}

static int act_bare(const void *context, struct glet_error *err)
{
    const struct conv *c = context;
    glet_log_warning("no fused convolution for this shape node=%s", c->step->name);
    return act_cudnn(c, BARE, err);
}

static int act_direct(const void *context, struct glet_error *err)
{
    const struct conv *c = context;
    struct glet_cuda_step step = c->padded;
    step.kind = GLET_CUDA_CONV_DIRECT;
    return glet_cuda_act_launch(c->actions, &step, err) < 0 ? -1 : 1;
}

/* To find out which way is wrong where a result is: $GPULET_CONV_WAYS = "fused,gemm" is those, and
   the direct one where they cannot. How many of the first `rivals` are left, in *rivals. */
static int keep_wanted(struct glet_cuda_way *ways, int count, int *rivals)
{
    const char *wanted = getenv("GPULET_CONV_WAYS");
    int kept = 0, kept_rivals = 0;
    if (!wanted)
        return count;
    for (int i = 0; i < count; i++) {
        if (!strstr(wanted, ways[i].name) && strcmp(ways[i].name, "direct") != 0)
            continue;
        kept_rivals += i < *rivals;
        ways[kept++] = ways[i];
    }
    *rivals = kept_rivals;
    return kept;
}

int glet_cuda_act_conv(struct glet_cuda_actions *actions, const struct glet_cuda_step *step,
                       struct glet_error *err)
{
    struct glet_cuda_way ways[] = {
        {"fused", act_fused}, {"chained", act_chained}, {"biased", act_biased}, {"gemm", act_gemm},
        {"dense", act_dense}, {"bare", act_bare},       {"direct", act_direct}};
    struct conv c = {actions, step, pad_channels(step)};
    int rivals = 4;
    int count = keep_wanted(ways, (int)(sizeof ways / sizeof ways[0]), &rivals);
    return glet_cuda_act_best(actions, step, ways, count, rivals, &c, err) < 0 ? -1 : 0;
}
