/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_FAKE_CUDA_H
#define GLET_FAKE_CUDA_H

/*
 * A CUDA driver without a GPU, opened by the same dlopen() as the real one (GPULET_LIBCUDA).
 *
 * It holds its callers to the rules of the real one, where a driver would answer with an error, and
 * where it would not: then the breach is recorded (fake_cuda_breach()). Memory is host memory, and
 * kernels are host functions that a test registers under the kernel's name. Work is queued and runs
 * when somebody waits for it, in the order that streams and events give, so that a missing wait
 * shows as wrong data, every time; fake_cuda_step() makes every other order that streams and events
 * allow. Every kernel takes FAKE_CUDA_KERNEL_MS of the device's time, every copy from or to the host
 * copy_ms of its stream's; a thread that waits has the time of what it waited for, and what it
 * enqueues comes after that.
 *
 * Checked: call order; one split per device, descriptors of groups of one split; mandatory flags;
 * a green context current to one thread; streams after and before their green context; capture
 * (nothing unsafe on the capturing thread, launches only into the captured stream, ended by the
 * thread that began it); nothing computed in the primary context beside green contexts; copies
 * within live allocations and from pinned memory, whose pages are registered once, as they are
 * mapped, and for all contexts, and not unregistered while a copy is queued; graphs on the gpu-let
 * they were captured in; nothing allocated, loaded or instantiated while serving
 * (fake_cuda_serving()); no use after destruction; no leak (fake_cuda_live()).
 *
 * A process configures it by fake_cuda_configure(), or by GPULET_FAKE_CUDA="sms=132,units=15,...";
 * with GPULET_FAKE_CUDA_REPORT it writes what was breached and leaked, and how often something was
 * copied within the device, from staging memory and from the process's own, into that file as it
 * ends.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_CUDA_KERNEL_MS 0.125

struct fake_cuda_config {
    const char *name;    /* NULL: "NVIDIA H100 80GB HBM3" */
    int device_count;    /* 0: 1 */
    int sm_count;        /* 0: 132 */
    int unit_sms;        /* least green context; 0: 8 */
    int unit_count;      /* that the split makes; 0: as many as fit */
    int cc_major;        /* 0: 9 */
    int driver_version;  /* 0: 13000 */
    int missing_sms;     /* every green context gets so many less than its descriptor says */
    bool lone_remainder; /* the SMs that no unit has are not joined to groups */
    bool lacks_green;    /* the device does not support green contexts */
    bool old;            /* the driver has never heard of them; only before it is first opened */
    bool leaks;          /* kernels of green contexts also run on the first SM of the device */
    bool idle;           /* kernels take their time and compute nothing */
    double copy_ms;      /* see above */
    bool no_pinning;     /* the process's own memory cannot be registered */
    bool page_tables;    /* the device reaches the process's memory through its page tables */
    bool slow;           /* asking an event never finds it done; only waiting does */
    size_t memory_mib;   /* 0: 81920 */
    size_t context_mib;  /* that a green context costs; 0: 24 */
};

/* Forgets everything that exists, and starts anew. NULL: an H100. */
void fake_cuda_configure(const struct fake_cuda_config *config);

/* From now on the nth call (1 = the next) of function (NULL: of any) fails with code; when sticky,
   so do all calls after it. nth 0: no more. Destroying functions do their work all the same. */
void fake_cuda_fail(const char *function, long nth, CUresult code, bool sticky);
long fake_cuda_calls(void); /* since the last fake_cuda_configure() */
long fake_cuda_calls_of(const char *function);

void fake_cuda_serving(bool serving);

/* The calling thread's time, see above. */
double fake_cuda_now_ms(void);

/* Runs what is next on a stream; false when there is nothing, or when it waits for another. */
bool fake_cuda_step(CUstream stream);

/* What was enqueued or waited for, in the order of the calls. */
struct fake_cuda_call {
    const char *function;
    CUstream stream; /* NULL: a wait by the host */
    CUevent event;   /* NULL: none */
};
/* From now on, up to `room` calls into `calls`; NULL: no more. Returns how many the last trace had. */
size_t fake_cuda_trace(struct fake_cuda_call *calls, size_t room);

/* Number of rules that were broken; what the first was, "" = none. */
int fake_cuda_breaches(void);
const char *fake_cuda_breach(void);

/* Objects that exist: what they are, as "2 streams, 1 event"; "" = none. */
const char *fake_cuda_live(void);

struct fake_cuda_launch {
    unsigned grid[3], block[3];
    void **parameters;
    const int *sms; /* that it may run on */
    int sm_count;
};
typedef void (*fake_cuda_kernel)(const struct fake_cuda_launch *launch);

/* Kernels that modules have, with the sizes of their parameters in bytes. Stay for ever. */
void fake_cuda_add_kernel(const char *name, fake_cuda_kernel kernel, const size_t *sizes,
                          size_t count);

#endif
