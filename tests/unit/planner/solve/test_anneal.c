/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/search/anneal.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

#include <math.h>

static double anneal(const struct glet_problem *problem, int gpus, bool survive,
                     struct glet_boxes *boxes)
{
    struct glet_anneal_options options = {
        .runs = 8, .steps = 20000, .guess = 1, .enough = INFINITY, .survive = survive};
    struct glet_box empty = {0};
    for (int g = 0; g < gpus; g++)
        glet_boxes_add(boxes, &empty);
    return glet_anneal(problem, &options, boxes);
}

/* Twice the batch takes a quarter longer; 2 of 4 units half as long again. */
static struct fixture two_models(void)
{
    struct fixture f = fixture_new();
    int gpu = fixture_device(&f, "gpu", GLET_MECHANISM_MPS, 4, 2, 1000);
    for (int m = 0; m < 2; m++) {
        int model = fixture_model(&f, m ? "b" : "a", 100, 100);
        fixture_curve(&f, gpu, model, 8, 2, 12, 0.75);
        fixture_curve(&f, gpu, model, 8, 4, 8, 0.5);
    }
    fixture_stock(&f, "gpu", 2, 1, NULL);
    return f;
}

/* Each in half of the GPU: 8 of each in 18 ms; together on all of it: 8 of each in 24 ms. */
static void finds_the_largest_scale(void **state)
{
    (void)state;
    struct fixture f = two_models();
    struct glet_problem *problem = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_boxes boxes = {0};
    CHECK_NEAR(anneal(problem, 1, false, &boxes), 8 / 0.018 / 100, 1e-9);
    assert_int_equal(glet_boxes_at(&boxes, 0)->count, 2);
    glet_boxes_free(&boxes);
    glet_problem_free(problem);
    fixture_free(&f);
}

/* Of two GPUs one is lost: what is left serves what one serves. */
static void leaves_the_worst_loss_out(void **state)
{
    (void)state;
    struct fixture f = two_models();
    struct glet_problem *problem = fixture_problem(&f, GLET_MIN_GPUS);
    struct glet_boxes boxes = {0};
    CHECK_NEAR(anneal(problem, 2, true, &boxes), 8 / 0.018 / 100, 1e-9);
    glet_boxes_free(&boxes);
    assert_true(glet_anneal_suits(problem, 2));
    assert_false(glet_anneal_suits(problem, 1000));
    glet_problem_free(problem);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_largest_scale),
        cmocka_unit_test(leaves_the_worst_loss_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
