/* SPDX-License-Identifier: Apache-2.0 */
/* Maps: operations per element, and planes to pixels. */
#include "tests/unit/cuda/kernel_table.h"

#include <string.h>

/* relu(x (in any order of dimensions) * a (per channel or constant) + b) - c */
static void maps(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct table t;
        table_start(&t, seed);
        int64_t dims[4];
        for (int i = 0; i < 4; i++)
            dims[i] = 1 + table_below(&t, i == 3 ? 24 : 7);
        if (table_below(&t, 2))
            dims[3] = table_vector(&t) * (1 + table_below(&t, 3));
        for (int i = 0; i < 5; i++)
            table_place(&t, 4, dims);
        struct glet_cuda_place *p = t.step.places;
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < 4; i++)
                if (table_below(&t, 3) == 0 && k > 0)
                    p[k].strides[i] = 0;
        if (table_below(&t, 2)) { /* x transposed */
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
        table_run(&t);
        for (int64_t i = 0; i < dims[0] * dims[1] * dims[2] * dims[3]; i++) {
            int64_t d = i % dims[3], c = i / dims[3] % dims[2], b = i / dims[3] / dims[2] % dims[1],
                    a = i / dims[3] / dims[2] / dims[1];
            double v[4];
            for (int k = 0; k < 4; k++)
                v[k] = (double)t.values[k][place_at(&p[k], a, b, c, d)];
            double r = fmax(v[0] * v[1] + v[2], 0.0);
            r = seed % 3 == 0 ? v[3] - r : r - v[3];
            table_expect(&t, seed, "map", table_result(&t, 4, i), r);
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
    table_place(&t, 1, &n)->dtype = GLET_INT64;
    table_place(&t, 1, &n)->dtype = GLET_INT64;
    table_place(&t, 1, &n)->dtype = GLET_INT64;
    t.step.kind = GLET_CUDA_MAP;
    t.step.integer = true;
    t.step.operation_count = 1;
    t.step.operations[0] = (struct glet_cuda_map_operation){
        .code = GLET_CUDA_MAP_BINARY, .binary = GLET_MOD, .input = 1};
    table_run(&t);
    static const int64_t wanted[] = {1, 1, -1, 0, 0, 0, 0};
    for (int i = 0; i < n; i++)
        assert_int_equal(((int64_t *)t.bases[2])[i], wanted[i]);
    t.step.places[2].dtype = GLET_BOOL;
    t.step.operations[0].binary = GLET_EQUAL;
    table_run(&t);
    for (int i = 0; i < n; i++)
        assert_int_equal(out[i], a[i] == b[i]);
    t.step.places[0].dtype = GLET_FLOAT64; /* and floats that an integer cannot hold */
    double d[] = {1e300, -1e300, (double)NAN, 2.9, -2.9, 0.0, -0.0};
    memcpy(t.bases[0], d, sizeof d);
    t.step.integer = false;
    t.step.place_count = 2;
    t.step.operations[0] =
        (struct glet_cuda_map_operation){.code = GLET_CUDA_MAP_CAST, .cast = GLET_INT64};
    table_run(&t);
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
            table_place(&t, 1, &n);
            table_place(&t, 1, &n);
            t.step.kind = GLET_CUDA_MAP;
            t.step.operation_count = 1;
            t.step.operations[0] =
                (struct glet_cuda_map_operation){.code = GLET_CUDA_MAP_ACTIVATION, .activation = f};
            table_run(&t);
            for (int i = 0; i < n; i++)
                table_expect(&t, seed, glet_activation_name(f.kind), table_result(&t, 1, i),
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
        int64_t n = 1 + table_below(&t, 3), c = 1 + table_below(&t, 19), h = 1 + table_below(&t, 6),
                w = 1 + table_below(&t, 6);
        table_place(&t, 4, (int64_t[]){n, c, h, w});
        struct glet_cuda_place *y = table_map(&t, n, c, h, w, table_below(&t, 2));
        t.step.kind = GLET_CUDA_MAP;
        table_run(&t);
        for (int64_t i = 0; i < n * y->channels * h * w; i++) {
            int64_t x3 = i % w, x2 = i / w % h, x1 = i / w / h % y->channels,
                    x0 = i / w / h / y->channels;
            double wanted = x1 < c ? (double)t.values[0][((x0 * c + x1) * h + x2) * w + x3] : 0.0;
            table_expect(&t, seed, "pixels", table_result(&t, 1, place_at(y, x0, x1, x2, x3)),
                         wanted);
        }
        table_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps),
        cmocka_unit_test(integers_and_types),
        cmocka_unit_test(activations),
        cmocka_unit_test(planes_to_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
