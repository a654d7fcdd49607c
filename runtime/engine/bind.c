/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binding a model to a batch: inputs get their shapes, every ONNX node is lowered in order (which
 * infers shapes and folds what is constant), passes fuse what belongs together, and the rest is
 * packed. Linear in the number of nodes; a millisecond for a large network. Everything temporary
 * lies in one arena.
 */
#include "runtime/engine/bind.h"

#include "runtime/engine/lower.h"
#include "runtime/engine/model_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Elements of all constants that one binding computes: enough for every table that exporters leave
   in a graph, and a bound on the time that a hostile file can take. */
#define FOLD_BUDGET ((int64_t)1 << 25)

static int start(struct glet_bind *b)
{
    const struct glet_model *model = b->model;
    b->of_value = glet_arena_array(b->arena, (size_t)model->value_count, sizeof *b->of_value);
    if (!b->of_value)
        return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
    for (int i = 0; i < model->value_count; i++) {
        const struct glet_value *value = &model->values[i];
        b->of_value[i] = -1;
        b->result_name = value->name;
        struct glet_shape shape = {0, {0}};
        if (value->constant) {
            shape.rank = value->constant->rank;
            memcpy(shape.dims, value->constant->dims, sizeof shape.dims);
            b->of_value[i] =
                glet_bind_weight(b, value->constant->dtype, &shape, value->constant->data);
        } else if (value->input >= 0) {
            const struct glet_model_io *io = &model->inputs[value->input];
            shape.rank = io->rank;
            for (int k = 0; k < io->rank; k++)
                shape.dims[k] = io->dims[k] == GLET_DIM_BATCH ? b->batch : io->dims[k];
            b->of_value[i] = glet_bind_new_tensor(b, io->dtype, &shape);
        } else {
            continue;
        }
        if (b->of_value[i] < 0)
            return glet_error_context(b->err, "\"%s\"", value->name);
    }
    return 0;
}

static int lower_node(struct glet_bind *b, const struct glet_model_node *node)
{
    b->node_name = node->name;
    b->result_name = b->model->values[node->outputs[0]].name;
    if (node->op->lower(b, node) < 0)
        return glet_error_context(b->err, "node \"%s\" (%s)", node->name, node->op->name);
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i] >= 0 && b->of_value[node->outputs[i]] < 0 &&
            glet_out_wanted(b, node, i))
            return glet_error_set(b->err, GLET_ERR_UNSUPPORTED,
                                  "node \"%s\" (%s): its output %d is not supported", node->name,
                                  node->op->name, i);
    }
    return 0;
}

static int run_passes(struct glet_bind *b, const int *outputs)
{
    size_t count = b->model->output_count;
    if (glet_bind_count_uses(b, outputs, count) < 0 || glet_bind_fold_rest(b) < 0 ||
        glet_bind_count_uses(b, outputs, count) < 0 || glet_fuse_batch_norm(b) < 0 ||
        glet_bind_count_uses(b, outputs, count) < 0 || glet_fuse_epilogues(b) < 0 ||
        glet_bind_count_uses(b, outputs, count) < 0 || glet_fuse_heads(b) < 0)
        return -1;
    return glet_bind_count_uses(b, outputs, count);
}

static int bind(struct glet_bind *b, struct glet_graph **out)
{
    const struct glet_model *model = b->model;
    if (start(b) < 0)
        return -1;
    for (int i = 0; i < model->node_count; i++) {
        if (lower_node(b, &model->nodes[i]) < 0)
            return -1;
    }
    int *outputs = glet_arena_array(b->arena, model->output_count, sizeof *outputs);
    if (!outputs)
        return glet_error_set(b->err, GLET_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < model->output_count; i++)
        outputs[i] = b->of_value[model->output_values[i]];
    return run_passes(b, outputs) < 0 ? -1 : glet_bind_emit(b, outputs, out);
}

int glet_model_bind(const struct glet_model *model, int batch, struct glet_graph **out,
                    struct glet_error *err)
{
    if (batch < 1)
        return glet_error_set(err, GLET_ERR_RANGE, "model %s: batch %d", model->name, batch);
    if (!model->batch_free && batch != model->fixed_batch)
        return glet_error_set(err, GLET_ERR_RANGE,
                              "model %s: batch %d, but the file is for batch %d only", model->name,
                              batch, model->fixed_batch);
    struct glet_bind b = {.model = model,
                          .batch = batch,
                          .arena = glet_arena_new(),
                          .fold_budget = FOLD_BUDGET,
                          .err = err};
    int result = b.arena ? bind(&b, out) : glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    free(b.tensors);
    free(b.nodes);
    glet_arena_free(b.arena);
    return result;
}
