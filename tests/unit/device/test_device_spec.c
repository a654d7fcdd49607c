/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/device_spec.h"
#include "tests/unit/check.h"

#include <string.h>

static void test_accepted(void **state)
{
    (void)state;
    struct glet_error err;
    struct glet_device_spec spec;
    CHECK_OK(glet_device_spec_parse(NULL, &spec, &err), &err);
    assert_true(spec.kind == GLET_DEVICE_CPU && spec.all_cores && spec.best);
    CHECK_OK(glet_device_spec_parse("auto", &spec, &err), &err);
    assert_true(spec.all_cores && spec.best);
    CHECK_OK(glet_device_spec_parse("cpu", &spec, &err), &err);
    assert_true(spec.all_cores && !spec.best);
    CHECK_OK(glet_device_spec_parse("cpu:0-3,6", &spec, &err), &err);
    assert_false(spec.all_cores);
    assert_int_equal(CPU_COUNT(&spec.cores), 5);
    assert_true(CPU_ISSET(3, &spec.cores) && CPU_ISSET(6, &spec.cores));
    CHECK_OK(glet_device_spec_parse("cuda:12", &spec, &err), &err);
    assert_true(spec.kind == GLET_DEVICE_CUDA && spec.index == 12);
    CHECK_OK(glet_device_spec_parse("cuda", &spec, &err), &err);
    assert_true(spec.kind == GLET_DEVICE_CUDA && spec.index == 0);
    CHECK_OK(glet_device_spec_parse("cuda:MIG-0aF-12", &spec, &err), &err);
    assert_string_equal(spec.mig, "MIG-0aF-12");
    assert_int_equal(spec.index, -1);
    assert_string_equal(spec.precision, "fp16");
    CHECK_OK(glet_device_spec_parse("cuda:1:tf32", &spec, &err), &err);
    assert_int_equal(spec.index, 1);
    assert_string_equal(spec.precision, "tf32");
    CHECK_OK(glet_device_spec_parse("cuda:MIG-0aF-12:fp32", &spec, &err), &err);
    assert_string_equal(spec.mig, "MIG-0aF-12");
    assert_string_equal(spec.precision, "fp32");
    CHECK_OK(glet_device_spec_parse("replay:a/b", &spec, &err), &err);
    assert_true(spec.kind == GLET_DEVICE_REPLAY && !spec.gpu[0]);
    assert_string_equal(spec.folder, "a/b");
    CHECK_OK(glet_device_spec_parse("replay:../a:h100-pcie", &spec, &err), &err);
    assert_string_equal(spec.folder, "../a");
    assert_string_equal(spec.gpu, "h100-pcie");
    CHECK_OK(glet_device_spec_parse("replay:a:b/", &spec, &err), &err);
    assert_string_equal(spec.folder, "a:b/");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "cpu:",
        "cpu:a",
        "cpu:1-",
        "cpu:3-1",
        "cpu:1,,2",
        "cpu:1,",
        "cpu:1,1",
        "cpu:-1",
        "cpu:0 ",
        "cpu:99999",
        "cpus",
        "gpu",
        "cuda:",
        "replay",
        "replay:",
        "replay:a:",
        "replay::h100",
        "cuda:x",
        "cuda:0x",
        "cuda:-1",
        "CPU",
        "cpu:0-1-2",
        "cuda:MIG-zz",
        "cuda:MIG-0aF-12:",
        "cuda:MIG-0aF-12:fp8",
        "cuda:0:",
        "cuda:0:fp64",
        "cuda:0:fp16:",
        "cuda::fp16",
        "cuda:MIG-00000000-0000-0000-0000-000000000000-00000000-0000-0000-0000-0",
        "cpu:0:fp16",
        "cpu:0-99999999999999999999",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct glet_error err;
        struct glet_device_spec spec;
        if (glet_device_spec_parse(bad[i], &spec, &err) != -1)
            fail_msg("'%s' was accepted", bad[i]);
        assert_int_equal(err.code, GLET_ERR_USAGE);
        assert_non_null(strstr(err.hint, "cpu:0-3,6"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
