/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SCHED_ROUTER_H
#define GLET_SCHED_ROUTER_H

/*
 * Spreads one model's requests over its gpu-lets in proportion to their planned rates: smooth
 * weighted round robin, so that a gpu-let with a third of the rate gets every third request and
 * not a run of them. Deterministic. Pure; not shared between threads.
 */

#include <stdbool.h>
#include <stddef.h>

struct glet_sched_way { /* one gpu-let of a model */
    double rate_rps;    /* its weight, >= 0 */
    int batch;          /* largest request it can take, rows */
    bool closed;        /* it failed and is being rebuilt */
    double owed;        /* the router's; starts at 0 */
};

static inline bool glet_sched_way_usable(const struct glet_sched_way *way, int rows)
{
    return !way->closed && way->batch >= rows;
}

/*
 * The way whose turn it is among the usable ones, or -1 when there is none; charges it for `rows`.
 * Ways of rate 0 are taken only when no usable way has a rate.
 */
int glet_sched_route(struct glet_sched_way *ways, size_t count, int rows);

#endif
