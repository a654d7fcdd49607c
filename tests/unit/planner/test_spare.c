/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Leftover units are used, and nothing that held before stops holding. */
#include "planner/analyse/spare.h"

#include "common/random.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

#include <math.h>

enum { MODELS = 3, ROUNDS = 300 };

static struct glet_error err;

static struct fixture device(double memory_mib)
{
    struct fixture f = fixture_new();
    fixture_device(&f, "g", GLET_MECHANISM_MPS, 10, 4, memory_mib);
    fixture_stock(&f, "g", 4, 1, NULL);
    return f;
}

static int units_of(const struct glet_problem *problem, const struct glet_gpu *gpu)
{
    int sum = 0;
    for (int l = 0; l < gpu->let_count; l++)
        sum += problem->types[gpu->type].sizes_units[gpu->lets[l].size];
    return sum;
}

static void test_a_copy_or_a_larger_size(void **state)
{
    (void)state;
    for (int room = 0; room < 2; room++) { /* memory for one gpu-let only, or for more */
        struct fixture f = device(room ? 500 : 110);
        int m = fixture_model(&f, "a", 100, 60);
        for (int units = 2; units <= 10; units += 4)
            fixture_curve(&f, 0, m, 8, units, 20.0 / units, 2);
        f.profile->models[m].memory_mib = 100;
        struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
        struct glet_solution s;
        glet_solution_init(&s);
        glet_let_add_slot(glet_gpu_add_let(glet_solution_add_gpu(&s, 0), 0), m, 8);
        CHECK_OK(glet_spare_use(p, &s, &err), &err);
        assert_int_equal(s.gpu_count, 1);
        assert_int_equal(s.gpus[0].let_count, room ? 4 : 1);
        assert_int_equal(units_of(p, &s.gpus[0]), room ? 8 : 10);
        glet_solution_fini(&s);
        glet_problem_free(p);
        fixture_free(&f);
    }
}

static void random_models(struct fixture *f, struct glet_random *random)
{
    for (int m = 0; m < MODELS; m++) {
        char name[] = {(char)('a' + m), '\0'};
        fixture_model(f, name, 1, 30 + 40 * glet_random_uniform(random));
        double base_ms = 1 + 4 * glet_random_uniform(random);
        for (int units = 2; units <= 10; units += 2)
            fixture_curve(f, 0, m, 6, units, base_ms, 6.0 / units);
        fixture_util(f, 0, m, glet_random_uniform(random), glet_random_uniform(random));
        f->profile->models[m].memory_mib = 40 * glet_random_uniform(random);
    }
    fixture_interference(f, 0, 1, 0.1, 0.2, 0.1, 0.2, 0);
}

static void random_solution(struct glet_solution *s, struct glet_random *random)
{
    glet_solution_init(s);
    for (int g = 0; g < 2; g++) {
        struct glet_gpu *gpu = glet_solution_add_gpu(s, 0);
        for (int l = 0; l < 2; l++) {
            struct glet_let *let = glet_gpu_add_let(gpu, (int)glet_random_below(random, 2));
            int first = (int)glet_random_below(random, MODELS);
            for (int k = 0; k <= (int)glet_random_below(random, 2); k++)
                glet_let_add_slot(let, (first + k) % MODELS, 1 + (int)glet_random_below(random, 4));
        }
    }
}

static void test_what_held_still_holds(void **state)
{
    (void)state;
    uint64_t seed = 7;
    print_message("seed %ju\n", (uintmax_t)seed);
    struct glet_random random = glet_random_seeded(seed);
    int changed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f = device(200);
        random_models(&f, &random);
        int app = fixture_app(&f, "chain", 1, 90);
        fixture_stage(&f, app, 0, -1, 1);
        fixture_stage(&f, app, 1, 0, 1);
        struct glet_problem *p = fixture_problem(&f, GLET_MIN_GPUS);
        struct glet_solution s;
        random_solution(&s, &random);
        double before[MODELS], after[MODELS];
        bool usable = glet_solution_evaluate(p, &s) && glet_solution_apps_ok(p, &s) &&
                      glet_gpu_feasible(p, &s.gpus[0]) && glet_gpu_feasible(p, &s.gpus[1]);
        if (usable) {
            glet_solution_capacity(p, &s, before);
            CHECK_OK(glet_spare_use(p, &s, &err), &err);
            glet_solution_capacity(p, &s, after);
            assert_int_equal(s.gpu_count, 2);
            assert_true(glet_solution_apps_ok(p, &s));
            for (int g = 0; g < 2; g++)
                assert_true(glet_gpu_feasible(p, &s.gpus[g]));
            for (int m = 0; m < MODELS; m++) {
                assert_true(glet_within(before[m], after[m]));
                changed += after[m] > before[m] * 1.01;
            }
        }
        glet_solution_fini(&s);
        glet_problem_free(p);
        fixture_free(&f);
    }
    assert_true(changed > ROUNDS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_or_a_larger_size),
        cmocka_unit_test(test_what_held_still_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
