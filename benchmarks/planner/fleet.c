/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "benchmarks/planner/fleet.h"

#include "common/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNITS   16
#define COARSE  (1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 13 | 1 << 16)
#define BATCHES 32
#define MIB     1024.0
#define TYPES   3

/* By name, as a profile sorts them. stock: part of the target; < 0 = unlimited. */
static const struct kind {
    const char *name;
    double slowdown, cost, stock;
} kinds[TYPES] = {{"fast", 1 / 1.6, 1.9, 0.2}, {"ordinary", 1, 1, 0.35}, {"slow", 1.5, 0.8, -1}};

#define ORDINARY 1
#define SLOW     2

/* Type g of the fleet; a fleet with one type has ordinary ones. */
static const struct kind *kind_of(const struct glet_fleet_options *options, size_t g)
{
    return &kinds[options->types == 1 ? ORDINARY : g];
}

struct shape { /* one made-up model */
    double h_ms, d_ms, c_ms, p1, slo_ms, rate, memory_mib;
    double l2_low, l2_high, dram_low, dram_high;
};

static void *grab(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        abort();
    return memory;
}

static char *text(const char *source)
{
    char *copy = strdup(source);
    if (!copy)
        abort();
    return copy;
}

static double latency_ms(const struct shape *x, int batch, int units)
{
    double share = (double)units / UNITS;
    double saturation = fmin(1, x->p1 * sqrt(batch));
    return x->h_ms + (x->d_ms + x->c_ms * batch) * saturation / fmin(share, saturation);
}

static double log_uniform(struct glet_random *random, double low, double high)
{
    return low * exp(glet_random_uniform(random) * log(high / low));
}

static void draw(struct glet_random *random, struct shape *x)
{
    x->c_ms = log_uniform(random, 0.05, 8);
    x->d_ms = x->c_ms * (0.5 + 3.5 * glet_random_uniform(random));
    x->h_ms = 0.2 + 1.3 * glet_random_uniform(random);
    x->p1 = log_uniform(random, 0.08, 0.7);
    x->slo_ms = fmax(log_uniform(random, 10, 500), 2.3 * latency_ms(x, 1, UNITS));
    x->slo_ms = fmin(x->slo_ms, 500);
    double a = glet_random_uniform(random), b = glet_random_uniform(random);
    x->memory_mib = (2 + a * b * 38) * MIB;
    x->l2_low = 0.05 + 0.1 * glet_random_uniform(random);
    x->l2_high = 0.15 + 0.2 * glet_random_uniform(random);
    x->dram_low = 0.1 + 0.15 * glet_random_uniform(random);
    x->dram_high = 0.3 + 0.35 * glet_random_uniform(random);
}

/* GPUs that the model needs when its load could be divided at will. */
static double ideal_load(const struct shape *x)
{
    double best = 0;
    for (int s = 1; s <= UNITS; s++)
        for (int b = 1; b <= BATCHES; b++)
            if (2 * latency_ms(x, b, s) <= x->slo_ms)
                best = fmax(best, b / latency_ms(x, b, s) / s);
    return best > 0 ? x->rate / 1000 / best / UNITS : 0;
}

static struct shape *draw_all(const struct glet_fleet_options *options)
{
    size_t count = (size_t)options->models;
    struct glet_random random = glet_random_seeded(options->seed);
    struct shape *shapes = grab(count, sizeof *shapes);
    for (size_t m = 0; m < count; m++) {
        draw(&random, &shapes[m]);
        shapes[m].rate = pow((double)m + 1, -options->zipf);
    }
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = glet_random_below(&random, i + 1);
        double swap = shapes[i].rate;
        shapes[i].rate = shapes[j].rate;
        shapes[j].rate = swap;
    }
    double load = 0;
    for (size_t m = 0; m < count; m++)
        load += ideal_load(&shapes[m]);
    for (size_t m = 0; m < count; m++)
        shapes[m].rate *= options->target / load;
    return shapes;
}

/* A type's stock; of the ordinary one enough for the models that slow GPUs cannot serve. */
static int stock_of(const struct glet_fleet_options *options, const struct shape *shapes, size_t g)
{
    double stock = kind_of(options, g)->stock * options->target, urgent = 0;
    if (options->types == 1 || stock < 0)
        return GLET_COUNT_UNLIMITED;
    for (int m = 0; m < options->models && g == ORDINARY; m++)
        if (2 * kinds[SLOW].slowdown * latency_ms(&shapes[m], 1, UNITS) > shapes[m].slo_ms)
            urgent += ideal_load(&shapes[m]);
    return (int)ceil(fmax(stock, 1.15 * urgent));
}

/* Stages that stage i of `count` waits for. */
static void link_stage(const struct glet_fleet_apps *apps, size_t i, size_t count,
                       struct glet_workload_stage *stage)
{
    size_t fan = (size_t)apps->fan, inner = count - 1; /* of the tree that a last stage joins */
    stage->after = grab(count, sizeof *stage->after);
    if (apps->join && i == count - 1) {
        for (size_t s = 0; s < inner; s++)
            if (s * fan + 1 >= inner)
                stage->after[stage->after_count++] = s;
    } else if (i > 0) {
        stage->after[stage->after_count++] = (i - 1) / fan;
    }
}

/* Sum of ms[stage] along the longest path. */
static double longest_ms(const struct glet_workload_app *app, const double *ms)
{
    double *end_ms = grab(app->stage_count, sizeof *end_ms), longest = 0;
    for (size_t s = 0; s < app->stage_count; s++) {
        for (size_t i = 0; i < app->stages[s].after_count; i++)
            end_ms[s] = fmax(end_ms[s], end_ms[app->stages[s].after[i]]);
        end_ms[s] += ms[s];
        longest = fmax(longest, end_ms[s]);
    }
    free(end_ms);
    return longest;
}

/* The app of the models from `first` on; they lose their own rates and SLOs. */
static void make_app(const struct glet_fleet_apps *apps, const struct shape *shapes, size_t first,
                     struct glet_workload *w, struct glet_workload_app *app)
{
    size_t left = w->model_count - first;
    size_t count = (size_t)apps->stages < left ? (size_t)apps->stages : left;
    char name[32];
    snprintf(name, sizeof name, "app-%s", w->models[first].name);
    *app = (struct glet_workload_app){
        .name = text(name), .rate_rps = shapes[first].rate, .percentile = 99, .stage_count = count};
    app->stages = grab(count, sizeof *app->stages);
    double *slo_ms = grab(count, sizeof *slo_ms), *fastest_ms = grab(count, sizeof *fastest_ms);
    for (size_t i = 0; i < count; i++) {
        struct glet_workload_model *model = &w->models[first + i];
        app->stages[i].model = first + i;
        app->stages[i].calls = shapes[first + i].rate / shapes[first].rate;
        link_stage(apps, i, count, &app->stages[i]);
        slo_ms[i] = model->slo_ms;
        fastest_ms[i] = 2 * latency_ms(&shapes[first + i], 1, UNITS);
        model->rate_rps = model->slo_ms = 0;
    }
    app->slo_ms =
        fmax(apps->slo_ratio * longest_ms(app, slo_ms), 1.1 * longest_ms(app, fastest_ms));
    free(slo_ms);
    free(fastest_ms);
}

static void make_apps(const struct glet_fleet_options *options, const struct shape *shapes,
                      struct glet_workload *w)
{
    size_t stages = (size_t)options->apps.stages;
    if (!stages)
        return;
    w->apps = grab(w->model_count / stages + 1, sizeof *w->apps);
    for (size_t m = 0; m < w->model_count; m += stages)
        make_app(&options->apps, shapes, m, w, &w->apps[w->app_count++]);
}

static struct glet_workload *make_workload(const struct glet_fleet_options *options,
                                           const struct shape *shapes)
{
    struct glet_workload *w = grab(1, sizeof *w);
    w->path = text("fleet");
    w->model_count = (size_t)options->models;
    w->models = grab(w->model_count, sizeof *w->models);
    for (size_t m = 0; m < w->model_count; m++) {
        char name[32];
        snprintf(name, sizeof name, "m%04zu", m);
        w->models[m] = (struct glet_workload_model){.name = text(name),
                                                    .rate_rps = shapes[m].rate,
                                                    .slo_ms = shapes[m].slo_ms,
                                                    .percentile = 99};
    }
    make_apps(options, shapes, w);
    w->gpu_count = (size_t)options->types;
    w->gpus = grab(w->gpu_count, sizeof *w->gpus);
    for (size_t g = 0; g < w->gpu_count; g++) {
        w->gpus[g] = (struct glet_workload_gpu){.type = text(kind_of(options, g)->name),
                                                .count = stock_of(options, shapes, g),
                                                .cost_per_hour = kind_of(options, g)->cost};
    }
    w->options.interference = options->interference;
    w->options.latency_factor = 1;
    return w;
}

static void fill_latency(const struct glet_fleet_options *options, struct glet_profile *p,
                         const struct shape *shapes)
{
    p->latency = grab(p->device_count * p->model_count * UNITS * BATCHES, sizeof *p->latency);
    struct glet_profile_latency *row = p->latency;
    for (size_t i = 0; i < p->device_count * p->model_count; i++)
        for (int s = 1; s <= UNITS; s++)
            for (int b = 1; b <= BATCHES && (!options->coarse || COARSE >> s & 1); b++, row++) {
                size_t g = i / p->model_count, m = i % p->model_count;
                const struct shape *x = &shapes[m];
                double filled = 1 - exp(-b / 6.0), share = (double)s / UNITS;
                *row = (struct glet_profile_latency){.device = g,
                                                     .model = m,
                                                     .batch = b,
                                                     .units = s,
                                                     .p50_ms = latency_ms(x, b, s) *
                                                               kind_of(options, g)->slowdown,
                                                     .p99_ms = NAN,
                                                     .samples = NAN,
                                                     .trust = GLET_TRUST_ESTIMATED};
                row->l2_util = (x->l2_low + (x->l2_high - x->l2_low) * filled) * share;
                row->dram_util = (x->dram_low + (x->dram_high - x->dram_low) * filled) * share;
            }
    p->latency_count = (size_t)(row - p->latency);
}

static struct glet_profile *make_profile(const struct glet_fleet_options *options,
                                         const struct shape *shapes)
{
    struct glet_profile *p = grab(1, sizeof *p);
    p->path = text("fleet");
    p->device_count = (size_t)options->types;
    p->devices = grab(p->device_count, sizeof *p->devices);
    for (size_t g = 0; g < p->device_count; g++)
        p->devices[g] = (struct glet_profile_device){
            .gpu = text(kind_of(options, g)->name),
            .mechanism = options->shared ? GLET_MECHANISM_GREEN_CONTEXT : GLET_MECHANISM_MPS,
            .sm_count = 128,
            .units = UNITS,
            .max_gpulets = 8,
            .memory_mib = (options->memory_gib > 0 ? options->memory_gib : 100000) * MIB};
    p->model_count = (size_t)options->models;
    p->models = grab(p->model_count, sizeof *p->models);
    for (size_t m = 0; m < p->model_count; m++) {
        char name[32];
        snprintf(name, sizeof name, "m%04zu", m);
        p->models[m].model = text(name);
        p->models[m].memory_mib = options->memory_gib > 0 ? shapes[m].memory_mib : 0;
    }
    fill_latency(options, p, shapes);
    p->interference_count = options->interference ? p->device_count : 0;
    p->interference = grab(p->device_count, sizeof *p->interference);
    /* Published with glet for the RTX 2080 Ti, five digits. */
    for (size_t g = 0; g < p->interference_count; g++)
        p->interference[g] = (struct glet_profile_interference){.device = g,
                                                                .constant = 0.89537,
                                                                .l2_self = 0.11291,
                                                                .l2_other = 0.71596,
                                                                .dram_self = 0.35487,
                                                                .dram_other = 0.08820};
    return p;
}

void glet_fleet_make(const struct glet_fleet_options *options, struct glet_fleet *out)
{
    struct shape *shapes = draw_all(options);
    out->workload = make_workload(options, shapes);
    out->profile = make_profile(options, shapes);
    free(shapes);
}

void glet_fleet_free(struct glet_fleet *fleet)
{
    struct glet_workload *w = fleet->workload;
    for (size_t m = 0; m < w->model_count; m++)
        free(w->models[m].name);
    free(w->models);
    for (size_t a = 0; a < w->app_count; a++) {
        for (size_t s = 0; s < w->apps[a].stage_count; s++)
            free(w->apps[a].stages[s].after);
        free(w->apps[a].stages);
        free(w->apps[a].name);
    }
    free(w->apps);
    for (size_t g = 0; g < w->gpu_count; g++)
        free(w->gpus[g].type);
    free(w->gpus);
    free(w->path);
    free(w);
    struct glet_profile *p = fleet->profile;
    for (size_t m = 0; m < p->model_count; m++)
        free(p->models[m].model);
    free(p->models);
    for (size_t g = 0; g < p->device_count; g++)
        free(p->devices[g].gpu);
    free(p->devices);
    free(p->latency);
    free(p->interference);
    free(p->path);
    free(p);
}
