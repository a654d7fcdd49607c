/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators that exporters spell out in several nodes: GELU, hard swish, layer normalisation,
 * softmax of scaled and masked scores, attention. Each is recognised when its last node is added,
 * by looking backwards. simplify.c has already turned every constant factor and addend into LINEAR,
 * so few spellings are left. A pattern only adds a node; whatever it replaces is dropped if nobody
 * else uses it.
 */
#include "runtime/engine/bind.h"

#include <math.h>

enum { NONE = -1, FAILED = -2 };

static int or_failed(int number)
{
    return number < 0 ? FAILED : number;
}

static bool near(double value, double wanted)
{
    return fabs(value - wanted) <= 1e-5 * fabs(wanted);
}

/* The node that makes `tensor` if it is this unary function. */
static const struct glet_node *unary(const struct glet_bind *b, int tensor,
                                     enum glet_activation_kind kind)
{
    const struct glet_node *node = glet_bind_maker(b, tensor);
    return node && node->op == GLET_OP_UNARY && node->activation.kind == kind ? node : NULL;
}

static const struct glet_node *binary(const struct glet_bind *b, int tensor, enum glet_binary kind)
{
    const struct glet_node *node = glet_bind_maker(b, tensor);
    return node && node->op == GLET_OP_BINARY && node->binary == kind ? node : NULL;
}

/* x * scale (scale 1 if it is not scaled): returns x. */
static int scaled(const struct glet_bind *b, int tensor, double *scale_out)
{
    const struct glet_node *node = unary(b, tensor, GLET_ACT_LINEAR);
    bool pure = node && fabsf(node->activation.b) <= 0.0f;
    *scale_out = pure ? (double)node->activation.a : 1.0;
    return pure ? node->inputs[0] : tensor;
}

/* k + k erf(x / sqrt 2): returns x, or NONE. */
static int erf_half(const struct glet_bind *b, int tensor, double *k_out)
{
    const struct glet_node *sum = unary(b, tensor, GLET_ACT_LINEAR);
    const struct glet_node *erf = sum ? unary(b, sum->inputs[0], GLET_ACT_ERF) : NULL;
    if (!erf || !near((double)sum->activation.a, (double)sum->activation.b))
        return NONE;
    double scale;
    int x = scaled(b, erf->inputs[0], &scale);
    *k_out = (double)sum->activation.a;
    return near(scale, M_SQRT1_2) ? x : NONE;
}

/* k + k tanh(sqrt(2 / pi) (x + 0.044715 x^3)): returns x, or NONE. */
static int tanh_half(const struct glet_bind *b, int tensor, double *k_out)
{
    const struct glet_node *sum = unary(b, tensor, GLET_ACT_LINEAR);
    const struct glet_node *tanh = sum ? unary(b, sum->inputs[0], GLET_ACT_TANH) : NULL;
    if (!tanh || !near((double)sum->activation.a, (double)sum->activation.b))
        return NONE;
    double outer, inner;
    const struct glet_node *add = binary(b, scaled(b, tanh->inputs[0], &outer), GLET_ADD);
    if (!add || !near(outer, M_2_SQRTPI * M_SQRT1_2))
        return NONE;
    *k_out = (double)sum->activation.a;
    for (int i = 0; i < 2; i++) {
        int x = add->inputs[i];
        int cube = scaled(b, add->inputs[1 - i], &inner);
        const struct glet_node *power = binary(b, cube, GLET_POW);
        double exponent;
        if (power && near(inner, 0.044715) && power->inputs[0] == x &&
            glet_bind_uniform(b, power->inputs[1], &exponent) && near(exponent, 3.0))
            return x;
    }
    return NONE;
}

/* factor * x * half(x), half being one of the two above; the whole needs factor * k = 1/2. */
static int gelu(struct glet_bind *b, int x, int half, double factor)
{
    double k, scale;
    int base = scaled(b, x, &scale);
    int from = erf_half(b, half, &k);
    enum glet_activation_kind kind = GLET_ACT_GELU_ERF;
    if (from == NONE) {
        from = tanh_half(b, half, &k);
        kind = GLET_ACT_GELU_TANH;
    }
    if (from == NONE)
        return NONE;
    if (from == x && near(factor * k, 0.5))
        return or_failed(glet_bind_unary(b, kind, 0.0f, 0.0f, x));
    if (from == base && near(factor * scale * k, 0.5))
        return or_failed(glet_bind_unary(b, kind, 0.0f, 0.0f, base));
    return NONE;
}

/* x * gate(x) */
static int gated(struct glet_bind *b, int x, int gate)
{
    const struct glet_node *hard = unary(b, gate, GLET_ACT_HARD_SIGMOID);
    if (hard && hard->inputs[0] == x && near((double)hard->activation.a, 1.0 / 6.0) &&
        near((double)hard->activation.b, 0.5))
        return or_failed(glet_bind_unary(b, GLET_ACT_HARD_SWISH, 0.0f, 0.0f, x));
    const struct glet_node *sigmoid = unary(b, gate, GLET_ACT_SIGMOID);
    if (!sigmoid)
        return NONE;
    double scale;
    if (sigmoid->inputs[0] == x)
        return or_failed(glet_bind_unary(b, GLET_ACT_SWISH, 1.0f, 0.0f, x));
    if (scaled(b, sigmoid->inputs[0], &scale) == x)
        return or_failed(glet_bind_unary(b, GLET_ACT_SWISH, (float)scale, 0.0f, x));
    return NONE;
}

static int match_product(struct glet_bind *b, int x, int y)
{
    int found = gelu(b, x, y, 1.0);
    return found != NONE ? found : gated(b, x, y);
}

/* factor * (x * y): the constant came last. */
static int match_scaled_product(struct glet_bind *b, const struct glet_node *node, int input)
{
    const struct glet_node *product = binary(b, input, GLET_MUL);
    if (!product || fabsf(node->activation.b) > 0.0f)
        return NONE;
    for (int i = 0; i < 2; i++) {
        int x = product->inputs[i], gate = product->inputs[1 - i];
        int found = gelu(b, x, gate, (double)node->activation.a);
        if (found != NONE)
            return found;
        /* x * clip(x + 3, 0, 6) / 6 */
        const struct glet_node *clip = unary(b, gate, GLET_ACT_CLIP);
        const struct glet_node *sum = clip ? unary(b, clip->inputs[0], GLET_ACT_LINEAR) : NULL;
        if (sum && sum->inputs[0] == x && near((double)sum->activation.a, 1.0) &&
            near((double)sum->activation.b, 3.0) && fabsf(clip->activation.a) <= 0.0f &&
            near((double)clip->activation.b, 6.0) && near((double)node->activation.a, 1.0 / 6.0))
            return or_failed(glet_bind_unary(b, GLET_ACT_HARD_SWISH, 0.0f, 0.0f, x));
    }
    return NONE;
}

/* The axis from which on a mean reduces everything, or NONE. */
static int mean_axis(const struct glet_bind *b, int tensor, int x)
{
    const struct glet_node *mean = glet_bind_producer(b, tensor);
    int rank = glet_bind_tensor(b, x)->rank;
    if (!mean || mean->op != GLET_OP_REDUCE_MEAN ||
        glet_bind_tensor(b, mean->inputs[0])->rank != rank || rank < 1)
        return NONE;
    for (int axis = 0; axis < rank; axis++) {
        uint32_t trailing = ((1u << rank) - 1) & ~((1u << axis) - 1);
        if (mean->axes_mask == trailing)
            return axis;
    }
    return NONE;
}

/* (x - mean(x)): returns x, or NONE. */
static int centred(const struct glet_bind *b, int tensor, int *axis_out)
{
    const struct glet_node *sub = binary(b, tensor, GLET_SUB);
    if (!sub)
        return NONE;
    *axis_out = mean_axis(b, sub->inputs[1], sub->inputs[0]);
    const struct glet_node *mean = *axis_out < 0 ? NULL : glet_bind_producer(b, sub->inputs[1]);
    return mean && mean->inputs[0] == sub->inputs[0] ? sub->inputs[0] : NONE;
}

/* (x - mean) / sqrt(mean((x - mean)^2) + epsilon): returns x, or NONE. */
static int normalised(const struct glet_bind *b, int tensor, int *axis_out, float *epsilon_out)
{
    const struct glet_node *division = binary(b, tensor, GLET_DIV);
    if (!division)
        return NONE;
    int x = centred(b, division->inputs[0], axis_out);
    const struct glet_node *root = unary(b, division->inputs[1], GLET_ACT_SQRT);
    const struct glet_node *sum = root ? unary(b, root->inputs[0], GLET_ACT_LINEAR) : NULL;
    if (x == NONE || !sum || !near((double)sum->activation.a, 1.0))
        return NONE;
    const struct glet_node *variance = glet_bind_producer(b, sum->inputs[0]);
    int axis = mean_axis(b, sum->inputs[0], x);
    const struct glet_node *square =
        variance && axis == *axis_out ? unary(b, variance->inputs[0], GLET_ACT_SQUARE) : NULL;
    int again;
    if (!square || centred(b, square->inputs[0], &again) != x || again != axis)
        return NONE;
    *epsilon_out = sum->activation.b;
    return x;
}

static bool covers(const struct glet_bind *b, int constant, int x, int axis)
{
    const struct glet_tensor *scale = glet_bind_tensor(b, constant);
    const struct glet_tensor *data = glet_bind_tensor(b, x);
    int64_t elements = 1;
    for (int i = axis; i < data->rank; i++)
        elements *= data->dims[i];
    return scale->data && glet_tensor_elements(scale) == elements && scale->dtype == data->dtype &&
           scale->rank >= 1 && scale->dims[scale->rank - 1] == data->dims[data->rank - 1];
}

/* normalised(x) * scale + bias */
static int match_layer_norm(struct glet_bind *b, const int *inputs, enum glet_dtype dtype,
                            const struct glet_shape *shape)
{
    for (int i = 0; i < 2; i++) {
        const struct glet_node *product = binary(b, inputs[i], GLET_MUL);
        for (int j = 0; product && j < 2; j++) {
            struct glet_node node = glet_bind_node(GLET_OP_LAYER_NORM);
            int x = normalised(b, product->inputs[j], &node.axis, &node.epsilon);
            if (x == NONE || !covers(b, product->inputs[1 - j], x, node.axis) ||
                !covers(b, inputs[1 - i], x, node.axis))
                continue;
            int operands[] = {x, product->inputs[1 - j], inputs[1 - i]};
            node.has_bias = true;
            return or_failed(glet_bind_add(b, &node, operands, 3, dtype, shape));
        }
    }
    return NONE;
}

/* softmax(alpha * scores + mask) */
static int match_softmax(struct glet_bind *b, const struct glet_node *node, int input,
                         enum glet_dtype dtype, const struct glet_shape *shape)
{
    if (node->has_mask || dtype != GLET_FLOAT32)
        return NONE;
    const struct glet_node *sum = binary(b, input, GLET_ADD);
    struct glet_node copy = *node;
    int operands[2] = {input, -1}, count = 1;
    for (int i = 0; sum && i < 2 && count == 1; i++) {
        double scale;
        int scores = scaled(b, sum->inputs[i], &scale);
        const struct glet_node *maker = glet_bind_maker(b, scores);
        struct glet_shape own = glet_bind_shape(b, scores);
        bool is_scores = maker && maker->op == GLET_OP_MATMUL && glet_shape_same(&own, shape);
        if (is_scores) {
            operands[0] = sum->inputs[i];
            operands[1] = sum->inputs[1 - i];
            count = 2;
        }
    }
    double scale;
    operands[0] = scaled(b, operands[0], &scale);
    copy.alpha = (float)((double)node->alpha * scale);
    copy.has_mask = count == 2;
    if (count == 1 && operands[0] == input)
        return NONE;
    return or_failed(glet_bind_add(b, &copy, operands, count, dtype, shape));
}

/* Takes a factor off an operand, also from below a transpose. */
static int take_scale(struct glet_bind *b, int tensor, double *alpha)
{
    double scale;
    tensor = scaled(b, tensor, &scale);
    *alpha *= scale;
    const struct glet_node *transpose = glet_bind_maker(b, tensor);
    if (!transpose || transpose->op != GLET_OP_TRANSPOSE)
        return tensor;
    int below = scaled(b, transpose->inputs[0], &scale);
    if (below == transpose->inputs[0])
        return tensor;
    *alpha *= scale;
    return glet_bind_transpose(b, below, transpose->perm);
}

/* softmax(q k^T) v, four dimensions each: batch x heads x tokens x size. */
static int match_attention(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                           enum glet_dtype dtype, const struct glet_shape *shape)
{
    const struct glet_node *softmax = glet_bind_maker(b, inputs[0]);
    if (!softmax || softmax->op != GLET_OP_SOFTMAX || softmax->axis != 3 || shape->rank != 4 ||
        node->trans_a || node->trans_b || node->has_bias || fabsf(node->alpha - 1.0f) > 0.0f ||
        dtype != GLET_FLOAT32)
        return NONE;
    const struct glet_node *scores = glet_bind_maker(b, softmax->inputs[0]);
    if (!scores || scores->op != GLET_OP_MATMUL || scores->has_bias || scores->trans_a)
        return NONE;
    double alpha = (double)softmax->alpha * (double)scores->alpha;
    int q = take_scale(b, scores->inputs[0], &alpha);
    int k = q < 0 ? -1 : take_scale(b, scores->inputs[1], &alpha);
    if (k < 0)
        return FAILED;
    if (glet_bind_tensor(b, k)->rank != 4)
        return NONE;
    if (!scores->trans_b)
        k = glet_bind_transpose(b, k, (const int[]){0, 1, 3, 2});
    if (k < 0)
        return FAILED;
    const struct glet_tensor *tq = glet_bind_tensor(b, q), *tk = glet_bind_tensor(b, k);
    const struct glet_tensor *tv = glet_bind_tensor(b, inputs[1]);
    if (tq->rank != 4 || tv->rank != 4 || tq->dims[0] != tk->dims[0] ||
        tq->dims[1] != tk->dims[1] || tv->dims[0] != tq->dims[0] || tv->dims[1] != tq->dims[1] ||
        tk->dims[2] != tv->dims[2] || tk->dims[3] != tq->dims[3])
        return NONE;
    struct glet_node attention = glet_bind_node(GLET_OP_ATTENTION);
    attention.alpha = (float)alpha;
    attention.has_mask = softmax->has_mask;
    int operands[] = {q, k, inputs[1], softmax->has_mask ? softmax->inputs[1] : -1};
    return or_failed(
        glet_bind_add(b, &attention, operands, softmax->has_mask ? 4 : 3, dtype, shape));
}

int glet_simplify_patterns(struct glet_bind *b, const struct glet_node *node, const int *inputs,
                           int count, enum glet_dtype dtype, const struct glet_shape *shape)
{
    (void)count;
    switch (node->op) {
    case GLET_OP_UNARY:
        return node->activation.kind == GLET_ACT_LINEAR ? match_scaled_product(b, node, inputs[0])
                                                        : NONE;
    case GLET_OP_BINARY:
        if (node->binary == GLET_ADD)
            return match_layer_norm(b, inputs, dtype, shape);
        if (node->binary == GLET_MUL) {
            int found = match_product(b, inputs[0], inputs[1]);
            return found != NONE ? found : match_product(b, inputs[1], inputs[0]);
        }
        return NONE;
    case GLET_OP_SOFTMAX:
        return match_softmax(b, node, inputs[0], dtype, shape);
    case GLET_OP_MATMUL:
        return match_attention(b, node, inputs, dtype, shape);
    default:
        return NONE;
    }
}
