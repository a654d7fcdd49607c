/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SCHED_DOOR_H
#define GLET_SCHED_DOOR_H

/*
 * A model's door: where each of its requests is admitted to one of its gpu-lets, or refused. Joins
 * the token bucket (is it within the planned rate?), the router (which gpu-let?) and the gpu-lets'
 * own admission rule (can it be in time?).
 *
 * Pure, except for what the caller's functions do (in the runtime: lock a gpu-let). Not shared
 * between threads.
 */

#include "common/sched/sched_bucket.h"
#include "common/sched/sched_let.h"
#include "common/sched/sched_router.h"

struct glet_sched_door {
    struct glet_sched_bucket bucket;
    struct glet_sched_way *ways; /* the caller's */
    size_t way_count;
    bool by_completion; /* to the way expected to finish first, instead of by planned rate */
    void *user;
    /* glet_sched_let_offer() / glet_sched_let_predict() on the gpu-let behind a way */
    enum glet_sched_verdict (*offer)(void *user, size_t way, const struct glet_sched_item *item,
                                     enum glet_sched_class kind, uint64_t now_us,
                                     uint64_t *completion_us_out);
    uint64_t (*predict)(void *user, size_t way, const struct glet_sched_item *item,
                        enum glet_sched_class kind, uint64_t now_us); /* by_completion only */
};

enum glet_sched_admission {
    GLET_SCHED_ADMITTED,
    GLET_SCHED_OVER_RATE,  /* the model exceeds its plan, and nothing is left over */
    GLET_SCHED_OVERLOADED, /* within its plan, but no gpu-let here can be in time */
    GLET_SCHED_NO_WAY,     /* no gpu-let of the model is there (or takes so many rows) */
};

/* On a refusal *retry_after_s_out says when another try is worth it. */
enum glet_sched_admission glet_sched_door_admit(struct glet_sched_door *door, uint64_t now_us,
                                                const struct glet_sched_item *item,
                                                double *retry_after_s_out);

#endif
