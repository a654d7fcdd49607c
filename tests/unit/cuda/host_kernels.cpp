// SPDX-License-Identifier: Apache-2.0
// The executor's kernels compiled for the host, and their launch by name.
#define GLET_ON_HOST
#include "tests/unit/cuda/host_cuda.h"

#include "runtime/device/cuda/kernels/kernels.cu"

extern "C" {
#include "tests/unit/cuda/host_kernels.h"
}

#include <cstdlib>
#include <pthread.h>
#include <ucontext.h>

host_index threadIdx, blockIdx, blockDim;

namespace
{

enum { MAX_THREADS = 256, STACK_BYTES = 128 << 10 };

struct barrier {
    unsigned waiting, generation, members;
};
struct block {
    ucontext_t scheduler, threads[MAX_THREADS];
    bool done[MAX_THREADS];
    char *stacks;
    unsigned current;
    barrier all, warps[MAX_THREADS / 32];
    float lanes[MAX_THREADS];
};
block fibers;

template <typename P> struct job {
    void (*kernel)(P);
    const P *parameters;
};

void set_thread(unsigned t)
{
    threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

void wait(barrier &b)
{
    unsigned generation = b.generation;
    if (++b.waiting == b.members) {
        b.waiting = 0;
        b.generation++;
        return;
    }
    while (b.generation == generation) {
        unsigned me = fibers.current;
        swapcontext(&fibers.threads[me], &fibers.scheduler);
    }
}

template <typename P> const job<P> *&current_job()
{
    static const job<P> *current;
    return current;
}

template <typename P> void fiber_main()
{
    current_job<P>()->kernel(*current_job<P>()->parameters);
    fibers.done[fibers.current] = true;
    fibers.all.members--;
    fibers.warps[fibers.current / 32].members--;
}

// Apart from its loop: getcontext() may return twice, as far as the compiler knows.
__attribute__((noinline)) void make_fiber(unsigned t, void (*entry)())
{
    fibers.done[t] = false;
    getcontext(&fibers.threads[t]);
    fibers.threads[t].uc_stack.ss_sp = fibers.stacks + (size_t)t * STACK_BYTES;
    fibers.threads[t].uc_stack.ss_size = STACK_BYTES;
    fibers.threads[t].uc_link = &fibers.scheduler;
    makecontext(&fibers.threads[t], entry, 0);
}

template <typename P> void run_fibers(const job<P> &j, unsigned threads)
{
    if (!fibers.stacks)
        fibers.stacks = static_cast<char *>(std::malloc((size_t)MAX_THREADS * STACK_BYTES));
    current_job<P>() = &j;
    fibers.all = {0, 0, threads};
    for (unsigned w = 0; w < MAX_THREADS / 32; w++)
        fibers.warps[w] = {0, 0, 32};
    for (unsigned t = 0; t < threads; t++)
        make_fiber(t, fiber_main<P>);
    for (bool busy = true; busy;) {
        busy = false;
        for (unsigned t = 0; t < threads; t++) {
            if (fibers.done[t])
                continue;
            busy = true;
            fibers.current = t;
            set_thread(t);
            swapcontext(&fibers.scheduler, &fibers.threads[t]);
        }
    }
}

template <typename P> void run(const glet_cuda_launch &launch, void (*kernel)(P), const P &p)
{
    const job<P> j = {kernel, &p};
    bool waits = std::strstr(launch.kernel, "softmax") || std::strstr(launch.kernel, "norm") ||
                 std::strstr(launch.kernel, "reduce") || std::strstr(launch.kernel, "global");
    blockDim = {launch.block[0], launch.block[1], launch.block[2]};
    unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    for (unsigned y = 0; y < launch.grid[1]; y++)
        for (unsigned x = 0; x < launch.grid[0]; x++) {
            blockIdx = {x, y, 0};
            if (waits) {
                run_fibers(j, threads);
                continue;
            }
            for (unsigned t = 0; t < threads; t++) {
                set_thread(t);
                kernel(p);
            }
        }
}

const glet_k_map &parameters(const glet_cuda_launch &l, const glet_k_map *)
{
    return l.parameters.map;
}
const glet_k_pixels &parameters(const glet_cuda_launch &l, const glet_k_pixels *)
{
    return l.parameters.pixels;
}
const glet_k_window &parameters(const glet_cuda_launch &l, const glet_k_window *)
{
    return l.parameters.window;
}
const glet_k_lrn &parameters(const glet_cuda_launch &l, const glet_k_lrn *)
{
    return l.parameters.lrn;
}
const glet_k_rows &parameters(const glet_cuda_launch &l, const glet_k_rows *)
{
    return l.parameters.rows;
}
const glet_k_reduce &parameters(const glet_cuda_launch &l, const glet_k_reduce *)
{
    return l.parameters.reduce;
}
const glet_k_gather &parameters(const glet_cuda_launch &l, const glet_k_gather *)
{
    return l.parameters.gather;
}
const glet_k_pad &parameters(const glet_cuda_launch &l, const glet_k_pad *)
{
    return l.parameters.pad;
}
const glet_k_resize &parameters(const glet_cuda_launch &l, const glet_k_resize *)
{
    return l.parameters.resize;
}

} // namespace

void __syncthreads()
{
    wait(fibers.all);
}

float __shfl_xor_sync(unsigned, float value, int lane)
{
    unsigned me = fibers.current, warp = me / 32;
    fibers.lanes[me] = value;
    wait(fibers.warps[warp]);
    float other = fibers.lanes[me ^ (unsigned)lane];
    wait(fibers.warps[warp]);
    return other;
}

static bool launch_alone(const struct glet_cuda_launch *launch)
{
#define TRY(name, text, parameter)                                                                 \
    if (std::strcmp(launch->kernel, text) == 0) {                                                  \
        run<const parameter>(*launch, name, parameters(*launch, (const parameter *)nullptr));      \
        return true;                                                                               \
    }
#define TRY_BOTH(name, parameter)                                                                  \
    TRY(name##_f16, #name "_f16", parameter) TRY(name##_f32, #name "_f32", parameter)
#define TRY_ONCE(name, parameter) TRY(name, #name, parameter)
    GLET_K_BOTH(TRY_BOTH)
    GLET_K_ONCE(TRY_ONCE)
    return false;
}

// What CUDA has per thread and block is one of each here.
bool host_launch(const struct glet_cuda_launch *launch)
{
    static pthread_mutex_t device = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&device);
    bool known = launch_alone(launch);
    pthread_mutex_unlock(&device);
    return known;
}

void host_halves_to_floats(const uint16_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = __half2float(__half{from[i]});
}

void host_floats_to_halves(const float *from, uint16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = __float2half_rn(from[i]).bits;
}
