/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A net: a plan, its memory, and the list of calls that a batch is. Building decides everything;
 * recording is a loop.
 */
#include "runtime/device/cuda/cuda_net.h"

#include "common/memory.h"
#include "runtime/device/cuda/cuda_action.h"

#include <stdlib.h>
#include <string.h>

struct glet_cuda_net {
    struct glet_cuda_site *site;
    const struct glet_model *model;
    struct glet_graph *graph;
    struct glet_cuda_plan *plan;
    void **bases; /* of the plan's buffers, and of the scratch memory */
    CUdeviceptr arena, scratch;
    size_t staging_bytes;
    CUdeviceptr *inputs, *outputs;
    struct glet_cuda_actions actions;
};

static int allocate(struct glet_cuda_net *net, size_t bytes, CUdeviceptr *out,
                    struct glet_error *err)
{
    return GLET_CUDA_TRY(net->site->api, err, cuMemAlloc, out, bytes > 0 ? bytes : 1);
}

/* Inputs and outputs, in the model's type: a buffer each, whatever steps use them. */
static int allocate_staging(struct glet_cuda_net *net, struct glet_error *err)
{
    const struct glet_graph *graph = net->graph;
    net->inputs = glet_alloc((size_t)graph->input_count + 1, sizeof *net->inputs, err);
    net->outputs = glet_alloc((size_t)graph->output_count + 1, sizeof *net->outputs, err);
    if (!net->inputs || !net->outputs)
        return -1;
    for (int i = 0; i < graph->input_count; i++) {
        size_t bytes = glet_tensor_bytes(&graph->tensors[graph->inputs[i]]);
        net->staging_bytes += bytes;
        if (allocate(net, bytes, &net->inputs[i], err) < 0)
            return -1;
    }
    for (int i = 0; i < graph->output_count; i++) {
        size_t bytes = glet_tensor_bytes(&graph->tensors[graph->outputs[i]]);
        net->staging_bytes += bytes;
        if (allocate(net, bytes, &net->outputs[i], err) < 0)
            return -1;
    }
    return 0;
}

static int find_base(struct glet_cuda_net *net, int i, struct glet_error *err)
{
    const struct glet_cuda_buffer *buffer = &net->plan->buffers[i];
    CUdeviceptr base = 0;
    switch (buffer->kind) {
    case GLET_CUDA_ARENA:
        base = net->arena + buffer->offset_bytes;
        break;
    case GLET_CUDA_INPUT:
        base = net->inputs[buffer->index];
        break;
    case GLET_CUDA_OUTPUT:
        base = net->outputs[buffer->index];
        break;
    case GLET_CUDA_WEIGHT:
        if (buffer->first_step >= 0 &&
            glet_cuda_store_weight(net->site, net->model, &buffer->weight, &base, err) < 0)
            return -1;
        break;
    }
    net->bases[i] = (void *)(uintptr_t)base;
    return 0;
}

static int find_bases(struct glet_cuda_net *net, struct glet_error *err)
{
    size_t scratch_bytes = 0;
    for (int s = 0; s < net->plan->step_count; s++) {
        size_t bytes = glet_cuda_conv_scratch_bytes(&net->plan->steps[s]);
        scratch_bytes = bytes > scratch_bytes ? bytes : scratch_bytes;
    }
    net->actions.scratch_bytes = scratch_bytes;
    net->bases = glet_alloc((size_t)net->plan->buffer_count + 1, sizeof *net->bases, err);
    if (!net->bases || allocate_staging(net, err) < 0 ||
        allocate(net, net->plan->arena_bytes, &net->arena, err) < 0 ||
        (scratch_bytes > 0 && allocate(net, scratch_bytes, &net->scratch, err) < 0))
        return -1;
    /* what was never written is read by the libraries while candidates are timed: zeros are as
       good as anything, and faults with NaN are not mistaken for slowness */
    if (GLET_CUDA_TRY(net->site->api, err, cuMemsetD8Async, net->arena, 0,
                      net->plan->arena_bytes > 0 ? net->plan->arena_bytes : 1,
                      net->site->stream) < 0)
        return -1;
    for (int i = 0; i < net->plan->buffer_count; i++)
        if (find_base(net, i, err) < 0)
            return -1;
    net->bases[net->plan->buffer_count] = (void *)(uintptr_t)net->scratch;
    return 0;
}

static int act(struct glet_cuda_net *net, const struct glet_cuda_step *step, struct glet_error *err)
{
    switch (step->kind) {
    case GLET_CUDA_CONV:
        return glet_cuda_act_conv(&net->actions, step, err);
    case GLET_CUDA_GEMM:
        return glet_cuda_act_gemm(&net->actions, step, err);
    case GLET_CUDA_ATTENTION:
        return glet_cuda_act_attention(&net->actions, step, err);
    default:
        return glet_cuda_act_launch(&net->actions, step, err);
    }
}

static int build(struct glet_cuda_net *net, int batch, struct glet_error *err)
{
    if (glet_model_bind(net->model, batch, &net->graph, err) < 0 ||
        glet_cuda_plan_new(net->graph, glet_cuda_store_precision(net->site->store), &net->plan,
                           err) < 0 ||
        find_bases(net, err) < 0)
        return -1;
    net->actions.site = net->site;
    net->actions.plan = net->plan;
    net->actions.bases = net->bases;
    for (int s = 0; s < net->plan->step_count; s++) {
        net->actions.step = s;
        if (act(net, &net->plan->steps[s], err) < 0) {
            if (strstr(err->message, net->plan->steps[s].name))
                return -1;
            return glet_error_context(err, "node %s", net->plan->steps[s].name);
        }
    }
    /* once as it will be recorded: the first call of anything may still load or allocate */
    if (glet_cuda_net_record(net, err) < 0)
        return -1;
    return GLET_CUDA_TRY(net->site->api, err, cuStreamSynchronize, net->site->stream);
}

int glet_cuda_net_build(struct glet_cuda_site *site, const struct glet_model *model, int batch,
                        struct glet_cuda_net **out, struct glet_error *err)
{
    struct glet_cuda_net *net = glet_alloc(1, sizeof *net, err);
    if (!net)
        return -1;
    net->site = site;
    net->model = model;
    net->actions.site = site;
    if (build(net, batch, err) < 0) {
        (void)site->api->cuStreamSynchronize(
            site->stream); /* something may be queued on its memory */
        glet_cuda_net_free(net);
        return -1;
    }
    *out = net;
    return 0;
}

static void release(const struct glet_cuda_net *net, CUdeviceptr memory)
{
    if (memory)
        (void)net->site->api->cuMemFree(memory);
}

void glet_cuda_net_free(struct glet_cuda_net *net)
{
    if (!net)
        return;
    glet_cuda_actions_fini(&net->actions);
    for (int i = 0; net->inputs && i < net->graph->input_count; i++)
        release(net, net->inputs[i]);
    for (int i = 0; net->outputs && i < net->graph->output_count; i++)
        release(net, net->outputs[i]);
    release(net, net->arena);
    release(net, net->scratch);
    free(net->inputs);
    free(net->outputs);
    free(net->bases);
    glet_cuda_plan_free(net->plan);
    glet_graph_free(net->graph);
    free(net);
}

CUdeviceptr glet_cuda_net_input(const struct glet_cuda_net *net, size_t i)
{
    return net->inputs[i];
}

CUdeviceptr glet_cuda_net_output(const struct glet_cuda_net *net, size_t i)
{
    return net->outputs[i];
}

int glet_cuda_net_record(struct glet_cuda_net *net, struct glet_error *err)
{
    for (size_t i = 0; i < net->actions.count; i++)
        if (glet_cuda_action_enqueue(net->site, &net->actions.items[i], err) < 0)
            return glet_error_context(err, "node %s", glet_cuda_net_step_name(net, i));
    return 0;
}

size_t glet_cuda_net_activation_bytes(const struct glet_cuda_net *net)
{
    return net->plan->arena_bytes + net->actions.scratch_bytes + net->staging_bytes;
}

size_t glet_cuda_net_step_count(const struct glet_cuda_net *net)
{
    return net->actions.count;
}

const char *glet_cuda_net_step_name(const struct glet_cuda_net *net, size_t i)
{
    return net->plan->steps[net->actions.items[i].step].name;
}
