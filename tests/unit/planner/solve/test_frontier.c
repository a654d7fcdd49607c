/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The front against the obvious filter, which compares every column with every other one. */
#include "common/random.h"
#include "planner/solve/exact/frontier.h"
#include "tests/unit/check.h"

#include <stdlib.h>

#define OFFERED_MAX 3000 /* of which enough stay that the rows of bits must grow */
#define SEEDS       60

struct setup {
    struct glet_column offered[OFFERED_MAX];
    int count, models;
    double grain;
    struct glet_columns kept;
};

/* Also none, and multiples of a step of the index, so that equal covers and edges are common. */
static double draw_cover(struct glet_random *random)
{
    switch (glet_random_below(random, 8)) {
    case 0:
        return 0;
    case 1:
        return (double)glet_random_below(random, GLET_FRONT_STEPS + 1) / GLET_FRONT_STEPS;
    default:
        return glet_random_uniform(random);
    }
}

static void draw(struct setup *s, uint64_t seed)
{
    struct glet_random random = glet_random_seeded(seed);
    struct glet_front front;
    *s = (struct setup){.count = 1 + (int)glet_random_below(&random, OFFERED_MAX),
                        .models = 1 + (int)glet_random_below(&random, GLET_MENU_MODELS),
                        .grain =
                            glet_random_below(&random, 2) ? 0.1 * glet_random_uniform(&random) : 0};
    glet_front_init(&front, &s->kept, s->models, s->grain);
    for (int i = 0; i < s->count; i++) {
        struct glet_column *column = &s->offered[i];
        column->count = i; /* tells them apart */
        column->type = (int)glet_random_below(&random, 2);
        column->cost = 1 + (double)glet_random_below(&random, 3);
        for (int m = 0; m < s->models; m++)
            column->cover[m] = draw_cover(&random);
        if (i > 0 && glet_random_below(&random, 8) == 0) { /* an equal one */
            *column = s->offered[glet_random_below(&random, (uint64_t)i)];
            column->count = i;
        }
        glet_front_add(&front, column);
    }
    glet_front_fini(&front);
}

/* Covers as much, up to the grain, for no more. */
static bool beats(const struct setup *s, const struct glet_column *a, const struct glet_column *b,
                  double grain)
{
    if (a->type != b->type || a->cost > b->cost)
        return false;
    for (int m = 0; m < s->models; m++)
        if ((a->cover[m] > 0 ? a->cover[m] + grain : 0) < b->cover[m])
            return false;
    return true;
}

/* Without a grain: those that no other one beats, and the first of equal ones. */
static int filter(const struct setup *s, bool *stays)
{
    int count = 0;
    for (int i = 0; i < s->count; i++) {
        stays[i] = true;
        for (int j = 0; j < s->count && stays[i]; j++)
            if (j != i && beats(s, &s->offered[j], &s->offered[i], 0))
                stays[i] = j > i && beats(s, &s->offered[i], &s->offered[j], 0);
        count += stays[i];
    }
    return count;
}

static void keeps_what_no_other_one_beats(void **state)
{
    (void)state;
    static struct setup s;
    static bool stays[OFFERED_MAX];
    int longest = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        draw(&s, seed);
        int expected = filter(&s, stays);
        if (s.grain == 0) {
            if (s.kept.count != expected)
                fail_msg("seed %llu: %d stay, not %d", (unsigned long long)seed, s.kept.count,
                         expected);
            for (int i = 0; i < s.kept.count; i++)
                if (!stays[s.kept.list[i].count])
                    fail_msg("seed %llu: column %d is beaten", (unsigned long long)seed,
                             s.kept.list[i].count);
            longest = s.kept.count > longest ? s.kept.count : longest;
        }
        glet_columns_free(&s.kept);
    }
    assert_true(longest > 16 * 64); /* else the rows of bits did not grow */
}

/* Everything offered is within the grain of one that stays, and those do not replace each other. */
static void the_grain_does_not_add_up(void **state)
{
    (void)state;
    static struct setup s;
    int merged = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        draw(&s, seed);
        for (int i = 0; i < s.count; i++) {
            bool within = false;
            for (int k = 0; k < s.kept.count && !within; k++)
                within = beats(&s, &s.kept.list[k], &s.offered[i], s.grain);
            if (!within)
                fail_msg("seed %llu: column %d is lost", (unsigned long long)seed, i);
        }
        for (int k = 0; k < s.kept.count; k++)
            for (int j = 0; j < s.kept.count; j++)
                if (j != k && beats(&s, &s.kept.list[j], &s.kept.list[k], j < k ? s.grain : 0))
                    fail_msg("seed %llu: column %d beats %d, and both stay",
                             (unsigned long long)seed, s.kept.list[j].count, s.kept.list[k].count);
        merged += s.grain > 0 && s.kept.count < s.count;
        glet_columns_free(&s.kept);
    }
    assert_true(merged > SEEDS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_no_other_one_beats),
        cmocka_unit_test(the_grain_does_not_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
