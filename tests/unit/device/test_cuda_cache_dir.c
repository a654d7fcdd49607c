/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/cuda/cache_dir.h"
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/gpulet-cache-XXXXXX";

static void only(const char *variable, const char *value)
{
    static const char *const all[] = {"GPULET_CACHE_DIR", "CACHE_DIRECTORY", "XDG_CACHE_HOME",
                                      "HOME"};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        unsetenv(all[i]);
    setenv(variable, value, 1);
}

static void check_made(const char *variable, const char *below_folder, const char *wanted)
{
    char value[256], path[4096], expected[256];
    struct stat status;
    snprintf(value, sizeof value, "%s%s", folder, below_folder);
    snprintf(expected, sizeof expected, "%s%s", folder, wanted);
    only(variable, value);
    assert_true(glet_cuda_cache_dir(path));
    assert_string_equal(path, expected);
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
}

static void test_places(void **state)
{
    (void)state;
    check_made("GPULET_CACHE_DIR", "/a/b", "/a/b");
    check_made("CACHE_DIRECTORY", "/c", "/c");
    check_made("XDG_CACHE_HOME", "/d", "/d/gpulet");
    check_made("HOME", "", "/.cache/gpulet");
}

static void test_nowhere(void **state)
{
    (void)state;
    char path[4096];
    char *long_path = malloc(5000);
    memset(long_path, 'x', 4999);
    long_path[0] = '/';
    long_path[4999] = '\0';
    only("GPULET_CACHE_DIR", long_path);
    assert_false(glet_cuda_cache_dir(path));
    free(long_path);
    only("HOME", "relative");
    assert_false(glet_cuda_cache_dir(path));
    only("GPULET_CACHE_DIR", "/proc/no-such-folder");
    assert_false(glet_cuda_cache_dir(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_nowhere),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? failed : 1;
}
