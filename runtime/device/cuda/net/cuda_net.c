/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A net: a plan, its memory, and the list of calls that a batch is. Building decides everything;
 * recording is a loop.
 */
#include "runtime/device/cuda/net/cuda_net.h"

#include "common/memory.h"
#include "runtime/device/cuda/libs/timing.h"
#include "runtime/device/cuda/net/action.h"
#include "runtime/device/cuda/plan/work.h"

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

/* -- what the steps take ------------------------------------------------------------------------ */

enum { RUNS_AT_ONCE = 8 }; /* of a step; launching a graph of them is then no part of its time */

struct step_range {
    const struct glet_cuda_net *net;
    size_t first, end; /* its actions */
};

static int enqueue_step(void *context, struct glet_error *err)
{
    const struct step_range *range = context;
    for (int run = 0; run < RUNS_AT_ONCE; run++)
        for (size_t i = range->first; i < range->end; i++)
            if (glet_cuda_action_enqueue(range->net->site, &range->net->actions.items[i], err) < 0)
                return -1;
    return 0;
}

static void add_way(const struct glet_cuda_action *action, char *way, size_t size)
{
    size_t at = strlen(way);
    const char *with = at ? " " : "";
    if (action->kind == GLET_CUDA_LAUNCH)
        snprintf(way + at, size - at, "%s%s", with, action->launch.kernel);
    else if (action->kind == GLET_CUDA_CUDNN)
        snprintf(way + at, size - at, "%scudnn", with);
    else if (action->lt.gemm.outer == 1)
        snprintf(way + at, size - at, "%scublaslt", with);
    else
        snprintf(way + at, size - at, "%s%lld x cublaslt", with, (long long)action->lt.gemm.outer);
}

static int time_step(const struct step_range *range, struct glet_step_time *out,
                     struct glet_error *err)
{
    const struct glet_cuda_action *actions = range->net->actions.items;
    const struct glet_cuda_step *step = &range->net->plan->steps[actions[range->first].step];
    struct glet_cuda_work work = glet_cuda_work_of(step);
    struct step_range copy = *range;
    *out = (struct glet_step_time){.node = step->name,
                                   .kind = glet_cuda_step_kind_name(step->kind),
                                   .bytes = work.bytes,
                                   .flop = work.flop};
    memcpy(out->shape, work.shape, sizeof out->shape);
    for (size_t i = range->first; i < range->end; i++)
        add_way(&actions[i], out->way, sizeof out->way);
    if (glet_cuda_time(range->net->site, enqueue_step, &copy, 0, &out->ms, err) < 0)
        return glet_error_context(err, "node %s", step->name);
    out->ms /= RUNS_AT_ONCE;
    return 0;
}

/* In their order: what a step reads, those before it have just written. */
int glet_cuda_net_steps(struct glet_cuda_net *net, struct glet_step_time **out, size_t *count_out,
                        struct glet_error *err)
{
    const struct glet_cuda_actions *actions = &net->actions;
    struct glet_step_time *times = glet_alloc(actions->count + 1, sizeof *times, err);
    size_t count = 0;
    if (!times)
        return -1;
    for (size_t i = 0; i < actions->count; count++) {
        struct step_range range = {net, i, i + 1};
        while (range.end < actions->count &&
               actions->items[range.end].step == actions->items[i].step)
            range.end++;
        if (time_step(&range, &times[count], err) < 0) {
            free(times);
            return -1;
        }
        i = range.end;
    }
    *out = times;
    *count_out = count;
    return 0;
}
