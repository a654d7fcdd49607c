/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fully connected layer for one row of activations reads every weight once: it is as fast as the
 * weights arrive. Weights are packed in panels of columns that are read front to back, which the
 * prefetchers follow: MobileNetV2's last layer (5 MB) takes 0.28 ms within the network, where
 * oneDNN 2.6.3 takes 0.39 ms (bench_engine --steps).
 */
#include "runtime/device/cpu/net/build.h"

#include "runtime/device/cpu/kernels/kernels.h"
#include "runtime/device/cpu/kernels/team.h"

#include <string.h>

bool glet_cpu_wants_single_row(int64_t m, int64_t k, int64_t n)
{
    /* Below, a call of oneDNN costs no more; above, memory bandwidth decides for both, and a second
       packing beside the one for larger batches is not worth its size. */
    const int64_t smallest = 1 << 14, largest = 1 << 23;
    return m == 1 && k > 0 && n > 0 && k * n >= smallest && k * n <= largest;
}

struct panel_shape {
    int64_t k, n;
    bool trans_b;
};

static void fill_panels(void *out, const void *data, const void *context)
{
    const struct panel_shape *s = context;
    int64_t row_step = s->trans_b ? 1 : s->n, column_step = s->trans_b ? s->k : 1;
    for (int64_t c = 0; c < s->n; c++) {
        float *to = (float *)out + c / GLET_CPU_PANEL * s->k * GLET_CPU_PANEL + c % GLET_CPU_PANEL;
        for (int64_t i = 0; i < s->k; i++) /* the file's weights may lie at any address */
            memcpy(to + i * GLET_CPU_PANEL,
                   (const char *)data + (size_t)(i * row_step + c * column_step) * sizeof(float),
                   sizeof(float));
    }
}

struct row_params {
    long k, n;
    bool has_bias;
    struct glet_activation activation;
};

struct row_job {
    const struct row_params *p;
    float *out;
    const float *row, *panels, *bias;
};

static void row_part(int part, int parts, void *data)
{
    const struct row_job *job = data;
    const struct row_params *p = job->p;
    long begin, end;
    glet_cpu_split((p->n + GLET_CPU_PANEL - 1) / GLET_CPU_PANEL, part, parts, &begin, &end);
    for (long panel = begin; panel < end; panel++) {
        float sums[GLET_CPU_PANEL];
        long at = panel * GLET_CPU_PANEL;
        long count = p->n - at < GLET_CPU_PANEL ? p->n - at : GLET_CPU_PANEL;
        glet_cpu_simd()->row_times_matrix(sums, job->row, job->panels + at * p->k, p->k, 1);
        if (p->has_bias)
            glet_cpu_simd()->accumulate(sums, job->bias + at, count);
        glet_cpu_simd()->unary(&p->activation, job->out + at, sums, count);
    }
}

static int row_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    struct row_job job = {params, operands[0], operands[1], operands[2], operands[3]};
    (void)err;
    glet_cpu_team_run(row_part, &job);
    return 0;
}

int glet_cpu_build_single_row(struct glet_cpu_build *b, int64_t k, int64_t n, int bias,
                              struct glet_error *err)
{
    int weights = b->node->inputs[1];
    struct panel_shape shape = {k, n, b->node->trans_b};
    struct row_params params = {k, n, bias >= 0, b->node->activation};
    struct glet_cpu_constant constant = {glet_cpu_model_of(b), glet_cpu_constant_data(b, weights),
                                         glet_tensor_bytes(glet_cpu_tensor(b, weights))};
    int64_t panels = (n + GLET_CPU_PANEL - 1) / GLET_CPU_PANEL;
    const void *packed;
    int buffers[4] = {-1, glet_cpu_want_plain(b, b->node->inputs[0], err), -1, -1};
    if (buffers[1] < 0 ||
        glet_cpu_packs_make(glet_cpu_packs_of(b), &constant, GLET_CPU_PACK_PANELS,
                            2 * n + shape.trans_b,
                            (size_t)(panels * k * GLET_CPU_PANEL) * sizeof(float), fill_panels,
                            &shape, &packed, err) < 0 ||
        (buffers[2] = glet_cpu_constant_buffer(b, packed, err)) < 0 ||
        (bias >= 0 && (buffers[3] = glet_cpu_want_plain(b, bias, err)) < 0) ||
        (buffers[0] = glet_cpu_define_plain(b, b->node->output, err)) < 0)
        return -1;
    return glet_cpu_add_kernel(b, row_kernel, buffers, 4, &params, sizeof params, err);
}
