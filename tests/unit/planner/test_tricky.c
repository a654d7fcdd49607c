/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small cases in which planners go wrong, each with its answer worked out by hand. Every plan is
 * also checked by the verifier, and no bound may exceed its plan.
 */
#include "planner/analyse/diff.h"
#include "planner/model/unserveable.h"
#include "planner/solve/bound/bound.h"
#include "planner/solve/solve.h"
#include "planner/solve/space/lp_glpk.h"
#include "planner/verify/verify.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct glet_error err;

struct outcome {
    bool found, infeasible;
    int gpus, lets, slots, bound;
    double scale, scale_bound, cost, cost_bound;
    struct glet_plan *plan; /* outcome_fini() */
};

static void outcome_fini(struct outcome *o)
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

static struct outcome solve_with(struct fixture *f, enum glet_objective objective,
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

static struct outcome solve(struct fixture *f, enum glet_objective objective)
{
    struct glet_solve_options options = {.effort = GLET_EFFORT_DEFAULT, .max_moves = -1};
    return solve_with(f, objective, &options);
}

/* Solves for the fewest GPUs; the answer must be `gpus`, -1 = none. Frees the fixture. */
static void expect(struct fixture *f, int gpus)
{
    struct outcome o = solve(f, GLET_MIN_GPUS);
    assert_int_equal(o.found ? o.gpus : -1, gpus);
    outcome_fini(&o);
    fixture_free(f);
}

/* A device of 10 units, plenty of memory, up to 4 gpu-lets, no limit on the stock. */
static struct fixture ten(void)
{
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    return f;
}

static bool is_unserveable(struct fixture *f)
{
    struct glet_unserveable why;
    struct glet_problem *p = fixture_problem(f, GLET_MIN_GPUS);
    bool found = glet_unserveable(p, 0, &why);
    glet_problem_free(p);
    return found;
}

static void twice_the_latency_is_the_limit(void **state)
{
    (void)state;
    struct fixture f = ten();
    fixture_model(&f, "m", 10, 20);
    fixture_row(&f, 0, 0, 1, 10, 10);
    assert_false(is_unserveable(&f)); /* 2 L = SLO */
    f.workload->models[0].slo_ms = 19.999;
    assert_true(is_unserveable(&f));
    f.workload->models[0].slo_ms = 20;
    expect(&f, 1);
}

static void two_models(struct fixture *f, double ms, double slo_ms, double rate_rps)
{
    for (int m = 0; m < 2; m++) {
        fixture_model(f, m ? "b" : "a", rate_rps, slo_ms);
        fixture_row(f, 0, m, 1, 5, ms);
    }
}

static void feasible_only_alone(void **state)
{
    (void)state;
    struct fixture f = ten();
    two_models(&f, 10, 20, 60);
    fixture_util(&f, 0, 0, 1, 0);
    fixture_util(&f, 0, 1, 1, 0);
    fixture_interference(&f, 0, 1, 0, 0.1, 0, 0, 0); /* any neighbour: x 1.1 */
    expect(&f, 2);
    f = ten();
    two_models(&f, 10, 20, 60);
    expect(&f, 1);
}

static void a_pair_that_fits_at_no_batch(void **state)
{
    (void)state;
    struct fixture f = ten();
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 60, 30); /* too much to take turns */
        fixture_curve(&f, 0, m, 8, 5, 9, 1);
    }
    fixture_util(&f, 0, 0, 1, 0);
    fixture_util(&f, 0, 1, 1, 0);
    fixture_interference(&f, 0, 1, 0, 0.6, 0, 0, 0);
    expect(&f, 2); /* 2 x 10 x 1.6 > 30 */
}

static void a_neighbour_shrinks_the_batch(void **state)
{
    (void)state;
    struct fixture f = ten();
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 150, 30);
        fixture_curve(&f, 0, m, 8, 5, 7, 1);
    }
    fixture_util(&f, 0, 0, 1, 0);
    fixture_util(&f, 0, 1, 1, 0);
    fixture_interference(&f, 0, 1, 0, 0.25, 0, 0, 0);
    /* alone batch 8 (2 x 15 ms); beside the other 2 x (7 + 5) x 1.25 = 30: batch 5, 333/s */
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_int_equal(o.gpus, 1);
    for (size_t i = 0; i < 2; i++)
        assert_true(o.plan->gpus[0].lets[i].models[0].batch <= 5);
    outcome_fini(&o);
    fixture_free(&f);
}

static void factors_below_one_clip(void **state)
{
    (void)state;
    struct fixture f = ten();
    two_models(&f, 10, 20, 60);
    fixture_util(&f, 0, 0, 1, 1);
    fixture_util(&f, 0, 1, 1, 1);
    fixture_interference(&f, 0, 0.5, 0, -0.2, 0, -0.1, 0);
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_int_equal(o.gpus, 1);
    CHECK_NEAR(o.plan->gpus[0].lets[0].models[0].factor, 1, 0);
    outcome_fini(&o);
    fixture_free(&f);
}

static void a_negative_aggressor_must_not_break_the_bound(void **state)
{
    (void)state;
    struct fixture f = ten();
    two_models(&f, 10, 22, 90.9);
    fixture_util(&f, 0, 0, 1, 0);
    fixture_util(&f, 0, 1, 1, 0);
    fixture_interference(&f, 0, 1.3, 0, -0.2, 0, 0, 0); /* 1.3 alone would be infeasible; 1.1 is */
    expect(&f, 1);
}

static void one_resident_has_factor_one(void **state)
{
    (void)state;
    struct fixture f = ten();
    fixture_model(&f, "m", 99, 20);
    fixture_row(&f, 0, 0, 1, 10, 10);
    fixture_util(&f, 0, 0, 1, 1);
    fixture_interference(&f, 0, 2, 1, 1, 1, 1, 1);
    expect(&f, 1);
}

/* One gpu-let serves exactly 100/s. */
static struct fixture exact(double rate_rps)
{
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    fixture_model(&f, "m", rate_rps, 20);
    fixture_row(&f, 0, 0, 1, 10, 10);
    return f;
}

static void rates_at_the_edges(void **state)
{
    (void)state;
    struct fixture f = exact(0);
    expect(&f, 0);
    f = exact(100);
    expect(&f, 1);
    f = exact(100 * (1 + 1e-12)); /* within the contract's slack */
    expect(&f, 1);
    f = exact(100 * (1 + 1e-6));
    expect(&f, 2);
    f = exact(300);
    expect(&f, 3);
}

/* Next to what the first row costs, the second is out of all proportion. */
static void a_latency_near_nothing(void **state)
{
    (void)state;
    struct fixture f = ten();
    fixture_model(&f, "m", 1e-6, 20);
    fixture_row(&f, 0, 0, 1, 2, 1e-6);
    fixture_row(&f, 0, 0, 2, 2, 10);
    struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_space space;
    struct glet_prices prices;
    glet_space_init(&space, p, 8);
    glet_prices_init(&prices, p);
    prices.sigma[0][0] = 0.2;
    double bound = glet_bound_evaluate(&space, (double[]){1}, 512, &prices);
    assert_true(bound > 0 && bound <= 1);
    glet_prices_fini(&prices, p);
    glet_space_fini(&space);
    glet_problem_free(p);
    expect(&f, 1);
}

/* A device that claims more gpu-lets than are ever planned on one GPU. */
static void more_gpulets_than_are_planned(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 64, 64, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 2 * GLET_GPULETS_MAX; m++) {
        char name[8];
        snprintf(name, sizeof name, "m%02d", m);
        fixture_model(&f, name, 99, 20);
        fixture_row(&f, 0, m, 1, 1, 10);
    }
    expect(&f, 2);
}

static void a_tiny_rate_shares(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 3; m++) {
        fixture_model(&f, m == 0 ? "a" : m == 1 ? "b" : "c", 1e-6, 100);
        fixture_row(&f, 0, m, 1, 10, 10);
    }
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_int_equal(o.gpus, 1);
    assert_int_equal(o.lets, 1);
    assert_int_equal(o.slots, 3);
    outcome_fini(&o);
    fixture_free(&f);
}

static void the_tail_shares_a_gpulet(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    fixture_model(&f, "a", 301, 40); /* 3.01 gpu-lets' worth */
    fixture_row(&f, 0, 0, 1, 10, 10);
    fixture_model(&f, "b", 45, 40);
    fixture_row(&f, 0, 1, 1, 10, 10);
    expect(&f, 4); /* the fourth carries the tail of a, and b */
}

static void a_tight_and_a_loose_slo_share_a_short_round(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    fixture_model(&f, "tight", 60, 20); /* round 15 + 5 = 20: equality */
    fixture_row(&f, 0, 0, 1, 10, 5);
    fixture_model(&f, "loose", 60, 1000);
    fixture_row(&f, 0, 1, 1, 10, 10);
    fixture_row(&f, 0, 1, 8, 10, 40); /* the better batch would make the round too long */
    expect(&f, 1);
}

static void shareable_in_pairs_but_not_all_three(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 3; m++) {
        fixture_model(&f, m == 0 ? "a" : m == 1 ? "b" : "c", 10, 30);
        fixture_row(&f, 0, m, 1, 10, 10);
    }
    expect(&f, 2); /* two: 20 + 10 = 30; three: 30 + 10 > 30 */
}

static void more_than_twelve_models_in_a_gpulet(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 14; m++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", m);
        fixture_model(&f, name, 5, 160);
        fixture_row(&f, 0, m, 1, 10, 10);
    }
    expect(&f, 1);
}

static void the_best_batch_is_not_the_last(void **state)
{
    (void)state;
    struct fixture f = exact(150);
    fixture_row(&f, 0, 0, 2, 10, 9);
    fixture_row(&f, 0, 0, 3, 10, 40);
    f.workload->models[0].slo_ms = 100;
    expect(&f, 1); /* batch 2: 222/s; batch 3: 75/s */
}

static void sizes_without_a_profile(void **state)
{
    (void)state;
    struct fixture f = ten();
    two_models(&f, 10, 20, 60);
    for (size_t i = 0; i < f.profile->latency_count; i++)
        f.profile->latency[i].units = i ? 6 : 5; /* 60 + 50 % */
    expect(&f, 2);
}

static void layouts_are_not_sums(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    int d = fixture_device(&f, "mig", GLET_MECHANISM_MIG, 8, 7, 1e6);
    fixture_layout(&f, d, (int[]){4, 3, 0}); /* no 4 + 4 */
    fixture_layout(&f, d, (int[]){3, 3, 0}); /* no 3 + 3 + 1 */
    fixture_stock(&f, "mig", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < 2; m++) {
        fixture_model(&f, m ? "b" : "a", 90, 20);
        fixture_row(&f, 0, m, 1, 4, 10);
    }
    expect(&f, 2);
}

static void a_model_larger_than_the_gpu(void **state)
{
    (void)state;
    struct fixture f = exact(10);
    f.profile->devices[0].memory_mib = 1000;
    f.profile->models[0].memory_mib = 1001;
    assert_true(is_unserveable(&f));
    fixture_free(&f);
}

static void the_aggregate_memory_fits_but_no_assignment_does(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, 1000);
    fixture_stock(&f, "g", 2, 1, NULL);
    for (int m = 0; m < 3; m++) { /* 3 x 600 <= 2 x 1000, but two of them never fit one GPU */
        fixture_model(&f, m == 0 ? "a" : m == 1 ? "b" : "c", 1, 500);
        fixture_row(&f, 0, m, 1, 2, 10);
        f.profile->models[m].memory_mib = 600;
    }
    expect(&f, -1);
}

static void weights_are_shared_where_address_spaces_are(void **state)
{
    (void)state;
    for (int mechanism = 0; mechanism < 2; mechanism++) {
        struct fixture f = fixture_new();
        fixture_device(&f, "g", mechanism ? GLET_MECHANISM_MPS : GLET_MECHANISM_GREEN_CONTEXT, 10,
                       4, 1000);
        fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
        fixture_model(&f, "m", 180, 20); /* one model in two gpu-lets */
        fixture_row(&f, 0, 0, 1, 5, 10);
        f.profile->models[0].memory_mib = 600;
        expect(&f, mechanism ? 2 : 1);
    }
}

static void stock_limits(void **state)
{
    (void)state;
    struct fixture f = exact(100);
    f.workload->gpus[0].count = 0;
    assert_true(is_unserveable(&f));
    fixture_free(&f);
    f = exact(250);
    f.workload->gpus[0].count = 2;
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_false(o.found);
    assert_true(o.infeasible);
    outcome_fini(&o);
    o = solve(&f, GLET_MAX_RATE);
    assert_true(o.found);
    CHECK_NEAR(o.scale, 0.8, 1e-6);
    assert_true(o.scale_bound >= o.scale * (1 - 1e-9));
    outcome_fini(&o);
    fixture_free(&f);
}

static void the_cheaper_type_cannot_meet_one_slo(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "a-fast", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_device(&f, "b-cheap", GLET_MECHANISM_MPS, 10, 1, 1e6);
    fixture_stock(&f, "a-fast", GLET_COUNT_UNLIMITED, 3, NULL);
    fixture_stock(&f, "b-cheap", GLET_COUNT_UNLIMITED, 1, NULL);
    fixture_model(&f, "tight", 100, 20);
    fixture_row(&f, 0, 0, 1, 10, 10);
    fixture_row(&f, 1, 0, 1, 10, 20);
    fixture_model(&f, "loose", 100, 200);
    fixture_row(&f, 0, 1, 1, 10, 10);
    fixture_row(&f, 1, 1, 1, 10, 20);
    struct outcome o = solve(&f, GLET_MIN_COST);
    CHECK_NEAR(o.cost, 3 + 2, 1e-9); /* loose: two cheap ones at 50/s rather than a fast one */
    assert_true(o.cost_bound <= o.cost + 1e-9);
    outcome_fini(&o);
    fixture_free(&f);
}

static void identical_models_and_single_sizes(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 2, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    two_models(&f, 10, 20, 500); /* ceil(1000 / 100) gpu-lets of half a GPU */
    expect(&f, 5);
}

static void the_bound_is_not_rounded_up_across_the_slack(void **state)
{
    (void)state;
    struct fixture f = exact(1000 * (1 + 1e-10)); /* ten GPUs, within the slack */
    struct outcome o = solve(&f, GLET_MIN_GPUS);
    assert_int_equal(o.gpus, 10);
    assert_int_equal(o.bound, 10);
    outcome_fini(&o);
    fixture_free(&f);
}

static void rates_scale_the_answer(void **state)
{
    (void)state;
    for (int lambda = 1; lambda <= 4; lambda++) {
        struct fixture f = exact(100.0 * lambda);
        expect(&f, lambda);
    }
    /* The bound of rates that no batch limits is a linear program: it scales with them. */
    double bound[2];
    for (int i = 0; i < 2; i++) {
        struct fixture f = ten();
        two_models(&f, 10, 20, i ? 5000 : 50000);
        struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
        struct glet_space space;
        struct glet_bound_options options = {.rounds = 60};
        glet_space_init(&space, p, 1);
        bound[i] = glet_bound_find(&space, (double[]){1}, &options, NULL);
        glet_space_fini(&space);
        glet_problem_free(p);
        fixture_free(&f);
    }
    CHECK_NEAR(bound[0], 10 * bound[1], 1e-6);
    CHECK_NEAR(bound[1], 50, 1e-6);
}

static struct fixture fleet(void)
{
    struct fixture f = ten();
    for (int m = 0; m < 6; m++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", m);
        fixture_model(&f, name, 40 + 30 * m, 30 + 10 * m);
        for (int units = 2; units <= 10; units += 4)
            fixture_curve(&f, 0, m, 8, units, 20.0 / units, (8.0 + m) / units);
    }
    return f;
}

static int changed_lets(const struct glet_plan *before, const struct glet_plan *after)
{
    int same = 0, count = 0;
    for (size_t g = 0; g < after->gpu_count; g++)
        for (size_t i = 0; i < after->gpus[g].let_count; i++) {
            const struct glet_plan_let *let = &after->gpus[g].lets[i];
            bool found = false;
            count++;
            for (size_t h = 0; h < before->gpu_count && !found; h++)
                for (size_t j = 0; j < before->gpus[h].let_count && !found; j++) {
                    const struct glet_plan_let *old = &before->gpus[h].lets[j];
                    found = old->units == let->units && old->model_count == let->model_count;
                    for (size_t k = 0; found && k < let->model_count; k++)
                        found = old->models[k].batch == let->models[k].batch &&
                                old->models[k].model == let->models[k].model;
                }
            same += found;
        }
    return count - same;
}

/*
 * Fewest GPUs by the monolithic integer program: how many gpu-lets of each model and size are on
 * each GPU. No interference; sharing in time never pays, because two models break either SLO.
 */
static int monolithic(const struct glet_problem *p, int gpus)
{
    const struct glet_problem_type *t = &p->types[0];
    int models = p->model_count, sizes = t->size_count;
    struct glet_lp *lp = glet_lp_new();
    glet_lp_add_rows(lp, models + 2 * gpus);
    for (int m = 0; m < models; m++)
        glet_lp_row_at_least(lp, m, p->models[m].demand_rps * (1 - 1e-9));
    for (int g = 0; g < gpus; g++) {
        glet_lp_row_at_most(lp, models + g, 0);
        glet_lp_row_at_most(lp, models + gpus + g, 0);
        glet_lp_col_at_most(lp,
                            glet_lp_add_col(lp, 1, 2, (int[]){models + g, models + gpus + g},
                                            (double[]){-t->units, -t->max_gpulets}),
                            1);
        for (int m = 0; m < models; m++)
            for (int s = 0; s < sizes; s++) {
                const struct glet_cell_row *row = &t->rows[m * sizes + s];
                double best_rps = 0;
                for (int i = 0; row->cells && i <= row->last_batch - row->first_batch; i++)
                    if (glet_within(2 * row->cells[i].latency_ms, p->models[m].limit_ms))
                        best_rps = fmax(best_rps,
                                        1000.0 * (row->first_batch + i) / row->cells[i].latency_ms);
                if (best_rps > 0)
                    glet_lp_add_col(lp, 0, 3, (int[]){m, models + g, models + gpus + g},
                                    (double[]){best_rps, t->sizes_units[s], 1});
            }
    }
    double *x = calloc((size_t)glet_lp_col_count(lp), sizeof *x);
    struct glet_ilp_options options = {.cuts = true, .node_limit = 100000};
    int used = 0;
    assert_int_equal(glet_lp_solve_integer(lp, &options, x), GLET_ILP_OPTIMAL);
    for (int g = 0, per_gpu = glet_lp_col_count(lp) / gpus; g < gpus; g++)
        used += x[g * per_gpu] > 0.5;
    free(x);
    glet_lp_free(lp);
    return used;
}

static void without_sharing_it_equals_the_monolithic_program(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct fixture f = fixture_new();
        fixture_device(&f, "g", GLET_MECHANISM_MPS, 4, 3, 1e6);
        fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
        for (int m = 0; m < 3; m++) {
            double ms = 6 + 2 * m + i;
            fixture_model(&f,
                          m == 0   ? "a"
                          : m == 1 ? "b"
                                   : "c",
                          30 + 25 * m + 13 * i, 2 * ms + 0.5);
            for (int units = 1; units <= 4; units++) /* one third slower per unit less */
                fixture_row(&f, 0, m, units, units, ms);
        }
        struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
        int wanted = monolithic(p, 3);
        glet_problem_free(p);
        expect(&f, wanted);
    }
}

/* Two gpu-lets fill a GPU, and no two models may share one. */
static struct fixture pairs(int models)
{
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 2, 1e6);
    fixture_stock(&f, "g", GLET_COUNT_UNLIMITED, 1, NULL);
    for (int m = 0; m < models; m++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", m);
        fixture_model(&f, name, 60, 20);
        fixture_row(&f, 0, m, 1, 5, 10);
    }
    return f;
}

static void a_rate_of_zero_frees_only_that_model(void **state)
{
    (void)state;
    struct fixture f = pairs(5);
    struct outcome first = solve(&f, GLET_MIN_GPUS);
    struct glet_solve_options options = {
        .max_moves = -1, .from = first.plan, .effort = GLET_EFFORT_DEFAULT};
    assert_int_equal(first.gpus, 3);
    for (size_t m = 0; m < 5; m++) {
        f.workload->models[m].rate_rps = 0;
        struct outcome o = solve_with(&f, GLET_MIN_GPUS, &options);
        f.workload->models[m].rate_rps = 60;
        assert_int_equal(o.gpus, 2);
        assert_int_equal(o.lets, 4);
        size_t alone = first.plan->gpus[2].let_count == 1
                           ? first.plan->gpus[2].lets[0].models[0].model
                           : SIZE_MAX;
        /* The one that was alone takes the freed place, unless it is the one that left. */
        struct glet_diff diff;
        CHECK_OK(glet_diff(first.plan, o.plan, NULL, &diff, &err), &err);
        assert_int_equal(diff.lets_after - diff.lets_kept, m != alone);
        glet_diff_fini(&diff);
        outcome_fini(&o);
    }
    outcome_fini(&first);
    fixture_free(&f);
    f = pairs(4); /* a full plan stays full where nothing is gained */
    first = solve(&f, GLET_MIN_GPUS);
    options.from = first.plan;
    f.workload->models[3].rate_rps = 0;
    struct outcome o = solve_with(&f, GLET_MIN_GPUS, &options);
    assert_int_equal(o.gpus, 2);
    assert_int_equal(changed_lets(first.plan, o.plan), 0);
    outcome_fini(&o);
    outcome_fini(&first);
    fixture_free(&f);
}

static void a_missing_profile_is_no_zero(void **state)
{
    (void)state;
    struct fixture f = ten();
    struct glet_problem *p = NULL;
    fixture_model(&f, "known", 10, 20);
    fixture_row(&f, 0, 0, 1, 10, 10);
    fixture_row(&f, 0, 0, 4, 10, 10);
    fixture_model(&f, "unknown", 10, 20);
    fixture_done(&f);
    CHECK_FAILS(glet_problem_new(f.workload, f.profile, GLET_MIN_GPUS, &p, &err), &err,
                GLET_ERR_UNDECIDED,
                "models[1].name: model 'unknown' has no profile at an allowed size on any of the "
                "GPU types");
    f.workload->models[1].rate_rps = 0; /* nothing to know about what nobody asks for */
    p = fixture_problem(&f, GLET_MIN_GPUS);
    assert_null(glet_problem_cell(p, 0, 0, 0, 5)); /* outside the profiled box */
    assert_non_null(glet_problem_cell(p, 0, 0, 0, 3));
    glet_problem_free(p);
    fixture_free(&f);
}

static void replanning_with_equal_rates_moves_nothing(void **state)
{
    (void)state;
    struct fixture f = fleet();
    struct outcome first = solve(&f, GLET_MIN_GPUS);
    struct glet_solve_options options = {
        .max_moves = -1, .from = first.plan, .effort = GLET_EFFORT_DEFAULT};
    struct outcome again = solve_with(&f, GLET_MIN_GPUS, &options);
    assert_int_equal(again.gpus, first.gpus);
    assert_int_equal(changed_lets(first.plan, again.plan), 0);
    outcome_fini(&again);
    outcome_fini(&first);
    fixture_free(&f);
}

/* From a limit that is over before the start to one that is never reached. */
static void a_limit_still_gives_a_checked_plan_and_a_valid_bound(void **state)
{
    (void)state;
    struct fixture f = fleet();
    struct outcome full = solve(&f, GLET_MIN_GPUS);
    static const volatile sig_atomic_t stop = 1;
    for (int k = -1; k < 18; k++) {
        struct glet_solve_options options = {.max_moves = -1,
                                             .stop = k < 0 ? &stop : NULL,
                                             .time_limit_s = k < 0 ? 0 : 1e-6 * (1 << k),
                                             .effort = GLET_EFFORT_DEFAULT};
        struct outcome o = solve_with(&f, GLET_MIN_GPUS, &options);
        assert_true(o.bound <= full.gpus);
        assert_true(!o.found || o.gpus >= full.bound);
        assert_false(o.infeasible);
        outcome_fini(&o);
    }
    outcome_fini(&full);
    fixture_free(&f);
}

static void more_load_never_needs_less(void **state)
{
    (void)state;
    int before = 0;
    for (int percent = 50; percent <= 250; percent += 50) {
        struct fixture f = fleet();
        for (size_t m = 0; m < f.workload->model_count; m++)
            f.workload->models[m].rate_rps *= percent / 100.0;
        struct outcome o = solve(&f, GLET_MIN_GPUS);
        assert_true(o.found && o.gpus >= before && o.bound <= o.gpus);
        before = o.bound;
        outcome_fini(&o);
        fixture_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twice_the_latency_is_the_limit),
        cmocka_unit_test(feasible_only_alone),
        cmocka_unit_test(a_pair_that_fits_at_no_batch),
        cmocka_unit_test(a_neighbour_shrinks_the_batch),
        cmocka_unit_test(factors_below_one_clip),
        cmocka_unit_test(a_negative_aggressor_must_not_break_the_bound),
        cmocka_unit_test(one_resident_has_factor_one),
        cmocka_unit_test(rates_at_the_edges),
        cmocka_unit_test(a_latency_near_nothing),
        cmocka_unit_test(more_gpulets_than_are_planned),
        cmocka_unit_test(a_tiny_rate_shares),
        cmocka_unit_test(the_tail_shares_a_gpulet),
        cmocka_unit_test(a_tight_and_a_loose_slo_share_a_short_round),
        cmocka_unit_test(shareable_in_pairs_but_not_all_three),
        cmocka_unit_test(more_than_twelve_models_in_a_gpulet),
        cmocka_unit_test(the_best_batch_is_not_the_last),
        cmocka_unit_test(sizes_without_a_profile),
        cmocka_unit_test(layouts_are_not_sums),
        cmocka_unit_test(a_model_larger_than_the_gpu),
        cmocka_unit_test(the_aggregate_memory_fits_but_no_assignment_does),
        cmocka_unit_test(weights_are_shared_where_address_spaces_are),
        cmocka_unit_test(stock_limits),
        cmocka_unit_test(the_cheaper_type_cannot_meet_one_slo),
        cmocka_unit_test(identical_models_and_single_sizes),
        cmocka_unit_test(the_bound_is_not_rounded_up_across_the_slack),
        cmocka_unit_test(rates_scale_the_answer),
        cmocka_unit_test(replanning_with_equal_rates_moves_nothing),
        cmocka_unit_test(without_sharing_it_equals_the_monolithic_program),
        cmocka_unit_test(a_rate_of_zero_frees_only_that_model),
        cmocka_unit_test(a_missing_profile_is_no_zero),
        cmocka_unit_test(a_limit_still_gives_a_checked_plan_and_a_valid_bound),
        cmocka_unit_test(more_load_never_needs_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
