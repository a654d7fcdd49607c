/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what the CUDA executor would do for a model: `plan_listing MODEL.onnx BATCH fp16|fp32`.
 * The golden listings are its output.
 */
#include "runtime/device/cuda/plan/step_plan.h"
#include "runtime/engine/model.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct glet_error err = {0};
    struct glet_model_options options = {.random_weights = true, .seed = 1};
    struct glet_model *model = NULL;
    struct glet_graph *graph = NULL;
    struct glet_cuda_plan *plan = NULL;
    if (argc != 4)
        return fprintf(stderr, "usage: %s MODEL.onnx BATCH fp16|fp32\n", argv[0]), 2;
    enum glet_cuda_precision precision =
        strcmp(argv[3], "fp32") == 0 ? GLET_CUDA_FP32 : GLET_CUDA_FP16;
    int rc = 0;
    if (glet_model_load(argv[1], &options, &model, &err) < 0 ||
        glet_model_bind(model, atoi(argv[2]), &graph, &err) < 0 ||
        glet_cuda_plan_new(graph, precision, &plan, &err) < 0) {
        glet_error_print(&err, stderr);
        rc = glet_error_exit_status(err.code);
    } else {
        glet_cuda_plan_print(plan, stdout);
    }
    glet_cuda_plan_free(plan);
    glet_graph_free(graph);
    glet_model_free(model);
    return rc;
}
