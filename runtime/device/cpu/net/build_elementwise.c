/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise operators with numpy broadcasting. Blocked layouts are kept where the operands allow
 * it: equal shapes are one flat loop over the memory, and one value per channel (squeeze and
 * excite) is a row of the innermost block. Everything else is row-major.
 *
 * Flat loops also compute the padding of a last incomplete block, which is zero and must stay zero
 * for whoever reads it: operators for which it would not (0 / 0) take the row-major path there.
 */
#include "runtime/device/cpu/net/build.h"

#include "runtime/device/cpu/kernels/kernels.h"
#include "runtime/device/cpu/kernels/team.h"

#include <string.h>

/* ---- row-major ---- */

struct binary_params {
    struct glet_cpu_loop loop;
    enum glet_binary op;
    enum glet_dtype dtype;
    struct glet_activation activation;
    int64_t count;
};

static int binary_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct binary_params *p = params;
    (void)err;
    glet_cpu_binary(&p->loop, p->op, p->dtype, operands[0], operands[1], operands[2]);
    return 0;
}

static int binary_plain(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *w = glet_cpu_tensor(b, node->inputs[1]);
    const struct glet_tensor *y = glet_cpu_tensor(b, node->output);
    struct binary_params params = {.loop = glet_cpu_loop_new(y->rank, y->dims),
                                   .op = node->binary,
                                   .dtype = glet_cpu_held_dtype(x->dtype)};
    glet_cpu_loop_broadcast(&params.loop, x->rank, x->dims);
    glet_cpu_loop_broadcast(&params.loop, w->rank, w->dims);
    glet_cpu_loop_simplify(&params.loop);
    int buffers[3] = {-1, glet_cpu_want_plain(b, node->inputs[0], err), -1};
    if (buffers[1] < 0 || (buffers[2] = glet_cpu_want_plain(b, node->inputs[1], err)) < 0 ||
        (buffers[0] = glet_cpu_define_plain(b, node->output, err)) < 0)
        return -1;
    return glet_cpu_add_kernel(b, binary_kernel, buffers, 3, &params, sizeof params, err);
}

/* ---- blocked ---- */

static bool same_shape(const struct glet_tensor *a, const struct glet_tensor *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

static bool padding_stays_zero(enum glet_binary op)
{
    return op == GLET_ADD || op == GLET_SUB || op == GLET_MUL || op == GLET_MIN || op == GLET_MAX;
}

static bool is_comparison(enum glet_binary op)
{
    return op >= GLET_EQUAL && op <= GLET_XOR;
}

/* Same shape, in the layout that one of them has: 1 = done, 0 = not possible, -1 = failed. */
static int binary_flat(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    dnnl_memory_desc_t md;
    int buffers[3] = {-1, -1, -1};
    for (int i = 0; i < 2; i++) {
        if (glet_cpu_current(b, node->inputs[i], &md, &buffers[1 + i], err) < 0)
            return -1;
        if (!glet_dnnl_is_plain(&md))
            break;
    }
    if (glet_dnnl_has_padding(&md) && !padding_stays_zero(node->binary))
        return 0;
    if ((buffers[1] = glet_cpu_want(b, node->inputs[0], &md, err)) < 0 ||
        (buffers[2] = glet_cpu_want(b, node->inputs[1], &md, err)) < 0)
        return -1;
    if (glet_cpu_may_overwrite(b, node->inputs[0], buffers[1]))
        buffers[0] = glet_cpu_define_in(b, node->output, &md, buffers[1], err);
    else if (glet_cpu_may_overwrite(b, node->inputs[1], buffers[2]))
        buffers[0] = glet_cpu_define_in(b, node->output, &md, buffers[2], err);
    else
        buffers[0] = glet_cpu_define(b, node->output, &md, err);
    if (buffers[0] < 0)
        return -1;
    int64_t count = (int64_t)(dnnl_memory_desc_get_size(&md) / sizeof(float));
    struct binary_params params = {
        .loop = glet_cpu_loop_new(1, &count), .op = node->binary, .dtype = GLET_FLOAT32};
    glet_cpu_loop_broadcast(&params.loop, 1, &count);
    glet_cpu_loop_broadcast(&params.loop, 1, &count);
    if (glet_cpu_add_kernel(b, binary_kernel, buffers, 3, &params, sizeof params, err) < 0)
        return -1;
    return 1;
}

struct channel_params {
    enum glet_binary op;
    long groups; /* batch x blocks of channels */
    struct glet_cpu_rows rows;
    bool swapped; /* the value per channel is the left operand */
};

struct channel_job {
    const struct channel_params *params;
    float *out;
    const float *big, *small;
};

static void channel_part(int part, int parts, void *data)
{
    const struct channel_job *job = data;
    const struct channel_params *p = job->params;
    struct glet_cpu_rows rows = p->rows;
    long begin, end, group_elements = rows.rows * rows.n;
    glet_cpu_split(p->groups, part, parts, &begin, &end);
    for (long g = begin; g < end; g++) {
        const float *big = job->big + g * group_elements, *small = job->small + g * rows.n;
        rows.out = job->out + g * group_elements;
        rows.a = p->swapped ? small : big;
        rows.b = p->swapped ? big : small;
        glet_cpu_simd()->binary(p->op, &rows);
    }
}

static int channel_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    struct channel_job job = {params, operands[0], operands[1], operands[2]};
    (void)err;
    glet_cpu_team_run(channel_part, &job);
    return 0;
}

static bool is_per_channel(const struct glet_tensor *big, const struct glet_tensor *small)
{
    if (small->rank != big->rank || big->rank < 3 || small->dims[0] != big->dims[0] ||
        small->dims[1] != big->dims[1])
        return false;
    for (int i = 2; i < small->rank; i++)
        if (small->dims[i] != 1)
            return false;
    return true;
}

/* One operand has a blocked layout, the other a value per channel of every image. */
static int binary_channel(struct glet_cpu_build *b, int big, int small, struct glet_error *err)
{
    const struct glet_tensor *t = glet_cpu_tensor(b, big);
    dnnl_memory_desc_t md;
    int buffers[3];
    if (glet_cpu_current(b, big, &md, &buffers[1], err) < 0)
        return -1;
    int64_t block = glet_dnnl_channel_block(&md);
    if (block <= 1 || glet_dnnl_has_padding(&md))
        return 0;
    if ((buffers[2] = glet_cpu_want_plain(b, small, err)) < 0 ||
        (buffers[0] = glet_cpu_define(b, b->node->output, &md, err)) < 0)
        return -1;
    struct channel_params params = {.op = b->node->binary, .swapped = big != b->node->inputs[0]};
    params.groups = t->dims[0] * t->dims[1] / block;
    params.rows.rows = glet_tensor_elements(t) / (t->dims[0] * t->dims[1]);
    params.rows.n = params.rows.out_row = block;
    params.rows.a_step = params.rows.b_step = 1;
    *(params.swapped ? &params.rows.b_row : &params.rows.a_row) = block;
    if (glet_cpu_add_kernel(b, channel_kernel, buffers, 3, &params, sizeof params, err) < 0)
        return -1;
    return 1;
}

int glet_cpu_build_binary(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *x = glet_cpu_tensor(b, node->inputs[0]);
    const struct glet_tensor *w = glet_cpu_tensor(b, node->inputs[1]);
    bool is_float = glet_cpu_is_float(b, node->inputs[0]);
    if (is_float && !glet_cpu_is_float(b, node->inputs[1]))
        return glet_cpu_unsupported(b, err, "%s with %s", glet_dtype_name(x->dtype),
                                    glet_dtype_name(w->dtype));
    int done = 0;
    if (is_float && !is_comparison(node->binary) && glet_cpu_is_float(b, node->output)) {
        if (same_shape(x, w))
            done = binary_flat(b, err);
        else if (is_per_channel(x, w))
            done = binary_channel(b, node->inputs[0], node->inputs[1], err);
        else if (is_per_channel(w, x))
            done = binary_channel(b, node->inputs[1], node->inputs[0], err);
    }
    if (done < 0 || (done == 0 && binary_plain(b, err) < 0))
        return -1;
    return is_float && glet_cpu_is_float(b, node->output) ? glet_cpu_activate(b, node->output, err)
                                                          : 0;
}

/* ---- Where, Cast ---- */

struct where_params {
    struct glet_cpu_loop loop;
    size_t element_bytes;
};

static int where_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct where_params *p = params;
    (void)err;
    glet_cpu_where(&p->loop, p->element_bytes, operands[0], operands[1], operands[2], operands[3]);
    return 0;
}

int glet_cpu_build_where(struct glet_cpu_build *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    const struct glet_tensor *y = glet_cpu_tensor(b, node->output);
    struct where_params params = {.loop = glet_cpu_loop_new(y->rank, y->dims),
                                  .element_bytes = glet_dtype_size(glet_cpu_held_dtype(y->dtype))};
    int buffers[4];
    for (int i = 0; i < 3; i++) {
        const struct glet_tensor *t = glet_cpu_tensor(b, node->inputs[i]);
        glet_cpu_loop_broadcast(&params.loop, t->rank, t->dims);
        if ((buffers[1 + i] = glet_cpu_want_plain(b, node->inputs[i], err)) < 0)
            return -1;
    }
    glet_cpu_loop_simplify(&params.loop);
    if ((buffers[0] = glet_cpu_define_plain(b, node->output, err)) < 0)
        return -1;
    return glet_cpu_add_kernel(b, where_kernel, buffers, 4, &params, sizeof params, err);
}

struct convert_params {
    enum glet_dtype to, from;
    int64_t count;
};

static int convert_kernel(void *const *operands, const void *params, struct glet_error *err)
{
    const struct convert_params *p = params;
    (void)err;
    glet_cpu_convert(operands[0], p->to, operands[1], p->from, p->count);
    return 0;
}

int glet_cpu_add_convert(struct glet_cpu_build *b, int to, enum glet_dtype to_dtype, int from,
                         enum glet_dtype from_dtype, int64_t count, struct glet_error *err)
{
    struct convert_params params = {to_dtype, from_dtype, count};
    int buffers[] = {to, from};
    return glet_cpu_add_kernel(b, convert_kernel, buffers, 2, &params, sizeof params, err);
}

int glet_cpu_build_cast(struct glet_cpu_build *b, struct glet_error *err)
{
    int x = b->node->inputs[0], y = b->node->output;
    int from = glet_cpu_want_plain(b, x, err);
    int to = from < 0 ? -1 : glet_cpu_define_plain(b, y, err);
    if (to < 0)
        return -1;
    return glet_cpu_add_convert(b, to, glet_cpu_held_dtype(glet_cpu_tensor(b, y)->dtype), from,
                                glet_cpu_held_dtype(glet_cpu_tensor(b, x)->dtype),
                                glet_tensor_elements(glet_cpu_tensor(b, y)), err);
}
