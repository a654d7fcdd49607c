/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual-time arbiter of one core. Differs from plain weighted fair queueing in that it never
 * gives a member more than its share, not even an idle core: a gpu-let must be as fast beside busy
 * neighbours as it was when it was profiled alone, and a GPU's SM partition cannot borrow either.
 *
 * A core has at most ten members per set of partitions, so that lists are walked.
 */
#include "runtime/device/cpu/cores/arbiter.h"

#include <assert.h>
#include <stddef.h>

/* Far above what long slices alone cause, and still caught up within a second. */
enum { MAX_COMMON_LAG_BURSTS = 8, MAX_OWN_LAG_BURSTS = 16 };

void glet_arbiter_join(struct glet_arbiter *arbiter, struct glet_arbiter_member *member, int tenths,
                       uint64_t now_ns)
{
    *member = (struct glet_arbiter_member){
        .tenths = tenths, .virtual_ns = now_ns, .next = arbiter->members};
    arbiter->members = member;
    glet_arbiter_expect_slice(arbiter, member, GLET_ARBITER_QUANTUM_NS);
}

void glet_arbiter_part(struct glet_arbiter *arbiter, struct glet_arbiter_member *member)
{
    assert(!member->wants && arbiter->holder != member);
    struct glet_arbiter_member **link = &arbiter->members;
    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    arbiter->burst_ns = 0;
    for (member = arbiter->members; member; member = member->next)
        glet_arbiter_expect_slice(arbiter, member, member->longest_slice_ns);
}

void glet_arbiter_expect_slice(struct glet_arbiter *arbiter, struct glet_arbiter_member *member,
                               uint64_t slice_ns)
{
    if (member->longest_slice_ns < slice_ns)
        member->longest_slice_ns = slice_ns;
    if (arbiter->burst_ns < 2 * slice_ns)
        arbiter->burst_ns = 2 * slice_ns;
}

void glet_arbiter_request(struct glet_arbiter *arbiter, struct glet_arbiter_member *member,
                          uint64_t now_ns)
{
    assert(!member->wants && arbiter->holder != member);
    /* On a busy core a thread that ran is often pushed aside before it can ask again: pauses of up
       to a burst do not count as idle. */
    uint64_t burst_ns = arbiter->burst_ns, most_ns = burst_ns;
    uint64_t pause_ns = now_ns - member->released_ns;
    uint64_t idle_ns = pause_ns > burst_ns ? pause_ns - burst_ns : 0;
    if (member->lag_ns > idle_ns && member->lag_ns - idle_ns > most_ns)
        most_ns = member->lag_ns - idle_ns;
    if (most_ns > MAX_OWN_LAG_BURSTS * burst_ns)
        most_ns = MAX_OWN_LAG_BURSTS * burst_ns;
    uint64_t floor_ns = now_ns > most_ns ? now_ns - most_ns : 0;
    if (member->virtual_ns < floor_ns)
        member->virtual_ns = floor_ns;
    member->wants = true;
}

struct glet_arbiter_member *glet_arbiter_grant(struct glet_arbiter *arbiter, uint64_t now_ns,
                                               uint64_t *next_ns)
{
    *next_ns = UINT64_MAX;
    if (arbiter->holder)
        return NULL;
    struct glet_arbiter_member *first = NULL, *last = NULL;
    for (struct glet_arbiter_member *m = arbiter->members; m; m = m->next) {
        if (m->wants && (!first || m->virtual_ns < first->virtual_ns))
            first = m;
        if (m->wants && (!last || m->virtual_ns > last->virtual_ns))
            last = m;
    }
    if (!first)
        return NULL;
    if (first->virtual_ns > now_ns) {
        *next_ns = first->virtual_ns;
        return NULL;
    }
    if (last->virtual_ns + MAX_COMMON_LAG_BURSTS * arbiter->burst_ns < now_ns) {
        uint64_t excess_ns = now_ns - MAX_COMMON_LAG_BURSTS * arbiter->burst_ns - last->virtual_ns;
        for (struct glet_arbiter_member *m = arbiter->members; m; m = m->next)
            m->virtual_ns += excess_ns;
    }
    first->wants = false;
    arbiter->holder = first;
    return first;
}

void glet_arbiter_release(struct glet_arbiter *arbiter, uint64_t used_ns, uint64_t now_ns)
{
    struct glet_arbiter_member *member = arbiter->holder;
    assert(member);
    arbiter->holder = NULL;
    member->virtual_ns += used_ns * 10 / (uint64_t)member->tenths;
    member->released_ns = now_ns;
    member->lag_ns = now_ns > member->virtual_ns ? now_ns - member->virtual_ns : 0;
    glet_arbiter_expect_slice(arbiter, member, used_ns);
}
