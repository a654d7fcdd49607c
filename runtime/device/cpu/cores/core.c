/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mutex per core and one condition per seat. Whoever changes something (asks, gives back, or
 * finds that its turn has come) lets the arbiter decide and wakes exactly the seat that got the
 * core: it owns the core from the decision on, so that nobody can slip in between.
 *
 * A waiting seat sleeps until its own turn comes by the clock, or for ever when it is already due:
 * a due seat that did not get the core waits for a holder, and the holder decides when it leaves.
 * So there is always somebody awake or a timer running while anybody waits.
 */
#include "runtime/device/cpu/cores/core.h"

#include "common/clock.h"
#include "common/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct glet_cpu_core {
    pthread_mutex_t mutex;
    struct glet_arbiter arbiter; /* under mutex */
    int cpu;
};

struct glet_cpu_seat {
    struct glet_arbiter_member member; /* first: a member of ours is its seat; under core->mutex */
    struct glet_cpu_core *core;
    pthread_cond_t turn;
};

int glet_cpu_core_new(int cpu, struct glet_cpu_core **out, struct glet_error *err)
{
    struct glet_cpu_core *core = glet_alloc(1, sizeof *core, err);
    if (!core)
        return -1;
    core->cpu = cpu;
    pthread_mutex_init(&core->mutex, NULL);
    *out = core;
    return 0;
}

void glet_cpu_core_free(struct glet_cpu_core *core)
{
    if (!core)
        return;
    pthread_mutex_destroy(&core->mutex);
    free(core);
}

int glet_cpu_core_number(const struct glet_cpu_core *core)
{
    return core->cpu;
}

int glet_cpu_seat_new(struct glet_cpu_core *core, int tenths, struct glet_cpu_seat **out,
                      struct glet_error *err)
{
    struct glet_cpu_seat *seat = glet_alloc(1, sizeof *seat, err);
    if (!seat)
        return -1;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&seat->turn, &attributes);
    pthread_condattr_destroy(&attributes);
    seat->core = core;
    pthread_mutex_lock(&core->mutex);
    glet_arbiter_join(&core->arbiter, &seat->member, tenths, glet_clock_ns());
    pthread_mutex_unlock(&core->mutex);
    *out = seat;
    return 0;
}

void glet_cpu_seat_free(struct glet_cpu_seat *seat)
{
    if (!seat)
        return;
    pthread_mutex_lock(&seat->core->mutex);
    glet_arbiter_part(&seat->core->arbiter, &seat->member);
    pthread_mutex_unlock(&seat->core->mutex);
    pthread_cond_destroy(&seat->turn);
    free(seat);
}

struct glet_cpu_core *glet_cpu_seat_core(const struct glet_cpu_seat *seat)
{
    return seat->core;
}

void glet_cpu_seat_expect_slice(struct glet_cpu_seat *seat, uint64_t slice_ns)
{
    pthread_mutex_lock(&seat->core->mutex);
    glet_arbiter_expect_slice(&seat->core->arbiter, &seat->member, slice_ns);
    pthread_mutex_unlock(&seat->core->mutex);
}

/* Under the mutex: gives a free core to whose turn it is, and wakes that seat unless it is `me`. */
static void decide(struct glet_cpu_core *core, struct glet_cpu_seat *me, uint64_t now_ns)
{
    uint64_t next_ns;
    struct glet_arbiter_member *chosen = glet_arbiter_grant(&core->arbiter, now_ns, &next_ns);
    struct glet_cpu_seat *seat = (struct glet_cpu_seat *)chosen;
    if (seat && seat != me)
        pthread_cond_signal(&seat->turn);
}

/* Under the mutex: asks, and waits until the core is this seat's. */
static void obtain(struct glet_cpu_seat *seat, uint64_t now_ns)
{
    struct glet_cpu_core *core = seat->core;
    glet_arbiter_request(&core->arbiter, &seat->member, now_ns);
    decide(core, seat, now_ns);
    while (core->arbiter.holder != &seat->member) {
        uint64_t turn_ns = seat->member.virtual_ns;
        if (turn_ns > now_ns) {
            struct timespec until = {(time_t)(turn_ns / 1000000000), (long)(turn_ns % 1000000000)};
            (void)pthread_cond_timedwait(&seat->turn, &core->mutex, &until);
        } else {
            pthread_cond_wait(&seat->turn, &core->mutex);
        }
        now_ns = glet_clock_ns();
        decide(core, seat, now_ns);
    }
}

void glet_cpu_seat_enter(struct glet_cpu_seat *seat)
{
    pthread_mutex_lock(&seat->core->mutex);
    obtain(seat, glet_clock_ns());
    pthread_mutex_unlock(&seat->core->mutex);
}

void glet_cpu_seat_leave(struct glet_cpu_seat *seat, uint64_t used_ns)
{
    struct glet_cpu_core *core = seat->core;
    pthread_mutex_lock(&core->mutex);
    uint64_t now_ns = glet_clock_ns();
    glet_arbiter_release(&core->arbiter, used_ns, now_ns);
    decide(core, NULL, now_ns);
    pthread_mutex_unlock(&core->mutex);
}

void glet_cpu_seat_renew(struct glet_cpu_seat *seat, uint64_t used_ns)
{
    pthread_mutex_lock(&seat->core->mutex);
    uint64_t now_ns = glet_clock_ns();
    glet_arbiter_release(&seat->core->arbiter, used_ns, now_ns);
    obtain(seat, now_ns);
    pthread_mutex_unlock(&seat->core->mutex);
}

uint64_t glet_cpu_seat_turn_ns(struct glet_cpu_seat *seat)
{
    pthread_mutex_lock(&seat->core->mutex);
    uint64_t turn_ns = seat->member.virtual_ns;
    pthread_mutex_unlock(&seat->core->mutex);
    return turn_ns;
}
