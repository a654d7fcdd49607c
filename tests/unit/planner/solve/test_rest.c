/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What prices prove must not depend on where they come from. */
#include "common/random.h"
#include "planner/solve/exact/grid.h"
#include "planner/solve/exact/rest.h"
#include "tests/unit/check.h"

#include <math.h>

#define COLUMNS 7
#define MODELS  3
#define NO_PLAN 9.0 /* dearer ones are not looked for */

struct setup {
    struct glet_column list[COLUMNS];
    struct glet_columns columns;
    struct glet_relaxed relaxed;
    int all[COLUMNS];
    struct glet_rest node;
};

static void draw(struct setup *s, struct glet_random *random)
{
    *s = (struct setup){.columns = {.list = s->list, .count = COLUMNS, .room = COLUMNS}};
    for (int i = 0; i < COLUMNS; i++) {
        s->all[i] = i;
        s->list[i].cost = 1 + (double)glet_random_below(random, 3);
        for (int m = 0; m < MODELS; m++)
            if (i == m || glet_random_uniform(random) < 0.7)
                s->list[i].cover[m] = glet_random_uniform(random);
    }
    assert_true(glet_relaxed_init(&s->relaxed, &s->columns, MODELS, 0));
    s->node = (struct glet_rest){.budget = 100, .list = s->all, .count = COLUMNS};
    for (int m = 0; m < MODELS; m++)
        s->node.rest[m] = glet_grid_cover_up(fmax(0, glet_random_uniform(random) - 0.2));
}

/* The cheapest cover of what is open, by trying everything below `most`. */
static double cheapest(const struct setup *s, int from, const double *open, double most)
{
    bool done = true;
    for (int m = 0; m < MODELS; m++)
        done &= open[m] <= 0;
    if (done)
        return 0;
    for (int i = from; i < COLUMNS; i++) {
        const struct glet_item *item = &s->relaxed.items[i];
        double after[MODELS];
        if (item->cost >= most)
            continue;
        for (int m = 0; m < MODELS; m++)
            after[m] = open[m] - item->cover[m];
        most = fmin(most, item->cost + cheapest(s, i, after, most - item->cost));
    }
    return most;
}

/* A price as a right, a useless, or a wrong solver might return it. */
static double any_price(struct glet_random *random)
{
    double x = glet_random_uniform(random);
    switch (glet_random_below(random, 8)) {
    case 0:
        return NAN;
    case 1:
        return INFINITY;
    case 2:
        return -x;
    case 3:
        return 1e6 * x;
    case 4:
        return 0;
    default:
        return 2 * x;
    }
}

static void no_prices_prove_too_much(void **state)
{
    (void)state;
    int useful = 0, useless = 0;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct glet_random random = glet_random_seeded(seed);
        struct setup s;
        double price[MODELS];
        draw(&s, &random);
        for (int m = 0; m < MODELS; m++)
            price[m] = any_price(&random);
        double least = cheapest(&s, 0, s.node.rest, NO_PLAN);
        double bound = glet_rest_prove(&s.relaxed, &s.node, price);
        if (bound > least && least < NO_PLAN)
            fail_msg("seed %llu: %.17g proven, %.17g does", (unsigned long long)seed, bound, least);
        useful += bound > 0;
        useless += bound <= 0;
        glet_relaxed_fini(&s.relaxed);
    }
    assert_true(useful > 300 && useless > 300);
}

/* From any prices to start with, among them those that ignore all that is open. */
static void prices_that_are_found_are_tight(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct glet_random random = glet_random_seeded(seed);
        struct setup s;
        double price[MODELS] = {0}, open = 0;
        draw(&s, &random);
        for (int m = 0; m < MODELS; m++) {
            open += s.node.rest[m];
            if (s.node.rest[m] <= 0 || seed % 2)
                price[m] = glet_random_uniform(&random);
        }
        double least = cheapest(&s, 0, s.node.rest, NO_PLAN);
        glet_rest_price(&s.relaxed, &s.node, price);
        double bound = glet_rest_prove(&s.relaxed, &s.node, price);
        if ((bound > least && least < NO_PLAN) || (open > 0 && bound <= 0))
            fail_msg("seed %llu: %.17g proven, %.17g does", (unsigned long long)seed, bound, least);
        glet_relaxed_fini(&s.relaxed);
    }
}

/* Sums and products of what is on the grids are those of the integers they stand for. */
static void nothing_is_rounded(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct glet_random random = glet_random_seeded(seed);
        double price[MODELS], sum = 0, worth = 0;
        double scale = ldexp(1, (int)glet_random_below(&random, 60) - 30);
        for (int m = 0; m < MODELS; m++)
            price[m] = scale * glet_random_uniform(&random);
        glet_grid_prices_down(price, MODELS);
        for (int m = 0; m < MODELS; m++)
            sum += price[m];
        double unit = ldexp(1, ilogb(sum) - 25); /* the sum may have lost a power of two */
        int64_t whole = 0;
        for (int m = 0; m < MODELS; m++) {
            double cover = glet_grid_cover_up(glet_random_uniform(&random));
            worth += price[m] * cover;
            assert_true(price[m] / unit == floor(price[m] / unit));
            assert_true(cover / GLET_GRID_COVER == floor(cover / GLET_GRID_COVER));
            whole += (int64_t)(price[m] / unit) * (int64_t)(cover / GLET_GRID_COVER);
        }
        assert_true(worth == (double)whole * unit * GLET_GRID_COVER);
        double budget = 1 + (double)glet_random_below(&random, 1000);
        double ratio = glet_grid_per_cost_down(worth, budget);
        __extension__ typedef __int128 wide;
        wide times = (wide)(ratio / (unit * GLET_GRID_COVER) * 1024) * (wide)budget;
        assert_true(times <= (wide)whole * 1024);
        assert_true(ratio >= worth / budget * (1 - 0x1p-24));
    }
}

static void rounding_up_is_the_least(void **state)
{
    (void)state;
    assert_true(glet_grid_cover_up(0) == 0 && glet_grid_cover_up(1) == 1);
    assert_true(glet_grid_cover_up(1e-300) == GLET_GRID_COVER);
    assert_true(glet_grid_cover_up(GLET_GRID_COVER * 3) == GLET_GRID_COVER * 3);
    assert_true(glet_grid_cover_up(GLET_GRID_COVER * (3 + 1e-9)) == GLET_GRID_COVER * 4);
}

static void costs_are_whole(void **state)
{
    (void)state;
    double whole[2], scale;
    assert_true(glet_grid_costs((double[]){3.6, 0.0125}, 2, whole, &scale));
    assert_true(whole[0] == 36000 && whole[1] == 125 && scale == 1e4);
    assert_true(glet_grid_costs((double[]){1, 1}, 2, whole, &scale) && scale == 1 && whole[0] == 1);
    assert_false(glet_grid_costs((double[]){M_PI, 1e-9}, 2, whole, &scale));
    assert_true(whole[0] <= M_PI * scale && whole[0] > M_PI * scale * (1 - 1e-7) && whole[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_prices_prove_too_much),
        cmocka_unit_test(prices_that_are_found_are_tight),
        cmocka_unit_test(nothing_is_rounded),
        cmocka_unit_test(rounding_up_is_the_least),
        cmocka_unit_test(costs_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
