/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activations: as oneDNN post-operations where it has them, else as a step of our own.
 */
#include "runtime/device/cpu/net/build.h"

#include "runtime/device/cpu/kernels/kernels.h"
#include "runtime/device/cpu/kernels/team.h"

/* oneDNN's algorithm; dnnl_alg_kind_undef = none. *alpha, *beta are its parameters. */
static dnnl_alg_kind_t algorithm(const struct glet_activation *activation, float *alpha,
                                 float *beta)
{
    *alpha = activation->a;
    *beta = activation->b;
    switch (activation->kind) {
    case GLET_ACT_RELU:
        *alpha = 0.0F;
        return dnnl_eltwise_relu;
    case GLET_ACT_LEAKY_RELU:
        return dnnl_eltwise_relu;
    case GLET_ACT_CLIP:
        return dnnl_eltwise_clip;
    case GLET_ACT_SIGMOID:
        return dnnl_eltwise_logistic;
    case GLET_ACT_TANH:
        return dnnl_eltwise_tanh;
    case GLET_ACT_GELU_ERF:
        return dnnl_eltwise_gelu_erf;
    case GLET_ACT_GELU_TANH:
        return dnnl_eltwise_gelu_tanh;
    case GLET_ACT_HARD_SIGMOID: /* and a clip to 0 ... 1 */
    case GLET_ACT_LINEAR:
        return dnnl_eltwise_linear;
    case GLET_ACT_HARD_SWISH:
        return dnnl_eltwise_hardswish;
    case GLET_ACT_SWISH:
        return dnnl_eltwise_swish;
    case GLET_ACT_ELU:
        return dnnl_eltwise_elu;
    case GLET_ACT_ABS:
        return dnnl_eltwise_abs;
    case GLET_ACT_SQUARE:
        return dnnl_eltwise_square;
    default:
        return dnnl_alg_kind_undef;
    }
}

bool glet_cpu_can_fuse(const struct glet_activation *activation)
{
    float alpha, beta;
    return activation->kind == GLET_ACT_NONE ||
           algorithm(activation, &alpha, &beta) != dnnl_alg_kind_undef;
}

dnnl_primitive_attr_t glet_cpu_attributes(bool residual, const struct glet_activation *activation,
                                          struct glet_error *err)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t post = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&post);
    if (status == dnnl_success && residual)
        status = dnnl_post_ops_append_sum(post, 1.0F);
    if (status == dnnl_success && activation && activation->kind != GLET_ACT_NONE) {
        float alpha, beta;
        dnnl_alg_kind_t kind = algorithm(activation, &alpha, &beta);
        if (kind != dnnl_alg_kind_undef)
            status = dnnl_post_ops_append_eltwise(post, 1.0F, kind, alpha, beta);
        if (status == dnnl_success && activation->kind == GLET_ACT_HARD_SIGMOID)
            status = dnnl_post_ops_append_eltwise(post, 1.0F, dnnl_eltwise_clip, 0.0F, 1.0F);
    }
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(attributes, post);
    dnnl_post_ops_destroy(post);
    if (glet_dnnl_check(status, "attributes", err) == 0)
        return attributes;
    dnnl_primitive_attr_destroy(attributes);
    return NULL;
}

/* ---- as a step ---- */

struct unary_params {
    struct glet_activation activation;
    enum glet_dtype dtype;
    int64_t count;
};

struct unary_job {
    const struct unary_params *params;
    float *out;
    const float *in;
};

static void unary_part(int part, int parts, void *data)
{
    const struct unary_job *job = data;
    long begin, end;
    glet_cpu_split(job->params->count, part, parts, &begin, &end);
    glet_cpu_simd()->unary(&job->params->activation, job->out + begin, job->in + begin,
                           end - begin);
}

static int unary_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    struct unary_job job = {params, operands[0], operands[1]};
    (void)err;
    if (job.params->dtype != GLET_FLOAT32)
        glet_cpu_unary_generic(job.params->dtype, &job.params->activation, operands[0], operands[1],
                               job.params->count);
    else if (job.params->count < GLET_CPU_PARALLEL_ELEMENTS)
        unary_part(0, 1, &job);
    else
        glet_cpu_team_run(unary_part, &job);
    return 0;
}

static bool keeps_zero(const struct glet_activation *activation)
{
    switch (activation->kind) {
    case GLET_ACT_NONE:
    case GLET_ACT_RELU:
    case GLET_ACT_LEAKY_RELU:
    case GLET_ACT_TANH:
    case GLET_ACT_GELU_ERF:
    case GLET_ACT_GELU_TANH:
    case GLET_ACT_HARD_SWISH:
    case GLET_ACT_SWISH:
    case GLET_ACT_ELU:
    case GLET_ACT_SQRT:
    case GLET_ACT_ABS:
    case GLET_ACT_NEG:
    case GLET_ACT_ERF:
    case GLET_ACT_FLOOR:
    case GLET_ACT_CEIL:
    case GLET_ACT_SQUARE:
    case GLET_ACT_SIN:
    case GLET_ACT_ROUND:
    case GLET_ACT_SIGN:
        return true;
    default:
        return false;
    }
}

int glet_cpu_activate(struct glet_cpu_build *b, int tensor, struct glet_error *err)
{
    const struct glet_activation *activation = &b->node->activation;
    dnnl_memory_desc_t md;
    int buffer;
    if (activation->kind == GLET_ACT_NONE)
        return 0;
    if (glet_cpu_current(b, tensor, &md, &buffer, err) < 0)
        return -1;
    if (glet_dnnl_has_padding(&md) && !keeps_zero(activation)) {
        buffer = glet_cpu_keep_plain(b, tensor, err);
        if (buffer < 0)
            return -1;
        md = glet_dnnl_plain(md.ndims, md.dims);
    }
    struct unary_params params = {*activation, GLET_FLOAT32,
                                  (int64_t)(dnnl_memory_desc_get_size(&md) / sizeof(float))};
    int buffers[] = {buffer, buffer};
    return glet_cpu_add_kernel(b, unary_kernel, buffers, 2, &params, sizeof params, err);
}

int glet_cpu_build_unary(struct glet_cpu_build *b, struct glet_error *err)
{
    int x = b->node->inputs[0], y = b->node->output;
    struct unary_params params = {b->node->activation, glet_cpu_tensor(b, x)->dtype,
                                  glet_tensor_elements(glet_cpu_tensor(b, x))};
    params.dtype = glet_cpu_held_dtype(params.dtype);
    int from, to;
    if (params.dtype == GLET_FLOAT32) {
        dnnl_memory_desc_t md;
        if (glet_cpu_current(b, x, &md, &from, err) < 0)
            return -1;
        if (glet_dnnl_has_padding(&md) && !keeps_zero(&params.activation)) {
            from = glet_cpu_want_plain(b, x, err);
            md = glet_dnnl_plain(glet_cpu_tensor(b, x)->rank, glet_cpu_tensor(b, x)->dims);
        }
        if (from < 0)
            return -1;
        params.count = (int64_t)(dnnl_memory_desc_get_size(&md) / sizeof(float));
        to = glet_cpu_may_overwrite(b, x, from) ? glet_cpu_define_in(b, y, &md, from, err)
                                                : glet_cpu_define(b, y, &md, err);
    } else {
        if (!glet_cpu_unary_generic(params.dtype, &params.activation, NULL, NULL, 0))
            return glet_cpu_unsupported(b, err, "%s of %s",
                                        glet_activation_name(params.activation.kind),
                                        glet_dtype_name(params.dtype));
        from = glet_cpu_want_plain(b, x, err);
        to = from < 0 ? -1 : glet_cpu_define_plain(b, y, err);
    }
    if (to < 0)
        return -1;
    int buffers[] = {to, from};
    return glet_cpu_add_kernel(b, unary_kernel, buffers, 2, &params, sizeof params, err);
}
