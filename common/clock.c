/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"

#include <errno.h>
#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t glet_clock_us(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000;
}

uint64_t glet_clock_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t glet_clock_thread_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t glet_clock_process_cpu_us(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000;
}

uint64_t glet_clock_unix_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

void glet_clock_sleep_until_us(uint64_t deadline_us)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_us / 1000000),
                             .tv_nsec = (long)(deadline_us % 1000000) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}
