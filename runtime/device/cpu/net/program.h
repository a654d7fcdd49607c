/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_PROGRAM_H
#define GLET_CPU_PROGRAM_H

/*
 * One bound graph as a list of steps with all memory placed: the part of a net (cpu_net.h) that
 * knows nothing of batches, rows or several threads side by side.
 */

#include "common/error.h"
#include "runtime/device/cpu/net/packs.h"
#include "runtime/engine/graph.h"

#include <stddef.h>

struct glet_cpu_program;

/*
 * Builds for as many threads as the calling thread's team uses (team.h). The graph is borrowed
 * and outlives the program, and so do packs. `model` (may be NULL) owns what is packed.
 * GLET_ERR_UNSUPPORTED, NOMEM, DEVICE.
 */
GLET_MUST_CHECK
int glet_cpu_program_build(const struct glet_graph *graph, struct glet_cpu_packs *packs,
                           const struct glet_model *model, struct glet_cpu_program **out,
                           struct glet_error *err);
void glet_cpu_program_free(struct glet_cpu_program *program); /* NULL is accepted */

/* Binds input / output i of the graph to memory of glet_tensor_bytes(). */
void glet_cpu_program_bind_input(struct glet_cpu_program *program, size_t i, const void *data);
void glet_cpu_program_bind_output(struct glet_cpu_program *program, size_t i, void *data);

size_t glet_cpu_program_step_count(const struct glet_cpu_program *program);
/* Which node step i belongs to, for messages and timing listings. */
const char *glet_cpu_program_step_name(const struct glet_cpu_program *program, size_t i);
GLET_MUST_CHECK
int glet_cpu_program_step(struct glet_cpu_program *program, size_t i, struct glet_error *err);

size_t glet_cpu_program_activation_bytes(const struct glet_cpu_program *program);
/* The most bytes that live at once: what no memory plan can go below. */
size_t glet_cpu_program_activation_bound_bytes(const struct glet_cpu_program *program);

#endif
