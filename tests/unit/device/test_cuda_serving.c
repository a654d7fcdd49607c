/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gpu-lets of the CUDA device at work on the fake driver, with nets of one kernel; with green contexts
 * and without. Every test ends with nothing broken and nothing left over.
 */
#include "tests/unit/check.h"
#include "tests/unit/device/cuda_cut.h"
#include "tests/unit/device/fake_cuda_net.h"

#include <pthread.h>
#include <string.h>

struct worker {
    pthread_t thread;
    struct glet_partition *partition;
    struct glet_model *model;
    int batch, runs;
    float base;
    pthread_barrier_t *barrier; /* of them all and the test: built, ran, may be freed */
    bool failed;
};

static bool run_once(struct glet_executor *executor, const struct worker *w, int used)
{
    struct glet_error err;
    float *in = glet_executor_input(executor, 0);
    for (int k = 0; k < used * w->model->floats; k++)
        in[k] = w->base + (float)(used * 100 + k);
    if (glet_executor_run(executor, used, &err) < 0)
        return false;
    const float *out = glet_executor_output(executor, 0);
    for (int k = 0; k < used * w->model->floats; k++)
        if (out[k] != w->base + (float)(used * 100 + k) + 1)
            return false;
    return true;
}

static void *work(void *opaque)
{
    struct worker *w = opaque;
    struct glet_error err;
    struct glet_executor *executor = NULL;
    w->failed = glet_partition_enter(w->partition, &err) < 0 ||
                glet_executor_build(w->partition, w->model, w->batch, &executor, &err) < 0;
    pthread_barrier_wait(w->barrier);
    for (int i = 0; !w->failed && i < w->runs; i++)
        w->failed = !run_once(executor, w, 1 + i % w->batch);
    pthread_barrier_wait(w->barrier);
    pthread_barrier_wait(w->barrier);
    glet_executor_free(executor);
    glet_partition_leave(w->partition);
    return NULL;
}

/* Everybody builds; then everybody runs, and the driver watches that nothing else happens. */
static void serve(struct worker *workers, size_t count)
{
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    for (size_t i = 0; i < count; i++) {
        workers[i].barrier = &barrier;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    pthread_barrier_wait(&barrier);
    fake_cuda_serving(true); /* they may begin a moment earlier */
    pthread_barrier_wait(&barrier);
    fake_cuda_serving(false);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_false(workers[i].failed);
    }
    pthread_barrier_destroy(&barrier);
}

static void test_serving(void **state)
{
    (void)state;
    enum { LETS = 3, RUNS = 40 };
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){10, 4, 2}, LETS);
    struct glet_model model = {.floats = 5, .weight_bytes = 4096};
    struct worker workers[LETS];
    for (int i = 0; i < LETS; i++)
        workers[i] = (struct worker){.partition = glet_partition_at(set, (size_t)i),
                                     .model = &model,
                                     .batch = 1 + 3 * i,
                                     .runs = RUNS,
                                     .base = (float)(1000 * i)};
    serve(workers, LETS);
    assert_int_equal(atomic_load(&model.live_nets), 0);
    assert_int_equal(atomic_load(&model.uploads), 1); /* weights once per device */
    for (size_t i = 0; i < LETS; i++) {
        struct glet_partition_use use;
        glet_partition_achieved(glet_partition_at(set, i), &use);
        /* The build's trials are two runs more. */
        CHECK_NEAR(use.busy_ms, (RUNS + 2) * FAKE_CUDA_KERNEL_MS, 1e-6);
        CHECK_NEAR(use.longest_slice_ms, 0, 0);
    }
    glet_partitions_free(set);
    glet_device_forget_model(device, &model);
    close_device(device);
}

/* Several models and batches in one gpu-let, built, run and freed in any order. */
static void test_many_executors(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){16}, 1);
    struct glet_partition *let = glet_partition_at(set, 0);
    struct glet_model models[2] = {{.floats = 3, .weight_bytes = 64},
                                   {.floats = 700, .weight_bytes = 128}};
    struct glet_executor *executors[6] = {NULL};
    CHECK_OK(glet_partition_enter(let, &err), &err);
    for (int i = 0; i < 6; i++) {
        CHECK_OK(glet_executor_build(let, &models[i % 2], 1 + i, &executors[i], &err), &err);
        assert_int_equal(glet_executor_batch(executors[i]), 1 + i);
        double staging_mib = (1 + i) * models[i % 2].floats * 2 * sizeof(float) / 1048576.0;
        CHECK_NEAR(glet_executor_activation_mib(executors[i]), 1 + i + staging_mib, 1e-12);
    }
    for (int i = 5; i >= 0; i--) {
        struct worker w = {.model = &models[i % 2], .base = (float)i};
        assert_true(run_once(executors[i], &w, 1 + i));
        glet_executor_free(executors[i]);
    }
    glet_partition_leave(let);
    glet_partitions_free(set);
    close_device(device);
}

/* A batch that takes longer than anybody polls. */
static void test_waiting(void **state)
{
    (void)state;
    struct glet_device *device = open_device(&(struct fake_cuda_config){.slow = true}, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){4}, 1);
    struct glet_model model = {.floats = 4, .weight_bytes = 64};
    struct worker w = {
        .partition = glet_partition_at(set, 0), .model = &model, .batch = 3, .runs = 6};
    serve(&w, 1);
    assert_true(fake_cuda_calls_of("cuEventSynchronize") >= 6);
    glet_partitions_free(set);
    close_device(device);
}

static void test_one_worker(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){1}, 1);
    struct glet_partition *let = glet_partition_at(set, 0);
    CHECK_OK(glet_partition_enter(let, &err), &err);
    CHECK_FAILS(glet_partition_enter(let, &err), &err, GLET_ERR_INTERNAL,
                "the partition has a worker already");
    glet_partition_leave(let);
    CHECK_OK(glet_partition_enter(let, &err), &err);
    glet_partition_leave(let);
    glet_partition_leave(let);
    glet_partitions_free(set);
    close_device(device);
}

static void test_bad_nets(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_executor *executor;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){2}, 1);
    struct glet_partition *let = glet_partition_at(set, 0);
    struct glet_model model = {.floats = 3, .weight_bytes = 64, .build_fails = true};
    CHECK_OK(glet_partition_enter(let, &err), &err);
    CHECK_FAILS(glet_executor_build(let, &model, 1, &executor, &err), &err, GLET_ERR_UNSUPPORTED,
                "no such operator");
    model = (struct glet_model){.floats = 3, .weight_bytes = 64, .record_fails = true};
    CHECK_FAILS(glet_executor_build(let, &model, 1, &executor, &err), &err, GLET_ERR_DEVICE,
                "nothing to record");
    struct glet_model large = {.floats = 3, .weight_bytes = (size_t)200 << 30};
    assert_int_equal(glet_executor_build(let, &large, 1, &executor, &err), -1);
    assert_int_equal(err.code, GLET_ERR_NOMEM);
    assert_non_null(strstr(err.message, "cuMemAlloc: out of memory"));
    glet_partition_leave(let);
    glet_partitions_free(set);
    close_device(device);
}

/* A fault of the GPU stays with the process: every call fails, and still nothing leaks. */
static void test_device_lost(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_executor *executor;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){2}, 1);
    struct glet_partition *let = glet_partition_at(set, 0);
    struct glet_model model = {.floats = 3, .weight_bytes = 64};
    CHECK_OK(glet_partition_enter(let, &err), &err);
    CHECK_OK(glet_executor_build(let, &model, 1, &executor, &err), &err);
    fake_cuda_fail("cuEventQuery", 1, CUDA_ERROR_ILLEGAL_ADDRESS, true);
    CHECK_FAILS(glet_executor_run(executor, 1, &err), &err, GLET_ERR_DEVICE,
                "cuEventQuery: an illegal memory access was encountered (CUDA error 700)");
    assert_int_equal(glet_executor_run(executor, 1, &err), -1);
    assert_int_equal(err.code, GLET_ERR_DEVICE);
    glet_executor_free(executor);
    glet_partition_leave(let);
    glet_partitions_free(set);
    close_device(device);
}

/* --- without green contexts --- */

static void test_whole_device(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_partition_set *set = NULL;
    struct glet_device *device =
        open_device(&(struct fake_cuda_config){.lacks_green = true}, "cuda:0");
    assert_int_equal(glet_device_info(device)->max_gpulets, 1);
    assert_int_equal(glet_device_info(device)->units, 16);
    CHECK_FAILS(glet_partitions_create(device, (int[]){8, 8}, 2, &set, &err), &err, GLET_ERR_RANGE,
                "2 partitions, h100 takes at most 1: this device has no green contexts, which keep "
                "gpu-lets apart");
    assert_non_null(strstr(err.hint, "--allow-temporal"));
    set = cut(device, (int[]){16}, 1);
    struct glet_model model = {.floats = 2, .weight_bytes = 16};
    struct worker w = {
        .partition = glet_partition_at(set, 0), .model = &model, .batch = 2, .runs = 10};
    serve(&w, 1);
    assert_int_equal(sms_of(set, 0), 132);
    glet_partitions_free(set);
    close_device(device);
}

static void test_temporal(void **state)
{
    (void)state;
    struct glet_error err;
    uint64_t blocks;
    struct glet_partition_use use;
    struct glet_device *device =
        open_device(&(struct fake_cuda_config){.lacks_green = true}, "cuda:0");
    glet_device_allow_temporal(device);
    assert_true(glet_device_info(device)->temporal);
    struct glet_partition_set *set = cut(device, (int[]){8, 8}, 2);
    struct glet_model model = {.floats = 2, .weight_bytes = 16};
    struct worker workers[2];
    for (size_t i = 0; i < 2; i++)
        workers[i] = (struct worker){
            .partition = glet_partition_at(set, i), .model = &model, .batch = 2, .runs = 10};
    serve(workers, 2);
    glet_partition_achieved(glet_partition_at(set, 1), &use);
    assert_int_equal(use.sm_count, 132);
    CHECK_NEAR(use.longest_slice_ms, FAKE_CUDA_KERNEL_MS, 1e-6);
    assert_int_equal(glet_partitions_verify(set, &blocks, &err), -1); /* and is no isolation */
    assert_non_null(strstr(err.message, "gpu-lets 0 and 1 met on 132 SMs: 0, 1, 2"));
    glet_partitions_free(set);
    close_device(device);
}

static void test_temporal_is_not_for_green_contexts(void **state)
{
    (void)state;
    struct glet_device *device = open_device(NULL, "cuda:0");
    glet_device_allow_temporal(device);
    assert_false(glet_device_info(device)->temporal);
    close_device(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serving),
        cmocka_unit_test(test_many_executors),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_one_worker),
        cmocka_unit_test(test_bad_nets),
        cmocka_unit_test(test_device_lost),
        cmocka_unit_test(test_whole_device),
        cmocka_unit_test(test_temporal),
        cmocka_unit_test(test_temporal_is_not_for_green_contexts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
