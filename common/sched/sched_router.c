/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sched/sched_router.h"

int glet_sched_route(struct glet_sched_way *ways, size_t count, int rows)
{
    double total = 0;
    size_t usable_count = 0;
    for (size_t i = 0; i < count; i++)
        if (glet_sched_way_usable(&ways[i], rows)) {
            total += ways[i].rate_rps;
            usable_count++;
        }
    int best = -1;
    for (size_t i = 0; i < count; i++) {
        if (!glet_sched_way_usable(&ways[i], rows) || (total > 0 && ways[i].rate_rps <= 0))
            continue;
        double share = total > 0 ? ways[i].rate_rps / total : 1.0 / (double)usable_count;
        ways[i].owed += share * rows;
        if (best < 0 || ways[i].owed > ways[best].owed)
            best = (int)i;
    }
    if (best >= 0)
        ways[best].owed -= rows;
    return best;
}
