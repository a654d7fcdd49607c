/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_CORE_H
#define GLET_CPU_CORE_H

/*
 * A shared core: an arbiter (arbiter.h) with the threads that use it. Members may belong to
 * two sets of partitions at once, while a new plan takes over from an old one: their shares then
 * sum to more than the core, and each gets its part in proportion.
 *
 * All functions are safe from any thread; a seat is used by one thread at a time.
 */

#include "common/error.h"
#include "runtime/device/cpu/cores/arbiter.h"

struct glet_cpu_core;

/* cpu: the number that the operating system gives the core. */
GLET_MUST_CHECK
int glet_cpu_core_new(int cpu, struct glet_cpu_core **out, struct glet_error *err);
void glet_cpu_core_free(struct glet_cpu_core *core); /* NULL is accepted; no seats may be left */
int glet_cpu_core_number(const struct glet_cpu_core *core);

/* A place at a core: one per partition that owns a piece of it. */
struct glet_cpu_seat;
GLET_MUST_CHECK
int glet_cpu_seat_new(struct glet_cpu_core *core, int tenths, struct glet_cpu_seat **out,
                      struct glet_error *err);
void glet_cpu_seat_free(struct glet_cpu_seat *seat); /* NULL is accepted */
struct glet_cpu_core *glet_cpu_seat_core(const struct glet_cpu_seat *seat);

/* Slices of the seat last up to slice_ns. */
void glet_cpu_seat_expect_slice(struct glet_cpu_seat *seat, uint64_t slice_ns);

/* Waits until the core is this seat's / gives it back after using used_ns of its time. */
void glet_cpu_seat_enter(struct glet_cpu_seat *seat);
void glet_cpu_seat_leave(struct glet_cpu_seat *seat, uint64_t used_ns);

/* Leaves and enters again at once; keeps the core when it is still this seat's turn. */
void glet_cpu_seat_renew(struct glet_cpu_seat *seat, uint64_t used_ns);

/* When the seat's next turn comes at the earliest, if nobody else wants the core. */
uint64_t glet_cpu_seat_turn_ns(struct glet_cpu_seat *seat);

#endif
