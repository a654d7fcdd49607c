/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU device with real threads and nets that burn time. The machine may be busy with other
 * things, so workers run until the partitions were given a certain CPU time, however long that takes,
 * and what is asserted are ratios of it, and that nothing hangs.
 */
#include "common/clock.h"
#include "runtime/device/device.h"
#include "tests/unit/check.h"
#include "tests/unit/device/fake_net.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WORKERS = 8, CORE_MS = 1300 };

struct worker {
    pthread_t thread;
    struct glet_partition *partition;
    struct glet_model *model;
    int batch, used;
    const atomic_bool *stop;
    int runs;
    bool failed;
    struct glet_partition_use use;
};

static void *serve(void *opaque)
{
    struct worker *w = opaque;
    struct glet_error err;
    struct glet_executor *executor = NULL;
    w->failed = true;
    if (glet_partition_enter(w->partition, &err) < 0)
        return NULL;
    if (glet_executor_build(w->partition, w->model, w->batch, &executor, &err) == 0) {
        w->failed = false;
        while (!w->failed && (w->runs == 0 || !atomic_load(w->stop))) {
            w->failed = glet_executor_run(executor, w->used, &err) < 0;
            w->runs++;
        }
        glet_partition_achieved(w->partition, &w->use);
        glet_executor_free(executor);
    }
    glet_partition_leave(w->partition);
    return NULL;
}

static double given_ms(const struct worker *workers, const int *units, size_t count)
{
    double total_ms = 0;
    for (size_t i = 0; i < count; i++) {
        struct glet_partition_use use = {0};
        glet_partition_achieved(workers[i].partition, &use);
        total_ms += use.busy_ms * units[i] / 10;
    }
    return total_ms;
}

/* Runs one worker per partition until they were given so much time of a core; all must come back. */
static void serve_all(struct worker *workers, const int *units, size_t count, double core_ms)
{
    atomic_bool stop = false;
    double until_ms = given_ms(workers, units, count) + core_ms;
    for (size_t i = 0; i < count; i++) {
        workers[i].stop = &stop;
        workers[i].runs = 0;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, serve, &workers[i]), 0);
    }
    while (given_ms(workers, units, count) < until_ms)
        usleep(5000);
    atomic_store(&stop, true);
    for (size_t i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_false(workers[i].failed);
        assert_true(workers[i].runs > 0);
    }
}

static struct glet_device *open_device(const char *spec)
{
    struct glet_error err;
    struct glet_device *device = NULL;
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

static void check_shares(const int *units, const double *step_us, size_t count, double tolerance)
{
    struct glet_device *device = open_device("cpu:0");
    struct glet_partition_set *set = cut(device, units, count);
    struct glet_model models[MAX_WORKERS] = {0};
    struct worker workers[MAX_WORKERS] = {0};
    double total_ms = 0, total_units = 0;
    for (size_t i = 0; i < count; i++) {
        models[i] = (struct glet_model){.step_us = step_us[i], .steps = 6, .floats = 4};
        workers[i] = (struct worker){
            .partition = glet_partition_at(set, i), .model = &models[i], .batch = 1, .used = 1};
    }
    uint64_t start_us = glet_clock_us();
    serve_all(workers, units, count, CORE_MS);
    /* The arbiter keeps proportions as long as it has most of the core: a member that others pushed
       aside is owed only so much. */
    if ((double)(glet_clock_us() - start_us) / 1000 > CORE_MS / 0.85)
        tolerance = 0.9;
    for (size_t i = 0; i < count; i++) {
        total_ms += workers[i].use.busy_ms * units[i];
        total_units += units[i];
    }
    for (size_t i = 0; i < count; i++) {
        double part = workers[i].use.busy_ms * units[i] / total_ms;
        printf("%d units of %g: %.3f of the core time used, %.2f units achieved, slice %.1f ms\n",
               units[i], total_units, part, workers[i].use.achieved_units,
               workers[i].use.longest_slice_ms);
        CHECK_NEAR(part, units[i] / total_units, tolerance * units[i] / total_units);
        assert_true(workers[i].use.achieved_units < units[i] * 1.05);
        assert_int_equal(atomic_load(&models[i].live_nets), 0);
    }
    glet_partitions_free(set);
    glet_device_close(device);
}

static void test_shares_of_one_core(void **state)
{
    (void)state;
    check_shares((int[]){5, 3, 2}, (double[]){300, 300, 300}, 3, 0.15);
}

static void test_shares_beside_long_steps(void **state)
{
    (void)state;
    check_shares((int[]){5, 3, 2}, (double[]){20000, 300, 300}, 3, 0.25);
}

static void test_ten_partitions_end(void **state)
{
    (void)state;
    check_shares((int[]){3, 1, 1, 1, 1, 1, 1, 1}, (double[]){100, 900, 50, 50, 50, 50, 50, 3000}, 8,
                 0.5);
}

static atomic_bool burning;

static void *burn(void *unused)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(0, &cores);
    sched_setaffinity(0, sizeof cores, &cores);
    while (atomic_load(&burning))
        ;
    return unused;
}

/* Somebody else computes on the core all the time: what is left is shared as planned. */
static void test_foreign_load(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_store(&burning, true);
    assert_int_equal(pthread_create(&thread, NULL, burn, NULL), 0);
    check_shares((int[]){5, 3, 2}, (double[]){300, 300, 300}, 3, 0.3);
    atomic_store(&burning, false);
    pthread_join(thread, NULL);
}

/* All sizes of a two-core device, some split over both cores, end and compute all rows. */
static void test_sizes_and_rows(void **state)
{
    (void)state;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        skip();
    static const struct {
        int units[4];
        size_t count;
    } sets[] = {{{6, 6, 8}, 3}, {{15, 5}, 2}, {{20}, 1}, {{13, 3, 4}, 3}};
    struct glet_device *device = open_device("cpu:0-1");
    for (size_t s = 0; s < COUNT_OF(sets); s++) {
        struct glet_partition_set *set = cut(device, sets[s].units, sets[s].count);
        struct glet_model models[4];
        struct worker workers[4] = {0};
        for (size_t i = 0; i < sets[s].count; i++) {
            models[i] = (struct glet_model){.step_us = 100, .steps = 3, .floats = 4};
            workers[i] = (struct worker){.partition = glet_partition_at(set, i),
                                         .model = &models[i],
                                         .batch = 5,
                                         .used = 1 + (int)i * 2};
        }
        serve_all(workers, sets[s].units, sets[s].count, 300);
        for (size_t i = 0; i < sets[s].count; i++)
            printf("%d units: %d runs, %.2f units achieved\n", sets[s].units[i], workers[i].runs,
                   workers[i].use.achieved_units);
        glet_partitions_free(set);
    }
    glet_device_close(device);
}

/* Read in place once, then from the staging memory again. */
static void check_lent(struct glet_executor *executor, int used)
{
    struct glet_error err;
    _Alignas(64) float lent[7 * 3 + 1];
    const float *output = glet_executor_output(executor, 0);
    for (int k = 0; k < used * 3; k++)
        lent[k] = (float)(1000 * used + k);
    assert_false(glet_executor_lend(executor, 0, lent + 1, used)); /* not aligned */
    assert_true(glet_executor_lend(executor, 0, lent, used));
    CHECK_OK(glet_executor_run(executor, used, &err), &err);
    for (int k = 0; k < used * 3; k++)
        assert_true(output[k] == lent[k] + 1);
    CHECK_OK(glet_executor_run(executor, used, &err), &err);
    for (int k = 0; k < used * 3; k++)
        assert_true(output[k] == (float)(100 * used + k + 1));
}

/* Every row of every number of rows goes through, whoever computes it. */
static void test_rows_are_computed(void **state)
{
    (void)state;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        skip();
    struct glet_error err;
    struct glet_device *device = open_device("cpu:0-1");
    for (int units = 1; units <= 20; units++) {
        struct glet_partition_set *set = cut(device, &units, 1);
        struct glet_partition *partition = glet_partition_at(set, 0);
        struct glet_model model = {.step_us = 1, .steps = 2, .floats = 3};
        struct glet_executor *executor = NULL;
        CHECK_OK(glet_partition_enter(partition, &err), &err);
        CHECK_OK(glet_executor_build(partition, &model, 7, &executor, &err), &err);
        assert_true(glet_executor_activation_mib(executor) >= 7);
        for (int used = 1; used <= 7; used++) {
            float *input = glet_executor_input(executor, 0);
            for (int k = 0; k < used * 3; k++)
                input[k] = (float)(100 * used + k);
            CHECK_OK(glet_executor_run(executor, used, &err), &err);
            const float *output = glet_executor_output(executor, 0);
            for (int k = 0; k < used * 3; k++)
                assert_true(output[k] == (float)(100 * used + k + 1));
            check_lent(executor, used);
        }
        glet_executor_free(executor);
        glet_partition_leave(partition);
        glet_partitions_free(set);
    }
    glet_device_close(device);
}

/* A second set serves beside the first; then the first goes away. */
static void test_two_sets(void **state)
{
    (void)state;
    struct glet_device *device = open_device("cpu:0");
    struct glet_partition_set *old_set = cut(device, (int[]){6, 4}, 2);
    struct glet_partition_set *new_set = cut(device, (int[]){10}, 1);
    struct glet_partition_set *third = cut(device, (int[]){2, 3, 5}, 3);
    struct glet_model model = {.step_us = 200, .steps = 3, .floats = 1};
    struct worker workers[6] = {0};
    static const int units[] = {6, 4, 10, 2, 3, 5};
    for (size_t i = 0; i < 6; i++) {
        struct glet_partition *partition = i < 2   ? glet_partition_at(old_set, i)
                                           : i < 3 ? glet_partition_at(new_set, 0)
                                                   : glet_partition_at(third, i - 3);
        workers[i] =
            (struct worker){.partition = partition, .model = &model, .batch = 1, .used = 1};
    }
    serve_all(workers, units, 6, 300);
    glet_partitions_free(old_set);
    serve_all(workers + 2, units + 2, 4, 200);
    glet_partitions_free(third);
    glet_partitions_free(new_set);
    glet_device_close(device);
}

static void test_errors(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device *device = NULL;
    struct glet_partition_set *set = NULL;
    struct glet_executor *executor = NULL;
    assert_int_equal(glet_device_open("cpu:900", &device, &err), -1);
    assert_int_equal(err.code, GLET_ERR_DEVICE);
    assert_int_equal(glet_device_open("cuda:0", &device, &err), -1);
    assert_int_equal(err.code, GLET_ERR_DEVICE);
    assert_int_equal(glet_device_open("tpu", &device, &err), -1);
    assert_int_equal(err.code, GLET_ERR_USAGE);
    device = open_device("cpu:0");
    assert_int_equal(glet_partitions_create(device, (int[]){6, 5}, 2, &set, &err), -1);
    assert_int_equal(err.code, GLET_ERR_RANGE);
    assert_int_equal(glet_partitions_create(device, (int[]){0}, 1, &set, &err), -1);
    set = cut(device, (int[]){7}, 1);
    struct glet_partition *partition = glet_partition_at(set, 0);
    CHECK_OK(glet_partition_enter(partition, &err), &err);
    struct glet_model model = {.step_us = 10, .steps = 2, .build_fails = true, .floats = 1};
    assert_int_equal(glet_executor_build(partition, &model, 1, &executor, &err), -1);
    assert_int_equal(err.code, GLET_ERR_UNSUPPORTED);
    assert_int_equal(glet_executor_build(partition, &model, 0, &executor, &err), -1);
    model.build_fails = false;
    CHECK_OK(glet_executor_build(partition, &model, 2, &executor, &err), &err);
    model.step_fails = true;
    assert_int_equal(glet_executor_run(executor, 1, &err), -1);
    assert_int_equal(err.code, GLET_ERR_INPUT);
    model.step_fails = false;
    CHECK_OK(glet_executor_run(executor, 1, &err), &err);
    glet_executor_free(executor);
    assert_int_equal(atomic_load(&model.live_nets), 0);
    glet_partition_leave(partition);
    glet_partitions_free(set);
    size_t count;
    const struct glet_device_fact *facts = glet_device_facts(device, &count);
    assert_true(count >= 5);
    assert_string_equal(facts[0].key, "processor");
    assert_string_equal(glet_device_info(device)->gpu, "cpu");
    assert_true(glet_device_info(device)->memory_mib > 16);
    glet_device_close(device);
}

static void watchdog(int signal_number)
{
    static const char message[] = "the arbiter hangs\n";
    (void)signal_number;
    if (write(2, message, sizeof message - 1) < 0)
        _exit(3);
    abort();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_rows_are_computed),
        cmocka_unit_test(test_shares_of_one_core),
        cmocka_unit_test(test_shares_beside_long_steps),
        cmocka_unit_test(test_foreign_load),
        cmocka_unit_test(test_ten_partitions_end),
        cmocka_unit_test(test_sizes_and_rows),
        cmocka_unit_test(test_two_sets),
    };
    signal(SIGALRM, watchdog);
    alarm(240);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
