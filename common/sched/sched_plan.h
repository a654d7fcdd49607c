/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SCHED_PLAN_H
#define GLET_SCHED_PLAN_H

/*
 * What the scheduling core is told of a plan, the same for the runtime and for the simulator: how
 * long a request may take, how many may wait. Pure; safe from any thread.
 */

#include "common/plan_file.h"

#include <stdint.h>

/* Time that a request of the plan's model may take: its SLO; of a model that only apps use, its
   deadline, or without one the largest bound that the plan promised them. Microseconds. */
uint64_t glet_sched_slo_us(const struct glet_plan *plan, size_t model);

/*
 * Requests per second of its model i that a gpu-let answers in time whatever the others ask for: a
 * planned batch each duty cycle. At least its rate_rps; more where sizes and batches leave room.
 */
double glet_sched_capacity_rps(const struct glet_plan_let *let, size_t i);

/* Requests of one model that may wait for one gpu-let: room for four SLOs' worth of its planned
   rate, so that admission and not the queue is what refuses. */
size_t glet_sched_queue_capacity(double rate_rps, uint64_t slo_us, int batch);

#endif
