/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nets on a fake driver under fake libraries that compute: small models, captured and replayed,
 * against the CPU device, in every way that a convolution can go; the cache of choices; and every
 * call of a library failing once.
 */
#include "runtime/device/cpu/net/cpu_net.h"
#include "runtime/device/cuda/plan/step_plan.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/doubles/cuda/fake_libraries.h"
#include "tests/unit/check.h"
#include "tests/unit/cuda/cuda_bench.h"
#include "tests/unit/engine/onnx_text.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* 1 x 1 and 3 x 3, padded channels, depthwise, an activation that libraries lack, a residual, a
   concatenation in place, pools, a layer. */
static const char convolutions[] =
    "input x float batch,3,6,6\nweight w0 16,3,3,3\nweight b0 16\nweight w1 16,1,3,3\nweight b1 "
    "16\n"
    "weight w2 16,16,1,1\nweight b2 16\nweight w3 8,16,3,3\nweight b3 8\nweight w4 12,24,1,1\n"
    "weight b4 12\nweight low - 0\nweight high - 6\nweight f 12,5\nweight fb 5\n"
    "node Conv x,w0,b0 c0 pads=1,1,1,1\nnode HardSwish c0 h0\n"
    "node Conv h0,w1,b1 c1 pads=1,1,1,1 group=16\nnode Clip c1,low,high h1\n"
    "node Conv h1,w2,b2 c2\nnode Add c2,h0 r2\nnode Relu r2 h2\n"
    "node Conv h2,w3,b3 c3 pads=1,1,1,1\nnode Relu c3 h3\n"
    "node Concat h2,h3 j axis=1\nnode Conv j,w4,b4 c4\nnode Clip c4,low,high h4\n"
    "node MaxPool h4 p kernel_shape=2,2 strides=2,2\nnode GlobalAveragePool p g\n"
    "node Flatten g fl\nnode Gemm fl,f,fb y\noutput y";

static const char attention[] =
    "input x float batch,6,16\ninput m float batch,1,1,6\nweight q 16,16\nweight k 16,16\n"
    "weight v 16,16\nweight scale - 0.35355338\nweight g 16\nweight gb 16\n"
    "ints split 4 0,0,2,8\nints join 3 0,0,16\n"
    "node MatMul x,q q0\nnode MatMul x,k k0\nnode MatMul x,v v0\n"
    "node Reshape q0,split q1\nnode Reshape k0,split k1\nnode Reshape v0,split v1\n"
    "node Transpose q1 q2 perm=0,2,1,3\nnode Transpose k1 k2 perm=0,2,3,1\n"
    "node Transpose v1 v2 perm=0,2,1,3\nnode MatMul q2,k2 s0\nnode Mul s0,scale s1\n"
    "node Add s1,m s2\nnode Softmax s2 s3 axis=-1\nnode MatMul s3,v2 o0\n"
    "node Transpose o0 o1 perm=0,2,1,3\nnode Reshape o1,join o2\nnode Add o2,x a\n"
    "node LayerNormalization a,g,gb n axis=-1\nnode Tanh n y\noutput y";

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

/* A call of everything, and no more: its life is lived once per call. */
static const char little[] =
    "input x float batch,3,4,4\nweight w 8,3,3,3\nweight b 8\nweight v 8,8,1,1\nweight c 8\n"
    "weight f 8,3\nnode Conv x,w,b a pads=1,1,1,1\nnode HardSigmoid a h\nnode Conv h,v,c d\n"
    "node Relu d e\nnode GlobalAveragePool e g\nnode Flatten g l\nnode MatMul l,f y\noutput y";

enum { BATCH = 2, MAX_IO = 4 };

struct job {
    struct glet_model *model;
    void *inputs[MAX_IO], *got[MAX_IO], *wanted[MAX_IO];
};

static void *random_floats(size_t bytes, uint32_t *state)
{
    float *data = malloc(bytes);
    for (size_t i = 0; i < bytes / sizeof *data; i++) {
        *state = *state * 1664525u + 1013904223u;
        data[i] = (float)(*state >> 8) / (float)(1 << 23) - 1.0F;
    }
    return data;
}

static void job_start(struct job *job, const char *text)
{
    struct glet_error err = {0};
    struct glet_model_options options = {.random_weights = true, .seed = 7};
    struct onnx_bytes bytes = onnx_from_text(text);
    struct glet_cpu_packs *packs;
    struct glet_cpu_net *net;
    uint32_t state = 1;
    memset(job, 0, sizeof *job);
    if (onnx_load(bytes.bytes, bytes.length, &options, &job->model, &err) < 0 ||
        glet_cpu_packs_new(&packs, &err) < 0 ||
        glet_cpu_net_build(packs, job->model, BATCH, 1, &net, &err) < 0)
        fail_msg("%s", err.message);
    free(bytes.bytes);
    for (size_t i = 0; i < glet_model_input_count(job->model); i++) {
        job->inputs[i] =
            random_floats(glet_model_input(job->model, i)->bytes * (size_t)BATCH, &state);
        glet_cpu_net_bind_input(net, i, job->inputs[i]);
    }
    for (size_t i = 0; i < glet_model_output_count(job->model); i++) {
        job->got[i] = calloc(BATCH, glet_model_output(job->model, i)->bytes);
        job->wanted[i] = calloc(BATCH, glet_model_output(job->model, i)->bytes);
        glet_cpu_net_bind_output(net, i, job->wanted[i]);
    }
    assert_int_equal(glet_cpu_net_run(net, BATCH, &err), 0);
    glet_cpu_net_free(net);
    glet_cpu_packs_free(packs);
}

static void job_end(struct job *job)
{
    for (int i = 0; i < MAX_IO; i++) {
        free(job->inputs[i]);
        free(job->got[i]);
        free(job->wanted[i]);
    }
    glet_model_free(job->model);
}

static double error_of(const struct job *job)
{
    double difference = 0.0, norm = 1e-30;
    const float *got = job->got[0], *wanted = job->wanted[0];
    size_t count = glet_model_output(job->model, 0)->bytes * BATCH / sizeof *got;
    for (size_t i = 0; i < count; i++) {
        difference += pow((double)got[i] - (double)wanted[i], 2.0);
        norm += pow((double)wanted[i], 2.0);
    }
    return sqrt(difference / norm);
}

/* One life of a gpu-let with one net; the error of what it computed, or -1 with err filled. */
static double life(struct job *job, enum glet_cuda_precision precision, const char *folder,
                   struct glet_error *err)
{
    struct bench bench;
    struct glet_cuda_net *net = NULL;
    int rc = bench_open(&bench, precision, folder, err);
    if (rc == 0)
        rc = glet_cuda_net_build(&bench.site, job->model, BATCH, &net, err);
    if (rc == 0)
        rc = bench_run(&bench, net, job->model, BATCH, job->inputs, job->got, err);
    glet_cuda_net_free(net);
    if (bench.store)
        glet_cuda_store_forget(bench.store, job->model);
    bench_close(&bench);
    return rc < 0 ? -1.0 : error_of(job);
}

static void assert_clean(const char *when)
{
    if (fake_libraries_breaches() || fake_libraries_live() || fake_cuda_breaches() ||
        *fake_cuda_live())
        fail_msg("%s: libraries: '%s', %d left; driver: '%s', left '%s'", when,
                 fake_libraries_breach(), fake_libraries_live(), fake_cuda_breach(),
                 fake_cuda_live());
}

static void expect(struct job *job, enum glet_cuda_precision precision, int refusals,
                   double tolerance, const char *what)
{
    struct glet_error err = {0};
    fake_cuda_configure(NULL);
    fake_libraries_reset(refusals);
    double error = life(job, precision, NULL, &err);
    assert_clean(what);
    if (!(error >= 0.0 && error < tolerance))
        fail_msg("%s: error %g, %s", what, error, err.message);
}

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
    job_start(&job, convolutions);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(&job, GLET_CUDA_FP16, cases[i].refusals, 1e-2, cases[i].what);
        expect(&job, GLET_CUDA_FP32, cases[i].refusals, 1e-5, cases[i].what);
        expect(&job, GLET_CUDA_TF32, cases[i].refusals, 1e-5, cases[i].what);
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
        expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_NOTHING, 1e-2, texts[i]);
        expect(&job, GLET_CUDA_FP32, FAKE_REFUSE_NOTHING, 1e-5, texts[i]);
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
    job_start(&job, convolutions);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setenv("GPULET_CONV_WAYS", cases[i].ways, 1);
        expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_NOTHING, 1e-2, cases[i].ways);
        unsetenv("GPULET_CONV_WAYS");
        assert_true((fake_libraries_plans() > 0) == cases[i].by_library);
    }
    job_end(&job);
}

static void attention_both_ways(void **state)
{
    struct job job;
    (void)state;
    job_start(&job, attention);
    expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_NOTHING, 1e-2, "fused attention");
    assert_true(fake_libraries_plans() > 0);
    expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_ATTENTION, 1e-2, "attention in three steps");
    assert_int_equal(fake_libraries_plans(), 0);
    expect(&job, GLET_CUDA_FP32, FAKE_REFUSE_NOTHING, 1e-5, "attention in FP32");
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
        expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_NOTHING, 1e-2, what);
        expect(&job, GLET_CUDA_FP16, FAKE_REFUSE_ATTENTION, 1e-2, what);
        expect(&job, GLET_CUDA_FP32, FAKE_REFUSE_NOTHING, 1e-5, what);
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
        expect(&job, GLET_CUDA_FP16, cases[i].refusals, 1e-2, what);
        expect(&job, GLET_CUDA_FP32, cases[i].refusals, 1e-5, what);
        job_end(&job);
    }
}

static void no_algorithm_names_the_node(void **state)
{
    struct glet_error err = {0};
    struct job job;
    (void)state;
    job_start(&job, attention);
    fake_cuda_configure(NULL);
    fake_libraries_reset(FAKE_REFUSE_GEMM);
    assert_true(life(&job, GLET_CUDA_FP16, NULL, &err) < 0.0);
    assert_non_null(strstr(err.message, "no algorithm"));
    assert_int_equal(err.code, GLET_ERR_DEVICE);
    assert_clean("no algorithm");
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
    assert_true(life(&job, GLET_CUDA_FP16, NULL, &err) < 0.0);
    assert_int_equal(err.code, GLET_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "node y: avg_pool of FP32 to FP32"));
    assert_clean("unsupported");
    job_end(&job);
}

/* -- the cache of choices ---------------------------------------------------------------------- */

static void for_files(const char *folder, void (*act)(const char *path))
{
    DIR *dir = opendir(folder);
    char path[1024];
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        act(path);
    }
    if (dir)
        closedir(dir);
}

static int files;
static void count_file(const char *path)
{
    (void)path;
    files++;
}
static void remove_file(const char *path)
{
    unlink(path);
}
static void damage_file(const char *path)
{
    FILE *out = fopen(path, "w");
    fputs("gpulet-choice/1\nsomething else\n", out);
    fclose(out);
}
static void spoil_value(const char *path) /* well-formed, but nothing that a library knows */
{
    static char text[1 << 16];
    FILE *file = fopen(path, "r+");
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    char *value = strchr(strchr(text, '\n') + 1, '\n') + 1;
    rewind(file);
    fprintf(file, "%.*szzzz\n", (int)(value - text), text);
    fflush(file);
    if (ftruncate(fileno(file), (value - text) + 5) < 0)
        abort();
    fclose(file);
}

static int heuristics_of_a_life(struct job *job, const char *folder, const char *gpu)
{
    struct glet_error err = {0};
    fake_cuda_configure(&(struct fake_cuda_config){.name = gpu});
    fake_libraries_reset(FAKE_REFUSE_NOTHING);
    double error = life(job, GLET_CUDA_FP16, folder, &err);
    assert_clean("cache");
    if (!(error >= 0.0 && error < 1e-2))
        fail_msg("error %g %s", error, err.message);
    return fake_libraries_heuristics();
}

static void choices_are_cached(void **state)
{
    char folder[] = "/tmp/gpulet-choices-XXXXXX";
    struct job job;
    (void)state;
    assert_non_null(mkdtemp(folder));
    job_start(&job, convolutions);
    int first = heuristics_of_a_life(&job, folder, "A");
    assert_true(first > 0);
    files = 0;
    for_files(folder, count_file);
    assert_true(files > 5);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), 0);     /* hit */
    assert_int_equal(heuristics_of_a_life(&job, folder, "B"), first); /* another GPU */
    for_files(folder, damage_file);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), first); /* ignored, written anew */
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), 0);
    for_files(folder, spoil_value);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), first);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), 0);
    for_files(folder, remove_file);
    rmdir(folder);
    job_end(&job);
}

static int heuristics(struct job *job, int refusals)
{
    expect(job, GLET_CUDA_FP16, refusals, 1e-2, "SM targets");
    return fake_libraries_heuristics();
}

/* Libraries are asked for the device and for the gpu-let; by wish only for the device. One that
   takes no target has suggested for the device. */
static void sm_targets_are_no_condition(void **state)
{
    struct job job;
    (void)state;
    job_start(&job, convolutions);
    int both = heuristics(&job, FAKE_REFUSE_NOTHING);
    assert_true(heuristics(&job, FAKE_REFUSE_SM_TARGET) <= both);
    setenv("GPULET_SM_TARGET", "off", 1);
    int one = heuristics(&job, FAKE_REFUSE_NOTHING);
    assert_int_equal(heuristics(&job, FAKE_REFUSE_SM_TARGET), one);
    unsetenv("GPULET_SM_TARGET");
    assert_true(one < both);
    assert_true(both <= 2 * one);
    job_end(&job);
}

static void right_with_choices(const char *folder, const char *text)
{
    struct job job;
    job_start(&job, text);
    (void)heuristics_of_a_life(&job, folder, "A");
    job_end(&job);
}

/* A choice says all that there is to say of it: the next process has other graphs, in another
   order, and takes it all the same. */
static void choices_of_another_process(void **state)
{
    char folder[] = "/tmp/gpulet-choices-XXXXXX";
    struct job job;
    int status;
    (void)state;
    assert_non_null(mkdtemp(folder));
    pid_t child = fork();
    if (child == 0) {
        right_with_choices(folder, attention);
        right_with_choices(folder, little);
        right_with_choices(folder, convolutions);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    right_with_choices(folder, little);
    job_start(&job, convolutions);
    assert_int_equal(heuristics_of_a_life(&job, folder, "A"), 0);
    job_end(&job);
    right_with_choices(folder, attention);
    for_files(folder, remove_file);
    rmdir(folder);
}

/* -- several gpu-lets -------------------------------------------------------------------------- */

enum { GPULETS = 4, ROUNDS = 3 };

struct gpulet {
    pthread_t thread;
    const struct bench *first;
    struct job job;
    double worst;
    struct glet_error err;
};

static double life_beside(struct gpulet *gpulet)
{
    struct bench bench;
    struct job *job = &gpulet->job;
    struct glet_cuda_net *net = NULL;
    int rc = bench_open_beside(&bench, gpulet->first, &gpulet->err);
    if (rc == 0)
        rc = glet_cuda_net_build(&bench.site, job->model, BATCH, &net, &gpulet->err);
    if (rc == 0)
        rc = bench_run(&bench, net, job->model, BATCH, job->inputs, job->got, &gpulet->err);
    glet_cuda_net_free(net);
    bench_close(&bench);
    return rc < 0 ? INFINITY : error_of(job);
}

static void *live(void *opaque)
{
    struct gpulet *gpulet = opaque;
    for (int i = 0; i < ROUNDS; i++)
        gpulet->worst = fmax(gpulet->worst, life_beside(gpulet));
    return NULL;
}

/* Gpu-lets that build at the same time share weights and choices. */
static void gpulets_build_at_once(void **state)
{
    static const char *const texts[GPULETS] = {convolutions, attention, little, convolutions};
    char folder[] = "/tmp/gpulet-choices-XXXXXX";
    struct gpulet gpulets[GPULETS];
    struct glet_error err = {0};
    struct bench first;
    (void)state;
    assert_non_null(mkdtemp(folder));
    fake_cuda_configure(NULL);
    fake_libraries_reset(FAKE_REFUSE_NOTHING);
    assert_int_equal(bench_open(&first, GLET_CUDA_FP16, folder, &err), 0);
    for (int i = 0; i < GPULETS; i++) {
        gpulets[i] = (struct gpulet){.first = &first};
        job_start(&gpulets[i].job, texts[i]);
    }
    for (int i = 0; i < GPULETS; i++)
        assert_int_equal(pthread_create(&gpulets[i].thread, NULL, live, &gpulets[i]), 0);
    for (int i = 0; i < GPULETS; i++) {
        assert_int_equal(pthread_join(gpulets[i].thread, NULL), 0);
        if (!(gpulets[i].worst < 1e-2))
            fail_msg("gpu-let %d: error %g, %s", i, gpulets[i].worst, gpulets[i].err.message);
    }
    for (int i = 0; i < GPULETS; i++) {
        glet_cuda_store_forget(first.store, gpulets[i].job.model);
        job_end(&gpulets[i].job);
    }
    bench_close(&first);
    assert_clean("gpu-lets at once");
    for_files(folder, remove_file);
    rmdir(folder);
}

/* Two nets of one model, and both batches, share their weights. */
static void weights_are_shared(void **state)
{
    struct glet_error err = {0};
    struct glet_cuda_net *a = NULL, *b = NULL;
    struct bench bench;
    struct job job;
    (void)state;
    job_start(&job, convolutions);
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
    assert_clean("shared weights");
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
        job_start(&job, attention);
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
        assert_true(error_of(&job) < 1e-2);
        glet_cuda_net_free(net);
        glet_cuda_store_forget(bench.store, job.model);
        bench_close(&bench);
        assert_clean("steps alone");
        job_end(&job);
    }
}

/* -- faults ------------------------------------------------------------------------------------ */

/* The nth call fails: an error that says something, or a right result another way. Of the driver's
   calls, which are the same few again and again while candidates are timed, every seventh. */
static void every_failure_is_clean(bool of_driver)
{
    struct job job;
    job_start(&job, little);
    for (long n = 1;; n += of_driver && n > 40 ? 7 : 1) {
        struct glet_error err = {0};
        char when[64];
        fake_cuda_configure(NULL);
        fake_libraries_reset(FAKE_REFUSE_NOTHING);
        if (of_driver)
            fake_cuda_fail(NULL, n, CUDA_ERROR_OUT_OF_MEMORY, false);
        else
            fake_libraries_fail(n);
        double error = life(&job, GLET_CUDA_FP16, NULL, &err);
        snprintf(when, sizeof when, "call %ld fails", n);
        assert_clean(when);
        if (error >= 0.0 ? !(error < 1e-2) : err.code == GLET_OK || !err.message[0])
            fail_msg("%s: error %g, '%s'", when, error, err.message);
        if ((of_driver ? fake_cuda_calls() : fake_libraries_calls()) < n)
            break;
        assert_true(n < 100000);
    }
    job_end(&job);
}

static void library_failures(void **state)
{
    (void)state;
    every_failure_is_clean(false);
}

static void driver_failures(void **state)
{
    (void)state;
    every_failure_is_clean(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_is_right),
        cmocka_unit_test(attention_both_ways),
        cmocka_unit_test(projections_side_by_side),
        cmocka_unit_test(activations_in_the_epilogue),
        cmocka_unit_test(no_algorithm_names_the_node),
        cmocka_unit_test(one_way_alone),
        cmocka_unit_test(transposed_convolutions),
        cmocka_unit_test(what_is_unsupported_is_named),
        cmocka_unit_test(choices_are_cached),
        cmocka_unit_test(sm_targets_are_no_condition),
        cmocka_unit_test(choices_of_another_process),
        cmocka_unit_test(gpulets_build_at_once),
        cmocka_unit_test(weights_are_shared),
        cmocka_unit_test(steps_alone),
        cmocka_unit_test(library_failures),
        cmocka_unit_test(driver_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
