/* SPDX-License-Identifier: Apache-2.0 */
/* Computing a graph: every tensor is read and written through its strides, the virtual ones lie in
   FP32. */
#include "tests/doubles/cuda/fake_cudnn_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct values { /* of one run */
    const struct fake_run *run;
    float *memory[40]; /* of virtual tensors */
};

static int64_t count_of(const struct fake_tensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++)
        count *= t->dims[i];
    return count;
}

/* Dimensions of 1 are broadcast. */
static int64_t stride_of(const struct fake_tensor *t, int dimension)
{
    return t->dims[dimension] == 1 ? 0 : t->strides[dimension];
}

/* Index in each dimension. */
static int64_t offset_of(const struct fake_tensor *t, const int64_t *at)
{
    int64_t offset = 0;
    for (int i = 0; i < t->rank; i++)
        offset += at[i] * stride_of(t, i);
    return offset;
}

static float load(const struct values *v, int tensor, int64_t offset)
{
    const struct fake_tensor *t = &v->run->program->tensors[tensor];
    if (t->is_virtual)
        return v->memory[tensor][offset];
    return t->half ? fake_half_to_float(((const uint16_t *)v->run->pointers[tensor])[offset])
                   : ((const float *)v->run->pointers[tensor])[offset];
}

static float get(const struct values *v, int tensor, const int64_t *at)
{
    return load(v, tensor, offset_of(&v->run->program->tensors[tensor], at));
}

struct line { /* through a tensor, along one dimension */
    int tensor;
    int64_t offset, stride;
};

static struct line line(const struct values *v, int tensor, const int64_t *from, int dimension)
{
    const struct fake_tensor *t = &v->run->program->tensors[tensor];
    return (struct line){tensor, offset_of(t, from), stride_of(t, dimension)};
}

static float add_products(float sum, const struct values *v, struct line a, struct line b,
                          int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        sum +=
            load(v, a.tensor, a.offset + k * a.stride) * load(v, b.tensor, b.offset + k * b.stride);
    return sum;
}

static void put(const struct values *v, int tensor, const int64_t *at, float value)
{
    const struct fake_tensor *t = &v->run->program->tensors[tensor];
    int64_t offset = offset_of(t, at);
    if (t->is_virtual)
        v->memory[tensor][offset] = t->half ? fake_half_to_float(fake_float_to_half(value)) : value;
    else if (t->half)
        ((uint16_t *)v->run->pointers[tensor])[offset] = fake_float_to_half(value);
    else
        ((float *)v->run->pointers[tensor])[offset] = value;
}

static void locate(const struct fake_tensor *t, int64_t index, int64_t *at)
{
    for (int i = t->rank - 1; i >= 0; i--) {
        at[i] = index % t->dims[i];
        index /= t->dims[i];
    }
}

static float convolve(const struct values *v, const struct fake_operation *o, const int64_t *at)
{
    const struct fake_tensor *x = &v->run->program->tensors[o->x];
    const struct fake_tensor *w = &v->run->program->tensors[o->b];
    int64_t group = at[1] / (w->dims[0] / (x->dims[1] / w->dims[1])) * w->dims[1];
    float sum = 0.0F;
    for (int64_t r = 0; r < w->dims[2]; r++)
        for (int64_t s = 0; s < w->dims[3]; s++) {
            int64_t h = at[2] * o->strides[0] - o->pads[0] + r * o->dilations[0];
            int64_t q = at[3] * o->strides[1] - o->pads[1] + s * o->dilations[1];
            if (h < 0 || q < 0 || h >= x->dims[2] || q >= x->dims[3])
                continue;
            sum = add_products(sum, v, line(v, o->x, (int64_t[]){at[0], group, h, q}, 1),
                               line(v, o->b, (int64_t[]){at[1], 0, r, s}, 1), w->dims[1]);
        }
    return sum;
}

static float pointwise(const struct fake_operation *o, float x, float b)
{
    float p = (float)o->parameter;
    switch (o->mode) {
    case CUDNN_POINTWISE_ADD:
        return x + b;
    case CUDNN_POINTWISE_SUB:
        return x - b;
    case CUDNN_POINTWISE_MUL:
        return x * b;
    case CUDNN_POINTWISE_DIV:
        return x / b;
    case CUDNN_POINTWISE_EXP:
        return expf(x);
    case CUDNN_POINTWISE_LOG:
        return logf(x);
    case CUDNN_POINTWISE_RELU_FWD:
        if (o->parameter_name == CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE)
            return x < 0.0F ? p * x : x;
        x = fmaxf(x, 0.0F);
        return o->parameter_name ? fminf(x, p) : x;
    case CUDNN_POINTWISE_SIGMOID_FWD:
        return 1.0F / (1.0F + expf(-x));
    case CUDNN_POINTWISE_TANH_FWD:
        return tanhf(x);
    case CUDNN_POINTWISE_SWISH_FWD:
        return x / (1.0F + expf(-p * x));
    case CUDNN_POINTWISE_ELU_FWD:
        return x < 0.0F ? p * expm1f(x) : x;
    case CUDNN_POINTWISE_GELU_FWD:
        return 0.5F * x * (1.0F + erff(x * 0.70710678F));
    default:
        fake_library_breach("pointwise mode %d", o->mode);
        return NAN;
    }
}

static float multiply(const struct values *v, const struct fake_operation *o, const int64_t *at)
{
    const struct fake_tensor *a = &v->run->program->tensors[o->x];
    int row = a->rank - 2, column = a->rank - 1;
    int64_t left[5], right[5];
    memcpy(left, at, sizeof left);
    memcpy(right, at, sizeof right);
    left[column] = right[row] = 0;
    return add_products(0.0F, v, line(v, o->x, left, column), line(v, o->b, right, row),
                        a->dims[column]);
}

/* Over the last dimension. */
static float reduce(const struct values *v, const struct fake_operation *o, const int64_t *at)
{
    const struct fake_tensor *x = &v->run->program->tensors[o->x];
    float result = o->mode == CUDNN_REDUCE_TENSOR_MAX ? -INFINITY : 0.0F;
    for (int64_t k = 0; k < x->dims[3]; k++) {
        float value = get(v, o->x, (int64_t[]){at[0], at[1], at[2], k});
        result = o->mode == CUDNN_REDUCE_TENSOR_MAX ? fmaxf(result, value) : result + value;
    }
    return result;
}

void fake_cudnn_run(void *data)
{
    struct values v = {.run = data};
    const struct fake_program *p = v.run->program;
    for (int i = 0; i < p->tensor_count; i++)
        if (p->tensors[i].is_virtual)
            v.memory[i] = calloc((size_t)count_of(&p->tensors[i]), sizeof(float));
    for (int i = 0; i < p->operation_count; i++) {
        const struct fake_operation *o = &p->operations[i];
        const struct fake_tensor *y = &p->tensors[o->y];
        for (int64_t k = 0; k < count_of(y); k++) {
            int64_t at[5] = {0};
            locate(y, k, at);
            float value;
            switch (o->kind) {
            case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
                value = convolve(&v, o, at);
                break;
            case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
                value = multiply(&v, o, at);
                break;
            case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
                value = reduce(&v, o, at);
                break;
            default:
                value = pointwise(o, get(&v, o->x, at), o->b < 0 ? 0.0F : get(&v, o->b, at));
            }
            put(&v, o->y, at, value);
        }
    }
    for (int i = 0; i < p->tensor_count; i++)
        free(v.memory[i]);
}
