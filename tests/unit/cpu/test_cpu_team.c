/* SPDX-License-Identifier: Apache-2.0 */
/* The team runs every part exactly once, its barrier holds, and oneDNN's calls arrive here. */
#include "runtime/device/cpu/kernels/team.h"
#include "tests/unit/check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 2000 };

struct seen {
    int parts[THREADS], calls[THREADS];
    _Atomic int total;
};

static void note(int part, int parts, void *data)
{
    struct seen *seen = data;
    seen->parts[part] = parts;
    seen->calls[part]++;
    atomic_fetch_add(&seen->total, 1);
    assert_int_equal(glet_cpu_team_size(), 1); /* nothing nests */
}

static void every_part_once(void **state)
{
    (void)state;
    struct glet_error err = {0};
    for (int threads = 1; threads <= THREADS; threads++) {
        struct seen seen = {0};
        CHECK_OK(glet_cpu_team_use(threads, &err), &err);
        assert_int_equal(glet_cpu_team_size(), threads);
        for (int i = 0; i < ROUNDS; i++) {
            glet_cpu_team_run(note, &seen);
            assert_int_equal(atomic_load(&seen.total), (i + 1) * threads);
            if (i % 500 == 0)
                usleep(1000); /* long enough for the helpers to fall asleep */
        }
        for (int i = 0; i < threads; i++) {
            assert_int_equal(seen.calls[i], ROUNDS);
            assert_int_equal(seen.parts[i], threads);
        }
    }
    CHECK_OK(glet_cpu_team_use(1, &err), &err);
}

void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
void GOMP_barrier(void);
int omp_get_num_threads(void);
int omp_get_thread_num(void);

struct phases {
    _Atomic int arrived;
    _Atomic int wrong;
};

static void meet(void *data)
{
    struct phases *phases = data;
    for (int i = 1; i <= 100; i++) {
        atomic_fetch_add(&phases->arrived, 1);
        GOMP_barrier();
        if (atomic_load(&phases->arrived) != i * omp_get_num_threads())
            atomic_fetch_add(&phases->wrong, 1);
        GOMP_barrier();
    }
}

static void barrier_holds(void **state)
{
    (void)state;
    struct glet_error err = {0};
    struct phases phases = {0};
    CHECK_OK(glet_cpu_team_use(3, &err), &err);
    GOMP_parallel(meet, &phases, 0, 0);
    assert_int_equal(atomic_load(&phases.arrived), 300);
    assert_int_equal(atomic_load(&phases.wrong), 0);
    CHECK_OK(glet_cpu_team_use(1, &err), &err);
}

static void libraries_call_ours(void **state)
{
    (void)state;
    const char *names[] = {"GOMP_parallel",       "GOMP_barrier",       "omp_get_max_threads",
                           "omp_get_num_threads", "omp_get_thread_num", "omp_in_parallel"};
    Dl_info ours, theirs;
    static int here;
    assert_true(dladdr(&here, &ours) != 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        void *address = dlsym(RTLD_DEFAULT, names[i]);
        assert_non_null(address);
        assert_true(dladdr(address, &theirs) != 0);
        if (theirs.dli_fbase != ours.dli_fbase)
            fail_msg("%s comes from %s", names[i], theirs.dli_fname);
    }
}

static void *worker(void *data)
{
    struct glet_error err = {0};
    struct seen seen = {0};
    if (glet_cpu_team_use(2, &err) == 0)
        for (int i = 0; i < 200; i++)
            glet_cpu_team_run(note, &seen);
    return seen.calls[0] == 200 && seen.calls[1] == 200 ? NULL : data;
}

static void teams_side_by_side(void **state)
{
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, state), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

static void split_covers(void **state)
{
    (void)state;
    for (long count = 0; count < 20; count++)
        for (int parts = 1; parts < 6; parts++) {
            long next = 0;
            for (int part = 0; part < parts; part++) {
                long begin, end;
                glet_cpu_split(count, part, parts, &begin, &end);
                assert_int_equal(begin, next);
                assert_true(end - begin <= count / parts + 1);
                next = end;
            }
            assert_int_equal(next, count);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_once),     cmocka_unit_test(barrier_holds),
        cmocka_unit_test(libraries_call_ours), cmocka_unit_test(teams_side_by_side),
        cmocka_unit_test(split_covers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
