/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/random.h"
#include "planner/solve/exact/cover.h"
#include "tests/unit/check.h"

#include <math.h>
#include <string.h>

#define COLUMNS 9
#define MODELS  3

struct setup {
    struct glet_problem_type types[2];
    struct glet_problem problem;
    struct glet_menu menu;
    struct glet_covering covering;
    struct glet_column list[COLUMNS];
    struct glet_columns columns;
};

/* Two types, the second dearer and limited; columns serve up to 80 % of a demand, or nothing. */
static void draw(struct setup *s, struct glet_random *random)
{
    *s = (struct setup){.types = {{.count = GLET_COUNT_UNLIMITED}, {.count = 1}}};
    s->problem = (struct glet_problem){.types = s->types, .type_count = 2};
    s->menu.problem = &s->problem;
    s->covering = (struct glet_covering){.menu = &s->menu, .models = MODELS};
    s->columns = (struct glet_columns){.list = s->list, .count = COLUMNS, .room = COLUMNS};
    for (int i = 0; i < COLUMNS; i++) {
        s->list[i].type = glet_random_uniform(random) < 0.2;
        s->list[i].cost = s->list[i].type ? 1.5 : 1;
        for (int m = 0; m < MODELS; m++)
            if (glet_random_uniform(random) < 0.7)
                s->list[i].cover[m] = 0.8 * glet_random_uniform(random);
    }
}

/* Everything that the budget allows, by trying it. */
struct tried {
    double sum[MODELS], most[MODELS]; /* most: of one GPU; stays 0 if none need be spared */
    int second_type;
};

static bool exists(const struct setup *s, double budget, double grain, bool survive, int from,
                   const struct tried *got)
{
    bool done = true;
    for (int m = 0; m < MODELS; m++)
        done &= got->sum[m] - got->most[m] >= 1 - 1e-9;
    if (done)
        return true;
    for (int i = from; i < COLUMNS; i++) {
        const struct glet_column *column = &s->list[i];
        struct tried after = *got;
        if (column->cost > budget + 1e-9 || (column->type && got->second_type))
            continue;
        after.second_type += column->type;
        for (int m = 0; m < MODELS; m++) {
            double cover = column->cover[m] + (column->cover[m] > 0 ? grain : 0);
            after.sum[m] += cover;
            after.most[m] = survive ? fmax(after.most[m], cover) : 0;
        }
        if (exists(s, budget - column->cost, grain, survive, i, &after))
            return true;
    }
    return false;
}

static void check_found(const struct setup *s, const double *copies, double budget, bool survive)
{
    double sum[MODELS] = {0}, most[MODELS] = {0}, cost = 0, second = 0;
    for (int i = 0; i < COLUMNS; i++) {
        cost += copies[i] * s->list[i].cost;
        second += copies[i] * s->list[i].type;
        for (int m = 0; m < MODELS; m++)
            sum[m] += copies[i] * s->list[i].cover[m];
        for (int m = 0; m < MODELS && survive && copies[i] > 0; m++)
            most[m] = fmax(most[m], s->list[i].cover[m]);
    }
    assert_true(cost <= budget + 1e-6 && second <= 1);
    for (int m = 0; m < MODELS; m++)
        assert_true(sum[m] - most[m] >= 1 - 1e-6);
}

static void compare(bool survive, int *seen)
{
    static const struct tried none;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        struct glet_random random = glet_random_seeded(seed);
        struct setup s;
        double copies[COLUMNS] = {0};
        draw(&s, &random);
        struct glet_cover_options options = {.budget = 1 + (double)(seed % 8) / 2,
                                             .grain = seed % 3 ? 0 : 0.05,
                                             .nodes = 100000,
                                             .survive = survive};
        enum glet_cover_status status =
            glet_cover_search(&s.covering, &s.columns, &options, copies);
        bool plan = exists(&s, options.budget, 0, survive, 0, &none);
        bool relaxed = exists(&s, options.budget, options.grain, survive, 0, &none);
        seen[status]++;
        if (status == GLET_COVER_FOUND)
            check_found(&s, copies, options.budget, survive);
        if (options.grain == 0 && status != (plan ? GLET_COVER_FOUND : GLET_COVER_NONE))
            fail_msg("seed %llu: status %d, a plan exists: %d", (unsigned long long)seed, status,
                     plan);
        if (status == GLET_COVER_NONE && relaxed)
            fail_msg("seed %llu: none, but the grain allows one", (unsigned long long)seed);
        if (status == GLET_COVER_COARSE && (!relaxed || (plan && !survive)))
            fail_msg("seed %llu: coarse, with a plan %d, relaxed %d", (unsigned long long)seed,
                     plan, relaxed);
    }
}

static void equals_trying_everything(void **state)
{
    (void)state;
    int seen[4] = {0};
    compare(false, seen);
    assert_true(seen[GLET_COVER_FOUND] > 50 && seen[GLET_COVER_NONE] > 50);
    assert_true(seen[GLET_COVER_COARSE] > 2);
}

static void the_same_without_any_one_gpu(void **state)
{
    (void)state;
    int seen[4] = {0};
    compare(true, seen);
    assert_true(seen[GLET_COVER_FOUND] > 20 && seen[GLET_COVER_NONE] > 50);
}

static void gives_up_at_the_limit(void **state)
{
    (void)state;
    struct setup s = {.types = {{.count = GLET_COUNT_UNLIMITED}}};
    double copies[COLUMNS] = {0};
    s.problem = (struct glet_problem){.types = s.types, .type_count = 1};
    s.menu.problem = &s.problem;
    s.covering = (struct glet_covering){.menu = &s.menu, .models = 2};
    s.columns = (struct glet_columns){.list = s.list, .count = 2, .room = 2};
    s.list[0] = (struct glet_column){.cost = 1, .cover = {0.6, 0.3}};
    s.list[1] = (struct glet_column){.cost = 1, .cover = {0.3, 0.6}};
    struct glet_cover_options options = {.budget = 3, .nodes = 0};
    assert_int_equal(glet_cover_search(&s.covering, &s.columns, &options, copies),
                     GLET_COVER_LIMIT);
    options.nodes = 100;
    assert_int_equal(glet_cover_search(&s.covering, &s.columns, &options, copies),
                     GLET_COVER_FOUND);
    assert_true(copies[0] + copies[1] == 3 && copies[0] > 0 && copies[1] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_trying_everything),
        cmocka_unit_test(the_same_without_any_one_gpu),
        cmocka_unit_test(gives_up_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
