/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The solver against the reference on random instances of up to 3 models and 3 GPUs: the same
 * optimum every time, a bound that is never above it, plans that the verifier accepts.
 *
 * usage: test_brute_force [COUNT [FIRST_SEED]]; prints the seed of every failure.
 */
#include "planner/model/unserveable.h"
#include "planner/solve/solve.h"
#include "planner/verify/verify.h"
#include "tests/property/planner/brute_force.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define RATE_SLACK 1e-6 /* relative: how closely max-rate narrows the factor down */

struct tally {
    long instances, found, infeasible, more, too_large, proven, failures;
};

static bool fail(struct tally *tally, uint64_t seed, const struct brute_instance *instance,
                 const char *what, double got, double wanted)
{
    tally->failures++;
    printf("seed %llu (%s): %s: %.12g, expected %.12g\n", (unsigned long long)seed, instance->what,
           what, got, wanted);
    return false;
}

static bool serveable(const struct glet_problem *problem)
{
    struct glet_unserveable why;
    for (int m = 0; m < problem->model_count; m++)
        if (glet_unserveable(problem, m, &why))
            return false;
    return true;
}

static bool plan_is_correct(const struct brute_instance *instance,
                            const struct glet_problem *problem, struct glet_solve_result *result,
                            uint64_t seed, struct tally *tally)
{
    struct glet_error err = {0};
    struct glet_plan *plan = NULL;
    struct glet_verdict verdict;
    if (glet_solution_to_plan(problem, &result->solution, &result->bound, &plan, &err) < 0) {
        glet_error_print(&err, stdout);
        return fail(tally, seed, instance, "no plan from the solution", 0, 1);
    }
    int status =
        glet_verify(instance->fixture.workload, instance->fixture.profile, plan, &verdict, &err);
    size_t bad = verdict.count;
    for (size_t i = 0; i < bad; i++)
        printf("  %s: %s\n", verdict.violations[i].where, verdict.violations[i].what);
    glet_verdict_fini(&verdict);
    glet_plan_free(plan);
    return status == 0 && bad == 0 ? true
                                   : fail(tally, seed, instance, "violations", (double)bad, 0);
}

static double value_of(const struct glet_problem *problem, const struct glet_solve_result *r)
{
    if (problem->objective == GLET_MIN_GPUS)
        return r->solution.gpu_count;
    if (problem->objective == GLET_MIN_COST)
        return glet_solution_cost(problem, &r->solution);
    return r->solution.scale;
}

static double bound_of(const struct glet_problem *problem, const struct glet_solve_result *r)
{
    return problem->objective == GLET_MIN_GPUS   ? r->bound.gpus
           : problem->objective == GLET_MIN_COST ? r->bound.cost_per_hour
                                                 : r->bound.scale;
}

static bool compare_found(const struct brute_instance *instance, const struct glet_problem *problem,
                          const struct glet_solve_result *r, const struct brute_answer *truth,
                          uint64_t seed, struct tally *tally)
{
    double value = value_of(problem, r), bound = bound_of(problem, r), slack = 1e-6 * truth->value;
    if (problem->objective == GLET_MAX_RATE) {
        if (bound < truth->value - slack)
            return fail(tally, seed, instance, "scale bound below the optimum", bound,
                        truth->value);
        if (value > truth->value + slack)
            return fail(tally, seed, instance, "scale above the optimum", value, truth->value);
        tally->proven += bound <= truth->value * (1 + 2 * RATE_SLACK);
        if (value < truth->value * (1 - RATE_SLACK))
            return fail(tally, seed, instance, "scale below the optimum", value, truth->value);
        return true;
    }
    if (bound > truth->value + slack)
        return fail(tally, seed, instance, "bound above the optimum", bound, truth->value);
    if (fabs(value - truth->value) > slack)
        return fail(tally, seed, instance, "not the optimum", value, truth->value);
    if (bound < truth->value - slack)
        return fail(tally, seed, instance, "not proven", bound, truth->value);
    tally->proven++;
    return true;
}

static bool compare(const struct brute_instance *instance, const struct glet_problem *problem,
                    struct glet_solve_result *r, const struct brute_answer *truth, uint64_t seed,
                    struct tally *tally)
{
    if (r->found && !plan_is_correct(instance, problem, r, seed, tally))
        return false;
    switch (truth->status) {
    case BRUTE_FOUND:
        tally->found++;
        if (!r->found)
            return fail(tally, seed, instance, "nothing found", 0, truth->value);
        if (r->infeasible)
            return fail(tally, seed, instance, "claims infeasibility", 1, 0);
        return compare_found(instance, problem, r, truth, seed, tally);
    case BRUTE_INFEASIBLE:
        tally->infeasible++;
        return r->found ? fail(tally, seed, instance, "a plan where there is none", 1, 0) : true;
    case BRUTE_MORE:
        tally->more++;
        if (r->found && r->solution.gpu_count <= BRUTE_GPUS)
            return fail(tally, seed, instance, "too few GPUs", r->solution.gpu_count, 4);
        return true;
    case BRUTE_TOO_LARGE:
        tally->too_large++;
        return true;
    }
    return true;
}

static void check(uint64_t seed, struct tally *tally)
{
    struct brute_instance instance = brute_instance_new(seed);
    struct glet_error err = {0};
    struct glet_problem *problem = NULL;
    tally->instances++;
    if (glet_problem_new(instance.fixture.workload, instance.fixture.profile, instance.objective,
                         &problem, &err) < 0) {
        if (err.code != GLET_ERR_UNDECIDED)
            fail(tally, seed, &instance, err.message, err.code, 0);
        fixture_free(&instance.fixture);
        return;
    }
    struct brute_answer truth = brute_solve(&instance);
    if (!serveable(problem)) {
        tally->infeasible++;
        if (truth.status == BRUTE_FOUND)
            fail(tally, seed, &instance, "called unserveable", 0, truth.value);
    } else {
        struct glet_solve_options options = {.effort = GLET_EFFORT_DEFAULT, .max_moves = -1};
        struct glet_solve_result result;
        if (glet_solve(problem, &options, &result, &err) < 0) {
            glet_error_print(&err, stdout);
            fail(tally, seed, &instance, "the solver failed", err.code, 0);
        } else {
            compare(&instance, problem, &result, &truth, seed, tally);
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
    printf("%ld instances from seed %llu: %ld found (%ld proven), %ld infeasible, %ld need more, "
           "%ld too large for the reference, %ld failures\n",
           tally.instances, (unsigned long long)first, tally.found, tally.proven, tally.infeasible,
           tally.more, tally.too_large, tally.failures);
    return tally.failures ? 1 : 0;
}
