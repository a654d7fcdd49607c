/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_ARRIVALS_H
#define GLET_COMMON_ARRIVALS_H

/*
 * When requests arrive: the schedule of an open-loop load, decided by seed and rate alone and never
 * by how the server answers. Pure: the same values give the same times.
 */

#include "common/random.h"
#include "common/workload.h"

#include <stddef.h>

enum glet_process {
    GLET_PROCESS_POISSON, /* exponential gaps */
    GLET_PROCESS_UNIFORM, /* equal gaps, the first after a random part of one */
    GLET_PROCESS_BURST,   /* gamma gaps: coefficient of variation `burstiness` */
    GLET_PROCESS_TRACE,   /* recorded times, repeated when they end */
};

/* What a workload's `arrival` asks for. */
enum glet_process glet_process_of(enum glet_arrival arrival);

struct glet_arrivals {
    enum glet_process process;
    double rate_rps;       /* of all but a trace; 0 = never */
    double burstiness;     /* standard deviation of a gap over its mean, > 0 */
    const double *times_s; /* trace: ascending, borrowed */
    size_t time_count;
    double time_scale; /* trace: 0.5 plays it twice as fast */
    /* trace: begin and length of the recording, when these times are a part of it; length 0: they
       are all of it, and it goes on one mean gap after the last */
    double trace_begin_s, trace_period_s;
    struct glet_random random;
    double next_s; /* the next arrival, seconds from the start; INFINITY = none */
    size_t index;  /* of arrivals so far */
};

/* After how long a trace of `count` times starts again: one mean gap after its last. */
double glet_trace_period_s(double first_s, double last_s, size_t count);

/* Sets next_s to the first arrival. The fields above `next_s` are filled. */
void glet_arrivals_start(struct glet_arrivals *arrivals);

/* Moves next_s to the arrival after it. */
void glet_arrivals_advance(struct glet_arrivals *arrivals);

#endif
