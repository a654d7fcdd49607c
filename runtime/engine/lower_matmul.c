/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products. Gemm is MatMul with transposes, a scale and an addend; the addend joins the
 * product later, by the fusion of epilogues.
 */
#include "runtime/engine/lower.h"

#include <inttypes.h>
#include <math.h>

static int product_shape(struct glet_bind *b, int x, int y, struct glet_shape *out)
{
    struct glet_shape left = glet_bind_shape(b, x), right = glet_bind_shape(b, y), batch;
    if (glet_bind_tensor(b, x)->dtype != glet_bind_tensor(b, y)->dtype)
        return glet_bad_node(b, "the types differ");
    if (left.dims[left.rank - 1] != right.dims[right.rank - 2])
        return glet_bad_node(b, "%" PRId64 " columns times %" PRId64 " rows",
                             left.dims[left.rank - 1], right.dims[right.rank - 2]);
    int64_t rows = left.dims[left.rank - 1 - 1], columns = right.dims[right.rank - 1];
    left.rank -= 2;
    right.rank -= 2;
    if (!glet_shape_broadcast(&left, &right, &batch) || batch.rank + 2 > GLET_MAX_RANK)
        return glet_bad_node(b, "the batch dimensions do not fit");
    *out = batch;
    out->dims[out->rank++] = rows;
    out->dims[out->rank++] = columns;
    return 0;
}

/* A vector on the left is one row, on the right one column; that dimension is dropped again. */
int glet_lower_matmul(struct glet_bind *b, const struct glet_model_node *node)
{
    int inputs[] = {glet_in(b, node, 0), glet_in(b, node, 1)};
    struct glet_shape left = glet_bind_shape(b, inputs[0]), right = glet_bind_shape(b, inputs[1]);
    if (left.rank < 1 || right.rank < 1)
        return glet_bad_node(b, "a scalar is no matrix");
    bool row = left.rank == 1, column = right.rank == 1;
    if (row) {
        left = (struct glet_shape){2, {1, left.dims[0]}};
        inputs[0] = glet_bind_view(b, inputs[0], &left);
    }
    if (column) {
        right = (struct glet_shape){2, {right.dims[0], 1}};
        inputs[1] = glet_bind_view(b, inputs[1], &right);
    }
    struct glet_shape shape;
    if (inputs[0] < 0 || inputs[1] < 0 || product_shape(b, inputs[0], inputs[1], &shape) < 0)
        return -1;
    struct glet_node matmul = glet_bind_node(GLET_OP_MATMUL);
    int result =
        glet_bind_add(b, &matmul, inputs, 2, glet_bind_tensor(b, inputs[0])->dtype, &shape);
    if (column)
        shape.rank--;
    if (row) {
        shape.dims[shape.rank - 1 - !column] = shape.dims[shape.rank - 1];
        shape.rank--;
    }
    return glet_out(b, node, 0, result < 0 ? -1 : glet_bind_view(b, result, &shape));
}

static int scaled_addend(struct glet_bind *b, int addend, float beta)
{
    int factor = glet_bind_scalar(b, glet_bind_tensor(b, addend)->dtype, (double)beta);
    return factor < 0 ? -1 : glet_bind_binary(b, GLET_MUL, addend, factor);
}

int glet_lower_gemm(struct glet_bind *b, const struct glet_model_node *node)
{
    int inputs[] = {glet_in(b, node, 0), glet_in(b, node, 1)}, addend = glet_in(b, node, 2);
    struct glet_shape x = glet_bind_shape(b, inputs[0]), y = glet_bind_shape(b, inputs[1]);
    if (x.rank != 2 || y.rank != 2 ||
        glet_bind_tensor(b, inputs[0])->dtype != glet_bind_tensor(b, inputs[1])->dtype)
        return glet_bad_node(b, "not two matrices of one type");
    struct glet_node gemm = glet_bind_node(GLET_OP_MATMUL);
    gemm.trans_a = glet_attr_int(node, "transA", 0) != 0;
    gemm.trans_b = glet_attr_int(node, "transB", 0) != 0;
    gemm.alpha = glet_attr_float(node, "alpha", 1.0f);
    struct glet_shape shape = {2, {x.dims[gemm.trans_a], y.dims[!gemm.trans_b]}};
    if (x.dims[!gemm.trans_a] != y.dims[gemm.trans_b])
        return glet_bad_node(b, "%" PRId64 " columns times %" PRId64 " rows", x.dims[!gemm.trans_a],
                             y.dims[gemm.trans_b]);
    int result = glet_bind_add(b, &gemm, inputs, 2, glet_bind_tensor(b, inputs[0])->dtype, &shape);
    float beta = glet_attr_float(node, "beta", 1.0f);
    if (result < 0 || addend < 0 || fabsf(beta) <= 0.0f)
        return glet_out(b, node, 0, result);
    if (fabsf(beta - 1.0f) > 0.0f)
        addend = scaled_addend(b, addend, beta);
    result = addend < 0 ? -1 : glet_bind_binary(b, GLET_ADD, result, addend);
    if (result < 0)
        return -1;
    struct glet_shape sum = glet_bind_shape(b, result);
    if (!glet_shape_same(&sum, &shape))
        return glet_bad_node(b, "the addend does not fit");
    return glet_out(b, node, 0, result);
}
