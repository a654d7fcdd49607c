/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions, pools, response normalisation and resizing: feature maps in, feature maps out, channels innermost.
 *
 * A convolution computes on the padded channels of both sides, with weights and bias that are zero
 * there, so that the libraries always see whole vectors.
 */
#include "runtime/device/cuda/plan/builder.h"

static int check(const struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_tensor *x = glet_cuda_tensor(b, b->node->inputs[0]);
    for (int i = 0; i < b->node->input_count; i++)
        if (b->node->inputs[i] >= 0 && !glet_cuda_is_float(b, b->node->inputs[i]))
            return glet_cuda_unsupported(
                b, err, "type %s", glet_dtype_name(glet_cuda_tensor(b, b->node->inputs[i])->dtype));
    if (x->rank < 3 || x->rank > 4)
        return glet_cuda_unsupported(b, err, "%d dimensions", x->rank);
    return 0;
}

static bool is_depthwise(const struct glet_cuda_builder *b)
{
    const struct glet_tensor *x = glet_cuda_tensor(b, b->node->inputs[0]);
    const struct glet_tensor *y = glet_cuda_tensor(b, b->node->output);
    return b->node->group > 1 && b->node->group == x->dims[1] && x->dims[1] == y->dims[1];
}

/* The filter as the step's kind wants it: K x R x S x C of a group, or R x S x C. */
static int want_filter(struct glet_cuda_builder *b, enum glet_cuda_step_kind kind,
                       struct glet_cuda_place *out, struct glet_error *err)
{
    bool depthwise = kind == GLET_CUDA_DEPTHWISE, transposed = kind == GLET_CUDA_CONV_TRANSPOSE;
    int64_t groups = b->node->group > 0 ? b->node->group : 1;
    const struct glet_tensor *w = glet_cuda_tensor(b, b->node->inputs[1]);
    if (!w->data)
        return glet_cuda_unsupported(b, err, "weights that are computed");
    struct glet_cuda_weight weight = {.data = w->data,
                                      .from = w->dtype,
                                      .to = b->plan->type,
                                      .packing = depthwise    ? GLET_CUDA_PACK_DEPTHWISE
                                                 : transposed ? GLET_CUDA_PACK_TRANSPOSED
                                                              : GLET_CUDA_PACK_KRSC,
                                      .count = glet_tensor_elements(w),
                                      .k = transposed ? w->dims[1] * groups : w->dims[0],
                                      .c = depthwise    ? w->dims[0]
                                           : transposed ? w->dims[0] / groups
                                                        : w->dims[1],
                                      .groups = transposed ? groups : 0,
                                      .r = w->rank == 4 ? w->dims[2] : 1,
                                      .s = w->dims[w->rank - 1]};
    bool grouped = transposed || (!depthwise && groups > 1);
    weight.rows = depthwise ? 1 : grouped ? weight.k : glet_cuda_padded(b->plan, weight.k);
    weight.columns = grouped ? weight.c : glet_cuda_padded(b->plan, weight.c);
    int buffer = glet_cuda_weight_add(b, &weight, err);
    if (buffer < 0)
        return -1;
    int64_t dims[4] = {weight.rows, weight.r, weight.s, weight.columns};
    *out = glet_cuda_rows(buffer, weight.to, 4, dims);
    return 0;
}

/* A group of whole vectors is what the libraries take. */
static enum glet_cuda_step_kind conv_kind(const struct glet_cuda_builder *b)
{
    const struct glet_tensor *x = glet_cuda_tensor(b, b->node->inputs[0]);
    const struct glet_tensor *y = glet_cuda_tensor(b, b->node->output);
    int64_t group = b->node->group > 0 ? b->node->group : 1, vector = glet_cuda_vector(b->plan);
    if (is_depthwise(b))
        return GLET_CUDA_DEPTHWISE;
    if (group == 1 || (x->dims[1] / group % vector == 0 && y->dims[1] / group % vector == 0))
        return GLET_CUDA_CONV;
    return GLET_CUDA_CONV_DIRECT;
}

static int plan_conv(struct glet_cuda_builder *b, enum glet_cuda_step_kind kind,
                     struct glet_error *err)
{
    const struct glet_node *node = b->node;
    struct glet_cuda_place places[5] = {glet_cuda_none(), glet_cuda_none(), glet_cuda_none(),
                                        glet_cuda_none(), glet_cuda_none()};
    int64_t padded = glet_cuda_padded(b->plan, glet_cuda_tensor(b, node->output)->dims[1]);
    if (glet_cuda_want(b, node->inputs[0], GLET_CUDA_NHWC, &places[0], err) < 0 ||
        want_filter(b, kind, &places[1], err) < 0)
        return -1;
    if (node->has_bias && glet_cuda_want_vector(b, node->inputs[2], padded, &places[2], err) < 0)
        return -1;
    if (node->has_residual && glet_cuda_want(b, node->inputs[node->has_bias ? 3 : 2],
                                             GLET_CUDA_NHWC, &places[3], err) < 0)
        return -1;
    if (glet_cuda_define(b, node->output, GLET_CUDA_NHWC, &places[4], err) < 0)
        return -1;
    struct glet_cuda_place y = places[4];
    places[0] = glet_cuda_lift(&places[0]);
    places[3] = glet_cuda_lift(&places[3]);
    places[4] = glet_cuda_lift(&places[4]);
    struct glet_cuda_step *step = glet_cuda_step_add(b, kind, places, 5, err);
    if (!step)
        return -1;
    step->activation = node->activation;
    bool whole_vectors = kind == GLET_CUDA_CONV || kind == GLET_CUDA_DEPTHWISE;
    return whole_vectors ? 0 : glet_cuda_clear_channels(b, &y, err);
}

int glet_cuda_plan_conv(struct glet_cuda_builder *b, struct glet_error *err)
{
    return check(b, err) < 0 ? -1 : plan_conv(b, conv_kind(b), err);
}

int glet_cuda_plan_conv_transpose(struct glet_cuda_builder *b, struct glet_error *err)
{
    return check(b, err) < 0 ? -1 : plan_conv(b, GLET_CUDA_CONV_TRANSPOSE, err);
}

/* A map from a map. */
static int plan_map(struct glet_cuda_builder *b, enum glet_cuda_step_kind kind,
                    struct glet_error *err)
{
    struct glet_cuda_place places[2];
    if (check(b, err) < 0 ||
        glet_cuda_want(b, b->node->inputs[0], GLET_CUDA_NHWC, &places[0], err) < 0 ||
        glet_cuda_define(b, b->node->output, GLET_CUDA_NHWC, &places[1], err) < 0)
        return -1;
    places[0] = glet_cuda_lift(&places[0]);
    places[1] = glet_cuda_lift(&places[1]);
    return glet_cuda_step_add(b, kind, places, 2, err) ? 0 : -1;
}

int glet_cuda_plan_pool(struct glet_cuda_builder *b, struct glet_error *err)
{
    return plan_map(b, GLET_CUDA_POOL, err);
}

int glet_cuda_plan_lrn(struct glet_cuda_builder *b, struct glet_error *err)
{
    return plan_map(b, GLET_CUDA_LRN, err);
}

int glet_cuda_plan_resize(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_tensor *x = glet_cuda_tensor(b, b->node->inputs[0]);
    const struct glet_tensor *y = glet_cuda_tensor(b, b->node->output);
    if (check(b, err) < 0)
        return -1;
    if (x->rank != 4 || x->dims[0] != y->dims[0] || x->dims[1] != y->dims[1])
        return glet_cuda_unsupported(b, err, "only the last two of four dimensions");
    return plan_map(b, GLET_CUDA_RESIZE, err);
}
