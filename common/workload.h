/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_WORKLOAD_H
#define GLET_COMMON_WORKLOAD_H

/*
 * workload.yaml, schema gpulet-workload/1, as plain structs: which models and apps must be served,
 * at which rate and SLO, on which stock of GPUs.
 *
 * Reading validates everything that the file alone can tell: unknown keys, types, ranges, duplicate
 * names, unknown stages, cycles. Each struct keeps the mark of its place in the file, so that what
 * is found later (infeasible, no profile) can still point at a line.
 */

#include "common/error.h"

#include <stddef.h>

enum glet_arrival {
    GLET_ARRIVAL_POISSON, /* exponential gaps (default) */
    GLET_ARRIVAL_UNIFORM, /* equal gaps */
    GLET_ARRIVAL_TRACE,   /* times of a file */
};

struct glet_workload_model {
    char *name;
    double rate_rps;   /* mean arrivals per second, >= 0 */
    double slo_ms;     /* > 0; 0 = none of its own: only apps use this model (no `models` entry) */
    double percentile; /* share of requests that must meet slo_ms, in percent, (0, 100) */
    enum glet_arrival arrival;
    char *trace_path; /* resolved against the workload's folder; NULL unless TRACE */
    double *trace_s;  /* ascending arrival times, seconds; NULL unless TRACE */
    size_t trace_count;
    struct glet_mark mark, rate_mark, slo_mark;
};

struct glet_workload_stage {
    size_t model;  /* index into workload->models */
    size_t *after; /* indices into app->stages, ascending */
    size_t after_count;
    double calls; /* mean calls of this stage per app request, > 0 (default 1) */
    struct glet_mark mark;
};

struct glet_workload_app {
    char *name;
    double rate_rps;                    /* >= 0 */
    double slo_ms;                      /* end to end, > 0 */
    double percentile;                  /* default 99 */
    struct glet_workload_stage *stages; /* in file order; a DAG */
    size_t stage_count;
    struct glet_mark mark, rate_mark, slo_mark;
};

#define GLET_COUNT_UNLIMITED (-1)

struct glet_workload_gpu {
    char *type;
    int count;            /* GLET_COUNT_UNLIMITED, or >= 0 */
    double cost_per_hour; /* > 0, default 1 */
    char *node;           /* NULL = any */
    struct glet_mark mark;
};

struct glet_workload_options {
    bool interference;       /* default true */
    double headroom_ratio;   /* plan for (1 + this) x every rate; >= 0, default 0 */
    double rate_quantile;    /* (0, 1), or 0 = none (default) */
    double latency_factor;   /* > 0, default 1 */
    int max_gpulets_per_gpu; /* >= 1; 0 = not given: the device's own limit */
    int *sizes_units;        /* ascending, distinct, > 0; NULL = every profiled size */
    size_t size_count;
};

struct glet_workload {
    char *path;                         /* as given; for messages */
    char sha256[65];                    /* of the file's bytes, hexadecimal */
    struct glet_workload_model *models; /* in file order, then those that only apps name */
    size_t model_count;
    struct glet_workload_app *apps;
    size_t app_count;
    struct glet_workload_gpu *gpus;
    size_t gpu_count;
    struct glet_workload_options options;
};

/*
 * Reads and validates path ("-" = standard input). On success *out is owned by the caller
 * (glet_workload_free). Fails with GLET_ERR_INPUT or GLET_ERR_RANGE and the place in the file,
 * GLET_ERR_IO, or GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_workload_load(const char *path, struct glet_workload **out, struct glet_error *err);

/*
 * As glet_workload_load(), from memory, and without opening any other file: the times of traces
 * are not read. name is used in messages and becomes the path.
 */
GLET_MUST_CHECK
int glet_workload_parse(const char *text, size_t length, const char *name,
                        struct glet_workload **out, struct glet_error *err);

/*
 * Reads the arrival times of a trace: a CSV with a column t_s, seconds >= 0, ascending. On success
 * *times_out is the caller's to free().
 */
GLET_MUST_CHECK
int glet_workload_read_trace(const char *path, double **times_out, size_t *count_out,
                             struct glet_error *err);

/* NULL is accepted. */
void glet_workload_free(struct glet_workload *workload);
void glet_workload_cleanup(struct glet_workload **workload); /* for GLET_CLEANUP */

/* Index of the model called name, or -1. */
int glet_workload_find_model(const struct glet_workload *workload, const char *name);

/*
 * The rate to plan model k for, requests per second: its own rate plus its apps' calls, times
 * (1 + headroom), then, with rate_quantile, the Poisson quantile of that over one second: the
 * smallest whole number that a second's arrivals exceed with probability at most 1 - quantile.
 * Pure.
 */
double glet_workload_demand_rps(const struct glet_workload *workload, size_t k);

#endif
