/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nets on a fake driver under fake libraries that compute: small models, captured and replayed,
 * against the CPU device, in every way that a step can go.
 */
#include "runtime/device/cuda/plan/step_plan.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/check.h"
#include "tests/unit/cuda/cuda_bench.h"
#include "tests/unit/cuda/net_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* softmax(x q (x k)') x v: weights as they lie, lying transposed with biases, of different widths,
   and where somebody else reads one of the products. */
#define PROJECTIONS(weights, products, width)                                                      \
    "input x float batch,6,16\nints split 4 0,0,2,8\nints vsplit 4 0,0,2," width                   \
    "\n" weights products                                                                          \
    "node Reshape q0,split q1\nnode Reshape k0,split k1\nnode Reshape v0,vsplit v1\n"              \
    "node Transpose q1 q2 perm=0,2,1,3\nnode Transpose k1 k2 perm=0,2,3,1\n"                       \
    "node Transpose v1 v2 perm=0,2,1,3\nnode MatMul q2,k2 s0\nnode Softmax s0 s1 axis=-1\n"        \
    "node MatMul s1,v2 o0\nnode Transpose o0 o1 perm=0,2,1,3\n"
#define PLAIN "node MatMul x,q q0\nnode MatMul x,k k0\nnode MatMul x,v v0\n"
static const struct {
    const char *text;
    int products;   /* beside those of attention */
    int64_t widest; /* columns */
} projections[] = {
    {PROJECTIONS("weight q 16,16\nweight k 16,16\nweight v 16,16\n", PLAIN, "8") "output o1", 1,
     48},
    {PROJECTIONS("weight q 16,16\nweight k 16,16\nweight v 16,16\nweight b 16\nweight c 16\n"
                 "weight d 16\n",
                 "node Transpose q qt perm=1,0\nnode Transpose k kt perm=1,0\n"
                 "node Transpose v vt perm=1,0\nnode MatMul x,qt qm\nnode MatMul x,kt km\n"
                 "node MatMul x,vt vm\nnode Add qm,b q0\nnode Add km,c k0\nnode Add vm,d v0\n",
                 "8") "output o1",
     1, 48},
    {PROJECTIONS("weight q 16,16\nweight k 16,16\nweight v 16,32\n", PLAIN, "16") "output o1", 1,
     64},
    {PROJECTIONS("weight q 16,16\nweight k 16,16\nweight v 16,6\n", PLAIN, "3") "output o1", 2, 32},
    {PROJECTIONS("weight q 16,16\nweight k 16,16\nweight v 16,16\n", PLAIN,
                 "8") "output o1\noutput k0",
     2, 32},
    {PROJECTIONS("weight q 16,16\nweight k 16,16\nweight v 16,16\nweight b 16\n",
                 "node MatMul x,q q0\nnode MatMul x,k k0\nnode MatMul x,v vm\nnode Add vm,b v0\n",
                 "8") "output o1",
     2, 32},
};

static void every_way_is_right(void **state)
{
    static const struct {
        int refusals;
        const char *what;
    } cases[] = {
        {FAKE_REFUSE_NOTHING, "fused"},
        {FAKE_REFUSE_FUSED, "bare, or a product"},
        {FAKE_REFUSE_PITCHED, "dense, then copied"},
        {FAKE_REFUSE_CONV, "direct"},
    };
    struct job job;
    (void)state;
    job_start(&job, net_convolutions);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        job_expect(&job, GLET_CUDA_FP16, cases[i].refusals, 1e-2, cases[i].what);
        job_expect(&job, GLET_CUDA_FP32, cases[i].refusals, 1e-5, cases[i].what);
        job_expect(&job, GLET_CUDA_TF32, cases[i].refusals, 1e-5, cases[i].what);
    }
    job_end(&job);
}

/* Up again: strides, groups, padding that is added at the end, what follows; and one dimension. */
static void transposed_convolutions(void **state)
{
    static const char *const texts[] = {
        "input x float batch,6,5,4\nweight w0 6,4,3,3\nweight b0 4\nweight w1 4,5,2,3\n"
        "node LRN x l size=5 alpha:0.2 beta:0.75 bias:1.0\n"
        "node ConvTranspose l,w0,b0 c strides=2,2 pads=1,1,1,1 output_padding=1,0\n"
        "node Relu c r\nnode ConvTranspose r,w1 d strides=1,3 group=2 dilations=2,1\n"
        "node LRN d y size=2\noutput y",
        "input x float batch,3,9\nweight w0 3,8,4\nweight b0 8\n"
        "node ConvTranspose x,w0,b0 c strides=2 pads=1,1\nnode HardSwish c y\noutput y",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct job job;
        job_start(&job, texts[i]);
        job_expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_NOTHING, 1e-2, texts[i]);
        job_expect(&job, GLET_CUDA_FP32, FAKE_REFUSE_NOTHING, 1e-5, texts[i]);
        job_end(&job);
    }
}

/* By wish, one way alone: the others are not even looked for. */
static void one_way_alone(void **state)
{
    static const struct {
        const char *ways;
        bool by_library;
    } cases[] = {{"direct", false}, {"bare", true}, {"fused,dense", true}};
    struct job job;
    (void)state;
    job_start(&job, net_convolutions);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setenv("GPULET_CONV_WAYS", cases[i].ways, 1);
        job_expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_NOTHING, 1e-2, cases[i].ways);
        unsetenv("GPULET_CONV_WAYS");
        assert_true((fake_libraries_plans() > 0) == cases[i].by_library);
    }
    job_end(&job);
}

static void attention_both_ways(void **state)
{
    struct job job;
    (void)state;
    job_start(&job, net_attention);
    job_expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_NOTHING, 1e-2, "fused attention");
    assert_true(fake_libraries_plans() > 0);
    job_expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_ATTENTION, 1e-2, "attention in three steps");
    assert_int_equal(fake_libraries_plans(), 0);
    job_expect(&job, GLET_CUDA_FP32, FAKE_REFUSE_NOTHING, 1e-5, "attention in FP32");
    job_end(&job);
}

/* Products with the same input are one, where their readers take any pitch; and they are right. */
static void projections_side_by_side(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof projections / sizeof projections[0]; i++) {
        struct glet_error err = {0};
        struct glet_graph *graph;
        struct glet_cuda_plan *plan;
        struct job job;
        char what[32];
        int products = 0;
        int64_t widest = 0;
        snprintf(what, sizeof what, "projections %zu", i);
        job_start(&job, projections[i].text);
        CHECK_OK(glet_model_bind(job.model, BATCH, &graph, &err), &err);
        CHECK_OK(glet_cuda_plan_new(graph, GLET_CUDA_FP16, &plan, &err), &err);
        for (int s = 0; s < plan->step_count; s++)
            if (plan->steps[s].kind == GLET_CUDA_GEMM) {
                products++;
                widest = plan->steps[s].gemm.n > widest ? plan->steps[s].gemm.n : widest;
            }
        if (products != projections[i].products || widest != projections[i].widest)
            fail_msg("%s: %d products, the widest %d", what, products, (int)widest);
        glet_cuda_plan_free(plan);
        glet_graph_free(graph);
        job_expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_NOTHING, 1e-2, what);
        job_expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_ATTENTION, 1e-2, what);
        job_expect(&job, GLET_CUDA_FP32, FAKE_REFUSE_NOTHING, 1e-5, what);
        job_end(&job);
    }
}

static size_t actions_of(struct job *job, int refusals)
{
    struct glet_error err = {0};
    struct glet_cuda_net *net = NULL;
    struct bench bench;
    fake_cuda_configure(NULL);
    fake_libraries_reset(refusals);
    CHECK_OK(bench_open(&bench, GLET_CUDA_FP16, NULL, &err), &err);
    CHECK_OK(glet_cuda_net_build(&bench.site, job->model, BATCH, &net, &err), &err);
    size_t count = glet_cuda_net_step_count(net);
    glet_cuda_net_free(net);
    glet_cuda_store_forget(bench.store, job->model);
    bench_close(&bench);
    return count;
}

/* One action where a library has exactly that function, or can chain it; else one kernel after. */
static void activations_in_the_epilogue(void **state)
{
    static const char product[] = "input x float batch,16\nweight w 16,24\nweight b 24\n"
                                  "node MatMul x,w m\nnode Add m,b a\n";
    static const char convolution[] =
        "input x float batch,8,6,6\nweight w 16,8,3,3\nweight b 16\nweight v 16,8,1,1\n"
        "weight c 16\nnode Conv x,v,c z\nnode Conv x,w,b d pads=1,1,1,1\nnode Add d,z a\n";
#define CLIP "weight low - 0\nweight high - 6\nnode Clip a,low,high y\noutput y"
    static const struct {
        const char *text, *last;
        int refusals;
        size_t actions; /* beside the conversions of input and output */
    } cases[] = {
        {product, "opset 20\nnode Gelu a y\noutput y", FAKE_REFUSE_NOTHING, 1},
        {product, "opset 20\nnode Gelu a y\noutput y", FAKE_REFUSE_ATTENTION, 2},
        {product, "opset 20\nnode Gelu a y approximate'tanh\noutput y", FAKE_REFUSE_ATTENTION, 1},
        {product, "node Sigmoid a y\noutput y", FAKE_REFUSE_NOTHING, 1},
        {product, "node HardSwish a y\noutput y", FAKE_REFUSE_NOTHING, 2},
        {convolution, "node HardSwish a y\noutput y", FAKE_REFUSE_NOTHING, 2},
        {convolution, "node HardSwish a y\noutput y", FAKE_REFUSE_CHAINS, 3},
        {convolution, "node HardSigmoid a y\noutput y", FAKE_REFUSE_NOTHING, 3},
        {convolution, CLIP, FAKE_REFUSE_NOTHING, 3}, /* faster than an engine of the fallback */
        {convolution, "node Relu a y\noutput y", FAKE_REFUSE_CHAINS, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job job;
        char text[1024], what[32];
        snprintf(text, sizeof text, "%s%s", cases[i].text, cases[i].last);
        snprintf(what, sizeof what, "epilogue %zu", i);
        job_start(&job, text);
        size_t count = actions_of(&job, cases[i].refusals);
        if (count != cases[i].actions + 2)
            fail_msg("%s: %zu actions", what, count);
        job_expect(&job, GLET_CUDA_FP16, cases[i].refusals, 1e-2, what);
        job_expect(&job, GLET_CUDA_FP32, cases[i].refusals, 1e-5, what);
        job_end(&job);
    }
}

static void no_algorithm_names_the_node(void **state)
{
    struct glet_error err = {0};
    struct job job;
    (void)state;
    job_start(&job, net_attention);
    fake_cuda_configure(NULL);
    fake_libraries_reset(FAKE_REFUSE_GEMM);
    assert_true(job_life(&job, GLET_CUDA_FP16, NULL, &err) < 0.0);
    assert_non_null(strstr(err.message, "no algorithm"));
    assert_int_equal(err.code, GLET_ERR_DEVICE);
    job_check_clean("no algorithm");
    job_end(&job);
}

static void what_is_unsupported_is_named(void **state)
{
    static const char deep[] = "input x float batch,2,4,4,4\n"
                               "node AveragePool x y kernel_shape=2,2,2 strides=2,2,2\noutput y";
    struct glet_error err = {0};
    struct job job;
    (void)state;
    job_start(&job, deep);
    fake_cuda_configure(NULL);
    fake_libraries_reset(FAKE_REFUSE_NOTHING);
    assert_true(job_life(&job, GLET_CUDA_FP16, NULL, &err) < 0.0);
    assert_int_equal(err.code, GLET_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "node y: avg_pool of FP32 to FP32"));
    job_check_clean("unsupported");
    job_end(&job);
}

/* Two nets of one model, and both batches, share their weights. */
static void weights_are_shared(void **state)
{
    struct glet_error err = {0};
    struct glet_cuda_net *a = NULL, *b = NULL;
    struct bench bench;
    struct job job;
    (void)state;
    job_start(&job, net_convolutions);
    fake_cuda_configure(NULL);
    fake_libraries_reset(FAKE_REFUSE_NOTHING);
    assert_int_equal(bench_open(&bench, GLET_CUDA_FP16, NULL, &err), 0);
    assert_int_equal(glet_cuda_net_build(&bench.site, job.model, 1, &a, &err), 0);
    long allocations = fake_cuda_calls_of("cuMemAlloc");
    assert_int_equal(glet_cuda_net_build(&bench.site, job.model, BATCH, &b, &err), 0);
    /* arena, scratch, input, output */
    assert_true(fake_cuda_calls_of("cuMemAlloc") - allocations <= 4);
    assert_true(glet_cuda_net_activation_bytes(b) > glet_cuda_net_activation_bytes(a));
    assert_true(glet_cuda_net_step_count(b) > 8);
    assert_non_null(glet_cuda_net_step_name(b, 0));
    assert_non_null(strstr(glet_cuda_store_versions(bench.store), ", cuBLASLt 130100"));
    glet_cuda_net_free(a);
    glet_cuda_net_free(b);
    glet_cuda_store_forget(bench.store, job.model);
    bench_close(&bench);
    job_check_clean("shared weights");
    job_end(&job);
}

static const struct glet_step_time *step_of(const struct glet_step_time *times, size_t count,
                                            const char *kind)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(times[i].kind, kind) == 0)
            return &times[i];
    fail_msg("no step is %s", kind);
    return times;
}

/* What is timed is what is enqueued, and the net is right afterwards. */
static void steps_alone(void **state)
{
    static const char *const ways[] = {"cudnn", " glet_softmax_f16 "};
    (void)state;
    for (int refused = 0; refused < 2; refused++) {
        struct glet_error err = {0};
        struct glet_cuda_net *net = NULL;
        struct glet_step_time *times;
        struct bench bench;
        struct job job;
        size_t count;
        job_start(&job, net_attention);
        fake_cuda_configure(NULL);
        fake_libraries_reset(refused ? FAKE_REFUSE_ATTENTION : FAKE_REFUSE_NOTHING);
        CHECK_OK(bench_open(&bench, GLET_CUDA_FP16, NULL, &err), &err);
        CHECK_OK(glet_cuda_net_build(&bench.site, job.model, BATCH, &net, &err), &err);
        CHECK_OK(glet_cuda_net_steps(net, &times, &count, &err), &err);
        assert_int_equal(count, glet_cuda_net_step_count(net) - (refused ? 2 : 0));
        for (size_t i = 0; i < count; i++)
            if (!(times[i].ms >= 0 && times[i].bytes > 0 && *times[i].way && *times[i].shape))
                fail_msg("%s: %s %s", times[i].node, times[i].way, times[i].shape);
        const struct glet_step_time *step = step_of(times, count, "attention");
        assert_non_null(strstr(step->way, ways[refused]));
        assert_string_equal(step->shape, "2x2x6x8 keys 6");
        assert_true(step->flop > 0 && !(step->flop < 4 * 2 * 2 * 6 * 6 * 8));
        step = step_of(times, count, "gemm"); /* q, k and v at once */
        assert_string_equal(step->shape, "1x12x48x16");
        assert_float_equal(step->flop, 2 * 12 * 48 * 16, 0);
        assert_float_equal(step->bytes, 2 * (12 * 16 + 16 * 48 + 12 * 48), 0);
        free(times);
        CHECK_OK(bench_run(&bench, net, job.model, BATCH, job.inputs, job.got, &err), &err);
        assert_true(job_error(&job) < 1e-2);
        glet_cuda_net_free(net);
        glet_cuda_store_forget(bench.store, job.model);
        bench_close(&bench);
        job_check_clean("steps alone");
        job_end(&job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_is_right),
        cmocka_unit_test(transposed_convolutions),
        cmocka_unit_test(one_way_alone),
        cmocka_unit_test(attention_both_ways),
        cmocka_unit_test(projections_side_by_side),
        cmocka_unit_test(activations_in_the_epilogue),
        cmocka_unit_test(no_algorithm_names_the_node),
        cmocka_unit_test(what_is_unsupported_is_named),
        cmocka_unit_test(weights_are_shared),
        cmocka_unit_test(steps_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
