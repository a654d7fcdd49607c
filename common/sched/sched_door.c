/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A planned request whose gpu-let cannot be in time is offered to the model's others, as excess:
 * the plan promised their time to somebody else, so it gets what is left over there. Excess goes
 * the same way. So the gpu-lets of a model help each other out, and no overload travels with the
 * help.
 */
#include "common/sched/sched_door.h"

struct attempt {
    struct glet_sched_door *door;
    const struct glet_sched_item *item;
    uint64_t now_us, soonest_us;
};

static bool offered(struct attempt *attempt, size_t way, enum glet_sched_class kind)
{
    struct glet_sched_door *door = attempt->door;
    uint64_t completion_us = UINT64_MAX;
    if (door->offer(door->user, way, attempt->item, kind, attempt->now_us, &completion_us) ==
        GLET_SCHED_ACCEPTED)
        return true;
    if (completion_us < attempt->soonest_us)
        attempt->soonest_us = completion_us;
    return false;
}

static int soonest_way(struct glet_sched_door *door, const struct glet_sched_item *item,
                       enum glet_sched_class kind, uint64_t now_us)
{
    int best = -1;
    uint64_t best_us = UINT64_MAX;
    for (size_t way = 0; way < door->way_count; way++) {
        if (!glet_sched_way_usable(&door->ways[way], item->rows))
            continue;
        uint64_t end_us = door->predict(door->user, way, item, kind, now_us);
        if (best < 0 || end_us < best_us) {
            best = (int)way;
            best_us = end_us;
        }
    }
    return best;
}

enum glet_sched_admission glet_sched_door_admit(struct glet_sched_door *door, uint64_t now_us,
                                                const struct glet_sched_item *item,
                                                double *retry_after_s_out)
{
    bool planned = glet_sched_bucket_take(&door->bucket, item->rows, now_us);
    enum glet_sched_class kind = planned ? GLET_SCHED_PLANNED : GLET_SCHED_EXCESS;
    int first = door->by_completion ? soonest_way(door, item, kind, now_us)
                                    : glet_sched_route(door->ways, door->way_count, item->rows);
    struct attempt attempt = {door, item, now_us, UINT64_MAX};
    if (first >= 0) {
        if (offered(&attempt, (size_t)first, kind))
            return GLET_SCHED_ADMITTED;
        for (size_t way = 0; way < door->way_count; way++)
            if (way != (size_t)first && glet_sched_way_usable(&door->ways[way], item->rows) &&
                offered(&attempt, way, GLET_SCHED_EXCESS))
                return GLET_SCHED_ADMITTED;
    }
    if (planned)
        glet_sched_bucket_return(&door->bucket, item->rows);
    *retry_after_s_out = 1;
    if (first < 0)
        return GLET_SCHED_NO_WAY;
    if (!planned) {
        *retry_after_s_out = glet_sched_bucket_wait_s(&door->bucket, item->rows);
        return GLET_SCHED_OVER_RATE;
    }
    if (attempt.soonest_us != UINT64_MAX && attempt.soonest_us > item->deadline_us)
        *retry_after_s_out = (double)(attempt.soonest_us - item->deadline_us) * 1e-6;
    return GLET_SCHED_OVERLOADED;
}
