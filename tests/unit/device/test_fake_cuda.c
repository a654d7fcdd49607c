/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake driver itself: every rule that it is there to enforce, broken once, is noticed; and work
 * that nobody waits for has not happened. Without this, tests on it would prove nothing.
 */
#include "runtime/device/cuda/driver/api.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/check.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

extern const unsigned char glet_fatbin_cuda_isolation[];

static const struct glet_cuda_api *cu;

/* An H100 with its primary context current, split into 16 units. */
struct setting {
    CUcontext primary;
    CUdevResource all, units[16], rest;
    unsigned count;
    CUgreenCtx green[2];
    CUcontext context[2];
    CUstream stream[2];
};

static void must(CUresult code)
{
    assert_int_equal(code, CUDA_SUCCESS);
}

static void broke(const char *what)
{
    if (!strstr(fake_cuda_breach(), what))
        fail_msg("broke '%s', not '%s'", fake_cuda_breach(), what);
}

static struct setting begin(void)
{
    struct setting s = {.count = 16};
    fake_cuda_configure(NULL);
    must(cu->cuDevicePrimaryCtxRetain(&s.primary, 0));
    must(cu->cuCtxSetCurrent(s.primary));
    must(cu->cuDeviceGetDevResource(0, &s.all, CU_DEV_RESOURCE_TYPE_SM));
    must(cu->cuDevSmResourceSplitByCount(s.units, &s.count, &s.all, &s.rest, 0, 8));
    assert_int_equal(s.count, 16);
    return s;
}

static void make_green(struct setting *s, int i)
{
    CUdevResourceDesc description;
    must(cu->cuDevResourceGenerateDesc(&description, &s->units[4 * i], 4));
    must(cu->cuGreenCtxCreate(&s->green[i], description, 0, CU_GREEN_CTX_DEFAULT_STREAM));
    must(cu->cuCtxFromGreenCtx(&s->context[i], s->green[i]));
    must(cu->cuGreenCtxStreamCreate(&s->stream[i], s->green[i], CU_STREAM_NON_BLOCKING, 0));
}

static struct setting begin_with_green(void)
{
    struct setting s = begin();
    make_green(&s, 0);
    make_green(&s, 1);
    must(cu->cuCtxSetCurrent(s.context[0]));
    assert_string_equal(fake_cuda_breach(), "");
    return s;
}

static CUfunction kernel(CUmodule *module)
{
    CUfunction function;
    must(cu->cuModuleLoadData(module, glet_fatbin_cuda_isolation));
    must(cu->cuModuleGetFunction(&function, *module, "glet_record_sm"));
    return function;
}

static CUresult launch(CUfunction function, CUdeviceptr out, CUstream stream)
{
    unsigned long long clocks = 0;
    void *parameters[] = {&out, &clocks};
    return cu->cuLaunchKernel(function, 8, 1, 1, 1, 1, 1, 0, stream, parameters, NULL);
}

/* --- resources and contexts --- */

static void test_two_splits(void **state)
{
    (void)state;
    struct setting s = begin();
    CUdevResource again[16];
    CUdevResourceDesc description;
    must(cu->cuDevSmResourceSplitByCount(again, &s.count, &s.all, NULL, 0, 8));
    broke("split twice");
    CUdevResource mixed[2] = {s.units[0], again[1]};
    assert_int_not_equal(cu->cuDevResourceGenerateDesc(&description, mixed, 2), CUDA_SUCCESS);
}

static void test_descriptors(void **state)
{
    (void)state;
    struct setting s = begin();
    CUdevResourceDesc description;
    CUdevResource twice[2] = {s.units[3], s.units[3]}, none = s.units[0];
    assert_int_not_equal(cu->cuDevResourceGenerateDesc(&description, twice, 2), CUDA_SUCCESS);
    broke("SM 24 twice");
    none.type = CU_DEV_RESOURCE_TYPE_INVALID;
    assert_int_not_equal(cu->cuDevResourceGenerateDesc(&description, &none, 1), CUDA_SUCCESS);
    must(cu->cuDevResourceGenerateDesc(&description, &s.units[15], 1));
}

static void test_flags(void **state)
{
    (void)state;
    struct setting s = begin();
    CUdevResourceDesc description;
    must(cu->cuDevResourceGenerateDesc(&description, s.units, 1));
    assert_int_not_equal(cu->cuGreenCtxCreate(&s.green[0], description, 0, 0), CUDA_SUCCESS);
    broke("without its flag");
    make_green(&s, 1);
    assert_int_not_equal(cu->cuGreenCtxStreamCreate(&s.stream[0], s.green[1], 0, 0), CUDA_SUCCESS);
}

static void *make_current(void *context)
{
    must(cu->cuCtxSetCurrent(context));
    must(cu->cuCtxSetCurrent(NULL));
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    pthread_t thread;
    struct setting s = begin_with_green();
    assert_int_equal(pthread_create(&thread, NULL, make_current, s.context[1]), 0);
    pthread_join(thread, NULL);
    assert_string_equal(fake_cuda_breach(), "");
    assert_int_equal(pthread_create(&thread, NULL, make_current, s.context[0]), 0);
    pthread_join(thread, NULL);
    broke("current to two threads");
}

static void test_teardown_order(void **state)
{
    (void)state;
    struct setting s = begin_with_green();
    must(cu->cuGreenCtxDestroy(s.green[1]));
    broke("destroyed before its streams");
    assert_int_equal(cu->cuStreamDestroy(s.stream[1]), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    assert_int_equal(cu->cuGreenCtxDestroy(s.green[1]), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    s = begin_with_green();
    must(cu->cuStreamDestroy(s.stream[0]));
    must(cu->cuGreenCtxDestroy(s.green[0]));
    broke("destroyed while it is current");
}

static void test_leaks(void **state)
{
    (void)state;
    struct setting s = begin_with_green();
    CUevent event;
    CUdeviceptr memory;
    must(cu->cuEventCreate(&event, CU_EVENT_DEFAULT));
    must(cu->cuMemAlloc(&memory, 10));
    assert_string_equal(fake_cuda_live(), "1 primary contexts, 2 green contexts, 2 streams, 1 "
                                          "events, 1 device memory");
    must(cu->cuMemFree(memory));
    must(cu->cuEventDestroy(event));
    assert_int_not_equal(cu->cuMemFree(memory), CUDA_SUCCESS);
    broke("not allocated");
    (void)s;
}

/* --- work --- */

static void test_work_waits(void **state)
{
    (void)state;
    struct setting s = begin_with_green();
    CUdeviceptr memory;
    CUevent event;
    void *host;
    must(cu->cuMemAlloc(&memory, 4));
    must(cu->cuMemHostAlloc(&host, 4, 0));
    must(cu->cuEventCreate(&event, CU_EVENT_DEFAULT));
    memset(host, 7, 4);
    must(cu->cuMemsetD8Async(memory, 42, 4, s.stream[0]));
    must(cu->cuMemcpyDtoHAsync(host, memory, 4, s.stream[0]));
    must(cu->cuEventRecord(event, s.stream[0]));
    assert_int_equal(*(char *)host, 7); /* nobody has waited */
    must(cu->cuEventSynchronize(event));
    assert_int_equal(*(char *)host, 42);
    assert_string_equal(fake_cuda_breach(), "");
    char pageable[4];
    assert_int_not_equal(cu->cuMemcpyDtoHAsync(pageable, memory, 4, s.stream[0]), CUDA_SUCCESS);
    broke("not pinned");
    assert_int_not_equal(cu->cuMemcpyDtoHAsync(host, memory, 5, s.stream[0]), CUDA_SUCCESS);
}

static void test_streams_are_ordered_by_events(void **state)
{
    (void)state;
    struct setting s = begin_with_green();
    CUdeviceptr memory;
    CUevent event;
    void *host;
    must(cu->cuMemAlloc(&memory, 1));
    must(cu->cuMemHostAlloc(&host, 1, 0));
    must(cu->cuEventCreate(&event, CU_EVENT_DEFAULT));
    must(cu->cuMemsetD8Async(memory, 5, 1, s.stream[0]));
    must(cu->cuEventRecord(event, s.stream[0]));
    must(cu->cuCtxSetCurrent(s.context[1]));
    must(cu->cuStreamWaitEvent(s.stream[1], event, 0));
    must(cu->cuMemcpyDtoHAsync(host, memory, 1, s.stream[1]));
    must(cu->cuStreamSynchronize(s.stream[1]));
    assert_int_equal(*(char *)host, 5);
}

/* A step runs what may run now; time goes on with copies, along events, and for who waits. */
static void test_steps_and_time(void **state)
{
    (void)state;
    struct setting s = {0};
    struct fake_cuda_call calls[8];
    CUstream other;
    CUdeviceptr memory;
    CUevent event;
    void *host;
    fake_cuda_configure(&(struct fake_cuda_config){.copy_ms = 0.25});
    must(cu->cuDevicePrimaryCtxRetain(&s.primary, 0));
    must(cu->cuCtxSetCurrent(s.primary));
    must(cu->cuStreamCreate(&s.stream[0], CU_STREAM_NON_BLOCKING));
    must(cu->cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    must(cu->cuMemAlloc(&memory, 1));
    must(cu->cuMemHostAlloc(&host, 1, 0));
    must(cu->cuEventCreate(&event, CU_EVENT_DEFAULT));
    double start_ms = fake_cuda_now_ms();
    memset(host, 5, 1);
    fake_cuda_trace(calls, COUNT_OF(calls));
    must(cu->cuMemcpyHtoDAsync(memory, host, 1, s.stream[0]));
    must(cu->cuEventRecord(event, s.stream[0]));
    must(cu->cuStreamWaitEvent(other, event, 0));
    must(cu->cuMemcpyDtoHAsync(host, memory, 1, other));
    assert_int_equal(fake_cuda_trace(NULL, 0), 4);
    assert_string_equal(calls[2].function, "wait");
    assert_true(calls[2].stream == other && calls[2].event == event && !calls[0].event);
    assert_false(fake_cuda_step(other)); /* it waits */
    assert_true(fake_cuda_step(s.stream[0]));
    assert_false(fake_cuda_step(other));
    assert_true(fake_cuda_step(s.stream[0]));
    assert_false(fake_cuda_step(s.stream[0])); /* there is nothing more */
    memset(host, 0, 1);
    assert_true(fake_cuda_step(other));
    assert_true(fake_cuda_step(other));
    assert_int_equal(*(char *)host, 5);
    CHECK_NEAR(fake_cuda_now_ms() - start_ms, 0, 1e-12); /* nobody has waited */
    must(cu->cuStreamSynchronize(other));
    CHECK_NEAR(fake_cuda_now_ms() - start_ms, 0.5, 1e-12);
    must(cu->cuMemcpyHtoDAsync(memory, host, 1, s.stream[0]));
    must(cu->cuStreamSynchronize(s.stream[0]));
    CHECK_NEAR(fake_cuda_now_ms() - start_ms, 0.75, 1e-12); /* not before it was enqueued */
}

static void test_primary_stays_idle(void **state)
{
    (void)state;
    struct setting s = begin();
    CUmodule module;
    CUfunction function = kernel(&module);
    CUdeviceptr memory;
    CUstream stream;
    must(cu->cuMemAlloc(&memory, 64));
    must(cu->cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(launch(function, memory, stream));
    assert_string_equal(fake_cuda_breach(), ""); /* alone it may */
    make_green(&s, 0);
    must(launch(function, memory, stream));
    broke("in the primary context beside green contexts");
}

static void test_work_of_another_context(void **state)
{
    (void)state;
    struct setting s = begin_with_green();
    CUmodule module;
    CUfunction function = kernel(&module);
    CUdeviceptr memory;
    must(cu->cuMemAlloc(&memory, 64));
    assert_int_not_equal(launch(function, memory, s.stream[1]), CUDA_SUCCESS);
    broke("its context is not current");
}

static void test_serving(void **state)
{
    (void)state;
    struct setting s = begin_with_green();
    CUmodule module;
    CUfunction function = kernel(&module);
    CUdeviceptr memory, more;
    must(cu->cuMemAlloc(&memory, 64));
    fake_cuda_serving(true);
    must(launch(function, memory, s.stream[0]));
    must(cu->cuStreamSynchronize(s.stream[0]));
    assert_string_equal(fake_cuda_breach(), "");
    must(cu->cuMemAlloc(&more, 64));
    broke("cuMemAlloc while serving");
    fake_cuda_configure(NULL);
}

/* --- capture --- */

static CUstream begin_capture(struct setting *s)
{
    *s = begin_with_green();
    must(cu->cuStreamBeginCapture(s->stream[0], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    return s->stream[0];
}

static void test_capture_is_quiet(void **state)
{
    (void)state;
    struct setting s;
    CUgraph graph;
    CUdeviceptr memory;
    CUstream stream = begin_capture(&s);
    assert_int_equal(cu->cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    broke("cuStreamSynchronize while capturing");
    assert_int_equal(cu->cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    stream = begin_capture(&s);
    assert_int_equal(cu->cuMemAlloc(&memory, 8), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    broke("cuMemAlloc while capturing");
}

static void test_capture_strays(void **state)
{
    (void)state;
    struct setting s = begin_with_green();
    CUmodule module;
    CUfunction function = kernel(&module);
    CUdeviceptr memory;
    CUstream other;
    must(cu->cuMemAlloc(&memory, 64));
    must(cu->cuGreenCtxStreamCreate(&other, s.green[0], CU_STREAM_NON_BLOCKING, 0));
    must(cu->cuStreamBeginCapture(s.stream[0], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    must(launch(function, memory, s.stream[0]));
    assert_string_equal(fake_cuda_breach(), "");
    must(launch(function, memory, other));
    broke("beside the stream that is being captured");
}

static void *end_capture(void *stream)
{
    CUgraph graph;
    assert_int_equal(cu->cuStreamEndCapture(stream, &graph),
                     CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    return NULL;
}

static void test_capture_of_another_thread(void **state)
{
    (void)state;
    struct setting s;
    pthread_t thread;
    CUstream stream = begin_capture(&s);
    assert_int_equal(pthread_create(&thread, NULL, end_capture, stream), 0);
    pthread_join(thread, NULL);
    broke("ended by another thread");
}

static void test_graphs(void **state)
{
    (void)state;
    struct setting s = begin_with_green();
    CUmodule module;
    CUfunction function = kernel(&module);
    CUdeviceptr memory;
    CUgraph graph;
    CUgraphExec exec;
    must(cu->cuMemAlloc(&memory, 64));
    must(cu->cuStreamBeginCapture(s.stream[0], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    must(launch(function, memory, s.stream[0]));
    must(cu->cuStreamEndCapture(s.stream[0], &graph));
    must(cu->cuGraphInstantiate(&exec, graph, 0));
    must(cu->cuGraphDestroy(graph));
    must(cu->cuGraphLaunch(exec, s.stream[0]));
    must(cu->cuStreamSynchronize(s.stream[0]));
    assert_string_equal(fake_cuda_breach(), "");
    must(cu->cuCtxSetCurrent(s.context[1]));
    assert_int_not_equal(cu->cuGraphLaunch(exec, s.stream[1]), CUDA_SUCCESS);
    broke("another gpu-let");
    s = begin_with_green();
}

static void test_graph_destroyed_early(void **state)
{
    (void)state;
    struct setting s;
    CUgraph graph;
    CUgraphExec exec;
    CUstream stream = begin_capture(&s);
    must(cu->cuStreamEndCapture(stream, &graph));
    must(cu->cuGraphInstantiate(&exec, graph, 0));
    must(cu->cuGraphLaunch(exec, stream));
    must(cu->cuGraphExecDestroy(exec));
    broke("destroyed before it has run");
}

static void test_faults(void **state)
{
    (void)state;
    struct setting s = begin();
    CUdeviceptr memory;
    fake_cuda_fail("cuMemAlloc", 2, CUDA_ERROR_OUT_OF_MEMORY, false);
    must(cu->cuMemAlloc(&memory, 4));
    must(cu->cuMemFree(memory));
    assert_int_equal(cu->cuMemAlloc(&memory, 4), CUDA_ERROR_OUT_OF_MEMORY);
    must(cu->cuMemAlloc(&memory, 4));
    fake_cuda_fail(NULL, 1, CUDA_ERROR_LAUNCH_FAILED, true);
    assert_int_equal(cu->cuMemFree(memory), CUDA_ERROR_LAUNCH_FAILED); /* and is freed */
    assert_int_equal(cu->cuMemAlloc(&memory, 4), CUDA_ERROR_LAUNCH_FAILED);
    assert_string_equal(fake_cuda_live(), "1 primary contexts");
    (void)s;
}

static int open_driver(void **state)
{
    (void)state;
    struct glet_error err;
    fake_cuda_configure(NULL);
    return glet_cuda_api_open(&cu, &err);
}

/* The process's own memory is pinned once, as it is mapped, for all contexts, and let go when no copy
   is to read it. */
static void test_registered_memory(void **state)
{
    (void)state;
    enum { BLOCK = 128 << 10, SMALL = 64 << 10, PORTABLE = CU_MEMHOSTREGISTER_PORTABLE };
    char *memory =
        mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    CUdeviceptr on_device;
    struct setting s = begin_with_green();
    must(cu->cuMemAlloc(&on_device, BLOCK));
    memory[1] = 5;
    assert_int_not_equal(cu->cuMemcpyHtoDAsync(on_device, memory, BLOCK, s.stream[0]),
                         CUDA_SUCCESS);
    broke("not pinned");

    s = begin_with_green();
    must(cu->cuMemAlloc(&on_device, BLOCK));
    must(cu->cuMemHostRegister(memory, BLOCK, PORTABLE));
    must(cu->cuMemHostRegister(memory + BLOCK, BLOCK, PORTABLE));
    must(cu->cuMemcpyHtoDAsync(on_device, memory, BLOCK, s.stream[0]));
    must(cu->cuStreamSynchronize(s.stream[0]));
    must(cu->cuMemHostUnregister(memory));
    assert_string_equal(fake_cuda_breach(), "");
    assert_int_not_equal(cu->cuMemHostRegister(memory, 2 * BLOCK, PORTABLE), CUDA_SUCCESS);
    broke("pinned already");

    s = begin_with_green();
    must(cu->cuMemAlloc(&on_device, BLOCK));
    must(cu->cuMemHostRegister(memory, BLOCK, PORTABLE));
    must(cu->cuMemHostRegister(memory + BLOCK, BLOCK, PORTABLE));
    assert_int_not_equal(cu->cuMemcpyHtoDAsync(on_device, memory + 1, BLOCK, s.stream[0]),
                         CUDA_SUCCESS);
    broke("outside what is allocated"); /* in two blocks */

    s = begin_with_green();
    must(cu->cuMemAlloc(&on_device, BLOCK));
    must(cu->cuMemHostRegister(memory, BLOCK, PORTABLE));
    must(cu->cuMemcpyHtoDAsync(on_device, memory, BLOCK, s.stream[0]));
    must(cu->cuMemHostUnregister(memory));
    broke("about to read");

    s = begin_with_green();
    must(cu->cuMemAlloc(&on_device, BLOCK));
    must(cu->cuMemHostRegister(memory, BLOCK, PORTABLE));
    must(cu->cuMemcpyHtoDAsync(on_device, memory, SMALL + 1, s.stream[0]));
    assert_string_equal(fake_cuda_breach(), "");
    must(cu->cuMemcpyHtoDAsync(on_device, memory, SMALL, s.stream[0]));
    broke("may read them itself");

    s = begin_with_green();
    must(cu->cuMemHostRegister(memory, BLOCK, 0));
    broke("for one context");
    s = begin_with_green();
    assert_int_not_equal(cu->cuMemHostUnregister(memory), CUDA_SUCCESS);
    broke("not registered");
    s = begin_with_green();
    assert_int_equal(mprotect(memory, BLOCK, PROT_READ), 0);
    assert_int_not_equal(cu->cuMemHostRegister(memory, BLOCK, PORTABLE), CUDA_SUCCESS);
    broke("flags");
    s = begin_with_green();
    assert_int_equal(munmap(memory + BLOCK, BLOCK), 0);
    assert_int_not_equal(
        cu->cuMemHostRegister(memory, 2 * BLOCK, PORTABLE | CU_MEMHOSTREGISTER_READ_ONLY),
        CUDA_SUCCESS);
    broke("not there");
    fake_cuda_configure(NULL);
    munmap(memory, BLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_splits),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_teardown_order),
        cmocka_unit_test(test_leaks),
        cmocka_unit_test(test_work_waits),
        cmocka_unit_test(test_streams_are_ordered_by_events),
        cmocka_unit_test(test_steps_and_time),
        cmocka_unit_test(test_primary_stays_idle),
        cmocka_unit_test(test_work_of_another_context),
        cmocka_unit_test(test_serving),
        cmocka_unit_test(test_capture_is_quiet),
        cmocka_unit_test(test_capture_strays),
        cmocka_unit_test(test_capture_of_another_thread),
        cmocka_unit_test(test_graphs),
        cmocka_unit_test(test_graph_destroyed_early),
        cmocka_unit_test(test_registered_memory),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, open_driver, NULL);
}
