/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuBLASLt is column-major: row-major y = a w is y' = w' a' there, and a row-major matrix is its
 * own transpose read column by column. So its first operand is our w, its second our a, its rows
 * are our columns, and its bias, one value per row, is ours per column.
 *
 * An algorithm is 64 opaque bytes that its documentation allows to store for the same version; the
 * cache keeps them as hexadecimal digits, and cublasLtMatmulAlgoCheck() judges what comes back.
 *
 * Suggestions are for the device as the library sees it and, by wish, once more for the gpu-let's
 * number of SMs; what is timed here decides.
 */
#include "runtime/device/cuda/libs/gemm.h"

#include "common/log.h"
#include "runtime/device/cuda/libs/timing.h"

#include <stdlib.h>
#include <string.h>

/* Of large products more suggestions are timed: there what is not the best costs the most. */
enum { CANDIDATES = 8, OF_LARGE = 24, MAX_ALIGN_BYTES = 256, MAX_KEY_BYTES = 4096 };
#define LARGE_FLOP 2e9

#define AIMED " aimed" /* after a kept algorithm: at the gpu-let's number of SMs */

static const struct glet_cuda_libraries *libraries_of(const struct glet_cuda_site *site)
{
    return glet_cuda_store_libraries(site->store);
}

bool glet_lt_has_activation(const struct glet_activation *activation)
{
    return activation->kind == GLET_ACT_NONE || activation->kind == GLET_ACT_RELU ||
           activation->kind == GLET_ACT_GELU_TANH;
}

static cublasLtEpilogue_t epilogue_of(const struct glet_activation *activation, bool bias)
{
    switch (activation->kind) {
    case GLET_ACT_RELU:
        return bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
    case GLET_ACT_GELU_TANH:
        return bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    default:
        return bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    }
}

static cudaDataType_t data_type(const struct glet_cuda_site *site)
{
    return glet_cuda_store_precision(site->store) == GLET_CUDA_FP16 ? CUDA_R_16F : CUDA_R_32F;
}

static cublasComputeType_t compute_type(const struct glet_cuda_site *site)
{
    return glet_cuda_store_precision(site->store) == GLET_CUDA_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                                    : CUBLAS_COMPUTE_32F;
}

/* rows x columns as we see it: row-major with a pitch. */
static int make_layout(const struct glet_cuda_site *site, int64_t rows, int64_t columns,
                       int64_t pitch, int64_t batch, int64_t stride, cublasLtMatrixLayout_t *out,
                       struct glet_error *err)
{
    const struct glet_cuda_libraries *l = libraries_of(site);
    int32_t count = (int32_t)batch;
    if (GLET_CUBLASLT_TRY(l, err, cublasLtMatrixLayoutCreate, out, data_type(site),
                          (uint64_t)columns, (uint64_t)rows, pitch) < 0)
        return -1;
    if (batch > 1 &&
        (GLET_CUBLASLT_TRY(l, err, cublasLtMatrixLayoutSetAttribute, *out,
                           CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count) < 0 ||
         GLET_CUBLASLT_TRY(l, err, cublasLtMatrixLayoutSetAttribute, *out,
                           CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                           sizeof stride) < 0))
        return -1;
    return 0;
}

static int make_operation(const struct glet_cuda_site *site,
                          const struct glet_activation *activation, struct glet_lt_plan *plan,
                          struct glet_error *err)
{
    const struct glet_cuda_libraries *l = libraries_of(site);
    const struct glet_cuda_gemm *g = &plan->gemm;
    cublasOperation_t first = g->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t second = g->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = epilogue_of(activation, plan->operands.bias != NULL);
#define SET(name, value)                                                                           \
    GLET_CUBLASLT_TRY(l, err, cublasLtMatmulDescSetAttribute, plan->operation, name, &(value),     \
                      sizeof(value))
    if (GLET_CUBLASLT_TRY(l, err, cublasLtMatmulDescCreate, &plan->operation, compute_type(site),
                          CUDA_R_32F) < 0 ||
        SET(CUBLASLT_MATMUL_DESC_TRANSA, first) < 0 ||
        SET(CUBLASLT_MATMUL_DESC_TRANSB, second) < 0 ||
        SET(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue) < 0)
        return -1;
    if (plan->operands.bias && SET(CUBLASLT_MATMUL_DESC_BIAS_POINTER, plan->operands.bias) < 0)
        return -1;
#undef SET
    return 0;
}

/* 0: no aim but the whole device. False: the library takes none. */
static bool aim_at(const struct glet_cuda_site *site, const struct glet_lt_plan *plan, int32_t sms)
{
    return libraries_of(site)->cublasLtMatmulDescSetAttribute(
               plan->operation, CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, &sms, sizeof sms) ==
           CUBLAS_STATUS_SUCCESS;
}

static int make_layouts(const struct glet_cuda_site *site, struct glet_lt_plan *plan,
                        struct glet_error *err)
{
    const struct glet_cuda_gemm *g = &plan->gemm;
    bool has_c = plan->operands.residual != NULL;
    if (make_layout(site, g->trans_b ? g->n : g->k, g->trans_b ? g->k : g->n, g->ldb, g->batch,
                    g->stride_b, &plan->w, err) < 0 ||
        make_layout(site, g->trans_a ? g->k : g->m, g->trans_a ? g->m : g->k, g->lda, g->batch,
                    g->stride_a, &plan->a, err) < 0 ||
        make_layout(site, g->m, g->n, has_c ? g->ldc : g->ldy, g->batch,
                    has_c ? g->stride_c : g->stride_y, &plan->c, err) < 0)
        return -1;
    return make_layout(site, g->m, g->n, g->ldy, g->batch, g->stride_y, &plan->y, err);
}

/* The largest power of two that divides the address and every step that is taken from it. */
static uint32_t alignment(const void *pointer, size_t element_bytes, int64_t stride, int64_t outer)
{
    uint64_t bits = (uint64_t)(uintptr_t)pointer | (uint64_t)stride * element_bytes |
                    (uint64_t)outer * element_bytes | MAX_ALIGN_BYTES;
    return (uint32_t)(bits & (~bits + 1));
}

enum { W, A, C, Y, OPERANDS }; /* in the library's order: its A is our w */

static void find_alignments(const struct glet_lt_plan *plan, uint32_t align_bytes[OPERANDS])
{
    const struct glet_cuda_gemm *g = &plan->gemm;
    const struct glet_lt_operands *o = &plan->operands;
    size_t bytes = plan->element_bytes;
    align_bytes[W] = alignment(o->w, bytes, g->stride_b, g->outer_b);
    align_bytes[A] = alignment(o->a, bytes, g->stride_a, g->outer_a);
    align_bytes[Y] = alignment(o->y, bytes, g->stride_y, g->outer_y);
    align_bytes[C] =
        o->residual ? alignment(o->residual, bytes, g->stride_c, g->outer_c) : align_bytes[Y];
}

static int make_preference(const struct glet_cuda_site *site, const struct glet_lt_plan *plan,
                           cublasLtMatmulPreference_t *out, struct glet_error *err)
{
    static const cublasLtMatmulPreferenceAttributes_t names[OPERANDS] = {
        [W] = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        [A] = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        [C] = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        [Y] = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
    };
    const struct glet_cuda_libraries *l = libraries_of(site);
    size_t workspace = glet_cuda_handles_of(site)->workspace_bytes;
    uint32_t align_bytes[OPERANDS];
    find_alignments(plan, align_bytes);
    if (GLET_CUBLASLT_TRY(l, err, cublasLtMatmulPreferenceCreate, out) < 0 ||
        GLET_CUBLASLT_TRY(l, err, cublasLtMatmulPreferenceSetAttribute, *out,
                          CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                          sizeof workspace) < 0)
        return -1;
    for (int i = 0; i < OPERANDS; i++)
        if (GLET_CUBLASLT_TRY(l, err, cublasLtMatmulPreferenceSetAttribute, *out, names[i],
                              &align_bytes[i], sizeof align_bytes[i]) < 0)
            return -1;
    return 0;
}

static void *moved(void *pointer, const struct glet_lt_plan *plan, int64_t elements)
{
    return pointer ? (char *)pointer + elements * (int64_t)plan->element_bytes : NULL;
}

int glet_lt_plan_enqueue(const struct glet_cuda_site *site, const struct glet_lt_plan *plan,
                         struct glet_error *err)
{
    const struct glet_cuda_handles *handles = glet_cuda_handles_of(site);
    const struct glet_cuda_gemm *g = &plan->gemm;
    const struct glet_lt_operands *o = &plan->operands;
    float beta = o->residual ? 1.0F : 0.0F;
    for (int64_t i = 0; i < g->outer; i++) {
        void *y = moved(o->y, plan, i * g->outer_y);
        void *c = o->residual ? moved(o->residual, plan, i * g->outer_c) : y;
        if (GLET_CUBLASLT_TRY(libraries_of(site), err, cublasLtMatmul, handles->cublaslt,
                              plan->operation, &plan->alpha, moved(o->w, plan, i * g->outer_b),
                              plan->w, moved(o->a, plan, i * g->outer_a), plan->a, &beta, c,
                              plan->c, y, plan->y, &plan->algorithm,
                              (void *)(uintptr_t)handles->workspace, handles->workspace_bytes,
                              (cudaStream_t)site->stream) < 0)
            return -1;
    }
    return 0;
}

void glet_lt_plan_fini(const struct glet_cuda_site *site, struct glet_lt_plan *plan)
{
    const struct glet_cuda_libraries *l = libraries_of(site);
    cublasLtMatrixLayout_t *layouts[] = {&plan->a, &plan->w, &plan->c, &plan->y};
    for (int i = 0; i < 4; i++) {
        if (*layouts[i])
            (void)l->cublasLtMatrixLayoutDestroy(*layouts[i]);
        *layouts[i] = NULL;
    }
    if (plan->operation)
        (void)l->cublasLtMatmulDescDestroy(plan->operation);
    plan->operation = NULL;
}

/* -- the cache --------------------------------------------------------------------------------- */

static bool from_cache(const struct glet_cuda_site *site, const char *key,
                       struct glet_lt_plan *plan)
{
    char *text = glet_choice_cache_get(glet_cuda_store_choices(site->store), key);
    unsigned char bytes[sizeof plan->algorithm];
    cublasLtMatmulHeuristicResult_t result;
    if (!text)
        return false;
    bool aimed = strcmp(text + strcspn(text, " "), AIMED) == 0;
    bool ok = strcspn(text, " ") == 2 * sizeof bytes;
    for (size_t i = 0; ok && i < sizeof bytes; i++) {
        unsigned value;
        ok = sscanf(text + 2 * i, "%2x", &value) == 1;
        bytes[i] = (unsigned char)value;
    }
    free(text);
    if (ok && aimed)
        ok = aim_at(site, plan, site->sm_count);
    if (ok) {
        memcpy(&plan->algorithm, bytes, sizeof bytes);
        ok = libraries_of(site)->cublasLtMatmulAlgoCheck(
                 glet_cuda_handles_of(site)->cublaslt, plan->operation, plan->w, plan->a, plan->c,
                 plan->y, &plan->algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
             result.workspaceSize <= glet_cuda_handles_of(site)->workspace_bytes;
    }
    if (!ok)
        glet_log_warning("cached choice ignored: cuBLASLt refuses it key=%s", key);
    return ok;
}

static void to_cache(const struct glet_cuda_site *site, const char *key,
                     const struct glet_lt_plan *plan)
{
    unsigned char bytes[sizeof plan->algorithm];
    char text[2 * sizeof bytes + sizeof AIMED];
    memcpy(bytes, &plan->algorithm, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    if (plan->aimed)
        snprintf(text + 2 * sizeof bytes, sizeof AIMED, "%s", AIMED);
    glet_choice_cache_put(glet_cuda_store_choices(site->store), key, text);
}

struct run {
    const struct glet_cuda_site *site;
    const struct glet_lt_plan *plan;
};

static int enqueue_run(void *context, struct glet_error *err)
{
    const struct run *run = context;
    return glet_lt_plan_enqueue(run->site, run->plan, err);
}

/* Times what is suggested for this aim; keeps the fastest of all so far in the plan. */
static void time_candidates(const struct glet_cuda_site *site,
                            const cublasLtMatmulPreference_t preference, bool aimed,
                            struct glet_lt_plan *plan)
{
    const struct glet_cuda_gemm *g = &plan->gemm;
    double flop = 2.0 * (double)(g->batch * g->m) * (double)(g->n * g->k);
    cublasLtMatmulHeuristicResult_t results[OF_LARGE];
    struct glet_lt_plan tried = *plan;
    int count = 0;
    if (!aim_at(site, plan, aimed ? site->sm_count : 0) && aimed)
        return;
    if (libraries_of(site)->cublasLtMatmulAlgoGetHeuristic(
            glet_cuda_handles_of(site)->cublaslt, plan->operation, plan->w, plan->a, plan->c,
            plan->y, preference, flop < LARGE_FLOP ? CANDIDATES : OF_LARGE, results,
            &count) != CUBLAS_STATUS_SUCCESS)
        return;
    for (int i = 0; i < count; i++) {
        struct run run = {site, &tried};
        struct glet_error ignored;
        if (results[i].state != CUBLAS_STATUS_SUCCESS)
            continue;
        tried.algorithm = results[i].algo;
        if (glet_cuda_time(site, enqueue_run, &run, plan->ms, &tried.ms, &ignored) == 0 &&
            (plan->ms == 0 || tried.ms < plan->ms)) {
            plan->algorithm = tried.algorithm;
            plan->ms = tried.ms;
            plan->aimed = aimed;
        }
    }
}

/* 1: chosen; 0: nothing ran. */
static int choose_algorithm(const struct glet_cuda_site *site,
                            const cublasLtMatmulPreference_t preference, struct glet_lt_plan *plan)
{
    time_candidates(site, preference, false, plan);
    if (glet_cuda_aims_at_sms(site))
        time_candidates(site, preference, true, plan);
    (void)aim_at(site, plan, plan->aimed ? site->sm_count : 0);
    return plan->ms > 0;
}

int glet_lt_choose(const struct glet_cuda_site *site, const struct glet_cuda_gemm *gemm,
                   float alpha, const struct glet_activation *activation,
                   const struct glet_lt_operands *operands, const char *what,
                   struct glet_lt_plan *out, struct glet_error *err)
{
    cublasLtMatmulPreference_t preference = NULL;
    uint32_t align_bytes[OPERANDS];
    char key[MAX_KEY_BYTES];
    *out = (struct glet_lt_plan){.gemm = *gemm,
                                 .operands = *operands,
                                 .alpha = alpha,
                                 .element_bytes = data_type(site) == CUDA_R_16F ? 2 : 4};
    find_alignments(out, align_bytes);
    snprintf(key, sizeof key, "%s ; aligned %u %u %u %u", what, align_bytes[W], align_bytes[A],
             align_bytes[C], align_bytes[Y]);
    if (make_operation(site, activation, out, err) < 0 || make_layouts(site, out, err) < 0)
        return -1;
    if (from_cache(site, key, out))
        return 1;
    int found = make_preference(site, out, &preference, err) < 0
                    ? -1
                    : choose_algorithm(site, preference, out);
    if (preference)
        (void)libraries_of(site)->cublasLtMatmulPreferenceDestroy(preference);
    if (found == 1)
        to_cache(site, key, out);
    return found;
}
