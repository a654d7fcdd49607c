/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_TEAM_H
#define GLET_CPU_TEAM_H

/*
 * Threads for parallel steps. Each thread that runs nets has a team of its own: itself and helpers,
 * made on demand and ended with the thread. Parallel work outside a team, or inside parallel work,
 * runs on the calling thread alone.
 *
 * This file also provides the OpenMP entry points that oneDNN calls, see team.c.
 */

#include "common/error.h"

enum { GLET_CPU_MAX_THREADS = 256 };

/*
 * Makes the calling thread's parallel work use `threads` threads (1 ... GLET_CPU_MAX_THREADS), itself included, from now
 * on. Missing helpers are started. The first call with threads > 1 gives the caller and each helper
 * a core of its own among those the caller may use, where there are enough. GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK int glet_cpu_team_use(int threads, struct glet_error *err);

/* Threads that parallel work started here would use; 1 inside parallel work. */
int glet_cpu_team_size(void);

/*
 * Calls body(part, parts, data) on parts <= glet_cpu_team_size() threads, part = 0 on the caller;
 * returns when all have returned, with their writes visible.
 */
void glet_cpu_team_run(void (*body)(int part, int parts, void *data), void *data);

/* Part `part` of `parts` of 0 ... count-1: [*begin, *end), sizes differ by at most one. */
void glet_cpu_split(long count, int part, int parts, long *begin, long *end);

#endif
