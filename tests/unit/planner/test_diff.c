/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What counts as a change between two plans. */
#include "planner/analyse/diff.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

static struct glet_error err;

/* One gpu-let per line: gpu, units, model, batch; gpu -1 ends. Models 0 "a" and 1 "b". */
static struct glet_plan *plan_of(const int (*rows)[4])
{
    struct glet_plan *plan = calloc(1, sizeof *plan);
    plan->models = calloc(2, sizeof *plan->models);
    plan->model_count = 2;
    for (int m = 0; m < 2; m++) {
        plan->models[m].name = strdup(m ? "b" : "a");
        plan->models[m].slo_ms = 20;
    }
    plan->gpus = calloc(8, sizeof *plan->gpus);
    for (; (*rows)[0] >= 0; rows++) {
        struct glet_plan_gpu *gpu = &plan->gpus[(*rows)[0]];
        if (!gpu->id) {
            plan->gpu_count++;
            gpu->id = strdup("gpuN");
            gpu->id[3] = (char)('0' + (*rows)[0]);
            gpu->type = strdup("g");
            gpu->lets = calloc(8, sizeof *gpu->lets);
        }
        struct glet_plan_let *let = &gpu->lets[gpu->let_count++];
        let->units = (*rows)[1];
        let->models = calloc(1, sizeof *let->models);
        let->models[let->model_count++] = (struct glet_plan_let_model){
            .model = (size_t)(*rows)[2], .batch = (*rows)[3], .latency_bound_ms = (*rows)[3]};
    }
    return plan;
}

static void the_order_of_gpus_and_gpulets_is_no_change(void **state)
{
    (void)state;
    struct glet_plan *x =
        plan_of((const int[][4]){{0, 4, 0, 8}, {0, 6, 1, 4}, {1, 10, 1, 16}, {-1}});
    struct glet_plan *y =
        plan_of((const int[][4]){{0, 10, 1, 16}, {1, 6, 1, 4}, {1, 4, 0, 8}, {-1}});
    struct glet_diff diff;
    CHECK_OK(glet_diff(x, y, NULL, &diff, &err), &err);
    assert_int_equal(diff.lets_kept, 3);
    assert_int_equal(diff.change_count, 0);
    glet_diff_fini(&diff);
    glet_plan_free(x);
    glet_plan_free(y);
}

static void a_new_batch_restarts_a_gpulet(void **state)
{
    (void)state;
    struct glet_plan *x = plan_of((const int[][4]){{0, 4, 0, 8}, {0, 6, 1, 4}, {-1}});
    struct glet_plan *y =
        plan_of((const int[][4]){{0, 4, 0, 9}, {0, 6, 1, 4}, {1, 10, 1, 16}, {-1}});
    struct glet_diff diff;
    char text[100];
    CHECK_OK(glet_diff(x, y, NULL, &diff, &err), &err);
    assert_int_equal(diff.gpus_before, 1);
    assert_int_equal(diff.gpus_after, 2);
    assert_int_equal(diff.lets_kept, 1);
    assert_int_equal(diff.change_count, 3);
    assert_int_equal(diff.changes[0].kind, GLET_CHANGE_START);
    glet_diff_let_text(diff.changes[0].plan, diff.changes[0].let, text, sizeof text);
    assert_string_equal(text, "4 units: a x9");
    assert_int_equal(diff.changes[2].kind, GLET_CHANGE_STOP);
    CHECK_NEAR(diff.models[1].worst_after_ms, 16, 0);
    CHECK_NEAR(glet_headroom_percent(16, 20), 20, 1e-9);
    assert_true(isnan(diff.cost_after));
    glet_diff_fini(&diff);
    glet_plan_free(x);
    glet_plan_free(y);
}

static void a_gpulet_that_moves_to_a_fuller_gpu_is_started_there(void **state)
{
    (void)state;
    struct glet_plan *x = plan_of((const int[][4]){{0, 4, 0, 8}, {1, 4, 0, 8}, {-1}});
    struct glet_plan *y = plan_of((const int[][4]){{0, 4, 0, 8}, {0, 4, 0, 8}, {-1}});
    struct glet_diff diff;
    CHECK_OK(glet_diff(x, y, NULL, &diff, &err), &err);
    assert_int_equal(diff.lets_kept, 1);
    assert_int_equal(diff.change_count, 2);
    glet_diff_fini(&diff);
    glet_plan_free(x);
    glet_plan_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_gpus_and_gpulets_is_no_change),
        cmocka_unit_test(a_new_batch_restarts_a_gpulet),
        cmocka_unit_test(a_gpulet_that_moves_to_a_fuller_gpu_is_started_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
