/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/bound/bound.h"
#include "planner/solve/search/bulk.h"
#include "planner/solve/space/lp_glpk.h"
#include "tests/unit/planner/solve/fleet_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODELS 30

struct job {
    struct glet_space space;
    double load; /* GPUs at least */
    double rest_rps[MODELS];
    struct glet_boxes boxes;
};

static double bound_of(struct job *job)
{
    double cost = 1;
    struct glet_bound_options options = {.rounds = 60};
    return glet_bound_find(&job->space, &cost, &options, NULL);
}

static int run(void *context)
{
    struct job *job = context;
    for (int m = 0; m < MODELS; m++)
        job->rest_rps[m] = job->space.problem->models[m].demand_rps;
    job->load = bound_of(job);
    glet_bulk_take(&job->space, job->load, NULL, job->rest_rps, &job->boxes);
    return 0;
}

static void start(struct job *job, const struct glet_problem *problem)
{
    struct glet_error err = {0};
    *job = (struct job){0};
    glet_space_init(&job->space, problem, 8);
    CHECK_OK(glet_lp_guard(run, job, NULL, &err), &err);
}

static void finish(struct job *job)
{
    glet_space_fini(&job->space);
    glet_boxes_free(&job->boxes);
}

/* Every GPU keeps the contract, and the rest is what they do not serve. */
static void check_rates(struct job *job, const struct glet_problem *problem)
{
    double served_rps[MODELS];
    glet_boxes_rates(problem, &job->boxes, served_rps);
    for (int m = 0; m < MODELS; m++) {
        double demand_rps = problem->models[m].demand_rps;
        assert_true(job->rest_rps[m] >= 0);
        assert_true(fabs(job->rest_rps[m] - fmax(0, demand_rps - served_rps[m])) <
                    1e-6 * demand_rps);
    }
    for (int i = 0; i < job->boxes.count; i++)
        assert_true(glet_boxes_evaluate(problem, &job->boxes, i));
}

/* Most of the plan, and hardly more GPUs than the bound has for what they serve. */
static void takes_most_at_the_bound(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct glet_fleet fleet;
        struct glet_problem *problem = fleet_problem(&fleet, MODELS, 300, seed);
        struct job job;
        start(&job, problem);
        check_rates(&job, problem);
        assert_true(job.boxes.count > 0.8 * job.load);
        struct glet_problem *rest = glet_problem_view(problem);
        assert_non_null(rest);
        for (int m = 0; m < MODELS; m++)
            rest->models[m].demand_rps = job.rest_rps[m];
        job.space.problem = rest;
        double least = job.boxes.count + bound_of(&job);
        assert_true(least >= job.load * (1 - 1e-6));
        assert_true(least <= job.load * 1.004);
        job.space.problem = problem;
        glet_problem_free(rest);
        finish(&job);
        glet_problem_free(problem);
        glet_fleet_free(&fleet);
    }
}

static void repeats_itself(void **state)
{
    (void)state;
    struct glet_fleet fleet;
    struct glet_problem *problem = fleet_problem(&fleet, MODELS, 200, 7);
    struct job one, two;
    start(&one, problem);
    start(&two, problem);
    assert_int_equal(one.boxes.count, two.boxes.count);
    assert_memory_equal(one.rest_rps, two.rest_rps, sizeof one.rest_rps);
    finish(&one);
    finish(&two);
    glet_problem_free(problem);
    glet_fleet_free(&fleet);
}

/* A GPU for each model is too little for whole GPUs to be of use. */
static void leaves_small_loads_alone(void **state)
{
    (void)state;
    struct glet_fleet fleet;
    struct glet_problem *problem = fleet_problem(&fleet, MODELS, MODELS, 1);
    struct job job;
    start(&job, problem);
    assert_int_equal(job.boxes.count, 0);
    for (int m = 0; m < MODELS; m++)
        assert_true(job.rest_rps[m] == problem->models[m].demand_rps);
    finish(&job);
    glet_problem_free(problem);
    glet_fleet_free(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_most_at_the_bound),
        cmocka_unit_test(repeats_itself),
        cmocka_unit_test(leaves_small_loads_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
