/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuDNN's backend: descriptors with the attributes that the table below allows, and graphs that are
 * computed on the host (fake_cudnn_run.c). Mode A suggests three engines: one that does not
 * finalise, a slow one and the fastest; the fallback suggests one.
 */
#include "tests/doubles/cuda/fake_cudnn_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COUNT = 16, MAX_TEXT = 65536, FIRST_OF_FALLBACK = 3 };

/* X(descriptor, attribute, type, least, most, needed) */
#define ATTRIBUTES(X)                                                                              \
    X(TENSOR, TENSOR_DATA_TYPE, DATA_TYPE, 1, 1, 1)                                                \
    X(TENSOR, TENSOR_DIMENSIONS, INT64, 3, 5, 1)                                                   \
    X(TENSOR, TENSOR_STRIDES, INT64, 3, 5, 1)                                                      \
    X(TENSOR, TENSOR_UNIQUE_ID, INT64, 1, 1, 1)                                                    \
    X(TENSOR, TENSOR_BYTE_ALIGNMENT, INT64, 1, 1, 1)                                               \
    X(TENSOR, TENSOR_IS_VIRTUAL, BOOLEAN, 1, 1, 0)                                                 \
    X(TENSOR, TENSOR_IS_BY_VALUE, BOOLEAN, 1, 1, 0)                                                \
    X(CONVOLUTION, CONVOLUTION_SPATIAL_DIMS, INT64, 1, 1, 1)                                       \
    X(CONVOLUTION, CONVOLUTION_COMP_TYPE, DATA_TYPE, 1, 1, 1)                                      \
    X(CONVOLUTION, CONVOLUTION_CONV_MODE, CONVOLUTION_MODE, 1, 1, 1)                               \
    X(CONVOLUTION, CONVOLUTION_PRE_PADDINGS, INT64, 2, 2, 1)                                       \
    X(CONVOLUTION, CONVOLUTION_POST_PADDINGS, INT64, 2, 2, 1)                                      \
    X(CONVOLUTION, CONVOLUTION_DILATIONS, INT64, 2, 2, 1)                                          \
    X(CONVOLUTION, CONVOLUTION_FILTER_STRIDES, INT64, 2, 2, 1)                                     \
    X(OPERATION_CONVOLUTION_FORWARD, OPERATION_CONVOLUTION_FORWARD_CONV_DESC, BACKEND_DESCRIPTOR,  \
      1, 1, 1)                                                                                     \
    X(OPERATION_CONVOLUTION_FORWARD, OPERATION_CONVOLUTION_FORWARD_X, BACKEND_DESCRIPTOR, 1, 1, 1) \
    X(OPERATION_CONVOLUTION_FORWARD, OPERATION_CONVOLUTION_FORWARD_W, BACKEND_DESCRIPTOR, 1, 1, 1) \
    X(OPERATION_CONVOLUTION_FORWARD, OPERATION_CONVOLUTION_FORWARD_Y, BACKEND_DESCRIPTOR, 1, 1, 1) \
    X(OPERATION_CONVOLUTION_FORWARD, OPERATION_CONVOLUTION_FORWARD_ALPHA, FLOAT, 1, 1, 1)          \
    X(OPERATION_CONVOLUTION_FORWARD, OPERATION_CONVOLUTION_FORWARD_BETA, FLOAT, 1, 1, 1)           \
    X(POINTWISE, POINTWISE_MODE, POINTWISE_MODE, 1, 1, 1)                                          \
    X(POINTWISE, POINTWISE_MATH_PREC, DATA_TYPE, 1, 1, 1)                                          \
    X(POINTWISE, POINTWISE_RELU_UPPER_CLIP, DOUBLE, 1, 1, 0)                                       \
    X(POINTWISE, POINTWISE_RELU_LOWER_CLIP_SLOPE, DOUBLE, 1, 1, 0)                                 \
    X(POINTWISE, POINTWISE_ELU_ALPHA, DOUBLE, 1, 1, 0)                                             \
    X(POINTWISE, POINTWISE_SWISH_BETA, DOUBLE, 1, 1, 0)                                            \
    X(OPERATION_POINTWISE, OPERATION_POINTWISE_PW_DESCRIPTOR, BACKEND_DESCRIPTOR, 1, 1, 1)         \
    X(OPERATION_POINTWISE, OPERATION_POINTWISE_XDESC, BACKEND_DESCRIPTOR, 1, 1, 1)                 \
    X(OPERATION_POINTWISE, OPERATION_POINTWISE_BDESC, BACKEND_DESCRIPTOR, 1, 1, 0)                 \
    X(OPERATION_POINTWISE, OPERATION_POINTWISE_YDESC, BACKEND_DESCRIPTOR, 1, 1, 1)                 \
    X(MATMUL, MATMUL_COMP_TYPE, DATA_TYPE, 1, 1, 1)                                                \
    X(OPERATION_MATMUL, OPERATION_MATMUL_ADESC, BACKEND_DESCRIPTOR, 1, 1, 1)                       \
    X(OPERATION_MATMUL, OPERATION_MATMUL_BDESC, BACKEND_DESCRIPTOR, 1, 1, 1)                       \
    X(OPERATION_MATMUL, OPERATION_MATMUL_CDESC, BACKEND_DESCRIPTOR, 1, 1, 1)                       \
    X(OPERATION_MATMUL, OPERATION_MATMUL_DESC, BACKEND_DESCRIPTOR, 1, 1, 1)                        \
    X(REDUCTION, REDUCTION_OPERATOR, REDUCTION_OPERATOR_TYPE, 1, 1, 1)                             \
    X(REDUCTION, REDUCTION_COMP_TYPE, DATA_TYPE, 1, 1, 1)                                          \
    X(OPERATION_REDUCTION, OPERATION_REDUCTION_XDESC, BACKEND_DESCRIPTOR, 1, 1, 1)                 \
    X(OPERATION_REDUCTION, OPERATION_REDUCTION_YDESC, BACKEND_DESCRIPTOR, 1, 1, 1)                 \
    X(OPERATION_REDUCTION, OPERATION_REDUCTION_DESC, BACKEND_DESCRIPTOR, 1, 1, 1)                  \
    X(OPERATIONGRAPH, OPERATIONGRAPH_OPS, BACKEND_DESCRIPTOR, 1, MAX_COUNT, 1)                     \
    X(OPERATIONGRAPH, OPERATIONGRAPH_HANDLE, HANDLE, 1, 1, 1)                                      \
    X(ENGINEHEUR, ENGINEHEUR_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, 1, 1)                         \
    X(ENGINEHEUR, ENGINEHEUR_MODE, HEUR_MODE, 1, 1, 1)                                             \
    X(ENGINEHEUR, ENGINEHEUR_SM_COUNT_TARGET, INT32, 1, 1, 0)                                      \
    X(EXECUTION_PLAN, EXECUTION_PLAN_HANDLE, HANDLE, 1, 1, 1)                                      \
    X(EXECUTION_PLAN, EXECUTION_PLAN_ENGINE_CONFIG, BACKEND_DESCRIPTOR, 1, 1, 0)                   \
    X(EXECUTION_PLAN, EXECUTION_PLAN_JSON_REPRESENTATION, CHAR, 1, MAX_TEXT, 0)                    \
    X(VARIANT_PACK, VARIANT_PACK_DATA_POINTERS, VOID_PTR, 1, MAX_COUNT, 1)                         \
    X(VARIANT_PACK, VARIANT_PACK_UNIQUE_IDS, INT64, 1, MAX_COUNT, 1)                               \
    X(VARIANT_PACK, VARIANT_PACK_WORKSPACE, VOID_PTR, 1, 1, 1)

static const struct rule {
    int descriptor, attribute, type;
    int64_t least, most;
    bool needed;
} rules[] = {
#define RULE(d, a, t, least, most, needed)                                                         \
    {CUDNN_BACKEND_##d##_DESCRIPTOR, CUDNN_ATTR_##a, CUDNN_TYPE_##t, least, most, needed},
    ATTRIBUTES(RULE)};
enum { RULES = sizeof rules / sizeof rules[0] };

struct value {
    struct value *next;
    int attribute, type;
    int64_t count;
    _Alignas(8) char bytes[];
};

struct descriptor {
    int kind;
    bool finalized;
    struct value *values;
    int engine;                         /* ENGINECFG */
    const struct fake_program *program; /* OPERATIONGRAPH, ENGINECFG, EXECUTION_PLAN */
};

struct handle {
    CUstream stream;
};

#define CALL                                                                                       \
    if (!fake_library_call())                                                                      \
    return CUDNN_STATUS_INTERNAL_ERROR

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS ? "CUDNN_STATUS_SUCCESS" : "CUDNN_STATUS_INTERNAL_ERROR";
}

void cudnnGetLastErrorString(char *message, size_t size)
{
    snprintf(message, size, "it is only a fake");
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    CALL;
    *out = calloc(1, sizeof(struct handle));
    fake_library_live++;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    (void)fake_library_call();
    free(handle);
    fake_library_live--;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    CALL;
    ((struct handle *)(void *)handle)->stream = (CUstream)stream;
    return CUDNN_STATUS_SUCCESS;
}

/* -- descriptors ------------------------------------------------------------------------------- */

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t kind,
                                           cudnnBackendDescriptor_t *out)
{
    CALL;
    struct descriptor *d = calloc(1, sizeof *d);
    d->kind = (int)kind;
    d->engine = -1;
    fake_library_live++;
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
    struct descriptor *d = descriptor;
    (void)fake_library_call();
    while (d->values) {
        struct value *value = d->values;
        d->values = value->next;
        free(value);
    }
    free(d);
    fake_library_live--;
    return CUDNN_STATUS_SUCCESS;
}

static size_t type_bytes(int type)
{
    switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
        return 1;
    default:
        return 4;
    }
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *bytes)
{
    struct descriptor *d = descriptor;
    const struct rule *rule = NULL;
    CALL;
    for (int i = 0; i < RULES; i++)
        if (rules[i].descriptor == d->kind && rules[i].attribute == (int)name)
            rule = &rules[i];
    if (!rule || rule->type != (int)type || count < rule->least || count > rule->most ||
        d->finalized) {
        fake_library_breach("attribute %d of descriptor %d: type %d, %d of them%s", (int)name,
                            d->kind, (int)type, (int)count, d->finalized ? ", finalised" : "");
        return CUDNN_STATUS_BAD_PARAM;
    }
    size_t size = (size_t)count * type_bytes((int)type);
    struct value *value = calloc(1, sizeof *value + size + 1); /* text ends in a NUL */
    *value = (struct value){d->values, (int)name, (int)type, count};
    memcpy(value->bytes, bytes, size);
    d->values = value;
    for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < count; i++)
        if (!((struct descriptor *const *)(const void *)value->bytes)[i]->finalized)
            fake_library_breach("attribute %d: a descriptor that is not finalised", (int)name);
    return CUDNN_STATUS_SUCCESS;
}

static const struct value *value_of(const struct descriptor *d, int attribute)
{
    for (const struct value *value = d->values; value; value = value->next)
        if (value->attribute == attribute)
            return value;
    return NULL;
}

static const struct descriptor *child(const struct descriptor *d, int attribute)
{
    const struct value *value = value_of(d, attribute);
    return value ? *(struct descriptor *const *)(const void *)value->bytes : NULL;
}

static int32_t number(const struct descriptor *d, int attribute)
{
    return *(const int32_t *)(const void *)value_of(d, attribute)->bytes;
}

/* -- graphs ------------------------------------------------------------------------------------ */

static int add_tensor(struct fake_program *p, const struct descriptor *d)
{
    struct fake_tensor t = {0};
    if (!d)
        return -1;
    const struct value *dims = value_of(d, CUDNN_ATTR_TENSOR_DIMENSIONS);
    const struct value *is_virtual = value_of(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    const struct value *by_value = value_of(d, CUDNN_ATTR_TENSOR_IS_BY_VALUE);
    memcpy(&t.id, value_of(d, CUDNN_ATTR_TENSOR_UNIQUE_ID)->bytes, sizeof t.id);
    for (int i = 0; i < p->tensor_count; i++)
        if (p->tensors[i].id == t.id)
            return i;
    t.half = number(d, CUDNN_ATTR_TENSOR_DATA_TYPE) == CUDNN_DATA_HALF;
    t.rank = (int)dims->count;
    t.is_virtual = is_virtual && is_virtual->bytes[0];
    t.by_value = by_value && by_value->bytes[0];
    memcpy(&t.align, value_of(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT)->bytes, sizeof t.align);
    memcpy(t.dims, dims->bytes, (size_t)t.rank * 8);
    memcpy(t.strides, value_of(d, CUDNN_ATTR_TENSOR_STRIDES)->bytes, (size_t)t.rank * 8);
    p->tensors[p->tensor_count] = t;
    return p->tensor_count++;
}

static void add_operation(struct fake_program *p, const struct descriptor *d)
{
    struct fake_operation *o = &p->operations[p->operation_count++];
    const struct value *value;
    o->b = -1;
    o->kind = d->kind;
    switch (d->kind) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR: {
        const struct descriptor *c = child(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
        memcpy(o->pads, value_of(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)->bytes, 16);
        memcpy(o->strides, value_of(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)->bytes, 16);
        memcpy(o->dilations, value_of(c, CUDNN_ATTR_CONVOLUTION_DILATIONS)->bytes, 16);
        o->x = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X));
        o->b = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W));
        o->y = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y));
        break;
    }
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: {
        const struct descriptor *w = child(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
        static const int parameters[] = {
            CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE,
            CUDNN_ATTR_POINTWISE_ELU_ALPHA, CUDNN_ATTR_POINTWISE_SWISH_BETA};
        o->mode = number(w, CUDNN_ATTR_POINTWISE_MODE);
        for (int i = 0; i < 4; i++)
            if ((value = value_of(w, parameters[i]))) {
                memcpy(&o->parameter, value->bytes, sizeof o->parameter);
                o->parameter_name = parameters[i];
            }
        o->x = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC));
        o->b = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC));
        o->y = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
        break;
    }
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        o->x = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_MATMUL_ADESC));
        o->b = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_MATMUL_BDESC));
        o->y = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_MATMUL_CDESC));
        break;
    default:
        o->mode =
            number(child(d, CUDNN_ATTR_OPERATION_REDUCTION_DESC), CUDNN_ATTR_REDUCTION_OPERATOR);
        o->x = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_REDUCTION_XDESC));
        o->y = add_tensor(p, child(d, CUDNN_ATTR_OPERATION_REDUCTION_YDESC));
        break;
    }
}

static const struct fake_program *make_program(const struct descriptor *graph)
{
    const struct value *operations = value_of(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    struct fake_program *p = fake_library_keep(sizeof *p);
    for (int64_t i = 0; i < operations->count; i++)
        add_operation(p, ((struct descriptor *const *)(const void *)operations->bytes)[i]);
    return p;
}

static bool is_pitched(const struct fake_program *p)
{
    for (int i = 0; i < p->operation_count; i++) {
        const struct fake_tensor *y = &p->tensors[p->operations[i].y];
        if (!y->is_virtual && y->rank == 4 && y->dims[3] > 1 && y->strides[3] != y->dims[1])
            return true;
    }
    return false;
}

/* As the real one's fused attention: no exponential without the logarithm of the sum. */
static bool is_half_a_softmax(const struct fake_program *p)
{
    int exponentials = 0, logarithms = 0;
    for (int i = 0; i < p->operation_count; i++) {
        const struct fake_operation *o = &p->operations[i];
        if (o->kind != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
            continue;
        exponentials += o->mode == CUDNN_POINTWISE_EXP;
        logarithms += o->mode == CUDNN_POINTWISE_LOG;
    }
    return exponentials > logarithms;
}

/* As the real one's for an H100: no engine that it suggests has a clip as its last operation. */
static bool ends_in_a_clip(const struct fake_program *p)
{
    return p->operations[p->operation_count - 1].parameter_name ==
           CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP;
}

static bool refuses(const struct fake_program *p, int engine)
{
    bool conv = p->operations[0].kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    if (engine == 0)
        return true;
    if (!conv)
        return (fake_refusals & FAKE_REFUSE_ATTENTION) || is_half_a_softmax(p);
    return (fake_refusals & FAKE_REFUSE_CONV) ||
           (ends_in_a_clip(p) && engine < FIRST_OF_FALLBACK) ||
           ((fake_refusals & FAKE_REFUSE_FUSED) && p->operation_count > 1) ||
           ((fake_refusals & FAKE_REFUSE_CHAINS) && p->operation_count > 4) ||
           ((fake_refusals & FAKE_REFUSE_PITCHED) && is_pitched(p));
}

static cudnnStatus_t finalize_plan(struct descriptor *d)
{
    const struct value *json = value_of(d, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
    const struct descriptor *config = child(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    if (config) {
        d->program = config->program;
        d->engine = config->engine;
    } else if (json) {
        d->program = fake_cudnn_read(json->bytes, &d->engine);
    }
    if (!d->program || refuses(d->program, d->engine))
        return CUDNN_STATUS_NOT_SUPPORTED;
    fake_library_plans++;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
    struct descriptor *d = descriptor;
    CALL;
    if (d->finalized)
        fake_library_breach("descriptor %d is finalised twice", d->kind);
    if (fake_library_capturing())
        fake_library_breach("descriptor %d is finalised while capturing", d->kind);
    for (int i = 0; i < RULES; i++)
        if (rules[i].descriptor == d->kind && rules[i].needed && !value_of(d, rules[i].attribute)) {
            fake_library_breach("descriptor %d lacks attribute %d", d->kind, rules[i].attribute);
            return CUDNN_STATUS_BAD_PARAM;
        }
    if (d->kind == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        cudnnStatus_t status = finalize_plan(d);
        if (status != CUDNN_STATUS_SUCCESS)
            return status;
    }
    if (d->kind == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
        d->program = make_program(d);
    if (d->kind == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) {
        fake_library_heuristics++;
        bool aims = value_of(d, CUDNN_ATTR_ENGINEHEUR_SM_COUNT_TARGET);
        if (aims && number(d, CUDNN_ATTR_ENGINEHEUR_SM_COUNT_TARGET) <= 0)
            fake_library_breach("an aim of no SMs");
    }
    d->finalized = true;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t get_results(const struct descriptor *d, int64_t wanted, int64_t *count,
                                 struct descriptor *const *configs)
{
    int mode = number(d, CUDNN_ATTR_ENGINEHEUR_MODE);
    int first = mode == CUDNN_HEUR_MODE_A ? 0 : FIRST_OF_FALLBACK,
        n = mode == CUDNN_HEUR_MODE_A ? 3 : 1;
    *count = 0;
    if (value_of(d, CUDNN_ATTR_ENGINEHEUR_SM_COUNT_TARGET) &&
        (fake_refusals & FAKE_REFUSE_SM_TARGET)) /* the real one's way to refuse */
        return CUDNN_STATUS_SUCCESS;
    for (int i = 0; i < n && i < wanted; i++) {
        if (configs[i]->kind != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
            fake_library_breach("results into descriptors that are no configurations");
        configs[i]->engine = first + i;
        configs[i]->program = child(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)->program;
        configs[i]->finalized = true;
        ++*count;
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted,
                                       int64_t *count, void *out)
{
    const struct descriptor *d = descriptor;
    (void)type;
    CALL;
    if (!d->finalized)
        fake_library_breach("attribute %d of what is not finalised", (int)name);
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        return get_results(d, wanted, count, out);
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        *count = 1;
        *(int64_t *)out = 1024;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION:
        *count = fake_cudnn_write(out, out ? (size_t)wanted : 0, d->engine, d->program) + 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        *count = 1;
        (*(struct descriptor **)out)->engine = d->engine;
        (*(struct descriptor **)out)->finalized = true;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: /* the fastest uses the tensor cores */
        *count = d->engine == 2;
        if (*count && wanted > 0)
            *(cudnnBackendNumericalNote_t *)out = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        return CUDNN_STATUS_SUCCESS;
    default:
        fake_library_breach("attribute %d is asked for", (int)name);
        return CUDNN_STATUS_BAD_PARAM;
    }
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack)
{
    const struct descriptor *p = plan, *v = pack;
    const struct handle *h = (void *)handle;
    CALL;
    if (!h->stream || !p->finalized || !v->finalized ||
        p->kind != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR ||
        v->kind != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        fake_library_breach("a run without a stream, or of what is not finalised");
    const struct value *pointers = value_of(v, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    const struct value *ids = value_of(v, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    if (!*(void *const *)(const void *)value_of(v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->bytes)
        fake_library_breach("a run without a workspace");
    struct fake_run *run = fake_library_keep(sizeof *run);
    run->program = p->program;
    for (int i = 0; i < p->program->tensor_count; i++) {
        const struct fake_tensor *t = &p->program->tensors[i];
        for (int64_t k = 0; k < ids->count && !t->is_virtual; k++)
            if (((const int64_t *)(const void *)ids->bytes)[k] == t->id)
                run->pointers[i] = ((void *const *)(const void *)pointers->bytes)[k];
        size_t align = t->by_value ? sizeof(float) : (size_t)t->align; /* the one is the host's */
        if (!t->is_virtual && (!run->pointers[i] || (uintptr_t)run->pointers[i] % align))
            fake_library_breach("tensor %d has no pointer, or not an aligned one", (int)t->id);
    }
    int kernels = p->engine == 2 ? 1 : p->engine < FIRST_OF_FALLBACK ? 2 : 4;
    return fake_library_enqueue(h->stream, kernels, fake_cudnn_run, run)
               ? CUDNN_STATUS_SUCCESS
               : CUDNN_STATUS_EXECUTION_FAILED;
}
