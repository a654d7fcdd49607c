/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Synthetic fleets, most of them in apps, planned with every effort: the verifier accepts each plan,
 * no bound exceeds any of the plans, and none of more effort needs more GPUs.
 *
 * usage: test_effort [COUNT [FIRST_SEED]]; prints the seed of every failure.
 */
#include "benchmarks/planner/fleet.h"
#include "common/random.h"
#include "planner/solve/solve.h"
#include "planner/verify/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EFFORTS     3
#define MODELS_MOST 16
#define MAX_MODELS  4 /* with more, GLET_EFFORT_MAX takes seconds */

struct answers { /* [effort] */
    int count, gpus[EFFORTS], bound[EFFORTS];
    int violations;
};

static struct glet_fleet_options draw(uint64_t seed)
{
    static const struct glet_fleet_apps shapes[] = {
        {0}, {3, 1, false, 0.4}, {5, 4, false, 0.3}, {6, 4, true, 0.2}, {6, 1, false, 0.25}};
    struct glet_random random = glet_random_seeded(seed);
    int models = 2 + (int)glet_random_below(&random, MODELS_MOST - 1);
    return (struct glet_fleet_options){
        .models = models,
        .target = 0.5 + models * glet_random_uniform(&random),
        .seed = seed,
        .types = 1,
        .zipf = 0.9,
        .interference = true,
        .apps = shapes[glet_random_below(&random, sizeof shapes / sizeof shapes[0])]};
}

static int count_violations(const struct glet_fleet *fleet, const struct glet_problem *problem,
                            struct glet_solve_result *result)
{
    struct glet_error err = {0};
    struct glet_plan *plan = NULL;
    struct glet_verdict verdict;
    if (glet_solution_to_plan(problem, &result->solution, &result->bound, &plan, &err) < 0)
        return 1;
    int status = glet_verify(fleet->workload, fleet->profile, plan, &verdict, &err);
    int count = status < 0 ? 1 : (int)verdict.count;
    glet_verdict_fini(&verdict);
    glet_plan_free(plan);
    return count;
}

/* One more effort; whether it found a plan. */
static bool solve(const struct glet_fleet *fleet, const struct glet_problem *problem,
                  struct answers *answers)
{
    struct glet_error err = {0};
    struct glet_solve_options options = {.effort = (enum glet_effort)answers->count,
                                         .max_moves = -1};
    struct glet_solve_result result;
    if (glet_solve(problem, &options, &result, &err) < 0)
        return false;
    bool found = result.found;
    if (found) {
        answers->violations += count_violations(fleet, problem, &result);
        answers->gpus[answers->count] = result.solution.gpu_count;
        answers->bound[answers->count++] = result.bound.gpus;
    }
    glet_solve_result_fini(&result);
    return found;
}

static int check(struct glet_fleet_options options, long *solved)
{
    struct answers answers = {0};
    struct glet_fleet fleet;
    struct glet_problem *problem = NULL;
    struct glet_error err = {0};
    glet_fleet_make(&options, &fleet);
    bool good = glet_problem_new(fleet.workload, fleet.profile, GLET_MIN_GPUS, &problem, &err) == 0;
    int efforts = options.models > MAX_MODELS ? GLET_EFFORT_MAX : EFFORTS;
    for (int i = 0; i < efforts && good; i++)
        good = solve(&fleet, problem, &answers);
    good = good && answers.violations == 0;
    for (int i = 0; i < answers.count; i++) {
        good = good && (i == 0 || answers.gpus[i] <= answers.gpus[i - 1]);
        for (int k = 0; k < answers.count; k++)
            good = good && answers.bound[i] <= answers.gpus[k];
    }
    *solved += answers.count;
    if (!good)
        printf("seed %llu, %d models: %d violations; GPUs (bound) by effort: %d (%d), %d (%d), "
               "%d (%d)\n",
               (unsigned long long)options.seed, options.models, answers.violations,
               answers.gpus[0], answers.bound[0], answers.gpus[1], answers.bound[1],
               answers.gpus[2], answers.bound[2]);
    glet_problem_free(problem);
    glet_fleet_free(&fleet);
    return !good;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 8, solved = 0;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    /* Where only the split that a fast search tries first leads to the fewest GPUs. */
    struct glet_fleet_options known = {.models = 100,
                                       .target = 20,
                                       .seed = 3,
                                       .types = 1,
                                       .zipf = 0.9,
                                       .interference = true,
                                       .apps = {3, 1, false, 0.4}};
    int failures = check(known, &solved);
    for (long i = 0; i < count && failures < 20; i++)
        failures += check(draw(first + (uint64_t)i), &solved);
    printf("%ld fleets from seed %llu and a known one, %ld plans, %d failures\n", count,
           (unsigned long long)first, solved, failures);
    return failures ? 1 : 0;
}
