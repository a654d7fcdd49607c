/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_REPORT_H
#define GLET_LOAD_REPORT_H

/* What a load found out, as a table for people or as JSON (schema gpulet-load/1). */

#include "benchmarks/load/load_run.h"
#include "benchmarks/load/load_setup.h"

struct glet_load_report {
    const struct glet_load_set *set;
    const struct glet_load_result *result;
    double warmup_s;
    uint64_t seed;
    bool shared_memory;  /* the inputs were in it */
    bool shared_outputs; /* and large outputs */
    double rate_scale;
    bool searched;       /* by --find-max: then rate_scale is the largest factor that held */
    double missed_scale; /* and this the smallest that did not; INFINITY = none */
};

/* Return -1 with GLET_ERR_IO when out reports an error, or GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_load_report_table(const struct glet_load_report *report, FILE *out,
                           struct glet_error *err);
GLET_MUST_CHECK
int glet_load_report_json(const struct glet_load_report *report, FILE *out, struct glet_error *err);

#endif
