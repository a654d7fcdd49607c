/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fleets of several models: what changes of rates, limits and stock do to their plans, and the
 * monolithic integer program beside the solver.
 */
#include "planner/analyse/diff.h"
#include "planner/solve/space/lp_glpk.h"
#include "tests/unit/check.h"
#include "tests/unit/planner/solved.h"

#include <math.h>
#include <stdlib.h>

static struct glet_error err;

static struct fixture fleet(void)
{
    struct fixture f = ten();
    for (int m = 0; m < 6; m++) {
        char name[16];
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
        char name[16];
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
        cmocka_unit_test(replanning_with_equal_rates_moves_nothing),
        cmocka_unit_test(without_sharing_it_equals_the_monolithic_program),
        cmocka_unit_test(a_rate_of_zero_frees_only_that_model),
        cmocka_unit_test(a_missing_profile_is_no_zero),
        cmocka_unit_test(a_limit_still_gives_a_checked_plan_and_a_valid_bound),
        cmocka_unit_test(more_load_never_needs_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
