/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "benchmarks/load/http_target.h"
#include "benchmarks/load/load_hdr.h"
#include "benchmarks/load/load_model.h"
#include "benchmarks/load/load_search.h"
#include "benchmarks/load/load_stream.h"
#include "common/arrivals.h"

#include <stdlib.h>
#include <string.h>

static void search_ends_within_precision(void **state)
{
    (void)state;
    for (double limit = 0.003; limit < 300; limit *= 1.37) {
        struct glet_search search = glet_search_begin(1);
        int trials = 0;
        while (!search.done) {
            glet_search_tell(&search, search.next <= limit);
            assert_true(++trials < 20);
        }
        assert_true(search.held <= limit && search.missed > limit);
        assert_true(search.missed <= search.held * 1.05);
    }
}

static void search_gives_up(void **state)
{
    (void)state;
    struct glet_search never = glet_search_begin(2), always = glet_search_begin(2);
    while (!never.done)
        glet_search_tell(&never, false);
    CHECK_NEAR(never.held, 0, 0);
    while (!always.done)
        glet_search_tell(&always, true);
    assert_true(isinf(always.missed) && always.held > 1000);
}

static void turns_follow_the_weights(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_load_model model;
    size_t counts[3] = {0};
    CHECK_OK(glet_load_model_init(&model, "m", 3, &err), &err);
    model.targets[0].weight = 5;
    model.targets[1].weight = 0;
    model.targets[2].weight = 2.5;
    for (size_t t = 0; t < 3; t++)
        model.targets[t].request.variants = 1;
    for (int i = 1; i <= 3000; i++) {
        counts[glet_load_model_next(&model).target]++;
        assert_true(fabs((double)counts[0] - i * 2.0 / 3) <= 1);
    }
    assert_int_equal(counts[0], 2000);
    assert_int_equal(counts[1], 0);
    glet_load_model_fini(&model);
}

static double mean_gap_s(struct glet_arrivals arrivals, double *variation)
{
    enum { COUNT = 100000 };
    double last_s = 0, sum = 0, squares = 0;
    glet_arrivals_start(&arrivals);
    for (int i = 0; i < COUNT; i++) {
        double gap_s = arrivals.next_s - last_s;
        assert_true(gap_s >= 0);
        last_s = arrivals.next_s;
        sum += gap_s;
        squares += gap_s * gap_s;
        glet_arrivals_advance(&arrivals);
    }
    double mean = sum / COUNT;
    *variation = sqrt(squares / COUNT - mean * mean) / mean;
    return mean;
}

static void processes_have_their_rates(void **state)
{
    (void)state;
    const struct {
        enum glet_process process;
        double burstiness, variation, tolerance;
    } cases[] = {
        {GLET_PROCESS_POISSON, 0, 1, 0.02},
        {GLET_PROCESS_UNIFORM, 0, 0, 0.02},
        {GLET_PROCESS_BURST, 3, 3, 0.2},
        {GLET_PROCESS_BURST, 0.5, 0.5, 0.02},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        double variation,
            gap_s = mean_gap_s((struct glet_arrivals){.process = cases[i].process,
                                                      .rate_rps = 50,
                                                      .burstiness = cases[i].burstiness,
                                                      .random = glet_random_seeded(3)},
                               &variation);
        CHECK_NEAR(gap_s, 0.02, 0.02 * (0.01 + 0.02 * cases[i].variation));
        CHECK_NEAR(variation, cases[i].variation, cases[i].tolerance);
    }
}

static void traces_repeat(void **state)
{
    (void)state;
    static const double times_s[] = {1, 2, 4};
    static const double wanted_s[] = {0, 0.5, 1.5, 2.25, 2.75, 3.75, 4.5};
    struct glet_arrivals arrivals = {
        .process = GLET_PROCESS_TRACE, .times_s = times_s, .time_count = 3, .time_scale = 0.5};
    glet_arrivals_start(&arrivals);
    for (size_t i = 0; i < COUNT_OF(wanted_s); i++) {
        CHECK_NEAR(arrivals.next_s, wanted_s[i], 1e-12);
        glet_arrivals_advance(&arrivals);
    }
    static const double once_s[] = {7};
    arrivals = (struct glet_arrivals){
        .process = GLET_PROCESS_TRACE, .times_s = once_s, .time_count = 1, .time_scale = 1};
    glet_arrivals_start(&arrivals);
    CHECK_NEAR(arrivals.next_s, 0, 0);
    glet_arrivals_advance(&arrivals);
    assert_true(isinf(arrivals.next_s));
}

static void hdr_text(void **state)
{
    (void)state;
    struct glet_error err;
    char *text = NULL;
    size_t length;
    struct glet_histogram *histogram = glet_histogram_new(&err);
    FILE *out = open_memstream(&text, &length);
    glet_histogram_record(histogram, 1000);
    glet_histogram_record_many(histogram, 2000, 3);
    CHECK_OK(glet_load_hdr_write(histogram, out, &err), &err);
    fclose(out);
    assert_string_equal(text, "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
                              "       1.000 0.000000000000          1           1.00\n"
                              "       1.000 0.100000000000          1           1.11\n"
                              "       1.000 0.200000000000          1           1.25\n"
                              "       2.000 1.000000000000          4\n"
                              "#[Mean    =        1.750, StdDeviation   =        0.433]\n"
                              "#[Max     =        2.000, Total count    =            4]\n"
                              "#[Buckets =           17, SubBuckets     =         2048]\n");
    free(text);
    glet_histogram_free(histogram);
}

/* 0.57 x 100 is less than 57 in doubles. */
static void a_percentile_is_met_exactly(void **state)
{
    (void)state;
    struct glet_stream stream = {.slo_ms = 1, .percentile = 57};
    stream.counts.offered = 100;
    stream.counts.in_slo = 57;
    assert_true(glet_stream_meets_slo(&stream));
    stream.counts.in_slo = 56;
    assert_false(glet_stream_meets_slo(&stream));
    stream = (struct glet_stream){.slo_ms = 1, .percentile = 99.9};
    stream.counts.offered = 1000000;
    stream.counts.in_slo = 998999;
    assert_false(glet_stream_meets_slo(&stream));
}

static void a_target_turns_through_its_addresses(void **state)
{
    (void)state;
    struct glet_http_target target = {.address_count = 2};
    struct glet_error err;
    assert_true(glet_http_target_turn(&target));
    assert_int_equal(target.current, 1);
    assert_false(glet_http_target_turn(&target));
    assert_int_equal(target.current, 0);
    CHECK_OK(glet_http_target_resolve(&target, "http://127.0.0.1:80", &err), &err);
    assert_int_equal(target.address_count, 1);
    assert_false(glet_http_target_turn(&target));
    free(target.host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_ends_within_precision),
        cmocka_unit_test(search_gives_up),
        cmocka_unit_test(turns_follow_the_weights),
        cmocka_unit_test(processes_have_their_rates),
        cmocka_unit_test(traces_repeat),
        cmocka_unit_test(hdr_text),
        cmocka_unit_test(a_percentile_is_met_exactly),
        cmocka_unit_test(a_target_turns_through_its_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
