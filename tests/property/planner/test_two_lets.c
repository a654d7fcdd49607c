/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether one GPU of at most two gpu-lets is enough, against the reference: it never claims the
 * wrong answer, and nearly always has one.
 *
 * usage: test_two_lets [COUNT [FIRST_SEED]]; prints the seed of every failure.
 */
#include "planner/model/unserveable.h"
#include "planner/solve/exact/two_lets.h"
#include "tests/property/planner/brute_force.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct tally {
    long looked, found, excluded, open, failures;
};

static void compare(uint64_t seed, const struct brute_instance *instance,
                    const struct glet_search *search, struct tally *tally)
{
    struct brute_answer truth = brute_solve(instance);
    bool found = isfinite(search->best_cost), excluded = search->bound > search->cost[0];
    bool one = truth.status == BRUTE_FOUND && truth.value <= search->cost[0] * (1 + 1e-9);
    tally->looked++;
    tally->found += found;
    tally->excluded += excluded;
    tally->open += !found && !excluded;
    if (truth.status == BRUTE_TOO_LARGE || !((found && !one) || (excluded && one)))
        return;
    tally->failures++;
    printf("seed %llu (%s): %s, but the optimum is %g\n", (unsigned long long)seed, instance->what,
           found ? "a plan on one GPU" : "one GPU excluded", truth.value);
}

static void check(uint64_t seed, struct tally *tally)
{
    struct brute_instance instance = brute_instance_new(seed);
    struct glet_error err = {0};
    struct glet_problem *problem = NULL;
    struct glet_unserveable why;
    instance.objective = GLET_MIN_GPUS;
    bool usable = glet_problem_new(instance.fixture.workload, instance.fixture.profile,
                                   instance.objective, &problem, &err) == 0 &&
                  problem->app_count == 0;
    for (int m = 0; usable && m < problem->model_count; m++)
        usable = !glet_unserveable(problem, m, &why);
    if (usable) {
        struct glet_space space;
        struct glet_search search;
        glet_space_init(&space, problem, 8);
        glet_search_init(&search, problem, &space, GLET_EFFORT_DEFAULT, NULL);
        if (glet_two_lets_run(&search))
            compare(seed, &instance, &search, tally);
        glet_search_fini(&search);
        glet_space_fini(&space);
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
    printf("%ld instances from seed %llu: looked at %ld, %ld found, %ld excluded, %ld open, "
           "%ld failures\n",
           count, (unsigned long long)first, tally.looked, tally.found, tally.excluded, tally.open,
           tally.failures);
    bool idle = count >= 500 && (tally.found < count / 20 || tally.excluded < count / 20);
    return tally.failures || idle || tally.open > count / 50 ? 1 : 0;
}
