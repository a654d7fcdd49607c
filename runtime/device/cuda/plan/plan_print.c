/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan as text: what the golden listings of the tests are made of. No pointers, no byte offsets.
 */
#include "runtime/device/cuda/plan/step_plan.h"

#include <inttypes.h>

static const char *const kind_names[GLET_CUDA_STEP_KINDS] = {
    [GLET_CUDA_CONV] = "conv",
    [GLET_CUDA_GEMM] = "gemm",
    [GLET_CUDA_ATTENTION] = "attention",
    [GLET_CUDA_CONV_DIRECT] = "conv_direct",
    [GLET_CUDA_CONV_TRANSPOSE] = "conv_transpose",
    [GLET_CUDA_DEPTHWISE] = "depthwise",
    [GLET_CUDA_POOL] = "pool",
    [GLET_CUDA_LRN] = "lrn",
    [GLET_CUDA_MAP] = "map",
    [GLET_CUDA_SOFTMAX] = "softmax",
    [GLET_CUDA_LAYER_NORM] = "layer_norm",
    [GLET_CUDA_REDUCE] = "reduce",
    [GLET_CUDA_ARG_MAX] = "arg_max",
    [GLET_CUDA_GATHER] = "gather",
    [GLET_CUDA_PAD] = "pad",
    [GLET_CUDA_RESIZE] = "resize",
};

const char *glet_cuda_step_kind_name(enum glet_cuda_step_kind kind)
{
    return (unsigned)kind < GLET_CUDA_STEP_KINDS ? kind_names[kind] : "?";
}

/* @3 a buffer of the arena, #3 a weight, $0 an input, =0 an output; +offset; strides unless dense */
static void print_place(const struct glet_cuda_plan *plan, const struct glet_cuda_place *place,
                        FILE *out)
{
    if (place->buffer < 0) {
        fputs(" -", out);
        return;
    }
    const struct glet_cuda_buffer *buffer = &plan->buffers[place->buffer];
    switch (buffer->kind) {
    case GLET_CUDA_ARENA:
        fprintf(out, " @%d", place->buffer);
        break;
    case GLET_CUDA_WEIGHT:
        fputs(" #", out);
        break;
    case GLET_CUDA_INPUT:
        fprintf(out, " $%d", buffer->index);
        break;
    case GLET_CUDA_OUTPUT:
        fprintf(out, " =%d", buffer->index);
        break;
    }
    if (place->offset)
        fprintf(out, "+%" PRId64, place->offset);
    fprintf(out, ":%s[", glet_dtype_name(place->dtype));
    bool dense = true;
    int64_t stride = 1;
    for (int i = place->rank - 1; i >= 0; i--) {
        dense = dense && (place->dims[i] == 1 || place->strides[i] == stride);
        stride *= place->dims[i];
    }
    for (int i = 0; i < place->rank; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", place->dims[i]);
    if (!dense) {
        fputc('|', out);
        for (int i = 0; i < place->rank; i++)
            fprintf(out, "%s%" PRId64, i ? "," : "", place->dims[i] == 1 ? 0 : place->strides[i]);
    }
    fputc(']', out);
}

static void print_operation(const struct glet_cuda_map_operation *op, FILE *out)
{
    switch (op->code) {
    case GLET_CUDA_MAP_BINARY:
        fprintf(out, " %s%s(%d)", op->swapped ? "r" : "", glet_binary_name(op->binary), op->input);
        break;
    case GLET_CUDA_MAP_ACTIVATION:
        fprintf(out, " %s", glet_activation_name(op->activation.kind));
        break;
    case GLET_CUDA_MAP_SCALE:
        fprintf(out, " scale(%d,%d)", op->input, op->input + 1);
        break;
    case GLET_CUDA_MAP_SELECT:
        fprintf(out, " select(%d,%d)", op->input, op->input + 1);
        break;
    case GLET_CUDA_MAP_CAST:
        fprintf(out, " cast(%s)", glet_dtype_name(op->cast));
        break;
    }
}

void glet_cuda_plan_print(const struct glet_cuda_plan *plan, FILE *out)
{
    for (int s = 0; s < plan->step_count; s++) {
        const struct glet_cuda_step *step = &plan->steps[s];
        fprintf(out, "%d %s", s, glet_cuda_step_kind_name(step->kind));
        for (int i = 0; i < step->place_count; i++)
            print_place(plan, &step->places[i], out);
        if (step->activation.kind != GLET_ACT_NONE)
            fprintf(out, " %s", glet_activation_name(step->activation.kind));
        for (int i = 0; i < step->operation_count; i++)
            print_operation(&step->operations[i], out);
        fputc('\n', out);
    }
    fprintf(out, "arena %zu bytes, at least %zu\n", plan->arena_bytes, plan->arena_bound_bytes);
}
