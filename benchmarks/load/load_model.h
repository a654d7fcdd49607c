/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_MODEL_H
#define GLET_LOAD_MODEL_H

/*
 * A model as the load sees it: ready-made requests for each target, and whose turn it is. Targets
 * are taken by smooth weighted round robin: over any window each gets its share to within one
 * request, and the order depends on the shares alone.
 */

#include "benchmarks/load/infer_request.h"

#include <stdbool.h>

struct glet_load_target {
    struct glet_infer_request request;
    bool registered; /* the model's region, with this server */
    double weight;   /* >= 0; the share of this model's requests, relative to the other targets */
    double credit;   /* of the round robin */
};

struct glet_load_model {
    const char *name; /* borrowed */
    struct glet_load_target *targets;
    size_t target_count;
    size_t sent;
    struct glet_load_region region; /* of its data, for all targets; without a name: in bodies */
};

/* One request: where it goes, and its bytes, borrowed from the model. */
struct glet_load_shot {
    size_t target;
    const char *bytes;
    size_t length;
};

/* Gives every target the weight 1. Release with glet_load_model_fini() whatever happens. */
GLET_MUST_CHECK
int glet_load_model_init(struct glet_load_model *model, const char *name, size_t target_count,
                         struct glet_error *err);
void glet_load_model_fini(struct glet_load_model *model);

/* The next target's next request. At least one weight is above 0. */
struct glet_load_shot glet_load_model_next(struct glet_load_model *model);

/* Starts the turns anew, so that a run repeats exactly. */
void glet_load_model_rewind(struct glet_load_model *model);

#endif
