/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/cuda/driver/gpu_name.h"
#include "tests/unit/check.h"

#include <string.h>

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type;
        bool mig;
    } cases[] = {
        {"NVIDIA H100 80GB HBM3", "h100", false},
        {"NVIDIA H100 PCIe", "h100-pcie", false},
        {"NVIDIA H100 NVL", "h100-nvl", false},
        {"NVIDIA H200", "h200", false},
        {"NVIDIA GH200 480GB", "gh200", false},
        {"NVIDIA A100-SXM4-40GB", "a100-sxm4-40gb", false},
        {"Tesla V100-SXM2-16GB", "v100-sxm2-16gb", false},
        {"NVIDIA GeForce RTX 5090", "rtx-5090", false},
        {"NVIDIA L40S", "l40s", false},
        {"NVIDIA H100 80GB HBM3 MIG 2g.20gb", "h100-mig-2g.20gb", true},
        {"NVIDIA A100-SXM4-40GB MIG 3g.20gb", "a100-sxm4-40gb-mig-3g.20gb", true},
        {"  NVIDIA  ", "", false},
        {"", "", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char type[64];
        glet_cuda_type_name(cases[i].name, type, sizeof type);
        assert_string_equal(type, cases[i].type);
        assert_int_equal(glet_cuda_name_is_mig(cases[i].name), cases[i].mig);
    }
}

/* Never more than there is room for, and always ended. */
static void test_long_names(void **state)
{
    (void)state;
    char name[300], type[16];
    for (size_t i = 0; i + 1 < sizeof name; i++)
        name[i] = i % 7 == 6 ? ' ' : (char)('a' + i % 26);
    name[sizeof name - 1] = '\0';
    for (size_t size = 1; size <= sizeof type; size++) {
        memset(type, '#', sizeof type);
        glet_cuda_type_name(name, type, size);
        assert_true(strlen(type) < size);
        for (size_t i = size; i < sizeof type; i++)
            assert_true(type[i] == '#');
    }
}

static void test_uuid(void **state)
{
    (void)state;
    unsigned char bytes[16];
    char text[48];
    for (int i = 0; i < 16; i++)
        bytes[i] = (unsigned char)(i * 17);
    glet_cuda_uuid_text("GPU-", bytes, text);
    assert_string_equal(text, "GPU-00112233-4455-6677-8899-aabbccddeeff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
