/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_METER_H
#define GLET_CPU_METER_H

/*
 * What a partition got of the cores that it shares, against what it was promised.
 *
 * The share counts only while work was waiting: over busy periods. A busy period lasts until the
 * partition has no more work and has paid for what it used: without the second part, one with
 * short runs would seem to have had a whole core. So what is measured never exceeds the promise,
 * and falls below it when the partition had to wait too long for too long.
 *
 * Pure; times are nanoseconds of any clock that does not step. Zeroed but for tenths at the start.
 */

#include <stdint.h>

struct glet_cpu_meter {
    int tenths;          /* promised, of one core */
    uint64_t used_ns;    /* core time received, in all periods */
    uint64_t waiting_ns; /* length of the busy periods before the present one */
    /* the present one */
    uint64_t start_ns, last_ns, period_used_ns;
};

/* A slice is wanted from now on. */
void glet_cpu_meter_want(struct glet_cpu_meter *meter, uint64_t now_ns);

/* The slice is over and used used_ns of a core. */
void glet_cpu_meter_got(struct glet_cpu_meter *meter, uint64_t used_ns, uint64_t now_ns);

/* Tenths of a core received while there was work; the promised ones before the first slice. */
double glet_cpu_meter_achieved_tenths(const struct glet_cpu_meter *meter);

#endif
