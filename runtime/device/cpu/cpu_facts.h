/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_FACTS_H
#define GLET_CPU_FACTS_H

/* What a profile says about the machine it was measured on. */

#include "common/error.h"
#include "runtime/device/device.h"

#include <sched.h>
#include <stddef.h>

/*
 * Keys, in order: processor, cores, threads_per_core, frequency_governor, kernel, onednn. Unknown
 * values are "unknown". *facts_out belongs to the caller (glet_cpu_facts_free).
 */
GLET_MUST_CHECK
int glet_cpu_facts_read(const cpu_set_t *cores, struct glet_device_fact **facts_out,
                        size_t *count_out, struct glet_error *err);
void glet_cpu_facts_free(struct glet_device_fact *facts, size_t count); /* NULL is accepted */

/* Memory this process may use: of the machine, or of its control group where that is less. */
double glet_cpu_memory_mib(void);

#endif
