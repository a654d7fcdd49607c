/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cuda/net_job.h"

#include "runtime/device/cpu/net/cpu_net.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/check.h"
#include "tests/unit/cuda/cuda_bench.h"
#include "tests/unit/engine/onnx_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* 1 x 1 and 3 x 3, padded channels, depthwise, an activation that libraries lack, a residual, a
   concatenation in place, pools, a layer. */
const char net_convolutions[] =
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

const char net_attention[] =
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

/* A call of everything, and no more: its life is lived once per call. */
const char net_little[] =
    "input x float batch,3,4,4\nweight w 8,3,3,3\nweight b 8\nweight v 8,8,1,1\nweight c 8\n"
    "weight f 8,3\nnode Conv x,w,b a pads=1,1,1,1\nnode HardSigmoid a h\nnode Conv h,v,c d\n"
    "node Relu d e\nnode GlobalAveragePool e g\nnode Flatten g l\nnode MatMul l,f y\noutput y";

static void *random_floats(size_t bytes, uint32_t *state)
{
    float *data = malloc(bytes);
    for (size_t i = 0; i < bytes / sizeof *data; i++) {
        *state = *state * 1664525u + 1013904223u;
        data[i] = (float)(*state >> 8) / (float)(1 << 23) - 1.0F;
    }
    return data;
}

void job_start(struct job *job, const char *text)
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

void job_end(struct job *job)
{
    for (int i = 0; i < MAX_IO; i++) {
        free(job->inputs[i]);
        free(job->got[i]);
        free(job->wanted[i]);
    }
    glet_model_free(job->model);
}

double job_error(const struct job *job)
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

double job_life(struct job *job, enum glet_cuda_precision precision, const char *folder,
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
    return rc < 0 ? -1.0 : job_error(job);
}

void job_check_clean(const char *when)
{
    if (fake_libraries_breaches() || fake_libraries_live() || fake_cuda_breaches() ||
        *fake_cuda_live())
        fail_msg("%s: libraries: '%s', %d left; driver: '%s', left '%s'", when,
                 fake_libraries_breach(), fake_libraries_live(), fake_cuda_breach(),
                 fake_cuda_live());
}

void job_expect(struct job *job, enum glet_cuda_precision precision, int refusals, double tolerance,
                const char *what)
{
    struct glet_error err = {0};
    fake_cuda_configure(NULL);
    fake_libraries_reset(refusals);
    double error = job_life(job, precision, NULL, &err);
    job_check_clean(what);
    if (!(error >= 0.0 && error < tolerance))
        fail_msg("%s: error %g, %s", what, error, err.message);
}
