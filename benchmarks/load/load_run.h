/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_RUN_H
#define GLET_LOAD_RUN_H

/*
 * Plays the schedules of several streams against the targets, in open loop: a request is sent when
 * its time has come, whatever became of those before it.
 */

#include "benchmarks/load/load_stream.h"

struct glet_load_options {
    uint64_t warmup_us;       /* requests of this first part are sent but not counted */
    uint64_t duration_us;     /* the measured window after it */
    uint64_t timeout_us;      /* per request */
    int nice;                 /* priority of this process, where the system permits it */
    const volatile int *stop; /* not 0: stop sending, wait for what is open; may be NULL */
    /* called about once a second, and once at the end; may be NULL */
    void (*progress)(void *user, double elapsed_s, size_t open_calls);
    void *user;
};

struct glet_load_result {
    double measured_s; /* length of the measured window; shorter when stopped */
    double cpu_s;      /* CPU time of this process from the first request to the last answer */
    size_t max_open_calls, max_connections;
};

/*
 * Streams of stages are played by their apps. Every request that was sent is in the counts when
 * this returns: what is not answered a second after the last time-out counts as timed out.
 */
GLET_MUST_CHECK
int glet_load_run(struct glet_client *client, struct glet_stream *streams, size_t stream_count,
                  const struct glet_load_options *options, struct glet_load_result *result,
                  struct glet_error *err);

/*
 * Asks each target whether it is ready, for up to wait_us, then for the metadata of every model,
 * and makes the requests; the region of a model that has one is registered with each of its targets.
 * A target that does not serve a model gets weight 0 for it. GLET_ERR_IO when a target is not there
 * or not ready in time, or refuses a region; GLET_ERR_INPUT when none serves a model;
 * GLET_ERR_UNDECIDED when *stop (may be NULL) is not 0 before all is done.
 */
GLET_MUST_CHECK
int glet_load_prepare(struct glet_client *client, size_t target_count,
                      struct glet_load_model *models, size_t model_count, uint64_t wait_us,
                      uint64_t seed, const volatile int *stop, struct glet_error *err);

/* Unregisters all regions, whatever was prepared; a server that does not answer is left alone. */
void glet_load_unregister(struct glet_client *client, size_t target_count,
                          struct glet_load_model *models, size_t model_count);

#endif
