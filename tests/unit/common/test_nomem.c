/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out at the n-th allocation, for every n until reading succeeds: each failure is
 * reported as such, and (under the address sanitizer) leaks nothing. The linker sends the
 * allocations of our own code through the functions here (--wrap, see meson.build).
 */
#include "tests/unit/check.h"

#include "common/csv.h"
#include "common/plan_file.h"
#include "common/workload.h"

#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_reallocarray(void *block, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_reallocarray(void *block, size_t count, size_t size);
char *__wrap_strdup(const char *text);

static long left = -1; /* allocations that still succeed; -1 = all */

static bool fails(void)
{
    if (left < 0)
        return false;
    if (left == 0)
        return true;
    left--;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, size);
}

void *__wrap_reallocarray(void *block, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(block, count, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

static int read_workload(struct glet_error *err)
{
    static const char text[] =
        "schema: gpulet-workload/1\nmodels: [{name: a, rate_rps: 1, slo_ms: 1, arrival: trace, "
        "trace: t.csv}]\napps: [{name: p, rate_rps: 1, slo_ms: 1, stages: [{model: a}, {model: b, "
        "after: [a]}]}]\ngpus: [{type: g, node: n}]\noptions: {sizes: [2, 1]}\n";
    struct glet_workload *workload;
    if (glet_workload_parse(text, sizeof text - 1, "w/w.yaml", &workload, err) < 0)
        return -1;
    glet_workload_free(workload);
    return 0;
}

static int read_plan(struct glet_error *err)
{
    static const char text[] =
        "schema: gpulet-plan/1\nobjective: min-gpus\nmodels: [{name: a, file: f, rate_rps: 1, "
        "planned_rps: 1}]\ngpus: [{id: g, type: t, node: n, units: 2, gpulets: [{units: 1, "
        "duty_cycle_ms: 2, models: [{name: a, batch: 1, rate_rps: 1, exec_ms: 1, factor: 1, "
        "latency_bound_ms: 3}]}]}]\n";
    struct glet_plan *plan;
    if (glet_plan_parse(text, sizeof text - 1, "p.yaml", &plan, err) < 0)
        return -1;
    glet_plan_free(plan);
    return 0;
}

static int read_csv(struct glet_error *err)
{
    static const char text[] = "a,b,c\n1,2,3\n\"4\",5,6\n";
    GLET_CLEANUP(glet_csv_close) struct glet_csv *csv = NULL;
    int row = glet_csv_parse(text, sizeof text - 1, "t.csv", &csv, err);
    while (row >= 0 && (row = glet_csv_next(csv, err)) > 0)
        ;
    return row;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    int (*const readers[])(struct glet_error *) = {read_workload, read_plan, read_csv};
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        int status = -1, n = 0;
        for (; status < 0; n++) {
            struct glet_error err = {0};
            left = n;
            status = readers[i](&err);
            left = -1;
            if (status < 0)
                assert_int_equal(err.code, GLET_ERR_NOMEM);
            assert_true(n < 1000);
        }
        assert_true(n > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
