/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch as programs. The rows of a batch are dealt to *lanes*, one per thread: each lane runs a
 * program of one row, again and again. Compared with one program for the whole batch, activations
 * stay in the core's own cache, all threads work without meeting until the end, rows without a
 * request cost nothing, and the arena is that of a single row. Packed weights are shared.
 *
 * What is better done for all rows at once, the large fully connected layers at the end of a
 * classifier, is a program of its own, the tail, that runs on all threads after the lanes
 * (net_split.h).
 *
 * A batch of one cannot be dealt: there every primitive forks into all threads. With a single
 * thread there is one lane and every primitive of every row is a step; with several threads the
 * lanes run to their end in one step.
 */
#include "runtime/device/cpu/net/cpu_net.h"

#include "runtime/device/cpu/kernels/team.h"
#include "runtime/device/cpu/net/net_split.h"
#include "runtime/device/cpu/net/program.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct lane {
    struct glet_cpu_program *program;
    struct glet_error error;
    bool failed;
};

struct glet_cpu_net {
    const struct glet_model *model;
    int batch, threads, used;
    bool whole;                             /* the program computes all rows at once */
    struct glet_graph *graph, *batch_graph; /* of a row; of the batch, if there is a tail */
    struct glet_cpu_split split;
    struct glet_cpu_program *tail;
    char *crossing[GLET_CPU_SPLIT_TENSORS]; /* batch x crossing_row_bytes */
    size_t crossing_row_bytes[GLET_CPU_SPLIT_TENSORS];
    struct lane *lanes;
    int lane_count;
    size_t input_count, output_count;
    const char **inputs;
    char **outputs;
    size_t *input_row_bytes, *output_row_bytes;
    double longest_step_ms;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Rows [begin, end) of lane `lane` when `used` rows carry a request. */
static void rows_of(const struct glet_cpu_net *net, int lane, int used, long *begin, long *end)
{
    glet_cpu_split(used, lane, net->lane_count, begin, end);
}

static void bind_row(struct glet_cpu_net *net, struct lane *lane, long row)
{
    for (size_t i = 0; i < net->input_count; i++)
        glet_cpu_program_bind_input(lane->program, i,
                                    net->inputs[i] + (size_t)row * net->input_row_bytes[i]);
    if (!net->tail) {
        for (size_t i = 0; i < net->output_count; i++)
            glet_cpu_program_bind_output(lane->program, i,
                                         net->outputs[i] + (size_t)row * net->output_row_bytes[i]);
        return;
    }
    size_t crossing = (size_t)net->split.crossing_count;
    for (size_t i = 0; i < crossing; i++)
        glet_cpu_program_bind_output(lane->program, i,
                                     net->crossing[i] + (size_t)row * net->crossing_row_bytes[i]);
    for (size_t i = 0; i < (size_t)net->split.head_output_count; i++) {
        int output = net->split.head_outputs[i];
        glet_cpu_program_bind_output(lane->program, crossing + i,
                                     net->outputs[output] +
                                         (size_t)row * net->output_row_bytes[output]);
    }
}

static int run_tail_step(struct glet_cpu_net *net, size_t step, struct glet_error *err)
{
    if (step == 0)
        for (int i = 0; i < net->split.tail_output_count; i++)
            glet_cpu_program_bind_output(net->tail, (size_t)i,
                                         net->outputs[net->split.tail_outputs[i]]);
    return glet_cpu_program_step(net->tail, step, err);
}

static int run_step(struct glet_cpu_net *net, struct lane *lane, long row, size_t step,
                    struct glet_error *err)
{
    if (step == 0)
        bind_row(net, lane, row);
    return glet_cpu_program_step(lane->program, step, err);
}

static void run_lane(int part, int parts, void *data)
{
    struct glet_cpu_net *net = data;
    /* a team can only be smaller than asked for inside another team's work */
    for (int i = part; i < net->lane_count; i += parts) {
        struct lane *lane = &net->lanes[i];
        size_t steps = glet_cpu_program_step_count(lane->program);
        long begin, end;
        rows_of(net, i, net->used, &begin, &end);
        lane->failed = false;
        for (long row = begin; row < end && !lane->failed; row++)
            for (size_t step = 0; step < steps && !lane->failed; step++)
                lane->failed = run_step(net, lane, row, step, &lane->error) < 0;
    }
}

static int run_lanes(struct glet_cpu_net *net, int used, struct glet_error *err)
{
    net->used = used;
    glet_cpu_team_run(run_lane, net);
    for (int i = 0; i < net->lane_count; i++)
        if (net->lanes[i].failed) {
            *err = net->lanes[i].error;
            return -1;
        }
    return 0;
}

static size_t tail_steps(const struct glet_cpu_net *net)
{
    return net->tail ? glet_cpu_program_step_count(net->tail) : 0;
}

/* Steps before the tail's. */
static size_t lane_steps(const struct glet_cpu_net *net, int used)
{
    if (net->lane_count > 1)
        return 1;
    return (net->whole ? 1 : (size_t)used) * glet_cpu_program_step_count(net->lanes[0].program);
}

size_t glet_cpu_net_step_count(const struct glet_cpu_net *net, int used)
{
    return lane_steps(net, used) + tail_steps(net);
}

int glet_cpu_net_step(struct glet_cpu_net *net, size_t i, int used, struct glet_error *err)
{
    if (glet_cpu_team_use(net->threads, err) < 0)
        return -1;
    size_t before = lane_steps(net, used);
    if (i >= before)
        return run_tail_step(net, i - before, err);
    if (net->lane_count > 1)
        return run_lanes(net, used, err);
    size_t steps = glet_cpu_program_step_count(net->lanes[0].program);
    return run_step(net, &net->lanes[0], (long)(i / steps), i % steps, err);
}

const char *glet_cpu_net_step_name(const struct glet_cpu_net *net, size_t i, int used)
{
    size_t before = lane_steps(net, used);
    if (i >= before)
        return glet_cpu_program_step_name(net->tail, i - before);
    if (net->lane_count > 1)
        return "(rows side by side)";
    return glet_cpu_program_step_name(net->lanes[0].program,
                                      i % glet_cpu_program_step_count(net->lanes[0].program));
}

int glet_cpu_net_run(struct glet_cpu_net *net, int used, struct glet_error *err)
{
    size_t steps = glet_cpu_net_step_count(net, used);
    for (size_t i = 0; i < steps; i++)
        if (glet_cpu_net_step(net, i, used, err) < 0)
            return -1;
    return 0;
}

void glet_cpu_net_bind_input(struct glet_cpu_net *net, size_t i, const void *data)
{
    net->inputs[i] = data;
}

void glet_cpu_net_bind_output(struct glet_cpu_net *net, size_t i, void *data)
{
    net->outputs[i] = data;
}

bool glet_cpu_net_reads_unused(const struct glet_cpu_net *net, int used)
{
    return net->whole && used < net->batch;
}

size_t glet_cpu_net_activation_bytes(const struct glet_cpu_net *net)
{
    size_t bytes = 0;
    for (int i = 0; i < net->lane_count; i++)
        bytes += glet_cpu_program_activation_bytes(net->lanes[i].program);
    for (int i = 0; i < net->split.crossing_count; i++)
        bytes += net->crossing_row_bytes[i] * (size_t)net->batch;
    return bytes + (net->tail ? glet_cpu_program_activation_bytes(net->tail) : 0);
}

double glet_cpu_net_longest_step_ms(const struct glet_cpu_net *net)
{
    return net->longest_step_ms;
}

void glet_cpu_net_free(struct glet_cpu_net *net)
{
    if (!net)
        return;
    for (int i = 0; net->lanes && i < net->lane_count; i++)
        glet_cpu_program_free(net->lanes[i].program);
    glet_cpu_program_free(net->tail);
    for (int i = 0; i < GLET_CPU_SPLIT_TENSORS; i++)
        free(net->crossing[i]);
    glet_graph_free(net->graph);
    glet_graph_free(net->batch_graph);
    free(net->lanes);
    free(net->inputs);
    free(net->outputs);
    free(net->input_row_bytes);
    free(net->output_row_bytes);
    free(net);
}

static int allocate(struct glet_cpu_net *net, struct glet_error *err)
{
    net->input_count = glet_model_input_count(net->model);
    net->output_count = glet_model_output_count(net->model);
    net->lanes = calloc((size_t)net->lane_count, sizeof *net->lanes);
    net->inputs = calloc(net->input_count + 1, sizeof *net->inputs);
    net->outputs = calloc(net->output_count + 1, sizeof *net->outputs);
    net->input_row_bytes = calloc(net->input_count + 1, sizeof *net->input_row_bytes);
    net->output_row_bytes = calloc(net->output_count + 1, sizeof *net->output_row_bytes);
    if (!net->lanes || !net->inputs || !net->outputs || !net->input_row_bytes ||
        !net->output_row_bytes)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a network");
    for (size_t i = 0; i < net->input_count; i++)
        net->input_row_bytes[i] = glet_model_input(net->model, i)->bytes;
    for (size_t i = 0; i < net->output_count; i++)
        net->output_row_bytes[i] = glet_model_output(net->model, i)->bytes;
    return 0;
}

/* A model whose batch is fixed at more than one is a single row of that many requests. */
static int bind_graph(struct glet_cpu_net *net, struct glet_error *err)
{
    struct glet_error fixed = {0};
    if (glet_model_bind(net->model, 1, &net->graph, &fixed) == 0)
        return 0;
    if (fixed.code != GLET_ERR_RANGE || net->batch == 1) {
        *err = fixed;
        return -1;
    }
    net->whole = true;
    net->lane_count = 1;
    return glet_model_bind(net->model, net->batch, &net->graph, err);
}

/* Looks for a tail, and makes room for what it gets from the lanes. */
static int split_batch(struct glet_cpu_net *net, struct glet_error *err)
{
    if (net->whole || net->batch == 1)
        return 0;
    if (glet_model_bind(net->model, net->batch, &net->batch_graph, err) < 0)
        return -1;
    if (!glet_cpu_split_graph(net->graph, net->batch_graph, &net->split)) {
        memset(&net->split, 0, sizeof net->split);
        glet_graph_free(net->batch_graph);
        net->batch_graph = NULL;
        return 0;
    }
    for (int i = 0; i < net->split.crossing_count; i++) {
        const struct glet_tensor *tensor = &net->graph->tensors[net->split.crossing[i]];
        net->crossing_row_bytes[i] = glet_tensor_bytes(tensor);
        net->crossing[i] = calloc((size_t)net->batch, net->crossing_row_bytes[i] + 1);
        if (!net->crossing[i])
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a network");
    }
    return 0;
}

static int build_tail(struct glet_cpu_net *net, struct glet_cpu_packs *packs,
                      struct glet_error *err)
{
    if (!net->batch_graph)
        return 0;
    if (glet_cpu_team_use(net->threads, err) < 0 ||
        glet_cpu_program_build(&net->split.tail, packs, net->model, &net->tail, err) < 0)
        return -1;
    for (int i = 0; i < net->split.crossing_count; i++)
        glet_cpu_program_bind_input(net->tail, (size_t)i, net->crossing[i]);
    return 0;
}

/* Runs every step twice on zeros; the second, warm time counts. With several lanes the time of
   their one step is that of a row times the rows of a lane. */
static int warm_up(struct glet_cpu_net *net, struct glet_error *err)
{
    void **memory = calloc(net->input_count + net->output_count + 1, sizeof *memory);
    int rc = memory ? 0 : glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a first run");
    for (size_t i = 0; rc == 0 && i < net->input_count + net->output_count; i++) {
        bool is_input = i < net->input_count;
        size_t row =
            is_input ? net->input_row_bytes[i] : net->output_row_bytes[i - net->input_count];
        memory[i] = calloc((size_t)net->batch, row ? row : 1);
        if (!memory[i])
            rc = glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a first run");
        else if (is_input)
            net->inputs[i] = memory[i];
        else
            net->outputs[i - net->input_count] = memory[i];
    }
    /* one row per lane is enough; lanes take their other rows in the same step */
    int used = net->lane_count, rows_per_lane = (net->batch + used - 1) / used;
    for (int round = 0; rc == 0 && round < 2; round++) {
        size_t steps = glet_cpu_net_step_count(net, used);
        net->longest_step_ms = 0.0;
        for (size_t i = 0; rc == 0 && i < steps; i++) {
            double start_ms = now_ms();
            rc = glet_cpu_net_step(net, i, used, err);
            double step_ms = now_ms() - start_ms;
            if (net->lane_count > 1 && i == 0)
                step_ms *= rows_per_lane;
            if (step_ms > net->longest_step_ms)
                net->longest_step_ms = step_ms;
        }
    }
    for (size_t i = 0; memory && i < net->input_count + net->output_count; i++)
        free(memory[i]);
    free(memory);
    return rc;
}

static int build(struct glet_cpu_net *net, struct glet_cpu_packs *packs, struct glet_error *err)
{
    if (allocate(net, err) < 0 || bind_graph(net, err) < 0 || split_batch(net, err) < 0)
        return -1;
    const struct glet_graph *graph = net->batch_graph ? &net->split.head : net->graph;
    /* lanes are single-threaded programs; the lane of a batch of one is as wide as the team */
    if (glet_cpu_team_use(net->lane_count > 1 ? 1 : net->threads, err) < 0)
        return -1;
    for (int i = 0; i < net->lane_count; i++)
        if (glet_cpu_program_build(graph, packs, net->model, &net->lanes[i].program, err) < 0)
            return -1;
    return build_tail(net, packs, err) < 0 ? -1 : warm_up(net, err);
}

int glet_cpu_net_build(struct glet_cpu_packs *packs, const struct glet_model *model, int batch,
                       int threads, struct glet_cpu_net **out, struct glet_error *err)
{
    if (batch < 1 || threads < 1 || threads > GLET_CPU_MAX_THREADS)
        return glet_error_set(err, GLET_ERR_RANGE, "batch %d on %d threads is out of range", batch,
                              threads);
    struct glet_cpu_net *net = calloc(1, sizeof *net);
    if (!net)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory for a network");
    net->model = model;
    net->batch = batch;
    net->threads = threads;
    net->lane_count = batch < threads ? batch : threads;
    if (build(net, packs, err) < 0) {
        glet_cpu_net_free(net);
        return -1;
    }
    *out = net;
    return 0;
}
