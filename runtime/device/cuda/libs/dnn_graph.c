/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing down cuDNN graphs. Every descriptor is made, filled, finalised and kept until the graph
 * goes; plans hold what they need of it. Source: cuDNN 9 backend API, header and documentation.
 */
#include "runtime/device/cuda/libs/dnn_graph.h"

static const int64_t ALIGN_BYTES = GLET_CUDA_VECTOR_BYTES;

void glet_dnn_graph_init(struct glet_dnn_graph *graph, const struct glet_cuda_site *site)
{
    *graph = (struct glet_dnn_graph){.site = site, .next_id = 1};
}

static const struct glet_cuda_libraries *libraries_of(const struct glet_dnn_graph *graph)
{
    return glet_cuda_store_libraries(graph->site->store);
}

void glet_dnn_graph_fini(struct glet_dnn_graph *graph)
{
    while (graph->descriptor_count > 0)
        (void)libraries_of(graph)->cudnnBackendDestroyDescriptor(
            graph->descriptors[--graph->descriptor_count]);
}

static cudnnBackendDescriptor_t make(struct glet_dnn_graph *graph,
                                     cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t descriptor = NULL;
    if (graph->failed)
        return NULL;
    if (graph->descriptor_count == GLET_DNN_MAX_DESCRIPTORS) {
        (void)glet_error_set(&graph->error, GLET_ERR_INTERNAL, "too many descriptors in a graph");
        graph->failed = true;
    } else if (GLET_CUDNN_TRY(libraries_of(graph), &graph->error, cudnnBackendCreateDescriptor,
                              type, &descriptor) < 0) {
        graph->failed = true;
    } else {
        graph->descriptors[graph->descriptor_count++] = descriptor;
    }
    return descriptor;
}

static void set(struct glet_dnn_graph *graph, cudnnBackendDescriptor_t descriptor,
                cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                const void *values)
{
    if (!graph->failed &&
        GLET_CUDNN_TRY(libraries_of(graph), &graph->error, cudnnBackendSetAttribute, descriptor,
                       name, type, count, values) < 0)
        graph->failed = true;
}

static void finalize(struct glet_dnn_graph *graph, cudnnBackendDescriptor_t descriptor)
{
    if (!graph->failed &&
        GLET_CUDNN_TRY(libraries_of(graph), &graph->error, cudnnBackendFinalize, descriptor) < 0)
        graph->failed = true;
}

static void set_tensor(struct glet_dnn_graph *graph, cudnnBackendDescriptor_t operation,
                       cudnnBackendAttributeName_t name, glet_dnn_tensor tensor)
{
    set(graph, operation, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &tensor);
}

/* -- tensors ----------------------------------------------------------------------------------- */

static glet_dnn_tensor tensor(struct glet_dnn_graph *graph, enum glet_dtype dtype, int rank,
                              const int64_t *dims, const int64_t *strides, bool is_virtual,
                              bool by_value, void *pointer)
{
    cudnnDataType_t type = dtype == GLET_FLOAT16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t t = make(graph, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t id = graph->next_id++;
    set(graph, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(graph, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, dims);
    set(graph, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, strides);
    set(graph, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(graph, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &ALIGN_BYTES);
    set(graph, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    if (by_value)
        set(graph, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    finalize(graph, t);
    if (!is_virtual && !graph->failed) {
        graph->ids[graph->operand_count] = id;
        graph->pointers[graph->operand_count++] = pointer;
    }
    return t;
}

glet_dnn_tensor glet_dnn_place(struct glet_dnn_graph *graph, const struct glet_cuda_place *place,
                               void *pointer)
{
    return tensor(graph, place->dtype, place->rank, place->dims, place->strides, false, false,
                  pointer);
}

glet_dnn_tensor glet_dnn_virtual(struct glet_dnn_graph *graph, enum glet_dtype dtype, int rank,
                                 const int64_t *dims, const int64_t *strides)
{
    return tensor(graph, dtype, rank, dims, strides, true, false, NULL);
}

glet_dnn_tensor glet_dnn_scalar(struct glet_dnn_graph *graph, int rank, const float *value)
{
    static const int64_t ones[GLET_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    return tensor(graph, GLET_FLOAT32, rank, ones, ones, false, true, (void *)(uintptr_t)value);
}

/* -- operations -------------------------------------------------------------------------------- */

static void add_operation(struct glet_dnn_graph *graph, cudnnBackendDescriptor_t operation)
{
    finalize(graph, operation);
    if (!graph->failed)
        graph->operations[graph->operation_count++] = operation;
}

void glet_dnn_conv(struct glet_dnn_graph *graph, const struct glet_dnn_window *window,
                   glet_dnn_tensor x, glet_dnn_tensor w, glet_dnn_tensor y)
{
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t spatial = 2;
    float one = 1.0F, zero = 0.0F;
    cudnnBackendDescriptor_t c = make(graph, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(graph, c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &spatial);
    set(graph, c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(graph, c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(graph, c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, window->pre);
    set(graph, c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, window->post);
    set(graph, c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, window->dilations);
    set(graph, c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, window->strides);
    finalize(graph, c);
    cudnnBackendDescriptor_t op =
        make(graph, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, c);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    set(graph, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    set(graph, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
    add_operation(graph, op);
}

/* What a pointwise function has beside its mode. */
struct parameter {
    cudnnBackendAttributeName_t name;
    double value;
};

static void pointwise(struct glet_dnn_graph *graph, cudnnPointwiseMode_t mode,
                      const struct parameter *parameters, int count, glet_dnn_tensor x,
                      glet_dnn_tensor b, glet_dnn_tensor y)
{
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t p = make(graph, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(graph, p, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(graph, p, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    for (int i = 0; i < count; i++)
        set(graph, p, parameters[i].name, CUDNN_TYPE_DOUBLE, 1, &parameters[i].value);
    finalize(graph, p);
    cudnnBackendDescriptor_t op = make(graph, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, p);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        set_tensor(graph, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add_operation(graph, op);
}

void glet_dnn_binary(struct glet_dnn_graph *graph, cudnnPointwiseMode_t mode, glet_dnn_tensor x,
                     glet_dnn_tensor b, glet_dnn_tensor y)
{
    pointwise(graph, mode, NULL, 0, x, b, y);
}

void glet_dnn_unary(struct glet_dnn_graph *graph, cudnnPointwiseMode_t mode, glet_dnn_tensor x,
                    glet_dnn_tensor y)
{
    pointwise(graph, mode, NULL, 0, x, NULL, y);
}

static bool map_activation(const struct glet_activation *activation, cudnnPointwiseMode_t *mode,
                           struct parameter *parameter, int *count)
{
    *count = 0;
    switch (activation->kind) {
    case GLET_ACT_RELU:
        *mode = CUDNN_POINTWISE_RELU_FWD;
        return true;
    case GLET_ACT_CLIP:
        *mode = CUDNN_POINTWISE_RELU_FWD;
        *parameter =
            (struct parameter){CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, (double)activation->b};
        *count = 1;
        return activation->a == 0.0F && activation->b > 0.0F;
    case GLET_ACT_LEAKY_RELU:
        *mode = CUDNN_POINTWISE_RELU_FWD;
        *parameter =
            (struct parameter){CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, (double)activation->a};
        *count = 1;
        return true;
    case GLET_ACT_ELU:
        *mode = CUDNN_POINTWISE_ELU_FWD;
        *parameter = (struct parameter){CUDNN_ATTR_POINTWISE_ELU_ALPHA, (double)activation->a};
        *count = 1;
        return true;
    case GLET_ACT_SWISH:
        *mode = CUDNN_POINTWISE_SWISH_FWD;
        *parameter = (struct parameter){CUDNN_ATTR_POINTWISE_SWISH_BETA, (double)activation->a};
        *count = 1;
        return true;
    case GLET_ACT_SIGMOID:
        *mode = CUDNN_POINTWISE_SIGMOID_FWD;
        return true;
    case GLET_ACT_TANH:
        *mode = CUDNN_POINTWISE_TANH_FWD;
        return true;
    case GLET_ACT_GELU_ERF:
        *mode = CUDNN_POINTWISE_GELU_FWD;
        return true;
    case GLET_ACT_GELU_TANH:
        *mode = CUDNN_POINTWISE_GELU_APPROX_TANH_FWD;
        return true;
    default:
        return false;
    }
}

bool glet_dnn_has_activation(const struct glet_activation *activation)
{
    cudnnPointwiseMode_t mode;
    struct parameter parameter;
    int count;
    return map_activation(activation, &mode, &parameter, &count);
}

void glet_dnn_activation(struct glet_dnn_graph *graph, const struct glet_activation *activation,
                         glet_dnn_tensor x, glet_dnn_tensor y)
{
    cudnnPointwiseMode_t mode = CUDNN_POINTWISE_IDENTITY;
    struct parameter parameter;
    int count;
    (void)map_activation(activation, &mode, &parameter, &count);
    pointwise(graph, mode, &parameter, count, x, NULL, y);
}

void glet_dnn_hard_swish(struct glet_dnn_graph *graph, int rank, const int64_t *dims,
                         const int64_t *strides, glet_dnn_tensor x, glet_dnn_tensor y)
{
    static const float sixth = 1.0F / 6.0F, half = 0.5F;
    const struct glet_activation to_one = {.kind = GLET_ACT_CLIP, .a = 0.0F, .b = 1.0F};
    glet_dnn_tensor between[3];
    for (int i = 0; i < 3; i++)
        between[i] = glet_dnn_virtual(graph, GLET_FLOAT32, rank, dims, strides);
    glet_dnn_binary(graph, CUDNN_POINTWISE_MUL, x, glet_dnn_scalar(graph, rank, &sixth),
                    between[0]);
    glet_dnn_binary(graph, CUDNN_POINTWISE_ADD, between[0], glet_dnn_scalar(graph, rank, &half),
                    between[1]);
    glet_dnn_activation(graph, &to_one, between[1], between[2]);
    glet_dnn_binary(graph, CUDNN_POINTWISE_MUL, x, between[2], y);
}

void glet_dnn_matmul(struct glet_dnn_graph *graph, glet_dnn_tensor a, glet_dnn_tensor b,
                     glet_dnn_tensor c)
{
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t m = make(graph, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    set(graph, m, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    finalize(graph, m);
    cudnnBackendDescriptor_t op = make(graph, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    graph->is_product = true;
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_MATMUL_DESC, m);
    add_operation(graph, op);
}

void glet_dnn_reduction(struct glet_dnn_graph *graph, cudnnReduceTensorOp_t operation,
                        glet_dnn_tensor x, glet_dnn_tensor y)
{
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t r = make(graph, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    set(graph, r, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(graph, r, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &operation);
    finalize(graph, r);
    cudnnBackendDescriptor_t op = make(graph, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    set_tensor(graph, op, CUDNN_ATTR_OPERATION_REDUCTION_DESC, r);
    add_operation(graph, op);
}
