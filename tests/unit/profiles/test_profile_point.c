/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/profile_point.h"
#include "tests/unit/check.h"

#include <math.h>

static const struct glet_profile_latency small = {.batch = 8,
                                                  .units = 7,
                                                  .p50_ms = 2,
                                                  .p99_ms = 3,
                                                  .samples = 100,
                                                  .l2_util = 0.2,
                                                  .dram_util = 0.5,
                                                  .activation_mib = 10};
static const struct glet_profile_latency large = {.batch = 32,
                                                  .units = 7,
                                                  .p50_ms = 8,
                                                  .p99_ms = NAN,
                                                  .samples = 50,
                                                  .trust = GLET_TRUST_ESTIMATED,
                                                  .l2_util = 0.8,
                                                  .dram_util = NAN,
                                                  .activation_mib = NAN};

static void between_is_linear_in_the_batch(void **state)
{
    (void)state;
    struct glet_profile_latency row = glet_profile_between(&small, &large, 20);
    assert_int_equal(row.batch, 20);
    assert_true(fabs(row.p50_ms - 5) < 1e-12);
    assert_true(fabs(row.p99_ms - 5.5) < 1e-12); /* to the median, where that is all */
    assert_true(fabs(row.l2_util - 0.5) < 1e-12);
    assert_true(isnan(row.dram_util));
    assert_true(fabs(row.activation_mib - 5) < 1e-12);
    assert_int_equal(row.trust, GLET_TRUST_ESTIMATED);
}

static void the_ends_are_the_rows(void **state)
{
    (void)state;
    struct glet_profile_latency row = glet_profile_between(&small, &small, 8);
    assert_true(row.p50_ms == 2 && row.p99_ms == 3 && row.l2_util == 0.2);
    row = glet_profile_between(&small, &large, 32);
    assert_true(row.p50_ms == 8 && row.p99_ms == 8);
    row = glet_profile_between(&small, &large, 8);
    assert_true(row.p50_ms == 2 && row.p99_ms == 3);
}

static void an_unknown_utilisation_counts_as_the_worst(void **state)
{
    (void)state;
    struct glet_profile_interference model = {.constant = 1,
                                              .margin = 0.1,
                                              .l2_self = 0.4,
                                              .dram_self = -0.3,
                                              .l2_other = 0.2,
                                              .dram_other = NAN};
    assert_true(fabs(glet_profile_victim_ratio(&model, 0.5, 1) - 1.0) < 1e-12);
    assert_true(fabs(glet_profile_victim_ratio(&model, NAN, NAN) - 1.5) < 1e-12);
    assert_true(fabs(glet_profile_aggressor_ratio(&model, 0.5, 0.5) - 0.1) < 1e-12);
    assert_true(fabs(glet_profile_aggressor_ratio(&model, NAN, 0.5) - 0.2) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_is_linear_in_the_batch),
        cmocka_unit_test(the_ends_are_the_rows),
        cmocka_unit_test(an_unknown_utilisation_counts_as_the_worst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
