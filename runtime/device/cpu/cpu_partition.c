/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions of the CPU device: who runs where, and what they got.
 *
 * Whole cores belong to their partition by affinity alone: nothing else of ours is placed on them,
 * and what is not ours is not ours to schedule. Tenths of cores are handed out slice by slice by
 * the arbiter of each core. A partition with tenths only runs on its worker's thread. One with
 * whole cores as well has a helper thread for its tenths, which takes part in larger batches
 * (cpu_executor.c).
 *
 * A partition with pieces of several cores takes the core where its turn comes first; the virtual
 * times then divide its work over the cores in proportion to the pieces. It runs on one of
 * them at a time, which is enough, because its tenths sum to less than a core.
 *
 * What whole cores gave is read from the scheduler: the time a thread was ready but did not run is
 * what somebody else took.
 */
#include "runtime/device/cpu/cpu_partition.h"

#include "common/clock.h"
#include "common/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Linux may end a sleep this much late; its default of 50 us would be 5 % of a slice. */
#define TIMER_SLACK_NS 1000ul

/*
 * Quanta in a slice of a partition with pieces of several cores. It waits for a neighbour's slice
 * before nearly every slice of its own, on one core after the other; with slices as short as
 * theirs, 4.8 of 6 units is all that it gets, with four times that 5.9 (benchmarks/device).
 */
enum { SPLIT_QUANTA = 4 };

static int pin_to(struct glet_cpu_seat *seat, struct glet_error *err)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((size_t)glet_cpu_core_number(glet_cpu_seat_core(seat)), &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) == 0)
        return 0;
    glet_error_errno(err, errno, "cannot move a thread to core %d",
                     glet_cpu_core_number(glet_cpu_seat_core(seat)));
    err->code = GLET_ERR_DEVICE;
    return -1;
}

int glet_cpu_fraction_pin(struct glet_cpu_fraction *fraction, struct glet_error *err)
{
    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    fraction->pinned = 0;
    return pin_to(fraction->seats[0], err);
}

/*
 * The seat at which to run next: the one whose turn comes first, since that is the one which is
 * owed most. A core is only left for another that is ahead by more than a quantum, because moving
 * costs some microseconds and warm caches.
 */
static int choose_seat(struct glet_cpu_fraction *fraction)
{
    int best = fraction->pinned;
    if (fraction->seat_count == 1)
        return best;
    uint64_t best_ns = glet_cpu_seat_turn_ns(fraction->seats[best]);
    for (int i = 0; i < fraction->seat_count; i++) {
        uint64_t turn_ns = glet_cpu_seat_turn_ns(fraction->seats[i]);
        if (turn_ns + GLET_ARBITER_QUANTUM_NS < best_ns) {
            best_ns = turn_ns;
            best = i;
        }
    }
    return best;
}

/* One slice: whole steps until the quantum is over. *i is the next step; returns as the step. */
static int run_slice(struct glet_cpu_net *net, size_t *i, size_t count, int used,
                     uint64_t quantum_ns, uint64_t *used_ns, struct glet_error *err)
{
    uint64_t start_ns = glet_clock_ns(), cpu_ns = glet_clock_thread_cpu_ns();
    int rc;
    do
        rc = glet_cpu_net_step(net, (*i)++, used, err);
    while (rc == 0 && *i < count && glet_clock_ns() - start_ns < quantum_ns);
    *used_ns = glet_clock_thread_cpu_ns() - cpu_ns;
    return rc;
}

static void meter(struct glet_cpu_fraction *fraction, uint64_t used_ns)
{
    pthread_mutex_lock(&fraction->mutex);
    glet_cpu_meter_got(&fraction->meter, used_ns, glet_clock_ns());
    if (used_ns > fraction->longest_slice_ns)
        fraction->longest_slice_ns = used_ns;
    pthread_mutex_unlock(&fraction->mutex);
}

/* Takes the seat to run at next, moving the thread there. */
static int take_seat(struct glet_cpu_fraction *fraction, struct glet_error *err)
{
    int chosen = choose_seat(fraction);
    if (chosen != fraction->pinned) {
        if (pin_to(fraction->seats[chosen], err) < 0)
            return -1;
        fraction->pinned = chosen;
    }
    glet_cpu_seat_enter(fraction->seats[chosen]);
    return 0;
}

int glet_cpu_fraction_run(struct glet_cpu_fraction *fraction, struct glet_cpu_net *net, int used,
                          struct glet_error *err)
{
    size_t i = 0, count = glet_cpu_net_step_count(net, used);
    uint64_t quantum_ns = GLET_ARBITER_QUANTUM_NS;
    if (fraction->seat_count > 1)
        quantum_ns *= SPLIT_QUANTA;
    pthread_mutex_lock(&fraction->mutex);
    glet_cpu_meter_want(&fraction->meter, glet_clock_ns());
    pthread_mutex_unlock(&fraction->mutex);
    if (take_seat(fraction, err) < 0)
        return -1;
    for (;;) {
        struct glet_cpu_seat *seat = fraction->seats[fraction->pinned];
        uint64_t used_ns;
        int rc = run_slice(net, &i, count, used, quantum_ns, &used_ns, err);
        meter(fraction, used_ns);
        if (rc < 0 || i == count) {
            glet_cpu_seat_leave(seat, used_ns);
            return rc;
        }
        if (fraction->seat_count == 1) {
            glet_cpu_seat_renew(seat, used_ns);
            continue;
        }
        glet_cpu_seat_leave(seat, used_ns);
        if (take_seat(fraction, err) < 0)
            return -1;
    }
}

static int open_partition(struct glet_cpu_partition *partition, struct glet_error *err)
{
    struct glet_cpu_fraction *fraction = &partition->fraction;
    const struct glet_cpu_share *share = &partition->share;
    fraction->pinned = -1;
    pthread_mutex_init(&fraction->mutex, NULL);
    for (int i = 0; i < share->piece_count; i++) {
        struct glet_cpu_core *core = partition->device->cores[share->pieces[i].core];
        if (glet_cpu_seat_new(core, share->pieces[i].tenths, &fraction->seats[i], err) < 0)
            return -1;
        fraction->seat_count++;
        fraction->meter.tenths += share->pieces[i].tenths;
    }
    if (share->core_count > 0 && share->piece_count > 0)
        return glet_cpu_helper_new("gpulet-helper", &partition->helper, err);
    return 0;
}

static void close_partition(struct glet_cpu_partition *partition)
{
    glet_cpu_helper_free(partition->helper);
    for (int i = 0; i < partition->fraction.seat_count; i++)
        glet_cpu_seat_free(partition->fraction.seats[i]);
    pthread_mutex_destroy(&partition->fraction.mutex);
}

void glet_cpu_partitions_free(struct glet_partition_set *base)
{
    struct glet_cpu_partition_set *set = (struct glet_cpu_partition_set *)base;
    for (size_t i = 0; i < set->base.count; i++)
        close_partition(&set->partitions[i]);
    atomic_fetch_sub(&set->device->live_sets, 1);
    free(set->partitions);
    free(set);
}

int glet_cpu_partitions_create(struct glet_device *base, const int *units, size_t count,
                               struct glet_partition_set **out, struct glet_error *err)
{
    struct glet_cpu_device *device = (struct glet_cpu_device *)base;
    GLET_CLEANUP(glet_cleanup_free)
    struct glet_cpu_share *shares = glet_alloc(count, sizeof *shares, err);
    if (!shares || glet_cpu_shares_cut(device->core_count, units, count, shares, err) < 0)
        return -1;
    struct glet_cpu_partition_set *set = glet_alloc(1, sizeof *set, err);
    if (!set)
        return -1;
    set->partitions = glet_alloc(count, sizeof *set->partitions, err);
    if (!set->partitions) {
        free(set);
        return -1;
    }
    set->base.ops = base->ops;
    set->device = device;
    atomic_fetch_add(&device->live_sets, 1);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct glet_cpu_partition *partition = &set->partitions[set->base.count++];
        partition->base = (struct glet_partition){base->ops, units[i]};
        partition->device = device;
        partition->share = shares[i];
        rc = open_partition(partition, err);
    }
    if (rc < 0) {
        glet_cpu_partitions_free(&set->base);
        return -1;
    }
    *out = &set->base;
    return 0;
}

struct glet_partition *glet_cpu_partition_at(struct glet_partition_set *set, size_t index)
{
    return &((struct glet_cpu_partition_set *)set)->partitions[index].base;
}

/* Time a thread ran, and was ready but did not run. False where the kernel does not say. */
static bool read_schedule(int thread, uint64_t *run_ns, uint64_t *delay_ns)
{
    char path[64];
    unsigned long long run, delay;
    snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", thread);
    FILE *in = fopen(path, "re");
    if (!in)
        return false;
    bool read = fscanf(in, "%llu %llu", &run, &delay) == 2;
    fclose(in);
    if (read) {
        *run_ns = run;
        *delay_ns = delay;
    }
    return read;
}

static int pin_fraction_job(void *argument, struct glet_error *err)
{
    return glet_cpu_fraction_pin(argument, err);
}

/* What the scheduler counts for the worker is taken from here on. */
static void begin_schedule(struct glet_cpu_partition *partition, int thread)
{
    uint64_t run_ns, delay_ns;
    if (!read_schedule(thread, &run_ns, &delay_ns))
        run_ns = delay_ns = 0;
    atomic_store_explicit(&partition->base_run_ns, run_ns, memory_order_relaxed);
    atomic_store_explicit(&partition->base_delay_ns, delay_ns, memory_order_relaxed);
}

int glet_cpu_partition_enter(struct glet_partition *base, struct glet_error *err)
{
    struct glet_cpu_partition *partition = (struct glet_cpu_partition *)base;
    const struct glet_cpu_share *share = &partition->share;
    int thread = (int)gettid(), nobody = 0;
    if (!atomic_compare_exchange_strong(&partition->worker, &nobody, thread))
        return glet_error_set(err, GLET_ERR_INTERNAL, "the partition has a worker already");
    CPU_ZERO(&partition->old_affinity);
    (void)sched_getaffinity(0, sizeof partition->old_affinity, &partition->old_affinity);
    int rc;
    if (share->core_count == 0) {
        rc = glet_cpu_fraction_pin(&partition->fraction, err);
    } else {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        for (int i = 0; i < share->core_count; i++)
            CPU_SET((size_t)glet_cpu_core_number(partition->device->cores[share->first_core + i]),
                    &cores);
        rc = sched_setaffinity(0, sizeof cores, &cores);
        if (rc < 0) {
            glet_error_errno(err, errno, "cannot move a thread to its cores");
            err->code = GLET_ERR_DEVICE;
        }
    }
    if (rc == 0 && partition->helper) {
        glet_cpu_helper_post(partition->helper, pin_fraction_job, &partition->fraction);
        rc = glet_cpu_helper_wait(partition->helper, err);
    }
    if (rc < 0)
        glet_cpu_partition_leave(base);
    else
        begin_schedule(partition, thread);
    return rc;
}

void glet_cpu_partition_leave(struct glet_partition *base)
{
    struct glet_cpu_partition *partition = (struct glet_cpu_partition *)base;
    if (CPU_COUNT(&partition->old_affinity) > 0)
        (void)sched_setaffinity(0, sizeof partition->old_affinity, &partition->old_affinity);
    atomic_store(&partition->worker, 0);
}

static double whole_cores_ratio(const struct glet_cpu_partition *partition)
{
    uint64_t run_ns, delay_ns;
    int worker = atomic_load(&partition->worker);
    if (worker == 0 || !read_schedule(worker, &run_ns, &delay_ns))
        return 1;
    uint64_t base_run_ns = atomic_load_explicit(&partition->base_run_ns, memory_order_relaxed);
    uint64_t base_delay_ns = atomic_load_explicit(&partition->base_delay_ns, memory_order_relaxed);
    if (run_ns < base_run_ns || delay_ns < base_delay_ns) /* those of another worker still */
        return 1;
    run_ns -= base_run_ns;
    delay_ns -= base_delay_ns;
    return run_ns + delay_ns ? (double)run_ns / (double)(run_ns + delay_ns) : 1;
}

void glet_cpu_partition_achieved(const struct glet_partition *base,
                                 struct glet_partition_use *use_out)
{
    /* Only the mutexes inside are changed. */
    struct glet_cpu_partition *partition = (struct glet_cpu_partition *)(uintptr_t)base;
    double cores = (double)base->units / GLET_CPU_UNITS_PER_CORE;
    double busy_ns = (double)atomic_load_explicit(&partition->whole_busy_ns, memory_order_relaxed);
    double units = 0;
    uint64_t longest_ns = 0;
    if (partition->share.core_count > 0)
        units =
            whole_cores_ratio(partition) * partition->share.core_count * GLET_CPU_UNITS_PER_CORE;
    if (partition->fraction.seat_count > 0) {
        pthread_mutex_lock(&partition->fraction.mutex);
        busy_ns += (double)partition->fraction.meter.used_ns;
        units += glet_cpu_meter_achieved_tenths(&partition->fraction.meter);
        longest_ns = partition->fraction.longest_slice_ns;
        pthread_mutex_unlock(&partition->fraction.mutex);
    }
    *use_out = (struct glet_partition_use){.busy_ms = busy_ns / 1e6 / cores,
                                           .achieved_units = units,
                                           .longest_slice_ms = (double)longest_ns / 1e6};
}

void glet_cpu_partition_count_anew(struct glet_partition *base)
{
    struct glet_cpu_partition *partition = (struct glet_cpu_partition *)base;
    struct glet_cpu_fraction *fraction = &partition->fraction;
    int worker = atomic_load(&partition->worker);
    if (worker != 0)
        begin_schedule(partition, worker);
    atomic_store_explicit(&partition->whole_busy_ns, 0, memory_order_relaxed);
    pthread_mutex_lock(&fraction->mutex);
    fraction->meter = (struct glet_cpu_meter){.tenths = fraction->meter.tenths};
    fraction->longest_slice_ns = 0;
    pthread_mutex_unlock(&fraction->mutex);
}
