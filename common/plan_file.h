/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_PLAN_FILE_H
#define GLET_COMMON_PLAN_FILE_H

/*
 * plan.yaml, schema gpulet-plan/1, as plain structs: what `plan` writes and `gpulet-runtime` takes.
 *
 * Reading validates what the file alone can tell (types, ranges, names, sizes within the GPU,
 * sum exec <= duty cycle, batch >= rate x duty cycle, latency bound = duty cycle + exec <= SLO,
 * planned_rps = sum over the gpu-lets), each with a relative tolerance of 1e-9. `certificate` and
 * `inputs` may be absent: then nothing is claimed. What needs the workload and the profile is `plan
 * verify`'s job (planner/verify/verify.h).
 */

#include "common/error.h"

#include <stddef.h>

#define GLET_PLAN_MOST_GPUS 16384 /* in one file */

enum glet_objective { GLET_MIN_GPUS, GLET_MIN_COST, GLET_MAX_RATE };

struct glet_plan_certificate {
    int gpus;         /* used */
    int lower_bound;  /* proven: no plan uses fewer */
    double gap_ratio; /* (value - bound) / bound of the objective; 0 = optimal */
    double cost_per_hour, cost_lower_bound; /* min-cost, else 0 */
    double scale, scale_upper_bound;        /* max-rate, else 0 */
};

struct glet_plan_model {
    char *name;
    char *file;    /* ONNX file, or NULL; relative paths are relative to the plan file's folder */
    double slo_ms; /* 0 = none of its own (apps only) */
    double deadline_ms; /* where slo_ms is 0: what its requests may take of the apps' SLOs, at
                           least every latency bound; 0 = the largest of these */
    double percentile;
    double rate_rps;    /* the demand that was planned for, apps, headroom and quantile included */
    double planned_rps; /* sum over its gpu-lets */
    struct glet_mark mark;
};

struct glet_plan_let_model {
    size_t model; /* index into plan->models */
    int batch;
    double rate_rps;         /* share of the demand that the router sends here */
    double exec_ms;          /* profile latency x latency_factor x factor */
    double factor;           /* interference factor used, >= 1 */
    double latency_bound_ms; /* duty_cycle_ms + exec_ms */
    struct glet_mark mark;
};

struct glet_plan_let { /* one gpu-let */
    int units;
    double duty_cycle_ms;
    struct glet_plan_let_model *models; /* run round robin in this order */
    size_t model_count;
    struct glet_mark mark;
};

struct glet_plan_gpu {
    char *id;
    char *type;
    char *node;        /* NULL = any */
    int units;         /* of the whole device */
    double memory_mib; /* that its gpu-lets need by the profile; 0 = not said */
    struct glet_plan_let *lets;
    size_t let_count;
    struct glet_mark mark;
};

struct glet_plan {
    char *path;      /* as read; NULL when built in memory */
    char sha256[65]; /* of the file's bytes; empty when built in memory */
    enum glet_objective objective;
    struct glet_plan_certificate certificate;
    char workload_sha256[65], profile_sha256[65]; /* empty = unknown */
    struct glet_plan_model *models;
    size_t model_count;
    struct glet_plan_gpu *gpus;
    size_t gpu_count;
};

/* What the workload's rates are multiplied by in the plan. */
static inline double glet_plan_scale(const struct glet_plan *plan)
{
    return plan->objective == GLET_MAX_RATE ? plan->certificate.scale : 1;
}

/* "min-gpus", "min-cost", "max-rate". */
const char *glet_objective_name(enum glet_objective objective);

/*
 * Reads and validates path ("-" = standard input). On success *out is owned by the caller
 * (glet_plan_free). Fails with GLET_ERR_INPUT or GLET_ERR_RANGE and the place, GLET_ERR_IO,
 * GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_plan_load(const char *path, struct glet_plan **out, struct glet_error *err);

/* As glet_plan_load(), from memory; name is used in messages. */
GLET_MUST_CHECK
int glet_plan_parse(const char *text, size_t length, const char *name, struct glet_plan **out,
                    struct glet_error *err);

/*
 * Writes the plan as YAML. The same plan gives the same bytes; doubles are written with the fewest
 * digits that read back to the same value. Returns -1 with GLET_ERR_IO when out reports an error,
 * GLET_ERR_UNSUPPORTED when it has more GPUs than a reader takes.
 */
GLET_MUST_CHECK
int glet_plan_write(const struct glet_plan *plan, FILE *out, struct glet_error *err);

/* NULL is accepted. */
void glet_plan_free(struct glet_plan *plan);
void glet_plan_cleanup(struct glet_plan **plan); /* for GLET_CLEANUP */

#endif
