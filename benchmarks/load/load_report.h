/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_REPORT_H
#define GLET_LOAD_REPORT_H

/* What a load found out, as a table for people or as JSON (schema gpulet-load/1). */

#include "benchmarks/load/load_run.h"

struct glet_load_report {
    const struct glet_stream *streams;
    size_t stream_count;
    const struct glet_load_result *result;
    double warmup_s;
    uint64_t seed;
};

/* Return -1 with GLET_ERR_IO when out reports an error, or GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_load_report_table(const struct glet_load_report *report, FILE *out,
                           struct glet_error *err);
GLET_MUST_CHECK
int glet_load_report_json(const struct glet_load_report *report, FILE *out, struct glet_error *err);

/* Whether every stream met its SLO. */
bool glet_load_report_meets_slo(const struct glet_load_report *report);

#endif
