/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Planning from an older plan, against the reference on instances of up to 3 models and 3 GPUs: the
 * same cost and then the same number of new gpu-lets, also with a limit on them. Unchanged demand
 * changes nothing, and a model whose rate becomes 0 leaves without disturbing the others.
 *
 * usage: test_replan [COUNT [FIRST_SEED]]; prints the seed of every failure.
 */
#include "common/random.h"
#include "planner/model/unserveable.h"
#include "planner/solve/solve.h"
#include "tests/property/planner/brute_force.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LETS_MAX 32

struct tally {
    long found, none, unchanged, skipped, more_moves, failures;
};

struct lets {
    struct brute_let list[LETS_MAX];
    int count;
};

static void fail(struct tally *tally, uint64_t seed, const struct brute_instance *instance,
                 const char *change, const char *what, double got, double wanted)
{
    tally->failures++;
    printf("seed %llu (%s; %s): %s: %.12g, expected %.12g\n", (unsigned long long)seed,
           instance->what, change, what, got, wanted);
}

static int solve(const struct brute_instance *instance, const struct glet_plan *from, int max_moves,
                 struct glet_problem **problem, struct glet_solve_result *result)
{
    struct glet_error err = {0};
    struct glet_unserveable why;
    struct glet_solve_options options = {
        .effort = GLET_EFFORT_DEFAULT, .from = from, .max_moves = max_moves};
    bool solvable = glet_problem_new(instance->fixture.workload, instance->fixture.profile,
                                     instance->objective, problem, &err) == 0;
    for (int m = 0; solvable && m < (*problem)->model_count; m++)
        solvable = !glet_unserveable(*problem, m, &why);
    if (solvable && glet_solve(*problem, &options, result, &err) == 0)
        return 0;
    glet_problem_free(*problem);
    *problem = NULL;
    return -1;
}

static void list_lets(const struct glet_problem *problem, const struct glet_solution *plan,
                      struct lets *out)
{
    out->count = 0;
    for (int g = 0; g < plan->gpu_count; g++)
        for (int i = 0; i < plan->gpus[g].let_count && out->count < LETS_MAX; i++) {
            const struct glet_let *let = &plan->gpus[g].lets[i];
            struct brute_let *to = &out->list[out->count++];
            *to = (struct brute_let){.gpu = g, .type = plan->gpus[g].type};
            to->units = problem->types[to->type].sizes_units[let->size];
            for (int k = 0; k < let->slot_count; k++)
                to->batch[let->slots[k].model] = let->slots[k].batch;
        }
}

/* What happens to the workload between the two plans. */
static const char *change(struct brute_instance *instance, struct glet_random *random)
{
    struct glet_workload *workload = instance->fixture.workload;
    size_t m = (size_t)glet_random_below(random, workload->model_count);
    switch (glet_random_below(random, 4)) {
    case 0:
        return "unchanged";
    case 1:
        workload->models[m].rate_rps = 0;
        return "without a model";
    case 2:
        workload->models[m].rate_rps *= 1 + glet_random_uniform(random);
        return "higher rate";
    default:
        for (size_t i = 0; i < workload->model_count; i++)
            workload->models[i].rate_rps *= 0.5 + glet_random_uniform(random);
        return "other rates";
    }
}

static double value_of(const struct glet_problem *problem, const struct glet_solution *plan)
{
    return problem->objective == GLET_MIN_COST ? glet_solution_cost(problem, plan)
                                               : plan->gpu_count;
}

/* With apps two splits of their SLOs are tried, which proves nothing about the others. */
static void compare(uint64_t seed, const struct brute_instance *instance, const char *what,
                    const struct lets *old, int max_moves, struct tally *tally,
                    const struct glet_plan *from)
{
    struct glet_problem *problem = NULL;
    struct glet_solve_result result;
    if (solve(instance, from, max_moves, &problem, &result) < 0) {
        tally->skipped++;
        return;
    }
    struct brute_replan truth = brute_replan(instance, old->list, old->count, max_moves);
    if (result.found) {
        struct lets now;
        list_lets(problem, &result.solution, &now);
        int moves = brute_moves(old->list, old->count, now.list, now.count);
        double value = value_of(problem, &result.solution);
        tally->found++;
        tally->unchanged += moves == 0;
        if (max_moves >= 0 && moves > max_moves)
            fail(tally, seed, instance, what, "too many moves", moves, max_moves);
        if (truth.status == BRUTE_INFEASIBLE)
            fail(tally, seed, instance, what, "a plan where there is none", value, 0);
        if (truth.status == BRUTE_FOUND && fabs(value - truth.value) > 1e-6 * truth.value)
            fail(tally, seed, instance, what, "not the lowest cost", value, truth.value);
        else if (truth.status == BRUTE_FOUND && moves > truth.moves && problem->app_count)
            tally->more_moves++;
        else if (truth.status == BRUTE_FOUND && moves != truth.moves)
            fail(tally, seed, instance, what, "not the fewest moves", moves, truth.moves);
    } else {
        tally->none++;
        if (truth.status == BRUTE_FOUND)
            fail(tally, seed, instance, what, "nothing found", 0, truth.value);
        if (truth.status == BRUTE_INFEASIBLE && problem->app_count == 0 && !result.infeasible)
            fail(tally, seed, instance, what, "infeasibility not proven", 0, 1);
    }
    glet_solve_result_fini(&result);
    glet_problem_free(problem);
}

static void check(uint64_t seed, struct tally *tally)
{
    struct brute_instance instance = brute_instance_new(seed);
    struct glet_random random = glet_random_seeded(seed ^ 0x2545f4914f6cdd1du);
    struct glet_problem *problem = NULL;
    struct glet_solve_result result;
    struct glet_plan *plan = NULL;
    struct glet_error err = {0};
    struct lets old = {.count = 0};
    if (instance.objective == GLET_MAX_RATE)
        instance.objective = GLET_MIN_GPUS;
    if (solve(&instance, NULL, -1, &problem, &result) < 0) {
        tally->skipped++;
    } else {
        if (result.found && result.solution.gpu_count <= BRUTE_GPUS &&
            glet_solution_to_plan(problem, &result.solution, &result.bound, &plan, &err) == 0) {
            list_lets(problem, &result.solution, &old);
            const char *what = change(&instance, &random);
            int max_moves = glet_random_below(&random, 2) ? -1 : (int)glet_random_below(&random, 3);
            compare(seed, &instance, what, &old, max_moves, tally, plan);
        } else {
            tally->skipped++;
        }
        glet_plan_free(plan);
        glet_solve_result_fini(&result);
        glet_problem_free(problem);
    }
    fixture_free(&instance.fixture);
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 500;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct tally tally = {0};
    for (long i = 0; i < count && tally.failures < 20; i++)
        check(first + (uint64_t)i, &tally);
    printf("%ld instances from seed %llu: %ld replanned (%ld without a change), %ld impossible, "
           "%ld skipped, %ld with apps and more moves than needed, %ld failures\n",
           count, (unsigned long long)first, tally.found, tally.unchanged, tally.none,
           tally.skipped, tally.more_moves, tally.failures);
    return tally.failures ? 1 : 0;
}
