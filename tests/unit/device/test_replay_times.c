/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/replay/replay_times.h"
#include "tests/unit/check.h"

#include <math.h>
#include <string.h>

enum { NET, OTHER, ABSENT };

static struct glet_profile_device devices[] = {
    {.gpu = (char[]){"big"}, .units = 10, .max_gpulets = 8},
    {.gpu = (char[]){"small"}, .units = 4, .max_gpulets = 4},
};
static struct glet_profile_model models[] = {
    {.model = (char[]){"net"}, .input_bytes = 300, .output_bytes = 100},
    {.model = (char[]){"other"}, .input_bytes = 300, .output_bytes = 100},
    {.model = (char[]){"unseen"}},
};
static struct glet_profile_latency latency[] = {
    {0, NET, 4, 5, 2, 4, 0, GLET_TRUST_MEASURED, 0.2, 0.5, 10},
    {0, NET, 8, 5, 4, NAN, 0, GLET_TRUST_MEASURED, 0.4, 0.5, 20},
    {0, NET, 1, 10, 1, 1.5, 0, GLET_TRUST_MEASURED, NAN, 0.5, NAN},
    {0, OTHER, 4, 5, 3, 5, 0, GLET_TRUST_MEASURED, 0.5, 0, 10},
    {1, OTHER, 4, 4, 9, 9, 0, GLET_TRUST_MEASURED, 0.5, 0, 10},
};
static struct glet_profile_quality quality[] = {
    {.device = 0, .model = NET, .batch = 4, .units = 5, .device_p50_ms = 1.2},
    {.device = 0, .model = NET, .batch = 8, .units = 5, .device_p50_ms = 2.4},
    {.device = 0, .model = OTHER, .batch = 4, .units = 5, .device_p50_ms = NAN},
};
static struct glet_profile_interference linear[] = {
    {.device = 0, .constant = 1, .l2_self = 1, .l2_other = 0.5, .margin = 10},
};
static struct glet_profile_corun corun[] = {
    {0, NET, OTHER, 4, 5, 4, 5, 1.25, 0.9},
};
static struct glet_profile profile = {.path = (char[]){"folder"},
                                      .devices = devices,
                                      .device_count = 2,
                                      .models = models,
                                      .model_count = 3,
                                      .latency = latency,
                                      .latency_count = 5,
                                      .interference = linear,
                                      .interference_count = 1,
                                      .corun = corun,
                                      .corun_count = 1,
                                      .quality = quality,
                                      .quality_count = 3};

static struct glet_replay_times find(const char *model, int units, int batch)
{
    struct glet_replay_times times;
    struct glet_error err = {0};
    CHECK_OK(glet_replay_times_find(&profile, 0, model, units, batch, &times, &err), &err);
    return times;
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void a_measured_point_is_taken_as_it_is(void **state)
{
    (void)state;
    struct glet_replay_times times = find("net", 5, 4);
    assert_true(near(times.typical_ms, 2) && near(times.slow_ms, 4) && times.overlaps);
    assert_true(near(times.copy_in_ms, 0.6) && near(times.copy_out_ms, 0.2)); /* 0.8, 3 to 1 */
    assert_true(near(times.activation_mib, 10));
    times = find("net", 5, 8);
    assert_true(near(times.typical_ms, 4) && near(times.slow_ms, 4)); /* no 99th percentile */
}

static void between_two_it_is_linear_in_the_batch(void **state)
{
    (void)state;
    struct glet_replay_times times = find("net", 5, 6);
    assert_true(near(times.typical_ms, 3) && near(times.slow_ms, 4) && near(times.l2_util, 0.3));
    assert_true(near(times.copy_in_ms + times.copy_out_ms, 1.2));
    assert_int_equal(times.batch, 6);
}

static void a_batch_below_all_takes_as_long_as_the_smallest(void **state)
{
    (void)state;
    struct glet_replay_times times = find("net", 5, 1);
    assert_true(near(times.typical_ms, 2) && near(times.slow_ms, 4));
}

static void without_device_times_nothing_overlaps(void **state)
{
    (void)state;
    assert_false(find("other", 5, 4).overlaps);
    struct glet_replay_times times = find("net", 10, 1);
    assert_false(times.overlaps);
    assert_true(times.copy_in_ms == 0 && times.copy_out_ms == 0);
}

static void check_refused(const char *model, int units, int batch, const char *message)
{
    struct glet_replay_times times;
    struct glet_error err = {0};
    assert_int_equal(glet_replay_times_find(&profile, 0, model, units, batch, &times, &err), -1);
    assert_int_equal(err.code, GLET_ERR_INPUT);
    assert_string_equal(err.message, message);
}

static void what_was_not_measured_is_refused(void **state)
{
    (void)state;
    check_refused("nobody", 5, 4, "folder has no profile of nobody on 'big'");
    check_refused("unseen", 5, 4, "folder has no profile of unseen on 'big'");
    check_refused("net", 4, 4, "folder knows net on 'big' in 5, 10 units, and not in 4");
    check_refused("net", 5, 9,
                  "folder knows net on 'big' in 5 units up to a batch of 8, and not 9");
}

static void neighbours_slow_each_other_as_they_were_measured(void **state)
{
    (void)state;
    struct glet_replay_times net = find("net", 5, 4), other = find("other", 5, 4);
    assert_true(near(glet_replay_slowdown(&profile, 0, &net, &other), 1.25));
    assert_true(near(glet_replay_slowdown(&profile, 0, &other, &net), 1)); /* 0.9 was noise */
}

static void others_by_the_linear_model_without_its_margin(void **state)
{
    (void)state;
    struct glet_replay_times net = find("net", 5, 8), other = find("other", 5, 4);
    assert_true(near(glet_replay_slowdown(&profile, 0, &net, &other), 1 + 0.4 + 0.25));
    assert_true(near(glet_replay_slowdown(&profile, 1, &net, &other), 1)); /* it has no model */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_measured_point_is_taken_as_it_is),
        cmocka_unit_test(between_two_it_is_linear_in_the_batch),
        cmocka_unit_test(a_batch_below_all_takes_as_long_as_the_smallest),
        cmocka_unit_test(without_device_times_nothing_overlaps),
        cmocka_unit_test(what_was_not_measured_is_refused),
        cmocka_unit_test(neighbours_slow_each_other_as_they_were_measured),
        cmocka_unit_test(others_by_the_linear_model_without_its_margin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
