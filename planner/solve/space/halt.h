/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_HALT_H
#define GLET_PLANNER_HALT_H

/*
 * Whether a search must end now: a flag that a signal handler sets, or a deadline. Without either
 * no clock is ever read, so that the default path depends on nothing but its input.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct glet_halt {
    const volatile sig_atomic_t *flag; /* NULL = none */
    int64_t deadline_us;               /* of glet_clock_us(); 0 = none */
};

/* halt may be NULL. */
bool glet_halted(const struct glet_halt *halt);

#endif
