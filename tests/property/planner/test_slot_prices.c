/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * No GPU collects more than the prices of its slots (price.h): GPUs are filled at random with
 * gpu-lets of one or two models that interfere linearly. Each model's latency beside these very
 * neighbours is computed from the pairs. Of the bound's table it takes the cheapest entry that is
 * not slower than that: at any prices, the sum must be within what the bound divides by. Prices are
 * aimed at what some gpu-lets may take, and all else is free: a wrong interval would leave a
 * gpu-let only dear entries, or none.
 *
 * usage: test_slot_prices [COUNT [FIRST_SEED]]; prints the seeds of failures. It fails too
 * when a pair of intervals was not met, as with few instances.
 */
#include "common/random.h"
#include "planner/model/interference.h"
#include "planner/solve/bound/price.h"
#include "planner/solve/bound/slots.h"
#include "tests/support/planner/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODELS        4
#define LETS          4 /* of one GPU */
#define PARTS         2 /* models of one gpu-let */
#define ENTRIES       512
#define GPUS          60
#define DRAWS         60
#define INTERVALS_MAX 8

struct let {
    int count;
    struct glet_point part[PARTS];
    double exec_ms[PARTS], duty_ms, aggressor_ratio;
};

struct gpu {
    int count;
    struct let lets[LETS];
};

struct coverage { /* by interval of the loudest and of the second */
    int intervals;
    long gpus[INTERVALS_MAX][INTERVALS_MAX];
    double tightest[INTERVALS_MAX][INTERVALS_MAX]; /* collected / most, at prices aimed at it */
    long shared, levels[GLET_LEVELS_MAX + 1];
};

struct trial {
    uint64_t seed;
    struct glet_random random;
    struct fixture fixture;
    struct glet_problem *problem;
    struct glet_space space;
    struct glet_share_table *tables;
    struct glet_prices prices;
    double price[MODELS][ENTRIES]; /* of the whole duty of a gpu-let, per entry of the table */
    int aim[2];                    /* the pair of intervals that the prices aim at, or -1 */
    struct coverage *coverage;
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

static void fail(struct trial *t, const char *what, double value, double limit)
{
    if (t->failures++ < 20)
        printf("seed %llu: %s: %.12g, at most %.12g\n", (unsigned long long)t->seed, what, value,
               limit);
}

static void init_problem(struct trial *t)
{
    struct fixture *f = &t->fixture;
    int units = 6 + below(t, 5), models = 2 + below(t, MODELS - 1), levels = 1 + below(t, 12);
    *f = fixture_new();
    int device = fixture_device(f, "x", GLET_MECHANISM_MPS, units, 2 + below(t, LETS - 1), 1e6);
    for (int m = 0; m < models; m++) {
        double base_ms = uniform(t, 2, 10), slope_ms = uniform(t, 0.2, 6), fastest_ms = INFINITY;
        fixture_model(f, (const char *[]){"a", "b", "c", "d"}[m], 1, 1);
        for (int size = 1; size <= 6 && size <= units; size++)
            for (int batch = 1; batch <= 3; batch++) {
                double ms = (base_ms + slope_ms * batch) / size * uniform(t, 0.8, 1.25);
                int row = fixture_row(f, device, m, batch, size, ms);
                f->profile->latency[row].l2_util = uniform(t, 0, 1);
                f->profile->latency[row].dram_util = uniform(t, 0, 1);
                fastest_ms = fmin(fastest_ms, ms);
            }
        f->workload->models[m].slo_ms = fastest_ms * uniform(t, 3, 60);
    }
    fixture_interference(f, device, uniform(t, 0.6, 1.2), uniform(t, -0.2, 0.3),
                         uniform(t, -0.2, 0.8), uniform(t, -0.1, 0.4), uniform(t, -0.2, 0.6), 0);
    fixture_stock(f, "x", GLET_COUNT_UNLIMITED, 1, NULL);
    t->problem = fixture_problem(f, GLET_MIN_GPUS);
    glet_space_init(&t->space, t->problem, levels);
    t->tables = glet_shares_new(&t->space);
    glet_prices_init(&t->prices, t->problem);
    t->coverage->intervals = glet_slots_intervals(t->problem, 0);
    t->coverage->levels[t->space.types[0].even_count]++;
}

static void fini_problem(struct trial *t)
{
    glet_prices_fini(&t->prices, t->problem);
    glet_shares_free(t->tables, t->problem);
    glet_space_fini(&t->space);
    glet_problem_free(t->problem);
    fixture_free(&t->fixture);
}

static const struct glet_cell *cell_at(const struct trial *t, struct glet_point p)
{
    return glet_problem_cell(t->problem, 0, p.model, p.size, p.batch);
}

static void draw_gpu(struct trial *t, struct gpu *gpu)
{
    const struct glet_problem_type *type = &t->problem->types[0];
    int count = 2 + below(t, type->max_gpulets - 1), free_units = type->units;
    memset(gpu, 0, sizeof *gpu);
    while (gpu->count < count) {
        int size = below(t, 1 + below(t, type->size_count)); /* more small ones */
        if (type->sizes_units[0] > free_units)
            break;
        if (type->sizes_units[size] > free_units)
            continue;
        free_units -= type->sizes_units[size];
        struct let *let = &gpu->lets[gpu->count++];
        int first = below(t, t->problem->model_count), parts = below(t, 4) ? 1 : 2;
        for (int k = 0; k < parts; k++)
            let->part[let->count++] =
                (struct glet_point){(first + k) % t->problem->model_count, size, 1 + below(t, 3)};
    }
}

/* Slowdown of one gpu-let by another. */
static double slowdown(const struct trial *t, const struct let *victim, const struct let *aggressor)
{
    double worst = 1;
    for (int k = 0; k < victim->count; k++)
        for (int l = 0; l < aggressor->count; l++)
            worst = fmax(
                worst, glet_interference_pair(t->problem, 0, victim->part[k], aggressor->part[l]));
    return worst;
}

/* Computes the latencies; returns whether every model meets its SLO. */
static bool run_gpu(const struct trial *t, struct gpu *gpu)
{
    for (int i = 0; i < gpu->count; i++) {
        struct let *let = &gpu->lets[i];
        double factor = 1;
        for (int j = 0; j < gpu->count; j++)
            if (j != i)
                factor = fmax(factor, slowdown(t, let, &gpu->lets[j]));
        let->aggressor_ratio = -INFINITY;
        for (int k = 0; k < let->count; k++) {
            const struct glet_cell *cell = cell_at(t, let->part[k]);
            let->exec_ms[k] = cell->latency_ms * factor;
            let->duty_ms += let->exec_ms[k];
            let->aggressor_ratio = fmax(let->aggressor_ratio, cell->aggressor_ratio);
        }
        for (int k = 0; k < let->count; k++)
            if (let->duty_ms + let->exec_ms[k] > t->problem->models[let->part[k].model].limit_ms)
                return false;
    }
    return gpu->count >= 2;
}

static int interval_of(const struct trial *t, double ratio)
{
    int interval = 0;
    while (ratio > glet_slots_interval_end(&t->space, 0, interval))
        interval++;
    return interval;
}

/* The largest ratio of the gpu-lets but one; besides = -1: of all. */
static double loudest(const struct gpu *gpu, int besides)
{
    double ratio = -INFINITY;
    for (int i = 0; i < gpu->count; i++)
        if (i != besides)
            ratio = fmax(ratio, gpu->lets[i].aggressor_ratio);
    return ratio;
}

/* Intervals of the loudest gpu-let and of the second: what it sees. */
static void intervals_of(const struct trial *t, const struct gpu *gpu, int out[2])
{
    double first = loudest(gpu, -1), second = first;
    for (int i = 0; i < gpu->count; i++)
        second = fmin(second, loudest(gpu, i));
    out[0] = interval_of(t, first);
    out[1] = interval_of(t, second);
}

/* All slots that the gpu-lets of a pair of intervals may take cost their size, the others nothing. */
static void aim_at_pair(struct trial *t)
{
    const struct glet_problem_type *type = &t->problem->types[0];
    int count = glet_slots_intervals(t->problem, 0), a = below(t, count), b = below(t, a + 1);
    for (int slot = 0; slot < glet_slots_count(t->problem, 0); slot++) {
        int size = slot % type->size_count, pair = slot / type->size_count;
        int own = pair / count, seen = pair % count;
        bool taken = (own >= a && seen <= b) || (own >= b && seen <= a);
        t->prices.sigma[0][slot] = taken ? 2.0 * type->sizes_units[size] / type->units : 0;
    }
    t->aim[0] = a;
    t->aim[1] = b;
}

/*
 * Each gpu-let of one GPU is to pay something of its own: in all slots that it may take, or only in
 * those of its own interval, which a right bound lets it get out of. All else costs nothing.
 */
static void aim_at_gpu(struct trial *t, const struct gpu *gpu)
{
    int sizes = t->problem->types[0].size_count, count = glet_slots_intervals(t->problem, 0);
    double *sigma = t->prices.sigma[0];
    memset(sigma, 0, sizeof *sigma * (size_t)glet_slots_count(t->problem, 0));
    for (int i = 0; i < gpu->count; i++) {
        int own = interval_of(t, gpu->lets[i].aggressor_ratio);
        int seen = interval_of(t, loudest(gpu, i)), last = below(t, 2) ? own : count - 1;
        double price = (const double[]){1, 1.5, 4}[below(t, 3)];
        for (int o = own; o <= last; o++)
            for (int s = 0; s <= seen; s++) {
                double *slot = &sigma[(o * count + s) * sizes + gpu->lets[i].part[0].size];
                *slot = fmax(*slot, price);
            }
    }
}

static void draw_prices(struct trial *t, int draw, const struct gpu *gpu)
{
    const double cost = 1;
    t->aim[0] = t->aim[1] = -1;
    if (draw % 2)
        aim_at_gpu(t, gpu);
    else
        aim_at_pair(t);
    glet_prices_round(&t->prices, t->problem);
    for (int m = 0; m < t->problem->model_count; m++)
        for (int i = 0; i < t->tables[m].count; i++) {
            struct glet_share_table one = {.list = &t->tables[m].list[i], .count = 1};
            double rate_rps = 1000.0 * one.list->batch / one.list->latency_ms;
            t->price[m][i] =
                glet_price_model(&t->space, &one, &t->prices, &cost, rate_rps, 0, false).least;
        }
}

/* The most that the bound lets a GPU collect, at least its cost. */
static double most_collected(const struct trial *t)
{
    const double cost = 1, paid = 1000;
    double payments[MODELS] = {paid};
    return paid / glet_price_bound(&t->space, &t->prices, &cost, payments);
}

/* What a model pays per duty beside these neighbours; INFINITY: no entry stands for it. */
static double pays(const struct trial *t, struct glet_point p, double exec_ms)
{
    const struct glet_share_table *table = &t->tables[p.model];
    double least = INFINITY;
    for (int i = 0; i < table->count; i++) {
        const struct glet_share *share = &table->list[i];
        if (share->size == p.size && share->batch == p.batch && share->latency_ms <= exec_ms)
            least = fmin(least, t->price[p.model][i]);
    }
    return least;
}

static double collects(const struct trial *t, const struct gpu *gpu)
{
    double sum = 0;
    for (int i = 0; i < gpu->count; i++)
        for (int k = 0; k < gpu->lets[i].count; k++)
            sum += gpu->lets[i].exec_ms[k] / gpu->lets[i].duty_ms *
                   pays(t, gpu->lets[i].part[k], gpu->lets[i].exec_ms[k]);
    return sum;
}

/* What is said to fill a GPU does, and is worth what is said. */
static void check_fillings(struct trial *t)
{
    const struct glet_problem_type *type = &t->problem->types[0];
    int slots = glet_slots_count(t->problem, 0), count = glet_slots_intervals(t->problem, 0);
    int16_t *uses = calloc((size_t)slots, sizeof *uses);
    for (int a = 0; uses && a < count; a++)
        for (int b = 0; b <= a; b++) {
            int64_t value = glet_slots_filling(t->problem, 0, t->prices.sigma[0], a, b, uses);
            int64_t sum = 0;
            int units = 0, lets = 0, top = 0;
            for (int s = 0; s < slots; s++) {
                int pair = s / type->size_count;
                sum += uses[s] * (int64_t)(t->prices.sigma[0][s] * GLET_PRICE_UNIT);
                units += uses[s] * type->sizes_units[s % type->size_count];
                lets += uses[s];
                top += a != b && pair == a * count + b ? uses[s] : 0;
                if (uses[s] && pair != a * count + b && pair != b * count + a)
                    fail(t, "slots of another pair", uses[s], 0);
            }
            if (sum != value)
                fail(t, "worth of a filling", (double)sum, (double)value);
            if (units > type->units || lets > type->max_gpulets || top > 1)
                fail(t, "units of a filling", units, type->units);
        }
    free(uses);
}

static void check_gpu(struct trial *t, const struct gpu *gpu, double most)
{
    double collected = collects(t, gpu);
    int pair[2];
    t->checks++;
    if (!(collected <= most * (1 + 1e-9)))
        fail(t, "a GPU collects", collected, most);
    intervals_of(t, gpu, pair);
    double *tightest = &t->coverage->tightest[pair[0]][pair[1]];
    if (pair[0] == t->aim[0] && pair[1] == t->aim[1])
        *tightest = fmax(*tightest, collected / most);
}

static void check_instance(struct trial *t)
{
    struct gpu gpus[GPUS];
    int count = 0;
    init_problem(t);
    for (int tries = 0; tries < 4 * GPUS && count < GPUS; tries++) {
        draw_gpu(t, &gpus[count]);
        if (!run_gpu(t, &gpus[count]))
            continue;
        int pair[2];
        intervals_of(t, &gpus[count], pair);
        t->coverage->gpus[pair[0]][pair[1]]++;
        t->coverage->shared += gpus[count].lets[0].count > 1;
        count++;
    }
    for (int draw = 0; draw < DRAWS && count > 0; draw++) {
        draw_prices(t, draw, &gpus[below(t, count)]);
        check_fillings(t);
        double most = most_collected(t);
        for (int i = 0; i < count; i++)
            check_gpu(t, &gpus[i], most);
    }
    fini_problem(t);
}

/* Whether every pair of intervals was met, and a GPU there collected all that it might. */
static bool covered(const struct coverage *c)
{
    bool all = c->intervals > 1 && c->shared > 0 && c->levels[1] && c->levels[2] && c->levels[8];
    for (int a = 0; a < c->intervals; a++)
        for (int b = 0; b <= a; b++) {
            printf("intervals %d, %d: %ld GPUs, up to %.6f of the most\n", a, b, c->gpus[a][b],
                   c->tightest[a][b]);
            all = all && c->gpus[a][b] > 0 && c->tightest[a][b] > 1 - 1e-6;
        }
    return all;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 100, checks = 0, failures = 0;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct coverage coverage = {0};
    for (long i = 0; i < count; i++) {
        struct trial t = {.seed = first + (uint64_t)i, .coverage = &coverage};
        t.random = glet_random_seeded(t.seed);
        check_instance(&t);
        checks += t.checks;
        failures += t.failures;
    }
    printf("%ld instances, %ld checks, %ld failures\n", count, checks, failures);
    return failures > 0 || !covered(&coverage);
}
