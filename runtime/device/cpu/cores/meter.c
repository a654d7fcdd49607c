/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/cpu/cores/meter.h"

static uint64_t period_end_ns(const struct glet_cpu_meter *meter)
{
    uint64_t paid_ns = meter->start_ns + meter->period_used_ns * 10 / (uint64_t)meter->tenths;
    return paid_ns > meter->last_ns ? paid_ns : meter->last_ns;
}

void glet_cpu_meter_want(struct glet_cpu_meter *meter, uint64_t now_ns)
{
    uint64_t end_ns = period_end_ns(meter);
    if (now_ns <= end_ns)
        return; /* still the same period */
    meter->waiting_ns += end_ns - meter->start_ns;
    meter->start_ns = meter->last_ns = now_ns;
    meter->period_used_ns = 0;
}

void glet_cpu_meter_got(struct glet_cpu_meter *meter, uint64_t used_ns, uint64_t now_ns)
{
    meter->used_ns += used_ns;
    meter->period_used_ns += used_ns;
    meter->last_ns = now_ns;
}

double glet_cpu_meter_achieved_tenths(const struct glet_cpu_meter *meter)
{
    uint64_t all_ns = meter->waiting_ns + period_end_ns(meter) - meter->start_ns;
    return all_ns ? 10.0 * (double)meter->used_ns / (double)all_ns : meter->tenths;
}
