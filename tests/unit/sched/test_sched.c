/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduling core, one decision at a time; its behaviour under load is in tests/property/sched.
 */
#include "common/sched/sched_door.h"
#include "tests/unit/check.h"

#include <string.h>

static struct glet_error err;

static struct glet_sched_item item(size_t id, uint64_t deadline_us, int rows)
{
    return (struct glet_sched_item){
        .request = (void *)id, .deadline_us = deadline_us, .rows = rows};
}

static size_t id_of(const struct glet_sched_item *of)
{
    return (size_t)of->request;
}

static void queue_is_ordered_by_priority_deadline_arrival(void **state)
{
    (void)state;
    struct glet_sched_queue queue;
    CHECK_OK(glet_sched_queue_init(&queue, 5, &err), &err);
    const struct {
        size_t id;
        uint64_t deadline_us;
        int priority;
    } pushed[] = {{1, 50, 0},  {2, 30, 0}, {3, 50, 0}, {4, 90, 1},
                  {5, 10, -1}, {6, 50, 0}, {7, 60, 0}, {8, 1, 0}};
    for (size_t i = 0; i < COUNT_OF(pushed); i++) {
        struct glet_sched_item one = item(pushed[i].id, pushed[i].deadline_us, 2);
        one.priority = pushed[i].priority;
        if (i == 5)
            assert_int_equal(glet_sched_queue_rows_before(&queue, &one), 8);
        assert_true(glet_sched_queue_push(&queue, &one));
    }
    struct glet_sched_item more = item(9, 1, 1);
    assert_false(glet_sched_queue_push(&queue, &more)); /* 5 was rounded up to 8 */
    assert_int_equal(queue.rows, 16);
    assert_int_equal(queue.prioritised, 2);
    assert_int_equal(id_of(glet_sched_queue_at(&queue, 7)), 5);
    const size_t wanted[] = {4, 8, 2, 1, 3, 6, 7, 5};
    struct glet_sched_item third = glet_sched_queue_remove(&queue, 2);
    assert_int_equal(id_of(&third), 2);
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        if (wanted[i] == 2)
            continue;
        struct glet_sched_item first = glet_sched_queue_remove(&queue, 0);
        assert_int_equal(id_of(&first), wanted[i]);
    }
    assert_int_equal(queue.rows + (int)queue.count, 0);
    glet_sched_queue_fini(&queue);
}

static void bucket_lends_its_depth_and_then_its_rate(void **state)
{
    (void)state;
    struct glet_sched_bucket bucket;
    glet_sched_bucket_init(&bucket, 100, 10, 1000000);
    for (int i = 0; i < 10; i++)
        assert_true(glet_sched_bucket_take(&bucket, 1, 1000000));
    assert_false(glet_sched_bucket_take(&bucket, 1, 1000000));
    CHECK_NEAR(glet_sched_bucket_wait_s(&bucket, 1), 0.01, 1e-9);
    CHECK_NEAR(glet_sched_bucket_wait_s(&bucket, 5), 0.05, 1e-9);
    assert_false(glet_sched_bucket_take(&bucket, 1, 999000)); /* a clock read before another's */
    assert_true(glet_sched_bucket_take(&bucket, 1, 1010001));
    glet_sched_bucket_return(&bucket, 1);
    assert_true(glet_sched_bucket_take(&bucket, 1, 1010001));
    assert_true(glet_sched_bucket_take(&bucket, 10, 2010001)); /* full again, not fuller */
    assert_false(glet_sched_bucket_take(&bucket, 1, 2010001));
    glet_sched_bucket_init(&bucket, 100, 10, 0);
    assert_true(glet_sched_bucket_take(&bucket, 5, 0));
    glet_sched_bucket_change(&bucket, 200, 40, 0);
    CHECK_NEAR(bucket.tokens, 20, 1e-9);
    CHECK_NEAR(glet_sched_bucket_depth(100, 1000000, 8), 100 + 30 + 8, 1e-9);
}

/* Two models: 4 rows in 4 ms (1 row: 1.3 ms), and 8 rows in 10 ms only. */
static struct glet_sched_let *two_models(void)
{
    static const struct glet_sched_share shares[] = {
        {.sizes = {{1, 1300, 0}, {2, 2200, 0}, {4, 4000, 0}},
         .size_count = 3,
         .queue_capacity = 64,
         .rate_rps = 200},
        {.sizes = {{8, 10000, 0}}, .size_count = 1, .queue_capacity = 64, .rate_rps = 100}};
    struct glet_sched_let *let = glet_sched_let_new(shares, 2, &err);
    assert_non_null(let);
    assert_int_equal(glet_sched_let_room(let), 8);
    return let;
}

static struct glet_sched_item items[8];
static struct glet_sched_batch batch = {.items = items};

static void offer(struct glet_sched_let *let, uint64_t now_us, size_t share, size_t id,
                  uint64_t deadline_us, enum glet_sched_class kind, enum glet_sched_verdict wanted)
{
    struct glet_sched_item one = item(id, deadline_us, 1);
    assert_int_equal(glet_sched_let_offer(let, now_us, share, &one, kind, NULL), wanted);
}

static void models_take_turns_and_leave_at_once(void **state)
{
    (void)state;
    struct glet_sched_let *let = two_models();
    assert_int_equal(glet_sched_let_next(let, 0, &batch), GLET_SCHED_IDLE);
    for (size_t i = 0; i < 6; i++)
        offer(let, 0, 0, i, 100000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    offer(let, 0, 1, 10, 100000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    assert_int_equal(glet_sched_let_next(let, 0, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.share, 0); /* a full batch of the first, */
    assert_int_equal(batch.rows, 4);
    glet_sched_let_end(let, 4000, 0);
    assert_int_equal(glet_sched_let_next(let, 4000, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.share, 1); /* the other's partial one, */
    assert_int_equal(batch.rows, 1);
    glet_sched_let_end(let, 14000, 0);
    assert_int_equal(glet_sched_let_next(let, 14000, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.share, 0); /* and the rest, in the executor that it fills */
    assert_int_equal(batch.rows, 2);
    assert_int_equal(batch.size, 1);
    glet_sched_let_end(let, 16200, 0);
    assert_int_equal(glet_sched_let_next(let, 16200, &batch), GLET_SCHED_IDLE);
    glet_sched_let_free(let);
}

static void an_urgent_turn_goes_first_only_when_it_costs_nobody(void **state)
{
    (void)state;
    struct glet_sched_let *let = two_models();
    offer(let, 0, 0, 1, 50000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    offer(let, 0, 1, 2, 11400, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    assert_int_equal(glet_sched_let_next(let, 200, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.share, 1); /* 200 + 1300 + 10000 would be late */
    glet_sched_let_end(let, 10200, 0);
    assert_int_equal(glet_sched_let_next(let, 10200, &batch), GLET_SCHED_RUN);
    glet_sched_let_end(let, 11500, 0);
    offer(let, 20000, 1, 3, 33000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    offer(let, 20000, 0, 4, 31500, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    assert_int_equal(glet_sched_let_next(let, 20300, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.share, 0); /* both make it only in this order */
    glet_sched_let_free(let);
}

static void offer_many(struct glet_sched_let *let, size_t share, size_t count, size_t first_id)
{
    for (size_t i = 0; i < count; i++)
        offer(let, 0, share, first_id + i, 100000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
}

/* The first model's batch runs from 0 to 4000, 400 of that copies; the other's of 8 takes 10000, 1000
   of that copies. */
static struct glet_sched_let *four_run(void)
{
    static const struct glet_sched_share shares[] = {
        {.sizes = {{1, 1300, 100}, {4, 4000, 400}}, .size_count = 2, .queue_capacity = 64},
        {.sizes = {{8, 10000, 1000}}, .size_count = 1, .queue_capacity = 64}};
    struct glet_sched_let *let = glet_sched_let_new(shares, 2, &err);
    assert_non_null(let);
    assert_int_equal(glet_sched_let_next_us(let), UINT64_MAX); /* nothing runs */
    offer_many(let, 0, 4, 0);
    assert_int_equal(glet_sched_let_next(let, 0, &batch), GLET_SCHED_RUN);
    return let;
}

static void the_next_batch_is_given_out_one_copy_earlier(void **state)
{
    (void)state;
    struct glet_sched_let *let = four_run();
    assert_int_equal(glet_sched_let_next_us(let), 3000);
    offer_many(let, 1, 3, 10);
    struct glet_sched_item own = item(30, 100000, 1);
    assert_int_equal(glet_sched_let_predict(let, 200, 1, &own, GLET_SCHED_PLANNED), 13000);
    assert_int_equal(glet_sched_let_next(let, 3000, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.share, 1);
    assert_int_equal(batch.rows, 3);                           /* whatever waits */
    assert_int_equal(glet_sched_let_next_us(let), UINT64_MAX); /* two are out */
    glet_sched_let_end(let, 4000, 3600);
    assert_int_equal(glet_sched_let_next_us(let), 4000 + 9000 - 400);
    glet_sched_let_end(let, 12000,
                       8000); /* it took a thousand less than it should: so much is learned */
    assert_int_equal(glet_sched_let_exec_us(let, 1, 0), 10000 - 1000 / 32);
    assert_int_equal(glet_sched_let_next(let, 13000, &batch), GLET_SCHED_IDLE);
    offer_many(let, 1, 1, 18);
    assert_int_equal(glet_sched_let_next(let, 20000, &batch), GLET_SCHED_RUN);
    assert_int_equal(glet_sched_let_next_us(let), 20000 + 1000 + 9000 - 1000 / 4 - 400);
    glet_sched_let_free(let);
}

/* The caller's part of the copies is as long as it is of late: of requests that need none, and of
   others. */
static void what_is_gathered_is_learned(void **state)
{
    (void)state;
    static const struct glet_sched_share share = {
        .sizes = {{4, 4000, 800, 400}}, .size_count = 1, .queue_capacity = 64};
    struct glet_sched_let *let = glet_sched_let_new(&share, 1, &err);
    assert_non_null(let);
    offer_many(let, 0, 8, 0);
    assert_int_equal(glet_sched_let_next(let, 0, &batch), GLET_SCHED_RUN);
    assert_int_equal(glet_sched_let_next_us(let), 4000 - 800);
    assert_int_equal(glet_sched_let_next(let, 3200, &batch), GLET_SCHED_RUN);
    glet_sched_let_gathered(let, 800); /* twice what was expected: a quarter of that is learned */
    glet_sched_let_end(let, 4400, 3200);
    assert_int_equal(glet_sched_let_exec_us(let, 0, 0), 4100);
    assert_int_equal(glet_sched_let_next_us(let), 4400 + 3200 - 900);
    glet_sched_let_gathered(let, 900); /* the one beside it takes its compute and 1000 of copies */
    glet_sched_let_end(let, 7600, 3200);
    assert_int_equal(glet_sched_let_exec_us(let, 0, 0), 4125);
    for (int i = 0; i < 300; i++) { /* from now on nothing is gathered: all of that is over */
        uint64_t now_us = 10000 + (uint64_t)i * 10000;
        struct glet_sched_item one = item(20, now_us + 100000, 4);
        assert_int_equal(glet_sched_let_offer(let, now_us, 0, &one, GLET_SCHED_PLANNED, NULL),
                         GLET_SCHED_ACCEPTED);
        assert_int_equal(glet_sched_let_next(let, now_us, &batch), GLET_SCHED_RUN);
        glet_sched_let_gathered(let, 0);
        glet_sched_let_end(let, now_us + 3600, 3200);
    }
    assert_in_range(glet_sched_let_exec_us(let, 0, 0), 3600, 3632);
    for (size_t id = 30; id < 32; id++) {
        struct glet_sched_item more = item(id, 9000000, 4);
        assert_int_equal(glet_sched_let_offer(let, 5000000, 0, &more, GLET_SCHED_PLANNED, NULL),
                         GLET_SCHED_ACCEPTED);
        assert_int_equal(glet_sched_let_next(let, 5000000, &batch), GLET_SCHED_RUN);
    }
    glet_sched_let_gathered(let, 0);
    glet_sched_let_end(let, 5003600, 3200);
    assert_in_range(glet_sched_let_next_us(let), 5003600 + 3200 - 432, 5003600 + 3200 - 400);
    glet_sched_let_free(let);
}

/* Where nothing waits by then, the next batch is decided on after the end, with all its time before it. */
static void what_comes_after_that_waits_for_the_end(void **state)
{
    (void)state;
    struct glet_sched_let *let = four_run();
    assert_int_equal(glet_sched_let_next(let, 3000, &batch), GLET_SCHED_IDLE);
    struct glet_sched_item late = item(10, 100000, 1);
    assert_int_equal(glet_sched_let_predict(let, 3500, 1, &late, GLET_SCHED_PLANNED), 14000);
    offer(let, 3500, 1, 11, 13500, GLET_SCHED_PLANNED, GLET_SCHED_TOO_LATE);
    glet_sched_let_end(let, 4000, 3600);
    glet_sched_let_free(let);
    let = two_models(); /* of a device that takes one batch at a time */
    offer_many(let, 0, 6, 0);
    assert_int_equal(glet_sched_let_next(let, 0, &batch), GLET_SCHED_RUN);
    assert_int_equal(glet_sched_let_next_us(let), UINT64_MAX);
    glet_sched_let_free(let);
}

static void what_cannot_be_in_time_is_refused_or_dropped(void **state)
{
    (void)state;
    struct glet_sched_let *let = two_models();
    offer(let, 0, 0, 1, 1200, GLET_SCHED_PLANNED, GLET_SCHED_TOO_LATE);
    offer(let, 0, 0, 2, 1500, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    assert_int_equal(glet_sched_let_next(let, 400, &batch), GLET_SCHED_LATE);
    assert_int_equal(batch.count, 1);
    assert_int_equal(id_of(&batch.items[0]), 2);
    assert_int_equal(glet_sched_let_next(let, 400, &batch), GLET_SCHED_IDLE);
    offer(let, 1000, 1, 3, 20000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    assert_int_equal(glet_sched_let_next(let, 1000, &batch), GLET_SCHED_RUN);
    struct glet_sched_item behind = item(4, 0, 1);
    uint64_t end_us = glet_sched_let_predict(let, 2000, 0, &behind, GLET_SCHED_PLANNED);
    assert_true(end_us >= 11000 + 1300 && end_us <= 11000 + 4000);
    offer(let, 2000, 0, 4, 12000, GLET_SCHED_PLANNED, GLET_SCHED_TOO_LATE);
    glet_sched_let_free(let);
}

static void a_batch_shrinks_to_save_its_first_request(void **state)
{
    (void)state;
    struct glet_sched_let *let = two_models();
    offer(let, 0, 0, 1, 2000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    for (size_t i = 2; i <= 4; i++)
        offer(let, 0, 0, i, 50000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    assert_int_equal(glet_sched_let_next(let, 0, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.rows, 1);
    assert_int_equal(id_of(&batch.items[0]), 1);
    glet_sched_let_end(let, 1300, 0);
    assert_int_equal(glet_sched_let_next(let, 1300, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.rows, 2); /* 2 and 1 take less than 3 in the executor for 4 */
    glet_sched_let_free(let);
}

static void excess_waits_for_planned_and_is_bounded(void **state)
{
    (void)state;
    struct glet_sched_let *let = two_models();
    for (size_t i = 1; i <= 4; i++)
        offer(let, 0, 0, i, 100000, GLET_SCHED_EXCESS, GLET_SCHED_ACCEPTED);
    offer(let, 0, 0, 5, 100000, GLET_SCHED_EXCESS, GLET_SCHED_FULL);
    offer(let, 0, 1, 6, 100000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    assert_int_equal(glet_sched_let_next(let, 0, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.share, 1);
    glet_sched_let_end(let, 10000, 0);
    assert_int_equal(glet_sched_let_next(let, 10000, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.share, 0);
    glet_sched_let_end(let, 14000, 0);
    size_t share;
    struct glet_sched_item left;
    offer(let, 20000, 0, 7, 100000, GLET_SCHED_EXCESS, GLET_SCHED_ACCEPTED);
    offer(let, 20000, 1, 8, 100000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
    assert_true(glet_sched_let_evacuate(let, &share, &left));
    assert_true(glet_sched_let_evacuate(let, &share, &left));
    assert_false(glet_sched_let_evacuate(let, &share, &left));
    glet_sched_let_free(let);
}

static void one_slow_run_does_not_close_the_door(void **state)
{
    (void)state;
    struct glet_sched_let *let = two_models();
    for (uint64_t now_us = 0; now_us < 10000000; now_us += 1000000) {
        offer(let, now_us, 1, 1, now_us + 20000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
        assert_int_equal(glet_sched_let_next(let, now_us, &batch), GLET_SCHED_RUN);
        glet_sched_let_end(let, now_us + 900000, 0); /* of planned 10 ms */
    }
    assert_true(glet_sched_let_exec_us(let, 1, 0) <= 40000);
    for (uint64_t now_us = 10000000; now_us < 210000000; now_us += 1000000) {
        offer(let, now_us, 1, 1, now_us + 20000, GLET_SCHED_PLANNED, GLET_SCHED_ACCEPTED);
        assert_int_equal(glet_sched_let_next(let, now_us, &batch), GLET_SCHED_RUN);
        glet_sched_let_end(let, now_us + 5000, 0);
    }
    assert_true(glet_sched_let_exec_us(let, 1, 0) <= 5100); /* and it learns that it is fast */
    glet_sched_let_free(let);
}

static void large_requests_fit_or_wait_for_the_next_turn(void **state)
{
    (void)state;
    struct glet_sched_let *let = two_models();
    const int rows[] = {3, 3, 1};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct glet_sched_item one = item(i, 100000 + i, rows[i]);
        assert_int_equal(glet_sched_let_offer(let, 0, 0, &one, GLET_SCHED_PLANNED, NULL),
                         GLET_SCHED_ACCEPTED);
    }
    int ran = 0;
    for (uint64_t now_us = 0; ran < 7; now_us += 5000) {
        assert_true(now_us < 30000);
        assert_int_equal(glet_sched_let_next(let, now_us, &batch), GLET_SCHED_RUN);
        assert_true(batch.rows <= 4);
        ran += batch.rows;
        glet_sched_let_end(let, now_us + 4000, 0);
    }
    glet_sched_let_free(let);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_is_ordered_by_priority_deadline_arrival),
        cmocka_unit_test(bucket_lends_its_depth_and_then_its_rate),
        cmocka_unit_test(models_take_turns_and_leave_at_once),
        cmocka_unit_test(an_urgent_turn_goes_first_only_when_it_costs_nobody),
        cmocka_unit_test(the_next_batch_is_given_out_one_copy_earlier),
        cmocka_unit_test(what_comes_after_that_waits_for_the_end),
        cmocka_unit_test(what_is_gathered_is_learned),
        cmocka_unit_test(what_cannot_be_in_time_is_refused_or_dropped),
        cmocka_unit_test(a_batch_shrinks_to_save_its_first_request),
        cmocka_unit_test(excess_waits_for_planned_and_is_bounded),
        cmocka_unit_test(one_slow_run_does_not_close_the_door),
        cmocka_unit_test(large_requests_fit_or_wait_for_the_next_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
