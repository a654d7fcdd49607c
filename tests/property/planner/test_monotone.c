/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asking for less never needs more: without a model, at a lower rate, with a looser SLO or with
 * one more GPU, the proven optimum does not rise. Checked through bounds, so that it holds also
 * where the optimum is not proven: bound(less) <= GPUs(more).
 *
 * usage: test_monotone [COUNT [FIRST_SEED]]; prints the seed of every failure.
 */
#include "common/random.h"
#include "planner/model/unserveable.h"
#include "planner/solve/solve.h"
#include "tests/property/planner/brute_force.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct answer {
    bool decided, found; /* decided: the solver had something to solve */
    int gpus, bound;
};

static struct answer solve(const struct brute_instance *instance)
{
    struct answer out = {false, false, 0, 0};
    struct glet_error err = {0};
    struct glet_problem *problem = NULL;
    struct glet_unserveable why;
    if (glet_problem_new(instance->fixture.workload, instance->fixture.profile, GLET_MIN_GPUS,
                         &problem, &err) < 0)
        return out;
    bool serveable = true;
    for (int m = 0; m < problem->model_count; m++)
        serveable = serveable && !glet_unserveable(problem, m, &why);
    struct glet_solve_options options = {.effort = GLET_EFFORT_DEFAULT, .max_moves = -1};
    struct glet_solve_result result;
    if (serveable && glet_solve(problem, &options, &result, &err) == 0) {
        out = (struct answer){true, result.found, result.solution.gpu_count, result.bound.gpus};
        glet_solve_result_fini(&result);
    }
    glet_problem_free(problem);
    return out;
}

/* Makes the workload easier in one way; returns what it did. */
static const char *relax(struct brute_instance *instance, struct glet_random *random)
{
    struct glet_workload *workload = instance->fixture.workload;
    size_t m = (size_t)glet_random_below(random, workload->model_count);
    switch (glet_random_below(random, 5)) {
    case 0:
        workload->models[m].rate_rps = 0;
        return "without a model";
    case 1:
        workload->models[m].rate_rps *= glet_random_uniform(random);
        return "lower rate";
    case 2:
        workload->models[m].slo_ms *= 1 + glet_random_uniform(random);
        return "looser SLO";
    case 3:
        for (size_t a = 0; a < workload->app_count; a++) {
            workload->apps[a].slo_ms *= 1 + glet_random_uniform(random);
            workload->apps[a].rate_rps *= glet_random_uniform(random);
        }
        return "easier apps";
    default:
        if (workload->gpus[0].count >= 0)
            workload->gpus[0].count++;
        return "one more GPU";
    }
}

static int check(uint64_t seed, long *compared)
{
    struct brute_instance instance = brute_instance_new(seed);
    struct glet_random random = glet_random_seeded(seed ^ 0x9e3779b97f4a7c15u);
    struct answer before = solve(&instance);
    const char *what = relax(&instance, &random);
    struct answer after = solve(&instance);
    int failed = 0;
    if (before.decided && before.found && after.decided) {
        (*compared)++;
        bool proven = after.found && before.gpus == before.bound && after.gpus == after.bound;
        failed = after.bound > before.gpus || before.bound > before.gpus ||
                 (after.found && after.bound > after.gpus) || (proven && after.gpus > before.gpus);
        if (failed)
            printf("seed %llu (%s; %s): %d GPUs (>= %d) became %d (>= %d)\n",
                   (unsigned long long)seed, instance.what, what, before.gpus, before.bound,
                   after.gpus, after.bound);
    }
    fixture_free(&instance.fixture);
    return failed;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 500, compared = 0;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
    int failures = 0;
    for (long i = 0; i < count && failures < 20; i++)
        failures += check(first + (uint64_t)i, &compared);
    printf("%ld instances from seed %llu, %ld comparisons, %d failures\n", count,
           (unsigned long long)first, compared, failures);
    return failures ? 1 : 0;
}
