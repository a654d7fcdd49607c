/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verifier's checks of one GPU: sizes, gpu-lets, times, memory. */
#include "planner/verify/verify_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place { /* the GPU being checked */
    struct verify_run *run;
    const struct glet_plan_gpu *gpu;
    size_t g;
    int device; /* index into profile->devices */
};

static bool differs(double a, double b)
{
    return !(fabs(a - b) <= 1e-6 * fmax(fabs(a), fabs(b)));
}

static bool listed(const int *list, size_t count, int value)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* Takes each gpu-let's size out of a copy of the layout: what is left over does not matter. */
static bool contained(const struct glet_plan_gpu *gpu, const struct glet_profile_layout *layout)
{
    bool *taken = calloc(layout->size_count + 1, sizeof *taken);
    bool all = taken != NULL;
    for (size_t i = 0; i < gpu->let_count && all; i++) {
        size_t at = 0;
        while (at < layout->size_count &&
               (taken[at] || layout->sizes_units[at] != gpu->lets[i].units))
            at++;
        all = at < layout->size_count;
        if (all)
            taken[at] = true;
    }
    free(taken);
    return all;
}

static void check_sizes(struct place *p)
{
    const struct glet_profile_device *device = &p->run->profile->devices[p->device];
    const struct glet_workload_options *options = &p->run->workload->options;
    char where[64];
    snprintf(where, sizeof where, "gpus[%zu]", p->g);
    long sum = 0;
    for (size_t i = 0; i < p->gpu->let_count; i++)
        sum += p->gpu->lets[i].units;
    if (p->gpu->units != device->units)
        glet_verify_report(p->run, GLET_RULE_SIZES, p->gpu->mark, where, "units is %d, a %s has %d",
                           p->gpu->units, p->gpu->type, device->units);
    if (sum > device->units)
        glet_verify_report(p->run, GLET_RULE_SIZES, p->gpu->mark, where,
                           "the gpu-lets take %ld of %d units", sum, device->units);
    bool found = device->layout_count == 0;
    for (size_t i = 0; i < device->layout_count && !found; i++)
        found = contained(p->gpu, &device->layouts[i]);
    if (!found)
        glet_verify_report(p->run, GLET_RULE_SIZES, p->gpu->mark, where,
                           "the sizes of the gpu-lets are in no layout of %s", p->gpu->type);
    long most = device->max_gpulets;
    if (options->max_gpulets_per_gpu > 0 && options->max_gpulets_per_gpu < most)
        most = options->max_gpulets_per_gpu;
    if ((long)p->gpu->let_count > most)
        glet_verify_report(p->run, GLET_RULE_GPULETS, p->gpu->mark, where,
                           "%zu gpu-lets, at most %ld are allowed", p->gpu->let_count, most);
    for (size_t i = 0; i < p->gpu->let_count; i++) {
        const struct glet_plan_let *let = &p->gpu->lets[i];
        snprintf(where, sizeof where, "gpus[%zu].gpulets[%zu]", p->g, i);
        if (options->size_count > 0 &&
            !listed(options->sizes_units, options->size_count, let->units))
            glet_verify_report(p->run, GLET_RULE_SIZES, let->mark, where,
                               "%d units is not one of options.sizes", let->units);
    }
}

static void check_times(struct place *p, const char *where, const struct glet_plan_let *let,
                        const struct glet_plan_let_model *slot, double exec_ms)
{
    int w = p->run->workload_model[slot->model];
    double bound_ms = let->duty_cycle_ms + exec_ms;
    if (!glet_verify_at_most(slot->rate_rps * let->duty_cycle_ms / 1000, slot->batch))
        glet_verify_report(p->run, GLET_RULE_BATCH, slot->mark, where,
                           "%.6g requests arrive in a duty cycle of %.6g ms, the batch is %d",
                           slot->rate_rps * let->duty_cycle_ms / 1000, let->duty_cycle_ms,
                           slot->batch);
    if (differs(slot->latency_bound_ms, bound_ms))
        glet_verify_report(p->run, GLET_RULE_LATENCY, slot->mark, where,
                           "latency_bound_ms is %.9g, duty_cycle_ms + exec_ms is %.9g",
                           slot->latency_bound_ms, bound_ms);
    if (w < 0)
        return;
    double slo_ms = p->run->workload->models[w].slo_ms;
    if (slo_ms > 0 && !glet_verify_at_most(bound_ms, slo_ms))
        glet_verify_report(p->run, GLET_RULE_LATENCY, slot->mark, where,
                           "duty_cycle + exec is %.9g ms, the SLO of %s is %.9g ms", bound_ms,
                           p->run->workload->models[w].name, slo_ms);
    p->run->worst_ms[w] = fmax(p->run->worst_ms[w], bound_ms);
}

/* Checks slot k of gpu-let i; returns its recomputed execution time, milliseconds. */
static double check_slot(struct place *p, size_t i, size_t k)
{
    const struct glet_plan_let *let = &p->gpu->lets[i];
    const struct glet_plan_let_model *slot = &let->models[k];
    const char *name = p->run->plan->models[slot->model].name;
    char where[96];
    snprintf(where, sizeof where, "gpus[%zu].gpulets[%zu].models[%zu]", p->g, i, k);
    p->run->rate_sum_rps[slot->model] += slot->rate_rps;
    struct verify_point point;
    if (!glet_verify_point(p->run, p->device, p->run->profile_model[slot->model], slot->batch,
                           let->units, &point)) {
        glet_verify_report(p->run, GLET_RULE_PROFILE, slot->mark, where,
                           "%s has no profile on %s at batch %d in %d units", name, p->gpu->type,
                           slot->batch, let->units);
        check_times(p, where, let, slot, slot->exec_ms);
        return slot->exec_ms;
    }
    double factor = glet_verify_factor(p->run, p->device, p->gpu, i, k);
    double exec_ms = point.latency_ms * factor;
    if (differs(slot->factor, factor))
        glet_verify_report(p->run, GLET_RULE_EXEC, slot->mark, where,
                           "factor is %.9g, interference makes it %.9g", slot->factor, factor);
    if (differs(slot->exec_ms, exec_ms))
        glet_verify_report(p->run, GLET_RULE_EXEC, slot->mark, where,
                           "exec_ms is %.9g, profile and interference make it %.9g", slot->exec_ms,
                           exec_ms);
    check_times(p, where, let, slot, exec_ms);
    return exec_ms;
}

static void check_let(struct place *p, size_t i)
{
    const struct glet_plan_let *let = &p->gpu->lets[i];
    double sum_ms = 0;
    for (size_t k = 0; k < let->model_count; k++)
        sum_ms += check_slot(p, i, k);
    if (!glet_verify_at_most(sum_ms, let->duty_cycle_ms)) {
        char where[64];
        snprintf(where, sizeof where, "gpus[%zu].gpulets[%zu]", p->g, i);
        glet_verify_report(p->run, GLET_RULE_DUTY, let->mark, where,
                           "a round takes %.9g ms, the duty cycle is %.9g ms", sum_ms,
                           let->duty_cycle_ms);
    }
}

static double weights_mib(const struct verify_run *run, size_t plan_model)
{
    int m = run->profile_model[plan_model];
    double mib = m < 0 ? 0 : run->profile->models[m].memory_mib;
    return isnan(mib) ? 0 : mib;
}

static void check_memory(struct place *p)
{
    const struct glet_profile_device *device = &p->run->profile->devices[p->device];
    bool per_process =
        device->mechanism == GLET_MECHANISM_MPS || device->mechanism == GLET_MECHANISM_MIG;
    bool *hosted = calloc(p->run->plan->model_count + 1, sizeof *hosted);
    if (!hosted) {
        p->run->out_of_memory = true;
        return;
    }
    double sum_mib = 0;
    for (size_t i = 0; i < p->gpu->let_count; i++) {
        const struct glet_plan_let *let = &p->gpu->lets[i];
        sum_mib += isnan(device->context_mib) ? 0 : device->context_mib;
        for (size_t k = 0; k < let->model_count; k++) {
            struct verify_point point;
            size_t model = let->models[k].model;
            if (glet_verify_point(p->run, p->device, p->run->profile_model[model],
                                  let->models[k].batch, let->units, &point))
                sum_mib += point.activation_mib;
            if (per_process || !hosted[model])
                sum_mib += weights_mib(p->run, model);
            hosted[model] = true;
        }
    }
    free(hosted);
    if (!isnan(device->memory_mib) && !glet_verify_at_most(sum_mib, device->memory_mib)) {
        char where[64];
        snprintf(where, sizeof where, "gpus[%zu]", p->g);
        glet_verify_report(p->run, GLET_RULE_MEMORY, p->gpu->mark, where,
                           "needs %.6g MiB, a %s has %.6g", sum_mib, p->gpu->type,
                           device->memory_mib);
    }
    if (p->gpu->memory_mib > 0 && !glet_verify_at_most(sum_mib, p->gpu->memory_mib)) {
        char where[64];
        snprintf(where, sizeof where, "gpus[%zu].memory_mib", p->g);
        glet_verify_report(p->run, GLET_RULE_MEMORY, p->gpu->mark, where,
                           "says %.6g MiB, its gpu-lets need %.6g", p->gpu->memory_mib, sum_mib);
    }
}

void glet_verify_gpu(struct verify_run *run, size_t g)
{
    const struct glet_plan_gpu *gpu = &run->plan->gpus[g];
    struct place p = {run, gpu, g, -1};
    for (size_t d = 0; d < run->profile->device_count && p.device < 0; d++)
        if (strcmp(run->profile->devices[d].gpu, gpu->type) == 0)
            p.device = (int)d;
    if (p.device < 0) {
        char where[64];
        snprintf(where, sizeof where, "gpus[%zu].type", g);
        glet_verify_report(run, GLET_RULE_NAMES, gpu->mark, where, "the profile has no GPU '%s'",
                           gpu->type);
        return;
    }
    check_sizes(&p);
    for (size_t i = 0; i < gpu->let_count; i++)
        check_let(&p, i);
    check_memory(&p);
}
