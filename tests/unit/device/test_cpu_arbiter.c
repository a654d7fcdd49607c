/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arbiter in simulated time: one core, members that run slices of given lengths whenever they
 * are granted. Exact, fast, and free of the machine's noise.
 */
#include "common/random.h"
#include "runtime/device/cpu/cores/arbiter.h"
#include "runtime/device/cpu/cores/meter.h"
#include "tests/unit/check.h"

#include <string.h>

#define MS UINT64_C(1000000)

enum { MAX_MEMBERS = 6 };

struct simulated {
    struct glet_arbiter_member member;
    struct glet_cpu_meter meter;
    uint64_t slice_ns;  /* by the clock */
    uint64_t uses_ns;   /* of the core; less when others use it as well */
    uint64_t thinks_ns; /* pause after each slice; 0 = always wants */
    uint64_t wakes_ns;  /* when it wants again */
    uint64_t longest_wait_ns, asked_ns;
    bool idle;
};

struct simulation {
    struct glet_arbiter arbiter;
    struct simulated members[MAX_MEMBERS];
    int count;
    uint64_t now_ns;
    uint64_t idle_ns; /* nobody ran */
};

static void add(struct simulation *s, int tenths, uint64_t slice_ns, uint64_t thinks_ns)
{
    struct simulated *m = &s->members[s->count++];
    *m = (struct simulated){.slice_ns = slice_ns,
                            .uses_ns = slice_ns,
                            .thinks_ns = thinks_ns,
                            .wakes_ns = s->now_ns,
                            .meter = {.tenths = tenths},
                            .idle = true};
    glet_arbiter_join(&s->arbiter, &m->member, tenths, s->now_ns);
    glet_arbiter_expect_slice(&s->arbiter, &m->member, slice_ns);
}

/* Everybody whose pause is over asks; returns the next moment at which somebody will. */
static uint64_t wake(struct simulation *s)
{
    uint64_t next_ns = UINT64_MAX;
    for (int i = 0; i < s->count; i++) {
        struct simulated *m = &s->members[i];
        if (!m->idle)
            continue;
        if (m->wakes_ns <= s->now_ns) {
            m->idle = false;
            m->asked_ns = s->now_ns;
            glet_cpu_meter_want(&m->meter, s->now_ns);
            glet_arbiter_request(&s->arbiter, &m->member, s->now_ns);
        } else if (m->wakes_ns < next_ns) {
            next_ns = m->wakes_ns;
        }
    }
    return next_ns;
}

static void simulate(struct simulation *s, uint64_t until_ns)
{
    while (s->now_ns < until_ns) {
        uint64_t wakes_ns = wake(s), turn_ns;
        struct glet_arbiter_member *granted = glet_arbiter_grant(&s->arbiter, s->now_ns, &turn_ns);
        if (!granted) {
            uint64_t next_ns = wakes_ns < turn_ns ? wakes_ns : turn_ns;
            assert_true(next_ns > s->now_ns); /* else it would never go on */
            assert_true(next_ns != UINT64_MAX);
            s->idle_ns += next_ns - s->now_ns;
            s->now_ns = next_ns;
            continue;
        }
        struct simulated *m = (struct simulated *)granted;
        uint64_t waited_ns = s->now_ns - m->asked_ns;
        if (waited_ns > m->longest_wait_ns)
            m->longest_wait_ns = waited_ns;
        uint64_t end_ns = s->now_ns + m->slice_ns;
        while (wakes_ns < end_ns) { /* others may ask meanwhile */
            s->now_ns = wakes_ns;
            wakes_ns = wake(s);
        }
        s->now_ns = end_ns;
        glet_arbiter_release(&s->arbiter, m->uses_ns, s->now_ns);
        glet_cpu_meter_got(&m->meter, m->uses_ns, s->now_ns);
        m->idle = true;
        m->wakes_ns = s->now_ns + m->thinks_ns;
    }
}

static double share(const struct simulation *s, int i)
{
    return (double)s->members[i].meter.used_ns / (double)s->now_ns;
}

static void test_busy_members_get_their_shares(void **state)
{
    (void)state;
    static const uint64_t longest[] = {1, 5, 10, 20, 60};
    for (size_t i = 0; i < COUNT_OF(longest); i++) {
        struct simulation s = {.now_ns = 1000 * MS};
        uint64_t start_ns = s.now_ns;
        add(&s, 5, longest[i] * MS, 0);
        add(&s, 3, MS, 0);
        add(&s, 2, MS, 0);
        simulate(&s, start_ns + 20000 * MS);
        for (int k = 0; k < 3; k++) {
            double wanted = s.members[k].member.tenths / 10.0;
            double got = (double)s.members[k].meter.used_ns / (double)(s.now_ns - start_ns);
            CHECK_NEAR(got, wanted, 0.03 * wanted);
            CHECK_NEAR(glet_cpu_meter_achieved_tenths(&s.members[k].meter) / 10, wanted,
                       0.03 * wanted);
        }
    }
}

/* Alone on its core, a member gets its share and not the idle rest. */
static void test_no_more_than_the_share(void **state)
{
    (void)state;
    for (int tenths = 1; tenths <= 10; tenths++) {
        struct simulation s = {.now_ns = 0};
        add(&s, tenths, 2 * MS, 0);
        simulate(&s, 10000 * MS);
        CHECK_NEAR(share(&s, 0), tenths / 10.0, 0.01);
    }
}

/* A member that has been idle may catch up by the burst, not by more. */
static void test_credit_is_bounded(void **state)
{
    (void)state;
    struct simulation s = {.now_ns = 0};
    add(&s, 2, MS, 0);
    s.members[0].wakes_ns = 5000 * MS;
    add(&s, 8, MS, 0);
    simulate(&s, 5000 * MS);
    uint64_t before_ns = s.members[0].meter.used_ns;
    simulate(&s, 5100 * MS);
    double got_ms = (double)(s.members[0].meter.used_ns - before_ns) / MS;
    CHECK_NEAR(got_ms, 20, 2);
    CHECK_NEAR(glet_cpu_meter_achieved_tenths(&s.members[0].meter), 2, 0.1);
}

/* Shares of two sets at once sum to more than the core: everybody gets his part of it. */
static void test_overload_is_shared_in_proportion(void **state)
{
    (void)state;
    struct simulation s = {.now_ns = 0};
    add(&s, 6, MS, 0);
    add(&s, 4, MS, 0);
    add(&s, 9, MS, 0);
    add(&s, 1, MS, 0);
    simulate(&s, 20000 * MS);
    CHECK_NEAR(share(&s, 0), 0.3, 0.02);
    CHECK_NEAR(share(&s, 1), 0.2, 0.02);
    CHECK_NEAR(share(&s, 2), 0.45, 0.02);
    CHECK_NEAR(share(&s, 3), 0.05, 0.01);
    assert_true(s.idle_ns == 0);
}

/* Other programs take half of the core: what is left is shared as planned, and then made good by
   no more than the burst. */
static void test_foreign_load(void **state)
{
    (void)state;
    struct simulation s = {.now_ns = 0};
    add(&s, 5, 2 * MS, 0);
    add(&s, 3, 2 * MS, 0);
    add(&s, 2, 2 * MS, 0);
    s.members[0].uses_ns = s.members[1].uses_ns = s.members[2].uses_ns = MS;
    simulate(&s, 10000 * MS);
    CHECK_NEAR(share(&s, 0), 0.25, 0.01);
    CHECK_NEAR(share(&s, 1), 0.15, 0.01);
    CHECK_NEAR(share(&s, 2), 0.10, 0.01);
    CHECK_NEAR(glet_cpu_meter_achieved_tenths(&s.members[0].meter), 2.5, 0.1);
    for (int i = 0; i < 3; i++) {
        s.members[i].uses_ns = 2 * MS;
        s.members[i].meter.used_ns = 0;
    }
    simulate(&s, 11000 * MS);
    CHECK_NEAR((double)s.members[0].meter.used_ns / MS, 500, 20);
    CHECK_NEAR((double)s.members[2].meter.used_ns / MS, 200, 10);
}

static void test_achieved_tells_when_the_share_was_missed(void **state)
{
    (void)state;
    struct simulation s = {.now_ns = 0};
    add(&s, 10, MS, 0);
    add(&s, 10, MS, 0);
    simulate(&s, 5000 * MS);
    CHECK_NEAR(glet_cpu_meter_achieved_tenths(&s.members[0].meter), 5, 0.1);
}

/* Short runs with pauses do not look like a whole core. */
static void test_achieved_of_short_runs(void **state)
{
    (void)state;
    struct simulation s = {.now_ns = 0};
    add(&s, 3, MS / 50, 10 * MS);
    simulate(&s, 5000 * MS);
    CHECK_NEAR(glet_cpu_meter_achieved_tenths(&s.members[0].meter), 3, 0.1);
}

/* Random sets: nobody above its share, nobody who always wants below it, no wait without end. */
static void test_random_sets(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(7);
    for (int round = 0; round < 400; round++) {
        struct simulation s = {.now_ns = 0};
        int left = 10;
        uint64_t longest_ns = 0;
        while (left > 0 && s.count < MAX_MEMBERS) {
            int tenths = 1 + (int)glet_random_below(&random, (uint32_t)left);
            uint64_t slice_ns = MS / 10 + glet_random_below(&random, 30) * MS;
            uint64_t thinks_ns =
                glet_random_below(&random, 2) ? glet_random_below(&random, 50) * MS : 0;
            add(&s, tenths, slice_ns, thinks_ns);
            longest_ns = slice_ns > longest_ns ? slice_ns : longest_ns;
            left -= tenths;
        }
        simulate(&s, 60000 * MS);
        for (int i = 0; i < s.count; i++) {
            struct simulated *m = &s.members[i];
            double wanted = m->member.tenths / 10.0;
            /* Rounding: one slice and one burst in a minute. */
            double slack = (double)(longest_ns * 4) / (double)s.now_ns + 0.002;
            double got = share(&s, i);
            if (got > wanted + slack)
                fail_msg("round %d: member %d got %g of %g", round, i, got, wanted);
            if (m->thinks_ns == 0 && got < 0.93 * wanted - slack)
                fail_msg("round %d: member %d got only %g of %g", round, i, got, wanted);
            /* It pays for its own slice, then waits for the others to catch up. */
            uint64_t bound_ns = m->slice_ns * 10 / (uint64_t)m->member.tenths + 12 * longest_ns;
            if (m->longest_wait_ns > bound_ns)
                fail_msg("round %d: member %d waited %g ms, slice %g ms, share %g", round, i,
                         (double)m->longest_wait_ns / MS, (double)m->slice_ns / MS, wanted);
        }
    }
}

static void test_burst_follows_the_members(void **state)
{
    (void)state;
    struct simulation s = {.now_ns = 0};
    add(&s, 5, 30 * MS, 0);
    add(&s, 5, MS, 0);
    assert_true(s.arbiter.burst_ns == 60 * MS);
    glet_arbiter_part(&s.arbiter, &s.members[0].member);
    assert_true(s.arbiter.burst_ns == 2 * GLET_ARBITER_QUANTUM_NS);
    assert_ptr_equal(s.arbiter.members, &s.members[1].member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_busy_members_get_their_shares),
        cmocka_unit_test(test_no_more_than_the_share),
        cmocka_unit_test(test_credit_is_bounded),
        cmocka_unit_test(test_overload_is_shared_in_proportion),
        cmocka_unit_test(test_foreign_load),
        cmocka_unit_test(test_achieved_tells_when_the_share_was_missed),
        cmocka_unit_test(test_achieved_of_short_runs),
        cmocka_unit_test(test_random_sets),
        cmocka_unit_test(test_burst_follows_the_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
