/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deadlines of models that only apps use: at least the bounds, and within the SLO along every path;
 * the longest path of a lone app has all of it. On random apps, the seed is printed. */
#include "planner/deadlines.h"

#include "common/random.h"
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>

enum { STAGES = 6, APPS = 3, ROUNDS = 500 };

static struct glet_error err;

struct world {
    struct glet_problem problem;
    struct glet_problem_app apps[APPS];
    struct glet_problem_stage stages[APPS][STAGES];
    int after[APPS][STAGES][STAGES];
    struct glet_plan plan;
    struct glet_plan_model models[STAGES];
    struct glet_plan_gpu gpu;
    struct glet_plan_let lets[STAGES];
    struct glet_plan_let_model parts[STAGES];
};

/* One gpu-let per model; each app has its models in another order, and stages after any before. */
static void make(struct world *w, struct glet_random *random, int models, int apps)
{
    *w = (struct world){.problem = {.apps = w->apps, .app_count = apps, .model_count = models}};
    w->plan = (struct glet_plan){
        .models = w->models, .model_count = (size_t)models, .gpus = &w->gpu, .gpu_count = 1};
    w->gpu = (struct glet_plan_gpu){.lets = w->lets, .let_count = (size_t)models};
    for (int m = 0; m < models; m++) {
        w->parts[m] = (struct glet_plan_let_model){
            .model = (size_t)m, .latency_bound_ms = 0.1 + 10 * glet_random_uniform(random)};
        w->lets[m] = (struct glet_plan_let){.models = &w->parts[m], .model_count = 1};
    }
    for (int a = 0; a < apps; a++) {
        struct glet_problem_app *app = &w->apps[a];
        *app = (struct glet_problem_app){.stages = w->stages[a], .stage_count = models};
        for (int s = 0; s < models; s++) {
            struct glet_problem_stage *stage = &app->stages[s];
            *stage =
                (struct glet_problem_stage){.model = (s + a) % models, .after = w->after[a][s]};
            for (int before = 0; before < s; before++)
                if (glet_random_uniform(random) < 0.4)
                    stage->after[stage->after_count++] = before;
        }
    }
}

static double longest_ms(const struct glet_problem_app *app, const double *of_model_ms)
{
    double end_ms[STAGES], longest = 0;
    for (int s = 0; s < app->stage_count; s++) {
        double start_ms = 0;
        for (int i = 0; i < app->stages[s].after_count; i++)
            start_ms = fmax(start_ms, end_ms[app->stages[s].after[i]]);
        end_ms[s] = start_ms + of_model_ms[app->stages[s].model];
        longest = fmax(longest, end_ms[s]);
    }
    return longest;
}

static void deadlines_use_what_is_left(void **state)
{
    (void)state;
    uint64_t seed = 1;
    struct glet_random random = glet_random_seeded(seed);
    for (int round = 0; round < ROUNDS; round++) {
        struct world w;
        double bound_ms[STAGES], deadline_ms[STAGES];
        int models = 1 + round % STAGES, apps = 1 + round % APPS;
        make(&w, &random, models, apps);
        for (int m = 0; m < models; m++)
            bound_ms[m] = w.parts[m].latency_bound_ms;
        for (int a = 0; a < apps; a++)
            w.apps[a].slo_ms =
                longest_ms(&w.apps[a], bound_ms) * (1 + glet_random_uniform(&random));
        CHECK_OK(glet_plan_set_deadlines(&w.problem, &w.plan, &err), &err);
        for (int m = 0; m < models; m++) {
            deadline_ms[m] = w.models[m].deadline_ms;
            if (deadline_ms[m] < bound_ms[m])
                fail_msg("seed %llu, round %d: model %d", (unsigned long long)seed, round, m);
        }
        for (int a = 0; a < apps; a++) {
            double longest = longest_ms(&w.apps[a], deadline_ms), slo = w.apps[a].slo_ms;
            if (longest > slo * (1 + 1e-12) || (apps == 1 && longest < slo * (1 - 1e-12)))
                fail_msg("seed %llu, round %d: %.17g of %.17g", (unsigned long long)seed, round,
                         longest, slo);
        }
    }
}

static void a_model_with_an_slo_has_no_other_deadline(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(2);
    struct world w;
    make(&w, &random, 3, 1);
    w.models[1].slo_ms = 50;
    w.apps[0].slo_ms = 100;
    CHECK_OK(glet_plan_set_deadlines(&w.problem, &w.plan, &err), &err);
    assert_true(w.models[0].deadline_ms > 0 && w.models[2].deadline_ms > 0);
    CHECK_NEAR(w.models[1].deadline_ms, 0, 0);
}

/* A baseline's plan may break its SLOs: its deadlines are its bounds. */
static void a_late_app_has_its_bounds(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(3);
    struct world w;
    make(&w, &random, 2, 1);
    w.apps[0].slo_ms = 0.01;
    CHECK_OK(glet_plan_set_deadlines(&w.problem, &w.plan, &err), &err);
    for (int m = 0; m < 2; m++)
        CHECK_NEAR(w.models[m].deadline_ms, w.parts[m].latency_bound_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_use_what_is_left),
        cmocka_unit_test(a_model_with_an_slo_has_no_other_deadline),
        cmocka_unit_test(a_late_app_has_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
