/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA device on a fake driver that enforces the real one's rules, with nets of one kernel.
 * Every test ends with nothing broken and nothing left over.
 */
#include "runtime/device/cuda/cuda_partition.h"
#include "runtime/device/cuda/isolation.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/check.h"
#include "tests/unit/device/fake_cuda_net.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct glet_device *open_device(const struct fake_cuda_config *config, const char *spec)
{
    struct glet_error err;
    struct glet_device *device = NULL;
    fake_cuda_configure(config);
    CHECK_OK(glet_device_open(spec, &device, &err), &err);
    return device;
}

static struct glet_partition_set *cut(struct glet_device *device, const int *units, size_t count)
{
    struct glet_error err;
    struct glet_partition_set *set = NULL;
    CHECK_OK(glet_partitions_create(device, units, count, &set, &err), &err);
    return set;
}

static void check_clean(void)
{
    assert_string_equal(fake_cuda_breach(), "");
    assert_string_equal(fake_cuda_live(), "");
}

static void close_device(struct glet_device *device)
{
    glet_device_close(device);
    check_clean();
}

static int sms_of(struct glet_partition_set *set, size_t i)
{
    struct glet_partition_use use;
    glet_partition_achieved(glet_partition_at(set, i), &use);
    return use.sm_count;
}

/* --- what the device says of itself --- */

static const char *fact(const struct glet_device *device, const char *key)
{
    size_t count;
    const struct glet_device_fact *facts = glet_device_facts(device, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(facts[i].key, key) == 0)
            return facts[i].value;
    return "no such fact";
}

static void test_info(void **state)
{
    (void)state;
    struct glet_device *device = open_device(NULL, "cuda:0");
    const struct glet_device_info *info = glet_device_info(device);
    assert_string_equal(info->gpu, "h100");
    assert_string_equal(info->mechanism, "green_context");
    assert_int_equal(info->sm_count, 132);
    assert_int_equal(info->units, 16);
    assert_int_equal(info->max_gpulets, 16);
    assert_false(info->temporal);
    CHECK_NEAR(info->context_mib, 24 + FAKE_NET_WORKSPACE_MIB, 0);
    CHECK_NEAR(info->memory_mib, 81920 - 400, 0);
    assert_string_equal(fact(device, "compute_capability"), "9.0");
    assert_string_equal(fact(device, "remainder_sms"), "4");
    assert_string_equal(fact(device, "libraries"), "kernels of the test");
    assert_string_equal(fact(device, "driver"), "580.65.06");
    assert_string_equal(fact(device, "cuda_driver"), "13.0");
    assert_string_equal(fact(device, "max_sm_clock_mhz"), "1980");
    assert_string_equal(fact(device, "power_limit_w"), "700");
    assert_string_equal(fact(device, "precision"), "fp16");
    assert_string_equal(fact(device, "gpu_uuid"), "GPU-00112233-4455-6677-8899-aabbccddee00");
    assert_string_equal(getenv("CUDA_DEVICE_MAX_CONNECTIONS"), "32");
    assert_string_equal(getenv("CUDA_MODULE_LOADING"), "EAGER");
    close_device(device);
}

static void test_auto_prefers_the_gpu(void **state)
{
    (void)state;
    struct glet_device *device = open_device(NULL, "auto");
    assert_string_equal(glet_device_info(device)->gpu, "h100");
    close_device(device);
}

static void test_sensors(void **state)
{
    (void)state;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_device_sample s;
    glet_device_sample(device, &s);
    CHECK_NEAR(s.power_w, 312.5, 0);
    CHECK_NEAR(s.power_limit_w, 700, 0);
    CHECK_NEAR(s.energy_j, 123456789.012, 1e-6);
    CHECK_NEAR(s.sm_clock_mhz, 1755, 0);
    CHECK_NEAR(s.memory_clock_mhz, 2619, 0);
    CHECK_NEAR(s.busy_ratio, 0.75, 0);
    CHECK_NEAR(s.memory_busy_ratio, 0.25, 0);
    CHECK_NEAR(s.memory_used_mib, 1024, 0);
    CHECK_NEAR(s.memory_total_mib, 81920, 0);
    assert_int_equal(s.throttle, GLET_THROTTLE_POWER | GLET_THROTTLE_HEAT);
    assert_true(isnan(s.temperature_c)); /* this library cannot tell */
    close_device(device);
}

static void test_no_sensors(void **state)
{
    (void)state;
    struct glet_device_sample s;
    char *library = strdup(getenv("GPULET_LIBNVML"));
    setenv("GPULET_LIBNVML", "libno-such-library.so", 1);
    struct glet_device *device = open_device(NULL, "cuda:0");
    glet_device_sample(device, &s);
    assert_true(isnan(s.power_w) && isnan(s.memory_used_mib) && isnan(s.energy_j));
    assert_int_equal(s.throttle, -1);
    assert_string_equal(fact(device, "driver"), "unknown");
    assert_string_equal(fact(device, "power_limit_w"), "unknown");
    close_device(device);
    setenv("GPULET_LIBNVML", library, 1);
    free(library);
}

static void test_mig(void **state)
{
    (void)state;
    struct fake_cuda_config slice = {
        .name = "NVIDIA H100 80GB HBM3 MIG 2g.20gb", .sm_count = 32, .memory_mib = 20480};
    const char *spec = "cuda:MIG-00112233-4455-6677-8899-aabbccddee00:tf32";
    struct glet_device *device = open_device(&slice, spec);
    struct glet_device_sample s;
    assert_string_equal(glet_device_info(device)->gpu, "h100-mig-2g.20gb");
    assert_string_equal(glet_device_info(device)->mechanism, "green_context");
    assert_int_equal(glet_device_info(device)->units, 4);
    assert_string_equal(fact(device, "precision"), "tf32");
    glet_device_sample(device, &s);
    CHECK_NEAR(s.memory_total_mib, 20480, 0); /* of the instance */
    CHECK_NEAR(s.power_w, 312.5, 0);          /* of its GPU */
    close_device(device);

    slice.lacks_green = true;
    device = open_device(&slice, spec);
    assert_string_equal(glet_device_info(device)->mechanism, "mig");
    assert_int_equal(glet_device_info(device)->max_gpulets, 1);
    close_device(device);
}

static void test_not_there(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device *device;
    fake_cuda_configure(&(struct fake_cuda_config){.device_count = 2});
    CHECK_FAILS(glet_device_open("cuda:2", &device, &err), &err, GLET_ERR_DEVICE,
                "cuda:2: there are 2 GPUs");
    CHECK_FAILS(glet_device_open("cuda:MIG-12345678-0000-0000-0000-000000000000", &device, &err),
                &err, GLET_ERR_DEVICE,
                "cuda:MIG-12345678-0000-0000-0000-000000000000: this process does not see it");
    check_clean();
}

/* --- partitions --- */

static void test_remainder_owner(void **state)
{
    (void)state;
    assert_int_equal(glet_cuda_remainder_owner((int[]){16}, 1, 16), 0);
    assert_int_equal(glet_cuda_remainder_owner((int[]){4, 8, 4}, 3, 16), 1);
    assert_int_equal(glet_cuda_remainder_owner((int[]){2, 7, 7}, 3, 16), 1);
    assert_int_equal(glet_cuda_remainder_owner((int[]){4, 8, 3}, 3, 16), -1);
    assert_int_equal(glet_cuda_remainder_owner((int[]){1}, 1, 16), -1);
}

/* Every die gets the units that it has, and each gpu-let the SMs that were planned. */
static void test_dies(void **state)
{
    (void)state;
    static const struct {
        struct fake_cuda_config die;
        int units, unit_sms, remainder_sms;
    } cases[] = {
        {{.sm_count = 132, .unit_sms = 8, .unit_count = 16}, 16, 8, 4},
        {{.sm_count = 132, .unit_sms = 8, .unit_count = 15}, 15, 8, 12},
        {{.sm_count = 108, .unit_sms = 4, .cc_major = 8}, 27, 4, 0},
        {{.sm_count = 108, .unit_sms = 2, .cc_major = 8}, 54, 2, 0},
        {{.sm_count = 148, .unit_sms = 8, .unit_count = 18, .cc_major = 10}, 18, 8, 4},
        {{.sm_count = 8, .unit_sms = 8}, 1, 8, 0},
    };
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        struct glet_device *device = open_device(&cases[c].die, "cuda:0");
        int units = glet_device_info(device)->units, sm = cases[c].unit_sms;
        assert_int_equal(units, cases[c].units);
        struct glet_partition_set *whole = cut(device, &units, 1);
        assert_int_equal(sms_of(whole, 0), units * sm + cases[c].remainder_sms);
        glet_partitions_free(whole);
        if (units >= 4) {
            int most = units - 3, parts[] = {1, most, 2};
            struct glet_partition_set *set = cut(device, parts, 3);
            assert_int_equal(sms_of(set, 0), sm);
            assert_int_equal(sms_of(set, 1), most * sm + cases[c].remainder_sms);
            assert_int_equal(sms_of(set, 2), 2 * sm);
            glet_partitions_free(set);
            set = cut(device, (int[]){1, 2}, 2); /* a profile's: no more than asked for */
            assert_int_equal(sms_of(set, 1), 2 * sm);
            glet_partitions_free(set);
        }
        close_device(device);
    }
}

/* SMs that the driver joins to no group: the whole device has them, halves do without. */
static void test_lone_remainder(void **state)
{
    (void)state;
    struct fake_cuda_config config = {.lone_remainder = true};
    struct glet_device *device = open_device(&config, "cuda:0");
    int units = glet_device_info(device)->units, halves[] = {units / 2, units - units / 2};
    struct glet_partition_set *set = cut(device, &units, 1);
    assert_int_equal(sms_of(set, 0), 132);
    glet_partitions_free(set);
    set = cut(device, halves, 2);
    assert_int_equal(sms_of(set, 0), 64);
    assert_int_equal(sms_of(set, 1), 64);
    glet_partitions_free(set);
    close_device(device);
}

/* A second set beside the first is made of the same split, and outlives it. */
static void test_two_sets(void **state)
{
    (void)state;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_partition_set *old_set = cut(device, (int[]){10, 6}, 2);
    struct glet_partition_set *new_set = cut(device, (int[]){3, 3, 10}, 3);
    assert_int_equal(sms_of(old_set, 0), 84);
    assert_int_equal(sms_of(new_set, 2), 84);
    glet_partitions_free(old_set);
    assert_int_equal(sms_of(new_set, 0), 24);
    glet_partitions_free(new_set);
    assert_int_equal(fake_cuda_calls_of("cuDevSmResourceSplitByCount"), 2); /* asked, and made */
    close_device(device);
}

static void test_refused_sizes(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_partition_set *set;
    struct glet_device *device = open_device(NULL, "cuda:0");
    CHECK_FAILS(glet_partitions_create(device, (int[]){10, 7}, 2, &set, &err), &err, GLET_ERR_RANGE,
                "partitions of 17 units, h100 has 16");
    CHECK_FAILS(glet_partitions_create(device, (int[]){0}, 1, &set, &err), &err, GLET_ERR_RANGE,
                "a partition of 0 units");
    close_device(device);
}

/* Fewer SMs than planned is a failure of the device, found before anything serves. */
static void test_fewer_sms(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device *device = NULL;
    fake_cuda_configure(&(struct fake_cuda_config){.missing_sms = 2});
    CHECK_FAILS(glet_device_open("cuda:0", &device, &err), &err, GLET_ERR_DEVICE,
                "a gpu-let of 1 units should have 8 SMs, the driver gave it 6");
    check_clean();
}

/* --- running --- */

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

/* --- isolation --- */

static void test_isolation(void **state)
{
    (void)state;
    struct glet_error err;
    uint64_t blocks = 0;
    struct glet_partition_use use;
    struct glet_device *device = open_device(NULL, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){9, 5, 2}, 3);
    CHECK_OK(glet_partitions_verify(set, &blocks, &err), &err);
    assert_true(blocks >= 1000000);
    for (size_t i = 0; i < 3; i++) {
        glet_partition_achieved(glet_partition_at(set, i), &use);
        assert_int_equal(use.seen_sms, use.sm_count);
    }
    glet_partitions_free(set);
    close_device(device);
}

static void test_isolation_fails(void **state)
{
    (void)state;
    struct glet_error err;
    uint64_t blocks = 0;
    struct glet_partition_use use;
    struct glet_device *device = open_device(&(struct fake_cuda_config){.leaks = true}, "cuda:0");
    struct glet_partition_set *set = cut(device, (int[]){9, 5, 2}, 3);
    CHECK_FAILS(glet_partitions_verify(set, &blocks, &err), &err, GLET_ERR_DEVICE,
                "gpu-lets 0 and 1 met on 1 SM: 0");
    glet_partition_achieved(glet_partition_at(set, 0), &use);
    assert_int_equal(use.seen_sms, 0);
    glet_partitions_free(set);
    close_device(device);
}

static void test_seen(void **state)
{
    (void)state;
    static struct glet_cuda_seen seen[2];
    struct glet_error err;
    uint32_t sms[40];
    for (uint32_t i = 0; i < 40; i++)
        sms[i] = i;
    seen[0].sm_limit = 40;
    seen[1].sm_limit = 40;
    CHECK_OK(glet_cuda_seen_add(&seen[0], sms, 40, &err), &err);
    CHECK_OK(glet_cuda_seen_apart(seen, 2, &err), &err);
    CHECK_OK(glet_cuda_seen_add(&seen[1], sms + 4, 20, &err), &err);
    assert_int_equal(glet_cuda_seen_sms(&seen[1]), 20);
    CHECK_FAILS(glet_cuda_seen_apart(seen, 2, &err), &err, GLET_ERR_DEVICE,
                "gpu-lets 0 and 1 met on 20 SMs: 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, "
                "18, 19 and 4 more");
    seen[0].sm_limit = 39;
    CHECK_FAILS(glet_cuda_seen_apart(seen, 1, &err), &err, GLET_ERR_DEVICE,
                "gpu-let 0 ran on 40 SMs, it has 39");
    sms[0] = 4000000000;
    CHECK_FAILS(glet_cuda_seen_add(&seen[0], sms, 1, &err), &err, GLET_ERR_DEVICE,
                "a block ran on SM 4000000000");
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
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_auto_prefers_the_gpu),
        cmocka_unit_test(test_sensors),
        cmocka_unit_test(test_no_sensors),
        cmocka_unit_test(test_mig),
        cmocka_unit_test(test_not_there),
        cmocka_unit_test(test_remainder_owner),
        cmocka_unit_test(test_dies),
        cmocka_unit_test(test_lone_remainder),
        cmocka_unit_test(test_two_sets),
        cmocka_unit_test(test_refused_sizes),
        cmocka_unit_test(test_fewer_sms),
        cmocka_unit_test(test_serving),
        cmocka_unit_test(test_many_executors),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_one_worker),
        cmocka_unit_test(test_bad_nets),
        cmocka_unit_test(test_device_lost),
        cmocka_unit_test(test_isolation),
        cmocka_unit_test(test_isolation_fails),
        cmocka_unit_test(test_seen),
        cmocka_unit_test(test_whole_device),
        cmocka_unit_test(test_temporal),
        cmocka_unit_test(test_temporal_is_not_for_green_contexts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
