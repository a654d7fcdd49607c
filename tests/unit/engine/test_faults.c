/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n that a load makes: each time the load ends with "out of
 * memory", leaks nothing, and the next load works. malloc is this program's own (counting on top of
 * glibc's), so the sanitizers' builds leave this test out.
 */
#include "tests/unit/check.h"
#include "tests/unit/engine/onnx_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *old);

static long until_failure = -1; /* allocations that still succeed; -1 = all */
static long blocks;             /* allocated and not freed */

static int fails(void)
{
    if (until_failure == 0) {
        errno = ENOMEM;
        return 1;
    }
    until_failure -= until_failure > 0;
    return 0;
}

static void *counted(void *memory)
{
    blocks += memory != NULL;
    return memory;
}

void *malloc(size_t size)
{
    return fails() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    void *memory = __libc_realloc(old, size);
    blocks += memory && !old;
    return memory;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__libc_memalign(alignment, size));
}

void free(void *old)
{
    blocks -= old != NULL;
    __libc_free(old);
}

static const char network[] =
    "input x float batch,3,8,8\nweight w 4,3,3,3\nweight g 4\nweight b 4\nweight m 4\nweight v 4\n"
    "ints s 2 0,-1\nweight f 10,256\nnode Conv x,w c pads=1,1,1,1\n"
    "node BatchNormalization c,g,b,m,v n\nnode Relu n r\nnode Reshape r,s q\n"
    "node Gemm q,f y transB=1\noutput y";

static int load_and_bind(const char *path, struct glet_error *err)
{
    struct glet_model_options options = {.random_weights = true};
    struct glet_model *model = NULL;
    struct glet_graph *graph = NULL;
    int result = glet_model_load(path, &options, &model, err);
    if (result == 0)
        result = glet_model_bind(model, 3, &graph, err);
    glet_graph_free(graph);
    glet_model_free(model);
    return result;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct onnx_bytes bytes = onnx_from_text(network);
    struct glet_error err = {0};
    char path[64];
    int descriptor = memfd_create("m", MFD_CLOEXEC);
    assert_int_equal(write(descriptor, bytes.bytes, bytes.length), (ssize_t)bytes.length);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    CHECK_OK(load_and_bind(path, &err), &err);
    long failures = 0;
    for (int result = -1; result < 0; failures++) {
        long before = blocks;
        until_failure = failures;
        result = load_and_bind(path, &err);
        until_failure = -1;
        assert_int_equal(blocks, before);
        if (result < 0 && err.code != GLET_ERR_NOMEM)
            fail_msg("allocation %ld: %s", failures, err.message);
    }
    assert_true(failures > 20);
    close(descriptor);
    free(bytes.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
