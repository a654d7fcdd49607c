/* SPDX-License-Identifier: Apache-2.0 */
/* cuBLASLt: three algorithms per product, of which the second is the fastest. */
#include "tests/doubles/cuda/fake_libraries_state.h"

#include <cublasLt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC_HANDLE = 0x4c54, ALGORITHMS = 3, FASTEST = 1, WORKSPACE_BYTES = 4096 };

struct operation {
    cublasComputeType_t compute;
    cublasOperation_t trans[2];
    cublasLtEpilogue_t epilogue;
    const void *bias;
    int32_t sms;
};
struct layout {
    cudaDataType_t type;
    uint64_t rows, columns;
    int64_t pitch, stride;
    int32_t batch;
};
struct preference {
    uint64_t workspace;
    uint32_t align[4];
};
struct run {
    struct operation operation;
    struct layout a, b, c, d;
    float alpha, beta;
    const void *ap, *bp, *cp;
    void *dp;
};

#define CALL                                                                                       \
    if (!fake_library_call())                                                                      \
    return CUBLAS_STATUS_INTERNAL_ERROR
#define CALL_ANYWAY (void)fake_library_call()

size_t cublasLtGetVersion(void)
{
    return 130100;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS ? "CUBLAS_STATUS_SUCCESS"
                                           : "CUBLAS_STATUS_INTERNAL_ERROR";
}

static void *made(size_t bytes, const void *from)
{
    void *object = malloc(bytes);
    memcpy(object, from, bytes);
    fake_library_live++;
    return object;
}

static cublasStatus_t gone(void *object)
{
    CALL_ANYWAY;
    free(object);
    fake_library_live--;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    int magic = MAGIC_HANDLE;
    CALL;
    *out = made(sizeof magic, &magic);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    return gone(handle);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    struct operation operation = {.compute = compute, .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
    CALL;
    if (scale != CUDA_R_32F)
        fake_library_breach("a scale that is not FP32");
    *out = made(sizeof operation, &operation);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    return gone(desc);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t name,
                                              const void *value, size_t bytes)
{
    struct operation *operation = (void *)desc;
    void *to = NULL;
    size_t wanted = sizeof(int32_t);
    CALL;
    switch (name) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        to = &operation->trans[0];
        break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
        to = &operation->trans[1];
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        to = &operation->epilogue;
        break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        to = &operation->bias;
        wanted = sizeof operation->bias;
        break;
    case CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET:
        if (fake_refusals & FAKE_REFUSE_SM_TARGET)
            return CUBLAS_STATUS_NOT_SUPPORTED;
        to = &operation->sms;
        break;
    default:
        break;
    }
    if (!to || bytes != wanted) {
        fake_library_breach("attribute %d of a product with %zu bytes", (int)name, bytes);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType_t type,
                                          uint64_t rows, uint64_t columns, int64_t pitch)
{
    struct layout layout = {
        .type = type, .rows = rows, .columns = columns, .pitch = pitch, .batch = 1};
    CALL;
    if (pitch < (int64_t)rows || rows == 0 || columns == 0 ||
        (type != CUDA_R_16F && type != CUDA_R_32F)) {
        fake_library_breach("a matrix of %d x %d with pitch %d", (int)rows, (int)columns,
                            (int)pitch);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    *out = made(sizeof layout, &layout);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return gone(layout);
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle,
                                                cublasLtMatrixLayoutAttribute_t name,
                                                const void *value, size_t bytes)
{
    struct layout *layout = (void *)handle;
    CALL;
    if (name == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT && bytes == sizeof layout->batch) {
        memcpy(&layout->batch, value, bytes);
    } else if (name == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET &&
               bytes == sizeof layout->stride) {
        memcpy(&layout->stride, value, bytes);
    } else {
        fake_library_breach("attribute %d of a matrix with %zu bytes", (int)name, bytes);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    struct preference preference = {.align = {256, 256, 256, 256}};
    CALL;
    *out = made(sizeof preference, &preference);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return gone(preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void *value, size_t bytes)
{
    struct preference *preference = (void *)handle;
    CALL;
    if (name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && bytes == sizeof preference->workspace) {
        memcpy(&preference->workspace, value, bytes);
    } else if (name >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
               name <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES && bytes == sizeof(uint32_t)) {
        memcpy(&preference->align[name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
    } else {
        fake_library_breach("attribute %d of a preference with %zu bytes", (int)name, bytes);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    return CUBLAS_STATUS_SUCCESS;
}

static bool fits(const struct operation *o, const struct layout *a, const struct layout *b,
                 const struct layout *d)
{
    bool ta = o->trans[0] == CUBLAS_OP_T, tb = o->trans[1] == CUBLAS_OP_T;
    return (ta ? a->columns : a->rows) == d->rows && (tb ? b->rows : b->columns) == d->columns &&
           (ta ? a->rows : a->columns) == (tb ? b->columns : b->rows) && a->batch == d->batch &&
           b->batch == d->batch;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *count)
{
    const struct operation *operation = (void *)desc;
    const struct preference *p = (void *)preference;
    (void)handle;
    CALL;
    fake_library_heuristics++;
    if (fake_library_capturing())
        fake_library_breach("heuristics while capturing");
    if (!fits(operation, (void *)a, (void *)b, (void *)d) ||
        ((struct layout *)(void *)c)->rows != ((struct layout *)(void *)d)->rows)
        fake_library_breach("matrices that do not fit");
    *count = 0;
    if (fake_refusals & FAKE_REFUSE_GEMM)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    memset(results, 0, (size_t)wanted * sizeof results[0]);
    for (int i = 0; i < ALGORITHMS && i < wanted; i++) {
        results[i].algo.data[0] = (uint64_t)i + 1;
        for (int k = 0; k < 4; k++)
            results[i].algo.data[1 + k] = p->align[k];
        results[i].state = CUBLAS_STATUS_SUCCESS;
        results[i].workspaceSize = WORKSPACE_BYTES;
        ++*count;
    }
    return p->workspace >= WORKSPACE_BYTES ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algorithm,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    (void)handle;
    (void)c;
    CALL;
    memset(result, 0, sizeof *result);
    result->workspaceSize = WORKSPACE_BYTES;
    return algorithm->data[0] >= 1 && algorithm->data[0] <= ALGORITHMS &&
                   fits((void *)desc, (void *)a, (void *)b, (void *)d)
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_INVALID_VALUE;
}

static float element(const struct layout *l, const void *data, int64_t batch, uint64_t row,
                     uint64_t column)
{
    int64_t at = batch * l->stride + (int64_t)column * l->pitch + (int64_t)row;
    return l->type == CUDA_R_16F ? fake_half_to_float(((const uint16_t *)data)[at])
                                 : ((const float *)data)[at];
}

static float finish(const struct operation *o, cudaDataType_t type, uint64_t row, float value)
{
    switch (o->epilogue) {
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
        value += type == CUDA_R_16F ? fake_half_to_float(((const uint16_t *)o->bias)[row])
                                    : ((const float *)o->bias)[row];
        break;
    default:
        break;
    }
    if (o->epilogue == CUBLASLT_EPILOGUE_RELU || o->epilogue == CUBLASLT_EPILOGUE_RELU_BIAS)
        return fmaxf(value, 0.0F);
    if (o->epilogue == CUBLASLT_EPILOGUE_GELU || o->epilogue == CUBLASLT_EPILOGUE_GELU_BIAS)
        return 0.5F * value *
               (1.0F + tanhf(0.79788456F * (value + 0.044715F * value * value * value)));
    return value;
}

static void multiply(void *data)
{
    const struct run *r = data;
    bool ta = r->operation.trans[0] == CUBLAS_OP_T, tb = r->operation.trans[1] == CUBLAS_OP_T;
    uint64_t depth = ta ? r->a.rows : r->a.columns;
    for (int64_t n = 0; n < r->d.batch; n++)
        for (uint64_t j = 0; j < r->d.columns; j++)
            for (uint64_t i = 0; i < r->d.rows; i++) {
                float sum = 0.0F;
                for (uint64_t k = 0; k < depth; k++)
                    sum += element(&r->a, r->ap, n, ta ? k : i, ta ? i : k) *
                           element(&r->b, r->bp, n, tb ? j : k, tb ? k : j);
                sum *= r->alpha;
                if (r->beta > 0.0F)
                    sum += r->beta * element(&r->c, r->cp, n, i, j);
                sum = finish(&r->operation, r->d.type, i, sum);
                int64_t at = n * r->d.stride + (int64_t)j * r->d.pitch + (int64_t)i;
                if (r->d.type == CUDA_R_16F)
                    ((uint16_t *)r->dp)[at] = fake_float_to_half(sum);
                else
                    ((float *)r->dp)[at] = sum;
            }
}

static void check_pointer(const void *pointer, uint64_t align, const char *which)
{
    if (!pointer || (uintptr_t)pointer % (align ? align : 1) != 0)
        fake_library_breach("operand %s is not aligned to the %d bytes that were promised", which,
                            (int)align);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *ap, cublasLtMatrixLayout_t a, const void *bp,
                              cublasLtMatrixLayout_t b, const void *beta, const void *cp,
                              cublasLtMatrixLayout_t c, void *dp, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    CALL;
    struct run *run = fake_library_keep(sizeof *run);
    *run = (struct run){.operation = *(struct operation *)(void *)desc,
                        .a = *(struct layout *)(void *)a,
                        .b = *(struct layout *)(void *)b,
                        .c = *(struct layout *)(void *)c,
                        .d = *(struct layout *)(void *)d,
                        .alpha = *(const float *)alpha,
                        .beta = *(const float *)beta,
                        .ap = ap,
                        .bp = bp,
                        .cp = cp,
                        .dp = dp};
    if (*(int *)(void *)handle != MAGIC_HANDLE)
        fake_library_breach("not a handle");
    if (!algorithm || algorithm->data[0] < 1 || algorithm->data[0] > ALGORITHMS)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!workspace || workspace_bytes < WORKSPACE_BYTES)
        fake_library_breach("a product without a workspace");
    check_pointer(ap, algorithm->data[1], "A");
    check_pointer(bp, algorithm->data[2], "B");
    check_pointer(dp, algorithm->data[4], "D");
    int kernels = algorithm->data[0] == FASTEST + 1 ? 1 : 2;
    return fake_library_enqueue((CUstream)stream, kernels, multiply, run)
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_EXECUTION_FAILED;
}
