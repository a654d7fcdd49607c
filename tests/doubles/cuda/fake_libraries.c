/* SPDX-License-Identifier: Apache-2.0 */
/* What both fake libraries share: control, work on the fake driver, half precision. */
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/doubles/cuda/fake_cuda_state.h"
#include "tests/doubles/cuda/fake_libraries_state.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fake_refusals;
atomic_int fake_library_live, fake_library_plans, fake_library_heuristics;
static atomic_long calls, failing;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static int breaches;
static char first[256];
static struct kept {
    struct kept *next;
    _Alignas(16) char bytes[];
} * all_kept;

void fake_libraries_reset(int refusals)
{
    fake_refusals = refusals;
    fake_library_live = fake_library_plans = fake_library_heuristics = breaches = 0;
    calls = failing = 0;
    first[0] = '\0';
}

void fake_libraries_fail(long nth)
{
    failing = nth > 0 ? calls + nth : 0;
}

long fake_libraries_calls(void)
{
    return calls;
}

int fake_libraries_plans(void)
{
    return fake_library_plans;
}

int fake_libraries_heuristics(void)
{
    return fake_library_heuristics;
}

int fake_libraries_breaches(void)
{
    return breaches;
}

const char *fake_libraries_breach(void)
{
    return first;
}

int fake_libraries_live(void)
{
    return fake_library_live;
}

bool fake_library_call(void)
{
    return atomic_fetch_add(&calls, 1) + 1 != failing;
}

bool fake_library_failed(void)
{
    return failing > 0 && calls >= failing;
}

void fake_library_breach(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&lock);
    if (breaches++ == 0)
        vsnprintf(first, sizeof first, format, arguments);
    pthread_mutex_unlock(&lock);
    va_end(arguments);
}

bool fake_library_capturing(void)
{
    bool capturing = false;
    fake_lock();
    for (const struct fake_object *o = fake_objects(); o; o = o->next)
        if (o->kind == FAKE_STREAM && !o->dead &&
            ((const struct fake_stream *)o)->capturing_thread == (int)gettid())
            capturing = true;
    fake_unlock();
    return capturing;
}

void *fake_library_keep(size_t bytes)
{
    struct kept *kept = calloc(1, sizeof *kept + bytes);
    if (!kept)
        abort();
    pthread_mutex_lock(&lock);
    kept->next = all_kept;
    all_kept = kept;
    pthread_mutex_unlock(&lock);
    return kept->bytes;
}

struct job {
    void (*work)(void *data);
    void *data;
};

static void run_job(const struct fake_cuda_launch *launch)
{
    struct job job;
    memcpy(&job, launch->parameters[0], sizeof job);
    if (job.work)
        job.work(job.data);
}

static const struct fake_kernel_entry *job_kernel;

__attribute__((constructor)) static void add_job_kernel(void)
{
    fake_cuda_add_kernel("fake_library_job", run_job, (const size_t[]){sizeof(struct job)}, 1);
    job_kernel = fake_kernel_named("fake_library_job");
}

bool fake_library_enqueue(CUstream stream, int kernels, void (*work)(void *data), void *data)
{
    for (int i = 0; i < kernels; i++) {
        struct job job = {i == 0 ? work : NULL, data};
        void *parameters[] = {&job};
        if (cuLaunchKernel((CUfunction)(uintptr_t)job_kernel, 1, 1, 1, 1, 1, 1, 0, stream,
                           parameters, NULL) != CUDA_SUCCESS)
            return false;
    }
    return true;
}

static float half_value(unsigned half)
{
    int exponent = (int)(half >> 10 & 31), fraction = (int)(half & 1023);
    float value = exponent == 0    ? ldexpf((float)fraction, -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : ldexpf((float)(fraction | 1024), exponent - 25);
    return half & 0x8000 ? -value : value;
}

static float half_values[65536];

__attribute__((constructor)) static void fill_half_values(void)
{
    for (unsigned i = 0; i < 65536; i++)
        half_values[i] = half_value(i);
}

float fake_half_to_float(uint16_t half)
{
    return half_values[half];
}

uint16_t fake_float_to_half(float value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    float size = fabsf(value);
    int exponent;
    if (isnan(value))
        return 0x7e00;
    if (size >= 65520.0F)
        return sign | 0x7c00;
    (void)frexpf(size, &exponent);
    if (size < 0x1p-14F) /* subnormal: steps of 2^-24 */
        return sign | (uint16_t)lrintf(ldexpf(size, 24));
    long fraction = lrintf(ldexpf(size, 11 - exponent)); /* 1024 ... 2048 */
    return (uint16_t)(sign | (((exponent + 13) << 10) + (fraction)));
}
