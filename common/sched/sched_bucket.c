/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sched/sched_bucket.h"

#include <math.h>

double glet_sched_bucket_depth(double rate_rps, uint64_t slo_us, int batch)
{
    double mean = rate_rps * (double)slo_us * 1e-6;
    return mean + 3 * sqrt(mean) + batch;
}

void glet_sched_bucket_init(struct glet_sched_bucket *bucket, double rate_rps, double depth,
                            uint64_t now_us)
{
    *bucket = (struct glet_sched_bucket){rate_rps, depth, depth, now_us};
}

static void refill(struct glet_sched_bucket *bucket, uint64_t now_us)
{
    /* Arrival times are taken before a lock, so they may come slightly out of order. */
    if (now_us <= bucket->last_us)
        return;
    double tokens = bucket->tokens + bucket->rate_rps * (double)(now_us - bucket->last_us) * 1e-6;
    bucket->tokens = fmin(tokens, bucket->depth);
    bucket->last_us = now_us;
}

void glet_sched_bucket_change(struct glet_sched_bucket *bucket, double rate_rps, double depth,
                              uint64_t now_us)
{
    refill(bucket, now_us);
    double full_ratio = bucket->depth > 0 ? bucket->tokens / bucket->depth : 1;
    *bucket = (struct glet_sched_bucket){rate_rps, depth, full_ratio * depth, now_us};
}

bool glet_sched_bucket_take(struct glet_sched_bucket *bucket, int rows, uint64_t now_us)
{
    refill(bucket, now_us);
    if (bucket->tokens < rows)
        return false;
    bucket->tokens -= rows;
    return true;
}

void glet_sched_bucket_return(struct glet_sched_bucket *bucket, int rows)
{
    bucket->tokens = fmin(bucket->tokens + rows, bucket->depth);
}

double glet_sched_bucket_wait_s(const struct glet_sched_bucket *bucket, int rows)
{
    double missing = fmin(rows, bucket->depth) - bucket->tokens;
    if (missing <= 0)
        return 0;
    return bucket->rate_rps > 0 ? missing / bucket->rate_rps : 60;
}
