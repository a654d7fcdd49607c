/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CHECK_REPORT_H
#define GLET_CHECK_REPORT_H

/* What a check has found: the plan as it would be served here, and what is wrong with that. */

#include "runtime/serve/plan_check.h"

/*
 * Two tables and a verdict on out, problems on problems_out, as errors are printed. GLET_ERR_NOMEM,
 * GLET_ERR_IO.
 */
GLET_MUST_CHECK
int glet_check_print(const struct glet_check *check, const struct glet_plan *plan, FILE *out,
                     FILE *problems_out, struct glet_error *err);

/* The same as one JSON document, schema gpulet-runtime-check/1, with the problems in it. GLET_ERR_IO. */
GLET_MUST_CHECK
int glet_check_print_json(const struct glet_check *check, const struct glet_plan *plan, FILE *out,
                          struct glet_error *err);

#endif
