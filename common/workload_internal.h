/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_WORKLOAD_INTERNAL_H
#define GLET_COMMON_WORKLOAD_INTERNAL_H

/* What the parts of the workload reader (workload.c, workload_apps.c) share. */

#include "common/workload.h"
#include "common/yaml_read.h"

/* Linear searches by name are fine up to here, whatever the file's author intends. */
enum { GLET_WORKLOAD_MOST_ENTRIES = 1024, GLET_WORKLOAD_MOST_STAGES = 64 };

extern const double glet_workload_most_rps, glet_workload_most_ms;

/* Reads `apps`, after `models`; list may be NULL. */
GLET_MUST_CHECK
int glet_workload_read_apps(struct glet_workload *workload, const struct glet_yaml *yaml,
                            const struct glet_yaml_node *list, struct glet_error *err);

#endif
