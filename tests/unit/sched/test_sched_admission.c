/* SPDX-License-Identifier: Apache-2.0 */
/* When would a request be answered, who lets it in, and how much may excess take: by hand. */
#include "common/sched/sched_door.h"
#include "common/sched/sched_plan.h"
#include "tests/unit/check.h"

static struct glet_error err;
static struct glet_sched_item items[8];
static struct glet_sched_batch batch = {.items = items};

enum { SMALL, LARGE };

/* SMALL takes 4 rows in 4 ms or fewer in less, LARGE up to 8 in 10 ms: a round of 14 ms. */
#define SMALL_RPS (4e6 / 14000)
#define LARGE_RPS (8e6 / 14000)

/* What one request adds to the rate of late: one in 16 rounds. */
#define ONE_RPS (1e6 / (16 * 14000))

static struct glet_sched_let *new_let(void)
{
    static const struct glet_sched_share shares[] = {
        {.sizes = {{1, 1300, 0}, {2, 2200, 0}, {4, 4000, 0}},
         .size_count = 3,
         .queue_capacity = 64},
        {.sizes = {{8, 10000, 0}}, .size_count = 1, .queue_capacity = 64}};
    struct glet_sched_let *let = glet_sched_let_new(shares, 2, &err);
    assert_non_null(let);
    return let;
}

static struct glet_sched_item item(uint64_t deadline_us, int rows)
{
    return (struct glet_sched_item){.deadline_us = deadline_us, .rows = rows};
}

static void offer(struct glet_sched_let *let, size_t share, enum glet_sched_class kind,
                  const struct glet_sched_item *one)
{
    assert_int_equal(glet_sched_let_offer(let, 0, share, one, kind, NULL), GLET_SCHED_ACCEPTED);
}

static void offer_planned(struct glet_sched_let *let, size_t share, int count, uint64_t deadline_us)
{
    struct glet_sched_item one = item(deadline_us, 1);
    for (int i = 0; i < count; i++)
        offer(let, share, GLET_SCHED_PLANNED, &one);
}

/* Asks for requests that nobody can answer: they count for the rate of late only. */
static void ask_in_vain(struct glet_sched_let *let, size_t share, int count)
{
    struct glet_sched_item late = item(1, 1);
    for (int i = 0; i < count; i++)
        assert_int_equal(glet_sched_let_offer(let, 0, share, &late, GLET_SCHED_PLANNED, NULL),
                         GLET_SCHED_TOO_LATE);
}

static uint64_t predict(const struct glet_sched_let *let, uint64_t now_us, size_t share, int rows,
                        uint64_t deadline_us, enum glet_sched_class kind)
{
    struct glet_sched_item one = item(deadline_us, rows);
    return glet_sched_let_predict(let, now_us, share, &one, kind);
}

static void run(struct glet_sched_let *let, uint64_t now_us, size_t share, int rows)
{
    assert_int_equal(glet_sched_let_next(let, now_us, &batch), GLET_SCHED_RUN);
    assert_int_equal(batch.share, share);
    assert_int_equal(batch.rows, rows);
}

static void planned_requests_are_counted_in_turns(void **state)
{
    (void)state;
    struct glet_sched_let *let = new_let();
    offer_planned(let, SMALL, 5, 100000);
    offer_planned(let, LARGE, 3, 100000);
    /* A full turn, LARGE's, and with the one that waits and one that may come a turn for 4. */
    assert_int_equal(predict(let, 0, SMALL, 1, 100000, GLET_SCHED_PLANNED), 4000 + 10000 + 4000);
    offer_planned(let, SMALL, 1, 100000);
    /* 3 rows do not fit beside the 2, for which a whole turn is counted: a turn later. */
    assert_int_equal(predict(let, 0, SMALL, 3, 100000, GLET_SCHED_PLANNED),
                     4000 + 4000 + 10000 + 4000);
    assert_int_equal(predict(let, 0, LARGE, 1, 100000, GLET_SCHED_PLANNED), 4000 + 10000);
    glet_sched_let_free(let);
}

static void an_overdue_batch_is_expected_to_take_as_long_again(void **state)
{
    (void)state;
    struct glet_sched_let *let = new_let();
    offer_planned(let, SMALL, 4, 100000);
    run(let, 0, SMALL, 4);
    assert_int_equal(predict(let, 3000, LARGE, 1, 100000, GLET_SCHED_PLANNED), 4000 + 10000);
    assert_int_equal(predict(let, 6000, LARGE, 1, 100000, GLET_SCHED_PLANNED), 8000 + 10000);
    glet_sched_let_free(let);
}

/* It is LARGE's turn; SMALL has one request waiting, and another one comes. */
static uint64_t predict_behind_large(uint64_t large_deadline_us, uint64_t deadline_us)
{
    struct glet_sched_let *let = new_let();
    offer_planned(let, SMALL, 4, 100000);
    run(let, 0, SMALL, 4);
    offer_planned(let, SMALL, 1, deadline_us + 4000);
    offer_planned(let, LARGE, 8, large_deadline_us + 4000);
    glet_sched_let_end(let, 4000, 0);
    uint64_t end_us = predict(let, 4000, SMALL, 1, deadline_us + 4000, GLET_SCHED_PLANNED) - 4000;
    glet_sched_let_free(let);
    return end_us;
}

static void an_urgent_request_goes_before_those_that_can_wait(void **state)
{
    (void)state;
    assert_int_equal(predict_behind_large(50000, 50000), 10000 + 4000);
    assert_int_equal(predict_behind_large(50000, 3000), 2200);
    assert_int_equal(predict_behind_large(12200, 3000), 2200);         /* LARGE is just in time */
    assert_int_equal(predict_behind_large(12199, 3000), 10000 + 4000); /* it would be late */
}

static void excess_waits_for_all_planned_work_in_the_time_that_is_left(void **state)
{
    (void)state;
    struct glet_sched_let *let = new_let();
    struct glet_sched_item one = item(100000, 1);
    offer_planned(let, SMALL, 5, 100000);
    offer_planned(let, LARGE, 3, 100000);
    offer(let, SMALL, GLET_SCHED_EXCESS, &one);
    offer(let, SMALL, GLET_SCHED_EXCESS, &one);
    double load = 5 * ONE_RPS * 1000e-6 + 3 * ONE_RPS * 1250e-6;
    CHECK_NEAR((double)predict(let, 0, SMALL, 1, 100000, GLET_SCHED_EXCESS),
               4000 + 1300 + 10000 + 4000 / (1 - load), 2);
    CHECK_NEAR((double)predict(let, 0, LARGE, 1, 100000, GLET_SCHED_EXCESS),
               4000 + 1300 + 10000 + (2200 + 10000) / (1 - load), 2);
    glet_sched_let_free(let);
}

/* The others are left as much of a round as they have lately been using. */
static void excess_leaves_the_others_their_share_of_a_round(void **state)
{
    (void)state;
    for (int asked = 18; asked <= 19; asked++) {
        struct glet_sched_let *let = new_let();
        struct glet_sched_item one = item(100000, 1);
        ask_in_vain(let, SMALL, asked);
        offer(let, LARGE, GLET_SCHED_EXCESS, &one);
        bool room = asked * ONE_RPS / SMALL_RPS <= 4000. / 14000;
        assert_int_equal(room, asked == 18);
        assert_int_equal(glet_sched_let_next(let, 0, &batch),
                         room ? GLET_SCHED_RUN : GLET_SCHED_IDLE);
        glet_sched_let_free(let);
    }
    struct glet_sched_let *let = new_let();
    struct glet_sched_item one = item(100000, 1);
    ask_in_vain(let, LARGE, 101); /* 2950 us of a round are left: 2 rows, not 4 */
    CHECK_NEAR((1 - 101 * ONE_RPS / LARGE_RPS) * 14000, 2950, 5);
    offer_planned(let, SMALL, 1, 100000);
    for (int i = 0; i < 3; i++)
        offer(let, SMALL, GLET_SCHED_EXCESS, &one);
    run(let, 0, SMALL, 2); /* the planned one, and one more */
    glet_sched_let_end(let, 2200, 0);
    glet_sched_let_free(let);
}

/* Small batches of one model never add up to more than its planned one while others wait. */
static void a_turn_ends_with_its_planned_batch(void **state)
{
    (void)state;
    struct glet_sched_let *let = new_let();
    offer_planned(let, SMALL, 3, 100000);
    offer_planned(let, LARGE, 1, 100000);
    run(let, 0, SMALL, 2); /* 2 and 1 take less than 3 in the executor for 4 */
    glet_sched_let_end(let, 2200, 0);
    offer_planned(let, SMALL, 4, 100000);
    run(let, 2200, SMALL, 1); /* of its 4 ms 1.8 are left: not enough for 2 rows, */
    glet_sched_let_end(let, 3500, 0);
    assert_int_equal(glet_sched_let_rounds(let), 0);
    run(let, 3500, LARGE, 1); /* and then not for one */
    assert_int_equal(glet_sched_let_rounds(let), 1);
    glet_sched_let_end(let, 13500, 0);
    run(let, 13500, SMALL, 4);
    assert_int_equal(glet_sched_let_rounds(let), 1);
    glet_sched_let_free(let);
}

/* Deadlines do not ascend where there are priorities or requests of several rows. */
static void every_late_request_is_dropped(void **state)
{
    (void)state;
    struct glet_sched_let *let = new_let();
    struct glet_sched_item first = item(50000, 1), late[] = {item(1400, 1), item(1500, 1)};
    first.priority = 1;
    offer(let, SMALL, GLET_SCHED_PLANNED, &late[0]);
    offer(let, SMALL, GLET_SCHED_PLANNED, &first);
    late[1].priority = 2;
    offer(let, SMALL, GLET_SCHED_PLANNED, &late[1]);
    assert_int_equal(glet_sched_let_next(let, 300, &batch), GLET_SCHED_LATE);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.items[0].deadline_us, 1500);
    assert_int_equal(batch.items[1].deadline_us, 1400);
    run(let, 300, SMALL, 1);
    glet_sched_let_free(let);

    let = new_let();
    struct glet_sched_item two = item(2600, 2), four = item(4200, 4);
    offer(let, SMALL, GLET_SCHED_PLANNED, &four);
    offer(let, SMALL, GLET_SCHED_PLANNED, &two);
    assert_int_equal(glet_sched_let_next(let, 300, &batch), GLET_SCHED_LATE);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.items[0].rows, 4);
    glet_sched_let_free(let);
}

/* What is left out of a batch for its first request's sake must still be in time itself. */
static void a_batch_shrinks_only_where_the_rest_can_wait(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct glet_sched_let *let = new_let();
        offer_planned(let, SMALL, 1, 2500);
        offer_planned(let, SMALL, 1, 4000);
        offer_planned(let, SMALL, 2, 4400 - (uint64_t)late); /* 2 rows each way: 2200 + 2200 */
        run(let, 0, SMALL, late ? 4 : 2);
        glet_sched_let_free(let);
    }
}

struct visits { /* of a door with ways that answer as they are told */
    size_t way[8];
    enum glet_sched_class kind[8];
    size_t count;
    enum glet_sched_verdict verdict[3];
    uint64_t completion_us[3];
};

static enum glet_sched_verdict visit(void *user, size_t way, const struct glet_sched_item *one,
                                     enum glet_sched_class kind, uint64_t now_us,
                                     uint64_t *completion_us_out)
{
    struct visits *v = user;
    (void)one;
    (void)now_us;
    v->way[v->count] = way;
    v->kind[v->count++] = kind;
    if (v->completion_us[way])
        *completion_us_out = v->completion_us[way];
    return v->verdict[way];
}

static uint64_t foretell(void *user, size_t way, const struct glet_sched_item *one,
                         enum glet_sched_class kind, uint64_t now_us)
{
    (void)one;
    (void)kind;
    (void)now_us;
    return ((struct visits *)user)->completion_us[way];
}

static void expect_visits(struct visits *v, const size_t *ways, size_t count,
                          enum glet_sched_class first)
{
    assert_int_equal(v->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(v->way[i], ways[i]);
        assert_int_equal(v->kind[i], i == 0 ? first : GLET_SCHED_EXCESS);
    }
    v->count = 0;
}

static void a_door_asks_the_other_ways_for_what_they_have_left(void **state)
{
    (void)state;
    struct visits v = {.verdict = {GLET_SCHED_TOO_LATE, GLET_SCHED_FULL, GLET_SCHED_ACCEPTED}};
    struct glet_sched_way ways[] = {{1, 4, false, 0}, {5, 4, false, 0}, {1, 4, false, 0}};
    struct glet_sched_door door = {
        .ways = ways, .way_count = 3, .user = &v, .offer = visit, .predict = foretell};
    struct glet_sched_item one = item(50000, 1);
    double wait_s = 0;
    glet_sched_bucket_init(&door.bucket, 10, 2, 0);

    assert_int_equal(glet_sched_door_admit(&door, 0, &one, &wait_s), GLET_SCHED_ADMITTED);
    expect_visits(&v, (size_t[]){1, 0, 2}, 3, GLET_SCHED_PLANNED);
    CHECK_NEAR(door.bucket.tokens, 1, 0);

    v.verdict[2] = GLET_SCHED_TOO_LATE; /* nobody: the token goes back */
    ways[0].closed = true;
    v.completion_us[1] = 90000;
    v.completion_us[2] = 80000;
    assert_int_equal(glet_sched_door_admit(&door, 0, &one, &wait_s), GLET_SCHED_OVERLOADED);
    expect_visits(&v, (size_t[]){1, 2}, 2, GLET_SCHED_PLANNED);
    CHECK_NEAR(wait_s, 0.03, 1e-12); /* the soonest is 30 ms too late */
    CHECK_NEAR(door.bucket.tokens, 1, 0);

    v.completion_us[1] = v.completion_us[2] = 0; /* full, whoever knows for how long */
    assert_int_equal(glet_sched_door_admit(&door, 0, &one, &wait_s), GLET_SCHED_OVERLOADED);
    CHECK_NEAR(wait_s, 1, 0);
    v.count = 0;

    struct glet_sched_item two = item(50000, 2); /* more than there are tokens */
    assert_int_equal(glet_sched_door_admit(&door, 0, &two, &wait_s), GLET_SCHED_OVER_RATE);
    assert_int_equal(v.kind[0], GLET_SCHED_EXCESS);
    CHECK_NEAR(wait_s, 0.1, 1e-12);
    v.count = 0;

    struct glet_sched_item five = item(50000, 5); /* more than a batch */
    assert_int_equal(glet_sched_door_admit(&door, 0, &five, &wait_s), GLET_SCHED_NO_WAY);
    assert_int_equal(v.count, 0);
}

static void a_door_by_completion_takes_the_soonest_way(void **state)
{
    (void)state;
    struct visits v = {.verdict = {GLET_SCHED_ACCEPTED, GLET_SCHED_ACCEPTED, GLET_SCHED_ACCEPTED},
                       .completion_us = {300, 100, 200}};
    struct glet_sched_way ways[] = {{9, 4, false, 0}, {1, 4, true, 0}, {1, 4, false, 0}};
    struct glet_sched_door door = {.ways = ways,
                                   .way_count = 3,
                                   .by_completion = true,
                                   .user = &v,
                                   .offer = visit,
                                   .predict = foretell};
    struct glet_sched_item one = item(50000, 1);
    double wait_s = 0;
    glet_sched_bucket_init(&door.bucket, 10, 2, 0);
    assert_int_equal(glet_sched_door_admit(&door, 0, &one, &wait_s), GLET_SCHED_ADMITTED);
    expect_visits(&v, (size_t[]){2}, 1, GLET_SCHED_PLANNED);
}

/* Over time every way gets rows in proportion to its rate, however large the requests are. */
static void ways_share_rows_by_their_rates(void **state)
{
    (void)state;
    struct glet_sched_way ways[] = {
        {5, 4, false, 0}, {3, 4, false, 0}, {2, 1, false, 0}, {0, 4, false, 0}, {7, 4, true, 0}};
    int rows[COUNT_OF(ways)] = {0};
    for (int i = 0; i < 100; i++)
        rows[glet_sched_route(ways, COUNT_OF(ways), 1)]++;
    assert_memory_equal(rows, ((int[]){50, 30, 20, 0, 0}), sizeof rows);
    for (int i = 0; i < 80; i++) /* which the third does not take */
        rows[glet_sched_route(ways, COUNT_OF(ways), 4)] += 4;
    assert_memory_equal(rows, ((int[]){250, 150, 20, 0, 0}), sizeof rows);
    for (size_t i = 0; i < 3; i++)
        ways[i].closed = true;
    assert_int_equal(glet_sched_route(ways, COUNT_OF(ways), 4), 3); /* better than none */
    ways[0] = ways[1] = ways[3] = (struct glet_sched_way){.batch = 4};
    int turns[COUNT_OF(ways)] = {0};
    for (int i = 0; i < 30; i++) /* without rates: evenly */
        turns[glet_sched_route(ways, COUNT_OF(ways), 2)]++;
    assert_memory_equal(turns, ((int[]){10, 10, 0, 10, 0}), sizeof turns);
    ways[0].closed = ways[1].closed = ways[3].closed = true;
    assert_int_equal(glet_sched_route(ways, COUNT_OF(ways), 1), -1);
}

/* Its own SLO; of a model that only apps use, its deadline, or the largest bound of its gpu-lets. */
static void how_long_a_request_may_take(void **state)
{
    (void)state;
    struct glet_plan_model models[] = {{.slo_ms = 12.5}, {.slo_ms = 0}};
    struct glet_plan_let_model parts[] = {{.model = 0, .latency_bound_ms = 90},
                                          {.model = 1, .latency_bound_ms = 30},
                                          {.model = 1, .latency_bound_ms = 40.5},
                                          {.model = 1, .latency_bound_ms = 35}};
    struct glet_plan_let lets[] = {{.models = parts, .model_count = 2},
                                   {.models = parts + 2, .model_count = 1},
                                   {.models = parts + 3, .model_count = 1}};
    struct glet_plan_gpu gpus[] = {{.lets = lets, .let_count = 2},
                                   {.lets = lets + 2, .let_count = 1}};
    struct glet_plan plan = {.models = models, .model_count = 2, .gpus = gpus, .gpu_count = 2};
    assert_int_equal(glet_sched_slo_us(&plan, 0), 12500);
    assert_int_equal(glet_sched_slo_us(&plan, 1), 40500);
    plan.models[1].deadline_ms = 60;
    assert_int_equal(glet_sched_slo_us(&plan, 1), 60000);
}

static void what_a_plan_says_of_rates_and_queues(void **state)
{
    (void)state;
    struct glet_plan_let_model models[] = {{.batch = 8, .rate_rps = 100}, {.batch = 1}};
    struct glet_plan_let let = {.duty_cycle_ms = 20, .models = models, .model_count = 2};
    CHECK_NEAR(glet_sched_capacity_rps(&let, 0), 400, 1e-9);
    CHECK_NEAR(glet_sched_capacity_rps(&let, 1), 50, 1e-9);
    models[1].rate_rps = 51; /* never less than it was given */
    CHECK_NEAR(glet_sched_capacity_rps(&let, 1), 51, 1e-9);
    assert_int_equal(glet_sched_queue_capacity(100, 1000000, 8), 400 + 64);
    assert_int_equal(glet_sched_queue_capacity(1, 1000, 1), 64);
    assert_int_equal(glet_sched_queue_capacity(1e6, 1000000, 8), 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planned_requests_are_counted_in_turns),
        cmocka_unit_test(an_overdue_batch_is_expected_to_take_as_long_again),
        cmocka_unit_test(an_urgent_request_goes_before_those_that_can_wait),
        cmocka_unit_test(excess_waits_for_all_planned_work_in_the_time_that_is_left),
        cmocka_unit_test(excess_leaves_the_others_their_share_of_a_round),
        cmocka_unit_test(a_turn_ends_with_its_planned_batch),
        cmocka_unit_test(every_late_request_is_dropped),
        cmocka_unit_test(a_batch_shrinks_only_where_the_rest_can_wait),
        cmocka_unit_test(a_door_asks_the_other_ways_for_what_they_have_left),
        cmocka_unit_test(a_door_by_completion_takes_the_soonest_way),
        cmocka_unit_test(ways_share_rows_by_their_rates),
        cmocka_unit_test(how_long_a_request_may_take),
        cmocka_unit_test(what_a_plan_says_of_rates_and_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
