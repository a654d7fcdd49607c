/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_CLOCK_H
#define GLET_COMMON_CLOCK_H

/*
 * The clocks of every program. Times are unsigned 64-bit counts of the unit in the name.
 *
 * The monotonic clock (CLOCK_MONOTONIC) is the one of requests, deadlines and measurements: its
 * zero is arbitrary, it never steps, and threads and processes of one machine agree on it. All
 * functions are safe from any thread and cannot fail on Linux.
 */

#include <stdint.h>

uint64_t glet_clock_us(void);
uint64_t glet_clock_ns(void);

/* CPU time used so far by the calling thread, and by all threads of this process. */
uint64_t glet_clock_thread_cpu_ns(void);
uint64_t glet_clock_process_cpu_us(void);

/* Wall-clock time, milliseconds since 1970; for logs and reports only, since it may step. */
uint64_t glet_clock_unix_ms(void);

/* Returns at once when deadline_us (monotonic) has passed; signals do not end the sleep early. */
void glet_clock_sleep_until_us(uint64_t deadline_us);

#endif
