/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_HELPER_H
#define GLET_CPU_HELPER_H

/*
 * A thread that does one job at a time for another one: the second hand of a partition that owns
 * whole cores and a piece of a shared one. Posting a job allocates nothing.
 */

#include "common/error.h"

struct glet_cpu_helper;

/* Runs on the helper; returns 0 or -1 with err, which glet_cpu_helper_wait() hands on. */
typedef int (*glet_cpu_job)(void *argument, struct glet_error *err);

GLET_MUST_CHECK
int glet_cpu_helper_new(const char *name, struct glet_cpu_helper **out, struct glet_error *err);
void glet_cpu_helper_free(struct glet_cpu_helper *helper); /* NULL is accepted; must be idle */

/* Starts a job; the one before must have been waited for. Returns at once. */
void glet_cpu_helper_post(struct glet_cpu_helper *helper, glet_cpu_job job, void *argument);

/* Waits for the job's end and returns what it returned. */
GLET_MUST_CHECK
int glet_cpu_helper_wait(struct glet_cpu_helper *helper, struct glet_error *err);

#endif
