/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/random.h"
#include "planner/solve/exact/packed.h"
#include "tests/unit/check.h"

#include <math.h>

#define ITEMS  60
#define MODELS 3

struct setup {
    struct glet_item items[ITEMS];
    int list[ITEMS], count;
    double rest[MODELS], price[MODELS];
    struct glet_packed packed;
};

static void draw(struct setup *s, struct glet_random *random)
{
    *s = (struct setup){.count = 1 + (int)glet_random_below(random, ITEMS)};
    for (int i = 0; i < s->count; i++) {
        struct glet_item *item = &s->items[i];
        s->list[i] = s->count - 1 - i; /* not in the items' order */
        item->cost = 1 + glet_random_uniform(random);
        for (int m = 0; m < MODELS; m++)
            item->cover[m] = glet_random_uniform(random);
    }
    for (int m = 0; m < MODELS; m++) {
        s->rest[m] = glet_random_uniform(random);
        s->price[m] = glet_random_uniform(random);
    }
    glet_packed_init(&s->packed, s->items, s->list, s->count, MODELS);
}

static bool fits(const struct setup *s, int at)
{
    for (int m = 0; m < MODELS; m++)
        if (s->items[s->list[at]].cover[m] < s->rest[m])
            return false;
    return true;
}

static void the_first_that_fits(void **state)
{
    (void)state;
    int found = 0;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct glet_random random = glet_random_seeded(seed);
        struct setup s;
        draw(&s, &random);
        int from = (int)glet_random_below(&random, (uint64_t)s.count);
        int end = from + (int)glet_random_below(&random, (uint64_t)(s.count - from) + 1);
        int expected = from;
        while (expected < end && !fits(&s, expected))
            expected++;
        int got = glet_packed_fit(&s.packed, from, end, s.rest);
        if (got != expected)
            fail_msg("seed %llu: %d, not %d", (unsigned long long)seed, got, expected);
        found += got < end;
        glet_packed_fini(&s.packed);
    }
    assert_true(found > 200 && found < 1900);
}

/* With every budget just below and just above what the best column's worth asks for. */
static void exceeds_from_the_right_budget_on(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct glet_random random = glet_random_seeded(seed);
        struct setup s;
        double best = 0, sum = 0;
        draw(&s, &random);
        for (int i = 0; i < s.count; i++) {
            const struct glet_item *item = &s.items[s.list[i]];
            double worth = 0;
            for (int m = 0; m < MODELS; m++)
                worth += s.price[m] * fmin(item->cover[m], s.rest[m]);
            best = fmax(best, worth / item->cost);
        }
        for (int m = 0; m < MODELS; m++)
            sum += s.price[m] * s.rest[m];
        double least = sum / best; /* any cover costs at least this */
        bool below = glet_packed_exceeds(&s.packed, 0, s.count, s.rest, least * 0.999, s.price);
        bool above = glet_packed_exceeds(&s.packed, 0, s.count, s.rest, least * 1.001, s.price);
        if (!below || above)
            fail_msg("seed %llu: %d below, %d above", (unsigned long long)seed, below, above);
        glet_packed_fini(&s.packed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_fits),
        cmocka_unit_test(exceeds_from_the_right_budget_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
