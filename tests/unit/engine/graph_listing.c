/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what a model's graph becomes: `graph_listing MODEL.onnx [BATCH [SEED]]`. The golden
 * listings of the zoo are its output.
 */
#include "runtime/engine/model.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct glet_error err = {0};
    struct glet_model_options options = {.random_weights = true, .seed = 1};
    struct glet_model *model = NULL;
    struct glet_graph *graph = NULL;
    if (argc < 2)
        return fprintf(stderr, "usage: %s MODEL.onnx [BATCH [SEED]]\n", argv[0]), 2;
    int batch = argc > 2 ? atoi(argv[2]) : 1;
    options.seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    if (glet_model_load(argv[1], &options, &model, &err) < 0 ||
        glet_model_bind(model, batch, &graph, &err) < 0) {
        glet_error_print(&err, stderr);
        glet_model_free(model);
        return glet_error_exit_status(err.code);
    }
    glet_graph_print(graph, stdout);
    glet_graph_free(graph);
    glet_model_free(model);
    return 0;
}
