/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products and attention as GEMMs over strides: broadcasting is stride 0, heads are strides,
 * and leading dimensions that lie evenly become rows of one larger product.
 */
#include "runtime/device/cuda/plan/builder.h"

/* One level of repetition: how many, and how far each operand (a, b, c, y) moves. */
struct level {
    int64_t count, strides[4];
};

static bool merges(const struct level *outer, const struct level *inner)
{
    for (int i = 0; i < 4; i++)
        if (outer->strides[i] != inner->strides[i] * inner->count)
            return false;
    return true;
}

/* Collapses dimensions into levels, outermost first; returns how many. */
static int collapse(int rank, const int64_t *dims, const struct glet_cuda_place *const operands[4],
                    struct level *levels)
{
    int count = 0;
    for (int i = 0; i < rank; i++) {
        struct level level = {.count = dims[i]};
        if (dims[i] == 1)
            continue;
        for (int k = 0; k < 4; k++)
            level.strides[k] = operands[k]->buffer < 0 ? 0 : operands[k]->strides[i];
        if (count > 0 && merges(&levels[count - 1], &level)) {
            level.count *= levels[count - 1].count;
            count--;
        }
        levels[count++] = level;
    }
    return count;
}

/* A level over which only b stands still is more rows of the same product. */
static bool is_more_rows(const struct level *level, const struct glet_cuda_gemm *g, bool has_c)
{
    return level->strides[1] == 0 && !g->trans_a && level->strides[0] == g->lda * g->m &&
           level->strides[3] == g->ldy * g->m && (!has_c || level->strides[2] == g->ldc * g->m);
}

static int64_t pitch_of(const struct glet_cuda_place *place)
{
    int rows = place->rank - 2;
    return place->dims[rows] > 1 ? place->strides[rows] : place->dims[rows + 1];
}

/* Operands already broadcast to y's rank, matrices in the last two dimensions. */
static bool make_gemm(const struct glet_cuda_place *const operands[4], bool trans_a, bool trans_b,
                      struct glet_cuda_gemm *g)
{
    const struct glet_cuda_place *a = operands[0], *w = operands[1], *c = operands[2],
                                 *y = operands[3];
    int rank = y->rank;
    struct level levels[GLET_MAX_RANK];
    *g = (struct glet_cuda_gemm){.m = y->dims[rank - 2],
                                 .n = y->dims[rank - 1],
                                 .k = a->dims[trans_a ? rank - 2 : rank - 1],
                                 .trans_a = trans_a,
                                 .trans_b = trans_b,
                                 .lda = pitch_of(a),
                                 .ldb = pitch_of(w),
                                 .ldc = c->buffer < 0 ? 0 : pitch_of(c),
                                 .ldy = pitch_of(y),
                                 .batch = 1,
                                 .outer = 1};
    int count = collapse(rank - 2, y->dims, operands, levels);
    /* a single row per matrix has no pitch of its own: the level's stride is the pitch */
    if (count > 0 && g->m == 1 && !trans_a && levels[count - 1].strides[1] == 0) {
        g->lda = levels[count - 1].strides[0];
        g->ldy = levels[count - 1].strides[3];
        g->ldc = levels[count - 1].strides[2];
    }
    if (count > 0 && is_more_rows(&levels[count - 1], g, c->buffer >= 0))
        g->m *= levels[--count].count;
    if (count > 2)
        return false;
    if (count == 2 && levels[0].count > levels[1].count) { /* the fewest calls */
        struct level longest = levels[0];
        levels[0] = levels[1];
        levels[1] = longest;
    }
    if (count > 0) {
        const struct level *level = &levels[count - 1];
        g->batch = level->count;
        g->stride_a = level->strides[0];
        g->stride_b = level->strides[1];
        g->stride_c = level->strides[2];
        g->stride_y = level->strides[3];
    }
    if (count > 1) {
        g->outer = levels[0].count;
        g->outer_a = levels[0].strides[0];
        g->outer_b = levels[0].strides[1];
        g->outer_c = levels[0].strides[2];
        g->outer_y = levels[0].strides[3];
    }
    return g->lda >= (trans_a ? g->m : g->k) && g->ldb >= (trans_b ? g->k : g->n) &&
           g->ldy >= g->n && (c->buffer < 0 || g->ldc >= g->n);
}

static struct glet_cuda_place batched(const struct glet_cuda_place *place, int rank,
                                      const int64_t *batch_dims)
{
    int64_t dims[GLET_MAX_RANK];
    for (int i = 0; i < rank - 2; i++)
        dims[i] = batch_dims[i];
    dims[rank - 2] = place->dims[place->rank - 2];
    dims[rank - 1] = place->dims[place->rank - 1];
    return glet_cuda_broadcast(place, rank, dims);
}

static int check_matmul(const struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    for (int i = 0; i < node->input_count; i++)
        if (!glet_cuda_is_float(b, node->inputs[i]))
            return glet_cuda_unsupported(b, err, "integers");
    if (glet_cuda_tensor(b, node->inputs[0])->rank < 2 ||
        glet_cuda_tensor(b, node->inputs[1])->rank < 2 ||
        glet_cuda_tensor(b, node->output)->rank < 2)
        return glet_cuda_unsupported(b, err, "an operand of one dimension");
    return 0;
}

/* Weights and bias of the node, or of all that are one product with it. */
static int want_weights(struct glet_cuda_builder *b, const struct glet_node *const *nodes,
                        int count, enum glet_cuda_layout layout, struct glet_cuda_place *w,
                        struct glet_cuda_place *bias, struct glet_error *err)
{
    const struct glet_node *node = nodes[0];
    if (count > 1)
        return glet_cuda_weights_beside(b, nodes, count, 1, w, err) < 0 ||
                       (node->has_bias &&
                        glet_cuda_weights_beside(b, nodes, count, 2, bias, err) < 0)
                   ? -1
                   : 0;
    if (glet_cuda_want(b, node->inputs[1], layout, w, err) < 0)
        return -1;
    if (!node->has_bias)
        return 0;
    return glet_cuda_tensor(b, node->inputs[2])->data
               ? glet_cuda_want_vector(b, node->inputs[2], 0, bias, err)
               : glet_cuda_want(b, node->inputs[2], GLET_CUDA_ROWS, bias, err);
}

static int add_product(struct glet_cuda_builder *b, const struct glet_node *const *nodes, int count,
                       const struct glet_cuda_gemm *gemm, struct glet_cuda_place p[5],
                       struct glet_error *err)
{
    if ((count > 1 ? glet_cuda_define_beside(b, nodes, count, &p[4], err)
                   : glet_cuda_define(b, nodes[0]->output, GLET_CUDA_ROWS, &p[4], err)) < 0)
        return -1;
    struct glet_cuda_step *step = glet_cuda_step_add(b, GLET_CUDA_GEMM, p, 5, err);
    if (!step)
        return -1;
    step->gemm = *gemm;
    step->activation = nodes[0]->activation;
    return 0;
}

int glet_cuda_plan_matmul(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node, *nodes[GLET_CUDA_MAX_BESIDE];
    if (b->forms[node->output]) /* beside an earlier one */
        return 0;
    if (check_matmul(b, err) < 0)
        return -1;
    int count = glet_cuda_beside(b, nodes);
    int residual = node->has_residual ? node->inputs[node->has_bias ? 3 : 2] : -1;
    struct glet_tensor y = *glet_cuda_tensor(b, node->output);
    struct glet_cuda_gemm gemm;
    for (int i = 1; i < count; i++)
        y.dims[y.rank - 1] += glet_cuda_tensor(b, nodes[i]->output)->dims[y.rank - 1];
    /* as they lie if strides can say it, else as rows */
    for (int attempt = 0; attempt < 2; attempt++) {
        enum glet_cuda_layout layout = attempt ? GLET_CUDA_ROWS : GLET_CUDA_LAST;
        struct glet_cuda_place p[5] = {[2] = glet_cuda_none(), [3] = glet_cuda_none()};
        if (glet_cuda_want(b, node->inputs[0], layout, &p[0], err) < 0 ||
            want_weights(b, nodes, count, layout, &p[1], &p[2], err) < 0 ||
            (residual >= 0 && glet_cuda_want(b, residual, layout, &p[3], err) < 0))
            return -1;
        p[4] = glet_cuda_rows(-1, b->plan->type, y.rank, y.dims);
        struct glet_cuda_place a = batched(&p[0], y.rank, y.dims),
                               w = batched(&p[1], y.rank, y.dims);
        const struct glet_cuda_place *const operands[4] = {&a, &w, &p[3], &p[4]};
        p[4].buffer = 0; /* only to say that it is there */
        if (make_gemm(operands, node->trans_a, node->trans_b, &gemm))
            return add_product(b, nodes, count, &gemm, p, err);
    }
    return glet_cuda_unsupported(b, err, "broadcasting in more than two places");
}

/* B x heads x S x d, whichever way the heads lie. */
static bool split_heads(const struct glet_cuda_place *place, int heads, struct glet_cuda_place *out)
{
    static const int perm[4] = {0, 2, 1, 3};
    if (heads == 0) {
        *out = *place;
        return place->rank == 4;
    }
    if (place->rank != 3 || place->dims[2] % heads != 0)
        return false;
    int64_t dims[4] = {place->dims[0], place->dims[1], heads, place->dims[2] / heads};
    struct glet_cuda_place split;
    if (!glet_cuda_reshape(place, 4, dims, &split))
        return false;
    *out = glet_cuda_permute(&split, perm);
    return true;
}

int glet_cuda_plan_attention(struct glet_cuda_builder *b, struct glet_error *err)
{
    const struct glet_node *node = b->node;
    struct glet_cuda_place p[6], whole;
    p[3] = glet_cuda_none();
    for (int i = 0; i < 3; i++) {
        if (!glet_cuda_is_float(b, node->inputs[i]))
            return glet_cuda_unsupported(b, err, "integers");
        if (glet_cuda_want(b, node->inputs[i], GLET_CUDA_LAST, &whole, err) < 0)
            return -1;
        if (!split_heads(&whole, node->heads, &p[i]))
            return glet_cuda_unsupported(b, err, "operands of %d dimensions", whole.rank);
    }
    if (glet_cuda_define(b, node->output, GLET_CUDA_ROWS, &whole, err) < 0)
        return -1;
    if (!split_heads(&whole, node->heads, &p[4]))
        return glet_cuda_unsupported(b, err, "a result of %d dimensions", whole.rank);
    int64_t dims[4] = {p[0].dims[0], p[0].dims[1], p[0].dims[2], p[1].dims[2]};
    if (node->has_mask) {
        if (glet_cuda_want(b, node->inputs[3], GLET_CUDA_ANY, &whole, err) < 0)
            return -1;
        p[3] = glet_cuda_broadcast(&whole, 4, dims);
    }
    int64_t count = dims[0] * dims[1] * dims[2] * dims[3];
    int scratch = glet_cuda_buffer_add(b, GLET_CUDA_ARENA,
                                       (size_t)count * glet_dtype_size(b->plan->type), err);
    if (scratch < 0)
        return -1;
    p[5] = glet_cuda_rows(scratch, b->plan->type, 4, dims);
    struct glet_cuda_place none = glet_cuda_none();
    struct glet_cuda_step *step = glet_cuda_step_add(b, GLET_CUDA_ATTENTION, p, 6, err);
    if (!step)
        return -1;
    step->attention = (struct glet_cuda_attention){.batch = dims[0],
                                                   .heads = dims[1],
                                                   .queries = dims[2],
                                                   .keys = dims[3],
                                                   .depth = p[0].dims[3],
                                                   .value_depth = p[2].dims[3]};
    const struct glet_cuda_place *const scores[4] = {&p[0], &p[1], &none, &p[5]};
    const struct glet_cuda_place *const values[4] = {&p[5], &p[2], &none, &p[4]};
    if (!make_gemm(scores, false, true, &step->attention.scores) ||
        !make_gemm(values, false, false, &step->attention.values))
        return glet_cuda_unsupported(b, err, "heads that do not lie evenly");
    return 0;
}
