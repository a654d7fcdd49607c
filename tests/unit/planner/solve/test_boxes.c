/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GPUs in little room do what GPUs in full room do. */
#include "common/random.h"
#include "planner/solve/space/boxes.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

#define GPUS 40

struct plain {
    int count;
    struct glet_box list[GPUS];
};

static struct glet_atom draw_atom(struct glet_random *random)
{
    struct glet_atom atom = {.size = (int16_t)glet_random_below(random, 16), .count = 1};
    atom.model[0] = (uint16_t)glet_random_below(random, 1000);
    atom.batch[0] = (uint16_t)(1 + glet_random_below(random, 32));
    atom.duty_ms = glet_random_uniform(random);
    return atom;
}

static struct glet_box draw_box(struct glet_random *random, int most)
{
    struct glet_box box = {.type = (int)glet_random_below(random, 3)};
    for (int left = (int)glet_random_below(random, (uint64_t)most + 1); left > 0; left--)
        box.atoms[box.count++] = draw_atom(random);
    return box;
}

static bool same_atom(const struct glet_atom *a, const struct glet_atom *b)
{
    return a->size == b->size && a->count == b->count && a->model[0] == b->model[0] &&
           a->batch[0] == b->batch[0] && a->duty_ms == b->duty_ms;
}

static void check_same(const struct glet_boxes *boxes, const struct plain *plain)
{
    assert_int_equal(boxes->count, plain->count);
    for (int i = 0; i < plain->count; i++) {
        const struct glet_box *a = glet_boxes_at(boxes, i), *b = &plain->list[i];
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->count, b->count);
        for (int k = 0; k < b->count; k++)
            assert_true(same_atom(&a->atoms[k], &b->atoms[k]));
    }
}

static void sweep(struct plain *plain)
{
    int kept = 0;
    for (int i = 0; i < plain->count; i++)
        if (plain->list[i].count > 0)
            plain->list[kept++] = plain->list[i];
    plain->count = kept;
}

/* One change of both. */
static void change(struct glet_random *random, int most, struct glet_boxes *boxes,
                   struct plain *plain)
{
    struct glet_box box = draw_box(random, most);
    uint64_t dice = glet_random_below(random, 20);
    int i = plain->count ? (int)glet_random_below(random, (uint64_t)plain->count) : 0;
    int j = plain->count ? (int)glet_random_below(random, (uint64_t)plain->count) : 0;
    if (plain->count == 0 || (dice < 8 && plain->count < GPUS)) {
        glet_boxes_add(boxes, &box);
        plain->list[plain->count++] = box;
    } else if (dice < 12) {
        glet_boxes_set(boxes, i, &box);
        plain->list[i] = box;
    } else if (dice < 16 && plain->list[i].count < most) {
        struct glet_atom atom = draw_atom(random);
        glet_boxes_put(boxes, i, &atom);
        plain->list[i].atoms[plain->list[i].count++] = atom;
    } else if (dice < 18) {
        struct glet_box swap = plain->list[i];
        glet_boxes_swap(boxes, i, j);
        plain->list[i] = plain->list[j];
        plain->list[j] = swap;
    } else if (dice == 18) {
        glet_boxes_clear(boxes, i);
        plain->list[i].count = 0;
    } else {
        glet_boxes_sweep(boxes);
        sweep(plain);
    }
}

static void does_what_full_room_does(void **state)
{
    (void)state;
    struct plain *plain = malloc(sizeof *plain);
    assert_non_null(plain);
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct glet_random random = glet_random_seeded(seed);
        struct glet_boxes boxes = {0}, copy = {0};
        plain->count = 0;
        for (int step = 0; step < 400; step++) {
            /* The fullest GPU comes late, so that all the others must be moved. */
            int most = step < 200 ? (int)(seed % 4) : GLET_BOX_ATOMS;
            change(&random, most, &boxes, plain);
            check_same(&boxes, plain);
        }
        glet_boxes_copy(&copy, &boxes);
        check_same(&copy, plain);
        glet_boxes_free(&boxes);
        check_same(&copy, plain);
        glet_boxes_free(&copy);
        assert_int_equal(copy.count, 0);
    }
    free(plain);
}

static void shows_a_part(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(7);
    struct glet_boxes boxes = {0};
    for (int i = 0; i < 10; i++) {
        struct glet_box box = {.type = i, .count = i % 4};
        for (int a = 0; a < box.count; a++)
            box.atoms[a] = draw_atom(&random);
        glet_boxes_add(&boxes, &box);
    }
    struct glet_boxes part = glet_boxes_part(&boxes, 3, 5);
    assert_int_equal(part.count, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(glet_boxes_at(&part, i)->type, i + 3);
        assert_int_equal(glet_boxes_at(&part, i)->count, (i + 3) % 4);
    }
    glet_boxes_free(&boxes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_what_full_room_does),
        cmocka_unit_test(shows_a_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
