/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_BELL_H
#define GLET_BELL_H

/*
 * Wakes the one thread that sleeps on it. Like a condition variable whose mutex the caller keeps,
 * but a wake-up costs two system calls instead of three: a thread that returns from
 * pthread_cond_wait() marks the mutex as contended, so that its next unlock is a system call, too
 * (glibc). {0} is a bell.
 *
 *   sleeper, under the caller's lock:  decide to sleep, seen = glet_bell_seen()
 *   sleeper, without it:               glet_bell_wait(bell, seen, until_us)
 *   ringer, under the lock:            change what the sleeper waits for
 *   ringer, without it:                glet_bell_ring()
 */

#include <stdatomic.h>
#include <stdint.h>

struct glet_bell {
    _Atomic uint32_t rings;
};

static inline uint32_t glet_bell_seen(const struct glet_bell *bell)
{
    return atomic_load_explicit(&bell->rings, memory_order_relaxed);
}

/* Returns once it has been rung since `seen`, at until_us of the monotonic clock (UINT64_MAX =
   never), or for no reason. */
void glet_bell_wait(struct glet_bell *bell, uint32_t seen, uint64_t until_us);

void glet_bell_ring(struct glet_bell *bell);

#endif
