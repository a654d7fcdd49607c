/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One point of a profile.
 *
 * The partition is alone on the device: a share of a core is enforced all the same, so that the
 * latency at 3 units is that of three tenths of a core. What a neighbour adds to the tail, the wait
 * for its slice to end, is added afterwards, when all models are known (finish.c).
 *
 * CPU time is taken beside wall time: a machine that is busy with other things lengthens the one
 * and not the other. With one core or less per partition the two differ by the share alone, so a
 * ratio above 1.05 is somebody else's doing; with several cores it is also imperfect parallelism.
 */
#include "profiles/measure.h"

#include "common/clock.h"
#include "common/random.h"
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

struct job {
    struct glet_device *device;
    struct glet_model *model;
    int batch, units;
    double max_ms;
    const volatile sig_atomic_t *stop;
    struct glet_measurement *out;
    struct glet_error *err;
    int rc;
};

static void fill(struct glet_random *random, void *data, enum glet_dtype dtype, size_t bytes)
{
    size_t count = bytes / glet_dtype_size(dtype);
    for (size_t i = 0; i < count; i++) {
        if (dtype == GLET_FLOAT32)
            ((float *)data)[i] = (float)(2 * glet_random_uniform(random) - 1);
        else if (dtype == GLET_FLOAT64)
            ((double *)data)[i] = 2 * glet_random_uniform(random) - 1;
        else /* the lowest byte of an integer: 0 or 1; half floats: zero or tiny */
            ((unsigned char *)data)[i * glet_dtype_size(dtype)] =
                (unsigned char)glet_random_below(random, 2);
    }
}

void glet_measure_fill_inputs(struct glet_executor *executor, const struct glet_model *model,
                              int batch)
{
    struct glet_random random = glet_random_seeded(1);
    for (size_t i = 0; i < glet_model_input_count(model); i++) {
        const struct glet_model_io *io = glet_model_input(model, i);
        fill(&random, glet_executor_input(executor, i), io->dtype, io->bytes * (size_t)batch);
    }
}

/* Feeds the sampler until it is done. */
static int sample(struct glet_executor *executor, const struct job *job,
                  struct glet_sampler *sampler, struct glet_error *err)
{
    while (sampler->phase != GLET_SAMPLER_DONE) {
        if (*job->stop)
            return glet_error_set(err, GLET_ERR_UNDECIDED, "stopped");
        uint64_t start_ns = glet_clock_ns();
        if (glet_executor_run(executor, job->batch, err) < 0)
            return -1;
        (void)glet_sampler_add(sampler, (double)(glet_clock_ns() - start_ns) / 1e6 + 1e-9);
    }
    return 0;
}

static void add_flag(char flags[64], const char *flag)
{
    size_t used = strlen(flags);
    snprintf(flags + used, 64 - used, "%s%s", used ? ";" : "", flag);
}

static int measure_once(struct glet_executor *executor, const struct job *job,
                        struct glet_sampler_result *result, struct glet_error *err)
{
    struct glet_sampler sampler;
    struct glet_sampler_rules rules = glet_sampler_rules(job->max_ms);
    if (glet_sampler_init(&sampler, &rules, err) < 0)
        return -1;
    struct glet_machine_load before, after;
    glet_machine_load(&before);
    uint64_t cpu_us = glet_clock_process_cpu_us(), wall_us = glet_clock_us();
    int rc = sample(executor, job, &sampler, err);
    cpu_us = glet_clock_process_cpu_us() - cpu_us;
    wall_us = glet_clock_us() - wall_us;
    glet_machine_load(&after);
    if (rc == 0)
        rc = glet_sampler_result(&sampler, result, err);
    glet_sampler_fini(&sampler);
    bool cpu = strcmp(glet_device_info(job->device)->mechanism, "cpu") == 0;
    double cores = (double)job->units * glet_device_info(job->device)->sm_count /
                   glet_device_info(job->device)->units;
    job->out->wall_ratio = cpu && cpu_us ? (double)wall_us * cores / (double)cpu_us : NAN;
    job->out->foreign_ratio = glet_machine_foreign_ratio(&before, &after);
    return rc;
}

static int measure(struct glet_executor *executor, const struct job *job, struct glet_error *err)
{
    struct glet_measurement *out = job->out;
    struct glet_sampler_result result;
    if (measure_once(executor, job, &result, err) < 0)
        return -1;
    if (result.drift && measure_once(executor, job, &result, err) < 0)
        return -1;
    out->samples = (double)result.samples;
    out->mean_ms = result.mean_ms;
    out->p50_ms = result.p50_ms;
    out->p99_ms = result.p99_ms;
    out->cv_ratio = result.cv_ratio;
    out->ci_ratio = result.ci_ratio;
    out->activation_mib = glet_executor_activation_mib(executor);
    const struct glet_device_info *info = glet_device_info(job->device);
    bool one_core = job->units * info->sm_count <= info->units;
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
    if (glet_partition_enter(partition, err) < 0)
        return -1;
    int rc = glet_executor_build(partition, job->model, job->batch, &executor, err);
    if (rc == 0) {
        glet_measure_fill_inputs(executor, job->model, job->batch);
        rc = measure(executor, job, err);
    }
    struct glet_partition_use use;
    glet_partition_achieved(partition, &use);
    job->out->slice_ms = use.longest_slice_ms;
    job->out->achieved_units = use.achieved_units;
    if (use.achieved_units < ACHIEVED_LIMIT_RATIO * job->units &&
        !strstr(job->out->flags, "foreign"))
        add_flag(job->out->flags, "foreign");
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
                       double max_ms, const volatile sig_atomic_t *stop,
                       struct glet_measurement *out, struct glet_error *err)
{
    *out = (struct glet_measurement){0};
    struct job job = {.device = device,
                      .model = model,
                      .batch = batch,
                      .units = units,
                      .max_ms = max_ms,
                      .stop = stop,
                      .out = out,
                      .err = err};
    pthread_t thread;
    int code = pthread_create(&thread, NULL, run_job, &job);
    if (code != 0)
        return glet_error_errno(err, code, "cannot start a thread");
    pthread_join(thread, NULL);
    return job.rc;
}
