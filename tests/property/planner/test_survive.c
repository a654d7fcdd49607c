/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Planning for a GPU that may fail, against the reference on instances of up to 3 models and 3
 * GPUs: the same optimum, proven; plans that really survive; a bound that is never above them.
 *
 * usage: test_survive [COUNT [FIRST_SEED]]; prints the seed of every failure.
 */
#include "planner/model/unserveable.h"
#include "planner/solve/solve.h"
#include "tests/property/planner/brute_force.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct tally {
    long found, infeasible, more, too_large, failures;
};

static void fail(struct tally *tally, uint64_t seed, const struct brute_instance *instance,
                 const char *what, double got, double wanted)
{
    tally->failures++;
    printf("seed %llu (%s): %s: %.12g, expected %.12g\n", (unsigned long long)seed, instance->what,
           what, got, wanted);
}

/* Takes every GPU away once and adds up what the others serve. */
static bool really_survives(const struct glet_problem *problem, const struct glet_solution *plan)
{
    double *rate_rps = calloc((size_t)problem->model_count, sizeof *rate_rps);
    bool good = true;
    for (int gone = 0; gone < plan->gpu_count; gone++) {
        for (int m = 0; m < problem->model_count; m++)
            rate_rps[m] = 0;
        for (int g = 0; g < plan->gpu_count; g++)
            for (int i = 0; g != gone && i < plan->gpus[g].let_count; i++) {
                const struct glet_let *let = &plan->gpus[g].lets[i];
                for (int k = 0; k < let->slot_count; k++)
                    rate_rps[let->slots[k].model] +=
                        1000.0 * let->slots[k].batch / let->duty_cycle_ms;
            }
        for (int m = 0; m < problem->model_count; m++)
            good = good && rate_rps[m] >= problem->models[m].demand_rps * (1 - 1e-8);
    }
    free(rate_rps);
    return good;
}

static void compare(uint64_t seed, const struct brute_instance *instance,
                    const struct glet_problem *problem, const struct glet_solve_result *r,
                    struct tally *tally)
{
    bool cost = problem->objective == GLET_MIN_COST;
    double value = cost ? glet_solution_cost(problem, &r->solution) : r->solution.gpu_count;
    double bound = cost ? r->bound.cost_per_hour : r->bound.gpus;
    struct brute_answer truth = brute_survive(instance);
    if (r->found && !really_survives(problem, &r->solution))
        fail(tally, seed, instance, "does not survive", 0, 1);
    if (r->found && bound > value * (1 + 1e-9))
        fail(tally, seed, instance, "bound above the plan", bound, value);
    switch (truth.status) {
    case BRUTE_FOUND:
        tally->found++;
        if (!r->found)
            fail(tally, seed, instance, "nothing found", 0, truth.value);
        else if (fabs(value - truth.value) > 1e-6 * truth.value)
            fail(tally, seed, instance, "not the optimum", value, truth.value);
        if (bound > truth.value * (1 + 1e-6))
            fail(tally, seed, instance, "bound above the optimum", bound, truth.value);
        if (problem->app_count == 0 && bound < truth.value * (1 - 1e-6))
            fail(tally, seed, instance, "not proven", bound, truth.value);
        break;
    case BRUTE_INFEASIBLE:
        tally->infeasible++;
        if (r->found)
            fail(tally, seed, instance, "a plan where there is none", value, 0);
        else if (!r->infeasible && problem->app_count == 0)
            fail(tally, seed, instance, "infeasibility not proven", 0, 1);
        break;
    case BRUTE_MORE:
        tally->more++;
        if (r->found && r->solution.gpu_count <= BRUTE_GPUS)
            fail(tally, seed, instance, "too few GPUs", r->solution.gpu_count, BRUTE_GPUS + 1);
        break;
    case BRUTE_TOO_LARGE:
        tally->too_large++;
    }
}

static void check(uint64_t seed, struct tally *tally)
{
    struct brute_instance instance = brute_instance_new(seed);
    struct glet_error err = {0};
    struct glet_problem *problem = NULL;
    struct glet_unserveable why;
    if (instance.objective == GLET_MAX_RATE)
        instance.objective = GLET_MIN_GPUS;
    bool solvable = glet_problem_new(instance.fixture.workload, instance.fixture.profile,
                                     instance.objective, &problem, &err) == 0;
    for (int m = 0; solvable && m < problem->model_count; m++)
        solvable = !glet_unserveable(problem, m, &why);
    if (solvable) {
        struct glet_solve_options options = {
            .effort = GLET_EFFORT_DEFAULT, .max_moves = -1, .survive = 1};
        struct glet_solve_result result;
        if (glet_solve(problem, &options, &result, &err) < 0) {
            fail(tally, seed, &instance, err.message, err.code, 0);
        } else {
            compare(seed, &instance, problem, &result, tally);
            glet_solve_result_fini(&result);
        }
    }
    glet_problem_free(problem);
    fixture_free(&instance.fixture);
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 500;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct tally tally = {0};
    for (long i = 0; i < count && tally.failures < 20; i++)
        check(first + (uint64_t)i, &tally);
    printf(
        "%ld instances from seed %llu: %ld survive, %ld infeasible, %ld need more, %ld too large "
        "for the reference, %ld failures\n",
        count, (unsigned long long)first, tally.found, tally.infeasible, tally.more,
        tally.too_large, tally.failures);
    return tally.failures ? 1 : 0;
}
