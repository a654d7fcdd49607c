/* SPDX-License-Identifier: Apache-2.0 */
/* The replay of a profile behind device.h: what it is, how long its batches take, in which order they
   end. Times are lower bounds, since whoever sleeps may wake late. */
#include "common/clock.h"
#include "runtime/device/device.h"
#include "tests/unit/check.h"
#include "tests/unit/profiles/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES                                                                                    \
    "gpu,mechanism,sm_count,units,max_gpulets,memory_mib,context_mib,layouts\n"                    \
    "big,green_context,80,10,3,1000,8,\n"
#define MODELS "model,memory_mib,input_bytes,output_bytes\nlenet,1,3136,40\n"
/* 20 ms, of which 8 are computed, and 20 beside itself. */
#define LATENCY                                                                                    \
    "gpu,model,batch,units,p50_ms,p99_ms,trust\n"                                                  \
    "big,lenet,2,5,20,20,measured\nbig,lenet,2,10,20,20,measured\n"
#define QUALITY                                                                                    \
    "gpu,model,batch,units,mean_ms,cv_ratio,ci_ratio,wall_ratio,foreign_ratio,p99_alone_ms,"       \
    "slice_ms,flags,model_sha256,machine,device_p50_ms,device_p99_ms,clock_mhz,achieved_units\n"   \
    "big,lenet,2,5,,,,,,,,,,,8,8,,\nbig,lenet,2,10,,,,,,,,,,,8,8,,\n"
#define CORUN                                                                                      \
    "gpu,model_a,batch_a,units_a,model_b,batch_b,units_b,slowdown_a,slowdown_b\n"                  \
    "big,lenet,2,5,lenet,2,5,2,2\n"

struct bench {
    char folder[256];
    struct glet_device *device;
    struct glet_model *model;
    struct glet_partition_set *set;
    struct glet_executor *executor;
};

static struct bench open_bench(int parts)
{
    struct bench b = {0};
    struct glet_error err = {0};
    char spec[512];
    folder_new(b.folder);
    folder_put(b.folder, "devices.csv", DEVICES);
    folder_put(b.folder, "models.csv", MODELS);
    folder_put(b.folder, "latency.csv", LATENCY);
    folder_put(b.folder, "quality.csv", QUALITY);
    folder_put(b.folder, "corun.csv", CORUN);
    snprintf(spec, sizeof spec, "replay:%s", b.folder);
    CHECK_OK(glet_device_open(spec, &b.device, &err), &err);
    struct glet_model_options options = {.no_weights = true};
    CHECK_OK(glet_model_load(getenv("LENET"), &options, &b.model, &err), &err);
    int units[] = {10 / parts, 10 / parts};
    CHECK_OK(glet_partitions_create(b.device, units, (size_t)parts, &b.set, &err), &err);
    for (int i = 0; i < parts; i++)
        CHECK_OK(glet_partition_enter(glet_partition_at(b.set, (size_t)i), &err), &err);
    CHECK_OK(glet_executor_build(glet_partition_at(b.set, 0), b.model, 2, &b.executor, &err), &err);
    return b;
}

static void close_bench(struct bench *b)
{
    glet_executor_free(b->executor);
    glet_partitions_free(b->set);
    glet_model_free(b->model);
    glet_device_close(b->device);
    folder_remove(b->folder);
}

static uint64_t ran_us(struct glet_executor *executor, int used)
{
    struct glet_error err = {0};
    uint64_t start_us = glet_clock_us();
    CHECK_OK(glet_executor_run(executor, used, &err), &err);
    return glet_clock_us() - start_us;
}

/* Since the last call. */
static int computed_ms(struct bench *b)
{
    struct glet_partition_use use;
    glet_partition_achieved(glet_partition_at(b->set, 0), &use);
    glet_partition_count_anew(glet_partition_at(b->set, 0));
    return (int)(use.busy_ms + 0.5);
}

static void it_is_the_gpu_that_was_profiled(void **state)
{
    (void)state;
    struct bench b = open_bench(1);
    const struct glet_device_info *info = glet_device_info(b.device);
    assert_string_equal(info->gpu, "big");
    assert_string_equal(info->mechanism, "green_context");
    assert_true(info->replay && info->units == 10 && info->max_gpulets == 3);
    assert_true(info->sm_count == 80 && info->memory_mib == 1000 && info->context_mib == 8);
    struct glet_error err = {0};
    CHECK_OK(glet_device_check(b.device, "lenet", 5, 1, &err), &err);
    assert_int_equal(glet_device_check(b.device, "lenet", 5, 3, &err), -1);
    assert_int_equal(glet_device_check(b.device, "vgg16", 5, 1, &err), -1);
    close_bench(&b);
}

static void a_batch_takes_what_the_profile_says_and_answers_zeros(void **state)
{
    (void)state;
    struct bench b = open_bench(1);
    void *staging = memset(glet_executor_input(b.executor, 0), 1, 2 * 3136);
    assert_in_range(ran_us(b.executor, 2), 20000, 1000000);
    const unsigned char *output = glet_executor_output(b.executor, 0);
    for (int i = 0; i < 2 * 40; i++)
        assert_int_equal(output[i], 0);
    assert_int_equal(computed_ms(&b), 8);
    assert_ptr_equal(glet_executor_input(b.executor, 0), staging); /* one by one */
    assert_in_range(ran_us(b.executor, 1), 14000, 1000000);        /* half of the copies */
    close_bench(&b);
}

static void copies_run_beside_the_compute_of_another_batch(void **state)
{
    (void)state;
    struct bench b = open_bench(1);
    struct glet_error err = {0};
    assert_int_equal(glet_executor_depth(b.executor), 2);
    void *first = glet_executor_input(b.executor, 0);
    uint64_t start_us = glet_clock_us();
    CHECK_OK(glet_executor_begin(b.executor, 2, &err), &err);
    assert_ptr_not_equal(glet_executor_input(b.executor, 0), first);
    CHECK_OK(glet_executor_begin(b.executor, 2, &err), &err);
    CHECK_OK(glet_executor_finish(b.executor, &err), &err);
    assert_in_range(glet_clock_us() - start_us, 20000, 1000000);
    CHECK_OK(glet_executor_finish(b.executor, &err), &err);
    /* Two copies in of 11.849 ms, one after the other, then 8 ms, then 0.151 to copy out. */
    assert_in_range(glet_clock_us() - start_us, 31848, 1000000);
    close_bench(&b);
}

static void a_neighbour_that_computes_makes_it_slower(void **state)
{
    (void)state;
    struct bench b = open_bench(2);
    struct glet_executor *neighbour;
    struct glet_error err = {0};
    CHECK_OK(glet_executor_build(glet_partition_at(b.set, 1), b.model, 2, &neighbour, &err), &err);
    uint64_t start_us = glet_clock_us();
    CHECK_OK(glet_executor_begin(neighbour, 2, &err), &err);
    CHECK_OK(glet_executor_begin(b.executor, 2, &err), &err);
    CHECK_OK(glet_executor_finish(b.executor, &err), &err);
    assert_in_range(glet_clock_us() - start_us, 40000, 1000000);
    assert_int_equal(computed_ms(&b), 28); /* twice as long, but for its copies */
    CHECK_OK(glet_executor_finish(neighbour, &err), &err);
    (void)ran_us(b.executor, 2); /* alone again */
    assert_int_equal(computed_ms(&b), 8);
    glet_executor_free(neighbour);
    close_bench(&b);
}

static void check_not_opened(const char *folder, const char *suffix, const char *part)
{
    char spec[512];
    struct glet_device *device;
    struct glet_error err = {0};
    snprintf(spec, sizeof spec, "replay:%s%s", folder, suffix);
    assert_int_equal(glet_device_open(spec, &device, &err), -1);
    if (!strstr(err.message, part))
        fail_msg("%s: not '%s'", err.message, part);
}

static void it_must_be_clear_which_gpu_it_is(void **state)
{
    (void)state;
    struct glet_device *device;
    struct glet_error err = {0};
    char spec[512], folder[256];
    folder_new(folder);
    check_not_opened(folder, "", "devices.csv");
    folder_put(folder, "devices.csv", DEVICES "small,mps,40,4,2,500,4,\n");
    folder_put(folder, "models.csv", MODELS);
    folder_put(folder, "latency.csv", LATENCY);
    check_not_opened(folder, "", "profiles of 2 GPUs");
    check_not_opened(folder, ":h100", "no profile of a 'h100'");
    snprintf(spec, sizeof spec, "replay:%s:small", folder);
    CHECK_OK(glet_device_open(spec, &device, &err), &err);
    assert_string_equal(glet_device_info(device)->gpu, "small");
    glet_device_close(device);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_gpu_that_was_profiled),
        cmocka_unit_test(a_batch_takes_what_the_profile_says_and_answers_zeros),
        cmocka_unit_test(copies_run_beside_the_compute_of_another_batch),
        cmocka_unit_test(a_neighbour_that_computes_makes_it_slower),
        cmocka_unit_test(it_must_be_clear_which_gpu_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
