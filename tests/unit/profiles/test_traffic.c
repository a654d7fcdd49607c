/* SPDX-License-Identifier: Apache-2.0 */
/* What a network moves, from its shapes: LeNet counted by hand. */
#include "profiles/traffic.h"
#include "tests/unit/check.h"

#include <stdlib.h>

static struct glet_error err;
static struct glet_model *model;

static int set_up(void **state)
{
    (void)state;
    struct glet_model_options options = {0};
    CHECK_OK(glet_model_load(getenv("LENET"), &options, &model, &err), &err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    glet_model_free(model);
    return 0;
}

/* 61 706 weights and biases; two bytes each. */
#define WEIGHT_BYTES (2 * 61706.0)

static struct glet_traffic estimate(int batch, double cache_bytes)
{
    struct glet_traffic traffic;
    CHECK_OK(glet_traffic_estimate(model, batch, cache_bytes, &traffic, &err), &err);
    return traffic;
}

/* In a large cache only weights, the image and the answer meet the memory. */
static void test_large_cache(void **state)
{
    (void)state;
    CHECK_NEAR(estimate(1, 1e9).dram_bytes, WEIGHT_BYTES + 2 * (784 + 10), 0);
    CHECK_NEAR(estimate(8, 1e9).dram_bytes, WEIGHT_BYTES + 8 * 2 * (784 + 10), 0);
}

/* Without a cache everything does: each of six activations is written once and read once. */
static void test_no_cache(void **state)
{
    (void)state;
    double inner = 6 * 28 * 28 + 6 * 14 * 14 + 16 * 10 * 10 + 400 + 120 + 84;
    struct glet_traffic traffic = estimate(1, 0);
    CHECK_NEAR(traffic.dram_bytes, WEIGHT_BYTES + 2 * (784 + 10 + 2 * inner), 0);
    CHECK_NEAR(traffic.l2_bytes, traffic.dram_bytes, 0);
    CHECK_NEAR(estimate(1, 1e9).l2_bytes, traffic.l2_bytes, 0);
}

static void test_utilisation(void **state)
{
    (void)state;
    const struct glet_traffic traffic = {.l2_bytes = 3e9, .dram_bytes = 1e9};
    struct glet_device_info info = {.l2_gb_per_s = 10000, .dram_gb_per_s = 2000};
    struct glet_utilisation u = glet_traffic_utilisation(&traffic, 1, &info);
    CHECK_NEAR(u.l2_ratio, 0.3, 1e-12);
    CHECK_NEAR(u.dram_ratio, 0.5, 1e-12);
    u = glet_traffic_utilisation(&traffic, 0.1, &info); /* more than there is */
    CHECK_NEAR(u.dram_ratio, 1, 0);
    info.dram_gb_per_s = 0;
    assert_true(isnan(glet_traffic_utilisation(&traffic, 1, &info).dram_ratio));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_cache),
        cmocka_unit_test(test_no_cache),
        cmocka_unit_test(test_utilisation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
