/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Prices prove lower bounds on random instances whose optimum is known from trying everything:
 * prices that were searched for, with divisible and with whole pieces and with mixes, and prices that
 * were drawn at random, rents on limited stocks included, which no search would choose.
 *
 * usage: test_bound_holds [COUNT [FIRST_SEED]]; prints the seed of every failure.
 */
#include "common/random.h"
#include "planner/solve/bound/bound.h"
#include "planner/solve/bound/mix.h"
#include "planner/solve/bound/slots.h"
#include "planner/solve/space/lp_glpk.h"
#include "tests/property/planner/brute_force.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DRAWS 12 /* random prices per instance */

struct trial {
    const struct glet_problem *problem;
    struct glet_space space;
    double cost[2];
    double optimum;
    uint64_t seed;
    long checks, rented, mixed, failures;
};

static void check(struct trial *t, const char *what, double bound)
{
    t->checks++;
    if (bound <= t->optimum * (1 + 1e-9))
        return;
    t->failures++;
    printf("seed %llu: %s: bound %.12g above the optimum %.12g\n", (unsigned long long)t->seed,
           what, bound, t->optimum);
}

/*
 * The prices that prove most, as if every GPU cost its rent more and collected `excess` times that:
 * nearly tight, so that a wrong use of rents or excess shows.
 */
static void stretch_prices(const struct trial *t, struct glet_random *random,
                           const struct glet_prices *found, struct glet_prices *prices)
{
    double rent = 2 * glet_random_uniform(random), excess = 1 + glet_random_uniform(random);
    for (int g = 0; g < t->problem->type_count; g++) {
        for (int s = 0; s < glet_slots_count(t->problem, g); s++)
            prices->sigma[g][s] = found->sigma[g][s] * (1 + rent) * excess;
        for (int kind = 0; kind < GLET_KINDS; kind++) {
            const struct glet_memory_prices *from = &found->memory[g][kind];
            prices->memory[g][kind].nu = from->nu * (1 + rent) * excess;
            for (int k = 0; k <= GLET_MEMORY_CLASSES; k++)
                prices->memory[g][kind].heavy[k] = from->heavy[k] * (1 + rent) * excess;
        }
        prices->mu[g] = t->cost[g] * rent;
    }
    glet_prices_round(prices, t->problem);
}

/* A third of the draws charge for MiB, a third for classes. */
static void draw_memory(struct glet_random *random, int draw, double cost, double gpu_mib,
                        struct glet_memory_prices *out)
{
    *out = (struct glet_memory_prices){0};
    if (draw % 3 == 0 && gpu_mib > 0)
        out->nu = cost * glet_random_uniform(random) / gpu_mib;
    for (int k = 1; k <= GLET_MEMORY_CLASSES && draw % 3 == 1; k++)
        out->heavy[k] = cost * glet_random_uniform(random) / k;
}

/* Half of the draws charge a rent, and prices so high that a GPU collects more than it costs. */
static void draw_prices(const struct trial *t, struct glet_random *random, int draw,
                        struct glet_prices *prices)
{
    double level = 0.3 + 2 * glet_random_uniform(random);
    for (int g = 0; g < t->problem->type_count; g++) {
        const struct glet_problem_type *type = &t->problem->types[g];
        for (int s = 0; s < glet_slots_count(t->problem, g); s++)
            prices->sigma[g][s] = t->cost[g] * level * type->sizes_units[s % type->size_count] /
                                  type->units * (0.5 + glet_random_uniform(random));
        prices->mu[g] = draw % 2 ? t->cost[g] * glet_random_uniform(random) : 0;
        for (int kind = 0; kind < GLET_KINDS; kind++)
            draw_memory(random, draw, t->cost[g], type->memory_mib, &prices->memory[g][kind]);
    }
    glet_prices_round(prices, t->problem);
}

static int prove(void *context)
{
    struct trial *t = context;
    struct glet_random random = glet_random_seeded(t->seed);
    struct glet_prices prices;
    struct glet_bound_options divisible = {.rounds = 60};
    struct glet_bound_options whole = {.rounds = 60, .piece_rounds = 20, .grid = 64};
    struct glet_prices found;
    glet_prices_init(&found, t->problem);
    check(t, "divisible pieces", glet_bound_find(&t->space, t->cost, &divisible, &found));
    check(t, "whole pieces", glet_bound_find(&t->space, t->cost, &whole, NULL));
    if (t->problem->type_count == 1 && t->space.types[0].patterns.complete) {
        struct glet_mix_options mixes = {.rounds = 30};
        check(t, "mixes", glet_mix_bound(&t->space, t->cost[0], &mixes));
        t->mixed++;
    }
    glet_prices_init(&prices, t->problem);
    for (int draw = 0; draw < DRAWS; draw++) {
        if (draw < DRAWS / 2)
            draw_prices(t, &random, draw, &prices);
        else
            stretch_prices(t, &random, &found, &prices);
        for (int g = 0; g < t->problem->type_count; g++)
            t->rented += prices.mu[g] > 0;
        check(t, "random prices", glet_bound_evaluate(&t->space, t->cost, 0, &prices));
        check(t, "random prices, whole", glet_bound_evaluate(&t->space, t->cost, 64, &prices));
    }
    glet_prices_fini(&prices, t->problem);
    glet_prices_fini(&found, t->problem);
    return 0;
}

/*
 * Four gpu-lets of half a GPU fill a stock of two. At a rent as high as the cost and patterns worth
 * 1.5 times both, the rents come off in full: payments / excess - rents = 6 / 1.5 - 2. Taking them
 * off before dividing would claim more than the two GPUs.
 */
static int prove_rents(void *context)
{
    struct trial *t = context;
    struct glet_prices prices;
    glet_prices_init(&prices, t->problem);
    prices.sigma[0][0] = 1.5;
    prices.mu[0] = 1;
    double bound = glet_bound_evaluate(&t->space, t->cost, 0, &prices);
    check(t, "rent of a full stock", bound);
    if (bound < t->optimum * (1 - 1e-6)) {
        t->failures++;
        printf("rent of a full stock: bound %.12g, not %.12g\n", bound, t->optimum);
    }
    glet_prices_fini(&prices, t->problem);
    return 0;
}

static void check_rents(struct trial *t)
{
    struct fixture f = fixture_new();
    struct glet_error err = {0};
    int device = fixture_device(&f, "x", GLET_MECHANISM_MPS, 2, 2, 1000);
    int model = fixture_model(&f, "m", 400, 20);
    fixture_row(&f, device, model, 1, 1, 10);
    fixture_stock(&f, "x", 2, 1, NULL);
    struct glet_problem *problem = fixture_problem(&f, GLET_MIN_GPUS);
    t->problem = problem;
    t->optimum = 2;
    t->cost[0] = 1;
    glet_space_init(&t->space, problem, 8);
    if (glet_lp_guard(prove_rents, t, NULL, &err) < 0)
        t->failures++;
    glet_space_fini(&t->space);
    glet_problem_free(problem);
    fixture_free(&f);
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1000, found = 0;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct trial t = {0};
    check_rents(&t);
    for (long i = 0; i < count; i++) {
        struct brute_instance instance = brute_instance_new(first + (uint64_t)i);
        struct brute_answer truth = brute_solve(&instance);
        struct glet_error err = {0};
        if (truth.status == BRUTE_FOUND && instance.objective != GLET_MAX_RATE) {
            struct glet_problem *problem = fixture_problem(&instance.fixture, instance.objective);
            t.problem = problem;
            t.seed = first + (uint64_t)i;
            t.optimum = truth.value;
            for (int g = 0; g < problem->type_count; g++)
                t.cost[g] = glet_type_cost(problem, g);
            glet_space_init(&t.space, problem, 8);
            if (glet_lp_guard(prove, &t, NULL, &err) < 0)
                t.failures++;
            glet_space_fini(&t.space);
            glet_problem_free(problem);
            found++;
        }
        fixture_free(&instance.fixture);
    }
    printf(
        "%ld instances with a known optimum, %ld bounds, %ld rents, %ld of mixes, %ld failures\n",
        found, t.checks, t.rented, t.mixed, t.failures);
    return t.failures > 0 || found == 0 || t.rented == 0 || t.mixed == 0;
}
