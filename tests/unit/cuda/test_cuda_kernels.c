/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels' arithmetic, from the source that GPUs run, against plain loops in double precision:
 * random shapes, strides and types. The seed of a failure is printed.
 */
#include "tests/unit/check.h"
#include "tests/unit/cuda/host_kernels.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 40, ELEMENTS = 1 << 15, MAX_PLACES = 8 };

/* Buffers 0 ... of ELEMENTS elements each, in the plan's type, and the values they were given. */
struct table {
    uint64_t random;
    struct glet_graph graph;
    struct glet_tensor tensor;
    struct glet_node node;
    struct glet_cuda_plan plan;
    struct glet_cuda_step step;
    void *bases[MAX_PLACES];
    float *values[MAX_PLACES];
    bool half;
};

static int below(struct table *t, int limit)
{
    t->random ^= t->random << 13; /* Marsaglia's xorshift64 */
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (int)(t->random >> 33) % limit;
}

static void table_start(struct table *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->random = seed * 0x9e3779b97f4a7c15u + 1;
    t->half = seed % 2;
    t->plan.type = t->half ? GLET_FLOAT16 : GLET_FLOAT32;
    t->plan.graph = &t->graph;
    t->graph.tensors = &t->tensor;
    t->tensor.rank = 4;
    t->step.node = &t->node;
    t->step.name = "test";
    for (int i = 0; i < MAX_PLACES; i++) {
        t->bases[i] = aligned_alloc(64, ELEMENTS * sizeof(float));
        t->values[i] = malloc(ELEMENTS * sizeof(float));
        uint16_t *halves = malloc(ELEMENTS * sizeof *halves);
        for (int k = 0; k < ELEMENTS; k++)
            t->values[i][k] = (float)(below(t, 2001) - 1000) / 500.0F;
        host_floats_to_halves(t->values[i], halves, ELEMENTS);
        if (t->half) { /* the values are what the halves hold */
            host_halves_to_floats(halves, t->values[i], ELEMENTS);
            memcpy(t->bases[i], halves, ELEMENTS * sizeof *halves);
        } else {
            memcpy(t->bases[i], t->values[i], ELEMENTS * sizeof(float));
        }
        free(halves);
    }
}

static void table_end(struct table *t)
{
    for (int i = 0; i < MAX_PLACES; i++) {
        free(t->bases[i]);
        free(t->values[i]);
    }
}

static float result_at(const struct table *t, int buffer, int64_t at)
{
    float value;
    if (!t->half)
        return ((const float *)t->bases[buffer])[at];
    host_halves_to_floats((const uint16_t *)t->bases[buffer] + at, &value, 1);
    return value;
}

static void run(struct table *t)
{
    struct glet_error err = {0};
    struct glet_cuda_launch launch;
    if (glet_cuda_launch_of(&t->plan, &t->step, t->bases, &launch, &err) < 0)
        fail_msg("%s", err.message);
    if (launch.grid[0] > 0 && !host_launch(&launch))
        fail_msg("no kernel %s", launch.kernel);
}

static void expect_near(const struct table *t, uint64_t seed, const char *what, float got,
                        double wanted)
{
    double tolerance = (t->half ? 2e-3 : 1e-5) * fmax(1.0, fabs(wanted));
    if (!(fabs((double)got - wanted) <= tolerance))
        fail_msg("%s, seed %d: %g instead of %g", what, (int)seed, (double)got, wanted);
}

static struct glet_cuda_place *add_place(struct table *t, int rank, const int64_t *dims)
{
    struct glet_cuda_place *p = &t->step.places[t->step.place_count];
    int64_t stride = 1;
    *p = (struct glet_cuda_place){
        .buffer = t->step.place_count++, .dtype = t->plan.type, .rank = rank};
    for (int i = rank - 1; i >= 0; i--) {
        p->dims[i] = dims[i];
        p->strides[i] = stride;
        stride *= dims[i];
    }
    return p;
}

static int64_t vector_of(const struct table *t)
{
    return t->half ? 8 : 4;
}

/* N x C x H x W with channels innermost and a pitch of whole vectors. */
static struct glet_cuda_place *add_map(struct table *t, int64_t n, int64_t c, int64_t h, int64_t w,
                                       int64_t extra_vectors)
{
    struct glet_cuda_place *p = add_place(t, 4, (int64_t[]){n, c, h, w});
    int64_t vector = vector_of(t), padded = (c + vector - 1) / vector * vector;
    int64_t pitch = padded + extra_vectors * vector;
    p->channels = padded;
    p->strides[1] = 1;
    p->strides[3] = pitch;
    p->strides[2] = pitch * w;
    p->strides[0] = pitch * w * h;
    return p;
}

static int64_t at4(const struct glet_cuda_place *p, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return p->offset + a * p->strides[0] + b * p->strides[1] + c * p->strides[2] +
           d * p->strides[3];
}

/* -- maps -------------------------------------------------------------------------------------- */

/* relu(x (in any order of dimensions) * a (per channel or constant) + b) - c */
static void maps(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t dims[4];
        for (int i = 0; i < 4; i++)
            dims[i] = 1 + below(&t, i == 3 ? 24 : 7);
        if (below(&t, 2))
            dims[3] = vector_of(&t) * (1 + below(&t, 3));
        for (int i = 0; i < 5; i++)
            add_place(&t, 4, dims);
        struct glet_cuda_place *p = t.step.places;
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < 4; i++)
                if (below(&t, 3) == 0 && k > 0)
                    p[k].strides[i] = 0;
        if (below(&t, 2)) { /* x transposed */
            p[0].strides[0] = 1;
            p[0].strides[3] = dims[0];
            p[0].strides[2] = dims[0] * dims[3];
            p[0].strides[1] = dims[0] * dims[3] * dims[2];
        }
        t.step.kind = GLET_CUDA_MAP;
        t.step.operation_count = 3;
        t.step.operations[0] =
            (struct glet_cuda_map_operation){.code = GLET_CUDA_MAP_SCALE, .input = 1};
        t.step.operations[1] = (struct glet_cuda_map_operation){
            .code = GLET_CUDA_MAP_ACTIVATION, .activation = {.kind = GLET_ACT_RELU}};
        t.step.operations[2] = (struct glet_cuda_map_operation){
            .code = GLET_CUDA_MAP_BINARY, .binary = GLET_SUB, .swapped = seed % 3 == 0, .input = 3};
        run(&t);
        for (int64_t i = 0; i < dims[0] * dims[1] * dims[2] * dims[3]; i++) {
            int64_t d = i % dims[3], c = i / dims[3] % dims[2], b = i / dims[3] / dims[2] % dims[1],
                    a = i / dims[3] / dims[2] / dims[1];
            double v[4];
            for (int k = 0; k < 4; k++)
                v[k] = (double)t.values[k][at4(&p[k], a, b, c, d)];
            double r = fmax(v[0] * v[1] + v[2], 0.0);
            r = seed % 3 == 0 ? v[3] - r : r - v[3];
            expect_near(&t, seed, "map", result_at(&t, 4, i), r);
        }
        table_end(&t);
    }
}

static void integers_and_types(void **state)
{
    (void)state;
    struct table t;
    table_start(&t, 2);
    int64_t n = 7;
    int64_t *x = t.bases[0], *y = t.bases[1];
    bool *out = t.bases[2];
    int64_t a[] = {1, -7, 7, INT64_MIN, 5, 0, 1LL << 60}, b[] = {3, 2, -2, -1, 0, 5, 1LL << 60};
    memcpy(x, a, sizeof a);
    memcpy(y, b, sizeof b);
    add_place(&t, 1, &n)->dtype = GLET_INT64;
    add_place(&t, 1, &n)->dtype = GLET_INT64;
    add_place(&t, 1, &n)->dtype = GLET_INT64;
    t.step.kind = GLET_CUDA_MAP;
    t.step.integer = true;
    t.step.operation_count = 1;
    t.step.operations[0] = (struct glet_cuda_map_operation){
        .code = GLET_CUDA_MAP_BINARY, .binary = GLET_MOD, .input = 1};
    run(&t);
    static const int64_t wanted[] = {1, 1, -1, 0, 0, 0, 0};
    for (int i = 0; i < n; i++)
        assert_int_equal(((int64_t *)t.bases[2])[i], wanted[i]);
    t.step.places[2].dtype = GLET_BOOL;
    t.step.operations[0].binary = GLET_EQUAL;
    run(&t);
    for (int i = 0; i < n; i++)
        assert_int_equal(out[i], a[i] == b[i]);
    t.step.places[0].dtype = GLET_FLOAT64; /* and floats that an integer cannot hold */
    double d[] = {1e300, -1e300, (double)NAN, 2.9, -2.9, 0.0, -0.0};
    memcpy(t.bases[0], d, sizeof d);
    t.step.integer = false;
    t.step.place_count = 2;
    t.step.operations[0] =
        (struct glet_cuda_map_operation){.code = GLET_CUDA_MAP_CAST, .cast = GLET_INT64};
    run(&t);
    static const int64_t cut[] = {INT64_MAX, INT64_MIN, 0, 2, -2, 0, 0};
    for (int i = 0; i < n; i++)
        assert_int_equal(((int64_t *)t.bases[1])[i], cut[i]);
    table_end(&t);
}

static double activation(const struct glet_activation *f, double x)
{
    double a = (double)f->a, b = (double)f->b;
    switch (f->kind) {
    case GLET_ACT_RELU:
        return fmax(x, 0.0);
    case GLET_ACT_LEAKY_RELU:
        return x < 0.0 ? a * x : x;
    case GLET_ACT_CLIP:
        return fmin(fmax(x, a), b);
    case GLET_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case GLET_ACT_TANH:
        return tanh(x);
    case GLET_ACT_GELU_ERF:
        return 0.5 * x * (1.0 + erf(x * M_SQRT1_2));
    case GLET_ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case GLET_ACT_HARD_SIGMOID:
        return fmin(fmax(a * x + b, 0.0), 1.0);
    case GLET_ACT_HARD_SWISH:
        return x * fmin(fmax(x / 6.0 + 0.5, 0.0), 1.0);
    case GLET_ACT_SWISH:
        return x / (1.0 + exp(-a * x));
    case GLET_ACT_ELU:
        return x < 0.0 ? a * expm1(x) : x;
    case GLET_ACT_LINEAR:
        return a * x + b;
    case GLET_ACT_EXP:
        return exp(x);
    case GLET_ACT_ABS:
        return fabs(x);
    case GLET_ACT_NEG:
        return -x;
    case GLET_ACT_ERF:
        return erf(x);
    case GLET_ACT_FLOOR:
        return floor(x);
    case GLET_ACT_CEIL:
        return ceil(x);
    case GLET_ACT_SQUARE:
        return x * x;
    case GLET_ACT_SOFTPLUS:
        return log1p(exp(x));
    case GLET_ACT_SIN:
        return sin(x);
    case GLET_ACT_COS:
        return cos(x);
    case GLET_ACT_ROUND:
        return rint(x);
    case GLET_ACT_SIGN:
        return (x > 0.0) - (x < 0.0);
    default:
        return x;
    }
}

static void activations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++)
        for (int kind = GLET_ACT_NONE; kind <= GLET_ACT_SIGN; kind++) {
            struct glet_activation f = {(enum glet_activation_kind)kind, 0.25F, 0.75F};
            if (kind == GLET_ACT_SQRT || kind == GLET_ACT_LOG || kind == GLET_ACT_RECIPROCAL ||
                kind == GLET_ACT_NOT)
                continue; /* of positive numbers, or of truths */
            struct table t;
            int64_t n = 160;
            table_start(&t, seed);
            add_place(&t, 1, &n);
            add_place(&t, 1, &n);
            t.step.kind = GLET_CUDA_MAP;
            t.step.operation_count = 1;
            t.step.operations[0] =
                (struct glet_cuda_map_operation){.code = GLET_CUDA_MAP_ACTIVATION, .activation = f};
            run(&t);
            for (int i = 0; i < n; i++)
                expect_near(&t, seed, glet_activation_name(f.kind), result_at(&t, 1, i),
                            activation(&f, (double)t.values[0][i]));
            table_end(&t);
        }
}

/* Planes to pixels: what the padding holds afterwards is zero. */
static void planes_to_pixels(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t n = 1 + below(&t, 3), c = 1 + below(&t, 19), h = 1 + below(&t, 6),
                w = 1 + below(&t, 6);
        add_place(&t, 4, (int64_t[]){n, c, h, w});
        struct glet_cuda_place *y = add_map(&t, n, c, h, w, below(&t, 2));
        t.step.kind = GLET_CUDA_MAP;
        run(&t);
        for (int64_t i = 0; i < n * y->channels * h * w; i++) {
            int64_t x3 = i % w, x2 = i / w % h, x1 = i / w / h % y->channels,
                    x0 = i / w / h / y->channels;
            double wanted = x1 < c ? (double)t.values[0][((x0 * c + x1) * h + x2) * w + x3] : 0.0;
            expect_near(&t, seed, "pixels", result_at(&t, 1, at4(y, x0, x1, x2, x3)), wanted);
        }
        table_end(&t);
    }
}

/* -- windows ----------------------------------------------------------------------------------- */

static void random_window(struct table *t, int64_t size, int i, int64_t *out_size)
{
    struct glet_node *n = &t->node;
    n->kernel[i] = 1 + below(t, 5);
    n->strides[i] = 1 + below(t, 2);
    n->dilations[i] = 1 + (below(t, 4) == 0);
    int64_t reach = (n->kernel[i] - 1) * n->dilations[i] + 1;
    n->pads_begin[i] = below(t, (int)n->kernel[i]);
    n->pads_end[i] = below(t, (int)n->kernel[i]);
    if (size + n->pads_begin[i] + n->pads_end[i] < reach)
        n->pads_end[i] = reach - size - n->pads_begin[i];
    *out_size = (size + n->pads_begin[i] + n->pads_end[i] - reach) / n->strides[i] + 1;
}

static double pool_reference(const struct table *t, const struct glet_cuda_place *x, int64_t n,
                             int64_t c, int64_t i, int64_t j, bool is_max)
{
    const struct glet_node *node = &t->node;
    double best = -INFINITY, sum = 0.0;
    int64_t count = 0;
    for (int64_t p = 0; p < node->kernel[0]; p++)
        for (int64_t q = 0; q < node->kernel[1]; q++) {
            int64_t h = i * node->strides[0] - node->pads_begin[0] + p * node->dilations[0];
            int64_t w = j * node->strides[1] - node->pads_begin[1] + q * node->dilations[1];
            if (h < 0 || w < 0 || h >= x->dims[2] || w >= x->dims[3]) {
                count += node->count_include_pad && h < x->dims[2] + node->pads_end[0] &&
                         w < x->dims[3] + node->pads_end[1];
                continue;
            }
            double value = (double)t->values[0][at4(x, n, c, h, w)];
            best = fmax(best, value);
            sum += value;
            count++;
        }
    return is_max ? best : sum / (double)(count ? count : 1);
}

static void pools(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t n = 1 + below(&t, 2), c = 1 + below(&t, 40), h = 4 + below(&t, 5), oh, ow;
        bool global = seed % 5 == 0, is_max = below(&t, 2);
        random_window(&t, h, 0, &oh);
        random_window(&t, h, 1, &ow);
        if (global) {
            memset(&t.node, 0, sizeof t.node);
            t.node.kernel[0] = t.node.kernel[1] = h;
            oh = ow = 1;
        }
        t.node.op = is_max ? GLET_OP_MAX_POOL : GLET_OP_AVG_POOL;
        t.node.count_include_pad = below(&t, 2);
        struct glet_cuda_place *x = add_map(&t, n, c, h, h, below(&t, 2));
        struct glet_cuda_place *y = add_map(&t, n, c, oh, ow, below(&t, 2));
        if (global)
            for (int i = 0; i < 2; i++)
                t.node.strides[i] = t.node.dilations[i] = 1;
        t.step.kind = GLET_CUDA_POOL;
        run(&t);
        for (int64_t i = 0; i < n * c * oh * ow; i++) {
            int64_t d = i % ow, k = i / ow % oh, ch = i / ow / oh % c, b = i / ow / oh / c;
            double wanted = pool_reference(&t, x, b, ch, k, d, is_max);
            if (isfinite(wanted)) /* a window that lies in the padding holds nothing */
                expect_near(&t, seed, "pool", result_at(&t, 1, at4(y, b, ch, k, d)), wanted);
        }
        table_end(&t);
    }
}

/* Depthwise, and direct with groups; bias, residual, activation. */
static void convolutions(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3 * ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        bool depthwise = seed % 3 != 0;
        int64_t n = 1 + below(&t, 2), c = 2 * (1 + below(&t, 9)), h = 5 + below(&t, 4), oh, ow;
        int64_t group = depthwise ? c : 2, k = depthwise ? c : 2 * (1 + below(&t, 5));
        random_window(&t, h, 0, &oh);
        random_window(&t, h, 1, &ow);
        if (below(&t, 2)) { /* the shapes that have kernels of their own */
            for (int i = 0; i < 2; i++) {
                t.node.kernel[i] = seed % 4 < 2 ? 3 : 5;
                t.node.strides[i] = 1 + seed / 4 % 2;
                t.node.dilations[i] = 1;
                t.node.pads_begin[i] = t.node.pads_end[i] = t.node.kernel[i] / 2;
            }
            oh = ow = (h - 1) / t.node.strides[0] + 1;
        }
        int64_t per_group = c / group, vector = vector_of(&t);
        int64_t columns = depthwise ? (c + vector - 1) / vector * vector : per_group;
        int64_t r = t.node.kernel[0], s = t.node.kernel[1];
        t.node.group = group;
        t.node.op = GLET_OP_CONV;
        struct glet_cuda_place *x = add_map(&t, n, c, h, h, below(&t, 2));
        add_place(&t, 4, (int64_t[]){depthwise ? 1 : k, r, s, columns});
        add_place(&t, 1, &k)->channels = k;
        struct glet_cuda_place *z = add_map(&t, n, k, oh, ow, 0);
        struct glet_cuda_place *y = add_map(&t, n, k, oh, ow, below(&t, 2));
        bool bias = below(&t, 2), residual = below(&t, 2);
        if (!bias)
            t.step.places[2].buffer = -1;
        if (!residual)
            t.step.places[3].buffer = -1;
        t.step.kind = depthwise ? GLET_CUDA_DEPTHWISE : GLET_CUDA_CONV_DIRECT;
        t.step.activation.kind = seed % 2 ? GLET_ACT_RELU : GLET_ACT_NONE;
        run(&t);
        for (int64_t i = 0; i < n * k * oh * ow; i++) {
            int64_t ox = i % ow, oy = i / ow % oh, m = i / ow / oh % k, b = i / ow / oh / k;
            double sum = bias ? (double)t.values[2][m] : 0.0;
            for (int64_t g = 0; g < per_group; g++)
                for (int64_t p = 0; p < r; p++)
                    for (int64_t q = 0; q < s; q++) {
                        int64_t a =
                            oy * t.node.strides[0] - t.node.pads_begin[0] + p * t.node.dilations[0];
                        int64_t d =
                            ox * t.node.strides[1] - t.node.pads_begin[1] + q * t.node.dilations[1];
                        if (a < 0 || d < 0 || a >= h || d >= h)
                            continue;
                        int64_t channel = depthwise ? m : m / (k / group) * per_group + g;
                        int64_t w = depthwise ? (p * s + q) * columns + m
                                              : ((m * r + p) * s + q) * columns + g;
                        sum +=
                            (double)t.values[0][at4(x, b, channel, a, d)] * (double)t.values[1][w];
                    }
            sum += residual ? (double)t.values[3][at4(z, b, m, oy, ox)] : 0.0;
            if (t.step.activation.kind == GLET_ACT_RELU)
                sum = fmax(sum, 0.0);
            expect_near(&t, seed, "convolution", result_at(&t, 4, at4(y, b, m, oy, ox)), sum);
        }
        table_end(&t);
    }
}

/* -- rows -------------------------------------------------------------------------------------- */

static void softmaxes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t b = 1 + below(&t, 3), heads = 1 + below(&t, 3), rows = 1 + below(&t, 5),
                n = 1 + below(&t, 70);
        struct glet_cuda_place *x = add_place(&t, 4, (int64_t[]){b, heads, rows, n});
        struct glet_cuda_place *mask = add_place(&t, 4, (int64_t[]){b, heads, rows, n});
        struct glet_cuda_place *y = add_place(&t, 4, (int64_t[]){b, heads, rows, n});
        bool masked = below(&t, 2);
        mask->strides[0] = n; /* one row per batch */
        mask->strides[1] = mask->strides[2] = 0;
        if (!masked)
            mask->buffer = -1;
        t.node.alpha = 0.5F;
        t.step.kind = GLET_CUDA_SOFTMAX;
        run(&t);
        for (int64_t row = 0; row < b * heads * rows; row++) {
            int64_t i = row / rows / heads, j = row / rows % heads, k = row % rows;
            double sum = 0.0;
            for (int pass = 0; pass < 2; pass++)
                for (int64_t d = 0; d < n; d++) {
                    double value = 0.5 * (double)t.values[0][at4(x, i, j, k, d)];
                    value =
                        exp(value + (masked ? (double)t.values[1][at4(mask, i, j, k, d)] : 0.0));
                    if (pass == 0)
                        sum += value;
                    else
                        expect_near(&t, seed, "softmax", result_at(&t, 2, at4(y, i, j, k, d)),
                                    value / sum);
                }
        }
        table_end(&t);
    }
}

static void nothing_but_minus_infinity(void **state)
{
    (void)state;
    struct table t;
    table_start(&t, 2);
    int64_t dims[] = {1, 5};
    for (int i = 0; i < 5; i++)
        ((float *)t.bases[0])[i] = -INFINITY;
    add_place(&t, 2, dims);
    add_place(&t, 2, dims)->buffer = -1;
    add_place(&t, 2, dims);
    t.node.alpha = 1.0F;
    t.step.kind = GLET_CUDA_SOFTMAX;
    run(&t);
    for (int i = 0; i < 5; i++)
        assert_true(result_at(&t, 2, i) == 0.0F);
    table_end(&t);
}

static void layer_norms(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t rows = 1 + below(&t, 9), n = 2 + below(&t, 200);
        if (below(&t, 2))
            n = vector_of(&t) * (1 + below(&t, 50));
        add_place(&t, 2, (int64_t[]){rows, n});
        add_place(&t, 1, &n);
        add_place(&t, 1, &n);
        add_place(&t, 2, (int64_t[]){rows, n});
        bool bias = below(&t, 2);
        if (!bias)
            t.step.places[2].buffer = -1;
        t.node.epsilon = 1e-5F;
        t.step.kind = GLET_CUDA_LAYER_NORM;
        run(&t);
        for (int64_t row = 0; row < rows; row++) {
            const float *x = t.values[0] + row * n;
            double mean = 0.0, variance = 0.0;
            for (int64_t i = 0; i < n; i++)
                mean += (double)x[i] / (double)n;
            for (int64_t i = 0; i < n; i++)
                variance += pow((double)x[i] - mean, 2.0) / (double)n;
            for (int64_t i = 0; i < n; i++)
                expect_near(&t, seed, "layer norm", result_at(&t, 3, row * n + i),
                            ((double)x[i] - mean) / sqrt(variance + 1e-5) * (double)t.values[1][i] +
                                (bias ? (double)t.values[2][i] : 0.0));
        }
        table_end(&t);
    }
}

static void reductions(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t dims[4], strides[4], outputs = 1;
        for (int i = 0; i < 4; i++)
            dims[i] = 1 + below(&t, 6);
        struct glet_cuda_place *x = add_place(&t, 4, dims), *y = add_place(&t, 4, dims);
        t.node.axes_mask = (uint32_t)below(&t, 16);
        t.node.op = (enum glet_op)(GLET_OP_REDUCE_MEAN + below(&t, 4));
        for (int i = 3; i >= 0; i--) {
            bool gone = t.node.axes_mask >> i & 1u;
            y->strides[i] = strides[i] = gone ? 0 : outputs;
            outputs *= gone ? 1 : dims[i];
        }
        t.step.kind = GLET_CUDA_REDUCE;
        run(&t);
        for (int64_t o = 0; o < outputs; o++) {
            double sum = 0.0, top = -INFINITY, low = INFINITY;
            int64_t count = 0;
            for (int64_t i = 0; i < dims[0] * dims[1] * dims[2] * dims[3]; i++) {
                int64_t d = i % dims[3], c = i / dims[3] % dims[2],
                        b = i / dims[3] / dims[2] % dims[1], a = i / dims[3] / dims[2] / dims[1];
                if (a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3] != o)
                    continue;
                double value = (double)t.values[0][at4(x, a, b, c, d)];
                sum += value;
                top = fmax(top, value);
                low = fmin(low, value);
                count++;
            }
            double wanted = t.node.op == GLET_OP_REDUCE_MEAN  ? sum / (double)count
                            : t.node.op == GLET_OP_REDUCE_SUM ? sum
                            : t.node.op == GLET_OP_REDUCE_MAX ? top
                                                              : low;
            expect_near(&t, seed, "reduction", result_at(&t, 1, o), wanted);
        }
        table_end(&t);
    }
}

/* -- movement ---------------------------------------------------------------------------------- */

/* Indices of a request may be anything. */
static void gathers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t outer = 1 + below(&t, 3), axis = 1 + below(&t, 9), inner = 1 + below(&t, 20),
                count = 1 + below(&t, 12);
        int64_t indices[12];
        for (int i = 0; i < count; i++)
            indices[i] = below(&t, 4) ? below(&t, (int)(2 * axis)) - axis
                                      : (below(&t, 2) ? INT64_MAX - i : INT64_MIN + i);
        memcpy(t.bases[1], indices, sizeof indices);
        add_place(&t, 3, (int64_t[]){outer, axis, inner});
        add_place(&t, 1, &count)->dtype = GLET_INT64;
        add_place(&t, 3, (int64_t[]){outer, count, inner});
        t.step.kind = GLET_CUDA_GATHER;
        run(&t);
        for (int64_t i = 0; i < outer * count * inner; i++) {
            int64_t from = indices[i / inner % count];
            if (from < -axis || from >= axis)
                continue;
            from = from < 0 ? from + axis : from;
            expect_near(&t, seed, "gather", result_at(&t, 2, i),
                        (double)t.values[0][(i / inner / count * axis + from) * inner + i % inner]);
        }
        table_end(&t);
    }
}

static void pads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t in[4], out[4];
        for (int i = 0; i < 4; i++) {
            in[i] = 2 + below(&t, 4);
            t.node.pads_begin[i] = below(&t, (int)in[i]);
            out[i] = in[i] + t.node.pads_begin[i] + below(&t, (int)in[i]);
        }
        t.node.mode = (int)(seed % 3);
        t.node.alpha = 0.5F;
        struct glet_cuda_place *x = add_place(&t, 4, in), *y = add_place(&t, 4, out);
        t.step.kind = GLET_CUDA_PAD;
        run(&t);
        for (int64_t i = 0; i < out[0] * out[1] * out[2] * out[3]; i++) {
            int64_t at[4], rest = i;
            bool outside = false;
            for (int d = 3; d >= 0; d--) {
                at[d] = rest % out[d] - t.node.pads_begin[d];
                rest /= out[d];
                if (at[d] >= 0 && at[d] < in[d])
                    continue;
                outside = true;
                if (t.node.mode == 1)
                    at[d] = at[d] < 0 ? -at[d] : 2 * (in[d] - 1) - at[d];
                else
                    at[d] = at[d] < 0 ? 0 : in[d] - 1;
            }
            double wanted = outside && t.node.mode == 0
                                ? 0.5
                                : (double)t.values[0][at4(x, at[0], at[1], at[2], at[3])];
            expect_near(&t, seed, "pad", result_at(&t, 1, y->offset + i), wanted);
        }
        table_end(&t);
    }
}

static void packing(void **state)
{
    (void)state;
    static const float big[] = {1e30F, -1e30F, INFINITY, 65504.0F, 1.0F, 2.0F, 3.0F, 4.0F};
    uint16_t out[16];
    float back[16];
    struct glet_cuda_weight w = {.data = big,
                                 .from = GLET_FLOAT32,
                                 .to = GLET_FLOAT16,
                                 .packing = GLET_CUDA_PACK_PLAIN,
                                 .count = 5,
                                 .bytes = 16};
    glet_cuda_weight_pack(&w, out);
    host_halves_to_floats(out, back, 8);
    static const float wanted[] = {65504.0F, -65504.0F, INFINITY, 65504.0F, 1.0F, 0.0F, 0.0F, 0.0F};
    for (int i = 0; i < 8; i++)
        assert_true(back[i] == wanted[i]);
    /* 2 x 2 x 1 x 2 to rows of 3 columns: [k][s][c] */
    struct glet_cuda_weight krsc = {.data = big,
                                    .from = GLET_FLOAT32,
                                    .to = GLET_FLOAT32,
                                    .packing = GLET_CUDA_PACK_KRSC,
                                    .count = 8,
                                    .k = 2,
                                    .c = 2,
                                    .r = 1,
                                    .s = 2,
                                    .rows = 2,
                                    .columns = 3,
                                    .bytes = 48};
    glet_cuda_weight_pack(&krsc, back);
    static const int from[12] = {0, 2, -1, 1, 3, -1, 4, 6, -1, 5, 7, -1};
    for (int i = 0; i < 12; i++)
        assert_true(back[i] == (from[i] < 0 ? 0.0F : big[from[i]]));
    /* 2 x 2 beside 2 x 1 */
    struct glet_cuda_weight beside = {.from = GLET_FLOAT32,
                                      .to = GLET_FLOAT32,
                                      .packing = GLET_CUDA_PACK_BESIDE,
                                      .count = 6,
                                      .rows = 2,
                                      .beside = {{big, 2}, {big + 4, 1}},
                                      .bytes = 24};
    glet_cuda_weight_pack(&beside, back);
    static const int side[6] = {0, 1, 4, 2, 3, 5};
    for (int i = 0; i < 6; i++)
        assert_true(back[i] == big[side[i]]);
    struct glet_cuda_weight other = beside;
    assert_true(glet_cuda_weight_same(&beside, &other));
    other.beside[1].data = big;
    assert_false(glet_cuda_weight_same(&beside, &other));
}

/* The fast conversion of weights against the general one, over the whole range of exponents. */
static void halves(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int i = 0; i < 200000; i++) {
        float value, wanted;
        double wide;
        uint16_t got, general;
        random = random * 1664525u + 1013904223u;
        uint32_t bits = i < 1000 ? (uint32_t)i << 16 | 0x1000u : random;
        memcpy(&value, &bits, sizeof value);
        if (isnan(value))
            continue;
        wide = (double)value;
        struct glet_cuda_weight fast = {.data = &value,
                                        .from = GLET_FLOAT32,
                                        .to = GLET_FLOAT16,
                                        .packing = GLET_CUDA_PACK_PLAIN,
                                        .count = 1,
                                        .bytes = 2};
        struct glet_cuda_weight slow = fast;
        slow.data = &wide;
        slow.from = GLET_FLOAT64;
        glet_cuda_weight_pack(&fast, &got);
        glet_cuda_weight_pack(&slow, &general);
        host_halves_to_floats(&got, &wanted, 1);
        if (got != general)
            fail_msg("%g becomes %g", wide, (double)wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps),        cmocka_unit_test(integers_and_types),
        cmocka_unit_test(activations), cmocka_unit_test(planes_to_pixels),
        cmocka_unit_test(pools),       cmocka_unit_test(convolutions),
        cmocka_unit_test(softmaxes),   cmocka_unit_test(nothing_but_minus_infinity),
        cmocka_unit_test(layer_norms), cmocka_unit_test(reductions),
        cmocka_unit_test(gathers),     cmocka_unit_test(pads),
        cmocka_unit_test(packing),     cmocka_unit_test(halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
