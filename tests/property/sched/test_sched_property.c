/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of the scheduling core over random plans, in simulated time. Every run also checks
 * that each request ends exactly once and that no gpu-let idles over planned work (sched_sim.c).
 */
#include "common/random.h"
#include "tests/property/sched/sched_sim.h"
#include "tests/unit/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of the execution time, what does not depend on the batch: CPUs about nothing, GPUs most of it. */
static const double fixed_ratios[] = {0.02, 0.6};

/*
 * A gpu-let as the planner makes it: a duty cycle of `load` < 1 of which is used, SLOs that
 * just hold (duty cycle + exec), batches that carry the planned rate.
 */
static void make_plan(struct sim *sim, struct glet_random *random, int models, double fixed_ratio,
                      double load_ratio)
{
    memset(sim, 0, sizeof *sim);
    sim->model_count = models;
    sim->let_count = 1;
    sim->seed = glet_random_bits(random);
    sim->seconds = 100;
    struct sim_let *let = &sim->lets[0];
    let->share_count = models;
    double duty_ms = 0;
    for (int m = 0; m < models; m++) {
        double exec_ms = 1 + 20 * glet_random_uniform(random);
        int batch = 4 + (int)glet_random_below(random, 13);
        let->shares[m] = (struct sim_share){.model = m,
                                            .batch = batch,
                                            .fixed_ms = fixed_ratio * exec_ms,
                                            .per_row_ms = (1 - fixed_ratio) * exec_ms / batch};
        duty_ms += exec_ms;
    }
    duty_ms /= load_ratio;
    for (int m = 0; m < models; m++) {
        struct sim_share *share = &let->shares[m];
        share->rate_rps = share->batch / duty_ms * 1000;
        sim->models[m].offered_rps = share->rate_rps;
        sim->models[m].slo_ms = duty_ms + share->fixed_ms + share->per_row_ms * share->batch + 0.01;
    }
}

static void at_three_quarters_of_the_plan_nearly_all_are_in_time(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(1);
    for (size_t f = 0; f < COUNT_OF(fixed_ratios); f++) {
        double sum = 0;
        int count = 0;
        for (int run = 0; run < 12; run++) {
            struct sim sim;
            make_plan(&sim, &random, 1 + run % 4, fixed_ratios[f], 0.9);
            for (int m = 0; m < sim.model_count; m++, count++)
                sim.models[m].offered_rps *= 0.75;
            sim_run(&sim);
            for (int m = 0; m < sim.model_count; m++)
                sum += sim_attainment(&sim.models[m]);
        }
        printf("fixed %.2f: mean attainment %.4f\n", fixed_ratios[f], sum / count);
        assert_true(sum / count >= 0.99);
    }
}

static void at_half_the_plan_all_but_one_in_a_thousand_are_in_time(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(2);
    for (size_t f = 0; f < COUNT_OF(fixed_ratios); f++)
        for (int run = 0; run < 8; run++) {
            struct sim sim;
            make_plan(&sim, &random, 1 + run % 4, fixed_ratios[f], 0.9);
            for (int m = 0; m < sim.model_count; m++)
                sim.models[m].offered_rps *= 0.5;
            sim_run(&sim);
            for (int m = 0; m < sim.model_count; m++)
                assert_true(sim_attainment(&sim.models[m]) >= 0.995);
        }
}

/* Twice its rate instead of its rate: the others must not notice, and it must still get its own. */
static void overload_of_one_model_is_its_own_problem(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(3);
    for (size_t f = 0; f < COUNT_OF(fixed_ratios); f++) {
        double change = 0;
        int count = 0;
        for (int run = 0; run < 12; run++) {
            struct sim plain, loaded;
            make_plan(&plain, &random, 2 + run % 3, fixed_ratios[f], 0.85);
            plain.copy_ratio = 0.15;
            plain.overlaps = f == 1 && run % 2; /* as only GPUs do */
            for (int m = 1; m < plain.model_count; m++)
                plain.models[m].offered_rps *= 0.8;
            loaded = plain;
            loaded.models[0].offered_rps *= 2;
            sim_run(&plain);
            sim_run(&loaded);
            const struct sim_model *over = &loaded.models[0];
            assert_true(over->done_late * 1000 <= over->arrived); /* refused, not late, */
            assert_true(over->dropped_late * 4 <= over->arrived); /* and mostly at arrival */
            double goodput_ratio = sim_goodput_rps(&loaded, 0) / loaded.models[0].planned_rps;
            if (goodput_ratio < 0.9)
                fail_msg("run %d: goodput %.3f of the plan", run, goodput_ratio);
            for (int m = 1; m < plain.model_count; m++, count++) {
                double less = sim_attainment(&plain.models[m]) - sim_attainment(&loaded.models[m]);
                change += less;
                if (less > 0.015)
                    fail_msg("run %d: model %d lost %.4f of its requests", run, m, less);
            }
        }
        printf("fixed %.2f: the others' attainment changes by %.5f\n", fixed_ratios[f],
               -change / count);
        assert_true(change / count < 0.003);
    }
}

static void unused_rate_of_others_is_lent(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(4);
    for (int run = 0; run < 8; run++) {
        struct sim sim;
        make_plan(&sim, &random, 2, 0.02, 0.9);
        sim.models[0].offered_rps *= 1.5;
        sim.models[1].offered_rps = 0;
        double cost_ratio = sim.lets[0].shares[0].per_row_ms * sim.models[0].offered_rps / 1000;
        if (cost_ratio > 0.8)
            continue; /* more than the whole gpu-let can do */
        sim_run(&sim);
        if (sim_attainment(&sim.models[0]) < 0.97)
            fail_msg("run %d: %.4f at 1.5 x the plan beside an idle model, load %.2f", run,
                     sim_attainment(&sim.models[0]), cost_ratio);
    }
}

struct totals { /* over some plans */
    double attained, worst_less, late, in_time_rps, rows_per_batch, ahead_ratio, too_late;
};

/* The same plans on a device that does one thing at a time, and on one that copies while it computes.
   slo_ratio: as many times what the plan needs. */
static void run_both(double copy_ratio, double load_ratio, double slo_ratio, struct totals sides[2])
{
    enum { PLANS = 12 };
    double attained[2][4 * PLANS];
    for (int side = 0; side < 2; side++) {
        struct glet_random random = glet_random_seeded(6);
        struct totals *totals = &sides[side];
        double late = 0, rows = 0, batches = 0, ahead = 0, too_late = 0, arrived = 0;
        int count = 0;
        *totals = (struct totals){0};
        for (int run = 0; run < PLANS; run++) {
            struct sim sim;
            make_plan(&sim, &random, 1 + run % 4, fixed_ratios[1], 0.9);
            sim.seconds = 10;
            sim.copy_ratio = copy_ratio;
            sim.overlaps = side == 1;
            sim.full_batch_only = run % 3 == 0;
            for (int m = 0; m < sim.model_count; m++) {
                sim.models[m].offered_rps *= load_ratio;
                sim.models[m].slo_ms *= slo_ratio;
            }
            sim_run(&sim);
            for (int m = 0; m < sim.model_count; m++, count++) {
                attained[side][count] = sim_attainment(&sim.models[m]);
                totals->attained += attained[side][count];
                double less = attained[0][count] - attained[side][count];
                totals->worst_less = fmax(totals->worst_less, less);
                totals->in_time_rps += sim_goodput_rps(&sim, m) / PLANS;
                late += (double)sim.models[m].done_late;
                arrived += (double)sim.models[m].arrived;
            }
            rows += (double)sim.rows;
            batches += (double)sim.batches;
            ahead += (double)sim.batches_ahead;
            too_late += (double)sim.too_late;
        }
        totals->attained /= count;
        totals->late = late / arrived;
        totals->rows_per_batch = rows / batches;
        totals->ahead_ratio = ahead / batches;
        totals->too_late = ahead > 0 ? too_late / ahead : 0;
    }
}

/* Copies take this part of the compute. At any load as many requests are in time as without, or more.
   A batch leaves with what waits one copy earlier, so it is a smaller one where less than a full one
   does; where SLOs let more wait, it is not, and the time of the copies is won. */
static void copies_beside_compute_are_time_won(void **state)
{
    (void)state;
    static const double copies[] = {0.05, 0.2, 0.5}, loads[] = {0.5, 0.75, 1, 2, 4};
    for (size_t slo = 0; slo < 2; slo++)
        for (size_t c = 0; c < COUNT_OF(copies); c++)
            for (size_t l = slo * 3; l < COUNT_OF(loads); l++) {
                struct totals sides[2];
                double copy_ratio = copies[c] / (1 + copies[c]);
                run_both(copy_ratio, loads[l], slo ? 4 : 1, sides);
                const struct totals *plain = &sides[0], *overlap = &sides[1];
                printf("%s SLO, copies %2.0f %%, load %.2f: in time %.4f -> %.4f, %.0f -> %.0f/s, "
                       "late %.5f -> %.5f, rows per batch %.2f -> %.2f, ahead %.2f, too late for "
                       "it %.2f\n",
                       slo ? "loose" : "tight", copies[c] * 100, loads[l], plain->attained,
                       overlap->attained, plain->in_time_rps, overlap->in_time_rps, plain->late,
                       overlap->late, plain->rows_per_batch, overlap->rows_per_batch,
                       overlap->ahead_ratio, overlap->too_late);
                assert_true(overlap->attained > plain->attained - 0.0005);
                if (loads[l] <= 1) /* beyond it, who gets what is left over may differ */
                    assert_true(overlap->worst_less < 0.003);
                assert_true(overlap->in_time_rps > plain->in_time_rps * 0.9995);
                if (slo && loads[l] >= 4) {
                    assert_true(overlap->rows_per_batch > plain->rows_per_batch * 0.96);
                    assert_true(overlap->in_time_rps > plain->in_time_rps * (1 + copies[c] / 3));
                }
            }
}

/* Own deadlines, priorities, several rows, noisy times, several gpu-lets, any overload. */
static void everything_ends_once_whatever_comes(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(5);
    for (int run = 0; run < 60; run++) {
        struct sim sim;
        int models = 1 + (int)glet_random_below(&random, 4);
        make_plan(&sim, &random, models, glet_random_uniform(&random), 0.9);
        sim.let_count = 1 + (int)glet_random_below(&random, 3);
        for (int l = 1; l < sim.let_count; l++)
            sim.lets[l] = sim.lets[0];
        sim.full_batch_only = run % 2;
        sim.by_completion = run % 3 == 0;
        sim.overlaps = run % 4 < 2;
        sim.copy_ratio = 0.5 * glet_random_uniform(&random);
        sim.speed_low_ratio = 0.5;
        sim.speed_high_ratio = run % 5 == 0 ? 3 : 1.2;
        sim.seconds = 10;
        for (int m = 0; m < models; m++) {
            sim.models[m].offered_rps *= 3 * glet_random_uniform(&random) * sim.let_count;
            sim.models[m].short_ratio = 0.3 * glet_random_uniform(&random);
            sim.models[m].urgent_ratio = 0.3 * glet_random_uniform(&random);
            sim.models[m].rows = 1 + (int)glet_random_below(&random, 4);
        }
        sim_run(&sim);
        for (int m = 0; m < models; m++) {
            const struct sim_model *model = &sim.models[m];
            assert_int_equal(model->arrived, model->done_in_time + model->done_late +
                                                 model->refused_rate + model->refused_load +
                                                 model->dropped_late);
            if (sim.speed_high_ratio < 2 && model->arrived > 0)
                assert_true(model->done_in_time > 0);
        }
    }
}

static void requests_are_spread_by_planned_rate(void **state)
{
    (void)state;
    struct glet_sched_way ways[] = {{.rate_rps = 100, .batch = 8},
                                    {.rate_rps = 300, .batch = 8},
                                    {.rate_rps = 600, .batch = 4}};
    int counts[3] = {0}, longest_run = 0, run = 0, last = -1;
    for (int i = 0; i < 10000; i++) {
        int way = glet_sched_route(ways, 3, 1);
        counts[way]++;
        run = way == last ? run + 1 : 1;
        last = way;
        longest_run = run > longest_run ? run : longest_run;
    }
    assert_int_equal(counts[0], 1000);
    assert_int_equal(counts[1], 3000);
    assert_int_equal(counts[2], 6000);
    assert_true(longest_run <= 3);
    assert_true(glet_sched_route(ways, 3, 8) < 2);
    ways[0].closed = ways[1].closed = true;
    assert_int_equal(glet_sched_route(ways, 3, 8), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_three_quarters_of_the_plan_nearly_all_are_in_time),
        cmocka_unit_test(at_half_the_plan_all_but_one_in_a_thousand_are_in_time),
        cmocka_unit_test(overload_of_one_model_is_its_own_problem),
        cmocka_unit_test(unused_rate_of_others_is_lent),
        cmocka_unit_test(copies_beside_compute_are_time_won),
        cmocka_unit_test(everything_ends_once_whatever_comes),
        cmocka_unit_test(requests_are_spread_by_planned_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
