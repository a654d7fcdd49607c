/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cuda/host_plan.h"

#include "common/memory.h"
#include "tests/unit/cuda/host_kernels.h"

#include <dnnl.h>
#include <stdlib.h>
#include <string.h>

struct machine {
    const struct glet_cuda_plan *plan;
    void **bases;
    char *arena;
};

static const size_t SLACK_BYTES = 256;

static int start(struct machine *m, void *const *inputs, void *const *outputs,
                 struct glet_error *err)
{
    const struct glet_cuda_plan *plan = m->plan;
    m->bases = glet_alloc((size_t)plan->buffer_count + 1, sizeof *m->bases, err);
    m->arena = aligned_alloc(256, (plan->arena_bytes + SLACK_BYTES) / 256 * 256 + 256);
    if (!m->bases || !m->arena)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    for (int i = 0; i < plan->buffer_count; i++) {
        const struct glet_cuda_buffer *buffer = &plan->buffers[i];
        switch (buffer->kind) {
        case GLET_CUDA_ARENA:
            m->bases[i] = m->arena + buffer->offset_bytes;
            break;
        case GLET_CUDA_INPUT:
            m->bases[i] = inputs[buffer->index];
            break;
        case GLET_CUDA_OUTPUT:
            m->bases[i] = outputs[buffer->index];
            break;
        case GLET_CUDA_WEIGHT:
            if (buffer->first_step < 0)
                continue;
            m->bases[i] = aligned_alloc(256, (buffer->bytes + 255) / 256 * 256 + 256);
            if (!m->bases[i])
                return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
            glet_cuda_weight_pack(&buffer->weight, m->bases[i]);
            break;
        }
    }
    return 0;
}

static void finish(struct machine *m)
{
    for (int i = 0; m->bases && i < m->plan->buffer_count; i++)
        if (m->plan->buffers[i].kind == GLET_CUDA_WEIGHT)
            free(m->bases[i]);
    free(m->bases);
    free(m->arena);
}

static void read_row(const struct machine *m, const void *base, int64_t offset, int64_t count,
                     float *to)
{
    if (m->plan->type == GLET_FLOAT16)
        host_halves_to_floats((const uint16_t *)base + offset, to, (size_t)count);
    else
        memcpy(to, (const float *)base + offset, (size_t)count * sizeof *to);
}

static void write_row(const struct machine *m, void *base, int64_t offset, int64_t count,
                      const float *from)
{
    if (m->plan->type == GLET_FLOAT16)
        host_floats_to_halves(from, (uint16_t *)base + offset, (size_t)count);
    else
        memcpy((float *)base + offset, from, (size_t)count * sizeof *from);
}

/* y = alpha a w for one matrix each, all through FP32. */
static void product(const struct machine *m, const struct glet_cuda_gemm *g, float alpha,
                    const void *a, int64_t a_at, const void *w, int64_t w_at, void *y, int64_t y_at)
{
    int64_t a_rows = g->trans_a ? g->k : g->m, a_columns = g->trans_a ? g->m : g->k;
    int64_t w_rows = g->trans_b ? g->n : g->k, w_columns = g->trans_b ? g->k : g->n;
    float *fa = malloc((size_t)(a_rows * a_columns + 1) * sizeof *fa);
    float *fw = malloc((size_t)(w_rows * w_columns + 1) * sizeof *fw);
    float *fy = malloc((size_t)(g->m * g->n + 1) * sizeof *fy);
    for (int64_t i = 0; i < a_rows; i++)
        read_row(m, a, a_at + i * g->lda, a_columns, fa + i * a_columns);
    for (int64_t i = 0; i < w_rows; i++)
        read_row(m, w, w_at + i * g->ldb, w_columns, fw + i * w_columns);
    dnnl_sgemm(g->trans_a ? 'T' : 'N', g->trans_b ? 'T' : 'N', g->m, g->n, g->k, alpha, fa,
               a_columns, fw, w_columns, 0.0F, fy, g->n);
    for (int64_t i = 0; i < g->m; i++)
        write_row(m, y, y_at + i * g->ldy, g->n, fy + i * g->n);
    free(fa);
    free(fw);
    free(fy);
}

static void gemm(const struct machine *m, const struct glet_cuda_gemm *g, float alpha,
                 const struct glet_cuda_place *a, const struct glet_cuda_place *w,
                 const struct glet_cuda_place *y)
{
    for (int64_t o = 0; o < g->outer; o++)
        for (int64_t b = 0; b < g->batch; b++)
            product(m, g, alpha, glet_cuda_address(m->bases, a), o * g->outer_a + b * g->stride_a,
                    glet_cuda_address(m->bases, w), o * g->outer_b + b * g->stride_b,
                    glet_cuda_address(m->bases, y), o * g->outer_y + b * g->stride_y);
}

static int64_t at_least_1(int64_t value)
{
    return value > 0 ? value : 1;
}

/* One output row of one image as a product: pixels x (R S C) times (R S C) x K. */
static void conv(const struct machine *m, const struct glet_cuda_step *step)
{
    const struct glet_cuda_place *x = &step->places[0], *w = &step->places[1],
                                 *y = &step->places[4];
    const struct glet_node *node = step->node;
    int spatial = m->plan->graph->tensors[node->output].rank - 2, first = 2 - spatial;
    int64_t r = w->dims[1], s = w->dims[2], c = w->dims[3], group = at_least_1(node->group);
    int64_t k = group > 1 ? y->dims[1] : w->dims[0], k_group = k / group;
    int64_t sh = first ? 1 : at_least_1(node->strides[0]),
            sw = at_least_1(node->strides[spatial - 1]);
    int64_t dh = first ? 1 : at_least_1(node->dilations[0]),
            dw = at_least_1(node->dilations[spatial - 1]);
    int64_t ph = first ? 0 : node->pads_begin[0], pw = node->pads_begin[spatial - 1];
    int64_t width = y->dims[3], columns = r * s * c;
    float *filter = malloc((size_t)(k * columns) * sizeof *filter);
    float *patch = malloc((size_t)(width * columns) * sizeof *patch);
    float *result = malloc((size_t)(width * k) * sizeof *result);
    const void *xd = glet_cuda_address(m->bases, x);
    void *yd = glet_cuda_address(m->bases, y);
    read_row(m, glet_cuda_address(m->bases, w), 0, k * columns, filter);
    for (int64_t n = 0; n < y->dims[0]; n++)
        for (int64_t i = 0; i < y->dims[2]; i++) {
            for (int64_t g = 0; g < group; g++) {
                memset(patch, 0, (size_t)(width * columns) * sizeof *patch);
                for (int64_t j = 0; j < width; j++)
                    for (int64_t p = 0; p < r; p++)
                        for (int64_t q = 0; q < s; q++) {
                            int64_t h = i * sh - ph + p * dh, v = j * sw - pw + q * dw;
                            if (h < 0 || v < 0 || h >= x->dims[2] || v >= x->dims[3])
                                continue;
                            read_row(m, xd,
                                     n * x->strides[0] + h * x->strides[2] + v * x->strides[3] +
                                         g * c,
                                     c, patch + j * columns + (p * s + q) * c);
                        }
                dnnl_sgemm('N', 'T', width, k_group, columns, 1.0F, patch, columns,
                           filter + g * k_group * columns, columns, 0.0F, result + g * k_group, k);
            }
            for (int64_t j = 0; j < width; j++)
                write_row(m, yd, n * y->strides[0] + i * y->strides[2] + j * y->strides[3], k,
                          result + j * k);
        }
    free(filter);
    free(patch);
    free(result);
}

static int launch(const struct machine *m, const struct glet_cuda_step *step,
                  struct glet_error *err)
{
    struct glet_cuda_launch launch;
    if (glet_cuda_launch_of(m->plan, step, m->bases, &launch, err) < 0)
        return -1;
    if (!host_launch(&launch))
        return glet_error_set(err, GLET_ERR_INTERNAL, "no kernel %s", launch.kernel);
    return 0;
}

static int epilogue(const struct machine *m, const struct glet_cuda_step *step, int axis,
                    struct glet_error *err)
{
    struct glet_cuda_step rest;
    if (glet_cuda_epilogue_step(step, step->places[2].buffer >= 0, step->places[3].buffer >= 0,
                                axis, &rest, err) < 0)
        return -1;
    return rest.operation_count > 0 ? launch(m, &rest, err) : 0;
}

static int run_step(const struct machine *m, const struct glet_cuda_step *step,
                    struct glet_error *err)
{
    struct glet_cuda_step scores;
    switch (step->kind) {
    case GLET_CUDA_CONV:
        conv(m, step);
        return epilogue(m, step, 1, err);
    case GLET_CUDA_GEMM:
        gemm(m, &step->gemm, step->node->alpha, &step->places[0], &step->places[1],
             &step->places[4]);
        return epilogue(m, step, step->places[4].rank - 1, err);
    case GLET_CUDA_ATTENTION:
        gemm(m, &step->attention.scores, 1.0F, &step->places[0], &step->places[1],
             &step->places[5]);
        scores = glet_cuda_scores_step(step);
        if (launch(m, &scores, err) < 0)
            return -1;
        gemm(m, &step->attention.values, 1.0F, &step->places[5], &step->places[2],
             &step->places[4]);
        return 0;
    default:
        return launch(m, step, err);
    }
}

int host_plan_run(const struct glet_cuda_plan *plan, void *const *inputs, void *const *outputs,
                  struct glet_error *err)
{
    struct machine m = {.plan = plan};
    int rc = start(&m, inputs, outputs, err);
    for (int s = 0; rc == 0 && s < plan->step_count; s++) {
        for (int i = 0; i < plan->buffer_count; i++)
            if (plan->buffers[i].kind == GLET_CUDA_ARENA && plan->buffers[i].first_step == s)
                memset(m.bases[i], 0xff, plan->buffers[i].bytes);
        rc = run_step(&m, &plan->steps[s], err);
    }
    finish(&m);
    return rc;
}
