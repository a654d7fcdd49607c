/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gpu-let's thread does with a batch: its inputs are gathered, the executor begins it, later
 * finishes it, and its outputs are handed out with the answers.
 *
 * Copies into and out of the executor's staging memory happen outside the hang watch: only inside
 * an executor may batches be taken away from the thread, because only there it writes nothing of
 * the requests. What a device may be reading then, inputs lent or fed to it in place, is kept for
 * good.
 *
 * An executor may refuse data (a token number out of range, say). Then each request of the batch
 * runs alone, so that one bad request costs its neighbours time but no answer. A shared input that
 * is no good is known before that, when it is copied: its rows are zeros then, which suit any model,
 * and its answer is the refusal.
 */
#include "common/clock.h"
#include "runtime/serve/core/worker_state.h"
#include "runtime/serve/shared_copy.h"

#include <stdio.h>
#include <string.h>

/* A batch hangs when it takes this many times what the plan says, and hang_us. */
enum { HANG_FACTOR = 20 };

/* And where the executor refuses what it was given. */
enum { RUN_BAD_INPUT = GLET_RUN_FAILED + 1 };

static void answer(struct glet_worker *worker, size_t share, struct glet_request *request,
                   enum glet_outcome outcome)
{
    int slot = worker->shares[share].slot;
    request->outcome = outcome;
    request->gpu = worker->shares[share].gpu;
    if (outcome != GLET_DONE) {
        struct glet_counters *counters = &worker->counters[share];
        glet_count(&counters->outcomes[outcome], 1);
        glet_count(&counters->fail_ns, (glet_clock_us() - request->arrival_us) * 1000);
    }
    request->done(request);
    worker->plan.answered(worker->plan.user, slot);
}

static bool is_in(uint64_t inputs, size_t input)
{
    return input < 64 && (inputs >> input & 1) != 0;
}

/* In the copy, which nobody else can change. */
static bool all_booleans(const unsigned char *values, size_t bytes)
{
    unsigned char seen = 0;
    for (size_t i = 0; i < bytes; i++)
        seen |= values[i];
    return seen <= 1;
}

static void copy_shared(unsigned char *to, const struct glet_model_io *io,
                        struct glet_request *request, const void *from, size_t bytes)
{
    const char *why = NULL;
    if (!glet_shared_copy(to, from, bytes))
        why = "its shared memory has become shorter";
    else if (io->dtype == GLET_BOOL && !all_booleans(to, bytes))
        why = "a BOOL is neither 0 nor 1";
    if (!why)
        return;
    memset(to, 0, bytes);
    request->bad_input = true;
    snprintf(request->message, sizeof request->message, "input '%.60s': %s", io->name, why);
}

/* Where the device reads the request's rows itself. Pinned memory is there for it, however short
   another process cuts the file; but a BOOL is judged in a copy that nobody else can change. */
static bool feed(struct glet_executor *executor, size_t input, const struct glet_model_io *io,
                 const struct glet_request *request, int first_row)
{
    return is_in(request->pinned, input) &&
           !(io->dtype == GLET_BOOL && is_in(request->shared, input)) &&
           glet_executor_feed(executor, input, first_row, request->rows, request->inputs[input]);
}

/* Returns whether rows of the input were fed. */
static bool gather_input(struct glet_executor *executor, size_t input,
                         const struct glet_model_io *io, const struct glet_sched_item *items,
                         size_t count)
{
    bool fed = false;
    unsigned char *to = glet_executor_input(executor, input);
    for (size_t i = 0, row = 0; i < count; i++) {
        struct glet_request *request = items[i].request;
        size_t bytes = io->bytes * (size_t)request->rows;
        if (feed(executor, input, io, request, (int)row))
            fed = true;
        else if (is_in(request->shared, input))
            copy_shared(to, io, request, request->inputs[input], bytes);
        else
            memcpy(to, request->inputs[input], bytes);
        to += bytes;
        row += (size_t)request->rows;
    }
    return fed;
}

/* One request alone need not be copied where the device can read it in place. Returns whether it
   will read any memory of the requests'. */
static bool gather(const struct glet_model *model, struct glet_executor *executor,
                   const struct glet_sched_item *items, size_t count)
{
    bool lent = false;
    for (size_t input = 0; input < glet_model_input_count(model); input++) {
        const struct glet_request *first = items[0].request;
        if (count == 1 && !is_in(first->shared, input) &&
            glet_executor_lend(executor, input, first->inputs[input], first->rows))
            lent = true;
        else if (gather_input(executor, input, glet_model_input(model, input), items, count))
            lent = true;
    }
    return lent;
}

static void scatter(const struct glet_model *model, const struct glet_executor *executor,
                    const struct glet_sched_item *items, size_t count)
{
    for (size_t output = 0; output < glet_model_output_count(model); output++) {
        size_t row_bytes = glet_model_output(model, output)->bytes;
        const unsigned char *from =
            glet_executor_output((struct glet_executor *)(uintptr_t)executor, output);
        for (size_t i = 0; i < count; i++) {
            struct glet_request *request = items[i].request;
            size_t bytes = row_bytes * (size_t)request->rows;
            memcpy(request->outputs[output], from, bytes);
            from += bytes;
        }
    }
}

/* What one executor does at a time: a batch, or one request of it. */
struct run {
    const struct glet_worker_share *share;
    struct glet_executor *executor;
    const struct glet_sched_item *items;
    size_t count;
    int rows;
    uint64_t limit_us; /* after which it hangs */
};

static struct run run_of(const struct glet_worker *worker, const struct glet_flight *flight)
{
    const struct glet_sched_batch *batch = &flight->batch;
    const struct glet_bench *bench = &worker->benches[batch->share];
    return (struct run){.share = &worker->shares[batch->share],
                        .executor = bench->executors[batch->size],
                        .items = batch->items,
                        .count = batch->count,
                        .rows = batch->rows,
                        .limit_us = HANG_FACTOR * bench->sizes[batch->size].exec_us};
}

/* From here on the supervisor may take the batches, until go_out() says whether it has. */
static uint64_t go_in(struct glet_worker *worker, uint64_t limit_us)
{
    uint64_t hang_us = worker->plan.hang_us;
    atomic_store_explicit(&worker->inside_limit_us, limit_us > hang_us ? limit_us : hang_us,
                          memory_order_relaxed);
    uint64_t inside =
        atomic_load_explicit(&worker->phase, memory_order_relaxed) + 4 + GLET_PHASE_INSIDE;
    atomic_store_explicit(&worker->phase, inside, memory_order_release);
    return inside;
}

static bool go_out(struct glet_worker *worker, uint64_t inside)
{
    return atomic_compare_exchange_strong(&worker->phase, &inside, inside - GLET_PHASE_INSIDE);
}

static int begin(struct glet_worker *worker, struct glet_flight *flight, const struct run *run,
                 struct glet_error *err)
{
    uint64_t gather_ns = glet_clock_ns();
    flight->lent = gather(run->share->model, run->executor, run->items, run->count);
    flight->begin_ns = glet_clock_ns();
    flight->gather_ns = flight->begin_ns - gather_ns;
    uint64_t inside = go_in(worker, run->limit_us);
    int failed = glet_executor_begin(run->executor, run->rows, err);
    if (!go_out(worker, inside))
        return GLET_RUN_TAKEN;
    flight->begun = !failed;
    flight->lent &= !failed;
    return failed ? GLET_RUN_FAILED : GLET_RUN_DONE;
}

/* Fills in the requests when they are done. */
static int finish(struct glet_worker *worker, struct glet_flight *flight, const struct run *run,
                  struct glet_error *err)
{
    uint64_t inside = go_in(worker, run->limit_us);
    int failed = glet_executor_finish(run->executor, err);
    uint64_t end_ns = glet_clock_ns();
    if (!go_out(worker, inside))
        return GLET_RUN_TAKEN;
    flight->begun = flight->lent = false;
    if (failed)
        return err->code == GLET_ERR_INPUT || err->code == GLET_ERR_RANGE ? RUN_BAD_INPUT
                                                                          : GLET_RUN_FAILED;
    /* Behind another batch it waited until that had ended. */
    uint64_t start_ns = flight->begin_ns > worker->end_ns ? flight->begin_ns : worker->end_ns;
    worker->end_ns = end_ns;
    scatter(run->share->model, run->executor, run->items, run->count);
    for (size_t i = 0; i < run->count; i++) {
        struct glet_request *request = run->items[i].request;
        request->start_us = start_ns / 1000;
        request->end_us = end_ns / 1000;
        request->batch_rows = run->rows;
        if (!request->bad_input)
            request->message[0] = '\0';
    }
    struct glet_batch_times times = {flight->gather_ns, end_ns - start_ns,
                                     glet_clock_ns() - end_ns};
    glet_counters_batch(&worker->counters[flight->batch.share], run->rows, run->count, &times);
    return GLET_RUN_DONE;
}

static void answer_done(struct glet_worker *worker, size_t share,
                        const struct glet_sched_item *item)
{
    struct glet_request *request = item->request;
    if (request->bad_input) {
        answer(worker, share, request, GLET_INVALID);
        return;
    }
    glet_counters_done(&worker->counters[share], request, glet_request_slo_us(request));
    answer(worker, share, request, GLET_DONE);
}

static void answer_invalid(struct glet_worker *worker, size_t share, struct glet_request *request,
                           const struct glet_error *err)
{
    snprintf(request->message, sizeof request->message, "%.*s", (int)sizeof request->message - 1,
             err->message);
    answer(worker, share, request, GLET_INVALID);
}

/* After the batch was refused as a whole: one by one. */
static int run_alone(struct glet_worker *worker, struct glet_flight *flight, struct glet_error *err)
{
    const struct glet_sched_batch *batch = &flight->batch;
    const struct glet_bench *bench = &worker->benches[batch->share];
    struct run run = run_of(worker, flight);
    for (run.count = 1; flight->taken < batch->count; flight->taken++) {
        run.items = &batch->items[flight->taken];
        run.rows = run.items->rows;
        size_t size = 0;
        while (bench->sizes[size].batch < run.rows)
            size++;
        run.executor = bench->executors[size];
        int result = begin(worker, flight, &run, err);
        if (result == GLET_RUN_DONE)
            result = finish(worker, flight, &run, err);
        if (result == GLET_RUN_DONE)
            answer_done(worker, batch->share, run.items);
        else if (result == RUN_BAD_INPUT)
            answer_invalid(worker, batch->share, run.items->request, err);
        else
            return result;
    }
    return GLET_RUN_DONE;
}

enum glet_run_result glet_flight_begin(struct glet_worker *worker, struct glet_flight *flight,
                                       struct glet_error *err)
{
    struct run run = run_of(worker, flight);
    flight->taken = 0;
    flight->left = true;
    return (enum glet_run_result)begin(worker, flight, &run, err);
}

enum glet_run_result glet_flight_end(struct glet_worker *worker, struct glet_flight *flight,
                                     struct glet_error *err)
{
    struct run run = run_of(worker, flight);
    int result = finish(worker, flight, &run, err);
    if (result == RUN_BAD_INPUT) /* then no other batch has begun (device.h) */
        result = run_alone(worker, flight, err);
    else if (result == GLET_RUN_DONE)
        for (size_t i = 0; i < run.count; i++)
            answer_done(worker, flight->batch.share, &run.items[i]);
    flight->left = result != GLET_RUN_DONE;
    return (enum glet_run_result)result;
}

void glet_answer_late(struct glet_worker *worker, const struct glet_sched_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct glet_request *request = batch->items[i].request;
        request->start_us = request->end_us = 0;
        request->batch_rows = 0;
        snprintf(request->message, sizeof request->message,
                 "dropped before it ran: it could no longer meet its deadline");
        answer(worker, batch->share, request, GLET_LATE);
    }
}
