/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we say to cuDNN and cuBLASLt, said to the real ones: descriptors need no GPU to be filled and
 * finalised, so that a wrong attribute, type, count or order shows on every machine that has the
 * libraries; and cuDNN counts the engines that know a pattern on any GPU. Which of them run on one,
 * only that tells. Skipped where the libraries are not installed.
 */
#include "runtime/device/cuda/libs/gemm.h"
#include "tests/unit/check.h"
#include "tests/unit/cuda/real_libraries.h"

static _Alignas(256) char memory[4096]; /* is pointed to, never read */

static struct glet_cuda_place nhwc(enum glet_dtype dtype, int64_t n, int64_t c, int64_t h,
                                   int64_t w)
{
    return (struct glet_cuda_place){
        .dtype = dtype, .rank = 4, .dims = {n, c, h, w}, .strides = {h * w * c, 1, w * c, c}};
}

static struct glet_cuda_place rows(enum glet_dtype dtype, int64_t a, int64_t b, int64_t c,
                                   int64_t d)
{
    return (struct glet_cuda_place){
        .dtype = dtype, .rank = 4, .dims = {a, b, c, d}, .strides = {b * c * d, c * d, d, 1}};
}

static glet_dnn_tensor place(struct glet_dnn_graph *graph, struct glet_cuda_place p)
{
    return glet_dnn_place(graph, &p, memory);
}

static glet_dnn_tensor between(struct glet_dnn_graph *graph, struct glet_cuda_place p)
{
    return glet_dnn_virtual(graph, p.dtype, p.rank, p.dims, p.strides);
}

static void end(struct glet_dnn_graph *graph, int64_t engines, const char *what)
{
    struct glet_error err = graph->error;
    glet_dnn_graph_fini(graph);
    if (engines <= 0)
        fail_msg("%s: %d engines, %s", what, (int)engines, err.message);
}

/* Convolution, residual, bias, activation: 3 x 3 with stride 2, 16 to 32 channels. */
static void convolution(enum glet_dtype dtype, const struct glet_activation *activation,
                        int pitch_factor)
{
    struct glet_dnn_graph graph;
    struct glet_dnn_window window = {{1, 1}, {1, 1}, {2, 2}, {1, 1}};
    struct glet_cuda_place y = nhwc(dtype, 2, 32, 8, 8), mid = nhwc(GLET_FLOAT32, 2, 32, 8, 8);
    struct glet_cuda_place z = y;
    for (int i = 0; i < 4; i++) /* a part of a concatenation of pitch_factor x 32 channels */
        y.strides[i] *= i == 1 ? 1 : pitch_factor;
    glet_dnn_graph_init(&graph, &real_site);
    glet_dnn_tensor x = place(&graph, nhwc(dtype, 2, 16, 16, 16));
    glet_dnn_tensor w = place(&graph, nhwc(dtype, 32, 16, 3, 3)), out = place(&graph, y);
    glet_dnn_tensor product = between(&graph, mid), sum = between(&graph, mid);
    glet_dnn_tensor biased = between(&graph, mid);
    glet_dnn_conv(&graph, &window, x, w, product);
    glet_dnn_binary(&graph, CUDNN_POINTWISE_ADD, product, place(&graph, z), sum);
    glet_dnn_binary(&graph, CUDNN_POINTWISE_ADD, sum, place(&graph, nhwc(dtype, 1, 32, 1, 1)),
                    biased);
    if (activation->kind == GLET_ACT_HARD_SWISH)
        glet_dnn_hard_swish(&graph, 4, mid.dims, mid.strides, biased, out);
    else
        glet_dnn_activation(&graph, activation, biased, out);
    assert_true(graph.failed ||
                graph.operation_count == (activation->kind == GLET_ACT_HARD_SWISH ? 7 : 4));
    end(&graph, real_engines_of(&graph), glet_activation_name(activation->kind));
}

static void test_convolutions(void **state)
{
    (void)state;
    int tried = 0;
    for (int kind = 0; kind <= GLET_ACT_SIGN; kind++) {
        struct glet_activation activation = {
            .kind = (enum glet_activation_kind)kind, .a = 0.0F, .b = 6.0F};
        if (kind != GLET_ACT_CLIP)
            activation.a = 0.5F;
        if (!glet_dnn_has_activation(&activation) && kind != GLET_ACT_HARD_SWISH)
            continue;
        convolution(GLET_FLOAT16, &activation, 1);
        convolution(GLET_FLOAT16, &activation, 3);
        convolution(GLET_FLOAT32, &activation, 1);
        tried++;
    }
    assert_true(tried >= 9);
}

static struct glet_cuda_place matrix(enum glet_dtype dtype, int64_t m, int64_t n, bool transposed)
{
    return (struct glet_cuda_place){.dtype = dtype,
                                    .rank = 3,
                                    .dims = {1, m, n},
                                    .strides = {m * n, transposed ? 1 : n, transposed ? m : 1}};
}

/* A product with bias, residual and the functions that cuBLASLt lacks. */
static void test_epilogues_of_products(void **state)
{
    (void)state;
    static const enum glet_activation_kind kinds[] = {GLET_ACT_GELU_ERF, GLET_ACT_SWISH,
                                                      GLET_ACT_SIGMOID, GLET_ACT_TANH};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (int transposed = 0; transposed < 2; transposed++) {
            struct glet_dnn_graph graph;
            struct glet_activation activation = {.kind = kinds[i], .a = 1.0F};
            struct glet_cuda_place y = matrix(GLET_FLOAT16, 16, 64, false), mid = y;
            mid.dtype = GLET_FLOAT32;
            glet_dnn_graph_init(&graph, &real_site);
            glet_dnn_tensor product = between(&graph, mid), biased = between(&graph, mid);
            glet_dnn_tensor sum = between(&graph, mid);
            glet_dnn_matmul(&graph, place(&graph, matrix(GLET_FLOAT16, 16, 32, false)),
                            place(&graph, matrix(GLET_FLOAT16, 32, 64, transposed)), product);
            glet_dnn_binary(&graph, CUDNN_POINTWISE_ADD, product,
                            place(&graph, matrix(GLET_FLOAT16, 1, 64, false)), biased);
            glet_dnn_binary(&graph, CUDNN_POINTWISE_ADD, biased, place(&graph, y), sum);
            glet_dnn_activation(&graph, &activation, sum, place(&graph, y));
            end(&graph, real_engines_of(&graph), glet_activation_name(kinds[i]));
        }
}

/* Filled and then without a handle to ask: no algorithm, which is not an error. */
static void test_products(void **state)
{
    (void)state;
    static const enum glet_activation_kind kinds[] = {GLET_ACT_NONE, GLET_ACT_RELU,
                                                      GLET_ACT_GELU_TANH};
    struct glet_error err = {0};
    for (int precision = GLET_CUDA_FP16; precision <= GLET_CUDA_FP32; precision++)
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            for (int batch = 1; batch <= 3; batch += 2) {
                struct glet_activation activation = {.kind = kinds[i]};
                struct glet_cuda_gemm gemm = {.m = 8,
                                              .n = 16,
                                              .k = 32,
                                              .trans_b = true,
                                              .lda = 32,
                                              .ldb = 32,
                                              .ldc = 16,
                                              .ldy = 16,
                                              .batch = batch,
                                              .outer = 1,
                                              .stride_a = 256,
                                              .stride_c = 128,
                                              .stride_y = 128};
                struct glet_lt_operands operands = {memory, memory, memory, memory, memory};
                struct glet_lt_plan plan;
                real_store.precision = (enum glet_cuda_precision)precision;
                int found = glet_lt_choose(&real_site, &gemm, 1.0F, &activation, &operands, "test",
                                           &plan, &err);
                int32_t sms = 24;
                if (found < 0)
                    fail_msg("%s", err.message);
                assert_int_equal(
                    real_store.libraries->cublasLtMatmulDescSetAttribute(
                        plan.operation, CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, &sms, sizeof sms),
                    CUBLAS_STATUS_SUCCESS);
                glet_lt_plan_fini(&real_site, &plan);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions),
        cmocka_unit_test(test_epilogues_of_products),
        cmocka_unit_test(test_products),
    };
    int rc = real_libraries_open();
    if (rc != 0)
        return rc;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    real_libraries_close();
    return rc;
}
