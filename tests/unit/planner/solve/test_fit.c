/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Batches for one gpu-let, and plans of one GPU, against all that could be tried. Latencies rise
 * and fall with the batch in the first.
 */
#include "common/random.h"
#include "planner/solve/search/one_gpu.h"
#include "planner/solve/space/fit.h"
#include "tests/support/planner/fixture.h"
#include "tests/unit/check.h"

#include <math.h>

#define BATCHES 6
#define LEVELS  8
#define CASES   300

static double draw(struct glet_random *random, double low, double high)
{
    return low + (high - low) * glet_random_uniform(random);
}

static struct glet_problem *two_models(struct fixture *f, struct glet_random *random)
{
    *f = fixture_new();
    int d = fixture_device(f, "g", GLET_MECHANISM_MPS, 10, 1, 1000);
    for (int m = 0; m < 2; m++) {
        fixture_model(f, m ? "b" : "a", draw(random, 50, 500), draw(random, 10, 40));
        for (int batch = 1; batch <= BATCHES; batch++)
            fixture_row(f, d, m, batch, 10, draw(random, 3, 12));
    }
    fixture_stock(f, "g", 1, 1, NULL);
    return fixture_problem(f, GLET_MIN_GPUS);
}

/* The shortest duty cycle, or with most_rps the highest rate of the second model. */
static double try_all(const struct glet_problem *p, bool most)
{
    double best = most ? 0 : INFINITY;
    for (int i = 0; i < BATCHES * BATCHES; i++) {
        int batch[2] = {1 + i % BATCHES, 1 + i / BATCHES};
        double exec_ms[2], duty_ms = 0;
        for (int m = 0; m < 2; m++)
            duty_ms += exec_ms[m] = glet_problem_cell(p, 0, m, 0, batch[m])->latency_ms;
        bool fits = true;
        for (int m = 0; m < 2; m++)
            fits &= duty_ms + exec_ms[m] <= p->models[m].limit_ms &&
                    (1000 * batch[m] / duty_ms >= p->models[m].demand_rps || (most && m == 1));
        if (fits)
            best = most ? fmax(best, 1000 * batch[1] / duty_ms) : fmin(best, duty_ms);
    }
    return best;
}

static void fits_what_can_fit(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(3);
    const uint16_t models[2] = {0, 1};
    const struct glet_surroundings alone = {.alone = true};
    int fitted = 0;
    for (int i = 0; i < CASES; i++) {
        struct fixture f;
        struct glet_problem *p = two_models(&f, &random);
        double rate_rps[2] = {p->models[0].demand_rps, p->models[1].demand_rps};
        struct glet_atom atom;
        double shortest_ms = try_all(p, false), most_rps = try_all(p, true);
        bool found = glet_fit_rates(p, 0, 0, alone, 2, models, rate_rps, &atom);
        assert_int_equal(found, isfinite(shortest_ms));
        if (found)
            CHECK_NEAR(atom.duty_ms, shortest_ms, 1e-9);
        fitted += found;
        found = glet_fit_most(p, 0, 0, alone, 2, models, rate_rps, &atom);
        assert_int_equal(found, most_rps > 0);
        if (found) {
            assert_true(glet_atom_rate_rps(&atom, 0) >= rate_rps[0] * (1 - 1e-9));
            assert_true(glet_atom_rate_rps(&atom, 1) >= fmin(most_rps, rate_rps[1]) * (1 - 1e-9));
            assert_true(glet_atom_rate_rps(&atom, 1) <= most_rps * (1 + 1e-9));
        }
        glet_problem_free(p);
        fixture_free(&f);
    }
    assert_true(fitted > CASES / 10 && fitted < CASES * 9 / 10);
}

static struct glet_problem *one_gpu(struct fixture *f, struct glet_random *random)
{
    static const char *const names[] = {"a", "b", "c"};
    static const int sizes[] = {3, 5, 10};
    *f = fixture_new();
    int d = fixture_device(f, "g", GLET_MECHANISM_MPS, 10, 3, 1000);
    fixture_interference(f, d, 1, 0.1, 0.2, 0.1, 0.3, 0);
    for (int m = 0; m < 3; m++) {
        double slope_ms = draw(random, 0.5, 3), base_ms = draw(random, 1, 6);
        fixture_model(f, names[m], draw(random, 20, 150), draw(random, 15, 80));
        for (int s = 0; s < 3; s++)
            fixture_curve(f, d, m, 4, sizes[s], base_ms, slope_ms * 10 / sizes[s]);
        fixture_util(f, d, m, draw(random, 0, 1), draw(random, 0, 1));
    }
    fixture_stock(f, "g", 1, 1, NULL);
    return fixture_problem(f, GLET_MIN_GPUS);
}

/* Whether any batches serve all where each model is in the gpu-let let[m] of the box. */
static bool serves(const struct glet_problem *p, const struct glet_box *sizes, const int *let)
{
    for (int i = 0; i < 4 * 4 * 4; i++) {
        int batch[3] = {1 + i % 4, 1 + i / 4 % 4, 1 + i / 16};
        struct glet_box box = *sizes;
        bool good = true;
        for (int m = 0; m < 3; m++) {
            struct glet_atom *atom = &box.atoms[let[m]];
            atom->model[atom->count] = (uint16_t)m;
            atom->batch[atom->count++] = (uint16_t)batch[m];
        }
        for (int a = 0; a < box.count; a++)
            good &= box.atoms[a].count > 0;
        if (!good || !glet_box_evaluate(p, &box))
            continue;
        for (int a = 0; a < box.count; a++)
            for (int k = 0; k < box.atoms[a].count; k++)
                good &= glet_atom_rate_rps(&box.atoms[a], k) >=
                        p->models[box.atoms[a].model[k]].demand_rps;
        if (good)
            return true;
    }
    return false;
}

static bool exists(const struct glet_problem *p)
{
    for (int i = 0; i < 3 * 4 * 4; i++) { /* the first gpu-let's size, the others' or none */
        int size[3] = {i % 3, i / 3 % 4 - 1, i / 12 - 1}, units[3];
        struct glet_box box = {0};
        for (int a = 0; a < 3; a++)
            if (size[a] >= 0) {
                units[box.count] = p->types[0].sizes_units[size[a]];
                box.atoms[box.count++].size = (int16_t)size[a];
            }
        if (!glet_problem_sizes_fit(&p->types[0], units, box.count))
            continue;
        for (int k = 0; k < 27; k++) {
            int let[3] = {k % 3, k / 3 % 3, k / 9};
            bool known = let[0] < box.count && let[1] < box.count && let[2] < box.count;
            if (known && serves(p, &box, let))
                return true;
        }
    }
    return false;
}

static void fills_one_gpu_where_that_can_be(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(4);
    int found = 0, spread = 0;
    for (int i = 0; i < CASES; i++) {
        struct fixture f;
        struct glet_problem *p = one_gpu(&f, &random);
        struct glet_space space;
        struct glet_search search;
        glet_space_init(&space, p, LEVELS);
        glet_search_init(&search, p, &space, GLET_EFFORT_DEFAULT, NULL);
        glet_one_gpu_run(&search);
        bool has = isfinite(search.best_cost), must = exists(p);
        assert_true(has || !must);
        found += has;
        spread += has && !must;
        if (has)
            assert_int_equal(search.best.count, 1);
        glet_search_fini(&search);
        glet_space_fini(&space);
        glet_problem_free(p);
        fixture_free(&f);
    }
    assert_true(found > CASES / 10 && found < CASES * 9 / 10);
    assert_true(spread > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_what_can_fit),
        cmocka_unit_test(fills_one_gpu_where_that_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
