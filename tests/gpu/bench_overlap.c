/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gpu/bench_overlap.h"

#include "common/clock.h"
#include "common/memory.h"
#include "profiles/inputs.h"

#include <stdlib.h>
#include <string.h>

/* Data in rotation; a drift of the clocks meets both ways. */
enum { SETS = 2, TURNS = 4, MOST_TENSORS = 16 };

struct data { /* one set: what goes in, and what came out when it ran alone */
    void *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
};

struct bench {
    struct glet_partition *partition;
    struct glet_executor *executor;
    const struct glet_model *model;
    size_t batch;
    struct data sets[SETS];
};

static size_t input_bytes(const struct bench *bench, size_t i)
{
    return glet_model_input(bench->model, i)->bytes * bench->batch;
}

static size_t output_bytes(const struct bench *bench, size_t i)
{
    return glet_model_output(bench->model, i)->bytes * bench->batch;
}

static int copy_of(const void *from, size_t bytes, void **out, struct glet_error *err)
{
    *out = glet_alloc(bytes + 1, 1, err);
    if (!*out)
        return -1;
    memcpy(*out, from, bytes);
    return 0;
}

static int make_set(struct bench *bench, struct data *set, uint64_t seed, struct glet_error *err)
{
    struct glet_executor *executor = bench->executor;
    glet_inputs_fill(executor, bench->model, (int)bench->batch, seed);
    for (size_t i = 0; i < glet_model_input_count(bench->model); i++)
        if (copy_of(glet_executor_input(executor, i), input_bytes(bench, i), &set->inputs[i], err) <
            0)
            return -1;
    if (glet_executor_run(executor, (int)bench->batch, err) < 0)
        return -1;
    for (size_t i = 0; i < glet_model_output_count(bench->model); i++)
        if (copy_of(glet_executor_output(executor, i), output_bytes(bench, i), &set->outputs[i],
                    err) < 0)
            return -1;
    return 0;
}

static void free_sets(struct bench *bench)
{
    for (int s = 0; s < SETS; s++)
        for (int i = 0; i < MOST_TENSORS; i++) {
            free(bench->sets[s].inputs[i]);
            free(bench->sets[s].outputs[i]);
        }
}

static int begin(struct bench *bench, uint64_t number, struct glet_error *err)
{
    for (size_t i = 0; i < glet_model_input_count(bench->model); i++)
        memcpy(glet_executor_input(bench->executor, i), bench->sets[number % SETS].inputs[i],
               input_bytes(bench, i));
    return glet_executor_begin(bench->executor, (int)bench->batch, err);
}

static bool is_right(struct bench *bench, uint64_t number)
{
    for (size_t i = 0; i < glet_model_output_count(bench->model); i++)
        if (memcmp(glet_executor_output(bench->executor, i), bench->sets[number % SETS].outputs[i],
                   output_bytes(bench, i)) != 0)
            return false;
    return true;
}

static double busy_s(const struct bench *bench)
{
    struct glet_partition_use use;
    glet_partition_achieved(bench->partition, &use);
    return use.busy_ms / 1000;
}

static int run_turn(struct bench *bench, uint64_t depth, double seconds,
                    struct bench_overlap_side *side, struct glet_error *err)
{
    uint64_t start_ns = glet_clock_ns(), end_ns = start_ns + (uint64_t)(seconds * 1e9);
    double busy_before_s = busy_s(bench);
    uint64_t begun = 0, ended = 0;
    do {
        while (begun - ended < depth && (begun == 0 || glet_clock_ns() < end_ns)) {
            if (begin(bench, begun, err) < 0)
                return -1;
            begun++;
        }
        if (glet_executor_finish(bench->executor, err) < 0)
            return -1;
        side->wrong += !is_right(bench, ended);
        ended++;
    } while (begun > ended || glet_clock_ns() < end_ns);
    side->batches += ended;
    side->seconds += (double)(glet_clock_ns() - start_ns) / 1e9;
    side->busy_s += busy_s(bench) - busy_before_s;
    return 0;
}

int bench_overlap(struct glet_partition *partition, struct glet_executor *executor,
                  const struct glet_model *model, double seconds, struct bench_overlap *out,
                  struct glet_error *err)
{
    struct bench bench = {.partition = partition,
                          .executor = executor,
                          .model = model,
                          .batch = (size_t)glet_executor_batch(executor)};
    uint64_t depth = (uint64_t)glet_executor_depth(executor);
    int rc = 0;
    *out = (struct bench_overlap){0};
    if (glet_model_input_count(model) > MOST_TENSORS ||
        glet_model_output_count(model) > MOST_TENSORS)
        return glet_error_set(err, GLET_ERR_UNSUPPORTED, "more than %d inputs or outputs",
                              MOST_TENSORS);
    for (int s = 0; rc == 0 && s < SETS; s++)
        rc = make_set(&bench, &bench.sets[s], (uint64_t)s + 1, err);
    for (int turn = 0; rc == 0 && turn < TURNS; turn++)
        rc = turn % 2 == 0 ? run_turn(&bench, 1, seconds / TURNS, &out->one_by_one, err)
                           : run_turn(&bench, depth, seconds / TURNS, &out->overlapped, err);
    free_sets(&bench);
    return rc;
}
