/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks that run on a GPU, on the fake driver: they come to their verdicts, break none of the
 * driver's rules and leave nothing behind. Not here: those that break a rule to see what it is good
 * for (the primary context, a graph on another's stream).
 */
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/gpu/gpu_check.h"
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct glet_error err;

typedef int check_function(struct gpu_check *check, struct glet_error *err);

/* Runs a check with standard output in a file; returns what it printed. */
static char *run_check(check_function *function, const struct fake_cuda_config *config)
{
    static char text[16384];
    struct gpu_check check;
    fake_cuda_configure(config);
    CHECK_OK(gpu_check_open("cuda:0", &check, &err), &err);
    check.window_s = 0.02;
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    int rc = function(&check, &err);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    gpu_check_close(&check);
    CHECK_OK(rc, &err);
    assert_string_equal(fake_cuda_breach(), "");
    assert_string_equal(fake_cuda_live(), "");
    return text;
}

static size_t count_of(const char *text, const char *wanted)
{
    size_t count = 0;
    for (; (text = strstr(text, wanted)); text += strlen(wanted))
        count++;
    return count;
}

static void test_units(void **state)
{
    (void)state;
    char *text = run_check(gpu_check_units, &(struct fake_cuda_config){.unit_count = 15});
    assert_non_null(strstr(text, "\"what\":\"units of the device\",\"value\":15"));
    assert_non_null(strstr(text, "\"what\":\"SMs that no unit has\",\"value\":12"));
}

static void test_sets(void **state)
{
    (void)state;
    char *text = run_check(gpu_check_sets, NULL);
    assert_int_equal(count_of(text, "\"met\":true"), 4);
    assert_int_equal(count_of(text, "\"met\":false"), 0);
}

static void test_isolation(void **state)
{
    (void)state;
    char *text = run_check(gpu_check_isolation, NULL);
    assert_int_equal(count_of(text, "\"met\":true"), 3);
    text = run_check(gpu_check_isolation, &(struct fake_cuda_config){.leaks = true});
    assert_int_equal(count_of(text, "\"met\":false"), 3);
    assert_non_null(strstr(text, "met on"));
}

static void test_queues(void **state)
{
    (void)state;
    char *text = run_check(gpu_check_queues, NULL);
    assert_int_equal(count_of(text, "\"met\":true"), 2);
    /* nobody's work gets done while it is only asked for */
    text = run_check(gpu_check_queues, &(struct fake_cuda_config){.slow = true});
    assert_int_equal(count_of(text, "\"value\":240,\"unit\":\"\",\"target\":\"0\",\"met\":false"),
                     1);
}

/* Of the fake driver, which copies by the host's hands, only what the object has lost is lost. */
static void test_pinned(void **state)
{
    (void)state;
    char *text = run_check(gpu_check_pinned, NULL);
    assert_non_null(strstr(text, "in place is right\",\"value\":1"));
    assert_non_null(strstr(text, "has lost are there\",\"value\":0"));
    assert_non_null(strstr(text, "may only be read\",\"value\":1"));
    assert_int_equal(count_of(text, "\"what\":"), 9);
    text = run_check(gpu_check_pinned, &(struct fake_cuda_config){.no_pinning = true});
    assert_int_equal(count_of(text, "\"what\":"), 2);
    assert_non_null(strstr(text, "shared memory pinned\",\"value\":0"));
}

static void test_times(void **state)
{
    (void)state;
    check_function *const functions[] = {gpu_check_launch, gpu_check_stall, gpu_check_events};
    static const size_t rows[] = {2, 14, 4};
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        char *text = run_check(functions[i], NULL);
        assert_int_equal(count_of(text, "\"what\":"), rows[i]);
        assert_int_equal(count_of(text, "\n"), rows[i]);
    }
}

/* Beside what cannot be done nothing stalls. */
static void test_stalls_beside_nothing(void **state)
{
    (void)state;
    char *text = run_check(gpu_check_stall, NULL);
    assert_int_equal(count_of(text, "\"met\":true"), 4);
    text = run_check(gpu_check_stall, &(struct fake_cuda_config){.no_pinning = true});
    assert_int_equal(count_of(text, "\"met\":true"), 3);
    assert_int_equal(count_of(text, "\"met\":false"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_isolation),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_stalls_beside_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
