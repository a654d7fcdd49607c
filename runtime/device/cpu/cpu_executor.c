/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executors of the CPU device.
 *
 * With whole cores only, one net uses them all: it splits the rows of a batch over its threads.
 * With tenths only, one single-threaded net runs in slices. With both (15 units: a core and a
 * half), the net of the whole cores takes most rows and a second net, on the helper's thread, the
 * rows that the tenths can compute meanwhile; a batch too small to share out uses the whole cores
 * alone, so that 15 units answer a batch of one no faster than 10. Cutting single rows over cores
 * of unequal speed was not pursued: every primitive would wait for the slowest.
 *
 * Building a net is one long computation that the arbiter cannot interrupt. While another set of
 * partitions is live (a plan is being replaced), single-threaded builds therefore run at the lowest
 * priority, where this process is allowed to take a priority back (root, or LimitNICE= in systemd).
 */
#include "common/clock.h"
#include "common/memory.h"
#include "runtime/device/cpu/cpu_partition.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };

struct executor {
    struct glet_executor base;
    struct glet_cpu_partition *partition;
    const struct glet_model *model;
    struct glet_cpu_net *main_net;
    struct glet_cpu_net *piece_net; /* on the helper's thread; NULL where there is none */
    int main_rows, piece_rows;      /* what the nets are built for */
    int used;                       /* rows of the batch that was begun */
    int piece_used;                 /* rows of the present run, for the helper */
    const char **sources;           /* where each input lies for the next run */
    bool lent;                      /* some of them outside the staging memory */
};

struct build {
    struct glet_cpu_partition *partition;
    const struct glet_model *model;
    int batch, threads;
    struct glet_cpu_net **out;
};

static int build_net(void *argument, struct glet_error *err)
{
    const struct build *b = argument;
    struct glet_cpu_device *device = b->partition->device;
    id_t me = (id_t)gettid();
    /* Threads that a net starts would keep the priority: only for nets without. */
    bool aside = b->threads == 1 && device->may_renice && atomic_load(&device->live_sets) > 1;
    if (aside)
        (void)setpriority(PRIO_PROCESS, me, 19);
    int rc = glet_cpu_net_build(device->packs, b->model, b->batch, b->threads, b->out, err);
    if (aside)
        (void)setpriority(PRIO_PROCESS, me, 0);
    return rc;
}

static int free_net(void *argument, struct glet_error *err)
{
    (void)err;
    glet_cpu_net_free(argument);
    return 0;
}

static int run_pieces(void *argument, struct glet_error *err)
{
    struct executor *executor = argument;
    return glet_cpu_fraction_run(&executor->partition->fraction, executor->piece_net,
                                 executor->piece_used, err);
}

static void announce_slices(struct glet_cpu_fraction *fraction, const struct glet_cpu_net *net)
{
    double longest_ms = glet_cpu_net_longest_step_ms(net);
    for (int i = 0; i < fraction->seat_count; i++)
        glet_cpu_seat_expect_slice(fraction->seats[i], (uint64_t)(longest_ms * 1e6));
}

static int build_nets(struct executor *executor, struct glet_error *err)
{
    struct glet_cpu_partition *partition = executor->partition;
    int cores = partition->share.core_count;
    struct build b = {partition, executor->model, executor->main_rows, cores ? cores : 1,
                      &executor->main_net};
    if (build_net(&b, err) < 0)
        return -1;
    if (executor->piece_rows > 0) {
        b = (struct build){partition, executor->model, executor->piece_rows, 1,
                           &executor->piece_net};
        glet_cpu_helper_post(partition->helper, build_net, &b);
        if (glet_cpu_helper_wait(partition->helper, err) < 0)
            return -1;
        announce_slices(&partition->fraction, executor->piece_net);
    }
    if (cores == 0)
        announce_slices(&partition->fraction, executor->main_net);
    return 0;
}

/* Aligned and zeroed: the rows that carry no request are computed, so they must hold numbers. */
static void *staging(size_t row_bytes, int rows, struct glet_error *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(row_bytes, (size_t)rows, &bytes) || bytes > SIZE_MAX / 2) {
        glet_error_set(err, GLET_ERR_NOMEM, "a batch of %d does not fit into memory", rows);
        return NULL;
    }
    bytes = (bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    void *block = aligned_alloc(ALIGNMENT, bytes);
    if (!block) {
        glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < bytes; i++)
        ((volatile char *)block)[i] = 0; /* touches every page now, not while serving */
    return block;
}

static int make_staging(struct executor *executor, struct glet_error *err)
{
    struct glet_executor *base = &executor->base;
    size_t inputs = glet_model_input_count(executor->model);
    size_t outputs = glet_model_output_count(executor->model);
    base->inputs = glet_alloc(inputs, sizeof *base->inputs, err);
    base->outputs = glet_alloc(outputs, sizeof *base->outputs, err);
    executor->sources = glet_alloc(inputs, sizeof *executor->sources, err);
    if (!base->inputs || !base->outputs || !executor->sources)
        return -1;
    double bytes = 0;
    for (; base->input_count < inputs; base->input_count++) {
        size_t row = glet_model_input(executor->model, base->input_count)->bytes;
        base->inputs[base->input_count] = staging(row, base->batch, err);
        if (!base->inputs[base->input_count])
            return -1;
        executor->sources[base->input_count] = base->inputs[base->input_count];
        bytes += (double)row * base->batch;
    }
    for (; base->output_count < outputs; base->output_count++) {
        size_t row = glet_model_output(executor->model, base->output_count)->bytes;
        base->outputs[base->output_count] = staging(row, base->batch, err);
        if (!base->outputs[base->output_count])
            return -1;
        bytes += (double)row * base->batch;
    }
    bytes += (double)glet_cpu_net_activation_bytes(executor->main_net);
    if (executor->piece_net)
        bytes += (double)glet_cpu_net_activation_bytes(executor->piece_net);
    base->activation_mib = bytes / (1 << 20);
    return 0;
}

/* Lets a net read its inputs, and write the staging memory, from row `first` on. */
static void bind(struct executor *executor, struct glet_cpu_net *net, int first)
{
    for (size_t i = 0; i < executor->base.input_count; i++)
        glet_cpu_net_bind_input(net, i,
                                executor->sources[i] +
                                    (size_t)first * glet_model_input(executor->model, i)->bytes);
    for (size_t i = 0; i < executor->base.output_count; i++)
        glet_cpu_net_bind_output(net, i,
                                 (char *)executor->base.outputs[i] +
                                     (size_t)first * glet_model_output(executor->model, i)->bytes);
}

int glet_cpu_executor_build(struct glet_partition *base, struct glet_model *model, int batch,
                            struct glet_executor **out, struct glet_error *err)
{
    struct glet_cpu_partition *partition = (struct glet_cpu_partition *)base;
    struct executor *executor = glet_alloc(1, sizeof *executor, err);
    if (!executor)
        return -1;
    executor->base.ops = base->ops;
    executor->base.batch = batch;
    executor->base.depth = 1;
    executor->partition = partition;
    executor->model = model;
    executor->piece_rows = glet_cpu_share_piece_rows(&partition->share, batch);
    /* A smaller run may leave all its rows to the whole cores; then their net is the larger. */
    executor->main_rows = batch - executor->piece_rows;
    for (int used = 1; used < batch; used++) {
        int rows = used - glet_cpu_share_piece_rows(&partition->share, used);
        if (rows > executor->main_rows)
            executor->main_rows = rows;
    }
    if (build_nets(executor, err) < 0 || make_staging(executor, err) < 0) {
        glet_cpu_executor_free(&executor->base);
        return -1;
    }
    bind(executor, executor->main_net, 0);
    *out = &executor->base;
    return 0;
}

void glet_cpu_executor_free(struct glet_executor *base)
{
    struct executor *executor = (struct executor *)base;
    glet_cpu_net_free(executor->main_net);
    if (executor->piece_net) {
        struct glet_error ignored;
        glet_cpu_helper_post(executor->partition->helper, free_net, executor->piece_net);
        if (glet_cpu_helper_wait(executor->partition->helper, &ignored) < 0)
            abort(); /* free_net() cannot fail */
    }
    for (size_t i = 0; i < base->input_count; i++)
        free(base->inputs[i]);
    for (size_t i = 0; i < base->output_count; i++)
        free(base->outputs[i]);
    free(base->inputs);
    free(base->outputs);
    free(executor->sources);
    free(executor);
}

bool glet_cpu_executor_lend(struct glet_executor *base, size_t i, const void *data, int used)
{
    struct executor *executor = (struct executor *)base;
    if (glet_cpu_net_reads_unused(executor->main_net, used))
        return false;
    executor->sources[i] = data;
    executor->lent = true;
    return true;
}

static int run_whole(struct executor *executor, int used, struct glet_error *err)
{
    struct glet_cpu_partition *partition = executor->partition;
    uint64_t start_ns = glet_clock_ns();
    int rc = glet_cpu_net_run(executor->main_net, used, err);
    uint64_t busy_ns = (glet_clock_ns() - start_ns) * (uint64_t)partition->share.core_count;
    atomic_fetch_add_explicit(&partition->whole_busy_ns, busy_ns, memory_order_relaxed);
    return rc;
}

static int run(struct executor *executor, int used, struct glet_error *err)
{
    struct glet_cpu_partition *partition = executor->partition;
    if (partition->share.core_count == 0)
        return glet_cpu_fraction_run(&partition->fraction, executor->main_net, used, err);
    int on_pieces = executor->piece_net ? glet_cpu_share_piece_rows(&partition->share, used) : 0;
    if (on_pieces == 0)
        return run_whole(executor, used, err);
    bind(executor, executor->piece_net, used - on_pieces);
    executor->piece_used = on_pieces;
    glet_cpu_helper_post(partition->helper, run_pieces, executor);
    int rc = run_whole(executor, used - on_pieces, err);
    struct glet_error piece_err;
    if (glet_cpu_helper_wait(partition->helper, &piece_err) < 0 && rc == 0) {
        *err = piece_err;
        rc = -1;
    }
    return rc;
}

/* There is nothing to copy, and computing is what the worker waits for. */
int glet_cpu_executor_begin(struct glet_executor *base, int used, struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    (void)err;
    executor->used = used;
    return 0;
}

int glet_cpu_executor_finish(struct glet_executor *base, struct glet_error *err)
{
    struct executor *executor = (struct executor *)base;
    if (!executor->lent)
        return run(executor, executor->used, err);
    bind(executor, executor->main_net, 0);
    int rc = run(executor, executor->used, err);
    for (size_t i = 0; i < base->input_count; i++)
        executor->sources[i] = base->inputs[i];
    bind(executor, executor->main_net, 0);
    executor->lent = false;
    return rc;
}
