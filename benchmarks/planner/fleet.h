/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_BENCHMARKS_FLEET_H
#define GLET_BENCHMARKS_FLEET_H

/*
 * Synthetic fleets: a workload and a profile of made-up models on one made-up GPU type of 16 units
 * with at most 8 gpu-lets. Nothing here was measured; the shape is what matters:
 *
 *   latency(b, s) = h + (d + c b) * p / min(s / 16, p) with a saturation share p = p1 sqrt(b) <= 1,
 *   c log-uniform in 0.05 .. 8 ms, d in (0.5 .. 4) c, h in 0.2 .. 1.5 ms, p1 log-uniform 0.08 ..
 * 0.7; SLO log-uniform 10 .. 500 ms, at least 2.3 times the latency of batch 1 on the whole GPU;
 *   rates by Zipf with exponent 0.9 in random order, scaled so that the ideal, fully divisible load
 *   is `target` GPUs;
 *   with three types, GPUs 1.6 times as fast at 1.9 times the cost and 1.5 times as slow at 0.8 of
 *   it join the ordinary one; the stock of fast and ordinary ones is limited to 0.2 and 0.35 target
 *   (or a little more than the models need whose SLO a slow one cannot meet);
 *   apps: the models in order, so many to an app, form trees: every stage is followed by up to `fan`
 *   others, and with `join` the last one waits for all ends. The app's SLO is slo_ratio times the sum
 *   of its models' SLOs along the longest path, at least 1.1 times the fastest they can be; its
 *   first model's rate is its own, the others are called as often as their rates ask for;
 *   coarse: only 3, 6, 8, 10, 13 and 16 of the 16 units, about the six shares of the paper;
 *   utilisations rise with the batch and are proportional to the size; interference with the five
 *   coefficients published for the RTX 2080 Ti.
 */

#include "common/profile/profile.h"
#include "common/workload.h"

#include <stdint.h>

struct glet_fleet_apps {
    int stages; /* 2 or more; 0 = no apps */
    int fan;    /* 1 = chains */
    bool join;
    double slo_ratio;
};

struct glet_fleet_options {
    int models;    /* 1 .. 5000 */
    double target; /* GPUs of ideal load */
    uint64_t seed;
    double memory_gib; /* per GPU; models need 2 .. 40 GiB per gpu-let; 0 = memory never binds */
    bool shared;       /* gpu-lets of one GPU share a model's weights */
    int types;         /* of GPUs: 1, or 3 with costs and two limited stocks */
    double zipf;       /* exponent; 0.9 in the tables */
    bool interference;
    bool coarse; /* six sizes of gpu-lets instead of 16 */
    struct glet_fleet_apps apps;
};

struct glet_fleet {
    struct glet_workload *workload;
    struct glet_profile *profile;
};

void glet_fleet_make(const struct glet_fleet_options *options, struct glet_fleet *out);
void glet_fleet_free(struct glet_fleet *fleet);

#endif
