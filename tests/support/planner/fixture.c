/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Builds the contract structs with the ownership that the loaders give them. */
#include "tests/support/planner/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *pointer)
{
    if (!pointer)
        abort();
    return pointer;
}

static char *copy(const char *text)
{
    return text ? must(strdup(text)) : NULL;
}

/* Appends one zeroed element; capacity is always the next power of two. */
static void *append(void *array, size_t *count, size_t size)
{
    size_t n = *count;
    if ((n & (n - 1)) == 0)
        array = must(realloc(array, (n ? 2 * n : 1) * size));
    memset((char *)array + n * size, 0, size);
    (*count)++;
    return array;
}

#define APPEND(array, count)                                                                       \
    ((array) = append((array), &(count), sizeof *(array)), &(array)[(count)-1])

struct fixture fixture_new(void)
{
    struct fixture f = {must(calloc(1, sizeof(struct glet_workload))),
                        must(calloc(1, sizeof(struct glet_profile)))};
    f.workload->path = copy("workload.yaml");
    f.workload->options.interference = true;
    f.workload->options.latency_factor = 1;
    f.profile->path = copy("profile");
    memset(f.workload->sha256, 'a', 64);
    memset(f.profile->sha256, 'b', 64);
    return f;
}

void fixture_free(struct fixture *f)
{
    glet_workload_free(f->workload);
    glet_profile_free(f->profile);
}

int fixture_device(struct fixture *f, const char *gpu, enum glet_mechanism mechanism, int units,
                   int max_gpulets, double memory_mib)
{
    struct glet_profile_device *d = APPEND(f->profile->devices, f->profile->device_count);
    d->gpu = copy(gpu);
    d->mechanism = mechanism;
    d->sm_count = units;
    d->units = units;
    d->max_gpulets = max_gpulets;
    d->memory_mib = memory_mib;
    return (int)f->profile->device_count - 1;
}

void fixture_layout(struct fixture *f, int device, const int *sizes_units)
{
    struct glet_profile_device *d = &f->profile->devices[device];
    struct glet_profile_layout *layout = APPEND(d->layouts, d->layout_count);
    while (sizes_units[layout->size_count])
        layout->size_count++;
    layout->sizes_units = must(malloc((layout->size_count + 1) * sizeof(int)));
    memcpy(layout->sizes_units, sizes_units, layout->size_count * sizeof(int));
}

int fixture_model(struct fixture *f, const char *name, double rate_rps, double slo_ms)
{
    struct glet_profile_model *p = APPEND(f->profile->models, f->profile->model_count);
    p->model = copy(name);
    struct glet_workload_model *w = APPEND(f->workload->models, f->workload->model_count);
    int line = (int)f->workload->model_count + 2;
    w->name = copy(name);
    w->rate_rps = rate_rps;
    w->slo_ms = slo_ms;
    w->percentile = 99;
    w->mark = (struct glet_mark){line, 5};
    w->rate_mark = (struct glet_mark){line, 25};
    w->slo_mark = (struct glet_mark){line, 40};
    return (int)f->workload->model_count - 1;
}

int fixture_row(struct fixture *f, int device, int model, int batch, int units, double ms)
{
    struct glet_profile_latency *row = APPEND(f->profile->latency, f->profile->latency_count);
    *row = (struct glet_profile_latency){.device = (size_t)device,
                                         .model = (size_t)model,
                                         .batch = batch,
                                         .units = units,
                                         .p50_ms = ms,
                                         .p99_ms = NAN,
                                         .samples = NAN,
                                         .l2_util = NAN,
                                         .dram_util = NAN,
                                         .activation_mib = NAN};
    return (int)f->profile->latency_count - 1;
}

void fixture_curve(struct fixture *f, int device, int model, int last_batch, int units,
                   double base_ms, double slope_ms)
{
    for (int b = 1; b <= last_batch; b++)
        fixture_row(f, device, model, b, units, base_ms + b * slope_ms);
}

void fixture_util(struct fixture *f, int device, int model, double l2, double dram)
{
    for (size_t i = 0; i < f->profile->latency_count; i++) {
        struct glet_profile_latency *row = &f->profile->latency[i];
        if ((int)row->device != device || (int)row->model != model)
            continue;
        row->l2_util = l2;
        row->dram_util = dram;
    }
}

void fixture_interference(struct fixture *f, int device, double constant, double l2_self,
                          double l2_other, double dram_self, double dram_other, double margin)
{
    struct glet_profile_interference *row =
        APPEND(f->profile->interference, f->profile->interference_count);
    *row = (struct glet_profile_interference){(size_t)device, constant,   l2_self, l2_other,
                                              dram_self,      dram_other, margin};
}

void fixture_corun(struct fixture *f, int device, const int a[3], const int b[3], double slowdown_a,
                   double slowdown_b)
{
    struct glet_profile_corun *row = APPEND(f->profile->corun, f->profile->corun_count);
    *row = (struct glet_profile_corun){
        .device = (size_t)device,
        .model_a = (size_t)a[0],
        .batch_a = a[1],
        .units_a = a[2],
        .model_b = (size_t)b[0],
        .batch_b = b[1],
        .units_b = b[2],
        .slowdown_a = slowdown_a,
        .slowdown_b = slowdown_b,
    };
}

void fixture_stock(struct fixture *f, const char *gpu, int count, double cost, const char *node)
{
    struct glet_workload_gpu *g = APPEND(f->workload->gpus, f->workload->gpu_count);
    g->type = copy(gpu);
    g->count = count;
    g->cost_per_hour = cost;
    g->node = copy(node);
    g->mark = (struct glet_mark){100 + (int)f->workload->gpu_count, 5};
}

int fixture_app(struct fixture *f, const char *name, double rate_rps, double slo_ms)
{
    struct glet_workload_app *app = APPEND(f->workload->apps, f->workload->app_count);
    app->name = copy(name);
    app->rate_rps = rate_rps;
    app->slo_ms = slo_ms;
    app->percentile = 99;
    return (int)f->workload->app_count - 1;
}

void fixture_stage(struct fixture *f, int app, int model, int after, double calls)
{
    struct glet_workload_app *a = &f->workload->apps[app];
    struct glet_workload_stage *stage = APPEND(a->stages, a->stage_count);
    stage->model = (size_t)model;
    stage->calls = calls;
    if (after >= 0)
        *APPEND(stage->after, stage->after_count) = (size_t)after;
}

static int compare_rows(const void *a, const void *b)
{
    const struct glet_profile_latency *x = a, *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    if (x->model != y->model)
        return x->model < y->model ? -1 : 1;
    if (x->units != y->units)
        return x->units < y->units ? -1 : 1;
    return (x->batch > y->batch) - (x->batch < y->batch);
}

void fixture_done(struct fixture *f)
{
    if (f->profile->latency_count > 1)
        qsort(f->profile->latency, f->profile->latency_count, sizeof *f->profile->latency,
              compare_rows);
}

struct glet_problem *fixture_problem(struct fixture *f, enum glet_objective objective)
{
    struct glet_error err = {0};
    struct glet_problem *problem = NULL;
    fixture_done(f);
    if (glet_problem_new(f->workload, f->profile, objective, &problem, &err) < 0) {
        glet_error_print(&err, stderr);
        abort();
    }
    return problem;
}
