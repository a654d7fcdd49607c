/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_SCHED_SIM_H
#define GLET_TESTS_SCHED_SIM_H

/*
 * A discrete-event simulation of gpu-lets around the scheduling core, for its property tests:
 * doors, queues and batchers are the product's, only time and devices are made up. Aborts the test
 * when a batch starts too late for its own deadline, a request ends twice, or a gpu-let idles over
 * work.
 */

#include "common/sched/sched_door.h"

#include <stdint.h>

enum { SIM_MAX_MODELS = 8, SIM_MAX_LETS = 8 };

struct sim_model {
    double slo_ms;
    double offered_rps;
    int rows;            /* of each request; 0 = 1 */
    double short_ratio;  /* share of requests with half the SLO as deadline of their own */
    double urgent_ratio; /* share of requests with priority 1 */
    /* filled */
    double planned_rps; /* sum over the gpu-lets */
    uint64_t arrived, done_in_time, done_late, refused_rate, refused_load, dropped_late;
};

struct sim_share {
    int model;
    int batch;
    double rate_rps;
    double fixed_ms, per_row_ms; /* execution time of a batch of b rows: fixed + per_row x b */
};

struct sim_let {
    struct sim_share shares[SIM_MAX_MODELS];
    int share_count;
};

struct sim {
    struct sim_model models[SIM_MAX_MODELS];
    int model_count;
    struct sim_let lets[SIM_MAX_LETS];
    int let_count;
    bool full_batch_only; /* executors for the planned batch only */
    bool by_completion;
    double
        copy_ratio; /* of a batch's time, copies to and from the device; three quarters are to it */
    bool overlaps;  /* the device copies one batch while it computes another */
    double speed_low_ratio, speed_high_ratio; /* real time of a batch / planned time; 0, 0 = 1 */
    double seconds;
    uint64_t seed;
    /* filled */
    uint64_t batches, rows, batches_ahead;
    uint64_t
        too_late; /* arrivals after a batch was given out ahead, before the one in front ended */
    double busy_ratio[SIM_MAX_LETS];
};

void sim_run(struct sim *sim);

/* Share of the offered requests answered in time. */
double sim_attainment(const struct sim_model *model);
double sim_goodput_rps(const struct sim *sim, int model);

#endif
