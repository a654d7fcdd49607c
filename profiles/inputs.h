/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_INPUTS_H
#define GLET_PROFILES_INPUTS_H

/*
 * Random inputs for measuring, several sets in rotation: what a GPU computes on decides what it
 * draws, and so how fast its clocks let it run; the same data again and again is not what it
 * serves.
 */

#include "common/error.h"
#include "runtime/device/device.h"

#include <stddef.h>
#include <stdint.h>

struct glet_inputs {
    struct glet_executor *executor;
    const struct glet_model *model;
    int batch;
    size_t set_count, next;
    void **sets; /* set by set, one block per input */
};

/* Fills the executor's inputs: floats in -1 .. 1, integers 0 or 1 (always a valid token or mask).
 */
void glet_inputs_fill(struct glet_executor *executor, const struct glet_model *model, int batch,
                      uint64_t seed);

/* Makes `count` >= 1 sets and puts the first into the executor. executor and model are borrowed. */
GLET_MUST_CHECK
int glet_inputs_init(struct glet_inputs *inputs, struct glet_executor *executor,
                     const struct glet_model *model, int batch, size_t count,
                     struct glet_error *err);
void glet_inputs_fini(struct glet_inputs *inputs); /* a zeroed one is accepted */

/* Puts the next set into the executor; with one set there is nothing to do. */
void glet_inputs_rotate(struct glet_inputs *inputs);

#endif
