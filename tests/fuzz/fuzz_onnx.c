/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a model file: loading ends with a model or an error. What loads binds to other
 * batches as well, and every number in a bound graph is in range.
 */
#include "tests/fuzz/fuzz_common.h"

#include "runtime/engine/arena.h"
#include "runtime/engine/model.h"
#include "runtime/engine/onnx_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_tensor(const struct glet_graph *graph, int number)
{
    if (number < 0 || number >= graph->tensor_count)
        abort();
    const struct glet_tensor *tensor = &graph->tensors[number];
    int storage = glet_graph_storage(graph, number);
    if (tensor->rank < 0 || tensor->rank > GLET_MAX_RANK || !tensor->name ||
        glet_tensor_elements(tensor) != glet_tensor_elements(&graph->tensors[storage]) ||
        (tensor->view_of >= 0 && tensor->data))
        abort();
}

static void check_graph(const struct glet_graph *graph)
{
    char *listing = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&listing, &length);
    if (!out)
        abort();
    glet_graph_print(graph, out);
    fclose(out);
    free(listing);
    for (int i = 0; i < graph->node_count; i++) {
        const struct glet_node *node = &graph->nodes[i];
        for (int k = 0; k < node->input_count; k++) {
            check_tensor(graph, node->inputs[k]);
            int producer = graph->tensors[glet_graph_storage(graph, node->inputs[k])].producer;
            if (producer >= i)
                abort();
        }
        check_tensor(graph, node->output);
        if (graph->tensors[node->output].producer != i || node->op >= GLET_OP_COUNT)
            abort();
    }
    for (int i = 0; i < graph->output_count; i++)
        check_tensor(graph, graph->outputs[i]);
}

/* Filling gigabytes would only cost time here. */
static int has_huge_weights(const uint8_t *data, size_t size)
{
    struct glet_error err = {0};
    struct glet_arena *arena = glet_arena_new();
    glet_onnx_Model model;
    double elements = 0.0;
    if (arena && glet_onnx_read(data, size, arena, &model, &err) == 0) {
        const glet_onnx_Tensor *tensors = model.graph.initializer.at;
        for (uint32_t i = 0; i < model.graph.initializer.count; i++) {
            const int64_t *dims = tensors[i].dims.at;
            double product = 1.0;
            for (uint32_t k = 0; k < tensors[i].dims.count; k++)
                product *= (double)dims[k];
            elements += product;
        }
    }
    glet_arena_free(arena);
    return elements > 1e6;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct glet_error err = {0};
    struct glet_model_options options = {.random_weights = !has_huge_weights(data, size)};
    struct glet_model *model = NULL;
    char path[64];
    int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
    if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (glet_model_load(path, &options, &model, &err) < 0) {
        if (err.code == GLET_OK || err.code == GLET_ERR_INTERNAL || !err.message[0])
            abort();
    } else {
        static const int batches[] = {1, 2, 5};
        for (size_t i = 0; i < 3; i++) {
            struct glet_graph *graph = NULL;
            if (glet_model_bind(model, batches[i], &graph, &err) == 0)
                check_graph(graph);
            glet_graph_free(graph);
        }
        glet_model_free(model);
    }
    close(descriptor);
    return 0;
}
