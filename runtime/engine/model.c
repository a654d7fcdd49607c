/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading: map the file, decode it in place, connect it, fill what is missing if that was asked
 * for, and bind it to batch 1 and 2 as a proof that every executor can be built. Weights are never
 * copied; a load touches the pages of the graph, not those of the weights.
 */
#include "runtime/engine/model.h"

#include "common/memory.h"
#include "common/sha256.h"
#include "runtime/engine/model_private.h"
#include "runtime/engine/onnx_tensor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define OLDEST_OPSET 11
#define NEWEST_OPSET 20

void glet_model_free(struct glet_model *model)
{
    if (!model)
        return;
    glet_constant_pool_free(model->pool);
    glet_external_free(model->external);
    glet_arena_free(model->arena);
    glet_mapping_close(&model->file);
    if (model->random_weights)
        munmap(model->random_weights, model->random_bytes);
    free(model->name);
    free(model->path);
    free(model);
}

static void cleanup_model(struct glet_model **model)
{
    glet_model_free(*model);
}

static char *default_name(const char *path, struct glet_error *err)
{
    static const char suffix[] = ".onnx";
    const char *slash = strrchr(path, '/');
    char *name = glet_strdup(slash ? slash + 1 : path, err);
    size_t length = name ? strlen(name) : 0;
    if (length > sizeof suffix - 1 && strcmp(name + length - (sizeof suffix - 1), suffix) == 0)
        name[length - (sizeof suffix - 1)] = '\0';
    return name;
}

static struct glet_model *create(const char *path, const struct glet_model_options *options,
                                 struct glet_error *err)
{
    GLET_CLEANUP(cleanup_model) struct glet_model *model = glet_alloc(1, sizeof *model, err);
    if (!model)
        return NULL;
    model->path = glet_strdup(path, err);
    model->name =
        options && options->name ? glet_strdup(options->name, err) : default_name(path, err);
    model->no_batch = options && options->no_batch;
    if (!model->path || !model->name)
        return NULL;
    model->arena = glet_arena_new();
    model->external = glet_external_new(path);
    model->pool = glet_constant_pool_new();
    if (!model->arena || !model->external || !model->pool) {
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        return NULL;
    }
    return GLET_STEAL(model);
}

static int map_file(struct glet_model *model, struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_close)
    int descriptor = open(model->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return glet_error_errno(err, errno, "%s", model->path);
    return glet_mapping_open(descriptor, model->path, &model->file, err);
}

static int check_opset(struct glet_model *model, struct glet_error *err)
{
    const glet_onnx_Opset *opsets = model->onnx.opset_import.at;
    for (uint32_t i = 0; i < model->onnx.opset_import.count; i++) {
        struct glet_span domain = opsets[i].domain;
        if (domain.bytes == 0 || (domain.bytes == 7 && memcmp(domain.at, "ai.onnx", 7) == 0))
            model->opset = opsets[i].has_version ? opsets[i].version : 0;
    }
    if (!model->onnx.has_graph || !model->onnx.graph.node.count || !model->opset)
        return glet_error_set(err, GLET_ERR_INPUT,
                              "not an ONNX model: it has no %s, or the file is cut short",
                              !model->onnx.has_graph          ? "graph"
                              : !model->onnx.graph.node.count ? "nodes"
                                                              : "opset");
    if (model->opset < OLDEST_OPSET || model->opset > NEWEST_OPSET)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                              "opset %" PRId64 " is not supported (%d to %d are)", model->opset,
                              OLDEST_OPSET, NEWEST_OPSET);
    return 0;
}

static int fill_missing(struct glet_model *model, const struct glet_model_options *options,
                        struct glet_error *err)
{
    if (options && (options->random_weights || options->no_weights))
        return glet_weights_fill(model, options->no_weights ? NULL : &options->seed, err);
    for (int i = 0; i < model->value_count; i++) {
        const struct glet_tensor *tensor = model->values[i].constant;
        if (!tensor || tensor->data)
            continue;
        glet_error_set(err, GLET_ERR_INPUT, "the file holds no data of tensor \"%s\"",
                       tensor->name);
        return glet_error_hint(err, "--random-weights fills weights that are left out");
    }
    return 0;
}

static int request_bytes(const struct glet_model *model, struct glet_model_io *io,
                         struct glet_error *err)
{
    int first = model->no_batch ? 0 : 1;
    int64_t bytes = glet_shape_bytes(io->dtype, io->dims + first, io->rank - first, err);
    if (bytes < 0)
        return glet_error_context(err, "\"%s\"", io->name);
    io->bytes = (size_t)bytes;
    return 0;
}

/* Outputs as the bound graph has them; every one starts with the batch. */
static int take_outputs(struct glet_model *model, const struct glet_graph *graph,
                        struct glet_error *err)
{
    for (size_t i = 0; i < model->output_count; i++) {
        const struct glet_tensor *tensor = &graph->tensors[graph->outputs[i]];
        struct glet_model_io *io = &model->outputs[i];
        if (!model->no_batch && (tensor->rank < 1 || tensor->dims[0] != graph->batch))
            return glet_error_set(err, GLET_ERR_UNSUPPORTED,
                                  "output \"%s\": its first dimension is not the batch", io->name);
        io->dtype = tensor->dtype;
        io->rank = tensor->rank;
        memcpy(io->dims, tensor->dims, sizeof io->dims);
        if (model->batch_free)
            io->dims[0] = GLET_DIM_BATCH;
        if (request_bytes(model, io, err) < 0)
            return -1;
    }
    return 0;
}

/* An exporter may have written the batch of its example into the graph. */
static int check_free_batch(const struct glet_model *model, struct glet_error *err)
{
    struct glet_graph *graph;
    int result = glet_model_bind(model, 2, &graph, err);
    if (result < 0)
        return glet_error_context(err, "with a batch of 2");
    for (size_t i = 0; i < model->output_count && result == 0; i++) {
        const struct glet_tensor *tensor = &graph->tensors[graph->outputs[i]];
        const struct glet_model_io *io = &model->outputs[i];
        if (tensor->rank != io->rank || tensor->dims[0] != 2 ||
            memcmp(tensor->dims + 1, io->dims + 1, sizeof io->dims[0] * (size_t)(io->rank - 1)) !=
                0)
            result = glet_error_set(err, GLET_ERR_UNSUPPORTED,
                                    "output \"%s\" does not follow the batch", io->name);
    }
    glet_graph_free(graph);
    return result;
}

static int prove(struct glet_model *model, struct glet_error *err)
{
    for (size_t i = 0; i < model->input_count; i++) {
        if (request_bytes(model, &model->inputs[i], err) < 0)
            return -1;
    }
    struct glet_graph *graph;
    if (glet_model_bind(model, model->batch_free ? 1 : model->fixed_batch, &graph, err) < 0)
        return -1;
    int result = take_outputs(model, graph, err);
    glet_graph_free(graph);
    return result == 0 && model->batch_free ? check_free_batch(model, err) : result;
}

static int load(struct glet_model *model, const struct glet_model_options *options,
                struct glet_error *err)
{
    if (glet_onnx_read(model->file.bytes, model->file.length_bytes, model->arena, &model->onnx,
                       err) < 0 ||
        check_opset(model, err) < 0 || glet_model_resolve(model, err) < 0 ||
        fill_missing(model, options, err) < 0)
        return -1;
    return prove(model, err);
}

int glet_model_load(const char *path, const struct glet_model_options *options,
                    struct glet_model **out, struct glet_error *err)
{
    GLET_CLEANUP(cleanup_model) struct glet_model *model = create(path, options, err);
    if (!model || map_file(model, err) < 0)
        return -1;
    if (load(model, options, err) < 0)
        return glet_error_context(err, "%s", path);
    *out = GLET_STEAL(model);
    return 0;
}

const char *glet_model_name(const struct glet_model *model)
{
    return model->name;
}

size_t glet_model_input_count(const struct glet_model *model)
{
    return model->input_count;
}

size_t glet_model_output_count(const struct glet_model *model)
{
    return model->output_count;
}

const struct glet_model_io *glet_model_input(const struct glet_model *model, size_t i)
{
    return &model->inputs[i];
}

const struct glet_model_io *glet_model_output(const struct glet_model *model, size_t i)
{
    return &model->outputs[i];
}

size_t glet_model_weight_bytes(const struct glet_model *model)
{
    return model->weight_bytes;
}

const char *glet_model_sha256(struct glet_model *model)
{
    if (model->sha256[0])
        return model->sha256;
    struct glet_sha256 sha;
    glet_sha256_init(&sha);
    glet_sha256_update(&sha, model->file.bytes, model->file.length_bytes);
    for (size_t i = 0; i < glet_external_count(model->external); i++) {
        struct glet_mapping file = glet_external_at(model->external, i);
        glet_sha256_update(&sha, file.bytes, file.length_bytes);
    }
    glet_sha256_finish(&sha, model->sha256);
    return model->sha256;
}
