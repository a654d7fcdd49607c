/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_TESTS_FIXTURE_H
#define GLET_TESTS_FIXTURE_H

/*
 * Workloads and profiles built by hand, for tests of the planner. Every call aborts when memory
 * has run out; indices are those of the calls' order.
 */

#include "common/profile/profile.h"
#include "common/workload.h"
#include "planner/model/problem.h"

struct fixture {
    struct glet_workload *workload; /* owned; loaded by hand, freed by fixture_free() */
    struct glet_profile *profile;
};

struct fixture fixture_new(void);
void fixture_free(struct fixture *fixture);

/* A device of the profile, in alphabetical order as a loader sorts them; returns its index.
 * Default: any sizes, no context memory. */
int fixture_device(struct fixture *f, const char *gpu, enum glet_mechanism mechanism, int units,
                   int max_gpulets, double memory_mib);

/* Adds an allowed layout; sizes end with 0: fixture_layout(f, 0, (int[]){4, 3, 0}). */
void fixture_layout(struct fixture *f, int device, const int *sizes_units);

/* A model of both the profile and the workload; returns its index. slo_ms 0: apps only. */
int fixture_model(struct fixture *f, const char *name, double rate_rps, double slo_ms);

/* One profile row; utilisations unknown, no activations. Returns its index. */
int fixture_row(struct fixture *f, int device, int model, int batch, int units, double ms);

/* Rows for batches 1..last_batch at a size: base_ms + batch * slope_ms. */
void fixture_curve(struct fixture *f, int device, int model, int last_batch, int units,
                   double base_ms, double slope_ms);

/* Sets l2 and dram of all rows of the model on the device. */
void fixture_util(struct fixture *f, int device, int model, double l2, double dram);

/* constant, l2_self, l2_other, dram_self, dram_other, margin. */
void fixture_interference(struct fixture *f, int device, double constant, double l2_self,
                          double l2_other, double dram_self, double dram_other, double margin);

void fixture_corun(struct fixture *f, int device, const int a[3], const int b[3], double slowdown_a,
                   double slowdown_b); /* a, b: model, batch, units */

/* A `gpus` entry; node may be NULL. */
void fixture_stock(struct fixture *f, const char *gpu, int count, double cost, const char *node);

/* An app; returns its index. Stages: fixture_stage() in order; after = stage or -1. */
int fixture_app(struct fixture *f, const char *name, double rate_rps, double slo_ms);
void fixture_stage(struct fixture *f, int app, int model, int after, double calls);

/* Sorts the rows as a loader would, and builds the problem; aborts on failure. */
struct glet_problem *fixture_problem(struct fixture *f, enum glet_objective objective);

/* Sorts the rows: call after the last row when no problem is built. */
void fixture_done(struct fixture *f);

#endif
