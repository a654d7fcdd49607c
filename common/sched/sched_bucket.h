/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SCHED_BUCKET_H
#define GLET_SCHED_BUCKET_H

/*
 * What a model may ask for under its plan: the rate that its gpu-lets carry whatever the others do
 * (sched_plan.h), plus a burst. A token bucket.
 *
 * A request that finds tokens is *planned*: its gpu-let owes it an answer in time. One that does
 * not is *excess*: it is served with what the plan leaves over, or refused. With tokens for the mean
 * rate only, a Poisson stream of that very rate would be excess again and again.
 *
 * Pure: times are parameters. Not shared between threads.
 */

#include <stdbool.h>
#include <stdint.h>

struct glet_sched_bucket {
    double rate_rps, depth, tokens;
    uint64_t last_us;
};

/*
 * Burst that a Poisson stream of the planned rate stays within: what arrives on average while one
 * request waits for its SLO, three standard deviations, and one batch.
 */
double glet_sched_bucket_depth(double rate_rps, uint64_t slo_us, int batch);

/* A full bucket. */
void glet_sched_bucket_init(struct glet_sched_bucket *bucket, double rate_rps, double depth,
                            uint64_t now_us);

/* Another plan: keeps the share of the bucket that was full. */
void glet_sched_bucket_change(struct glet_sched_bucket *bucket, double rate_rps, double depth,
                              uint64_t now_us);

/* Takes `rows` tokens if they are there. */
bool glet_sched_bucket_take(struct glet_sched_bucket *bucket, int rows, uint64_t now_us);

/* Gives back what a request took that was not accepted after all. */
void glet_sched_bucket_return(struct glet_sched_bucket *bucket, int rows);

/* Seconds from the last take until `rows` tokens will be there. */
double glet_sched_bucket_wait_s(const struct glet_sched_bucket *bucket, int rows);

#endif
