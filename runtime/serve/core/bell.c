/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel compares `rings` with `seen` before it lets the thread sleep (futex(2)): a ring that
   comes in between is not lost. What the threads tell each other is ordered by their lock. */
#include "runtime/serve/core/bell.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void glet_bell_wait(struct glet_bell *bell, uint32_t seen, uint64_t until_us)
{
    struct timespec until = {(time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000};
    /* With a bitset the time is absolute, on the monotonic clock. */
    (void)syscall(SYS_futex, &bell->rings, FUTEX_WAIT_BITSET_PRIVATE, seen,
                  until_us == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

void glet_bell_ring(struct glet_bell *bell)
{
    atomic_fetch_add_explicit(&bell->rings, 1, memory_order_relaxed);
    (void)syscall(SYS_futex, &bell->rings, FUTEX_WAKE_PRIVATE, 1);
}
