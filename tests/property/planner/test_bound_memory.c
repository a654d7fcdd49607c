/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Prices of memory prove no more GPUs than there are: some GPUs are filled at random with gpu-lets
 * of one to three models each, and the demands are what these GPUs serve, with memory that just
 * holds them. Weights are shared or not, and next to others everything is slower by one factor, so
 * that a gpu-let alone on its GPU has nowhere else to go. Whatever the prices, searched for or drawn
 * at random, the bound must not exceed the number of these GPUs.
 *
 * usage: test_bound_memory [COUNT [FIRST_SEED]]; prints the seeds of failures. It fails too when no
 * bound comes close to that number for some kind of instance.
 */
#include "common/random.h"
#include "planner/solve/bound/bound.h"
#include "planner/solve/bound/slots.h"
#include "planner/solve/space/lp_glpk.h"
#include "tests/support/planner/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODELS  8
#define GPUS    3
#define LETS    4
#define PARTS   3
#define BATCHES 3
#define UNITS   8
#define DRAWS   20

struct let {
    int size, count, model[PARTS], batch[PARTS];
};

struct gpu {
    int count;
    struct let lets[LETS];
};

struct trial {
    uint64_t seed;
    struct glet_random random;
    int units, models, gpu_count;
    bool shared;
    double factor; /* next to others */
    double weights_mib[MODELS], context_mib, activation_mib;
    double latency_ms[MODELS][UNITS + 1][BATCHES + 1];
    double rate_rps[MODELS], slo_ms[MODELS];
    struct gpu gpus[GPUS];
    double gpu_mib;
    const struct glet_problem *problem;
    double tightest[2][2]; /* bound / GPUs, by shared weights and by whether all GPUs hold one */
    long checks, failures;
};

static double uniform(struct trial *t, double low, double high)
{
    return low + (high - low) * glet_random_uniform(&t->random);
}

static int below(struct trial *t, int bound)
{
    return (int)glet_random_below(&t->random, (uint64_t)bound);
}

static void draw_models(struct trial *t)
{
    t->units = 1 + below(t, UNITS);
    t->models = 1 + below(t, MODELS);
    t->gpu_count = 1 + below(t, GPUS);
    t->shared = below(t, 2);
    t->factor = below(t, 2) ? 1 : uniform(t, 1.2, 3);
    t->context_mib = below(t, 2) ? 0 : uniform(t, 0, 50);
    t->activation_mib = below(t, 2) ? 0 : uniform(t, 0, 30);
    for (int m = 0; m < t->models; m++) {
        double base_ms = uniform(t, 1, 10), slope_ms = uniform(t, 0.2, 4);
        t->weights_mib[m] = below(t, 4) ? uniform(t, 20, 400) : 0;
        t->rate_rps[m] = t->slo_ms[m] = 0;
        for (int s = 1; s <= t->units; s++)
            for (int b = 1; b <= BATCHES; b++)
                t->latency_ms[m][s][b] = (base_ms + slope_ms * b) / pow(s, 0.7);
    }
}

static void draw_let(struct trial *t, struct let *let, int size)
{
    int first = below(t, t->models), most = t->models < PARTS ? t->models : PARTS;
    *let = (struct let){.size = size, .count = 1 + below(t, most)};
    for (int k = 0; k < let->count; k++) {
        let->model[k] = (first + k) % t->models;
        let->batch[k] = 1 + below(t, BATCHES);
    }
}

/* Draws gpu-lets, and adds what they serve and how long that takes to the models. */
static void draw_gpu(struct trial *t, struct gpu *gpu)
{
    int wanted = below(t, 3) ? 1 + below(t, LETS) : 1, left = t->units;
    gpu->count = 0;
    while (gpu->count < wanted && left > 0) {
        int size = 1 + below(t, left);
        left -= size;
        draw_let(t, &gpu->lets[gpu->count++], size);
    }
    for (int i = 0; i < gpu->count; i++) {
        const struct let *let = &gpu->lets[i];
        double exec_ms[PARTS], duty_ms = 0;
        for (int k = 0; k < let->count; k++) {
            exec_ms[k] = t->latency_ms[let->model[k]][let->size][let->batch[k]] *
                         (gpu->count > 1 ? t->factor : 1);
            duty_ms += exec_ms[k];
        }
        for (int k = 0; k < let->count; k++) {
            int m = let->model[k];
            t->rate_rps[m] += 1000 * let->batch[k] / duty_ms;
            t->slo_ms[m] = fmax(t->slo_ms[m], duty_ms + exec_ms[k]);
        }
    }
}

static double memory_of(const struct trial *t, const struct gpu *gpu)
{
    double sum_mib = 0;
    bool held[MODELS] = {false};
    for (int i = 0; i < gpu->count; i++) {
        sum_mib += t->context_mib;
        for (int k = 0; k < gpu->lets[i].count; k++) {
            int m = gpu->lets[i].model[k];
            sum_mib += t->activation_mib * gpu->lets[i].batch[k];
            sum_mib += t->shared && held[m] ? 0 : t->weights_mib[m];
            held[m] = true;
        }
    }
    return sum_mib;
}

static struct glet_problem *build(struct trial *t, struct fixture *f)
{
    int lets = 1;
    t->gpu_mib = 0.01;
    draw_models(t);
    for (int i = 0; i < t->gpu_count; i++) {
        draw_gpu(t, &t->gpus[i]);
        t->gpu_mib = fmax(t->gpu_mib, memory_of(t, &t->gpus[i]));
        lets = t->gpus[i].count > lets ? t->gpus[i].count : lets;
    }
    *f = fixture_new();
    int device =
        fixture_device(f, "x", t->shared ? GLET_MECHANISM_GREEN_CONTEXT : GLET_MECHANISM_MPS,
                       t->units, lets + below(t, 2), t->gpu_mib);
    f->profile->devices[device].context_mib = t->context_mib;
    for (int m = 0; m < t->models; m++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", m);
        fixture_model(f, name, t->rate_rps[m], t->slo_ms[m] > 0 ? t->slo_ms[m] : 1000);
        f->profile->models[m].memory_mib = t->weights_mib[m];
        for (int s = 1; s <= t->units; s++)
            for (int b = 1; b <= BATCHES; b++) {
                int row = fixture_row(f, device, m, b, s, t->latency_ms[m][s][b]);
                f->profile->latency[row].activation_mib = t->activation_mib * b;
            }
        fixture_util(f, device, m, 0, 0);
    }
    if (t->factor > 1)
        fixture_interference(f, device, t->factor, 0, 0, 0, 0, 0);
    fixture_stock(f, "x", GLET_COUNT_UNLIMITED, 1, NULL);
    return fixture_problem(f, GLET_MIN_GPUS);
}

static void check(struct trial *t, const char *what, double bound)
{
    bool single = true;
    for (int i = 0; i < t->gpu_count; i++)
        single &= t->gpus[i].count == 1;
    double *tightest = &t->tightest[t->shared][single && t->factor > 1];
    t->checks++;
    *tightest = fmax(*tightest, bound / t->gpu_count);
    if (bound <= t->gpu_count * (1 + 1e-6))
        return;
    if (t->failures++ < 20)
        printf("seed %llu: %s: bound %.12g of %d GPUs\n", (unsigned long long)t->seed, what, bound,
               t->gpu_count);
}

static void draw_memory(struct trial *t, double level, struct glet_memory_prices *out)
{
    *out = (struct glet_memory_prices){0};
    if (below(t, 3))
        out->nu = level * glet_random_uniform(&t->random) / t->gpu_mib;
    for (int k = 1; k <= GLET_MEMORY_CLASSES && below(t, 2); k++)
        out->heavy[k] = level * glet_random_uniform(&t->random) / k;
}

/* Random prices of everything, or the best ones with some for memory beside them. */
static void draw_prices(struct trial *t, const struct glet_prices *found,
                        struct glet_prices *prices)
{
    double level = glet_random_uniform(&t->random);
    bool near = below(t, 2);
    glet_prices_copy(prices, found, t->problem);
    for (int slot = 0; slot < glet_slots_count(t->problem, 0) && !near; slot++)
        prices->sigma[0][slot] =
            level * t->problem->types[0].sizes_units[slot % t->problem->types[0].size_count] /
            t->units * (0.5 + glet_random_uniform(&t->random));
    for (int kind = 0; kind < GLET_KINDS; kind++)
        if (!near || below(t, 2))
            draw_memory(t, near ? 0.3 : 1 - level, &prices->memory[0][kind]);
    glet_prices_round(prices, t->problem);
}

static int prove(void *context)
{
    struct trial *t = context;
    const double cost = 1;
    struct glet_space space;
    struct glet_prices found, prices;
    struct glet_bound_options divisible = {.rounds = 60};
    struct glet_bound_options whole = {.rounds = 60, .piece_rounds = 20, .grid = 64};
    glet_space_init(&space, t->problem, 8);
    glet_prices_init(&found, t->problem);
    glet_prices_init(&prices, t->problem);
    check(t, "divisible pieces", glet_bound_find(&space, &cost, &divisible, &found));
    check(t, "whole pieces", glet_bound_find(&space, &cost, &whole, NULL));
    for (int draw = 0; draw < DRAWS; draw++) {
        draw_prices(t, &found, &prices);
        check(t, "random prices", glet_bound_evaluate(&space, &cost, 0, &prices));
        check(t, "random prices, whole", glet_bound_evaluate(&space, &cost, 64, &prices));
    }
    glet_prices_fini(&found, t->problem);
    glet_prices_fini(&prices, t->problem);
    glet_space_fini(&space);
    return 0;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct trial t = {0};
    struct glet_error err = {0};
    for (long i = 0; i < count; i++) {
        struct fixture fixture;
        t.seed = first + (uint64_t)i;
        t.random = glet_random_seeded(t.seed);
        struct glet_problem *problem = build(&t, &fixture);
        t.problem = problem;
        if (glet_lp_guard(prove, &t, NULL, &err) < 0)
            t.failures++;
        glet_problem_free(problem);
        fixture_free(&fixture);
    }
    bool tight = true;
    for (int shared = 0; shared < 2; shared++)
        for (int single = 0; single < 2; single++) {
            printf("weights %s, GPUs %s: up to %.4f of them proven\n", shared ? "shared" : "apart",
                   single ? "for one gpu-let" : "for any", t.tightest[shared][single]);
            tight &= t.tightest[shared][single] > 0.999;
        }
    printf("%ld instances, %ld checks, %ld failures\n", count, t.checks, t.failures);
    return t.failures > 0 || !tight;
}
