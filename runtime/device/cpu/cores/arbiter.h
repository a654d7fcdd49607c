/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_ARBITER_H
#define GLET_CPU_ARBITER_H

/*
 * Who may use a shared core next, decided from numbers alone: no clock, no thread, no lock. The
 * threads around it are in core.h.
 *
 * Members hold the core for one *slice* at a time, which cannot be interrupted. Each has a virtual
 * time: the moment at which what it has used so far would be exactly its share. A member may run
 * when its virtual time has come, and of several the one with the earliest goes first; a slice of
 * u nanoseconds moves its virtual time on by u / share. So a member that always wants the core gets
 * its share of it and no more, whatever the others do.
 *
 * Who waited behind somebody's long slice must catch up afterwards: a virtual time may lag behind
 * the clock. Being idle shortens a lag down to the *burst*, or earns one up to it. Too small a
 * burst starves those with short slices (0.3 becomes 0.17 beside slices of 60 ms); twice the
 * longest slice of the core is enough. The lag is cut when a member asks for the core, never while
 * it waits: cutting it then makes two waiters defer to each other for ever.
 *
 * When the core gives less than its shares promise (other programs run on it, or two sets of
 * partitions), everybody lags more and more. When even the one who lags least is eight bursts
 * behind, all virtual times are moved together, which keeps their order, so that everybody gets his
 * part of what there is.
 *
 * Times are nanoseconds of any clock that does not step.
 */

#include <stdbool.h>
#include <stdint.h>

struct glet_arbiter_member {
    int tenths; /* share of the core, 1 .. 10 */
    bool wants;
    uint64_t virtual_ns;
    uint64_t released_ns, lag_ns; /* when its last slice ended, and its lag then */
    uint64_t longest_slice_ns;    /* as announced or as seen */
    struct glet_arbiter_member *next;
};

struct glet_arbiter {
    struct glet_arbiter_member *members; /* linked; owned by the caller */
    struct glet_arbiter_member *holder;  /* NULL = the core is free */
    uint64_t burst_ns;
};

/* The longest stretch that a member runs without asking again, when its steps are shorter. */
enum { GLET_ARBITER_QUANTUM_NS = 1000000 };

/* A member joins with no credit and no debt / leaves; it must not want or hold the core. */
void glet_arbiter_join(struct glet_arbiter *arbiter, struct glet_arbiter_member *member, int tenths,
                       uint64_t now_ns);
void glet_arbiter_part(struct glet_arbiter *arbiter, struct glet_arbiter_member *member);

/* The member has slices of up to slice_ns: the burst grows with the longest of all members. */
void glet_arbiter_expect_slice(struct glet_arbiter *arbiter, struct glet_arbiter_member *member,
                               uint64_t slice_ns);

/* The member wants the core from now on. */
void glet_arbiter_request(struct glet_arbiter *arbiter, struct glet_arbiter_member *member,
                          uint64_t now_ns);

/*
 * If the core is free, gives it to the member whose turn it is and returns that member, which no
 * longer wants it; else NULL, and *next_ns is when somebody's turn comes (UINT64_MAX: when the
 * holder ends, or somebody asks).
 */
struct glet_arbiter_member *glet_arbiter_grant(struct glet_arbiter *arbiter, uint64_t now_ns,
                                               uint64_t *next_ns);

/* The holder is done with a slice that used used_ns of the core's time. */
void glet_arbiter_release(struct glet_arbiter *arbiter, uint64_t used_ns, uint64_t now_ns);

#endif
