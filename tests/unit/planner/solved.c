/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/planner/solved.h"

#include "planner/verify/verify.h"
#include "tests/unit/check.h"

static struct glet_error err;

void outcome_fini(struct outcome *o)
{
    glet_plan_free(o->plan);
}

static void check_plan(const struct fixture *f, const struct glet_plan *plan)
{
    struct glet_verdict verdict;
    CHECK_OK(glet_verify(f->workload, f->profile, plan, &verdict, &err), &err);
    for (size_t i = 0; i < verdict.count; i++)
        fail_msg("%s: %s", verdict.violations[i].where, verdict.violations[i].what);
    glet_verdict_fini(&verdict);
}

struct outcome solve_with(struct fixture *f, enum glet_objective objective,
                          const struct glet_solve_options *options)
{
    struct outcome o = {0};
    struct glet_problem *p = fixture_problem(f, objective);
    struct glet_solve_result r;
    CHECK_OK(glet_solve(p, options, &r, &err), &err);
    o.found = r.found;
    o.infeasible = r.infeasible;
    o.bound = r.bound.gpus;
    o.cost_bound = r.bound.cost_per_hour;
    o.scale_bound = r.bound.scale;
    if (r.found) {
        CHECK_OK(glet_solution_to_plan(p, &r.solution, &r.bound, &o.plan, &err), &err);
        o.gpus = o.plan->certificate.gpus;
        o.scale = r.solution.scale;
        o.cost = glet_solution_cost(p, &r.solution);
        for (size_t g = 0; g < o.plan->gpu_count; g++) {
            o.lets += (int)o.plan->gpus[g].let_count;
            for (size_t i = 0; i < o.plan->gpus[g].let_count; i++)
                o.slots += (int)o.plan->gpus[g].lets[i].model_count;
        }
        check_plan(f, o.plan);
        if (objective == GLET_MIN_GPUS)
            assert_true(o.bound <= o.gpus);
    }
    glet_solve_result_fini(&r);
    glet_problem_free(p);
    return o;
}

struct outcome solve(struct fixture *f, enum glet_objective objective)
{
    struct glet_solve_options options = {.effort = GLET_EFFORT_DEFAULT, .max_moves = -1};
    return solve_with(f, objective, &options);
}

void expect(struct fixture *f, int gpus)
{
    struct outcome o = solve(f, GLET_MIN_GPUS);
    assert_int_equal(o.found ? o.gpus : -1, gpus);
    outcome_fini(&o);
    fixture_free(f);
}

struct fixture ten(void)
{
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    return f;
}
