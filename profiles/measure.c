/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One point of a profile.
 *
 * The partition is alone on the device: a share of a core is enforced all the same, so that the
 * latency at 3 units is that of three tenths of a core. What a neighbour adds to the tail, the wait
 * for its slice to end, is added afterwards, when all models are known (sweep_session.c).
 *
 * Which latency. A gpu-let's worker hands the executor a batch and has it back when the outputs are
 * on the host; that is how long the gpu-let is taken, copies included, and what a plan adds up to a
 * duty cycle and a bound. So p50_ms and p99_ms are the wall-clock times of that path. On a device
 * with a clock of its own the time of the kernels alone is measured as well, from replays in blocks
 * that nothing on the host interrupts: it tells what copies and the host cost, and is steadier
 * where the two agree, but no plan may count on it.
 *
 * A model that is served beside others finds less of its weights in the cache that they share than
 * one that runs alone again and again. Cold, the cache is emptied before every run, outside its
 * time: the other end of the range.
 *
 * CPU time is taken beside wall time: a machine that is busy with other things lengthens the one
 * and not the other. With one core or less per partition the two differ by the share alone, so a
 * ratio above 1.05 is somebody else's doing; with several cores it is also imperfect parallelism.
 */
#include "profiles/measure.h"

#include "common/clock.h"
#include "profiles/inputs.h"
#include "profiles/machine.h"
#include "profiles/sampler.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Above these, what was measured is not the model alone. */
#define FOREIGN_LIMIT_RATIO  0.05
#define WALL_LIMIT_RATIO     1.05
#define ACHIEVED_LIMIT_RATIO 0.9
#define TAIL_LIMIT_RATIO     1.25 /* p99 / p50, above that of the kernels alone */

#define DEVICE_TIME_PART 0.25 /* of the time for a point, on top of it */

enum { INPUT_SETS = 4, REPLAY_BLOCK = 32 };

struct job {
    struct glet_device *device;
    struct glet_model *model;
    int batch, units;
    double max_ms;
    bool cold_l2;
    const volatile sig_atomic_t *stop;
    struct glet_measurement *out;
    struct glet_error *err;
    int rc;
};

static bool is_cpu(const struct job *job)
{
    return strcmp(glet_device_info(job->device)->mechanism, "cpu") == 0;
}

/* Feeds the sampler until it is done. */
static int sample(struct glet_executor *executor, const struct job *job, struct glet_inputs *inputs,
                  struct glet_sampler *sampler, struct glet_error *err)
{
    while (sampler->phase != GLET_SAMPLER_DONE) {
        if (*job->stop)
            return glet_error_set(err, GLET_ERR_UNDECIDED, "stopped");
        glet_inputs_rotate(inputs);
        if (job->cold_l2 && glet_executor_cool(executor, err) < 0)
            return -1;
        uint64_t start_ns = glet_clock_ns();
        if (glet_executor_run(executor, job->batch, err) < 0)
            return -1;
        (void)glet_sampler_add(sampler, (double)(glet_clock_ns() - start_ns) / 1e6 + 1e-9);
    }
    return 0;
}

/* The same by the device's clock, in blocks: one run brings the next inputs, replays follow. */
static int sample_device(struct glet_executor *executor, const struct job *job,
                         struct glet_inputs *inputs, struct glet_sampler *sampler,
                         struct glet_error *err)
{
    double block_ms[REPLAY_BLOCK];
    while (sampler->phase != GLET_SAMPLER_DONE) {
        if (*job->stop)
            return glet_error_set(err, GLET_ERR_UNDECIDED, "stopped");
        glet_inputs_rotate(inputs);
        if (glet_executor_run(executor, job->batch, err) < 0 ||
            glet_executor_replay(executor, REPLAY_BLOCK, job->cold_l2, block_ms, err) < 0)
            return -1;
        for (int i = 0; i < REPLAY_BLOCK && sampler->phase != GLET_SAMPLER_DONE; i++)
            (void)glet_sampler_add(sampler, block_ms[i]);
    }
    return 0;
}

static void add_flag(char flags[64], const char *flag)
{
    size_t used = strlen(flags);
    snprintf(flags + used, 64 - used, "%s%s", used ? ";" : "", flag);
}

static int measure_once(struct glet_executor *executor, const struct job *job,
                        struct glet_inputs *inputs, struct glet_sampler_result *result,
                        struct glet_error *err)
{
    struct glet_sampler sampler;
    struct glet_sampler_rules rules = glet_sampler_rules(job->max_ms);
    if (glet_sampler_init(&sampler, &rules, err) < 0)
        return -1;
    struct glet_machine_load before, after;
    glet_machine_load(&before);
    uint64_t cpu_us = glet_clock_process_cpu_us(), wall_us = glet_clock_us();
    int rc = sample(executor, job, inputs, &sampler, err);
    cpu_us = glet_clock_process_cpu_us() - cpu_us;
    wall_us = glet_clock_us() - wall_us;
    glet_machine_load(&after);
    if (rc == 0)
        rc = glet_sampler_result(&sampler, result, err);
    glet_sampler_fini(&sampler);
    double cores = (double)job->units * glet_device_info(job->device)->sm_count /
                   glet_device_info(job->device)->units;
    job->out->wall_ratio = is_cpu(job) && cpu_us ? (double)wall_us * cores / (double)cpu_us : NAN;
    job->out->foreign_ratio = glet_machine_foreign_ratio(&before, &after);
    return rc;
}

/* Kernels alone, and the clock that they ran at: read while the device is still warm. */
static int measure_device_time(struct glet_executor *executor, const struct job *job,
                               struct glet_inputs *inputs, struct glet_error *err)
{
    struct glet_measurement *out = job->out;
    struct glet_sampler sampler;
    struct glet_sampler_rules rules = glet_sampler_rules(DEVICE_TIME_PART * job->max_ms);
    struct glet_sampler_result result;
    if (glet_sampler_init(&sampler, &rules, err) < 0)
        return -1;
    struct glet_device_sample before, after;
    glet_device_sample(job->device, &before);
    int rc = sample_device(executor, job, inputs, &sampler, err);
    glet_device_sample(job->device, &after);
    if (rc == 0)
        rc = glet_sampler_result(&sampler, &result, err);
    glet_sampler_fini(&sampler);
    if (rc < 0)
        return -1;
    out->device_p50_ms = result.p50_ms;
    out->device_p99_ms = result.p99_ms;
    out->clock_mhz = fmin(before.sm_clock_mhz, after.sm_clock_mhz);
    if (before.throttle > 0 || after.throttle > 0)
        add_flag(out->flags, "throttled");
    return 0;
}

static bool has_tail(const struct glet_measurement *m, const struct glet_sampler_result *result)
{
    double kernels_ratio = m->device_p99_ms / m->device_p50_ms;
    return result->p99_ms > TAIL_LIMIT_RATIO * kernels_ratio * result->p50_ms;
}

/* A tail that the kernels do not have is the host's: what disturbs it lengthens runs and shortens
   none, so that of two tails the shorter is nearer to the model's. */
static int look_again_at_tail(struct glet_executor *executor, const struct job *job,
                              struct glet_inputs *inputs, struct glet_sampler_result *result,
                              struct glet_error *err)
{
    struct glet_sampler_result again;
    if (!has_tail(job->out, result))
        return 0;
    if (measure_once(executor, job, inputs, &again, err) < 0)
        return -1;
    if (again.p99_ms < result->p99_ms)
        *result = again;
    if (has_tail(job->out, result))
        add_flag(job->out->flags, "tail");
    return 0;
}

static int measure(struct glet_executor *executor, const struct job *job,
                   struct glet_inputs *inputs, struct glet_error *err)
{
    struct glet_measurement *out = job->out;
    struct glet_sampler_result result;
    if (measure_once(executor, job, inputs, &result, err) < 0)
        return -1;
    if (result.drift && measure_once(executor, job, inputs, &result, err) < 0)
        return -1;
    if (!is_cpu(job) && (measure_device_time(executor, job, inputs, err) < 0 ||
                         look_again_at_tail(executor, job, inputs, &result, err) < 0))
        return -1;
    out->samples = (double)result.samples;
    out->mean_ms = result.mean_ms;
    out->p50_ms = result.p50_ms;
    out->p99_ms = result.p99_ms;
    out->cv_ratio = result.cv_ratio;
    out->ci_ratio = result.ci_ratio;
    out->activation_mib = glet_executor_activation_mib(executor);
    const struct glet_device_info *info = glet_device_info(job->device);
    bool one_core = is_cpu(job) && job->units * info->sm_count <= info->units;
    if (result.drift)
        add_flag(out->flags, "drift");
    if (result.few)
        add_flag(out->flags, "few");
    if (out->foreign_ratio > FOREIGN_LIMIT_RATIO ||
        (one_core && out->wall_ratio > WALL_LIMIT_RATIO))
        add_flag(out->flags, "foreign");
    if (result.unconverged)
        add_flag(out->flags, "unconverged");
    return 0;
}

static int run_in_partition(struct glet_partition *partition, struct job *job,
                            struct glet_error *err)
{
    struct glet_executor *executor = NULL;
    struct glet_inputs inputs = {0};
    if (glet_partition_enter(partition, err) < 0)
        return -1;
    uint64_t start_ns = glet_clock_ns();
    int rc = glet_executor_build(partition, job->model, job->batch, &executor, err);
    job->out->build_ms = (double)(glet_clock_ns() - start_ns) / 1e6;
    if (rc == 0)
        rc = glet_inputs_init(&inputs, executor, job->model, job->batch,
                              is_cpu(job) ? 1 : INPUT_SETS, err);
    if (rc == 0)
        rc = measure(executor, job, &inputs, err);
    struct glet_partition_use use;
    glet_partition_achieved(partition, &use);
    job->out->slice_ms = use.longest_slice_ms;
    job->out->achieved_units = use.achieved_units;
    if (use.achieved_units < ACHIEVED_LIMIT_RATIO * job->units &&
        !strstr(job->out->flags, "foreign"))
        add_flag(job->out->flags, "foreign");
    glet_inputs_fini(&inputs);
    glet_executor_free(executor);
    glet_partition_leave(partition);
    return rc;
}

static void *run_job(void *argument)
{
    struct job *job = argument;
    struct glet_partition_set *set = NULL;
    job->rc = glet_partitions_create(job->device, &job->units, 1, &set, job->err);
    if (job->rc == 0)
        job->rc = run_in_partition(glet_partition_at(set, 0), job, job->err);
    glet_partitions_free(set);
    return NULL;
}

int glet_measure_point(struct glet_device *device, struct glet_model *model, int batch, int units,
                       const struct glet_measure_options *options, struct glet_measurement *out,
                       struct glet_error *err)
{
    *out = (struct glet_measurement){.device_p50_ms = NAN, .device_p99_ms = NAN, .clock_mhz = NAN};
    struct job job = {.device = device,
                      .model = model,
                      .batch = batch,
                      .units = units,
                      .max_ms = options->max_ms,
                      .cold_l2 = options->cold_l2,
                      .stop = options->stop,
                      .out = out,
                      .err = err};
    pthread_t thread;
    int code = pthread_create(&thread, NULL, run_job, &job);
    if (code != 0)
        return glet_error_errno(err, code, "cannot start a thread");
    pthread_join(thread, NULL);
    return job.rc;
}
