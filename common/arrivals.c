/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arrivals.h"

#include <math.h>

enum glet_process glet_process_of(enum glet_arrival arrival)
{
    switch (arrival) {
    case GLET_ARRIVAL_UNIFORM:
        return GLET_PROCESS_UNIFORM;
    case GLET_ARRIVAL_TRACE:
        return GLET_PROCESS_TRACE;
    case GLET_ARRIVAL_POISSON:
        break;
    }
    return GLET_PROCESS_POISSON;
}

double glet_trace_period_s(double first_s, double last_s, size_t count)
{
    return last_s - first_s + (last_s - first_s) / (double)(count > 1 ? count - 1 : 1);
}

static double trace_time_s(const struct glet_arrivals *arrivals)
{
    if (arrivals->time_count == 0)
        return INFINITY;
    double first = arrivals->trace_begin_s, period_s = arrivals->trace_period_s;
    if (period_s <= 0) {
        first = arrivals->times_s[0];
        period_s = glet_trace_period_s(first, arrivals->times_s[arrivals->time_count - 1],
                                       arrivals->time_count);
    }
    size_t round = arrivals->index / arrivals->time_count;
    if (round > 0 && period_s <= 0)
        return INFINITY;
    double at = arrivals->times_s[arrivals->index % arrivals->time_count] - first;
    return ((double)round * period_s + at) * arrivals->time_scale;
}

static double gap_s(struct glet_arrivals *arrivals)
{
    double cv2 = arrivals->burstiness * arrivals->burstiness;
    switch (arrivals->process) {
    case GLET_PROCESS_POISSON:
        return glet_random_exponential(&arrivals->random, arrivals->rate_rps);
    case GLET_PROCESS_BURST:
        return glet_random_gamma(&arrivals->random, 1 / cv2, cv2 / arrivals->rate_rps);
    case GLET_PROCESS_UNIFORM:
    case GLET_PROCESS_TRACE:
        break;
    }
    return 1 / arrivals->rate_rps;
}

void glet_arrivals_start(struct glet_arrivals *arrivals)
{
    arrivals->index = 0;
    if (arrivals->process == GLET_PROCESS_TRACE)
        arrivals->next_s = trace_time_s(arrivals);
    else if (arrivals->rate_rps <= 0)
        arrivals->next_s = INFINITY;
    else if (arrivals->process == GLET_PROCESS_UNIFORM)
        arrivals->next_s = glet_random_uniform(&arrivals->random) / arrivals->rate_rps;
    else
        arrivals->next_s = gap_s(arrivals);
}

void glet_arrivals_advance(struct glet_arrivals *arrivals)
{
    arrivals->index++;
    if (arrivals->process == GLET_PROCESS_TRACE)
        arrivals->next_s = trace_time_s(arrivals);
    else
        arrivals->next_s += gap_s(arrivals);
}
