/* SPDX-License-Identifier: Apache-2.0 */
/* A net whose every call of a library, and of the driver, fails once. */
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/check.h"
#include "tests/unit/cuda/net_job.h"

#include <stdio.h>

/* The nth call fails: an error that says something, or a right result another way. Of the driver's
   calls, which are the same few again and again while candidates are timed, every seventh. */
static void every_failure_is_clean(bool of_driver)
{
    struct job job;
    job_start(&job, net_little);
    for (long n = 1;; n += of_driver && n > 40 ? 7 : 1) {
        struct glet_error err = {0};
        char when[64];
        fake_cuda_configure(NULL);
        fake_libraries_reset(FAKE_REFUSE_NOTHING);
        if (of_driver)
            fake_cuda_fail(NULL, n, CUDA_ERROR_OUT_OF_MEMORY, false);
        else
            fake_libraries_fail(n);
        double error = job_life(&job, GLET_CUDA_FP16, NULL, &err);
        snprintf(when, sizeof when, "call %ld fails", n);
        job_check_clean(when);
        if (error >= 0.0 ? !(error < 1e-2) : err.code == GLET_OK || !err.message[0])
            fail_msg("%s: error %g, '%s'", when, error, err.message);
        if ((of_driver ? fake_cuda_calls() : fake_libraries_calls()) < n)
            break;
        assert_true(n < 100000);
    }
    job_end(&job);
}

static void library_failures(void **state)
{
    (void)state;
    every_failure_is_clean(false);
}

static void driver_failures(void **state)
{
    (void)state;
    every_failure_is_clean(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_failures),
        cmocka_unit_test(driver_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
