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
            for (int m = 1; m < plain.model_count; m++)
                plain.models[m].offered_rps *= 0.8;
            loaded = plain;
            loaded.models[0].offered_rps *= 2;
            loaded.ahead = true; /* and it does not come before them for that */
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

/* What is given out before the batch in front of it has ended costs nobody anything: at any load as
   many requests are in time as without. */
static void batches_given_out_ahead_cost_nobody(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(6);
    double change = 0, worst = 0;
    uint64_t ahead = 0, batches = 0;
    int count = 0;
    for (int run = 0; run < 40; run++) {
        struct sim plain, early;
        make_plan(&plain, &random, 1 + run % 4, fixed_ratios[run % 2], 0.9);
        plain.full_batch_only = run % 3 == 0;
        plain.seconds = 40;
        for (int m = 0; m < plain.model_count; m++)
            plain.models[m].offered_rps *= 0.5 + 1.5 * glet_random_uniform(&random);
        early = plain;
        early.ahead = true;
        sim_run(&plain);
        sim_run(&early);
        ahead += early.batches_ahead;
        batches += early.batches;
        for (int m = 0; m < plain.model_count; m++, count++) {
            double less = sim_attainment(&plain.models[m]) - sim_attainment(&early.models[m]);
            change += less;
            worst = fmax(worst, less);
        }
    }
    printf("%.3f of the batches given out ahead: attainment changes by %.5f, at worst by %.5f\n",
           (double)ahead / (double)batches, -change / count, -worst);
    assert_true(ahead * 50 > batches);
    assert_true(change / count < 0.0005 && worst < 0.01);
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
        sim.ahead = run % 4 < 2;
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
        cmocka_unit_test(batches_given_out_ahead_cost_nobody),
        cmocka_unit_test(everything_ends_once_whatever_comes),
        cmocka_unit_test(requests_are_spread_by_planned_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
